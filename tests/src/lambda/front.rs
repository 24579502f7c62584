//! HTTP in front of functions: a request becomes an event, a result an answer. It is a Function URL, and
//! before it the function that CloudFront has for answers (`infra/edge.yaml`).

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Function;
use super::server::{Incoming, Request};

/// The largest event, and the largest result: Lambda Developer Guide, "Lambda quotas".
const PAYLOAD: usize = 6 * 1024 * 1024;

/// Headers that a Function URL renames; `shared/lambda/src/answer.rs` says how that is known.
const REMAPPED: [&str; 5] = [
    "connection",
    "content-length",
    "date",
    "server",
    "www-authenticate",
];

/// Decides which function has a path, as the behaviours of a CloudFront distribution do.
type Choose = Box<dyn Fn(&str) -> Arc<Function> + Send + Sync>;

/// What clients talk to.
pub struct Front {
    choose: Choose,
    uploads: Option<SocketAddr>,
}

impl Front {
    /// One function for all paths.
    #[must_use]
    pub fn to(function: Function) -> Self {
        let function = Arc::new(function);
        Self::by(move |_| Arc::clone(&function))
    }

    /// A function for each path.
    #[must_use]
    pub fn by(choose: impl Fn(&str) -> Arc<Function> + Send + Sync + 'static) -> Self {
        Self {
            choose: Box::new(choose),
            uploads: None,
        }
    }

    /// Whatever is below `/_uploads/` goes to this server, untouched.
    #[must_use]
    pub fn uploads(mut self, server: Option<SocketAddr>) -> Self {
        self.uploads = server;
        self
    }

    /// Serves until the process ends.
    pub fn serve(self, listener: TcpListener) {
        let front = Arc::new(self);
        for stream in listener.incoming().flatten() {
            let front = Arc::clone(&front);
            // A connection that breaks ends alone.
            std::thread::spawn(move || front.connection(stream));
        }
    }

    fn connection(&self, stream: TcpStream) -> io::Result<()> {
        let mut incoming = Incoming::new(stream)?;
        while let Some(mut request) = incoming.head()? {
            if let Some(server) = self
                .uploads
                .filter(|_| request.target.starts_with("/_uploads/"))
            {
                return pass_on(&incoming, &request, server);
            }
            request.body = incoming.body(&request)?;
            self.answer(&incoming, &request)?;
        }
        Ok(())
    }

    fn answer(&self, incoming: &Incoming, request: &Request) -> io::Result<()> {
        let headers = request.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<_> = headers.collect();
        let event = event(&request.method, &request.target, &headers, &request.body);
        if event.to_string().len() > PAYLOAD {
            let body = br#"{"Message":"Request Entity Too Large"}"#;
            return plain(incoming, 413, body);
        }
        let path = request.target.split('?').next().unwrap_or_default();
        match (self.choose)(path).invoke(&event) {
            Ok(result) if result.to_string().len() <= PAYLOAD => {
                result_to(incoming, request, &result)
            }
            // The platform hides what went wrong; whoever runs the tests does not want that.
            Ok(_) => plain(incoming, 502, b"the result is too large"),
            Err(failure) => plain(incoming, 502, failure.0.as_bytes()),
        }
    }
}

/// The event of a request (Lambda Developer Guide, "Request payload format", version 2.0).
#[must_use]
pub fn event(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Value {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut joined = Map::new();
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| *name != "transfer-encoding")
    {
        let value = match joined.get(*name).and_then(Value::as_str) {
            Some(before) => format!("{before},{value}"),
            None => (*value).to_owned(),
        };
        joined.insert((*name).to_owned(), json!(value));
    }
    // This front speaks HTTP; AWS would say https.
    joined.entry("x-forwarded-proto").or_insert(json!("http"));
    let content_type = joined.get("content-type").and_then(Value::as_str);
    let is_text = content_type.is_some_and(|kind| {
        [
            "text/",
            "application/json",
            "application/xml",
            "application/javascript",
        ]
        .iter()
        .any(|text| kind.starts_with(text))
    });
    let text = std::str::from_utf8(body).ok().filter(|_| is_text);
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": joined,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "test",
            "domainName": "test.lambda-url.us-east-1.on.aws",
            "domainPrefix": "test",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "test",
            },
            "requestId": "test",
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Nov/2026:00:00:00 +0000",
            "timeEpoch": 1_795_219_200_000_u64,
        },
        "isBase64Encoded": text.is_none() && !body.is_empty(),
    });
    if !body.is_empty() {
        event["body"] = json!(text.map_or_else(|| STANDARD.encode(body), str::to_owned));
    }
    event
}

/// The body of a function's result.
fn body(result: &Value) -> Vec<u8> {
    let text = result["body"].as_str().unwrap_or_default();
    match result["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(text).expect("a body in base64"),
        _ => text.as_bytes().to_vec(),
    }
}

fn result_to(incoming: &Incoming, request: &Request, result: &Value) -> io::Result<()> {
    let status = result["statusCode"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    let mut status = status.expect("a result with a status");
    let body = body(result);
    let length = body.len().to_string();
    let headers = result["headers"].as_object().cloned().unwrap_or_default();
    let mut sent: Vec<(String, &str)> = Vec::new();
    for (name, value) in &headers {
        let name = match REMAPPED.contains(&name.as_str()) {
            true => format!("x-amzn-remapped-{name}"),
            false => name.clone(),
        };
        sent.push((name, value.as_str().unwrap_or_default()));
    }
    if let Some(relayed) = headers.get("x-relayed-status") {
        assert!(status < 400, "CloudFront does not call its function");
        let relayed = relayed.as_str().and_then(|status| status.parse().ok());
        status = relayed.expect("a status");
        sent.retain(|(name, _)| name != "x-relayed-status");
        for (name, _) in &mut sent {
            if name == "x-relayed-www-authenticate" {
                "www-authenticate".clone_into(name);
            }
        }
    }
    if ![204, 304].contains(&status) {
        sent.push(("content-length".to_owned(), &length));
    }
    let is_empty = request.method == "HEAD" || [204, 304].contains(&status);
    let sent: Vec<_> = sent
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    incoming.answer(status, &sent, if is_empty { b"" } else { &body })
}

fn plain(incoming: &Incoming, status: u16, body: &[u8]) -> io::Result<()> {
    let length = body.len().to_string();
    let headers = [("content-type", "text/plain"), ("content-length", &length)];
    incoming.answer(status, &headers, body)
}

/// Hands a request on to a server, byte for byte as it comes, and ends the connection with the
/// answer: the next request may be for a function.
fn pass_on(incoming: &Incoming, request: &Request, server: SocketAddr) -> io::Result<()> {
    let mut upstream = TcpStream::connect(server)?;
    let head = String::from_utf8_lossy(&request.head);
    let (first, rest) = head.split_once("\r\n").unwrap_or_default();
    write!(upstream, "{first}\r\nConnection: close\r\n{rest}")?;
    upstream.write_all(incoming.unread())?;
    let (mut from_client, mut to_client) = (
        incoming.stream().try_clone()?,
        incoming.stream().try_clone()?,
    );
    let mut to_server = upstream.try_clone()?;
    let sending = std::thread::spawn(move || io::copy(&mut from_client, &mut to_server));
    let mut from_server = upstream;
    let done = io::copy(&mut from_server, &mut to_client);
    let _ = incoming.stream().shutdown(Shutdown::Both);
    let _ = sending.join();
    done.map(drop)
}
