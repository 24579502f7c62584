//! Clients that stop in the middle: what they hold is given back, and nobody else waits for it.

use std::time::{Duration, Instant};

use roadstead_tests::http2::{self, Frame};
use roadstead_tests::image::noise;
use roadstead_tests::{Connection, Registry, sha256, wait};
use serde_json::json;

const SOCKETS: &str = "it is about connections, which a gateway ends";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;

fn impatient() -> Registry {
    Registry::with(json!({ "http": { "stalltimeout": "300ms", "h2c": { "enabled": true } } }))
}

/// The next frame of one of these types on this stream.
fn next(connection: &mut Connection, stream: u32, kinds: &[u8]) -> Frame {
    loop {
        let frame = http2::receive(connection).expect("the connection stays");
        if frame.stream == stream && kinds.contains(&frame.kind) {
            return frame;
        }
    }
}

/// Goes on with an upload of which ten bytes were sent, as if nothing had happened.
#[track_caller]
fn assert_not_held(registry: &Registry, location: &str) {
    let status = wait::until("the upload to be let go", || {
        let status = registry.get(location);
        (status.status == 204).then_some(status)
    });
    let range = status.need("range").to_owned();
    let digest = match &*range {
        "0-9" => sha256(b"0123456789"),
        "0-0" => sha256(b""),
        other => panic!("{other}"),
    };
    let finished = registry.finish_upload(&status.location(), &digest, b"");
    let _ = finished.expect(201);
}

#[test]
fn a_body_that_stalls_is_given_up_and_its_upload_is_not() {
    roadstead_tests::only_by_socket!(SOCKETS);
    let registry = impatient();
    let location = registry.begin_upload("app");
    let request = registry.request("PATCH", &location);
    let head = request.header("Content-Length", "1000").head();
    let mut stalled = registry.connect();
    stalled
        .send([head.as_bytes(), b"0123456789"].concat())
        .unwrap();
    // An answer or none; but an end.
    let said = stalled.receive_to_end().expect("the connection ends");
    let said = String::from_utf8_lossy(&said);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    assert_not_held(&registry, &location);
}

#[test]
fn a_body_that_stalls_on_one_stream_ends_that_stream_alone() {
    roadstead_tests::only_by_socket!(SOCKETS);
    let registry = impatient();
    let location = registry.begin_upload("app");
    let mut connection = registry.connect();
    let begun = [
        http2::preface(),
        http2::begin(1, "PATCH", &location),
        http2::data(1, b"0123456789"),
    ];
    connection.send(begun.concat()).unwrap();
    // The end is a reset, after an answer that blames the client or without one.
    let mut ended = next(&mut connection, 1, &[HEADERS, RST_STREAM]);
    if ended.kind == HEADERS {
        ended = next(&mut connection, 1, &[RST_STREAM]);
    }
    assert_eq!(ended.kind, RST_STREAM);
    connection.send(http2::get(3, "/v2/")).unwrap();
    let other = next(&mut connection, 3, &[DATA]);
    assert_eq!(String::from_utf8_lossy(&other.payload).trim(), "{}");
    assert_not_held(&registry, &location);
}

#[test]
fn an_answer_that_nobody_takes_is_reset_and_the_others_are_not() {
    roadstead_tests::only_by_socket!(SOCKETS);
    let registry = impatient();
    let content = noise(31, 300_000);
    let path = format!("/v2/app/blobs/{}", registry.push_blob("app", &content));
    let mut connection = registry.connect();
    let asked = [
        http2::preface_with_shut_windows(),
        http2::get(1, &path),
        http2::get(3, &path),
        http2::opens_window(3, 1 << 20),
        http2::opens_window(0, 1 << 20),
    ];
    connection.send(asked.concat()).unwrap();
    let mut taken = Vec::new();
    let mut is_reset = false;
    while taken.len() < content.len() || !is_reset {
        let frame = http2::receive(&mut connection).expect("the connection stays");
        match (frame.stream, frame.kind) {
            (1, RST_STREAM) => is_reset = true,
            (1, DATA) => panic!("what nobody takes is sent"),
            (3, DATA) => taken.extend(frame.payload),
            (3, RST_STREAM) => panic!("what is taken is reset"),
            _ => {}
        }
    }
    assert!(taken == content);
    // The connection is as good as before.
    let again = [http2::get(5, &path), http2::opens_window(5, 1 << 20)];
    connection.send(again.concat()).unwrap();
    let first = next(&mut connection, 5, &[DATA, RST_STREAM]);
    assert_eq!(first.kind, DATA);
}

#[test]
fn an_upload_that_is_slow_and_steady_outlasts_the_limit() {
    roadstead_tests::only_by_socket!(SOCKETS);
    // Far more than the pauses below, on a busy machine too; and no more than the test can wait for.
    let limit = Duration::from_secs(3);
    let registry = Registry::with(json!({ "http": { "stalltimeout": "3s" } }));
    let content = noise(32, 200);
    let location = registry.begin_upload("app");
    let request = registry.request("PATCH", &location);
    let head = request.header("Content-Length", "200").head();
    let mut slow = registry.connect();
    slow.send(head).unwrap();
    let begun = Instant::now();
    let pause = (limit * 5 / 2) / 200;
    for byte in &content {
        slow.send([*byte]).unwrap();
        std::thread::sleep(pause);
    }
    assert!(begun.elapsed() > 2 * limit);
    let next = slow.receive("PATCH").unwrap().expect(202).location();
    let finished = registry.finish_upload(&next, &sha256(&content), b"");
    let _ = finished.expect(201);
}
