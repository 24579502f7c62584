//! Asking whether a request is permitted, before any handler sees it.
//!
//! [`authorized`] makes routes of a group: what each needs follows from its path and the method,
//! as with CNCF Distribution, by the one table in `needs`. A route that is not in the table is
//! refused, and [`edge`](crate::edge()) lets no answer out that nobody was asked for: to forget to
//! ask serves nothing.

mod needs;
mod refusal;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Extensions, HeaderMap, Method};
use http_body::Body as _;
use roadstead_auth::{Access, Attempt, Authorization, Grant, Refusal, Signed};
use roadstead_oci::ErrorCode;
use serde_json::Value;

use crate::client::Client;
use crate::cors;
use crate::error::Error;
use crate::limits::UploadPermit;
use crate::signature::{self, SignedParts};
use crate::state::Api;
use needs::{Needs, needs};

pub use refusal::refused;

/// Who makes a request and what they may do: for handlers of whose answers a part may be hidden.
#[derive(Clone, Debug)]
pub struct Caller(pub Grant);

/// The name of whoever made a request, as an extension of its answer: for logs.
#[derive(Clone, Debug)]
pub struct User(pub Arc<str>);

/// On an answer: somebody was asked whether it may be given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked;

/// `routes` of a group, each of which is served to those only who may do what it does.
pub fn authorized(routes: Router<Api>, api: Api) -> Router {
    let layer = from_fn_with_state(api.clone(), authorize);
    routes.layer(layer).with_state(api)
}

/// `routes` for which nobody is asked: what their requests bring along is the permission itself.
pub fn open_to_all<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    routes.layer(map_response(async |response: Response| asked(response)))
}

async fn authorize(State(api): State<Api>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let Some(path) = path else {
        return next.run(request).await;
    };
    let (mut parts, mut body) = request.into_parts();
    let passed = match needs(path.as_str(), &mut parts, &api).await {
        Ok(Needs::Life | Needs::Login) => Ok(Passed::default()),
        Ok(Needs::Permission { .. }) if cors::is_of_a_stranger(&parts) => {
            let why = "a page on another origin may change nothing here: see http.cors";
            counted(&api, &parts).and(Err(Error::new(ErrorCode::Denied, why)))
        }
        Ok(needs) => {
            let brings = brings(path.as_str(), &parts.method, !body.is_end_stream());
            passed(&api, &parts, path.as_str(), needs, brings).await
        }
        Err(error) => counted(&api, &parts).and(Err(error)),
    };
    let Passed { grant, _upload } = match passed {
        Ok(passed) => passed,
        Err(error) => return asked(error.into_response()),
    };
    let user = grant.as_ref().and_then(Grant::user).map(Arc::<str>::from);
    if let Some(user) = &user {
        tracing::Span::current().record("auth.user.name", &**user);
    }
    if let Some(grant) = grant {
        if grant.is_signed() {
            body = match signature::bound(&parts.headers, body) {
                Ok(body) => body,
                Err(why) => return asked(refused(&why.into()).into_response()),
            };
        }
        parts.extensions.insert(Caller(grant));
    }
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if let Some(user) = user {
        response.extensions_mut().insert(User(user));
    }
    asked(response)
}

/// What a request has got that may be served.
#[derive(Default)]
struct Passed {
    grant: Option<Grant>,
    /// Kept until the answer: by then its bytes have been taken.
    _upload: Option<UploadPermit>,
}

/// Counts a request and asks whether it is permitted.
async fn passed(
    api: &Api,
    parts: &Parts,
    path: &str,
    needs: Needs,
    brings: Brings,
) -> Result<Passed, Error> {
    let (wanted, from) = match needs {
        Needs::Permission { wanted, from } => (wanted, from),
        Needs::Unknown => {
            tracing::error!(
                route = path,
                "nobody said what this route needs: it is refused"
            );
            return Err(Error::new(ErrorCode::Denied, Value::Null));
        }
        Needs::Life | Needs::Nothing | Needs::Login => {
            counted(api, parts)?;
            return Ok(Passed::default());
        }
    };
    let entered = match has_token(parts) {
        true => api.limits.enter_with_token(parts)?,
        false => api.limits.enter(parts)?,
    };
    let grant = match permitted(api, parts, wanted, from).await {
        Ok(grant) => grant,
        Err(refusal) => {
            let _admitted = entered.belongs_to(None)?;
            return Err(refusal);
        }
    };
    let admitted = entered.belongs_to(grant.user())?;
    let upload = match brings {
        Brings::Blob => admitted.upload()?,
        Brings::BlobLater => {
            admitted.upload_later()?;
            None
        }
        Brings::Nothing => None,
    };
    Ok(Passed {
        grant: Some(grant),
        _upload: upload,
    })
}

/// Whether a request brings a token: it says who makes it, and cannot be guessed.
fn has_token(parts: &Parts) -> bool {
    let attempt = attempt(&parts.headers, &parts.extensions, None);
    matches!(
        Authorization::parse(attempt.authorization),
        Authorization::Bearer(_)
    )
}

/// Counts a request for which nobody is asked who makes it.
fn counted(api: &Api, parts: &Parts) -> Result<(), Error> {
    let entered = api.limits.enter(parts)?;
    entered.belongs_to(None).map(drop)
}

/// What a request brings along of blobs.
#[derive(Clone, Copy)]
enum Brings {
    Nothing,
    Blob,
    /// It begins an upload.
    BlobLater,
}

fn brings(path: &str, method: &Method, has_body: bool) -> Brings {
    let is_upload = path.starts_with("/v2/{name}/blobs/uploads/");
    match *method {
        Method::POST if is_upload && !has_body => Brings::BlobLater,
        Method::POST | Method::PATCH | Method::PUT if is_upload => Brings::Blob,
        _ => Brings::Nothing,
    }
}

fn asked(mut response: Response) -> Response {
    response.extensions_mut().insert(Asked);
    response
}

/// Asks for all of `wanted` and for what a mount is from. That the caller may not read there is no
/// reason to refuse: the handler then mounts nothing, as if nothing were there.
async fn permitted(
    api: &Api,
    parts: &Parts,
    mut wanted: Vec<Access>,
    from: Option<Access>,
) -> Result<Grant, Error> {
    let signed = SignedParts::of(parts);
    let signed = signed.as_ref().map(SignedParts::borrowed);
    let attempt = attempt(&parts.headers, &parts.extensions, signed);
    let mounts = from.is_some();
    wanted.extend(from);
    let refusal = match api.access.authorize(attempt, &wanted).await {
        Ok(grant) => return Ok(grant),
        Err(refusal) => refusal,
    };
    if mounts && matches!(refusal, Refusal::Denied) {
        wanted.pop();
        if let Ok(grant) = api.access.authorize(attempt, &wanted).await {
            return Ok(grant);
        }
    }
    Err(refusal::error(api, parts, &refusal, &wanted))
}

/// What a request says about who makes it. Two different values of `Authorization` say nothing.
fn attempt<'a>(
    headers: &'a HeaderMap,
    extensions: &Extensions,
    signed: Option<Signed<'a>>,
) -> Attempt<'a> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values
        .next()
        .map(|value| value.to_str().unwrap_or_default());
    Attempt {
        authorization: match values.next() {
            None => value,
            Some(_) => Some(""),
        },
        confidential: Client::of(extensions).is_confidential(),
        signed,
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Error> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Error::new(ErrorCode::Denied, Value::Null))
    }
}
