//! What is signed, and how it stands in a URL (CloudFront Developer Guide, "Create a signed URL
//! using a canned policy" and "… using a custom policy").

use std::net::Ipv4Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::key::{Hash, PrivateKey};

/// Who may fetch what, and until when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy<'a> {
    /// The whole URL, without a query. It has no character that JSON would escape.
    pub(crate) url: &'a str,
    /// In seconds since 1970.
    pub(crate) expires: u64,
    /// The one address that may; any for `None`.
    pub(crate) address: Option<Ipv4Addr>,
}

impl Policy<'_> {
    /// Without whitespace, and in just this order: CloudFront puts a canned policy together
    /// itself to check the signature.
    pub(crate) fn json(&self) -> String {
        let Self { url, expires, .. } = self;
        let address = self
            .address
            .map(|address| format!(r#""IpAddress":{{"AWS:SourceIp":"{address}/32"}},"#));
        let address = address.unwrap_or_default();
        format!(
            r#"{{"Statement":[{{"Resource":"{url}","Condition":{{{address}"DateLessThan":{{"AWS:EpochTime":{expires}}}}}}}]}}"#
        )
    }

    /// The URL that lets its bearer in; `None` when signing failed.
    ///
    /// A policy of which the expiry is all is canned: the URL says no more than that.
    pub(crate) fn signed(&self, key: &PrivateKey, hash: Hash, key_id: &str) -> Option<String> {
        let json = self.json();
        let signature = key.sign(hash, json.as_bytes())?;
        let signature = url_safe(&signature);
        let policy = match self.address {
            None => format!("Expires={}", self.expires),
            Some(_) => format!("Policy={}", url_safe(json.as_bytes())),
        };
        let hash = match hash {
            Hash::Sha1 => "",
            Hash::Sha256 => "&Hash-Algorithm=SHA256",
        };
        let url = self.url;
        Some(format!(
            "{url}?{policy}&Signature={signature}&Key-Pair-Id={key_id}{hash}"
        ))
    }
}

/// Base64 in which `+`, `=` and `/` are `-`, `_` and `~`: CloudFront's own way.
fn url_safe(bytes: &[u8]) -> String {
    let safe = |letter| match letter {
        '+' => '-',
        '=' => '_',
        '/' => '~',
        letter => letter,
    };
    STANDARD.encode(bytes).chars().map(safe).collect()
}

/// When a URL that is signed at `now` ends, both in seconds since 1970, if it may be good for
/// `duration` seconds.
///
/// All URLs of a window end at once and so are the same, which lets caches on the way recognise
/// them. A window is a quarter of the duration, at most five minutes: a URL is good for at least
/// three quarters of the duration, and never for longer than all of it.
pub(crate) fn expiry(now: u64, duration: u64) -> u64 {
    const LONGEST: u64 = 5 * 60;
    let window = (duration / 4).clamp(1, LONGEST);
    let end = now.saturating_add(duration);
    end - end % window
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_as_cloudfront_puts_it_together() {
        // The example of the Developer Guide, "Set signed cookies using a custom policy", with a
        // single address in the place of its network.
        let policy = Policy {
            url: "http://d111111abcdef8.cloudfront.net/game_download.zip",
            expires: 1_426_500_000,
            address: Some(Ipv4Addr::new(192, 0, 2, 0)),
        };
        let published = "eyJTdGF0ZW1lbnQiOlt7IlJlc291cmNlIjoiaHR0cDovL2QxMTExMTFhYmNkZWY4LmNsb3VkZnJvbnQubmV0L2dhbWVfZG93bmxvYWQuemlwIiwiQ29uZGl0aW9uIjp7IklwQWRkcmVzcyI6eyJBV1M6U291cmNlSXAiOiIxOTIuMC4yLjAvMjQifSwiRGF0ZUxlc3NUaGFuIjp7IkFXUzpFcG9jaFRpbWUiOjE0MjY1MDAwMDB9fX1dfQ__";
        let json = policy.json().replace("192.0.2.0/32", "192.0.2.0/24");
        assert_eq!(url_safe(json.as_bytes()), published);
        let canned = Policy {
            address: None,
            ..policy
        };
        assert_eq!(
            canned.json(),
            r#"{"Statement":[{"Resource":"http://d111111abcdef8.cloudfront.net/game_download.zip","Condition":{"DateLessThan":{"AWS:EpochTime":1426500000}}}]}"#
        );
    }

    /// The URLs were signed by AWS's own signer for Python (botocore 1.43.106, `CloudFrontSigner`)
    /// around OpenSSL, with a key that is good for nothing else.
    #[test]
    fn a_url_is_the_one_that_the_sdk_of_aws_signs() {
        let key = include_bytes!("../tests/fixtures/key.pem");
        let key = PrivateKey::from_pem(key).unwrap();
        let policy = Policy {
            url: "https://d111111abcdef8.cloudfront.net/a%20root/docker/registry/v2/blobs/sha256/ab/abcd/data",
            expires: 1_767_290_400,
            address: None,
        };
        for (hash, expected) in [
            (Hash::Sha1, include_str!("../tests/fixtures/sha1.url")),
            (Hash::Sha256, include_str!("../tests/fixtures/sha256.url")),
        ] {
            let url = policy.signed(&key, hash, "K2JCJMDEHXQW5F").unwrap();
            assert_eq!(url, expected.trim_end());
        }
    }

    #[test]
    fn what_a_url_cannot_have_is_replaced() {
        assert_eq!(url_safe(&[0xfb, 0xef, 0xff, 0xff]), "--~~~w__");
    }

    #[test]
    fn a_url_is_good_for_most_of_the_duration_and_never_for_longer() {
        for duration in [1, 2, 3, 4, 5, 7, 60, 599, 1200, 86_400] {
            for now in 1_800_000_000..1_800_000_700 {
                let life = expiry(now, duration) - now;
                assert!(life <= duration, "{duration} {now}");
                assert!(4 * life >= 3 * duration, "{duration} {now}");
            }
        }
    }

    #[test]
    fn all_urls_of_a_window_end_at_once() {
        let ends = |duration| {
            let ends = (1_800_000_000..1_800_003_600).map(|now| expiry(now, duration));
            ends.collect::<std::collections::BTreeSet<_>>().len()
        };
        // Of an hour: five minutes each, and a quarter of a minute each.
        assert_eq!(ends(1200), 12);
        assert_eq!(ends(86_400), 12);
        assert_eq!(ends(60), 240);
    }
}
