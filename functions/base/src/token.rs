//! The token server: tokens for those whom the access rules know (the Docker registry's token
//! authentication specification, and its OAuth2 form).

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, Limited};
use roadstead_api::extract::Query;
use roadstead_api::{Api, Client, Error, User, response};
use roadstead_auth::{
    Authorization, Challenge, Issued, Issuer, Login, Realm, Refusal, Scheme, Scope,
};
use roadstead_oci::ErrorCode;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The largest form of a request for a token.
const MAX_FORM: usize = 64 * 1024;

/// The keys that verify tokens (RFC 7517, section 5).
pub(crate) async fn keys(State(api): State<Api>) -> Result<Response, Error> {
    Ok(Json(issuer(&api)?.jwks().await).into_response())
}

/// `GET`: the name and the password are in `Authorization`, or there are none.
pub(crate) async fn fetch(State(api): State<Api>, request: Request) -> Result<Response, Error> {
    let issuer = issuer(&api)?;
    let (mut parts, _) = request.into_parts();
    let Ok(query) = Query::from_request_parts(&mut parts, &api).await;
    let confidential = Client::of(&parts.extensions).is_confidential();
    let value = parts.headers.get(AUTHORIZATION);
    let value = value.map(|value| value.to_str().unwrap_or_default());
    let login = match Authorization::parse(value) {
        Authorization::Anonymous if issuer.knows_anonymous().await => None,
        Authorization::Basic { user, password } => {
            Some(checked(issuer, confidential, &user, &password).await?)
        }
        _ => return Err(unauthorized(issuer, confidential)),
    };
    let scopes = Scope::parse_all(query.all("scope"));
    let lasting = query.get("offline_token") == Some("true");
    answer(issuer, login, &scopes, lasting).await
}

/// `POST`: a form with a password, or with a token that was got with one (RFC 6749, sections 4.3
/// and 6).
pub(crate) async fn exchange(State(api): State<Api>, request: Request) -> Result<Response, Error> {
    let issuer = issuer(&api)?;
    let (parts, body) = request.into_parts();
    let confidential = Client::of(&parts.extensions).is_confidential();
    let Some(form) = form(body).await else {
        return Ok(bad("invalid_request"));
    };
    let get = |wanted: &str| {
        let pair = form.iter().find(|(name, _)| name == wanted);
        pair.map(|(_, value)| value.as_str())
    };
    let login = match (get("grant_type"), get("username"), get("password")) {
        (Some("password"), Some(user), Some(password)) if !user.is_empty() => {
            checked(issuer, confidential, user, password).await?
        }
        (Some("refresh_token"), _, _) => {
            let Some(token) = get("refresh_token") else {
                return Ok(bad("invalid_request"));
            };
            let login = issuer.refreshed(token).await;
            login.ok_or_else(|| Error::new(ErrorCode::Unauthorized, Value::Null))?
        }
        (Some("password") | None, _, _) => return Ok(bad("invalid_request")),
        _ => return Ok(bad("unsupported_grant_type")),
    };
    let scopes = form.iter().filter(|(name, _)| name == "scope");
    let scopes = Scope::parse_all(scopes.map(|(_, value)| value.as_str()));
    let lasting = get("access_type") == Some("offline");
    answer(issuer, Some(login), &scopes, lasting).await
}

fn issuer(api: &Api) -> Result<&Issuer, Error> {
    api.issuer.as_deref().ok_or_else(Error::no_route)
}

/// Who it is, if this is their password.
async fn checked(
    issuer: &Issuer,
    confidential: bool,
    user: &str,
    password: &str,
) -> Result<Login, Error> {
    if !confidential && !issuer.may_be_exposed() {
        return Err(roadstead_api::refused(&Refusal::Exposed));
    }
    let login = issuer.log_in(user, password).await;
    let login = login.map_err(|refusal| roadstead_api::refused(&refusal))?;
    login.ok_or_else(|| unauthorized(issuer, confidential))
}

async fn form(body: Body) -> Option<Vec<(String, String)>> {
    let body = Limited::new(body, MAX_FORM)
        .collect()
        .await
        .ok()?
        .to_bytes();
    Some(form_urlencoded::parse(&body).into_owned().collect())
}

async fn answer(
    issuer: &Issuer,
    login: Option<Login>,
    scopes: &[Scope],
    lasting: bool,
) -> Result<Response, Error> {
    let user = login.as_ref().and_then(|login| login.grant.user());
    if let Some(user) = user {
        tracing::Span::current().record("auth.user.name", user);
    }
    let issued = issuer.issue(login.as_ref(), scopes, lasting).await;
    let issued = issued.map_err(|_| Error::new(ErrorCode::Unknown, Value::Null))?;
    let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let mut response = (no_store, Json(written(&issued))).into_response();
    if let Some(user) = user {
        response.extensions_mut().insert(User(user.into()));
    }
    Ok(response)
}

fn written(issued: &Issued) -> Value {
    let at = i64::try_from(issued.issued_at).ok();
    let at = at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let mut answer = json!({
        "token": issued.token,
        "access_token": issued.token,
        "expires_in": issued.expires_in.as_secs(),
        "issued_at": at.and_then(|at| at.format(&Rfc3339).ok()),
        "scope": issued.scope,
    });
    if let Some(refresh) = &issued.refresh_token {
        answer["refresh_token"] = refresh.as_str().into();
    }
    answer
}

/// 401: with a challenge, unless what would answer it could be overheard.
fn unauthorized(issuer: &Issuer, confidential: bool) -> Error {
    if !confidential && !issuer.may_be_exposed() {
        return roadstead_api::refused(&Refusal::Exposed);
    }
    let challenge = Challenge {
        scheme: Scheme::Basic,
        realm: Realm::Fixed(issuer.service().to_owned()),
        wanted: Vec::new(),
    };
    let challenge = challenge.header(issuer.service());
    Error::new(ErrorCode::Unauthorized, Value::Null)
        .with_header(WWW_AUTHENTICATE, response::value(&challenge))
}

/// 400 (RFC 6749, section 5.2).
fn bad(error: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}
