//! The middleware's parameters, and what they have to be.

use std::time::Duration;

use http::Uri;

use crate::key::{Hash, PrivateKey};

/// How URLs are signed, and for whom.
#[derive(Debug)]
pub struct Config {
    /// Where the distribution is; without a scheme it is `https`. It may have a path in front of
    /// the objects' names.
    pub base_url: String,
    /// The key that signs.
    pub key: PrivateKey,
    /// The id that CloudFront gave to its public half.
    pub key_pair_id: String,
    /// What is signed.
    pub hash: Hash,
    /// The longest that a URL is good; none is good for less than three quarters of it.
    pub duration: Duration,
    /// Whether only the address for which a URL was signed may use it. A client without an IPv4
    /// address gets no URL then, as CloudFront's policies know no other.
    pub restrict_address: bool,
    /// Who is sent to the store instead; `None` for nobody.
    pub filter: Option<AddressFilter>,
}

/// The clients with an address of AWS.
#[derive(Clone, Debug)]
pub struct AddressFilter {
    /// Only those in these regions; empty for all regions.
    pub regions: Vec<String>,
    /// Where the addresses are published, in the form of AWS's `ip-ranges.json`.
    pub url: String,
    /// How long they are taken for true.
    pub update_frequency: Duration,
}

/// Parameters that no URL can be signed with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The base URL is none.
    #[error("baseurl is not of the form [https://]host[:port][/path]: {0:?}")]
    BaseUrl(String),
    /// The id of the key is none.
    #[error("keypairid is not an id that CloudFront gives: {0:?}")]
    KeyPairId(String),
    /// URLs would be good for no time.
    #[error("duration is less than a second")]
    Duration,
    /// The addresses cannot be fetched there.
    #[error("iprangesurl is not of the form http[s]://host[:port][/path]: {0:?}")]
    RangesUrl(String),
}

/// Adds what Distribution adds: `https://` where there is no scheme, a slash at the end.
pub(crate) fn base_url(text: &str) -> Result<String, ConfigError> {
    let wrong = || ConfigError::BaseUrl(text.to_owned());
    let url = match text.contains("://") {
        true => text.to_owned(),
        false => format!("https://{text}"),
    };
    // In a policy, `*` and `?` stand for anything (CloudFront, "Resource").
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"#*<>?@\\^`{|}".contains(&byte);
    if !url.bytes().all(allowed) || !is_http(&url) {
        return Err(wrong());
    }
    let slash = if url.ends_with('/') { "" } else { "/" };
    Ok(format!("{url}{slash}"))
}

pub(crate) fn key_pair_id(text: &str) -> Result<(), ConfigError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if text.is_empty() || !text.bytes().all(allowed) {
        return Err(ConfigError::KeyPairId(text.to_owned()));
    }
    Ok(())
}

pub(crate) fn ranges_url(text: &str) -> Result<Uri, ConfigError> {
    let wrong = || ConfigError::RangesUrl(text.to_owned());
    if !is_http(text) {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

fn is_http(text: &str) -> bool {
    let uri = text.parse::<Uri>();
    uri.is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_gets_a_scheme_and_a_slash() {
        for (given, expected) in [
            ("d111.cloudfront.net", "https://d111.cloudfront.net/"),
            (
                "https://d111.cloudfront.net",
                "https://d111.cloudfront.net/",
            ),
            ("https://cdn.example/", "https://cdn.example/"),
            ("http://127.0.0.1:81/a/b", "http://127.0.0.1:81/a/b/"),
        ] {
            assert_eq!(base_url(given).as_deref(), Ok(expected));
        }
        for bad in [
            "",
            "/",
            "https://",
            "ftp://h",
            "https://h?a=b",
            "https://h/#a",
            "https://h/*",
            "https://u:p@h/",
            "https://h/a b",
            "https://h/\"",
            "https://h/\n",
        ] {
            assert_eq!(base_url(bad), Err(ConfigError::BaseUrl(bad.to_owned())));
        }
    }

    #[test]
    fn an_id_stands_in_a_url_as_it_is() {
        assert_eq!(key_pair_id("K2JCJMDEHXQW5F"), Ok(()));
        for bad in ["", "K 1", "K&1", "K=", "K%41", "é"] {
            assert!(key_pair_id(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_are_fetched_over_http() {
        assert!(ranges_url("https://ip-ranges.amazonaws.com/ip-ranges.json").is_ok());
        for bad in [
            "",
            "ip-ranges.json",
            "/ip-ranges.json",
            "file:///ip-ranges.json",
        ] {
            assert!(ranges_url(bad).is_err(), "{bad:?}");
        }
    }
}
