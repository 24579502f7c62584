//! Web pages on other origins (the Fetch standard, section 3.3: the CORS protocol).

use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// What web pages may do.
#[derive(Clone, Debug, Default)]
pub struct CorsOptions {
    /// The origins of the pages, as browsers write them; `*` is all of them.
    pub origins: Vec<String>,
    /// The methods that they may use.
    pub methods: Vec<String>,
    /// The headers that they may send.
    pub headers: Vec<String>,
    /// The headers that they may read.
    pub exposed: Vec<String>,
    /// Whether browsers may add what they remember of a user.
    pub credentials: bool,
    /// How long a browser may remember the answer.
    pub max_age: Option<Duration>,
}

/// Options that make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCors {
    /// Every page that a user visits could act as them.
    #[error("origins has \"*\": with credentials, each origin must be named")]
    EverybodyAsTheUser,
    /// No browser says this.
    #[error("{0:?} is no origin, as in \"https://ui.example.com\", nor \"*\"")]
    Origin(String),
    /// It cannot stand in a header.
    #[error("{0:?} is no name of a method or of a header")]
    Name(String),
}

/// The answer to web pages on other origins. Clones are the same.
#[derive(Clone, Debug)]
pub struct Cors {
    origins: Origins,
    preflight: HeaderMap,
    actual: HeaderMap,
}

#[derive(Clone, Debug)]
enum Origins {
    All,
    These(Vec<HeaderValue>),
}

impl Cors {
    /// The answer that `options` describe.
    ///
    /// # Errors
    ///
    /// They make no sense, or would let everybody act as whoever visits their page.
    pub fn new(options: &CorsOptions) -> Result<Self, InvalidCors> {
        let origins = origins(&options.origins)?;
        let mut actual = HeaderMap::new();
        if options.credentials {
            if matches!(origins, Origins::All) {
                return Err(InvalidCors::EverybodyAsTheUser);
            }
            let yes = HeaderValue::from_static("true");
            actual.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        let mut preflight = actual.clone();
        for (name, names) in [
            (ACCESS_CONTROL_ALLOW_METHODS, &options.methods),
            (ACCESS_CONTROL_ALLOW_HEADERS, &options.headers),
        ] {
            insert(&mut preflight, name, list(names)?);
        }
        if let Some(age) = options.max_age {
            preflight.insert(ACCESS_CONTROL_MAX_AGE, age.as_secs().into());
        }
        let exposed = list(&options.exposed)?;
        insert(&mut actual, ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        Ok(Self {
            origins,
            preflight,
            actual,
        })
    }

    fn lets_in(&self, origin: &HeaderValue) -> bool {
        match &self.origins {
            Origins::All => true,
            Origins::These(these) => these.contains(origin),
        }
    }

    /// What stands on the answer to this origin besides `headers`; nothing for one that is not let in.
    fn allow(&self, answer: &mut HeaderMap, origin: Option<&HeaderValue>, headers: &HeaderMap) {
        let allowed = match (&self.origins, origin) {
            (Origins::All, Some(_)) => Some(HeaderValue::from_static("*")),
            (Origins::All, None) => None,
            (Origins::These(these), origin) => {
                answer.append(VARY, HeaderValue::from_static("Origin"));
                origin.filter(|origin| these.contains(origin)).cloned()
            }
        };
        if let Some(allowed) = allowed {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            answer.extend(headers.clone());
        }
    }
}

/// A request extension: the page that makes the request is let in.
#[derive(Clone, Copy)]
struct LetIn;

/// Whether a page that is not let in wants to change something. It needs no answer to do harm, and
/// its browser may add a password that it remembers (Fetch Metadata Request Headers, section 2.3).
pub(crate) fn is_of_a_stranger(parts: &Parts) -> bool {
    let site = parts.headers.get(SEC_FETCH_SITE);
    let is_foreign = site.is_some_and(|site| site == "cross-site");
    is_foreign && !parts.method.is_safe() && parts.extensions.get::<LetIn>().is_none()
}

/// `routes` for web pages on other origins as well. Their browsers' preflight requests are answered
/// before anything else looks at them: the answer says nothing of the registry.
pub fn with_cors(routes: Router, cors: Option<Cors>) -> Router {
    match cors {
        Some(cors) => routes.layer(from_fn_with_state(cors, answer)),
        None => routes,
    }
}

async fn answer(State(cors): State<Cors>, mut request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let asks = request
        .headers()
        .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && origin.is_some() && asks {
        let mut response = StatusCode::NO_CONTENT.into_response();
        cors.allow(response.headers_mut(), origin.as_ref(), &cors.preflight);
        return response;
    }
    if origin.as_ref().is_some_and(|origin| cors.lets_in(origin)) {
        request.extensions_mut().insert(LetIn);
    }
    let mut response = next.run(request).await;
    cors.allow(response.headers_mut(), origin.as_ref(), &cors.actual);
    response
}

fn origins(texts: &[String]) -> Result<Origins, InvalidCors> {
    if texts.iter().any(|text| text == "*") {
        return Ok(Origins::All);
    }
    let origin = |text: &String| {
        let host = text.split_once("://").map(|(_, host)| host);
        let is_host = |b: u8| b.is_ascii_graphic() && !b"/?#@*,".contains(&b);
        let is_origin = host.is_some_and(|host| !host.is_empty() && host.bytes().all(is_host));
        let value = HeaderValue::from_str(&text.to_ascii_lowercase()).ok();
        let value = value.filter(|_| is_origin);
        value.ok_or_else(|| InvalidCors::Origin(text.clone()))
    };
    texts
        .iter()
        .map(origin)
        .collect::<Result<_, _>>()
        .map(Origins::These)
}

/// Names, separated by commas; `None` for none.
fn list(names: &[String]) -> Result<Option<HeaderValue>, InvalidCors> {
    for name in names {
        let is_name = name != "*" && HeaderName::from_bytes(name.as_bytes()).is_ok();
        if !is_name {
            return Err(InvalidCors::Name(name.clone()));
        }
    }
    let joined = HeaderValue::from_str(&names.join(", ")).ok();
    Ok(joined.filter(|_| !names.is_empty()))
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(origins: &[&str], credentials: bool, methods: &[&str]) -> Result<Cors, InvalidCors> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Cors::new(&CorsOptions {
            origins: texts(origins),
            methods: texts(methods),
            credentials,
            ..CorsOptions::default()
        })
    }

    #[test]
    fn nobody_lets_every_page_act_as_its_visitors() {
        for origins in [&["*"][..], &["https://a.test", "*"]] {
            let refused = new(origins, true, &[]).unwrap_err();
            assert_eq!(refused, InvalidCors::EverybodyAsTheUser);
            assert!(new(origins, false, &[]).is_ok());
        }
    }

    #[test]
    fn what_no_browser_says_is_refused() {
        for origin in [
            "",
            "null",
            "a.test",
            "https://",
            "https://a.test/",
            "https://*.test",
            "//a.test",
            "https://a.test\n",
            "https://u@a.test",
        ] {
            let refused = new(&[origin], true, &[]).unwrap_err();
            assert_eq!(refused, InvalidCors::Origin(origin.to_owned()));
        }
        for method in ["", "*", "GET,PUT", "G T"] {
            assert!(
                new(&["https://a.test"], false, &[method]).is_err(),
                "{method}"
            );
        }
    }
}
