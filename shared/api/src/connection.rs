//! Where a request came from, as request extensions that every front sets.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use uuid::Uuid;

/// The connection that carries a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection {
    /// The other end, not what a proxy header says about it.
    pub peer: Peer,
    /// Whether this very connection is encrypted; links then begin with `https`.
    pub secure: bool,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peer {
    /// A TCP peer.
    Socket(SocketAddr),
    /// A peer of which a gateway told the address alone.
    Address(IpAddr),
    /// A process on this machine, over a unix socket.
    Local,
}

impl Peer {
    /// The peer's IP address, if it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Peer::Socket(address) => Some(address.ip()),
            Peer::Address(address) => Some(*address),
            Peer::Local => None,
        }
    }
}

/// An IPv4 peer of a dual-stack socket is an IPv4 peer.
impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V6(_) => Peer::Socket(address),
            v4 => Peer::Socket(SocketAddr::new(v4, address.port())),
        }
    }
}

/// `127.0.0.1:4711`, `127.0.0.1`, or `@`, as Go writes an unnamed unix peer.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Socket(address) => address.fmt(f),
            Peer::Address(address) => address.fmt(f),
            Peer::Local => f.write_str("@"),
        }
    }
}

/// What names one request in the log lines and in the body of a 5xx answer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RequestId(Uuid);

impl RequestId {
    /// A new id; ids sort by the time of their making.
    #[expect(clippy::new_without_default, reason = "each value is another one")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl From<Uuid> for RequestId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_reads_as_go_writes_it() {
        let table = [
            ("127.0.0.1:4711", "127.0.0.1:4711"),
            ("[::ffff:10.0.0.7]:80", "10.0.0.7:80"),
            ("[::1]:5000", "[::1]:5000"),
        ];
        for (address, shown) in table {
            let peer = Peer::from(address.parse::<SocketAddr>().unwrap());
            assert_eq!(peer.to_string(), shown);
        }
        assert_eq!(Peer::Local.to_string(), "@");
    }
}
