//! The text of `Authorization` (RFC 9110, section 11.6.2).

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};

/// What a client says about who it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization<'a> {
    /// Nothing, or a name and a password that are both empty: so clients say that they have none.
    Anonymous,
    /// A name and a password (RFC 7617).
    Basic {
        /// The name: not empty.
        user: String,
        /// The password.
        password: String,
    },
    /// A token (RFC 6750).
    Bearer(&'a str),
    /// A scheme that is not known, or no text of that scheme.
    Other,
}

impl<'a> Authorization<'a> {
    /// Reads the value of the header, or its absence.
    pub fn parse(value: Option<&'a str>) -> Self {
        let Some(value) = value else {
            return Self::Anonymous;
        };
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        let rest = rest.trim_matches(' ');
        if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
            return Self::Bearer(rest);
        }
        if scheme.eq_ignore_ascii_case("basic") {
            return basic(rest).unwrap_or(Self::Other);
        }
        Self::Other
    }
}

fn basic<'a>(encoded: &str) -> Option<Authorization<'a>> {
    let decoded = BASE64_STANDARD
        .decode(encoded)
        .or_else(|_| BASE64_STANDARD_NO_PAD.decode(encoded));
    let text = String::from_utf8(decoded.ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    match (user, password) {
        ("", "") => Some(Authorization::Anonymous),
        ("", _) => None,
        (user, password) => Some(Authorization::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        }),
    }
}

/// Shows the scheme only.
impl std::fmt::Debug for Authorization<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic",
            Self::Bearer(_) => "Bearer",
            Self::Other => "Other",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_clients_write_them() {
        let basic = |user: &str, password: &str| Authorization::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        for (value, expected) in [
            (None, Authorization::Anonymous),
            (Some("Basic Og=="), Authorization::Anonymous),
            (Some("Basic YTpi"), basic("a", "b")),
            (Some("basic YTpi"), basic("a", "b")),
            (Some("BASIC  YTpi "), basic("a", "b")),
            (Some("Basic YTpiOmM="), basic("a", "b:c")),
            (Some("Basic YTpiOmM"), basic("a", "b:c")),
            (Some("Basic YTo="), basic("a", "")),
            (Some("Basic OmI="), Authorization::Other),
            (Some("Basic YQ=="), Authorization::Other),
            (Some("Basic"), Authorization::Other),
            (Some("Basic !"), Authorization::Other),
            (Some("Basic //86Lw=="), Authorization::Other),
            (Some("Bearer a.b.c"), Authorization::Bearer("a.b.c")),
            (Some("bEARER a"), Authorization::Bearer("a")),
            (Some("Bearer "), Authorization::Other),
            (Some("Bearer"), Authorization::Other),
            (Some(""), Authorization::Other),
            (Some("Digest a=b"), Authorization::Other),
        ] {
            assert_eq!(Authorization::parse(value), expected, "{value:?}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let value = "Basic YTpzZWNyZXQ=";
        let shown = format!("{:?}", Authorization::parse(Some(value)));
        assert_eq!(shown, "Basic");
    }
}
