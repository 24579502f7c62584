//! Who is told what happens: `notifications`.

use roadstead_tests::image::OCI_MANIFEST;
use roadstead_tests::receiver::{Answer, Posted, Receiver};
use roadstead_tests::registry::Setup;
use roadstead_tests::store::Kind;
use roadstead_tests::users::{ANN, by, htpasswd};
use roadstead_tests::{
    Image, Implementation, Registry, Store, only_by_socket, require, require_ministack, sha256,
    wait,
};
use serde_json::{Value, json};

/// As many failures as one likes, and no waiting for long.
fn endpoint(receiver: &Receiver) -> Value {
    json!({"name": "test", "url": receiver.url("/events?x=y"), "timeout": "20s", "threshold": 2, "backoff": "20ms"})
}

fn telling(endpoints: &[Value]) -> Value {
    json!({"notifications": {"events": {"includereferences": true}, "endpoints": endpoints}})
}

fn all_events(posted: &[Posted]) -> Vec<Value> {
    posted.iter().flat_map(Posted::events).collect()
}

/// The action, the repository and whatever names the target.
fn short(event: &Value) -> String {
    let target = &event["target"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (digest, tag) = (text(&target["digest"]), text(&target["tag"]));
    format!(
        "{} {} {}{}{tag}",
        text(&event["action"]),
        text(&target["repository"]),
        digest.get(..15).unwrap_or_default(),
        if tag.is_empty() { "" } else { ":" },
    )
}

/// Does everything that there is an event of, and gives how many events that are.
fn do_everything(registry: &Registry) -> usize {
    let image = Image::seeded(1);
    let request = |method: &str, target: &str| {
        let request = registry.request(method, target);
        request.header("User-Agent", "a <client> & more")
    };
    for blob in image.blobs() {
        registry.push_blob("a/b", blob);
    }
    for tag in ["v1", "v2", "v3"] {
        let put = request("PUT", &format!("/v2/a/b/manifests/{tag}"));
        let put = put.header("Content-Type", OCI_MANIFEST);
        let _ = put.body(image.manifest()).send().expect(201);
    }
    let digest = image.digest();
    let put = request("PUT", &format!("/v2/a/b/manifests/{digest}"));
    let put = put.header("Content-Type", OCI_MANIFEST);
    let _ = put.body(image.manifest()).send().expect(201);
    let index = Image::index(&[&image]);
    let put = request("PUT", "/v2/a/b/manifests/index");
    let put = put.header("Content-Type", index.media_type());
    let _ = put.body(index.manifest()).send().expect(201);
    for method in ["GET", "HEAD"] {
        for reference in ["v1", &digest] {
            let get = request(method, &format!("/v2/a/b/manifests/{reference}"));
            let _ = get.header("Accept", OCI_MANIFEST).send().expect(200);
        }
        let blob = sha256(&image.blobs()[0]);
        let _ = request(method, &format!("/v2/a/b/blobs/{blob}"))
            .send()
            .expect(200);
    }
    let layer = sha256(&image.blobs()[1]);
    let mount = format!("/v2/other/blobs/uploads/?mount={layer}&from=a/b");
    let _ = request("POST", &mount).send().expect(201);
    let _ = request("DELETE", &format!("/v2/other/blobs/{layer}"))
        .send()
        .expect(202);
    let _ = request("DELETE", &format!("/v2/a/b/manifests/{digest}"))
        .send()
        .expect(202);
    // Nothing of what follows is an event.
    let _ = registry.get("/v2/a/b/tags/list").expect(200);
    let _ = registry.get("/v2/_catalog").expect(200);
    let _ = registry.begin_upload("a/b");
    let _ = registry.get("/v2/a/b/manifests/v1").expect(404);
    let index = request("GET", "/v2/a/b/manifests/index");
    let index = index.header("If-None-Match", format!("\"{}\"", index_digest()));
    let _ = index.send().expect(304);
    // What comes last: all that came before has been told.
    registry.push_blob("end", b"the end");
    let blobs = image.blobs().len();
    blobs + 3 + 1 + 1 + 2 * 3 + 1 + 1 + 1 + 3 + 1
}

fn index_digest() -> String {
    Image::index(&[&Image::seeded(1)]).digest()
}

/// An event without what differs from run to run, each of which has to be what it is.
fn settled(mut event: Value, registry: &Registry) -> Value {
    let host = registry.host();
    let port = host.rsplit(':').next().unwrap();
    let mut settle = |pointer: &str, is: &dyn Fn(&str) -> bool| {
        let value = event
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("no {pointer}"));
        let text = value
            .as_str()
            .unwrap_or_else(|| panic!("{pointer}: {value}"));
        assert!(is(text), "{pointer}: {text}");
        *value = json!(pointer);
    };
    let is_uuid = |text: &str| text.len() == 36 && text.split('-').count() == 5;
    settle("/id", &is_uuid);
    settle("/request/id", &is_uuid);
    settle("/source/instanceID", &is_uuid);
    settle("/timestamp", &|text| {
        text.contains('T') && text.ends_with('Z')
    });
    settle("/request/addr", &|text| text.starts_with("127.0.0.1"));
    settle("/request/host", &|text| text == host);
    settle("/source/addr", &|text| text.ends_with(&format!(":{port}")));
    let target = event["target"].as_object_mut().unwrap();
    if let Some(url) = target.get_mut("url") {
        *url = json!(url.as_str().unwrap().replace(&host, "HOST"));
    }
    // What an image runs on is said since Distribution 3; Debian has 2.8.
    let references = event.pointer_mut("/target/references");
    for reference in references
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        reference.as_object_mut().unwrap().remove("platform");
    }
    if event["action"] == "delete" {
        // Distribution 3 writes these always, and 2.8 never.
        let target = event["target"].as_object_mut().unwrap();
        for (name, empty) in [
            ("mediaType", json!("")),
            ("digest", json!("")),
            ("size", json!(0)),
        ] {
            if target.get(name) == Some(&empty) {
                target.remove(name);
            }
        }
    }
    event
}

/// What this registry tells of [`do_everything`], and how.
fn told_of_everything(implementation: Implementation) -> (Vec<Value>, Posted) {
    let receiver = Receiver::start();
    // Distribution is run over directories only; what it tells does not depend on it.
    let store = match implementation {
        Implementation::Distribution => Store::of(Kind::Filesystem),
        _ => Store::new(),
    };
    let setup = Setup::new(implementation).store(&store);
    let registry = setup.config(telling(&[endpoint(&receiver)])).start();
    let count = do_everything(&registry);
    let posted = receiver.wait_for(count);
    let events = all_events(&posted);
    let last = events.last().unwrap();
    assert_eq!(
        last["target"]["repository"],
        "end",
        "{:#?}",
        events.iter().map(short).collect::<Vec<_>>()
    );
    let mut events: Vec<_> = events
        .into_iter()
        .map(|event| settled(event, &registry))
        .collect();
    // The tags of a deleted manifest are in no order, one after the other.
    let is_untagged = |event: &Value| event["target"].get("digest").is_none();
    let first = events
        .iter()
        .rposition(|event| !is_untagged(event) && event["action"] == "delete");
    let end = events.len() - 1;
    events[first.unwrap() + 1..end].sort_by_key(short);
    (events, posted[0].clone())
}

#[test]
fn what_happens_is_told_as_distribution_tells_it() {
    require!("docker-registry");
    let (expected, reference) = told_of_everything(Implementation::Distribution);
    let (told, posted) = told_of_everything(Implementation::Roadstead);
    assert_eq!(
        told.iter().map(short).collect::<Vec<_>>(),
        expected.iter().map(short).collect::<Vec<_>>()
    );
    for (event, expected) in told.iter().zip(&expected) {
        assert_eq!(event, expected, "{event:#}\nis not\n{expected:#}");
    }
    assert_eq!((&*posted.method, &*posted.target), ("POST", "/events?x=y"));
    assert_eq!(
        (posted.method, posted.target),
        (reference.method, reference.target)
    );
}

#[test]
fn the_bytes_of_an_envelope_are_indented_and_escaped_as_go_does_it() {
    let receiver = Receiver::start();
    let registry = Registry::with(telling(&[endpoint(&receiver)]));
    let request = registry.request(
        "POST",
        &format!("/v2/a/blobs/uploads/?digest={}", sha256(b"x")),
    );
    let request = request.header("User-Agent", "a <client> & more");
    let _ = request.body("x").send().expect(201);
    let posted = receiver.wait_for(1).remove(0);
    let body = String::from_utf8(posted.body.clone()).unwrap();
    assert!(
        body.starts_with("{\n   \"events\": [\n      {\n         \"id\": \""),
        "{body}"
    );
    assert!(body.ends_with("      }\n   ]\n}"), "{body}");
    assert!(
        body.contains(r#""useragent": "a \u003cclient\u003e \u0026 more""#),
        "{body}"
    );
    assert!(body.contains("\"actor\": {},\n"), "{body}");
    assert_eq!(
        posted.events()[0]["request"]["useragent"],
        "a <client> & more"
    );
    assert_eq!(
        posted.headers_named("content-type"),
        ["application/vnd.docker.distribution.events.v2+json"]
    );
    assert_eq!(posted.headers_named("host"), [receiver.host()]);
}

#[test]
fn a_push_of_several_tags_is_an_event_for_each() {
    let receiver = Receiver::start();
    let registry = Registry::with(telling(&[endpoint(&receiver)]));
    let image = Image::seeded(2);
    for blob in image.blobs() {
        registry.push_blob("a", blob);
    }
    let target = format!("{}?tag=one&tag=two", image.digest());
    let _ = registry
        .put_manifest("a", &target, image.media_type(), image.manifest())
        .expect(201);
    let before = image.blobs().len();
    let events = all_events(&receiver.wait_for(before + 2));
    let tags: Vec<_> = events[before..]
        .iter()
        .map(|event| &event["target"]["tag"])
        .collect();
    assert_eq!(tags, ["one", "two"]);
    for event in &events[before..] {
        assert_eq!(event["target"]["digest"], image.digest());
    }
}

#[test]
fn an_endpoint_that_is_down_misses_nothing() {
    only_by_socket!("a function does not wait for an endpoint");
    let receiver = Receiver::start();
    receiver.answer(Answer::HangUp);
    let registry = Registry::with(telling(&[endpoint(&receiver)]));
    let pushed: Vec<_> = (0..20)
        .map(|number| registry.push_blob("a", &[number]))
        .collect();
    wait::until("some failures", || (receiver.refused() > 4).then_some(()));
    receiver.answer(Answer::Refuse(503));
    let refused = receiver.refused();
    wait::until("more failures", || {
        (receiver.refused() > refused + 4).then_some(())
    });
    assert!(receiver.posted().is_empty());
    receiver.answer(Answer::Take(204));
    let events = all_events(&receiver.wait_for(pushed.len()));
    let told: Vec<_> = events
        .iter()
        .map(|event| event["target"]["digest"].as_str().unwrap())
        .collect();
    assert_eq!(told, pushed);
    let log = registry.log();
    assert!(log.contains("a notification for test failed"), "{log}");
}

#[test]
fn who_is_told_elsewhere_is_not_followed() {
    only_by_socket!("a function does not wait for an endpoint");
    let receiver = Receiver::start();
    receiver.answer(Answer::Refuse(307));
    let registry = Registry::with(telling(&[endpoint(&receiver)]));
    let digest = registry.push_blob("a", b"x");
    wait::until("some failures", || (receiver.refused() > 2).then_some(()));
    // What is no success, but leads nowhere either, is one for Distribution.
    receiver.answer(Answer::Take(304));
    let events = all_events(&receiver.wait_for(1));
    assert_eq!(events[0]["target"]["digest"], digest);
    let log = registry.log();
    assert!(log.contains("redirects are not followed"), "{log}");
}

#[test]
fn what_waits_is_sent_before_a_graceful_end() {
    only_by_socket!("a function is not asked to end");
    let receiver = Receiver::start();
    receiver.answer(Answer::HangUp);
    let mut overrides = telling(&[endpoint(&receiver)]);
    overrides["http"] = json!({"draintimeout": "60s"});
    let mut registry = Registry::with(overrides);
    let digest = registry.push_blob("a", b"x");
    registry.terminate();
    // It does not end for as long as there is something to send.
    let refused = receiver.refused();
    wait::until("more failures", || {
        (receiver.refused() > refused + 4).then_some(())
    });
    assert!(registry.is_running());
    receiver.answer(Answer::Take(200));
    let status = registry.wait();
    assert!(status.success(), "{status}");
    let events = all_events(&receiver.posted());
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["target"]["digest"], digest);
}

#[test]
fn the_end_of_the_drain_time_says_how_many_are_lost() {
    only_by_socket!("a function is not asked to end");
    let receiver = Receiver::start();
    receiver.answer(Answer::HangUp);
    let mut overrides = telling(&[endpoint(&receiver)]);
    overrides["http"] = json!({"draintimeout": "200ms"});
    let registry = Registry::with(overrides);
    registry.push_blob("a", b"x");
    registry.push_blob("a", b"y");
    let log = registry.config().with_extension("stderr");
    let _kept = registry.store().clone();
    registry.terminate();
    let _either_way = registry.wait();
    let log = std::fs::read_to_string(log).unwrap_or_default();
    assert!(
        log.contains("2 events for test were not delivered before the end"),
        "{log}"
    );
}

#[test]
fn each_endpoint_is_told_what_it_wants_with_its_headers() {
    let [all, no_pulls, no_blobs, none] = [(); 4].map(|()| Receiver::start());
    let mut endpoints = [&all, &no_pulls, &no_blobs, &none].map(endpoint);
    endpoints[0]["headers"] =
        json!({"Authorization": ["Bearer hush-1"], "X-Two": ["a", "b"], "User-Agent": ["me"]});
    endpoints[1]["ignore"] = json!({"actions": ["pull"]});
    let url = no_pulls.url("/x").replace("http://", "http://ann:hush-2@");
    endpoints[1]["url"] = json!(url);
    endpoints[2]["ignoredmediatypes"] = json!(["application/octet-stream"]);
    endpoints[3]["disabled"] = json!(true);
    let mut overrides = telling(&endpoints);
    overrides["log"] = json!({"level": "debug"});
    let registry = Registry::with(overrides);
    let image = Image::seeded(3);
    registry.push_image("a", "t", &image);
    let _ = registry.get_manifest("a", "t").expect(200);
    let _ = registry
        .get(&format!("/v2/a/blobs/{}", sha256(&image.blobs()[0])))
        .expect(200);
    let _ = registry.delete("/v2/a/manifests/t").expect(202);
    let blobs = image.blobs().len();
    let counts = [(&all, blobs + 4), (&no_pulls, blobs + 2), (&no_blobs, 3)];
    let told = counts.map(|(receiver, count)| receiver.wait_for(count));
    let actions = |posted: &[Posted]| -> Vec<String> {
        let events = all_events(posted);
        events
            .iter()
            .map(|event| event["action"].as_str().unwrap().to_owned())
            .collect()
    };
    let pushes = |count: usize| vec!["push"; count];
    assert_eq!(
        actions(&told[0]),
        [&pushes(blobs + 1)[..], &["pull", "pull", "delete"]].concat()
    );
    assert_eq!(
        actions(&told[1]),
        [&pushes(blobs + 1)[..], &["delete"]].concat()
    );
    assert_eq!(actions(&told[2]), ["push", "pull", "delete"]);
    let untagged = &told[2].last().unwrap().events()[0]["target"];
    let expected = json!({"mediaType": "", "digest": "", "size": 0, "repository": "a", "tag": "t"});
    assert_eq!(*untagged, expected);
    assert!(none.posted().is_empty());
    for posted in &told[0] {
        assert_eq!(posted.headers_named("authorization"), ["Bearer hush-1"]);
        assert_eq!(posted.headers_named("x-two"), ["a", "b"]);
        assert_eq!(posted.headers_named("user-agent"), ["me"]);
    }
    for posted in &told[1] {
        // base64 of ann:hush-2
        assert_eq!(
            posted.headers_named("authorization"),
            ["Basic YW5uOmh1c2gtMg=="]
        );
        assert_eq!(posted.headers_named("host"), [no_pulls.host()]);
    }
    all.answer(Answer::Refuse(500));
    registry.push_blob("a", b"not told");
    wait::until("a failure", || (all.refused() > 0).then_some(()));
    let said = registry.log() + &registry.stdout();
    for secret in ["hush", "YW5uOmh1c2gtMg"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn a_blob_that_is_pulled_from_elsewhere_is_told_with_its_size() {
    require_ministack!();
    let receiver = Receiver::start();
    let setup = Setup::new(Implementation::Roadstead).store(&Store::of(Kind::S3));
    let mut overrides = telling(&[endpoint(&receiver)]);
    overrides["storage"] = json!({"redirect": {"disable": false}});
    let registry = setup.config(overrides).start();
    let digest = registry.push_blob("a", b"content");
    let target = format!("/v2/a/blobs/{digest}");
    let _ = registry.get(&target).expect(307);
    let sent = roadstead_tests::lambda::is_front();
    let _ = registry.head(&target).expect(if sent { 307 } else { 200 });
    let events = all_events(&receiver.wait_for(3));
    for event in &events[1..] {
        assert_eq!(event["action"], "pull");
        let expected = json!({
            "mediaType": "application/octet-stream",
            "digest": digest,
            "size": 7,
            "length": 7,
            "repository": "a",
            "url": format!("http://{}{target}", registry.host()),
        });
        assert_eq!(event["target"], expected);
    }
}

#[test]
fn the_actor_is_the_user() {
    let receiver = Receiver::start();
    let store = Store::new();
    let mut overrides = telling(&[endpoint(&receiver)]);
    overrides["auth"] = htpasswd(&store);
    let setup = Setup::new(Implementation::Roadstead).store(&store);
    let registry = setup.config(overrides).start();
    let target = format!("/v2/a/blobs/uploads/?digest={}", sha256(b"x"));
    let request = || registry.request("POST", &target).body("x");
    let _ = by(request(), None).send().expect(401);
    let _ = by(request(), Some(ANN)).send().expect(201);
    let events = all_events(&receiver.wait_for(1));
    assert_eq!(events[0]["actor"], json!({"name": "ann"}));
    assert!(!events[0].to_string().contains("secret"), "{}", events[0]);
}
