//! Messages as they are written: kept connections, framing, heads, and what is bent or broken.

use roadstead_tests::image::noise;
use roadstead_tests::registry::with_query;
use roadstead_tests::{Registry, path_of, sha256};

#[test]
fn a_client_may_ask_before_it_sends() {
    let registry = Registry::start();
    let content = noise(4, 100_000);
    let target = with_query(
        &registry.begin_upload("app"),
        &format!("digest={}", sha256(&content)),
    );
    let request = registry
        .request("PUT", &target)
        .header("Expect", "100-continue")
        .body(&*content);
    let mut connection = registry.connect();
    connection.send(request.head()).unwrap();
    assert_eq!(connection.receive_head().unwrap().status, 100);
    connection.send(&content).unwrap();
    let created = connection.receive("PUT").unwrap().expect(201);
    assert!(registry.get(&created.location()).expect(200).body == content);
}

#[test]
fn many_requests_share_a_connection() {
    let registry = Registry::start();
    let digest = registry.push_blob("app", b"content");
    let mut connection = registry.connect();
    let ask = |target: &str| {
        registry
            .request("GET", target)
            .header("Connection", "keep-alive")
            .bytes()
    };
    // Two at once, then an error, then one more.
    let pipelined = [
        ask(&format!("/v2/app/blobs/{digest}")),
        ask("/v2/app/manifests/none"),
        ask("/v2/"),
    ]
    .concat();
    connection.send(pipelined).unwrap();
    assert_eq!(
        connection.receive("GET").unwrap().expect(200).body,
        b"content"
    );
    let _ = connection.receive("GET").unwrap().expect(404);
    let _ = connection.receive("GET").unwrap().expect(200);
    connection.send(ask("/v2/")).unwrap();
    let _ = connection.receive("GET").unwrap().expect(200);
}

#[test]
fn a_refused_push_leaves_the_connection_in_step() {
    let registry = Registry::start();
    let mut connection = registry.connect();
    let body = b"GET /v2/_catalog HTTP/1.1\r\nHost: x\r\n\r\n";
    let push = registry
        .request("PUT", "/v2/UPPER/manifests/x")
        .header("Connection", "keep-alive")
        .body(body);
    connection.send(push.bytes()).unwrap();
    let _ = connection.receive("PUT").unwrap().expect_refusal();
    // Either the connection is closed, or the body was skipped: it must not be taken for a request.
    let probe = registry.request("GET", "/v2/nowhere/tags/list").bytes();
    if connection.send(probe).is_ok()
        && let Ok(answer) = connection.receive("GET")
    {
        let _ = answer.expect(404);
    }
}

#[test]
fn an_old_client_is_served() {
    let registry = Registry::start();
    let mut connection = registry.connect();
    connection.send("GET /v2/ HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(
        connection.receive("GET").unwrap().expect(200).text().trim(),
        "{}"
    );
}

#[test]
fn a_target_may_be_written_in_full() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    let registry = Registry::start();
    let mut connection = registry.connect();
    connection
        .send(format!(
            "GET http://{0}/v2/ HTTP/1.1\r\nHost: {0}\r\nConnection: close\r\n\r\n",
            registry.host()
        ))
        .unwrap();
    let _ = connection.receive("GET").unwrap().expect(200);
}

/// Sends bytes and gives the statuses of all answers until the registry closes.
fn statuses(registry: &Registry, bytes: &str) -> Vec<u16> {
    let mut connection = registry.connect();
    // The registry may close before it has read everything.
    let _ = connection.send(bytes);
    let _ = connection.finish_sending();
    let mut statuses = Vec::new();
    while let Ok(answer) = connection.receive("GET") {
        statuses.push(answer.status);
    }
    statuses
}

#[test]
fn a_request_that_can_be_read_in_two_ways_is_refused() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    let registry = Registry::start();
    let begin = "POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n";
    for headers in [
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3, 4\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3 4\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Content-Length : 3\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "X: y\r\n Content-Length: 3\r\n",
        "X: a\0b\r\n",
    ] {
        let answers = statuses(
            &registry,
            &format!("{begin}{headers}\r\nabcGET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"),
        );
        // Nothing after such a head may be taken for a second request.
        assert!(answers.len() <= 1, "{headers:?}: {answers:?}");
        assert!(
            answers
                .iter()
                .all(|status| (400..=501).contains(status) && *status != 500),
            "{headers:?}: {answers:?}"
        );
    }
    let _ = registry.get("/v2/").expect(200);
}

/// Bytes that nobody decodes are not stored as if they were the blob (RFC 9112, section 6.1).
#[test]
fn a_transfer_coding_beside_chunked_is_not_implemented() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    let registry = Registry::start();
    let content = b"as if it were compressed";
    let push = |codings: &str| {
        let location = registry.begin_upload("app");
        let target = with_query(&location, &format!("digest={}", sha256(content)));
        let target = path_of(&target);
        let length = content.len();
        let mut request = format!(
            "PUT {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{codings}\r\n{length:x}\r\n"
        )
        .into_bytes();
        request.extend_from_slice(content);
        request.extend_from_slice(b"\r\n0\r\n\r\n");
        let mut connection = registry.connect();
        connection.send(request).unwrap();
        connection.receive("PUT").unwrap()
    };
    let blob = format!("/v2/app/blobs/{}", sha256(content));
    for codings in [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    ] {
        push(codings).expect_error(501, "UNSUPPORTED");
        let _ = registry.head(&blob).expect(404);
    }
    let _ = push("Transfer-Encoding: Chunked\r\n").expect(201);
    assert!(registry.get(&blob).expect(200).body == content);
}

/// As in Distribution: a digest is that of the bytes that come, whatever they are a coding of.
#[test]
fn a_content_coding_of_a_blob_is_its_clients_business() {
    let registry = Registry::start();
    let content = b"as if it were compressed";
    let digest = sha256(content);
    let location = registry.begin_upload("app");
    let request = registry.request("PUT", &with_query(&location, &format!("digest={digest}")));
    let request = request.header("Content-Encoding", "gzip").body(content);
    let _ = request.send().expect(201);
    let answer = registry.get(&format!("/v2/app/blobs/{digest}")).expect(200);
    assert!(answer.body == content);
    assert_eq!(answer.header("content-encoding"), None);
}

#[test]
fn a_request_names_one_host() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    let registry = Registry::start();
    for (hosts, status) in [
        ("", 400),
        ("Host: one\r\nHost: other\r\n", 400),
        ("Host: one\r\nHost: one\r\n", 400),
        ("Host: a b\r\n", 400),
        ("Host: a/b\r\n", 400),
        ("Host: a@b\r\n", 400),
        ("Host:\r\n", 200),
        ("Host: [::1]:5000\r\n", 200),
        ("Host: my_host.example.\r\n", 200),
        // As some clients call a unix socket.
        ("Host: %2Frun%2Froadstead.sock\r\n", 200),
    ] {
        let mut connection = registry.connect();
        let request = format!("GET /v2/ HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        connection.send(request).unwrap();
        let answer = connection.receive("GET").unwrap();
        assert_eq!(answer.status, status, "{hosts:?}");
    }
}

#[test]
fn chunks_that_lie_store_nothing() {
    let registry = Registry::start();
    for body in [
        "zz\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n",
        "ffffffffffffffffff\r\nabc",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
    ] {
        let location = registry.begin_upload("app");
        let target = with_query(&location, &format!("digest={}", sha256(b"abc")));
        let answers = statuses(
            &registry,
            &format!(
                "PUT {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
            ),
        );
        assert!(!answers.contains(&201), "{body:?}: {answers:?}");
        let _ = registry
            .get(&format!("/v2/app/blobs/{}", sha256(b"abc")))
            .expect(404);
    }
}

#[test]
fn heads_that_are_too_large_are_refused() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    let registry = Registry::start();
    let large = "x".repeat(2_000_000);
    let many: String = (0..5000)
        .map(|number| format!("X-{number}: y\r\n"))
        .collect();
    for head in [
        format!("GET /v2/ HTTP/1.1\r\nHost: x\r\nX: {large}\r\n\r\n"),
        format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        format!("GET /v2/{large} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("{large} /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    ] {
        let answers = statuses(&registry, &head);
        assert!(
            answers.iter().all(|status| (400..500).contains(status)),
            "{answers:?}"
        );
    }
    let _ = registry.get("/v2/").expect(200);
}

#[test]
fn what_is_not_http_does_not_disturb() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    let registry = Registry::start();
    for bytes in [
        "\0\0\0\0",
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}",
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET /v2/ HTTP/9.9\r\n\r\n",
        "\r\n\r\n\r\n",
    ] {
        let answers = statuses(&registry, bytes);
        assert!(
            answers
                .iter()
                .all(|status| [400, 404, 405, 505].contains(status)),
            "{bytes:?}: {answers:?}"
        );
    }
    let _ = registry.get("/v2/").expect(200);
}
