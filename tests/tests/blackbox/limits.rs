//! Limits: how much one caller may ask for, and who counts as one.

use roadstead_tests::registry::Setup;
use roadstead_tests::users::{self, ANN, BOB, basic, by};
use roadstead_tests::{Image, Implementation, Registry, Request, Response, Store, wait};
use serde_json::{Value, json};

const ELSEWHERE: &str = "functions have no limits of their own";

/// Three requests at once, and practically none after them.
fn three() -> Value {
    json!({ "rate": 1, "period": "24h", "burst": 3 })
}

fn limited(limits: Value, more: Value) -> Registry {
    let store = Store::new();
    Setup::new(Implementation::Roadstead)
        .store(&store)
        .config(json!({ "http": { "limits": limits } }))
        .config(more)
        .start()
}

fn with_users(limits: Value, more: Value) -> Registry {
    let store = Store::new();
    Setup::new(Implementation::Roadstead)
        .store(&store)
        .config(json!({ "http": { "limits": limits }, "auth": users::htpasswd(&store) }))
        .config(more)
        .start()
}

/// As if it came from this address by way of a trusted proxy.
fn from(request: Request, address: &str) -> Request {
    request.header("X-Forwarded-For", address)
}

#[track_caller]
fn refused(answer: Response) {
    let answer = answer.expect_error(429, "TOOMANYREQUESTS");
    let wait: u64 = answer.need("retry-after").parse().unwrap();
    assert!(wait > 0 && wait <= 24 * 60 * 60, "{answer:?}");
}

#[test]
fn who_asks_too_often_is_told_when_to_come_again() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let registry = limited(json!({ "requests": three() }), json!({}));
    let paths = ["/v2/", "/v2/_catalog", "/v2/app/tags/list"];
    for path in paths {
        assert_ne!(registry.get(path).status, 429);
    }
    for path in paths {
        refused(registry.get(path));
    }
    // Clients do not repeat these: they have as much again.
    let put = || registry.put_manifest("app", "v1", "application/json", b"{}");
    for _ in 0..3 {
        put().expect_error(400, "MANIFEST_INVALID");
    }
    refused(put());
    // Load balancers go on asking.
    let _ = registry.get("/").expect(200);
}

#[test]
fn each_address_counts_for_itself_as_trusted_proxies_tell_it() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let registry = limited(json!({ "requests": three() }), json!({}));
    let get = |address: &str| from(registry.request("GET", "/v2/"), address).send();
    for address in ["192.0.2.1", "192.0.2.2", "2001:db8:1:1::1"] {
        for _ in 0..3 {
            let _ = get(address).expect(200);
        }
        refused(get(address));
    }
    // A customer of IPv6 has a whole /64.
    refused(get("2001:db8:1:1:2:3:4:5"));
    let _ = get("2001:db8:1:2::1").expect(200);
}

#[test]
fn who_is_no_trusted_proxy_is_one_address_whatever_they_say() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let untrusted = json!({ "http": { "trustedproxies": [] } });
    let registry = limited(json!({ "requests": three() }), untrusted);
    for last in 1..=3 {
        let request = from(registry.request("GET", "/v2/"), &format!("192.0.2.{last}"));
        let _ = request.send().expect(200);
    }
    refused(from(registry.request("GET", "/v2/"), "192.0.2.4").send());
}

#[test]
fn users_count_by_name_wherever_they_are() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let registry = with_users(json!({ "requests": three() }), json!({}));
    let get = |user, address: &str| {
        let request = by(registry.request("GET", "/v2/"), Some(user));
        from(request, address).send()
    };
    for last in 1..=3 {
        let _ = get(ANN, &format!("192.0.2.{last}")).expect(200);
    }
    refused(get(ANN, "192.0.2.9"));
    // Neither another user nor anybody else at her address pays for that.
    for _ in 0..3 {
        let _ = get(BOB, "192.0.2.1").expect(200);
    }
    refused(get(BOB, "192.0.2.1"));
    let nobody = from(registry.request("GET", "/v2/"), "192.0.2.1").send();
    nobody.expect_error(401, "UNAUTHORIZED");
}

#[test]
fn addresses_may_count_alone() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let mut requests = three();
    requests["per"] = json!("address");
    let registry = with_users(json!({ "requests": requests }), json!({}));
    let get = |user, address: &str| {
        let request = by(registry.request("GET", "/v2/"), Some(user));
        from(request, address).send()
    };
    for user in [ANN, BOB, ANN] {
        let _ = get(user, "192.0.2.1").expect(200);
    }
    refused(get(BOB, "192.0.2.1"));
    let _ = get(BOB, "192.0.2.2").expect(200);
}

#[test]
fn guessing_passwords_ends_after_a_few() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let tokens = json!({ "tokenserver": { "enabled": true } });
    let registry = with_users(json!({ "requests": three() }), tokens);
    let form = |password: &str| {
        let form = format!("grant_type=password&username=ann&password={password}&service=x");
        registry.request("POST", "/auth/token").body(form)
    };
    let query = |password: &str| {
        let request = registry.request("GET", "/auth/token?service=roadstead");
        request.header("Authorization", basic("ann", password))
    };
    let direct = |password: &str| {
        let request = registry.request("GET", "/v2/");
        request.header("Authorization", basic("ann", password))
    };
    type Way<'a> = &'a dyn Fn(&str) -> Request;
    let ways: [(&str, Way<'_>); 3] = [
        ("192.0.2.1", &form),
        ("192.0.2.2", &query),
        ("192.0.2.3", &direct),
    ];
    for (address, way) in ways {
        for _ in 0..3 {
            let wrong = from(way("a guess"), address).send();
            wrong.expect_error(401, "UNAUTHORIZED");
        }
        refused(from(way("a guess"), address).send());
        // Who has guessed is not told that a guess was right.
        refused(from(way(ANN.password), address).send());
    }
    let elsewhere = from(query(ANN.password), "192.0.2.4");
    let _ = elsewhere.send().expect(200);
}

#[test]
fn tokens_count_for_their_user_and_forged_ones_for_their_address() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let tokens = json!({ "tokenserver": { "enabled": true } });
    let registry = with_users(json!({ "requests": three() }), tokens);
    let request = by(registry.request("GET", "/auth/token"), Some(ANN));
    let token = from(request, "192.0.2.1").send().expect(200).json();
    let token = token["token"].as_str().unwrap().to_owned();
    let get = |token: &str, address: &str| {
        let request = registry.request("GET", "/v2/");
        let request = request.header("Authorization", format!("Bearer {token}"));
        from(request, address).send()
    };
    for _ in 0..3 {
        get("forged", "192.0.2.2").expect_error(401, "UNAUTHORIZED");
    }
    refused(get("forged", "192.0.2.2"));
    // The token itself was her first request.
    for _ in 0..2 {
        let _ = get(&token, "192.0.2.2").expect(200);
    }
    refused(get(&token, "192.0.2.2"));
}

#[test]
fn uploads_of_one_caller_at_once_are_limited() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let registry = with_users(json!({ "uploads": { "concurrent": 1 } }), json!({}));
    let begin = |user| {
        let request = registry.request("POST", "/v2/app/blobs/uploads/");
        by(request, Some(user)).send()
    };
    let location = begin(ANN).expect(202).location();
    let request = by(registry.request("PATCH", &location), Some(ANN));
    let head = request.header("Content-Length", "10").head();
    let mut slow = registry.connect();
    slow.send([head.as_bytes(), b"12345"].concat()).unwrap();
    let answer = wait::until("the upload to be under way", || {
        Some(begin(ANN)).filter(|answer| answer.status != 202)
    });
    refused(answer);
    let other = by(registry.request("PATCH", &location), Some(ANN));
    refused(other.body("x").send());
    // Nobody else is concerned, and nothing but uploads.
    let _ = begin(BOB).expect(202);
    let pull = by(registry.request("GET", "/v2/app/tags/list"), Some(ANN));
    assert_ne!(pull.send().status, 429);

    slow.send("67890").unwrap();
    let _ = slow.receive("PATCH").unwrap().expect(202);
    let _ = begin(ANN).expect(202);
}

#[test]
fn an_upload_whose_client_went_away_counts_no_more() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let registry = limited(json!({ "uploads": { "concurrent": 1 } }), json!({}));
    let location = registry.begin_upload("app");
    let request = registry.request("PATCH", &location);
    let mut slow = registry.connect();
    let head = request.header("Content-Length", "10").head();
    slow.send([head.as_bytes(), b"12345"].concat()).unwrap();
    let begin = || registry.request("POST", "/v2/app/blobs/uploads/").send();
    wait::until("the upload to be under way", || {
        (begin().status == 429).then_some(())
    });
    drop(slow);
    wait::until("the upload to be over", || {
        (begin().status == 202).then_some(())
    });
    registry.push_image("app", "v1", &Image::seeded(12));
}

#[test]
fn limits_that_say_nothing_do_not_start() {
    for limits in [
        json!({ "requests": { "burst": 5 } }),
        json!({ "requests": { "rate": 5, "brust": 5 } }),
        json!({ "requests": { "rate": -1 } }),
        json!({ "requests": { "rate": 5, "per": "repository" } }),
        json!({ "uploads": {} }),
    ] {
        let setup = Setup::new(Implementation::Roadstead);
        let config = json!({ "http": { "limits": limits } });
        let said = setup.config(config).try_start().err();
        let said = said.unwrap_or_else(|| panic!("{limits} is taken"));
        assert!(said.contains("http.limits"), "{said}");
    }
}
