//! The text of `WWW-Authenticate`, byte for byte as CNCF Distribution writes it.

use std::fmt::Write;

use crate::access::Access;

/// What a client has to bring along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// How.
    pub scheme: Scheme,
    /// Where.
    pub realm: Realm,
    /// What it wanted to do.
    pub wanted: Vec<Access>,
}

/// How a client proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A name and a password.
    Basic,
    /// A token for this service.
    Bearer {
        /// The service.
        service: String,
        /// What was wrong with the token that came.
        error: Option<ChallengeError>,
    },
    /// Anything: a scope for each action.
    Silly {
        /// The service.
        service: String,
    },
}

/// What was wrong with a token (RFC 6750, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeError {
    /// It is no token that counts here.
    InvalidToken,
    /// It does not permit this.
    InsufficientScope,
}

/// The realm of a challenge: for tokens, the URL of the token server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Realm {
    /// This text.
    Fixed(String),
    /// Distribution's `autoredirect`: this path at the request's host, by HTTPS unless a proxy says
    /// otherwise.
    Host(String),
    /// This path of the registry itself, below its prefix, as its client sees it.
    Here(&'static str),
}

impl Challenge {
    /// The value of the header, with the realm as it is for this request.
    pub fn header(&self, realm: &str) -> String {
        let mut header = String::new();
        match &self.scheme {
            Scheme::Basic => {
                header.push_str("Basic realm=");
                quote(&mut header, realm);
            }
            Scheme::Bearer { service, error } => {
                bearer(&mut header, realm, service, &scopes(&self.wanted));
                if let Some(error) = error {
                    let _ = write!(header, ",error=\"{}\"", error.as_str());
                }
            }
            Scheme::Silly { service } => {
                bearer(&mut header, realm, service, &single_scopes(&self.wanted));
            }
        }
        header
    }
}

impl ChallengeError {
    /// The code in the challenge.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
        }
    }
}

fn bearer(header: &mut String, realm: &str, service: &str, scope: &str) {
    header.push_str("Bearer realm=");
    quote(header, realm);
    header.push_str(",service=");
    quote(header, service);
    if !scope.is_empty() {
        header.push_str(",scope=");
        quote(header, scope);
    }
}

/// A scope for each resource, resources and actions in the order in which they were asked for.
fn scopes(wanted: &[Access]) -> String {
    let mut scopes: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for access in wanted {
        let (kind, name, action) = (access.kind(), access.name(), access.action());
        match scopes
            .iter_mut()
            .find(|scope| (scope.0, scope.1) == (kind, name))
        {
            Some(scope) if scope.2.contains(&action) => {}
            Some(scope) => scope.2.push(action),
            None => scopes.push((kind, name, vec![action])),
        }
    }
    let scopes = scopes.iter();
    let scopes = scopes.map(|(kind, name, actions)| format!("{kind}:{name}:{}", actions.join(",")));
    scopes.collect::<Vec<_>>().join(" ")
}

/// A scope for each action.
fn single_scopes(wanted: &[Access]) -> String {
    let scopes = wanted
        .iter()
        .map(|access| format!("{}:{}:{}", access.kind(), access.name(), access.action()));
    scopes.collect::<Vec<_>>().join(" ")
}

/// A quoted string (RFC 9110, section 5.6.4) that no character can leave.
fn quote(header: &mut String, text: &str) {
    header.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                header.push('\\');
                header.push(c);
            }
            c if c.is_ascii_graphic() || c == ' ' => header.push(c),
            _ => header.push('?'),
        }
    }
    header.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Action::{Pull, Push};

    fn repository(name: &str, action: crate::Action) -> Access {
        Access::Repository(name.parse().unwrap(), action)
    }

    fn header(scheme: Scheme, wanted: Vec<Access>) -> String {
        let realm = Realm::Fixed(String::new());
        Challenge {
            scheme,
            realm,
            wanted,
        }
        .header("https://t/\"x\"\n")
    }

    #[test]
    fn challenges_read_as_distribution_writes_them() {
        let mount = vec![
            repository("a/b", Pull),
            repository("a/b", Push),
            repository("c", Pull),
        ];
        let bearer = |error| Scheme::Bearer {
            service: "s".to_owned(),
            error,
        };
        let silly = Scheme::Silly {
            service: "s".to_owned(),
        };
        for (scheme, wanted, expected) in [
            (
                Scheme::Basic,
                mount.clone(),
                r#"Basic realm="https://t/\"x\"?""#,
            ),
            (
                bearer(None),
                vec![],
                r#"Bearer realm="https://t/\"x\"?",service="s""#,
            ),
            (
                bearer(Some(ChallengeError::InsufficientScope)),
                mount.clone(),
                r#"Bearer realm="https://t/\"x\"?",service="s",scope="repository:a/b:pull,push repository:c:pull",error="insufficient_scope""#,
            ),
            (
                bearer(Some(ChallengeError::InvalidToken)),
                vec![Access::Catalog],
                r#"Bearer realm="https://t/\"x\"?",service="s",scope="registry:catalog:*",error="invalid_token""#,
            ),
            (
                silly,
                mount,
                r#"Bearer realm="https://t/\"x\"?",service="s",scope="repository:a/b:pull repository:a/b:push repository:c:pull""#,
            ),
        ] {
            assert_eq!(header(scheme, wanted), expected);
        }
    }
}
