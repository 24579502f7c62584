//! What each route needs, as CNCF Distribution has it.

use axum::extract::FromRequestParts;
use http::Method;
use http::request::Parts;
use roadstead_auth::{Access, Action};
use roadstead_oci::RepositoryName;

use crate::error::Error;
use crate::extract::{Name, Query};
use crate::state::Api;

/// What a request needs.
pub(super) enum Needs {
    /// Nothing, and it counts for nobody: whoever asks whether the server lives gets an answer.
    Life,
    /// Nothing: the answer is the same for everybody.
    Nothing,
    /// Nothing: the answer depends on a password in it, and its handler counts it.
    Login,
    /// Permission for all that is wanted; for nothing, that its maker is somebody.
    Permission {
        wanted: Vec<Access>,
        /// The repository that something is mounted from.
        from: Option<Access>,
    },
    /// Nobody has said.
    Unknown,
}

/// What a request to the route `path` needs.
///
/// # Errors
///
/// Its path has no name where one must be: nothing is asked about what cannot be.
pub(super) async fn needs(path: &str, parts: &mut Parts, api: &Api) -> Result<Needs, Error> {
    if parts.method == Method::OPTIONS {
        return Ok(Needs::Nothing);
    }
    let permission = |wanted| Needs::Permission { wanted, from: None };
    match path {
        "/" => Ok(Needs::Life),
        "/v2" | "/auth/keys" => Ok(Needs::Nothing),
        "/auth/token" => Ok(Needs::Login),
        "/v2/" => Ok(permission(Vec::new())),
        "/v2/_catalog" => Ok(permission(vec![Access::Catalog])),
        path if path.starts_with("/v2/{name}/") => repository(parts, api).await,
        _ => Ok(Needs::Unknown),
    }
}

async fn repository(parts: &mut Parts, api: &Api) -> Result<Needs, Error> {
    let Name(name) = Name::from_request_parts(parts, api).await?;
    let actions = actions(&parts.method);
    let wanted = actions
        .iter()
        .map(|action| Access::Repository(name.clone(), *action));
    Ok(Needs::Permission {
        wanted: wanted.collect(),
        from: mounted_from(parts, api).await,
    })
}

/// Whoever writes reads as well, as with Distribution; a method that no route has needs no more
/// than to be somebody.
fn actions(method: &Method) -> &'static [Action] {
    match *method {
        Method::GET | Method::HEAD => &[Action::Pull],
        Method::POST | Method::PUT | Method::PATCH => &[Action::Pull, Action::Push],
        Method::DELETE => &[Action::Delete],
        _ => &[],
    }
}

async fn mounted_from(parts: &mut Parts, api: &Api) -> Option<Access> {
    parts.uri.query().filter(|query| query.contains("from"))?;
    let Ok(query) = Query::from_request_parts(parts, api).await;
    let from: RepositoryName = query.get("from")?.parse().ok()?;
    Some(Access::Repository(from, Action::Pull))
}
