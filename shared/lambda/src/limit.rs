//! How much passes through a function in one piece.

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use roadstead_api::Error;
use roadstead_oci::ErrorCode;
use serde_json::json;

/// The most bytes of a request's or an answer's body.
///
/// Lambda invokes with at most 6 MB either way (Lambda Developer Guide, "Lambda quotas":
/// invocation payload, synchronous); bytes travel in base64, which makes four of three, and some
/// room is left for headers. Larger requests get to no function on AWS; locally they are refused
/// here, so that what works locally works there.
pub const MOST: usize = 4_500_000;

const TOO_LARGE: &str = "a function takes at most 4.5 MB in one request: push through an upload server (http.uploadorigin), or in chunks of at most 4.5 MB";
const ANSWER_TOO_LARGE: &str = "a function gives at most 4.5 MB in one answer: let blobs be redirected to the storage (storage.redirect.disable: false), or ask for ranges of at most 4.5 MB";

/// Refuses what is too large for a function with an error that says what to do about it.
pub(crate) async fn limit(request: Request, next: Next) -> Response {
    if request.body().size_hint().lower() > MOST as u64 {
        return Error::new(ErrorCode::SizeInvalid, json!({ "most": MOST }))
            .with_status(StatusCode::PAYLOAD_TOO_LARGE)
            .with_message(TOO_LARGE)
            .into_response();
    }
    let is_head = request.method() == Method::HEAD;
    let (parts, body) = next.run(request).await.into_parts();
    let announced = parts.headers.get(CONTENT_LENGTH).filter(|_| is_head);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.unwrap_or_else(|| body.size_hint().lower()) > MOST as u64 {
        return answer_too_large();
    }
    match Limited::new(body, MOST).collect().await {
        Ok(body) => Response::from_parts(parts, Body::from(body.to_bytes())),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => answer_too_large(),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be read");
            Error::new(ErrorCode::Unavailable, json!(null)).into_response()
        }
    }
}

fn answer_too_large() -> Response {
    Error::new(ErrorCode::Unsupported, json!(null))
        .with_status(StatusCode::NOT_IMPLEMENTED)
        .with_message(ANSWER_TOO_LARGE)
        .into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::{get, put};
    use http_body_util::BodyExt;
    use roadstead_api::edge;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    async fn answered(request: http::request::Builder, body: Vec<u8>) -> (StatusCode, Vec<u8>) {
        let sized = |size: usize| async move { vec![7; size] };
        let routes = Router::new()
            .route("/v2/taken", put(|body: axum::body::Bytes| async { body }))
            .route("/v2/most", get(move || sized(MOST)))
            .route("/v2/more", get(move || sized(MOST + 1)))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .layer(axum::middleware::from_fn(limit));
        let request = request.body(Body::from(body)).unwrap();
        let answer = edge(roadstead_api::open_to_all(routes), "/", Default::default())
            .oneshot(request)
            .await;
        let (parts, body) = answer.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, body.to_vec())
    }

    fn error(body: &[u8]) -> (String, String) {
        let body: Value = serde_json::from_slice(body).unwrap();
        let text = |key: &str| body["errors"][0][key].as_str().unwrap().to_owned();
        (text("code"), text("message"))
    }

    #[tokio::test]
    async fn what_fits_passes_and_what_does_not_is_told_why() {
        let put = || http::Request::put("/v2/taken");
        let (status, body) = answered(put(), vec![1; MOST]).await;
        assert_eq!((status, body.len()), (StatusCode::OK, MOST));
        let (status, body) = answered(put(), vec![1; MOST + 1]).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        let (code, message) = error(&body);
        assert_eq!(code, "SIZE_INVALID");
        assert!(message.contains("upload server"), "{message}");
    }

    #[tokio::test]
    async fn no_answer_is_larger_than_what_a_function_can_give() {
        let (status, body) = answered(http::Request::get("/v2/most"), Vec::new()).await;
        assert_eq!((status, body.len()), (StatusCode::OK, MOST));
        let (status, body) = answered(http::Request::get("/v2/more"), Vec::new()).await;
        assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
        let (code, message) = error(&body);
        assert_eq!(code, "UNSUPPORTED");
        assert!(message.contains("storage.redirect.disable"), "{message}");
        // Its length would get lost on the way.
        for (path, expected) in [
            ("/v2/most", StatusCode::OK),
            ("/v2/more", StatusCode::NOT_IMPLEMENTED),
        ] {
            let (status, _) = answered(http::Request::head(path), Vec::new()).await;
            assert_eq!(status, expected, "{path}");
        }
    }
}
