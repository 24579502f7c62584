//! As much of a URL (RFC 3986) as it takes to send clients elsewhere.

/// `scheme://authority`, then a path, then a query or nothing. Each part is as it was written:
/// what is percent-encoded stays so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) scheme: String,
    pub(super) authority: String,
    /// Empty, or begins with `/`.
    pub(super) path: String,
    /// With the `?` or `#` it begins with; empty for none.
    pub(super) rest: String,
}

impl Url {
    /// `None` for what has no scheme or no authority.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let end = rest.find(['?', '#']).unwrap_or(rest.len());
        let (path, rest) = rest.split_at(end);
        let is_whole = is_scheme(scheme) && is_authority(authority);
        is_whole.then(|| Self {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            rest: rest.to_owned(),
        })
    }

    pub(super) fn render(&self) -> String {
        let slash = if self.path.is_empty() || self.path.starts_with('/') {
            ""
        } else {
            "/"
        };
        let Self {
            scheme,
            authority,
            path,
            rest,
        } = self;
        format!("{scheme}://{authority}{slash}{path}{rest}")
    }
}

/// RFC 3986, section 3.1.
pub(super) fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// A host, perhaps with a port; no user, no password.
pub(super) fn is_authority(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%:[]".contains(&byte);
    !text.is_empty() && !text.starts_with(':') && text.bytes().all(allowed)
}
