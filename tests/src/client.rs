//! A small HTTP/1.1 client that sends exactly what it is told to.
//!
//! The tests are about the wire, so nothing here corrects, retries, follows or normalises.

use std::fmt::{self, Debug};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::Value;

use crate::wait::PATIENCE;

/// Where a registry listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// What belongs in a `Host` header.
    #[must_use]
    pub fn host(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect(&self) -> io::Result<Connection> {
        let stream = match self {
            Self::Tcp(address) => Stream::Tcp(TcpStream::connect(address)?),
            Self::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        };
        stream.set_deadline()?;
        Ok(Connection {
            stream,
            unread: Vec::new(),
        })
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn set_deadline(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        }
    }
}

/// One connection. Dropping it closes it, in the middle of a request too.
pub struct Connection {
    stream: Stream,
    unread: Vec<u8>,
}

impl Connection {
    /// Sends these bytes.
    ///
    /// # Errors
    /// When the peer no longer takes them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Says that no more will be sent, while still listening.
    ///
    /// # Errors
    /// When the connection is gone already.
    pub fn finish_sending(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Reads the answer to a request of this method, after skipping interim (1xx) answers.
    ///
    /// # Errors
    /// When the peer closes early, stalls, or does not speak HTTP.
    pub fn receive(&mut self, method: &str) -> io::Result<Response> {
        let mut interim = Vec::new();
        loop {
            let head = self.read_head()?;
            if (100..200).contains(&head.status) && head.status != 101 {
                interim.push(head.status);
                continue;
            }
            let body = if method == "HEAD" || [204, 304].contains(&head.status) {
                Vec::new()
            } else {
                self.read_body(&head)?
            };
            return Ok(Response {
                body,
                interim,
                ..head
            });
        }
    }

    /// Reads one interim answer, such as `100 Continue`, and gives its status.
    ///
    /// # Errors
    /// As for [`Connection::receive`].
    pub fn receive_head(&mut self) -> io::Result<Response> {
        self.read_head()
    }

    /// Reads until the peer closes.
    ///
    /// # Errors
    /// When it stalls instead.
    pub fn receive_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? {}
        Ok(std::mem::take(&mut self.unread))
    }

    /// Reads exactly so many bytes.
    ///
    /// # Errors
    /// When the peer closes early or stalls.
    pub fn receive_exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < count {
            self.need_more()?;
        }
        Ok(self.unread.drain(..count).collect())
    }

    fn read_head(&mut self) -> io::Result<Response> {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at;
            }
            self.need_more()?;
        };
        let head: Vec<u8> = self.unread.drain(..end + 4).collect();
        parse_head(&String::from_utf8_lossy(&head[..end]))
            .ok_or_else(|| malformed("not an HTTP/1.1 answer"))
    }

    fn read_body(&mut self, head: &Response) -> io::Result<Vec<u8>> {
        if head
            .header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return self.read_chunks();
        }
        match head.header("content-length") {
            Some(length) => {
                let length = length
                    .parse()
                    .map_err(|_| malformed("a Content-Length that is no number"))?;
                self.receive_exactly(length)
            }
            None => self.receive_to_end(),
        }
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(|_| malformed("a chunk size that is no number"))?;
            if size == 0 {
                while !self.read_line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.receive_exactly(size)?);
            self.read_line()?;
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n") {
                break at;
            }
            self.need_more()?;
        };
        let line: Vec<u8> = self.unread.drain(..end + 2).collect();
        Ok(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    fn need_more(&mut self) -> io::Result<()> {
        if self.fill()? {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 64 * 1024];
        let count = self.stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }
}

fn parse_head(head: &str) -> Option<Response> {
    let mut lines = head.split("\r\n");
    let status = lines
        .next()?
        .strip_prefix("HTTP/1.")?
        .get(2..5)?
        .parse()
        .ok()?;
    let headers = lines
        .map(|line| {
            line.split_once(':')
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect::<Option<_>>()?;
    Some(Response {
        status,
        headers,
        body: Vec::new(),
        interim: Vec::new(),
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

enum Body {
    None,
    Sized(Vec<u8>),
    Chunked(Vec<Vec<u8>>),
}

/// A request, sent on a connection of its own.
pub struct Request {
    address: Address,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Body,
}

impl Request {
    /// A request without a body. The target goes out as it is; an absolute URL is cut down to its path.
    #[must_use]
    pub fn new(address: Address, method: &str, target: &str) -> Self {
        let (headers, body) = (Vec::new(), Body::None);
        Self {
            address,
            method: method.to_owned(),
            target: path_of(target).to_owned(),
            headers,
            body,
        }
    }

    /// Adds a header. A header given here replaces the one the client would have sent by itself.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a body of known length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Sized(body.into());
        self
    }

    /// Adds a body without a length, in these chunks.
    #[must_use]
    pub fn chunked<C: Into<Vec<u8>>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        self.body = Body::Chunked(chunks.into_iter().map(Into::into).collect());
        self
    }

    /// The request as it goes over the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head().into_bytes();
        match &self.body {
            Body::None => {}
            Body::Sized(body) => bytes.extend_from_slice(body),
            Body::Chunked(chunks) => {
                for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        bytes
    }

    /// The part of [`Request::bytes`] before the body.
    #[must_use]
    pub fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let mut add = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        let given = |name: &str| {
            self.headers
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        if !given("host") {
            add("Host", &self.address.host());
        }
        if !given("connection") {
            add("Connection", "close");
        }
        match &self.body {
            Body::Sized(body) if !given("content-length") => {
                add("Content-Length", &body.len().to_string())
            }
            Body::Chunked(_) => add("Transfer-Encoding", "chunked"),
            Body::None
                if ["POST", "PUT", "PATCH"].contains(&&*self.method)
                    && !given("content-length") =>
            {
                add("Content-Length", "0");
            }
            _ => {}
        }
        for (name, value) in &self.headers {
            add(name, value);
        }
        head + "\r\n"
    }

    /// Sends the request and reads the answer.
    ///
    /// # Errors
    /// When there is no complete answer. A peer that answers before it has read everything is fine.
    pub fn try_send(&self) -> io::Result<Response> {
        let mut connection = self.address.connect()?;
        let sent = connection.send(self.bytes());
        connection
            .receive(&self.method)
            .or_else(|error| sent.and(Err(error)))
    }

    /// Sends the request and reads the answer.
    ///
    /// # Panics
    /// When there is no complete answer.
    #[must_use = "an answer that nobody looks at proves nothing"]
    #[track_caller]
    pub fn send(&self) -> Response {
        match self.try_send() {
            Ok(response) => response,
            Err(error) => panic!("no answer to {} {}: {error}", self.method, self.target),
        }
    }
}

/// The path and query of a URL, absolute or not.
#[must_use]
pub fn path_of(url: &str) -> &str {
    match url.split_once("://") {
        Some((scheme, rest)) if ["http", "https"].contains(&scheme) => {
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        _ => url,
    }
}

/// An answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, decoded if it came in chunks.
    pub body: Vec<u8>,
    /// The interim (1xx) statuses that came before.
    pub interim: Vec<u16>,
}

impl Response {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }

    /// Every header of this name.
    pub fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }

    /// The header of this name.
    ///
    /// # Panics
    /// When the answer lacks it.
    #[must_use]
    #[track_caller]
    pub fn need(&self, name: &str) -> &str {
        self.header(name)
            .unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// The upload or content location as a path.
    ///
    /// # Panics
    /// When the answer has none.
    #[must_use]
    #[track_caller]
    pub fn location(&self) -> String {
        path_of(self.need("location")).to_owned()
    }

    /// The error codes in the body; empty when the body is no error document.
    #[must_use]
    pub fn codes(&self) -> Vec<String> {
        let document: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let errors = document["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .filter_map(|error| Some(error["code"].as_str()?.to_owned()))
            .collect()
    }

    /// Asserts the status.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Asserts the status and that the body is an error document with this code first.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        let response = self.expect(status);
        let media_type = response.header("content-type").unwrap_or_default();
        assert!(media_type.starts_with("application/json"), "{response:?}");
        assert_eq!(
            response.codes().first().map(String::as_str),
            Some(code),
            "{response:?}"
        );
        response
    }

    /// Asserts a refusal that blames the client: 4xx, and never a 5xx.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn expect_refusal(self) -> Self {
        assert!((400..500).contains(&self.status), "{self:?}");
        self
    }
}

impl Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(formatter, "{name}: {value}")?;
        }
        let shown = &self.body[..self.body.len().min(1000)];
        write!(
            formatter,
            "\n{} ({} bytes)",
            String::from_utf8_lossy(shown),
            self.body.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_cut_down_to_its_path() {
        for (url, path) in [
            ("http://a:1/v2/x?y=z", "/v2/x?y=z"),
            ("https://a", "/"),
            ("/v2/", "/v2/"),
            ("/v2/?u=http://b/c", "/v2/?u=http://b/c"),
        ] {
            assert_eq!(path_of(url), path);
        }
    }

    #[test]
    fn a_given_header_replaces_the_automatic_one() {
        let address = Address::Unix(PathBuf::from("/nowhere"));
        let request = Request::new(address, "PUT", "/x")
            .header("content-length", "7")
            .body("abc");
        let bytes = String::from_utf8(request.bytes()).unwrap();
        assert_eq!(
            bytes,
            "PUT /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\ncontent-length: 7\r\n\r\nabc"
        );
    }
}
