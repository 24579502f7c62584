//! Events over a bus of EventBridge: `notifications.eventbridge`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use roadstead_tests::event_bus::EventBus;
use roadstead_tests::faults::{Fate, Faults};
use roadstead_tests::lambda::{Function, event};
use roadstead_tests::registry::Setup;
use roadstead_tests::{
    Address, Image, Implementation, Registry, Store, ministack, only_by_socket, require,
    require_ministack, sha256,
};
use serde_json::{Value, json};

/// What counts the calls that pass.
fn counting(faults: &Faults) -> Arc<AtomicUsize> {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    faults.rule(move |name| {
        if name == "PutEvents" {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        Fate::Pass
    });
    calls
}

fn telling(bus: &EventBus, endpoint: &str) -> Value {
    json!({"notifications": {"eventbridge": bus.config(endpoint)}})
}

fn targets(events: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let target = |event: &Value| {
        let (action, target) = (&event["detail"]["action"], &event["detail"]["target"]);
        format!(
            "{} {}{}",
            text(action),
            text(&target["digest"]),
            text(&target["tag"])
        )
    };
    events.iter().map(target).collect()
}

#[test]
fn an_event_on_the_bus_is_what_endpoints_are_told_and_pulls_are_not_on_it() {
    let url = require_ministack!();
    let bus = EventBus::new(require!("curl"), url, "roadstead");
    let registry = Registry::with(telling(&bus, url));
    let image = Image::seeded(1);
    registry.push_image("a/b", "v1", &image);
    let _ = registry.get_manifest("a/b", "v1").expect(200);
    let _ = registry.delete("/v2/a/b/manifests/v1").expect(202);
    let blobs = image.blobs().len();
    let events = bus.wait_for(blobs + 2);
    let mut expected: Vec<_> = image
        .blobs()
        .iter()
        .map(|blob| format!("push {}", sha256(blob)))
        .collect();
    expected.extend([format!("push {}v1", image.digest()), "delete v1".to_owned()]);
    assert_eq!(targets(&events), expected);
    let pushed = &events[blobs];
    assert_eq!(pushed["source"], "roadstead");
    assert_eq!(pushed["detail-type"], "Registry Notification");
    let detail = &pushed["detail"];
    assert_eq!(detail["target"]["repository"], "a/b");
    assert_eq!(detail["target"]["mediaType"], image.media_type());
    assert_eq!(detail["request"]["method"], "PUT");
    assert!(!registry.log().contains("error"), "{}", registry.log());
}

#[test]
fn a_server_goes_on_until_the_bus_has_everything() {
    only_by_socket!("a function tries three times");
    let url = require_ministack!();
    let bus = EventBus::new(require!("curl"), url, "elsewhere");
    let faults = Faults::before(ministack::address().unwrap());
    let fates = [
        Fate::LoseRequest,
        Fate::Fail,
        Fate::Throttle,
        Fate::HalfAnswer,
        Fate::Pass,
    ];
    let mut fates = fates.into_iter();
    faults.rule(move |_| fates.next().unwrap_or(Fate::Pass));
    let mut overrides = telling(&bus, faults.url());
    overrides["notifications"]["eventbridge"]["source"] = json!("elsewhere");
    let setup = Setup::new(Implementation::Roadstead).config(overrides);
    let registry = setup.start();
    let digest = registry.push_blob("a", b"x");
    // The half answer was one to a call that had taken effect.
    let mut events = bus.wait_for(1);
    events.dedup_by_key(|event| event["detail"]["id"].to_string());
    assert_eq!(targets(&events), [format!("push {digest}")]);
}

#[test]
fn a_function_has_delivered_when_it_answers_and_one_request_is_one_call() {
    let url = require_ministack!();
    let bus = EventBus::new(require!("curl"), url, "roadstead");
    let faults = Faults::before(ministack::address().unwrap());
    let calls = counting(&faults);
    let setup = Setup::new(Implementation::Lambda).config(telling(&bus, faults.url()));
    let registry = setup.start();
    let image = Image::seeded(2);
    let mut expected = 0;
    for blob in image.blobs() {
        registry.push_blob("a", blob);
        expected += 1;
        assert_eq!(calls.load(Ordering::Relaxed), expected);
    }
    let target = format!("{}?tag=one&tag=two", image.digest());
    let put = registry.put_manifest("a", &target, image.media_type(), image.manifest());
    let _ = put.expect(201);
    assert_eq!(calls.load(Ordering::Relaxed), expected + 1);
    let _ = registry.get_manifest("a", "one").expect(200);
    assert_eq!(calls.load(Ordering::Relaxed), expected + 1);
    let _ = registry
        .delete(&format!("/v2/a/manifests/{}", image.digest()))
        .expect(202);
    assert_eq!(calls.load(Ordering::Relaxed), expected + 2);
    let events = bus.wait_for(expected + 2 + 3);
    let mut last = targets(&events[expected..]);
    last.sort();
    let digest = image.digest();
    let expected = [
        "delete one".to_owned(),
        format!("delete {digest}"),
        "delete two".to_owned(),
        format!("push {digest}one"),
        format!("push {digest}two"),
    ];
    assert_eq!(last, expected);
}

#[test]
fn an_outage_of_the_bus_fails_no_push_and_is_in_the_log_with_the_events_id() {
    let url = require_ministack!();
    let bus = EventBus::new(require!("curl"), url, "roadstead");
    let faults = Faults::before(ministack::address().unwrap());
    let store = Store::new();
    let setup = Setup::new(Implementation::Lambda).store(&store);
    let address = Address::Tcp("127.0.0.1:0".parse().unwrap());
    let config = setup
        .config(telling(&bus, faults.url()))
        .write_config(&address);
    let config = config.to_str().unwrap();
    let function = Function::built("roadstead-combined").env("REGISTRY_CONFIGURATION_PATH", config);
    for fate in [Fate::Fail, Fate::Throttle, Fate::LoseRequest] {
        faults.rule(move |_| fate);
        let digest = sha256(format!("{fate:?}").as_bytes());
        let headers = [("host", "r"), ("authorization", "Basic aHVzaDpodXNo")];
        let target = format!("/v2/a/blobs/uploads/?digest={digest}");
        let push = event("POST", &target, &headers, format!("{fate:?}").as_bytes());
        let result = function.invoke(&push).unwrap();
        assert_eq!(result["statusCode"], 201, "{result}");
    }
    let log = function.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lost = lines.filter(|line| line["message"] == "an event was not delivered to EventBridge");
    let lost: Vec<_> = lost.collect();
    assert_eq!(lost.len(), 3, "{log}");
    for line in lost {
        assert_eq!(line["level"], "ERROR", "{line}");
        assert_eq!(line["event.id"].as_str().unwrap().len(), 36, "{line}");
        assert_eq!(line["event.repository"], "a", "{line}");
    }
    assert!(!log.contains("aHVzaDpodXNo"), "{log}");
    assert!(bus.receive().is_empty());
}
