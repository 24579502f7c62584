//! Taking secrets out of URLs before they are logged.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// What stands where a secret was.
const REDACTED: &str = "REDACTED";

/// Query parameters whose values let their reader act as another.
const SECRETS: [&str; 11] = [
    "_state",
    "access_token",
    "client_secret",
    "code",
    "id_token",
    "password",
    "refresh_token",
    "secret",
    "sig",
    "signature",
    "token",
];

/// Signed URLs of object stores keep all that signs them under these.
const SIGNED: [&str; 2] = ["x-amz-", "x-goog-"];

/// `url`, whole or only a path and query, without secret values of its query and without user
/// information.
pub(crate) fn url(url: &str) -> Cow<'_, str> {
    if !url.contains(['?', '@']) {
        return Cow::Borrowed(url);
    }
    let (address, query) = match url.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (url, None),
    };
    let mut out = without_user(address);
    if let Some(query) = query {
        let out = out.to_mut();
        out.push('?');
        push_query(out, query);
    }
    out
}

fn without_user(address: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = address.split_once("://") else {
        return Cow::Borrowed(address);
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => Cow::Owned(format!("{scheme}://{REDACTED}@{host}{path}")),
        None => Cow::Borrowed(address),
    }
}

fn push_query(out: &mut String, query: &str) {
    for (index, pair) in query.split('&').enumerate() {
        if index > 0 {
            out.push('&');
        }
        match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret(name) => {
                out.push_str(name);
                out.push('=');
                out.push_str(REDACTED);
            }
            _ => out.push_str(pair),
        }
    }
}

fn is_secret(name: &str) -> bool {
    let name = percent_decode_str(name).decode_utf8_lossy();
    let name = name.to_ascii_lowercase();
    SECRETS.contains(&name.as_str()) || SIGNED.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_and_nothing_else() {
        let table = [
            ("/v2/", "/v2/"),
            ("/v2/a/tags/list?n=5&last=x", "/v2/a/tags/list?n=5&last=x"),
            (
                "/v2/a/blobs/uploads/1?_state=abc&digest=sha256:00",
                "/v2/a/blobs/uploads/1?_state=REDACTED&digest=sha256:00",
            ),
            ("/x?%5Fstate=abc", "/x?%5Fstate=REDACTED"),
            ("/x?TOKEN=a&token=", "/x?TOKEN=REDACTED&token="),
            ("/x?token", "/x?token"),
            (
                "https://s3/b?X-Amz-Credential=AK&X-Amz-Signature=ff&x=1",
                "https://s3/b?X-Amz-Credential=REDACTED&X-Amz-Signature=REDACTED&x=1",
            ),
            ("http://bob:pw@host/p?a=b", "http://REDACTED@host/p?a=b"),
            ("http://bob@host", "http://REDACTED@host"),
            ("/v2/@scope/x?a=u:p@h", "/v2/@scope/x?a=u:p@h"),
        ];
        for (before, after) in table {
            assert_eq!(url(before), after);
        }
    }
}
