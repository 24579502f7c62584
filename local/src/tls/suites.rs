//! `http.tls.ciphersuites`: the names of Go's `crypto/tls`, which are IANA's.

use rustls::crypto::CryptoProvider;
use rustls::{ProtocolVersion, SupportedCipherSuite};

use super::error::Error;

/// Leaves of `suites` those that are named; of TLS 1.3, all when none is named.
///
/// Go, and so Distribution, lets the list choose among those of TLS 1.2 alone. Here it limits TLS
/// 1.3 as well, as soon as it names one of its suites. Names that mean no suite, or one that is
/// not safe any more, are told by a warning.
///
/// # Errors
///
/// Names, but none that can be had.
pub(super) fn choose(provider: &mut CryptoProvider, names: &[String]) -> Result<(), Error> {
    let (known, unknown): (Vec<&String>, Vec<&String>) = names.iter().partition(|wanted| {
        provider
            .cipher_suites
            .iter()
            .any(|suite| name(suite) == **wanted)
    });
    if !unknown.is_empty() {
        let unknown: Vec<_> = unknown.iter().map(|name| name.as_str()).collect();
        tracing::warn!(
            "http.tls.ciphersuites: not offered, as they are not safe any more: {}",
            unknown.join(", ")
        );
    }
    if known.is_empty() && !names.is_empty() {
        let available: Vec<_> = provider.cipher_suites.iter().map(name).collect();
        return Err(Error::NoSuites {
            available: available.join(", "),
        });
    }
    let is_named = |suite: &SupportedCipherSuite| known.iter().any(|known| **known == name(suite));
    let limits_13 = provider
        .cipher_suites
        .iter()
        .any(|suite| is_13(suite) && is_named(suite));
    provider.cipher_suites.retain(|suite| {
        let is_free = is_13(suite) && !limits_13;
        names.is_empty() || is_free || is_named(suite)
    });
    Ok(())
}

fn is_13(suite: &SupportedCipherSuite) -> bool {
    suite.version().version == ProtocolVersion::TLSv1_3
}

/// IANA's name; rustls writes `TLS13_` where a suite is of TLS 1.3.
fn name(suite: &SupportedCipherSuite) -> String {
    let name = suite.suite().as_str().unwrap_or_default();
    name.replacen("TLS13_", "TLS_", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Result<Vec<String>, Error> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut provider = crate::tls::provider();
        choose(&mut provider, &names)?;
        Ok(provider.cipher_suites.iter().map(name).collect())
    }

    const ALL_13: [&str; 3] = [
        "TLS_AES_256_GCM_SHA384",
        "TLS_AES_128_GCM_SHA256",
        "TLS_CHACHA20_POLY1305_SHA256",
    ];

    #[test]
    fn without_names_all_of_distributions_defaults_are_offered() {
        let mut chosen = chosen(&[]).unwrap();
        chosen.sort();
        let mut defaults: Vec<String> = ALL_13.iter().map(|&name| name.to_owned()).collect();
        for key in ["ECDSA", "RSA"] {
            for cipher in [
                "AES_128_GCM_SHA256",
                "AES_256_GCM_SHA384",
                "CHACHA20_POLY1305_SHA256",
            ] {
                defaults.push(format!("TLS_ECDHE_{key}_WITH_{cipher}"));
            }
        }
        defaults.sort();
        assert_eq!(chosen, defaults);
    }

    #[test]
    fn names_choose_and_those_that_cannot_be_had_are_left_out() {
        let one_12 = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
        let mut expected: Vec<_> = ALL_13.to_vec();
        expected.push(one_12);
        assert_eq!(chosen(&[one_12]).unwrap(), expected);
        assert_eq!(
            chosen(&["TLS_RSA_WITH_3DES_EDE_CBC_SHA", one_12]).unwrap(),
            expected
        );

        let one_13 = "TLS_AES_128_GCM_SHA256";
        assert_eq!(chosen(&[one_13]).unwrap(), [one_13]);
        assert_eq!(chosen(&[one_13, one_12]).unwrap(), [one_13, one_12]);
    }

    #[test]
    fn no_suite_left_is_an_error_that_names_what_there_is() {
        let error = chosen(&["TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_RC4_128_SHA"]);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
            "{error}"
        );
    }
}
