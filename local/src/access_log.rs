//! The access log on standard output: Apache's combined format, as CNCF Distribution writes it.
//!
//! `127.0.0.1 - - [20/Nov/2026:23:28:41 +0000] "GET /v2/ HTTP/1.1" 200 2 "" "curl/7.88.1"`

use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header};
use roadstead_api::{Connection, Peer};
use time::OffsetDateTime;

use crate::logs::quote::escape;
use crate::observe::{Answer, Observation, ObserveLayer, Observer, Outcome};
use crate::redact;

/// How long a line may wait for others before all are written together.
const DELAY: Duration = Duration::from_millis(100);

/// So many bytes are written without further delay.
const BATCH: usize = 64 * 1024;

/// When the reader of the log is slower than the requests, they wait for it from here on.
const LIMIT: usize = 4 * 1024 * 1024;

/// What is logged as the status when the client did not wait for one.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Collects lines and writes them a few times a second.
///
/// Clones share one writer. The last one writes what is left when it is dropped.
#[derive(Clone, Debug)]
pub struct AccessLog(Arc<Owner>);

impl AccessLog {
    /// Writes to standard output.
    pub fn stdout() -> std::io::Result<Self> {
        Self::to(std::io::stdout())
    }

    /// Writes to `out`, by a thread of its own.
    pub fn to(out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let writer = {
            let queue = queue.clone();
            thread::Builder::new()
                .name("access-log".to_owned())
                .spawn(move || queue.write_all_to(out))?
        };
        Ok(Self(Arc::new(Owner {
            queue,
            writer: Some(writer),
        })))
    }

    /// The layer that logs every request to this log, for the outside of all others.
    pub fn layer(&self) -> ObserveLayer<AccessLog> {
        ObserveLayer(self.clone())
    }

    /// Returns when all lines so far have been written.
    pub fn flush(&self) {
        self.0.queue.flush();
    }
}

impl Observer for AccessLog {
    type Observation = Access;

    fn request<B>(&self, request: &mut Request<B>) -> Option<Access> {
        let connection = request.extensions().get::<Connection>();
        Some(Access {
            log: self.clone(),
            time: OffsetDateTime::now_utc(),
            peer: connection.map_or(Peer::Local, |connection| connection.peer),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            referer: header(request.headers(), &header::REFERER),
            user_agent: header(request.headers(), &header::USER_AGENT),
        })
    }
}

fn header(headers: &HeaderMap, name: &header::HeaderName) -> Option<HeaderValue> {
    headers.get(name).cloned()
}

/// What the line of one request needs.
#[derive(Debug)]
pub struct Access {
    log: AccessLog,
    time: OffsetDateTime,
    peer: Peer,
    method: Method,
    uri: Uri,
    version: Version,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
}

impl Observation for Access {
    fn end(&mut self, answer: &Answer, _: Outcome<'_>) {
        let mut line = String::with_capacity(192);
        self.write(&mut line, answer);
        self.log.0.queue.push(&line);
    }
}

/// A name in which no character ends the field: blanks and controls are shown as `?`.
fn push_user(line: &mut String, user: &str) {
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    line.extend(user.chars().map(|c| if plain(c) { c } else { '?' }));
}

impl Access {
    fn write(&self, line: &mut String, answer: &Answer) {
        let status = answer
            .status
            .map_or(CLIENT_CLOSED_REQUEST, |status| status.as_u16());
        // Writing to a string does not fail.
        let _ = match self.peer.ip() {
            Some(address) => write!(line, "{address}"),
            None => write!(line, "{}", self.peer),
        };
        line.push_str(" - ");
        match &answer.user {
            Some(user) => push_user(line, &user.0),
            None => line.push('-'),
        }
        let _ = write!(line, " [{}] \"{} ", Clock(self.time), self.method);
        escape(line, &redact::url(&self.uri.to_string()));
        let _ = write!(
            line,
            " {}\" {status} {} \"",
            protocol(self.version),
            answer.written
        );
        self.push_header(line, self.referer.as_ref());
        line.push_str("\" \"");
        self.push_header(line, self.user_agent.as_ref());
        line.push_str("\"\n");
    }

    fn push_header(&self, line: &mut String, value: Option<&HeaderValue>) {
        if let Some(value) = value {
            let text = String::from_utf8_lossy(value.as_bytes());
            escape(line, &redact::url(&text));
        }
    }
}

/// The protocol as Go names it.
fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

/// `20/Nov/2026:23:28:41 +0000`.
struct Clock(OffsetDateTime);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let time = self.0;
        let month = MONTHS[usize::from(u8::from(time.month())) - 1];
        write!(
            f,
            "{:02}/{month}/{}:{:02}:{:02}:{:02} +0000",
            time.day(),
            time.year(),
            time.hour(),
            time.minute(),
            time.second()
        )
    }
}

/// The thread that writes, and its end.
#[derive(Debug)]
struct Owner {
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so.
            let _ = writer.join();
        }
    }
}

/// The lines that wait.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    /// For the writer: there is something to do.
    filled: Condvar,
    /// For everyone else: it has been done.
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// Whether the writer is writing lines that it took.
    writing: bool,
    /// How many want all to be written now.
    flushing: usize,
    closed: bool,
}

impl Queue {
    fn push(&self, line: &str) {
        let mut state = self.lock();
        while state.lines.len() >= LIMIT && !state.closed {
            state = wait(&self.written, state);
        }
        let before = state.lines.len();
        state.lines.extend_from_slice(line.as_bytes());
        // The writer sleeps until the first line, and again until a batch is full.
        if before == 0 || (before < BATCH && state.lines.len() >= BATCH) {
            self.filled.notify_one();
        }
    }

    fn flush(&self) {
        let mut state = self.lock();
        state.flushing += 1;
        self.filled.notify_one();
        while state.writing || !state.lines.is_empty() {
            state = wait(&self.written, state);
        }
        state.flushing -= 1;
    }

    fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    fn write_all_to(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        while self.take(&mut lines) {
            // A log that nobody reads any more must not end the server.
            let _ = out.write_all(&lines).and_then(|()| out.flush());
            lines.clear();
            self.lock().writing = false;
            self.written.notify_all();
        }
    }

    /// Waits for lines and takes them; false when there will be none.
    fn take(&self, lines: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        while state.lines.is_empty() && !state.closed {
            state = wait(&self.filled, state);
        }
        let (mut state, _) = self
            .filled
            .wait_timeout_while(state, DELAY, |state| {
                state.lines.len() < BATCH && state.flushing == 0 && !state.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.lines, lines);
        state.writing = !lines.is_empty();
        state.writing
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait<'a>(condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condition
        .wait(state)
        .unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use roadstead_api::Connection;

    use super::*;

    /// What has been written, for a look from outside.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Shared {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn line(request: http::request::Builder, status: u16, written: u64) -> String {
        let out = Shared::default();
        let log = AccessLog::to(out.clone()).unwrap();
        let mut request = request.body(()).unwrap();
        request.extensions_mut().insert(Connection {
            peer: Peer::Socket("127.0.0.1:4711".parse().unwrap()),
            secure: false,
        });
        let mut access = log.request(&mut request).unwrap();
        access.time = OffsetDateTime::from_unix_timestamp(1_795_217_321).unwrap();
        let answer = Answer {
            status: StatusCode::from_u16(status).ok(),
            content_type: None,
            user: None,
            written,
        };
        access.end(&answer, Outcome::Complete);
        log.flush();
        out.text()
    }

    #[test]
    fn lines_are_in_the_combined_format() {
        let request = Request::get("/v2/").header("user-agent", "curl/7.88.1");
        assert_eq!(
            line(request, 200, 2),
            "127.0.0.1 - - [20/Nov/2026:23:28:41 +0000] \"GET /v2/ HTTP/1.1\" 200 2 \"\" \"curl/7.88.1\"\n"
        );
    }

    #[test]
    fn no_header_can_end_its_field_and_no_secret_is_shown() {
        let agent = HeaderValue::from_bytes(b"a\"b\\c\td\xff").unwrap();
        let request = Request::put("/v2/a/blobs/uploads/1?_state=secret")
            .header("referer", "http://bob:pw@host/")
            .header("user-agent", agent);
        let line = line(request, 404, 10);
        assert!(
            line.ends_with(
                "\"PUT /v2/a/blobs/uploads/1?_state=REDACTED HTTP/1.1\" 404 10 \"http://REDACTED@host/\" \"a\\\"b\\\\c\\td\u{fffd}\"\n"
            ),
            "{line}"
        );
    }

    #[test]
    fn the_last_owner_writes_what_is_left() {
        let out = Shared::default();
        let log = AccessLog::to(out.clone()).unwrap();
        for _ in 0..3 {
            log.0.queue.push("line\n");
        }
        drop(log);
        assert_eq!(out.text(), "line\nline\nline\n");
    }

    #[test]
    fn lines_of_many_threads_stay_whole() {
        let out = Shared::default();
        let log = AccessLog::to(out.clone()).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        log.0.queue.push("0123456789abcdef\n");
                    }
                });
            }
        });
        log.flush();
        let text = out.text();
        assert_eq!(text.lines().count(), 20_000);
        assert!(text.lines().all(|line| line == "0123456789abcdef"));
    }
}
