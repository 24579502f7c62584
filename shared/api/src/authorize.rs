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
use http::{Extensions, HeaderMap};
use roadstead_auth::{Access, Attempt, Grant, Refusal, Signed};
use roadstead_oci::ErrorCode;
use serde_json::Value;

use crate::client::Client;
use crate::cors;
use crate::error::Error;
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
    let granted = match needs(path.as_str(), &mut parts, &api).await {
        Ok(Needs::Nothing) => None,
        Ok(Needs::Permission { .. }) if cors::is_of_a_stranger(&parts) => {
            let why = "a page on another origin may change nothing here: see http.cors";
            return asked(Error::new(ErrorCode::Denied, why).into_response());
        }
        Ok(Needs::Permission { wanted, from }) => {
            match permitted(&api, &parts, wanted, from).await {
                Ok(grant) => Some(grant),
                Err(refusal) => return asked(refusal.into_response()),
            }
        }
        Ok(Needs::Unknown) => {
            tracing::error!(
                route = path.as_str(),
                "nobody said what this route needs: it is refused"
            );
            return asked(Error::new(ErrorCode::Denied, Value::Null).into_response());
        }
        Err(error) => return asked(error.into_response()),
    };
    let user = granted.as_ref().and_then(Grant::user).map(Arc::<str>::from);
    if let Some(user) = &user {
        tracing::Span::current().record("auth.user.name", &**user);
    }
    if let Some(grant) = granted {
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
