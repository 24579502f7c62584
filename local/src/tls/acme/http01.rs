//! Answering HTTP-01 (RFC 8555, section 8.3), and sending who comes by HTTP to HTTPS.

use std::sync::{Arc, Weak};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Acme;
use super::order::token_file;
use crate::listen::Listener;
use crate::serve;
use crate::tls::error::Error;

/// Listens at `address` for as long as the process lives.
pub(super) async fn start(address: &str, acme: &Arc<Acme>) -> Result<(), Error> {
    let listener = Listener::bind("tcp", address).await;
    let listener = listener.map_err(Error::HttpAddress)?;
    tracing::info!("listening on {listener} for HTTP-01 challenges");
    let routes = Router::new()
        .route("/.well-known/acme-challenge/{token}", get(answer))
        .fallback(elsewhere)
        .with_state(Arc::downgrade(acme));
    let forever = std::future::pending::<()>();
    tokio::spawn(serve::serve(
        listener,
        routes,
        serve::Options::default(),
        forever,
    ));
    Ok(())
}

async fn answer(State(acme): State<Weak<Acme>>, Path(token): Path<String>) -> Response {
    let (Some(acme), Some(file)) = (acme.upgrade(), token_file(&token)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match acme.cache.find(file).await {
        Some(text) => text.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The same by HTTPS, for the hosts that there are certificates for.
async fn elsewhere(State(acme): State<Weak<Acme>>, headers: HeaderMap, uri: Uri) -> Response {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let name = host.and_then(|host| host.split(':').next());
    let known = acme
        .upgrade()
        .zip(name)
        .and_then(|(acme, name)| Some(acme.host(name)?.name.clone()));
    let Some(host) = known else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let location = format!("https://{host}{path}");
    (
        StatusCode::PERMANENT_REDIRECT,
        [(header::LOCATION, location)],
    )
        .into_response()
}
