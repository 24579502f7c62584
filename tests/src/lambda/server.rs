//! The server's side of HTTP/1.1, as far as a runtime API and a front need it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What a connection with TLS begins with: the type of its first record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// A connection that requests come in by.
pub(crate) struct Incoming {
    reader: BufReader<TcpStream>,
}

/// The head of a request, and its body once it was read.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// As they came, with the empty line.
    pub(crate) head: Vec<u8>,
}

impl Incoming {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let reader = BufReader::new(stream);
        Ok(Self { reader })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// What was read and not used yet.
    pub(crate) fn unread(&self) -> &[u8] {
        self.reader.buffer()
    }

    /// The next request with its body; nothing when the peer is done.
    pub(crate) fn request(&mut self) -> io::Result<Option<Request>> {
        let Some(mut request) = self.head()? else {
            return Ok(None);
        };
        request.body = self.body(&request)?;
        Ok(Some(request))
    }

    /// The head of the next request.
    pub(crate) fn head(&mut self) -> io::Result<Option<Request>> {
        // A client that tries TLS first would wait for an answer.
        if self.reader.fill_buf()?.first() == Some(&TLS_HANDSHAKE) {
            self.answer(400, &[("content-length", "0")], b"")?;
            return Ok(None);
        }
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if self.reader.read_until(b'\n', &mut head)? == 0 {
                return Ok(None);
            }
        }
        let text = String::from_utf8_lossy(&head);
        let mut lines = text.trim_end().split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (first.next(), first.next());
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        let request = Request {
            method: method.unwrap_or_default().to_owned(),
            target: target.unwrap_or_default().to_owned(),
            headers: headers.collect(),
            body: Vec::new(),
            head: head.clone(),
        };
        Ok(Some(request))
    }

    /// The body of `request`, of which the head was read.
    pub(crate) fn body(&mut self, request: &Request) -> io::Result<Vec<u8>> {
        let expects = request.header("expect");
        if expects.is_some_and(|expects| expects.eq_ignore_ascii_case("100-continue")) {
            self.stream().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let coding = request.header("transfer-encoding");
        if coding.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return self.chunks();
        }
        let length = request.header("content-length").unwrap_or("0");
        let length: u64 = length.parse().map_err(io::Error::other)?;
        self.exactly(length)
    }

    fn exactly(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        let read = (&mut self.reader).take(length).read_to_end(&mut body)?;
        match read as u64 == length {
            true => Ok(body),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
            body.extend(self.exactly(size)?);
            if size > 0 {
                self.exactly(2)?;
                continue;
            }
            while self.reader.read_line(&mut line)? > 2 {}
            return Ok(body);
        }
    }

    /// Answers the request that was read last.
    pub(crate) fn answer(
        &self,
        status: u16,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let mut text = format!("HTTP/1.1 {status} Whatever\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        self.stream().write_all(&bytes)
    }
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| value.as_str())
    }
}

/// A request that waits for its answer.
pub(crate) struct Exchange {
    request: Request,
    stream: TcpStream,
    answered: Sender<()>,
}

impl Exchange {
    /// With what tells that it was answered.
    pub(crate) fn new(request: Request, incoming: &Incoming) -> (Self, Receiver<()>) {
        let (answered, receiver) = channel();
        let stream = incoming
            .stream()
            .try_clone()
            .expect("a socket has two ends");
        let exchange = Self {
            request,
            stream,
            answered,
        };
        (exchange, receiver)
    }

    pub(crate) fn path(&self) -> &str {
        &self.request.target
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.request.body
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.body()).into_owned()
    }

    /// A peer that has gone is told nothing.
    pub(crate) fn answer(mut self, status: u16, headers: &[(&str, &str)], body: &[u8]) {
        let mut text = format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        let _ = self.stream.write_all(&bytes);
        let _ = self.answered.send(());
    }
}
