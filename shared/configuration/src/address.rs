//! Addresses of TCP as Go writes them.

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// There is no colon behind the host.
    #[error("missing port in address")]
    NoPort,
    /// An IPv6 address stands without brackets.
    #[error("too many colons in address")]
    TooManyColons,
    /// A bracket is not closed.
    #[error("missing ']' in address")]
    NoBracket,
    /// A bracket stands inside the host.
    #[error("unexpected bracket in address")]
    Bracket,
    /// The port is no number up to 65535.
    #[error("invalid port")]
    Port,
    /// The port is a word that names none.
    #[error("unknown port")]
    PortName,
}

/// The host and the port of `host:port`, where `[host]:port` is for hosts with colons. Both may be empty: the host is `""`
/// and the port 0 then, as they are for an empty address.
///
/// As Go's `net.ResolveTCPAddr`, with the names of ports that Go knows by itself. Whether there is such a host
/// nobody is asked.
///
/// # Errors
///
/// [`InvalidAddress`], with Go's words.
pub fn split(address: &str) -> Result<(&str, u16), InvalidAddress> {
    if address.is_empty() {
        return Ok(("", 0));
    }
    let (host, port) = address.rsplit_once(':').ok_or(InvalidAddress::NoPort)?;
    let host = match host.strip_prefix('[') {
        _ if port.contains(']') => return Err(InvalidAddress::NoPort),
        Some(inner) => match inner.split_once(']') {
            None => return Err(InvalidAddress::NoBracket),
            Some((host, "")) => host,
            Some((_, rest)) if rest.starts_with(':') => return Err(InvalidAddress::TooManyColons),
            Some(_) => return Err(InvalidAddress::NoPort),
        },
        None if host.contains(':') => return Err(InvalidAddress::TooManyColons),
        None => host,
    };
    match host.contains(['[', ']']) {
        true => Err(InvalidAddress::Bracket),
        false => Ok((host, parse_port(port)?)),
    }
}

fn parse_port(port: &str) -> Result<u16, InvalidAddress> {
    let digits = port.strip_prefix(['+', '-']).unwrap_or(port);
    if digits.is_empty() {
        return Ok(0);
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = port.parse::<i64>().ok();
        let number = number.and_then(|number| u16::try_from(number).ok());
        return number.ok_or(InvalidAddress::Port);
    }
    let mut names = NAMES.iter();
    let named = names.find(|(name, _)| name.eq_ignore_ascii_case(port));
    named
        .map(|(_, number)| *number)
        .ok_or(InvalidAddress::PortName)
}

/// Those that Go knows without `/etc/services`.
const NAMES: [(&str, u16); 13] = [
    ("ftp", 21),
    ("ftps", 990),
    ("gopher", 70),
    ("http", 80),
    ("https", 443),
    ("imap2", 143),
    ("imap3", 220),
    ("imaps", 993),
    ("pop3", 110),
    ("pop3s", 995),
    ("smtp", 25),
    ("ssh", 22),
    ("telnet", 23),
];

/// For a key of the configuration; says what to write instead.
pub(crate) fn check(address: &str) -> Result<(), String> {
    let instead = |wrong: InvalidAddress| match wrong {
        InvalidAddress::NoPort => "write host:port, as in localhost:5000",
        InvalidAddress::TooManyColons | InvalidAddress::NoBracket | InvalidAddress::Bracket => {
            "write an IPv6 address as in [::1]:5000"
        }
        InvalidAddress::Port => "it is at most 65535",
        InvalidAddress::PortName => "write its number",
    };
    let split = split(address);
    split
        .map(drop)
        .map_err(|wrong| format!("{wrong}; {}", instead(wrong)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        let table = [
            ("", "", 0),
            (":", "", 0),
            ("localhost:", "localhost", 0),
            (":5000", "", 5000),
            (":00080", "", 80),
            (":+5001", "", 5001),
            (":65535", "", 65535),
            ("localhost:5000", "localhost", 5000),
            ("[localhost]:5000", "localhost", 5000),
            ("127.0.0.1:http", "127.0.0.1", 80),
            (":HTTPS", "", 443),
            ("[::1]:5000", "::1", 5000),
            ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
            ("[]:5000", "", 5000),
        ];
        for (address, host, port) in table {
            assert_eq!(split(address), Ok((host, port)), "{address:?}");
        }
    }

    #[test]
    fn addresses_that_go_refuses_are_refused() {
        let table = [
            ("5000", InvalidAddress::NoPort),
            ("localhost", InvalidAddress::NoPort),
            ("[::1]", InvalidAddress::NoPort),
            ("[::1]x:5000", InvalidAddress::NoPort),
            ("::1:5000", InvalidAddress::TooManyColons),
            ("x[::1]:5000", InvalidAddress::TooManyColons),
            ("[::1:5000", InvalidAddress::NoBracket),
            ("localhost:70000", InvalidAddress::Port),
            ("localhost:65536", InvalidAddress::Port),
            ("localhost:99999999999999999999", InvalidAddress::Port),
            ("localhost:-1", InvalidAddress::Port),
            ("localhost:nope", InvalidAddress::PortName),
            ("localhost:+http", InvalidAddress::PortName),
            ("a]b:5000", InvalidAddress::Bracket),
            ("a[b:5000", InvalidAddress::Bracket),
            (":5000 ", InvalidAddress::PortName),
        ];
        for (address, reason) in table {
            assert_eq!(split(address), Err(reason), "{address:?}");
        }
    }
}
