//! Where the registry listens, and how it ends.

use roadstead_tests::client::Address;
use roadstead_tests::image::noise;
use roadstead_tests::registry::with_query;
use roadstead_tests::{Image, Implementation, Registry, only_over, sha256, wait};
use serde_json::json;

use super::setup;

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
