//! Who a request is from and whether anybody can listen: the connection, and what proxies say of
//! it where they may.

use std::net::IpAddr;
use std::str::FromStr;

use http::{Extensions, HeaderMap, Request};
use ipnet::IpNet;

use crate::connection::{Connection, Peer};
use crate::forwarded;

/// The client of a request, as a request extension.
///
/// A front makes it of [`Connection`] and the headers by [`TrustedProxies::mark`], before anything
/// asks for it; [`Client::of`] answers also where none did, and then no header counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Client {
    /// Where the client is: the last address on the way here that is no trusted proxy, or the
    /// first one when all are.
    pub address: Peer,
    /// Whether the client wrote `https`.
    pub secure: bool,
    /// Whether the other end of the connection is a trusted proxy, so that its headers count.
    pub is_proxied: bool,
    confidential: bool,
}

impl Client {
    /// The client of a request with these extensions; without any, somebody over plain HTTP.
    pub fn of(extensions: &Extensions) -> Self {
        let marked = extensions.get::<Client>().copied();
        marked.unwrap_or_else(|| match extensions.get::<Connection>() {
            Some(connection) => Self::direct(*connection),
            None => Self {
                address: Peer::Local,
                secure: false,
                is_proxied: false,
                confidential: false,
            },
        })
    }

    /// Whether a password may be asked for: nobody else can read what the client sends.
    ///
    /// That holds for TLS, for a client on this machine, and for a trusted proxy unless it says
    /// that its own client came by `http` from another machine.
    pub fn is_confidential(&self) -> bool {
        self.confidential
    }

    /// The other end of the connection itself.
    fn direct(connection: Connection) -> Self {
        Self {
            address: connection.peer,
            secure: connection.secure,
            is_proxied: false,
            confidential: connection.secure || is_here(connection.peer),
        }
    }

    /// A client behind a trusted proxy.
    fn proxied(connection: Connection, headers: &HeaderMap, proxies: &TrustedProxies) -> Self {
        let address = proxies.nearest_stranger(connection.peer, headers);
        let proto = forwarded::proto(headers);
        Self {
            address,
            secure: proto.map_or(connection.secure, |proto| proto == "https"),
            is_proxied: true,
            confidential: proto != Some("http") || is_here(address),
        }
    }
}

fn is_here(peer: Peer) -> bool {
    peer.ip().is_none_or(|address| address.is_loopback())
}

/// Which peers are proxies whose `Forwarded`, `X-Forwarded-*` and `X-Real-IP` count:
/// `http.trustedproxies`.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    local: bool,
}

/// What the word `private` stands for, beside unix sockets: loopback (RFC 1122, 3.2.1.3; RFC 4291,
/// 2.5.3), private addresses (RFC 1918), unique local (RFC 4193) and link-local ones (RFC 4291).
const PRIVATE: [&str; 7] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// What is neither an address, nor a network, nor one of the two words.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is neither an address, nor a network as in 10.0.0.0/8, nor \"private\" nor \"unix\""
)]
pub struct UnknownNetwork(String);

impl TrustedProxies {
    /// No peer is trusted.
    pub fn none() -> Self {
        Self::default()
    }

    /// Trusts these: addresses, networks, `unix` for the peers of unix sockets, and `private` for
    /// those and all private networks.
    ///
    /// # Errors
    ///
    /// The first text that is none of these.
    pub fn parse<T: AsRef<str>>(
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Self, UnknownNetwork> {
        let mut proxies = Self::none();
        for text in texts {
            proxies.add(text.as_ref())?;
        }
        Ok(proxies)
    }

    /// Adds the [`Client`] to the extensions of a request that has a [`Connection`].
    pub fn mark<B>(&self, mut request: Request<B>) -> Request<B> {
        if let Some(connection) = request.extensions().get::<Connection>() {
            let client = self.client(*connection, request.headers());
            request.extensions_mut().insert(client);
        }
        request
    }

    /// The client of a request with `headers` over `connection`.
    pub fn client(&self, connection: Connection, headers: &HeaderMap) -> Client {
        if self.contains(connection.peer) {
            Client::proxied(connection, headers, self)
        } else {
            Client::direct(connection)
        }
    }

    fn add(&mut self, text: &str) -> Result<(), UnknownNetwork> {
        let network = |text: &str| {
            let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
            IpNet::from_str(text).ok().or_else(address)
        };
        match text {
            "unix" => self.local = true,
            "private" => {
                self.local = true;
                self.networks
                    .extend(PRIVATE.into_iter().filter_map(network));
            }
            text => {
                let network = network(text).ok_or_else(|| UnknownNetwork(text.to_owned()))?;
                self.networks.push(network);
            }
        }
        Ok(())
    }

    fn contains(&self, peer: Peer) -> bool {
        match peer.ip() {
            Some(address) => self
                .networks
                .iter()
                .any(|network| network.contains(&address)),
            None => self.local,
        }
    }

    /// Goes back from `peer`, which is trusted, as far as each address is told by a trusted one.
    fn nearest_stranger(&self, peer: Peer, headers: &HeaderMap) -> Peer {
        let mut nearest = peer;
        for address in forwarded::addresses(headers) {
            let Some(address) = address else { break };
            nearest = Peer::Address(address);
            if !self.contains(nearest) {
                break;
            }
        }
        nearest
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn peer(text: &str) -> Peer {
        match text {
            "@" => Peer::Local,
            text => text.parse::<SocketAddr>().unwrap().into(),
        }
    }

    fn client(proxies: &[&str], from: &str, secure: bool, headers: &[(&str, &str)]) -> Client {
        let mut request = Request::get("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        let peer = peer(from);
        request.extensions_mut().insert(Connection { peer, secure });
        let request = TrustedProxies::parse(proxies).unwrap().mark(request);
        Client::of(request.extensions())
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        let private = &["private"][..];
        for (proxies, from, headers, expected) in [
            (private, "10.0.0.1:7", &[][..], "10.0.0.1:7"),
            (
                private,
                "10.0.0.1:7",
                &[("x-forwarded-for", "203.0.113.9")],
                "203.0.113.9",
            ),
            (
                private,
                "10.0.0.1:7",
                &[("x-forwarded-for", "1.1.1.1, 203.0.113.9")],
                "203.0.113.9",
            ),
            (
                private,
                "10.0.0.1:7",
                &[("x-forwarded-for", "1.1.1.1,203.0.113.9 , 10.9.9.9")],
                "203.0.113.9",
            ),
            (
                private,
                "10.0.0.1:7",
                &[("x-forwarded-for", "10.0.0.3, 10.0.0.2")],
                "10.0.0.3",
            ),
            (
                private,
                "10.0.0.1:7",
                &[("x-forwarded-for", "1.1.1.1, unknown, 10.0.0.2")],
                "10.0.0.2",
            ),
            (
                private,
                "10.0.0.1:7",
                &[
                    ("x-forwarded-for", "1.1.1.1"),
                    ("x-forwarded-for", "2.2.2.2"),
                ],
                "2.2.2.2",
            ),
            (
                private,
                "10.0.0.1:7",
                &[("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=9.9.9.9")],
                "1.1.1.1",
            ),
            (
                private,
                "10.0.0.1:7",
                &[("x-real-ip", " 1.1.1.1 ")],
                "1.1.1.1",
            ),
            (
                private,
                "10.0.0.1:7",
                &[("x-forwarded-for", "1.1.1.1:443")],
                "1.1.1.1",
            ),
            (
                private,
                "10.0.0.1:7",
                &[("x-forwarded-for", "::ffff:1.1.1.1")],
                "1.1.1.1",
            ),
            (
                private,
                "10.0.0.1:7",
                &[("forwarded", "for=\"[2001:db8::1]:4711\";proto=https")],
                "2001:db8::1",
            ),
            (
                private,
                "10.0.0.1:7",
                &[("forwarded", "for=9.9.9.9, for=1.1.1.1;by=_x")],
                "1.1.1.1",
            ),
            (
                private,
                "[::1]:7",
                &[("x-forwarded-for", "1.1.1.1")],
                "1.1.1.1",
            ),
            (private, "@", &[("x-forwarded-for", "1.1.1.1")], "1.1.1.1"),
            (
                private,
                "203.0.113.1:7",
                &[("x-forwarded-for", "1.1.1.1")],
                "203.0.113.1:7",
            ),
            (
                &["203.0.113.0/24"],
                "203.0.113.1:7",
                &[("x-forwarded-for", "1.1.1.1")],
                "1.1.1.1",
            ),
            (
                &["203.0.113.1"],
                "203.0.113.2:7",
                &[("x-forwarded-for", "1.1.1.1")],
                "203.0.113.2:7",
            ),
            (&["unix"], "@", &[("x-forwarded-for", "1.1.1.1")], "1.1.1.1"),
            (
                &["unix"],
                "127.0.0.1:7",
                &[("x-forwarded-for", "1.1.1.1")],
                "127.0.0.1:7",
            ),
            (
                &[],
                "127.0.0.1:7",
                &[("x-forwarded-for", "1.1.1.1")],
                "127.0.0.1:7",
            ),
        ] {
            let found = client(proxies, from, false, headers).address;
            assert_eq!(
                found.to_string(),
                expected,
                "{proxies:?} {from} {headers:?}"
            );
        }
    }

    #[test]
    fn a_password_is_asked_for_only_where_nobody_listens() {
        let private = &["private"][..];
        let https = &[("x-forwarded-proto", "https")][..];
        let http = &[
            ("x-forwarded-proto", "http"),
            ("x-forwarded-for", "203.0.113.9"),
        ][..];
        for (proxies, from, secure, headers, expected) in [
            (private, "203.0.113.9:7", true, &[][..], true),
            (private, "203.0.113.9:7", false, &[], false),
            (private, "203.0.113.9:7", false, https, false),
            (private, "127.0.0.1:7", false, &[], true),
            (private, "10.0.0.1:7", false, &[], true),
            (private, "10.0.0.1:7", false, https, true),
            (private, "10.0.0.1:7", false, http, false),
            (private, "10.0.0.1:7", true, http, false),
            (
                private,
                "127.0.0.1:7",
                false,
                &[("x-forwarded-proto", "http")],
                true,
            ),
            (private, "@", false, &[], true),
            (&[], "@", false, &[], true),
            (&[], "127.0.0.1:7", false, http, true),
            (&[], "10.0.0.1:7", false, &[], false),
        ] {
            let found = client(proxies, from, secure, headers).is_confidential();
            assert_eq!(found, expected, "{proxies:?} {from} {secure} {headers:?}");
        }
        assert!(!Client::of(&Extensions::new()).is_confidential());
    }

    #[test]
    fn without_a_mark_the_connection_alone_counts() {
        let (peer, secure) = (peer("127.0.0.1:7"), true);
        let mut extensions = Extensions::new();
        extensions.insert(Connection { peer, secure });
        let client = Client::of(&extensions);
        assert!(client.secure && client.is_confidential() && !client.is_proxied);
        assert_eq!(client.address, peer);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "proxy.example", "10.0.0", "PRIVATE"] {
            assert!(TrustedProxies::parse([text]).is_err(), "{text:?}");
        }
    }
}
