//! Accepting connections, whatever happens.

use std::io;
use std::time::Duration;

use roadstead_api::Peer;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tracing::warn;

use super::socket::Socket;
use crate::listen::Listener;

/// How long a connection may be silent before the kernel asks whether the peer still lives.
const KEEP_ALIVE: Duration = Duration::from_secs(3 * 60);

/// How long to wait after a first failed accept; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The longest wait between two accepts.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What gives connections.
pub(super) trait Accept {
    /// The next connection. Dropping the future loses none.
    async fn accept(&self) -> io::Result<(Socket, Peer)>;
}

impl Accept for Listener {
    async fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                tune(&stream);
                Ok((Socket::Tcp(stream), address.into()))
            }
            Listener::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Socket::Unix(stream), Peer::Local))
            }
        }
    }
}

/// A source of connections that outlives failures.
pub(super) struct Acceptor<'a, A> {
    source: &'a A,
    pause: Duration,
}

impl<'a, A: Accept> Acceptor<'a, A> {
    pub(super) fn new(source: &'a A) -> Self {
        Self {
            source,
            pause: FIRST_PAUSE,
        }
    }

    /// The next connection, after as many failures as it takes.
    pub(super) async fn next(&mut self) -> (Socket, Peer) {
        loop {
            match self.source.accept().await {
                Ok(accepted) => {
                    self.pause = FIRST_PAUSE;
                    return accepted;
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => self.wait(&error).await,
            }
        }
    }

    /// Out of descriptors or memory: connections that end will give some back.
    async fn wait(&mut self, error: &io::Error) {
        warn!("accept failed: {error}; retrying in {:?}", self.pause);
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// The client left between its connect and our accept.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Options that make a connection better and whose absence does not make it unusable.
fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    #[cfg(not(target_os = "macos"))]
    let _ = sockopt::set_tcp_keepidle(stream, KEEP_ALIVE);
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use tokio::net::UnixStream;

    use super::*;

    struct Failing(RefCell<VecDeque<i32>>);

    impl Accept for Failing {
        async fn accept(&self) -> io::Result<(Socket, Peer)> {
            if let Some(code) = self.0.borrow_mut().pop_front() {
                return Err(io::Error::from_raw_os_error(code));
            }
            let (stream, _) = UnixStream::pair()?;
            Ok((Socket::Unix(stream), Peer::Local))
        }
    }

    #[tokio::test]
    async fn failures_of_accept_are_survived() {
        let failures = [libc::EMFILE, libc::ECONNABORTED, libc::ENFILE, libc::EPROTO];
        let source = Failing(RefCell::new(failures.into()));
        let mut acceptor = Acceptor::new(&source);
        acceptor.next().await;
        assert!(source.0.borrow().is_empty());
        assert_eq!(acceptor.pause, FIRST_PAUSE);
    }
}
