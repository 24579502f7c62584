//! The signals that end the server.

use std::fmt;
use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// A request of the operating system to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// From a terminal.
    Interrupt,
    /// From a service manager.
    Terminate,
}

impl Signal {
    /// The exit status of a process that this signal ended, as a shell reports it.
    pub fn exit_code(self) -> u8 {
        match self {
            Signal::Interrupt => 128 + libc::SIGINT as u8,
            Signal::Terminate => 128 + libc::SIGTERM as u8,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
        })
    }
}

/// A future of the first signal from now on.
///
/// The handlers are in place when this returns, so that no signal before the first poll is lost.
pub fn requested() -> io::Result<impl Future<Output = Signal> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => Signal::Interrupt,
            _ = terminate.recv() => Signal::Terminate,
        }
    })
}
