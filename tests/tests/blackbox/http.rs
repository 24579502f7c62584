//! The edge: the URLs that are built, the sockets that are served, and HTTP that is bent or broken (list C).

use std::io::ErrorKind;

use roadstead_tests::client::Address;
use roadstead_tests::image::noise;
use roadstead_tests::registry::{Setup, with_query};
use roadstead_tests::{Image, Implementation, Registry, http2, only_over, path_of, sha256, wait};
use serde_json::json;

fn setup() -> Setup {
    Setup::new(Implementation::Roadstead)
}

/// The `Location` of a new upload, as it stands in the header.
fn location(registry: &Registry, headers: &[(&str, &str)]) -> String {
    let request = registry.request("POST", "/v2/app/blobs/uploads/");
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(name, *value)
    });
    request.send().expect(202).need("location").to_owned()
}

#[test]
fn urls_are_built_from_what_the_client_and_its_proxies_say() {
    let registry = Registry::start();
    let own = format!("http://{}", registry.host());
    for (headers, origin) in [
        (&[][..], &*own),
        (
            &[("Host", "registry.example:5000")],
            "http://registry.example:5000",
        ),
        (
            &[("X-Forwarded-Proto", "https")],
            &own.replace("http:", "https:"),
        ),
        (
            &[
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "a.example"),
            ],
            "https://a.example",
        ),
        (
            &[("X-Forwarded-Host", "a.example, b.example")],
            "http://a.example",
        ),
        (
            &[("Forwarded", "proto=https;host=b.example")],
            "https://b.example",
        ),
        (
            &[(
                "Forwarded",
                "for=1.2.3.4; Proto=HTTPS; host=\"b.example:8443\", for=5.6.7.8",
            )],
            "https://b.example:8443",
        ),
        (
            &[("Forwarded", "host=\"[2001:db8::1]:8443\";proto=https")],
            "https://[2001:db8::1]:8443",
        ),
        (
            &[
                ("Forwarded", "proto=https;host=b.example"),
                ("X-Forwarded-Host", "a.example"),
            ],
            "https://b.example",
        ),
    ] {
        let location = location(&registry, headers);
        assert!(
            location
                .to_lowercase()
                .starts_with(&format!("{origin}/v2/app/blobs/uploads/")),
            "{headers:?}: {location}"
        );
    }
}

#[test]
fn a_client_that_is_no_trusted_proxy_forges_no_url() {
    roadstead_tests::only_by_socket!(
        "a gateway speaks TLS for functions, and says where a request is from"
    );
    for proxies in [json!([]), json!(["192.0.2.0/24", "unix"])] {
        let registry = Registry::with(json!({"http": {"trustedproxies": proxies}}));
        for headers in [
            &[
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "evil.example"),
            ][..],
            &[("Forwarded", "proto=https;host=evil.example")],
        ] {
            let location = location(&registry, headers);
            let own = format!("http://{}/v2/", registry.host());
            assert!(
                location.starts_with(&own),
                "{proxies} {headers:?}: {location}"
            );
        }
    }
}

#[test]
fn a_header_that_makes_no_sense_breaks_no_url() {
    let registry = Registry::start();
    for headers in [
        &[("X-Forwarded-Host", "a b")][..],
        &[("X-Forwarded-Host", "a/b")],
        &[("X-Forwarded-Host", "user@evil.example")],
        &[("X-Forwarded-Host", "\"<script>")],
        &[("X-Forwarded-Host", "")],
        &[("X-Forwarded-Proto", "javascript")],
        &[("X-Forwarded-Proto", "https,http")],
        &[("X-Forwarded-Proto", "")],
        &[("Forwarded", "")],
        &[("Forwarded", "=;=,,;host=")],
        &[("Forwarded", "host=\"unfinished")],
        &[("Forwarded", "host=a b;proto=x y")],
        &[("Forwarded", "proto=gopher;host=\"a\\\"b\"")],
        &[("Host", "")],
        &[("Host", "a b")],
    ] {
        let request = registry.request("POST", "/v2/app/blobs/uploads/");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(name, *value)
        });
        let answer = request.send();
        if answer.status == 400 {
            continue; // a request that names no host may be refused
        }
        let location = answer.expect(202).need("location").to_owned();
        assert!(
            path_of(&location).starts_with("/v2/app/blobs/uploads/"),
            "{headers:?}: {location}"
        );
        let scheme = location.split("://").next().unwrap_or_default();
        assert!(
            location.starts_with('/') || ["http", "https"].contains(&scheme),
            "{headers:?}: {location}"
        );
        for bad in [' ', '"', '<', '@', ','] {
            assert!(!location.contains(bad), "{headers:?}: {location}");
        }
    }
}

#[test]
fn the_operators_host_wins_over_every_header() {
    let registry = Registry::with(json!({"http": {"host": "https://registry.example"}}));
    for headers in [
        &[][..],
        &[
            ("X-Forwarded-Host", "evil.example"),
            ("Host", "evil.example"),
        ],
    ] {
        let location = location(&registry, headers);
        assert!(
            location.starts_with("https://registry.example/v2/app/blobs/uploads/"),
            "{location}"
        );
    }
    // And the upload it names goes on.
    let digest = registry.push_blob("app", b"content");
    assert_eq!(
        registry
            .get(&format!("/v2/app/blobs/{digest}"))
            .expect(200)
            .body,
        b"content"
    );
}

#[test]
fn relative_urls_name_no_host() {
    let registry = Registry::with(json!({"http": {"relativeurls": true}}));
    let location = location(&registry, &[("X-Forwarded-Host", "evil.example")]);
    assert!(location.starts_with("/v2/app/blobs/uploads/"), "{location}");
    registry.push_image("app", "latest", &Image::seeded(1));
    registry.assert_pullable("app", "latest", &Image::seeded(1));
}

#[test]
fn everything_moves_under_a_prefix() {
    for relative in [false, true] {
        let registry =
            Registry::with(json!({"http": {"prefix": "/some/where/", "relativeurls": relative}}));
        let _ = registry.get("/some/where/v2/").expect(200);
        for target in [
            "/v2/",
            "/somewhere/v2/",
            "/some/where/else/v2/",
            "/some/v2/",
        ] {
            let _ = registry.get(target).expect(404);
        }
        let begun = registry
            .request("POST", "/some/where/v2/app/blobs/uploads/")
            .send()
            .expect(202);
        let created = registry
            .finish_upload(&begun.location(), &sha256(b"content"), b"content")
            .expect(201);
        assert!(
            created.location().starts_with("/some/where/v2/app/blobs/"),
            "{created:?}"
        );
        assert_eq!(
            registry.get(&created.location()).expect(200).body,
            b"content"
        );
    }
}

#[test]
fn links_to_the_next_page_keep_the_prefix() {
    let registry = Registry::with(json!({"http": {"prefix": "/mirror/"}}));
    let image = Image::seeded(1);
    for blob in image.blobs() {
        let begun = registry
            .request("POST", "/mirror/v2/app/blobs/uploads/")
            .send()
            .expect(202);
        let _ = registry
            .finish_upload(&begun.location(), &sha256(blob), blob)
            .expect(201);
    }
    for tag in ["a", "b"] {
        let request = registry.request("PUT", &format!("/mirror/v2/app/manifests/{tag}"));
        let _ = request
            .header("Content-Type", image.media_type())
            .body(image.manifest())
            .send()
            .expect(201);
    }
    let link = registry
        .get("/mirror/v2/app/tags/list?n=1")
        .expect(200)
        .need("link")
        .to_owned();
    let next = link.split(['<', '>']).nth(1).unwrap();
    assert_eq!(
        registry.get(next).expect(200).json()["tags"],
        json!(["b"]),
        "{link}"
    );
}

#[test]
fn the_operators_headers_are_on_every_answer() {
    roadstead_tests::only_by_socket!("a function sends several values of a header as one list");
    let headers = json!({"X-Content-Type-Options": ["nosniff"], "X-Several": ["one", "two"]});
    let registry = Registry::with(json!({"http": {"headers": headers}}));
    registry.push_image("app", "latest", &Image::seeded(1));
    for target in [
        "/v2/",
        "/v2/app/tags/list",
        "/v2/app/manifests/latest",
        "/v2/app/manifests/other",
    ] {
        let answer = registry.get(target);
        assert_eq!(answer.need("x-content-type-options"), "nosniff", "{target}");
        let several: Vec<&str> = answer.headers_named("x-several").collect();
        assert!(
            [vec!["one", "two"], vec!["one, two"]].contains(&several),
            "{target}: {several:?}"
        );
    }
}

#[test]
fn the_root_answers_health_checks() {
    let registry = Registry::start();
    let answer = registry.get("/").expect(200);
    assert_eq!(
        (answer.body.len(), answer.need("cache-control")),
        (0, "no-cache")
    );
}

#[test]
fn a_unix_socket_is_served() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    let registry = setup().unix().start();
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    registry.assert_pullable("app", "latest", &image);
}

#[test]
fn a_socket_left_behind_is_replaced_and_another_file_is_not() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    let registry = setup().unix().start();
    let Address::Unix(path) = registry.address().clone() else {
        panic!("not a Unix socket")
    };
    let store = registry.kill();
    assert!(path.exists(), "the killed registry left its socket");
    let registry = setup().store(&store).unix().start();
    let _ = registry.get("/v2/").expect(200);
    drop(registry);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "somebody's file").unwrap();
    assert!(setup().store(&store).unix().try_start().is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's file");
}

/// What systemd does: bind the socket, name it in the environment, and become the service.
const ACTIVATE: &str = "
import os, socket, sys
host, port = sys.argv[1].rsplit(':', 1)
listener = socket.socket()
listener.bind((host, int(port)))
listener.listen()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
";

#[test]
fn a_socket_from_systemd_is_served_instead_of_the_configured_address() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    let python = roadstead_tests::require!("python3");
    let launcher = [python.to_str().unwrap(), "-c", ACTIVATE, "{address}"];
    let registry = setup()
        .config(json!({"http": {"addr": "127.0.0.1:1"}}))
        .launcher(&launcher)
        .start();
    registry.push_blob("app", b"content");
}

#[test]
fn an_address_in_use_ends_the_start_with_a_reason() {
    let registry = Registry::start();
    let taken = json!({"http": {"addr": registry.host()}});
    let said = match setup().config(taken).try_start() {
        Err(said) => said,
        Ok(_) => panic!("two registries on one port"),
    };
    assert!(
        said.to_lowercase().contains("address already in use"),
        "{said}"
    );
}

/// Sends the head of a push and half of the content; the registry is then in the middle of it.
fn push_half(registry: &Registry, content: &[u8]) -> roadstead_tests::Connection {
    let target = with_query(
        &registry.begin_upload("app"),
        &format!("digest={}", sha256(content)),
    );
    let request = registry.request("PUT", &target).body(content);
    let half = request.head().len() + content.len() / 2;
    let mut connection = registry.connect();
    connection.send(&request.bytes()[..half]).unwrap();
    // The first bytes have reached the disk: the request is being served.
    let uploads = registry.store().repository("app").join("_uploads");
    wait::until("the upload to arrive", || {
        let sessions = std::fs::read_dir(&uploads).ok()?.flatten();
        let arrived =
            sessions.filter_map(|session| std::fs::metadata(session.path().join("data")).ok());
        arrived
            .map(|data| data.len())
            .max()
            .filter(|&length| length > 0)
    });
    connection
}

#[test]
fn a_terminated_registry_finishes_what_it_has_begun() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::with(json!({"http": {"draintimeout": "60s"}}));
    let content = noise(1, 4_000_000);
    let mut upload = push_half(&registry, &content);
    let mut idle = registry.connect();
    idle.send(
        registry
            .request("GET", "/v2/")
            .header("Connection", "keep-alive")
            .bytes(),
    )
    .unwrap();
    let _ = idle.receive("GET").unwrap().expect(200);
    registry.terminate();
    let address = registry.address().clone();
    wait::until("new connections to be refused", || {
        let refused = roadstead_tests::Request::new(address.clone(), "GET", "/v2/")
            .try_send()
            .is_err();
        refused.then_some(())
    });
    upload.send(&content[content.len() / 2..]).unwrap();
    let created = upload.receive("PUT").unwrap().expect(201);
    let store = registry.store().clone();
    assert!(registry.wait().success());
    let registry = Registry::over(Implementation::Roadstead, &store);
    assert!(registry.get(&created.location()).expect(200).body == content);
}

#[test]
fn draining_ends_at_the_deadline() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::with(json!({"http": {"draintimeout": "100ms"}}));
    let _upload = push_half(&registry, &noise(2, 4_000_000));
    registry.terminate();
    assert!(
        !registry.wait().success(),
        "a request was cut off, and that is said"
    );
}

#[test]
fn without_draining_a_terminated_registry_ends_at_once() {
    roadstead_tests::only_by_socket!("it is about connections, which a gateway ends");
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let _upload = push_half(&registry, &noise(3, 4_000_000));
    registry.terminate();
    let _ = registry.wait();
}

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

#[test]
fn secrets_are_not_logged() {
    roadstead_tests::only_by_socket!("functions log in their own way");
    let registry =
        Registry::with(json!({"log": {"level": "debug", "accesslog": {"disabled": false}}}));
    let location = registry.append(&registry.begin_upload("app"), b"content");
    let state = location.split_once("_state=").unwrap().1.to_owned();
    let request = registry
        .request("GET", "/v2/")
        .header("Authorization", "Basic c2VjcmV0LXBhc3N3b3Jk");
    let _ = request.send().expect(200);
    let _ = registry
        .finish_upload(&location, &sha256(b"content"), b"")
        .expect(201);
    let line = wait::until("the access log", || {
        registry
            .stdout()
            .lines()
            .find(|line| line.contains("PUT "))
            .map(str::to_owned)
    });
    assert!(line.contains("201"), "{line}");
    for log in [registry.log(), registry.stdout()] {
        for secret in [
            "c2VjcmV0LXBhc3N3b3Jk",
            roadstead_tests::registry::SECRET,
            &*state,
        ] {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        }
    }
}

#[test]
fn a_line_break_in_a_request_makes_no_line_in_the_log() {
    roadstead_tests::only_by_socket!("functions log in their own way");
    let registry =
        Registry::with(json!({"log": {"level": "debug", "accesslog": {"disabled": false}}}));
    let request = registry.request("GET", "/v2/app/manifests/x%0aFORGED%0d%0aFORGED?%0aFORGED");
    let _ = request
        .header("User-Agent", "a\tFORGED\u{85}\u{2028}FORGED")
        .send()
        .expect_refusal();
    wait::until("the access log", || {
        registry.stdout().contains("manifests").then_some(())
    });
    for log in [registry.log(), registry.stdout()] {
        assert!(!log.lines().any(|line| line.starts_with("FORGED")), "{log}");
    }
}

#[test]
fn an_upload_that_trickles_in_is_taken() {
    let registry = Registry::start();
    let content = noise(6, 300);
    let target = with_query(
        &registry.begin_upload("app"),
        &format!("digest={}", sha256(&content)),
    );
    let request = registry.request("PUT", &target).body(&*content);
    let mut connection = registry.connect();
    for piece in request.bytes().chunks(3) {
        connection.send(piece).unwrap();
    }
    let _ = connection.receive("PUT").unwrap().expect(201);
}
