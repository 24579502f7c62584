//! Where the server listens: `http.net` and `http.addr`, or a socket that the service manager
//! hands over.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use roadstead_configuration::address::{InvalidAddress, split};
use tokio::net::{TcpListener, TcpSocket, UnixListener, lookup_host};

/// How many connections may wait for their accept; the kernel lowers it to its own limit.
const BACKLOG: u32 = 4096;

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// Listening on TCP.
    Tcp(TcpListener),
    /// Listening on a unix socket, whose file goes away with the listener.
    Unix(UnixListener, SocketFile),
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `http.net` is neither `tcp` nor `unix`.
    #[error("unknown address type {0}")]
    UnknownNetwork(String),
    /// `http.addr` is not `host:port`.
    #[error("listen tcp: address {address}: {reason}")]
    Address {
        /// The address as configured.
        address: String,
        /// What is wrong with it.
        reason: InvalidAddress,
    },
    /// Something that is no socket lies where the socket should be.
    #[error("cannot listen at {}: it exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// More sockets were handed over than the server has a use for.
    #[error("only one socket may be passed by the service manager, not {0}")]
    TooManySockets(usize),
    /// The operating system refused.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address as configured.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl Listener {
    /// Listens on the socket that the service manager passed, else on `address` of `network`.
    ///
    /// To be called once and early: it takes `LISTEN_FDS` out of the environment.
    pub async fn open(network: &str, address: &str) -> Result<Self, Error> {
        match Self::inherited(ListenFd::from_env())? {
            Some(listener) => Ok(listener),
            None => Self::bind(network, address).await,
        }
    }

    /// Listens on `address` of `network`: `tcp` (also when empty) or `unix`.
    pub async fn bind(network: &str, address: &str) -> Result<Self, Error> {
        match network {
            "" | "tcp" => bind_tcp(address).await,
            "unix" => bind_unix(Path::new(address)),
            unknown => Err(Error::UnknownNetwork(unknown.to_owned())),
        }
    }

    fn inherited(mut sockets: ListenFd) -> Result<Option<Self>, Error> {
        match sockets.len() {
            0 => return Ok(None),
            1 => {}
            more => return Err(Error::TooManySockets(more)),
        }
        Self::adopt(&mut sockets).map_err(|source| Error::Bind {
            address: "the passed socket".to_owned(),
            source,
        })
    }

    fn adopt(sockets: &mut ListenFd) -> io::Result<Option<Self>> {
        if let Ok(Some(socket)) = sockets.take_tcp_listener(0) {
            socket.set_nonblocking(true)?;
            return Ok(Some(Listener::Tcp(TcpListener::from_std(socket)?)));
        }
        let Some(socket) = sockets.take_unix_listener(0)? else {
            return Ok(None);
        };
        socket.set_nonblocking(true)?;
        // The file belongs to the service manager.
        let file = SocketFile(None);
        Ok(Some(Listener::Unix(UnixListener::from_std(socket)?, file)))
    }
}

/// The address as Go prints it: `[::]:5000`, or the path of the socket.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listener::Tcp(socket) => match socket.local_addr() {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("tcp"),
            },
            Listener::Unix(socket, _) => {
                let address = socket.local_addr().ok();
                match address.as_ref().and_then(|address| address.as_pathname()) {
                    Some(path) => path.display().fmt(f),
                    None => f.write_str("@"),
                }
            }
        }
    }
}

/// The file of a unix socket; dropping it removes the file.
#[derive(Debug)]
pub struct SocketFile(Option<PathBuf>);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Gone already is as good.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn bind_tcp(address: &str) -> Result<Listener, Error> {
    let (host, port) = split(address).map_err(|reason| Error::Address {
        address: address.to_owned(),
        reason,
    })?;
    let bound = if host.is_empty() {
        listen_everywhere(port)
    } else {
        listen_at(host, port).await
    };
    bound.map(Listener::Tcp).map_err(|source| Error::Bind {
        address: address.to_owned(),
        source,
    })
}

/// All interfaces, of both families where the machine has IPv6.
fn listen_everywhere(port: u16) -> io::Result<TcpListener> {
    listen((Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error| {
        let no_ipv6 = matches!(
            error.raw_os_error(),
            Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
        );
        if no_ipv6 {
            listen((Ipv4Addr::UNSPECIFIED, port).into())
        } else {
            Err(error)
        }
    })
}

/// One of the host's addresses, IPv4 rather than IPv6, as Go chooses.
async fn listen_at(host: &str, port: u16) -> io::Result<TcpListener> {
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    let address = addresses
        .iter()
        .find(|address| address.is_ipv4())
        .or(addresses.first())
        .ok_or(io::ErrorKind::NotFound)?;
    listen(*address)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        rustix::net::sockopt::set_ipv6_v6only(&socket, false)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind_unix(path: &Path) -> Result<Listener, Error> {
    remove_stale(path)?;
    let socket = UnixListener::bind(path).map_err(|source| bind_error(path, source))?;
    Ok(Listener::Unix(socket, SocketFile(Some(path.to_owned()))))
}

/// Removes the socket that an earlier run left behind, and nothing else.
fn remove_stale(path: &Path) -> Result<(), Error> {
    let file_type = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(bind_error(path, error)),
    };
    if !file_type.is_socket() {
        return Err(Error::NotASocket(path.to_owned()));
    }
    std::fs::remove_file(path).map_err(|error| bind_error(path, error))
}

fn bind_error(path: &Path, source: io::Error) -> Error {
    Error::Bind {
        address: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_none_is_named() {
        let error = Listener::bind("tcp", "localhost").await.unwrap_err();
        let expected = "listen tcp: address localhost: missing port in address";
        assert_eq!(error.to_string(), expected);
    }

    #[tokio::test]
    async fn an_unknown_network_is_refused() {
        let error = Listener::bind("udp", ":0").await.unwrap_err();
        assert_eq!(error.to_string(), "unknown address type udp");
    }

    #[tokio::test]
    async fn an_empty_host_listens_for_ipv4_as_well() {
        let Listener::Tcp(listener) = Listener::bind("", "").await.unwrap() else {
            panic!("not TCP");
        };
        let port = listener.local_addr().unwrap().port();
        let client = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        let (client, accepted) = tokio::join!(client, listener.accept());
        client.unwrap();
        accepted.unwrap();
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_removed_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());

        let listener = Listener::bind("unix", path.to_str().unwrap())
            .await
            .unwrap();
        assert_eq!(listener.to_string(), path.to_str().unwrap());
        tokio::net::UnixStream::connect(&path).await.unwrap();
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn another_kind_of_file_is_never_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        let result = Listener::bind("unix", path.to_str().unwrap()).await;
        assert!(matches!(result, Err(Error::NotASocket(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }
}
