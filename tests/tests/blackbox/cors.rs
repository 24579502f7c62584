//! Web pages on other origins.

use roadstead_tests::registry::{Implementation, Setup};
use roadstead_tests::users::{self, ANN};
use roadstead_tests::{Registry, Request, Response, Store};
use serde_json::{Value, json};

const UI: &str = "https://ui.example.com";

fn registry(cors: Value) -> Registry {
    let store = Store::new();
    let config = json!({ "auth": users::htpasswd(&store), "http": { "cors": cors } });
    let setup = Setup::new(Implementation::Roadstead).store(&store);
    setup.config(config).start()
}

fn from(request: Request, origin: Option<&str>) -> Request {
    match origin {
        Some(origin) => request.header("Origin", origin),
        None => request,
    }
}

fn preflight(registry: &Registry, target: &str, origin: Option<&str>) -> Response {
    let request = from(registry.request("OPTIONS", target), origin);
    request
        .header("Access-Control-Request-Method", "GET")
        .send()
}

fn names_of(response: &Response) -> Vec<String> {
    let shown = format!("{response:?}").to_ascii_lowercase();
    let lines = shown.lines().map(str::trim);
    let lines = lines.filter(|line| line.starts_with("access-control-"));
    lines.map(str::to_owned).collect()
}

#[test]
fn only_named_origins_are_let_in() {
    let registry = registry(json!({
        "origins": [UI, "http://localhost:3000"], "supports_credentials": true, "max_age": 600,
    }));
    for (origin, allowed) in [
        (Some(UI), true),
        (Some("http://localhost:3000"), true),
        (Some("https://ui.example.com.evil.test"), false),
        (Some("https://evil.test"), false),
        (Some("http://ui.example.com"), false),
        (Some("http://localhost"), false),
        (Some("null"), false),
        (Some("*"), false),
        (None, false),
    ] {
        let expected = origin.filter(|_| allowed);
        for (authorization, status) in [(ANN.basic(), 200), (String::new(), 401)] {
            let request = from(registry.request("GET", "/v2/"), origin);
            let answer = request.header("Authorization", authorization).send();
            assert_eq!(answer.status, status, "{origin:?}");
            assert_eq!(answer.header("access-control-allow-origin"), expected);
            let yes = expected.map(|_| "true");
            assert_eq!(answer.header("access-control-allow-credentials"), yes);
            assert_eq!(answer.header("vary"), Some("Origin"), "{origin:?}");
        }
        let target = "/v2/anything/manifests/v1";
        let asked = preflight(&registry, target, origin);
        assert_eq!(asked.header("access-control-allow-origin"), expected);
        match allowed {
            true => {
                let asked = asked.expect(204);
                assert_eq!(asked.need("access-control-max-age"), "600");
                let methods = asked.need("access-control-allow-methods");
                assert!(methods.contains("GET, HEAD"), "{methods}");
                let headers = asked.need("access-control-allow-headers");
                assert!(headers.contains("Authorization"), "{headers}");
            }
            false => assert_eq!(names_of(&asked), [""; 0], "{origin:?}"),
        }
    }
}

#[test]
fn every_page_may_ask_without_credentials() {
    let registry = registry(json!({ "origins": ["*"] }));
    let asked = preflight(&registry, "/v2/", Some("https://any.test")).expect(204);
    assert_eq!(asked.need("access-control-allow-origin"), "*");
    assert_eq!(asked.header("access-control-allow-credentials"), None);
    let answer = registry
        .request("GET", "/v2/")
        .header("Origin", "https://any.test");
    let answer = answer
        .header("Authorization", ANN.basic())
        .send()
        .expect(200);
    assert_eq!(answer.need("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let exposed = answer.need("access-control-expose-headers");
    assert!(exposed.contains("Docker-Content-Digest"), "{exposed}");
}

#[test]
fn without_it_no_page_is_let_in() {
    let registry = Setup::new(Implementation::Roadstead).start();
    let answer = registry.request("GET", "/v2/").header("Origin", UI).send();
    assert_eq!(names_of(&answer.expect(200)), [""; 0]);
    assert_eq!(names_of(&preflight(&registry, "/v2/", Some(UI))), [""; 0]);
}

#[test]
fn every_page_as_its_visitors_does_not_start() {
    for (cors, message) in [
        (
            json!({ "origins": ["*"], "supports_credentials": true }),
            "each origin must be named",
        ),
        (json!({ "origins": ["ui.example.com"] }), "is no origin"),
        (
            json!({ "supports_credentials": true }),
            "origins is missing",
        ),
        (json!({ "origins": [UI], "headers": ["*"] }), "is no name"),
    ] {
        let setup = Setup::new(Implementation::Roadstead);
        let setup = setup.config(json!({ "http": { "cors": cors } }));
        let said = setup.try_start().err().expect("it must not start");
        assert!(said.contains(message), "{message}: {said}");
    }
}
