//! A receiver of notifications: an HTTP server that remembers what was posted to it.

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::lambda::server::{Incoming, Request};
use crate::wait;

/// What it does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Takes it, with this status.
    Take(u16),
    /// Refuses it, with this status.
    Refuse(u16),
    /// Ends the connection.
    HangUp,
}

/// What was taken.
#[derive(Clone, Debug)]
pub struct Posted {
    /// `POST`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte.
    pub body: Vec<u8>,
}

impl Posted {
    /// All values of a header.
    #[must_use]
    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        let headers = self.headers.iter().filter(|(known, _)| known == name);
        headers.map(|(_, value)| value.as_str()).collect()
    }

    /// The events of the envelope.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let envelope: Value = serde_json::from_slice(&self.body).expect("an envelope is JSON");
        let events = envelope["events"].as_array();
        events.expect("an envelope has events").clone()
    }
}

/// Listens until the test program ends.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    answer: Answer,
    refused: usize,
    posted: Vec<Posted>,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::start()
    }
}

impl Receiver {
    /// One that takes everything.
    ///
    /// # Panics
    /// When there is no port to listen on.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("the port it got");
        let state = Arc::new(Mutex::new(State {
            answer: Answer::Take(200),
            refused: 0,
            posted: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A connection that breaks ends alone.
                std::thread::spawn(move || {
                    let mut incoming = Incoming::new(stream)?;
                    while let Some(request) = incoming.request()? {
                        match lock(&state).take(request) {
                            Some(status) => {
                                incoming.answer(status, &[("Content-Length", "0")], b"")?
                            }
                            None => return incoming.stream().shutdown(Shutdown::Both),
                        }
                    }
                    std::io::Result::Ok(())
                });
            }
        });
        Self { address, state }
    }

    /// Where it listens: `host:port`.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The URL of `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Does this with all requests from now on.
    pub fn answer(&self, answer: Answer) {
        lock(&self.state).answer = answer;
    }

    /// How many requests it did not take.
    #[must_use]
    pub fn refused(&self) -> usize {
        lock(&self.state).refused
    }

    /// What it has taken so far.
    #[must_use]
    pub fn posted(&self) -> Vec<Posted> {
        lock(&self.state).posted.clone()
    }

    /// Waits until it has taken so many requests.
    ///
    /// # Panics
    /// When they do not come.
    #[must_use]
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Posted> {
        let what = format!("{count} notifications");
        wait::until(&what, || {
            Some(self.posted()).filter(|posted| posted.len() >= count)
        })
    }
}

impl State {
    /// The status to answer with.
    fn take(&mut self, request: Request) -> Option<u16> {
        match self.answer {
            Answer::Take(status) => {
                self.posted.push(Posted {
                    method: request.method,
                    target: request.target,
                    headers: request.headers,
                    body: request.body,
                });
                Some(status)
            }
            Answer::Refuse(status) => {
                self.refused += 1;
                Some(status)
            }
            Answer::HangUp => {
                self.refused += 1;
                None
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
