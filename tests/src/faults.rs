//! A proxy between a registry and its stores, which harms requests as a test says.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It passes.
    Pass,
    /// It does not reach the store, which says that it has too much to do.
    Throttle,
    /// It does not reach the store, which says that something is wrong with it.
    Fail,
    /// It does not reach the store: the connection ends.
    LoseRequest,
    /// It takes effect, and the connection ends before the answer.
    LoseAnswer,
    /// It takes effect, and half of the answer comes.
    HalfAnswer,
}

type Rule = Box<dyn FnMut(&str) -> Fate + Send>;

/// Listens until the test program ends.
pub struct Faults {
    url: String,
    rule: Arc<Mutex<Rule>>,
}

impl Faults {
    /// A proxy before `upstream`, through which everything passes at first.
    ///
    /// # Panics
    /// When there is no port to listen on.
    #[must_use]
    pub fn before(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("the port it got");
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(|_| Fate::Pass)));
        let shared = Arc::clone(&rule);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let rule = Arc::clone(&shared);
                // Who goes away ends this connection only.
                std::thread::spawn(move || serve(client, upstream, &rule).ok());
            }
        });
        Self {
            url: format!("http://{address}"),
            rule,
        }
    }

    /// Where to find it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Decides about each request from now on: by its method and target for S3, by the name of its
    /// operation for DynamoDB.
    pub fn rule(&self, rule: impl FnMut(&str) -> Fate + Send + 'static) {
        *lock(&self.rule) = Box::new(rule);
    }
}

fn lock(rule: &Mutex<Rule>) -> MutexGuard<'_, Rule> {
    rule.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Call {
    head: String,
    body: Vec<u8>,
}

fn serve(mut client: TcpStream, upstream: SocketAddr, rule: &Mutex<Rule>) -> io::Result<()> {
    let Some(call) = read_call(&mut client)? else {
        return Ok(());
    };
    let fate = lock(rule)(&call.name());
    let answer = match fate {
        Fate::LoseRequest => Vec::new(),
        Fate::Throttle | Fate::Fail => call.refusal(fate),
        Fate::Pass | Fate::LoseAnswer | Fate::HalfAnswer => call.forward(upstream)?,
    };
    // Every answer ends with its connection.
    match fate {
        Fate::LoseAnswer => Ok(()),
        Fate::HalfAnswer => client.write_all(&answer[..answer.len() / 2]),
        _ => client.write_all(&answer),
    }
}

fn read_call(client: &mut TcpStream) -> io::Result<Option<Call>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte)? {
            0 => return Ok(None),
            _ => head.push(byte[0]),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut call = Call {
        head,
        body: Vec::new(),
    };
    if call.header("expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let length = call.header("content-length").unwrap_or("0");
    call.body = vec![0; length.parse().map_err(io::Error::other)?];
    client.read_exact(&mut call.body)?;
    Ok(Some(call))
}

impl Call {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1);
        let mut headers = lines.filter_map(|line| line.split_once(':'));
        let found = headers.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    fn is_dynamodb(&self) -> bool {
        self.header("x-amz-target").is_some()
    }

    fn name(&self) -> String {
        match self.header("x-amz-target") {
            Some(target) => target.rsplit('.').next().unwrap_or(target).to_owned(),
            None => self.head.lines().next().unwrap_or_default().to_owned(),
        }
    }

    fn refusal(&self, fate: Fate) -> Vec<u8> {
        let (status, body) = match (self.is_dynamodb(), fate) {
            (true, Fate::Throttle) => (
                400,
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException"}"#,
            ),
            (true, _) => (500, r#"{"__type":"InternalServerError"}"#),
            (false, Fate::Throttle) => (503, "<Error><Code>SlowDown</Code></Error>"),
            (false, _) => (500, "<Error><Code>InternalError</Code></Error>"),
        };
        let length = body.len();
        format!(
            "HTTP/1.1 {status} No\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// The whole answer of the store.
    fn forward(&self, upstream: SocketAddr) -> io::Result<Vec<u8>> {
        let mut store = TcpStream::connect(upstream)?;
        let is_kept = |line: &&str| {
            let line = line.to_ascii_lowercase();
            !line.starts_with("connection:") && !line.starts_with("expect:")
        };
        let mut head: Vec<&str> = self.head.trim_end().lines().filter(is_kept).collect();
        head.extend(["connection: close", "", ""]);
        store.write_all(head.join("\r\n").as_bytes())?;
        store.write_all(&self.body)?;
        let mut answer = Vec::new();
        store.read_to_end(&mut answer)?;
        Ok(answer)
    }
}
