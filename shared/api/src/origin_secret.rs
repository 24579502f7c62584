//! A secret between the registry and what stands in front of it.
//!
//! A Function URL that CloudFront calls is open to everyone: CloudFront cannot sign requests whose
//! bodies it does not know (CloudFront Developer Guide, "Restrict access to an AWS Lambda function
//! URL origin"), as those of pushes. So it adds a header that only it knows, and who comes without
//! has come past it.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::HeaderName;
use roadstead_oci::ErrorCode;

use crate::error::Error;

/// The header that carries the secret.
pub const ORIGIN_SECRET: HeaderName = HeaderName::from_static("x-origin-secret");

/// The configuration's `http.originsecret`.
#[derive(Clone)]
pub struct OriginSecret(Arc<[u8]>);

impl OriginSecret {
    /// A secret, which is not empty.
    pub fn new(secret: &str) -> Self {
        Self(secret.as_bytes().into())
    }

    fn is_in(&self, request: &Request) -> bool {
        let mut sent = request.headers().get_all(ORIGIN_SECRET).iter();
        let equal =
            |sent: &[u8]| aws_lc_rs::constant_time::verify_slices_are_equal(sent, &self.0).is_ok();
        match (sent.next(), sent.next()) {
            (Some(sent), None) => equal(sent.as_bytes()),
            _ => false,
        }
    }
}

impl fmt::Debug for OriginSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OriginSecret")
    }
}

/// `routes` for those who know the secret; others get 403. `/` stays open: a load balancer asks
/// there whether the process is alive, and learns nothing else.
pub fn guarded(routes: Router, secret: Option<OriginSecret>) -> Router {
    let Some(secret) = secret else {
        return routes;
    };
    routes.layer(from_fn(move |mut request: Request, next: Next| {
        let secret = secret.clone();
        async move {
            if request.uri().path() != "/" && !secret.is_in(&request) {
                return denied();
            }
            request.headers_mut().remove(ORIGIN_SECRET);
            next.run(request).await
        }
    }))
}

fn denied() -> Response {
    Error::new(ErrorCode::Denied, serde_json::Value::Null)
        .with_message("the registry is not reached at this address: use its own")
        .into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use http::{HeaderMap, StatusCode};
    use tower::ServiceExt;

    use axum::middleware::map_response;

    use super::*;
    use crate::authorize::Asked;
    use crate::edge;

    async fn status(secret: Option<&str>, path: &str, sent: &[&str]) -> StatusCode {
        let routes = Router::new().route("/", get(|| async {})).route(
            "/v2/",
            get(|headers: HeaderMap| async move {
                assert!(!headers.contains_key(ORIGIN_SECRET));
            }),
        );
        // Whether these may be given is not the question here.
        let routes = routes.layer(map_response(async |mut response: Response| {
            response.extensions_mut().insert(Asked);
            response
        }));
        let routes = guarded(routes, secret.map(OriginSecret::new));
        let mut request = http::Request::get(path);
        for sent in sent {
            request = request.header(ORIGIN_SECRET, *sent);
        }
        let request = request.body(Body::empty()).unwrap();
        let answer = edge(routes, "/", HeaderMap::new()).oneshot(request).await;
        answer.unwrap().status()
    }

    #[tokio::test]
    async fn only_who_knows_the_secret_gets_further_than_the_root() {
        let secret = Some("abc");
        for sent in [&[][..], &["abd"], &["ab"], &[""], &["abc", "abc"]] {
            assert_eq!(status(secret, "/v2/", sent).await, StatusCode::FORBIDDEN);
            assert_eq!(status(secret, "/v2/x", sent).await, StatusCode::FORBIDDEN);
            assert_eq!(status(secret, "/", sent).await, StatusCode::OK);
        }
        assert_eq!(status(secret, "/v2/", &["abc"]).await, StatusCode::OK);
        assert_eq!(
            status(secret, "/v2/x", &["abc"]).await,
            StatusCode::NOT_FOUND
        );
    }

    #[tokio::test]
    async fn without_a_secret_nothing_is_asked() {
        assert_eq!(status(None, "/v2/", &[]).await, StatusCode::OK);
    }
}
