//! The span of each request, its id, and the line at its end.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::{HeaderMap, Request, StatusCode, header};
use roadstead_api::{Connection, Peer, RequestId};
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
        if !tracing::enabled!(Level::ERROR) {
            return None;
        }
        Some(Served {
            begun: Instant::now(),
            span: span(request, id),
        })
    }
}

/// At error level: also errors alone are of use only with the request they belong to.
fn span<B>(request: &Request<B>, id: RequestId) -> Span {
    let headers = request.headers();
    let uri = request.uri().to_string();
    let referer = text(headers, &header::REFERER);
    let authority = request.uri().authority();
    let host = text(headers, &header::HOST)
        .or_else(|| authority.map(|authority| Cow::Borrowed(authority.as_str())));
    error_span!(
        "request",
        http.request.id = %id,
        http.request.method = request.method().as_str(),
        http.request.host = host.as_deref(),
        http.request.uri = &*redact::url(&uri),
        http.request.referer = referer.as_deref().map(redact::url).as_deref(),
        http.request.useragent = text(headers, &header::USER_AGENT).as_deref(),
        http.request.contenttype = text(headers, &header::CONTENT_TYPE).as_deref(),
        http.request.remoteaddr = %remote_address(request),
        vars.name = Empty,
        vars.reference = Empty,
        vars.digest = Empty,
        vars.uuid = Empty,
        auth.user.name = Empty,
    )
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<Cow<'a, str>> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()))
}

/// What proxies say of the client, else the other end of the connection.
///
/// For the eyes of a reader only: any client can say so.
fn remote_address<B>(request: &Request<B>) -> Peer {
    let headers = request.headers();
    forwarded(headers).or_else(|| real_ip(headers)).map_or_else(
        || {
            let connection = request.extensions().get::<Connection>();
            connection.map_or(Peer::Local, |connection| connection.peer)
        },
        Peer::Address,
    )
}

/// The first address of `X-Forwarded-For` that is one.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let lists = headers.get_all("x-forwarded-for").iter();
    lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .find_map(|address| address.trim().parse().ok())
}

fn real_ip(headers: &HeaderMap) -> Option<IpAddr> {
    let address = headers.get("x-real-ip")?.to_str().ok()?;
    address.trim().parse().ok()
}

/// A request that is being served.
#[derive(Debug)]
pub struct Served {
    begun: Instant,
    span: Span,
}

impl Observation for Served {
    fn span(&self) -> Span {
        self.span.clone()
    }

    fn end(&mut self, answer: &Answer, outcome: Outcome<'_>) {
        let duration = self.begun.elapsed();
        match outcome {
            Outcome::Failed(error) => fail(answer, duration, Some(&error)),
            Outcome::Gone => complete(answer, duration, CLIENT_CLOSED_REQUEST),
            Outcome::Complete => match answer.status {
                Some(status) if status.is_server_error() => fail(answer, duration, None),
                status => complete(answer, duration, status.map_or(0, |status| status.as_u16())),
            },
        }
    }
}

fn complete(answer: &Answer, duration: Duration, status: u16) {
    info!(
        http.response.status = status,
        http.response.written = answer.written,
        http.response.contenttype = content_type(answer).as_deref(),
        http.response.duration = %Go(duration),
        "response completed"
    );
}

fn fail(answer: &Answer, duration: Duration, error: Option<&dyn std::fmt::Display>) {
    let status = answer.status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    error!(
        http.response.status = status.as_u16(),
        http.response.written = answer.written,
        http.response.contenttype = content_type(answer).as_deref(),
        http.response.duration = %Go(duration),
        err.detail = error.map(tracing::field::display),
        "response completed with error"
    );
}

fn content_type(answer: &Answer) -> Option<Cow<'_, str>> {
    let value = answer.content_type.as_ref()?;
    Some(String::from_utf8_lossy(value.as_bytes()))
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
    use http::{Method, Response};
    use http_body_util::BodyExt;
    use tower::{Layer, ServiceExt, service_fn};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::logs;

    /// The log line of a request that `answer` answers and whose client reads `frames` frames.
    fn line(
        request: http::request::Builder,
        answer: impl Fn() -> Option<Response<Body>> + Clone + Send + 'static,
        frames: usize,
    ) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = written.clone();
        let options = logs::Options::default();
        let log = logs::layer_to(options, move |line| sink.lock().unwrap().extend(line));
        let subscriber = tracing_subscriber::registry().with(log);
        let service = service_fn(move |_: Request<Body>| {
            let response = answer();
            async move {
                match response {
                    Some(response) => Ok::<_, Infallible>(response),
                    None => pending().await,
                }
            }
        });
        tracing::subscriber::with_default(subscriber, || {
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
            .header("host", "registry:5000")
            .header("authorization", "Bearer secret")
            .header("user-agent", "docker/29")
            .header("x-forwarded-for", "unknown, 10.0.0.7, 10.0.0.8");
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

    #[test]
    fn the_remote_address_is_the_first_that_is_one() {
        let table: [(&[(&str, &str)], &str); 6] = [
            (&[], "@"),
            (&[("x-forwarded-for", "10.0.0.1")], "10.0.0.1"),
            (&[("x-forwarded-for", "nobody,  ::1 ")], "::1"),
            (
                &[("x-forwarded-for", "nobody"), ("x-real-ip", "10.0.0.2")],
                "10.0.0.2",
            ),
            (&[("x-real-ip", "10.0.0.2\t")], "10.0.0.2"),
            (&[("x-real-ip", "nobody")], "@"),
        ];
        for (headers, expected) in table {
            let mut request = Request::get("/");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(()).unwrap();
            assert_eq!(remote_address(&request).to_string(), expected);
        }
    }
}
