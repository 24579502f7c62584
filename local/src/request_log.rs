//! The span of each request, its id, and the line at its end.

use std::borrow::Cow;
use std::fmt;
use std::time::Instant;

use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use roadstead_api::{Client, Peer, RequestId};
use tracing::field::Empty;
use tracing::{Level, Span, error, error_span, info};

use crate::duration::Go;
use crate::observe::{Answer, Observation, ObserveLayer, Observer, Outcome};
use crate::redact;

/// What is logged as the status when the client went away.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The layer that gives every request a [`RequestId`] and a span, and logs its end.
///
/// The span has the fields `http.request.*`, and `vars.name`, `vars.reference`, `vars.digest`,
/// `vars.uuid` and `auth.user.name`, which are for the routes to record.
pub fn layer() -> ObserveLayer<RequestLog> {
    ObserveLayer(RequestLog)
}

/// See [`layer`].
#[derive(Clone, Copy, Debug)]
pub struct RequestLog;

impl Observer for RequestLog {
    type Observation = Served;

    fn request<B>(&self, request: &mut Request<B>) -> Option<Served> {
        let id = RequestId::new();
        request.extensions_mut().insert(id);
        tracing::enabled!(Level::ERROR).then(|| Served::new(id, Head::of(request)))
    }
}

/// What the log tells of a request; to keep it costs next to nothing.
#[derive(Debug)]
struct Head {
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
    remote: Peer,
}

impl Head {
    fn of<B>(request: &Request<B>) -> Self {
        let header = |name| request.headers().get(name).cloned();
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            host: header(header::HOST),
            referer: header(header::REFERER),
            user_agent: header(header::USER_AGENT),
            content_type: header(header::CONTENT_TYPE),
            remote: Client::of(request.extensions()).address,
        }
    }

    fn span(&self, id: RequestId) -> Span {
        let uri = self.uri.to_string();
        let referer = self.referer.as_ref().map(text);
        let authority = self.uri.authority();
        let host = self.host.as_ref().map(text);
        let host = host.or_else(|| authority.map(|authority| authority.as_str().into()));
        error_span!(
            "request",
            http.request.id = %id,
            http.request.method = self.method.as_str(),
            http.request.host = host.as_deref(),
            http.request.uri = &*redact::url(&uri),
            http.request.referer = referer.as_deref().map(redact::url).as_deref(),
            http.request.useragent = self.user_agent.as_ref().map(text).as_deref(),
            http.request.contenttype = self.content_type.as_ref().map(text).as_deref(),
            http.request.remoteaddr = %self.remote,
            vars.name = Empty,
            vars.reference = Empty,
            vars.digest = Empty,
            vars.uuid = Empty,
            auth.user.name = Empty,
        )
    }
}

/// Where only failures are logged, a request has no more than its id until it fails.
fn short_span(id: RequestId) -> Span {
    error_span!("request", http.request.id = %id)
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// A request that is being served.
#[derive(Debug)]
pub struct Served {
    begun: Instant,
    id: RequestId,
    head: Head,
    span: Span,
    /// Whether the span has all fields already.
    is_complete: bool,
}

impl Served {
    fn new(id: RequestId, head: Head) -> Self {
        let is_complete = tracing::enabled!(Level::INFO);
        Self {
            begun: Instant::now(),
            span: if is_complete {
                head.span(id)
            } else {
                short_span(id)
            },
            id,
            head,
            is_complete,
        }
    }

    fn complete(&self, answer: &Answer, status: u16) {
        info!(
            http.response.status = status,
            http.response.written = answer.written,
            http.response.contenttype = answer.content_type.as_ref().map(text).as_deref(),
            http.response.duration = %Go(self.begun.elapsed()),
            "response completed"
        );
    }

    fn fail(&self, answer: &Answer, reason: Option<&dyn fmt::Display>) {
        let _details = (!self.is_complete).then(|| self.head.span(self.id).entered());
        let status = answer.status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        error!(
            http.response.status = status.as_u16(),
            http.response.written = answer.written,
            http.response.contenttype = answer.content_type.as_ref().map(text).as_deref(),
            http.response.duration = %Go(self.begun.elapsed()),
            err.detail = reason.map(tracing::field::display),
            "response completed with error"
        );
    }
}

impl Observation for Served {
    fn span(&self) -> Span {
        self.span.clone()
    }

    fn end(&mut self, answer: &Answer, outcome: Outcome<'_>) {
        match (outcome, answer.status) {
            (Outcome::Failed(reason), _) => self.fail(answer, Some(&reason)),
            (Outcome::Complete, Some(status)) if status.is_server_error() => {
                self.fail(answer, None);
            }
            (Outcome::Complete, Some(status)) => self.complete(answer, status.as_u16()),
            (Outcome::Complete, None) | (Outcome::Gone, _) => {
                self.complete(answer, CLIENT_CLOSED_REQUEST);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io;
    use std::sync::{Arc, Mutex};

    use axum::body::Body;
    use bytes::Bytes;
    use futures_util::future::pending;
    use futures_util::{FutureExt, stream};
    use http::Response;
    use http_body_util::BodyExt;
    use roadstead_api::Connection;
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::logs;

    /// The log line of a request that `answer` answers and whose client reads `frames` frames.
    fn line(
        request: http::request::Builder,
        answer: impl Fn() -> Option<Response<Body>> + Clone + Send + 'static,
        frames: usize,
    ) -> String {
        line_at(Level::INFO, request, answer, frames)
    }

    fn line_at(
        level: Level,
        request: http::request::Builder,
        answer: impl Fn() -> Option<Response<Body>> + Clone + Send + 'static,
        frames: usize,
    ) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = written.clone();
        let options = logs::Options {
            level,
            ..logs::Options::default()
        };
        let log = logs::layer_to(options, move |line| sink.lock().unwrap().extend(line));
        let service = service_fn(move |_: Request<Body>| {
            let response = answer();
            async move {
                match response {
                    Some(response) => Ok::<_, Infallible>(response),
                    None => pending().await,
                }
            }
        });
        logs::tests::logged(log, || {
            let request = request.body(Body::empty()).unwrap();
            let response = layer().layer(service).oneshot(request).now_or_never();
            let Some(response) = response else { return };
            let mut body = response.unwrap().into_body();
            for _ in 0..frames {
                let _ = body.frame().now_or_never();
            }
        });
        let written = written.lock().unwrap().clone();
        String::from_utf8(written).unwrap()
    }

    fn answer(status: u16) -> impl Fn() -> Option<Response<Body>> + Clone + Send {
        move || {
            let response = Response::builder().status(status);
            let response = response.header("content-type", "text/plain");
            Some(response.body(Body::from("answer")).unwrap())
        }
    }

    #[test]
    fn a_line_names_the_request_and_its_answer() {
        let request = Request::get("/v2/a/blobs/uploads/1?_state=secret")
            .extension(Connection {
                peer: Peer::Address([10, 0, 0, 7].into()),
                secure: true,
            })
            .header("host", "registry:5000")
            .header("authorization", "Bearer secret")
            .header("user-agent", "docker/29")
            .header("x-forwarded-for", "192.0.2.1");
        let line = line(request, answer(200), 2);
        for part in [
            r#"level=info msg="response completed" "#,
            " http.request.id=0",
            r#" http.request.host="registry:5000" "#,
            " http.request.method=GET ",
            " http.request.remoteaddr=10.0.0.7 ",
            r#" http.request.uri="/v2/a/blobs/uploads/1?_state=REDACTED" "#,
            " http.request.useragent=docker/29 ",
            " http.response.contenttype=text/plain ",
            " http.response.duration=",
            " http.response.status=200 http.response.written=6 ",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(!line.contains("secret"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn only_failures_of_the_server_are_errors() {
        for (status, level, message) in [
            (200, "info", "response completed"),
            (307, "info", "response completed"),
            (401, "info", "response completed"),
            (404, "info", "response completed"),
            (416, "info", "response completed"),
            (500, "error", "response completed with error"),
            (503, "error", "response completed with error"),
        ] {
            let line = line(Request::get("/"), answer(status), 2);
            let expected = format!("level={level} msg=\"{message}\" ");
            assert!(line.contains(&expected), "{line}");
            assert!(line.contains(&format!(" http.response.status={status} ")));
        }
    }

    #[test]
    fn a_failure_has_all_fields_where_only_failures_are_logged() {
        let request = || Request::get("/v2/").header("user-agent", "docker/29");
        let line = line_at(Level::ERROR, request(), answer(500), 2);
        assert!(
            line.contains(" http.request.useragent=docker/29 "),
            "{line}"
        );
        assert!(line.contains(" http.request.id=0"), "{line}");
        assert_eq!(line_at(Level::ERROR, request(), answer(404), 2), "");
    }

    #[test]
    fn a_client_that_goes_away_is_499() {
        let gone = " http.response.status=499 ";
        let unanswered = line(Request::get("/"), || None, 0);
        assert!(unanswered.contains(gone), "{unanswered}");
        let unread = line(Request::get("/"), answer(200), 0);
        assert!(unread.contains(gone), "{unread}");

        let head = line(Request::builder().method(Method::HEAD), answer(200), 0);
        assert!(head.contains(" http.response.status=200 "), "{head}");
        let not_polled_to_its_end = line(Request::get("/"), answer(200), 1);
        assert!(not_polled_to_its_end.contains(" http.response.status=200 "));
    }

    #[test]
    fn a_body_that_breaks_off_is_an_error_with_its_reason() {
        let broken = || {
            let part = Ok(Bytes::from("part"));
            let frames = [part, Err(io::Error::other("disk on fire"))];
            Some(Response::new(Body::from_stream(stream::iter(frames))))
        };
        let line = line(Request::get("/"), broken, 3);
        assert!(line.contains("level=error "), "{line}");
        assert!(line.contains(r#" err.detail="disk on fire" "#), "{line}");
        assert!(line.contains(" http.response.written=4 "), "{line}");
    }
}
