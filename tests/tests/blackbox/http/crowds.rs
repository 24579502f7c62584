//! Clients that hold on to connections, streams and files.

use std::io::ErrorKind;

use roadstead_tests::{Image, Registry, http2};
use serde_json::json;

use super::setup;

#[test]
fn clients_that_say_nothing_more_do_not_keep_others_out() {
    let registry = Registry::start();
    let stalled: Vec<_> = (0..200)
        .map(|number| {
            let mut connection = registry.connect();
            let beginning = [
                "",
                "GET",
                "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-",
                "PUT /v2/a/manifests/b HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
            ];
            connection
                .send(beginning[number % beginning.len()])
                .unwrap();
            connection
        })
        .collect();
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    registry.assert_pullable("app", "latest", &image);
    drop(stalled);
}

#[test]
fn a_client_that_never_ends_its_head_is_hung_up_on() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    let registry = Registry::with(json!({"http": {"readheadertimeout": "200ms"}}));
    for beginning in ["", "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-"] {
        let mut connection = registry.connect();
        connection.send(beginning).unwrap();
        let said = connection
            .receive_to_end()
            .expect("the connection is closed");
        let said = String::from_utf8_lossy(&said);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    }
    let _ = registry.get("/v2/").expect(200);
}

#[test]
fn running_out_of_files_is_not_the_end() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    let limited = ["sh", "-c", "ulimit -n 64; exec \"$@\"", "sh"];
    let mut registry = setup().launcher(&limited).start();
    let digest = registry.push_blob("app", b"content");
    let crowd: Vec<_> = (0..150).map(|_| registry.connect()).collect();
    // Connections wait in the kernel's queue now, and the registry has no file left to take them.
    let mut late = registry.connect();
    late.send(
        registry
            .request("GET", &format!("/v2/app/blobs/{digest}"))
            .bytes(),
    )
    .unwrap();
    drop(crowd);
    let answer = late.receive("GET").unwrap();
    assert!([200, 500, 503].contains(&answer.status), "{answer:?}");
    assert_eq!(
        registry
            .get(&format!("/v2/app/blobs/{digest}"))
            .expect(200)
            .body,
        b"content"
    );
    assert!(registry.is_running());
}

fn h2c() -> Registry {
    Registry::with(json!({"http": {"h2c": {"enabled": true}}}))
}

#[test]
fn http2_without_tls_is_served_when_asked_for() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    let registry = h2c();
    let mut connection = registry.connect();
    connection
        .send([http2::preface(), http2::get(1, "/v2/")].concat())
        .unwrap();
    let headers = wait_for_frame(&mut connection, 1).expect("an answer");
    assert_eq!(headers.stream, 1);
    // The first field is `:status 200` from the static table, maybe after a change of the table's size.
    assert!(headers.payload.contains(&0x88), "{headers:?}");
    let data = wait_for_frame(&mut connection, 0).expect("a body");
    assert_eq!(String::from_utf8_lossy(&data.payload).trim(), "{}");
    // HTTP/1.1 goes on beside it.
    let _ = registry.get("/v2/").expect(200);
}

#[test]
fn http2_without_tls_is_not_served_unasked() {
    let registry = Registry::start();
    let mut connection = registry.connect();
    let _ = connection.send([http2::preface(), http2::get(1, "/v2/")].concat());
    let head = connection.receive_exactly(9);
    assert!(head.is_err() || head.is_ok_and(|bytes| bytes.starts_with(b"HTTP/1.1 ")));
    let _ = registry.get("/v2/").expect(200);
}

/// The next frame of a type, or nothing when the registry hangs up first.
fn wait_for_frame(connection: &mut roadstead_tests::Connection, kind: u8) -> Option<http2::Frame> {
    loop {
        match http2::receive(connection) {
            Ok(frame) if frame.kind == kind => return Some(frame),
            Ok(_) => {}
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "the registry stalls");
                return None;
            }
        }
    }
}

/// Whether the registry says that it has had enough, or just ends the connection.
fn is_given_up(connection: &mut roadstead_tests::Connection) -> bool {
    const GOAWAY: u8 = 7;
    loop {
        match http2::receive(connection) {
            Ok(frame) if frame.kind == GOAWAY => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn streams_opened_and_reset_at_once_do_not_keep_others_out() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    let registry = h2c();
    let mut connection = registry.connect();
    let mut bytes = http2::preface();
    for stream in (1..20_000).step_by(2) {
        bytes.extend(http2::get(stream, "/v2/_catalog"));
        bytes.extend(http2::reset(stream));
    }
    let hung_up = connection.send(&bytes).is_err() || is_given_up(&mut connection);
    assert!(hung_up, "ten thousand resets were put up with");
    registry.push_image("app", "latest", &Image::seeded(1));
    let _ = registry.get("/v2/").expect(200);
}

#[test]
fn headers_that_go_on_for_ever_end_the_connection() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    let registry = h2c();
    let mut connection = registry.connect();
    let mut bytes = [http2::preface(), http2::get_unfinished(1, "/v2/")].concat();
    for index in 0..100_000 {
        bytes.extend(http2::continuation(1, index));
    }
    let refused = connection.send(&bytes).is_err() || is_given_up(&mut connection);
    assert!(refused, "eleven megabytes of headers were taken");
    let _ = registry.get("/v2/").expect(200);
}
