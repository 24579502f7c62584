//! What an event bus is sent, and what is made of its answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use roadstead_events::{Envelope, Event, EventBridge, EventBridgeOptions, Sink, Undelivered};
use serde_json::{Value, json};

use crate::kit::push;

/// One call: its head in lower case, and its body.
type Call = (String, Value);

/// Gives one answer after the other, to whoever asks.
fn bus(answers: &'static [(u16, &'static str)]) -> (EventBridge, Receiver<Call>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, calls) = channel();
    std::thread::spawn(move || {
        for (status, answer) in answers {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).unwrap();
            }
            let head = head.to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.unwrap().parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            sender
                .send((head, serde_json::from_slice(&body).unwrap()))
                .unwrap();
            let length = answer.len();
            let answer = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
            );
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    let options = EventBridgeOptions {
        bus: "bus".to_owned(),
        source: "source".to_owned(),
        region: "eu-west-1".to_owned(),
        endpoint: Some(endpoint),
        timeout: Duration::from_secs(60),
    };
    let session = Some("session".to_owned());
    let credentials = Credentials::new("AKID", "hush", session, None, "test");
    let credentials = SharedCredentialsProvider::new(credentials);
    (EventBridge::new(options, credentials).unwrap(), calls)
}

fn envelope(events: Vec<Event>) -> Envelope {
    Envelope {
        events: events.into_iter().map(Arc::new).collect(),
    }
}

const TAKEN: &str = r#"{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}"#;

#[tokio::test]
async fn a_call_is_signed_and_has_all_events() {
    let (bus, calls) = bus(&[(200, TAKEN)]);
    let envelope = envelope(vec![push(), push()]);
    bus.deliver(&envelope).await.unwrap();
    let (head, body) = calls.recv().unwrap();
    for line in [
        "post / http/1.1\r\n",
        "\r\nx-amz-target: awsevents.putevents\r\n",
        "\r\ncontent-type: application/x-amz-json-1.1\r\n",
        "\r\nx-amz-security-token: session\r\n",
        "\r\nauthorization: aws4-hmac-sha256 credential=akid/",
        "/eu-west-1/events/aws4_request",
    ] {
        assert!(head.contains(line), "{line:?} in {head}");
    }
    assert!(!head.contains("hush"));
    let entries = body["Entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    for (entry, event) in entries.iter().zip(&envelope.events) {
        let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        assert_eq!(detail, serde_json::to_value(&**event).unwrap());
        let rest = json!([
            entry["EventBusName"],
            entry["Source"],
            entry["DetailType"],
            entry["Time"]
        ]);
        assert_eq!(rest, json!(["bus", "source", EventBridge::DETAIL_TYPE, 0]));
    }
}

#[tokio::test]
async fn an_answer_that_is_not_a_success_for_every_event_is_an_error() {
    let refused = r#"{"FailedEntryCount":1,"Entries":[{"EventId":"1"},{"ErrorCode":"ThrottlingException","ErrorMessage":"slowly"}]}"#;
    let error = r#"{"__type":"com.amazonaws.events#AccessDeniedException","Message":"not you"}"#;
    let answers: &[(u16, &str)] = Box::leak(Box::new([
        (200, refused),
        (400, error),
        (200, "{"),
        (503, ""),
    ]));
    let (bus, _calls) = bus(answers);
    let mut said = Vec::new();
    for _ in answers {
        let error = bus
            .deliver(&envelope(vec![push(), push()]))
            .await
            .unwrap_err();
        said.push(error.to_string());
        assert!(!matches!(error, Undelivered::Request(_)), "{error:?}");
    }
    assert_eq!(
        said,
        [
            "1 of 2 events were refused: ThrottlingException: slowly",
            "the receiver answers 400: AccessDeniedException: not you",
            "the receiver does not answer",
            "the receiver answers 503",
        ]
    );
}

#[tokio::test]
async fn an_event_that_is_too_large_goes_without_its_references() {
    let (bus, calls) = bus(&[(200, TAKEN)]);
    let mut event = push();
    let manifest = json!({"layers": vec![json!({"mediaType": "x".repeat(1000), "digest": "d", "size": 1}); 300]});
    event.target.references =
        roadstead_events::Reference::listed_in(manifest.to_string().as_bytes());
    assert_eq!(event.target.references.len(), 300);
    bus.deliver(&envelope(vec![event.clone()])).await.unwrap();
    let (_, body) = calls.recv().unwrap();
    event.target.references.clear();
    let detail: Value =
        serde_json::from_str(body["Entries"][0]["Detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail, serde_json::to_value(&event).unwrap());
}
