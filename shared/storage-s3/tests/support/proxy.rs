//! A proxy before the store that counts requests, and harms those that a test names.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a request.
pub(crate) enum Fate {
    /// It passes.
    Pass,
    /// It is answered with this status and code of S3, and never reaches the store.
    Fail(u16, &'static str),
    /// It takes effect, and the connection is closed before the answer.
    LoseAnswer,
    /// It takes effect, and no answer comes for longer than anyone waits.
    Stall,
    /// Only this many bytes of the answer's body pass.
    CutBody(usize),
    /// In the answer's body this stands in place of that.
    Replace(&'static str, &'static str),
    /// The store does not see the conditions of the request.
    Unconditional,
    /// It is answered with this status and body, and never reaches the store.
    Answer(u16, String),
    /// The answer does not tell how long its body is.
    Unsized,
}

type Rule = Box<dyn FnMut(&str) -> Fate + Send>;

/// A request without its body.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// S3's name for it.
    pub(crate) name: String,
    text: String,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        header(&self.text, name)
    }

    /// Whether its query has this text, percent-encoded as it came.
    pub(crate) fn asks(&self, text: &str) -> bool {
        let (_, query) = self.target();
        query.contains(text)
    }

    /// Whether it is about an object of the driver's own.
    pub(crate) fn is_own(&self) -> bool {
        let (path, _) = self.target();
        path.contains("/.roadstead-")
    }

    /// The path and the query.
    fn target(&self) -> (&str, &str) {
        let target = self.text.split_whitespace().nth(1).unwrap_or_default();
        target.split_once('?').unwrap_or((target, ""))
    }
}

/// Listens until the runtime of the test ends.
pub(crate) struct Proxy {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    requests: Vec<String>,
    heads: Vec<Head>,
    rule: Rule,
}

impl Proxy {
    /// A proxy before `upstream`, a URL of the form `http://host:port`.
    pub(crate) async fn new(upstream: &str) -> Self {
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            requests: Vec::new(),
            heads: Vec::new(),
            rule: Box::new(|_| Fate::Pass),
        }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (state, upstream) = (Arc::clone(&shared), upstream.clone());
                // A client that goes away ends its own connection only.
                tokio::spawn(async move { serve(client, &upstream, &state).await.ok() });
            }
        });
        Self { url, state }
    }

    /// Decides about each request from now on, by its name as [`Proxy::requests`] has it.
    pub(crate) fn rule(&self, rule: impl FnMut(&str) -> Fate + Send + 'static) {
        self.state.lock().unwrap().rule = Box::new(rule);
    }

    /// Like [`Proxy::rule`] for the first so many requests whose names begin like this.
    pub(crate) fn harm(
        &self,
        name: &'static str,
        times: usize,
        fate: impl Fn() -> Fate + Send + 'static,
    ) {
        let mut left = times;
        self.rule(move |request| {
            if left == 0 || !request.starts_with(name) {
                return Fate::Pass;
            }
            left -= 1;
            fate()
        });
    }

    /// The requests since the last call, by S3's names for them.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// All requests there ever were, with their headers.
    pub(crate) fn heads(&self) -> Vec<Head> {
        self.state.lock().unwrap().heads.clone()
    }
}

async fn serve(mut client: TcpStream, upstream: &str, state: &Mutex<State>) -> std::io::Result<()> {
    let Some((head, mut body)) = read_head(&mut client).await? else {
        return Ok(());
    };
    let length = header(&head, "content-length").and_then(|length| length.parse().ok());
    if header(&head, "expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let length: usize = length.unwrap_or_default();
    let have = body.len();
    body.resize(length, 0);
    client.read_exact(&mut body[have..]).await?;
    let name = name(&head);
    let fate = {
        let mut state = state.lock().unwrap();
        state.requests.push(name.clone());
        state.heads.push(Head {
            name: name.clone(),
            text: head.clone(),
        });
        (state.rule)(&name)
    };
    let own = match &fate {
        Fate::Fail(status, code) => Some((
            *status,
            format!("<Error><Code>{code}</Code><Message>no</Message></Error>"),
        )),
        Fate::Answer(status, body) => Some((*status, body.clone())),
        _ => None,
    };
    if let Some((status, body)) = own {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} No\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        return client.write_all(answer.as_bytes()).await;
    }
    let mut store = TcpStream::connect(upstream).await?;
    let lines = head.lines().filter(|line| {
        let line = line.to_ascii_lowercase();
        let is_condition = line.starts_with("if-match:") || line.starts_with("if-none-match:");
        let is_dropped = is_condition && matches!(fate, Fate::Unconditional);
        let is_ours = line.starts_with("connection:") || line.starts_with("expect:");
        !is_dropped && !is_ours && !line.is_empty()
    });
    let head = lines.collect::<Vec<_>>().join("\r\n");
    let head = format!("{head}\r\nconnection: close\r\n\r\n");
    store.write_all(head.as_bytes()).await?;
    store.write_all(&body).await?;
    let mut answer = Vec::new();
    store.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.map_or(answer.len(), |at| at + 4);
    match fate {
        Fate::LoseAnswer => return Ok(()),
        Fate::Stall => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return Ok(());
        }
        Fate::CutBody(length) => answer.truncate(end + length),
        Fate::Replace(this, that) => {
            let head = without_length(&answer[..end]);
            let body = String::from_utf8_lossy(&answer[end..]).replace(this, that);
            answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes();
        }
        Fate::Unsized => {
            let head = without_length(&answer[..end]) + "\r\n\r\n";
            answer.splice(..end, head.into_bytes());
        }
        Fate::Pass | Fate::Unconditional | Fate::Fail(..) | Fate::Answer(..) => {}
    }
    client.write_all(&answer).await?;
    client.shutdown().await
}

async fn read_head(client: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(at + 4);
            return Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), body)));
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let line = lines.find(|(found, _)| found.eq_ignore_ascii_case(name));
    line.map(|(_, value)| value.trim().to_owned())
}

/// The lines of a head but for the one that tells how long the body is.
fn without_length(head: &[u8]) -> String {
    let head = String::from_utf8_lossy(head);
    let lines = head.lines().filter(|line| {
        !line.is_empty() && !line.to_ascii_lowercase().starts_with("content-length:")
    });
    lines.collect::<Vec<_>>().join("\r\n")
}

/// What S3 calls the request.
fn name(head: &str) -> String {
    let mut words = head.split_whitespace();
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let has = |name: &str| {
        let mut names = query
            .split('&')
            .map(|pair| pair.split('=').next().unwrap_or_default());
        names.any(|found| found == name)
    };
    let copies = header(head, "x-amz-copy-source").is_some();
    match method {
        "GET" if has("list-type") => "ListObjectsV2",
        "GET" if has("uploads") => "ListMultipartUploads",
        "GET" if has("uploadId") => "ListParts",
        "GET" => "GetObject",
        "HEAD" => "HeadObject",
        "PUT" if has("partNumber") && copies => "UploadPartCopy",
        "PUT" if has("partNumber") => "UploadPart",
        "PUT" if copies => "CopyObject",
        "PUT" => "PutObject",
        "POST" if has("uploads") => "CreateMultipartUpload",
        "POST" if has("uploadId") => "CompleteMultipartUpload",
        "POST" => "DeleteObjects",
        "DELETE" if has("uploadId") => "AbortMultipartUpload",
        "DELETE" => "DeleteObject",
        other => other,
    }
    .to_owned()
}
