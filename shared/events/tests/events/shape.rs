//! The JSON, field for field.

use std::sync::Arc;

use roadstead_events::{Action, Actor, Envelope, Event, Target};
use serde_json::{Value, json};

use crate::kit::{event, push};

fn written(event: Event) -> Value {
    let events = vec![Arc::new(event)];
    let envelope = serde_json::to_value(Envelope { events }).unwrap();
    envelope["events"][0].clone()
}

#[test]
fn a_push_has_the_fields_of_distribution_and_no_other() {
    let mut event = push();
    event.target.url = Some("http://h/v2/".to_owned());
    event.actor = Actor {
        name: Some("ann".to_owned()),
    };
    let id = event.id.to_string();
    let digest = event.target.digest.clone();
    let expected = json!({
        "id": id,
        "timestamp": "1970-01-01T00:00:00Z",
        "action": "push",
        "target": {
            "mediaType": "m",
            "digest": digest,
            "size": 1,
            "length": 1,
            "repository": "a/b",
            "url": "http://h/v2/",
        },
        "request": {"id": "r", "addr": "192.0.2.1:7", "host": "h", "method": "PUT", "useragent": ""},
        "actor": {"name": "ann"},
        "source": {"addr": "host:5000", "instanceID": "i"},
    });
    assert_eq!(written(event), expected);
}

#[test]
fn what_was_deleted_has_the_fields_that_distribution_3_always_writes() {
    let name = "a".parse().unwrap();
    let tag = "t".parse().unwrap();
    let untagged = written(event(Action::Delete, Target::untagged(&name, &tag)));
    let expected = json!({"mediaType": "", "digest": "", "size": 0, "repository": "a", "tag": "t"});
    assert_eq!(untagged["target"], expected);
    assert_eq!(untagged["actor"], json!({}));
}

/// Every action is written as filters name it.
#[test]
fn actions_have_one_name() {
    for action in Action::ALL {
        assert_eq!(serde_json::to_value(action).unwrap(), action.as_str());
    }
}
