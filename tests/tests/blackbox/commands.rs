//! The command line and the configuration: Distribution's, so that a start script need not change.

use roadstead_tests::registry::{Setup, free_address};
use roadstead_tests::tool::{self, Outcome};
use roadstead_tests::{Image, Implementation, Registry, only_over, sha256};
use serde_json::json;

fn setup() -> Setup {
    Setup::new(Implementation::Roadstead)
}

fn run(setup: &Setup, arguments: &[&str]) -> Outcome {
    tool::finish(setup.command(arguments))
}

#[test]
fn the_version_is_one_line() {
    for flag in ["--version", "-v"] {
        let output = run(&setup(), &[flag]).success();
        assert_eq!(output.trim().lines().count(), 1, "{output}");
        assert!(output.contains("roadstead"), "{output}");
    }
}

#[test]
fn help_names_the_commands() {
    let output = run(&setup(), &["--help"]).success();
    for command in ["serve", "garbage-collect"] {
        assert!(output.contains(command), "{output}");
    }
}

#[test]
fn without_a_configuration_it_serves_the_default_and_says_where() {
    let store = roadstead_tests::Store::new();
    let address = free_address();
    let mut command = setup()
        .env("REGISTRY_HTTP_ADDR", &address.host())
        .command(&["serve"]);
    let log = store.scratch().join("log");
    command
        .current_dir(store.scratch())
        .stderr(std::fs::File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    let answer = roadstead_tests::wait::until("an answer or the end", || {
        let answer = roadstead_tests::Request::new(address.clone(), "GET", "/v2/")
            .try_send()
            .ok();
        (answer.is_some() || child.try_wait().unwrap().is_some()).then_some(answer)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let said = std::fs::read_to_string(log).unwrap();
    let _ = answer
        .unwrap_or_else(|| panic!("it ended: {said}"))
        .expect(200);
    for word in ["default", "storing in", &address.host()] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn a_mistake_in_the_configuration_ends_the_start_and_is_named() {
    only_over!(Filesystem: "it configures another driver");
    for (overrides, named) in [
        (json!({"version": "0.2"}), "0.2"),
        (json!({"version": null}), "version"),
        (json!({"storage": {"filesystem": null}}), "storage"),
        (json!({"storage": {"inmemory": {}}}), "storage"),
        (
            json!({"storage": {"filesystem": null, "floppy": {}}}),
            "floppy",
        ),
        (json!({"log": {"level": "loud"}}), "loud"),
        (json!({"http": {"net": "carrier-pigeon"}}), "carrier-pigeon"),
        (json!({"http": {"draintimeout": "soon"}}), "soon"),
        (json!({"tags": {"maxtags": -1}}), "maxtags"),
    ] {
        match setup().config(overrides).try_start() {
            Err(said) => assert!(said.contains(named), "{named}: {said}"),
            Ok(_) => panic!("it starts, although something is wrong with {named}"),
        }
    }
}

#[test]
fn a_file_that_is_no_yaml_ends_the_start() {
    roadstead_tests::only_by_socket!("the test looks at the words of the server");
    let setup = setup();
    let path = setup.write_config(&free_address());
    for text in ["", "version: [", "just text", "- a\n- list\n"] {
        std::fs::write(&path, text).unwrap();
        let outcome = run(&setup, &["serve", path.to_str().unwrap()]);
        assert_eq!(outcome.status.code(), Some(1), "{text:?}: {outcome:?}");
        assert!(
            outcome.stderr.contains(path.to_str().unwrap()),
            "{text:?}: {outcome:?}"
        );
    }
}

#[test]
fn a_variable_overrides_the_file() {
    let read_only = setup()
        .env("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")
        .start();
    let _ = read_only
        .request("POST", "/v2/app/blobs/uploads/")
        .send()
        .expect(405);
    let registry = setup()
        .env("REGISTRY_STORAGE_DELETE_ENABLED", "false")
        .env("REGISTRY_HTTP_HEADERS", "{X-From: [environment]}")
        .start();
    registry.push_image("app", "latest", &Image::seeded(1));
    let refused = registry
        .delete("/v2/app/manifests/latest")
        .expect_error(405, "UNSUPPORTED");
    assert_eq!(refused.need("x-from"), "environment");
}

#[test]
fn a_variable_may_name_the_configuration() {
    let setup = setup();
    let address = free_address();
    let path = setup.write_config(&address);
    let setup = setup.env("REGISTRY_CONFIGURATION_PATH", path.to_str().unwrap());
    let outcome = run(&setup, &["garbage-collect", "--dry-run"]).success();
    assert!(outcome.contains("0 blobs marked"), "{outcome}");
}

#[test]
fn the_configuration_that_debian_ships_is_served() {
    roadstead_tests::only_by_socket!("its address is not written as the front reads it");
    only_over!(Filesystem: "it looks at the files");
    let debians = "/etc/docker/registry/config.yml";
    let Ok(text) = std::fs::read_to_string(debians) else {
        roadstead_tests::skip!("there is no {debians}");
    };
    assert!(text.contains("filesystem"), "{text}");
    let store = roadstead_tests::Store::new();
    // Its store and its port are the machine's; the rest is taken as it is.
    let path = store.scratch().join("debian.yml");
    std::fs::write(&path, text).unwrap();
    let address = free_address();
    let setup = setup()
        .env(
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",
            store.root().to_str().unwrap(),
        )
        .env("REGISTRY_HTTP_ADDR", &address.host())
        .env("REGISTRY_AUTH", "none");
    let mut child = setup
        .command(&["serve", path.to_str().unwrap()])
        .spawn()
        .unwrap();
    let answer = roadstead_tests::wait::until("an answer or the end", || {
        let answer = roadstead_tests::Request::new(address.clone(), "GET", "/v2/")
            .try_send()
            .ok();
        (answer.is_some() || child.try_wait().unwrap().is_some()).then_some(answer)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let answer = answer.expect("it ended");
    assert!([200, 401].contains(&answer.status), "{answer:?}");
}

#[test]
fn memory_can_be_the_store() {
    only_over!(Filesystem: "it configures another driver");
    let registry = Registry::with(json!({"storage": {"filesystem": null, "inmemory": {}}}));
    let image = Image::seeded(2);
    registry.push_image("app", "latest", &image);
    registry.assert_pullable("app", "latest", &image);
    let location = registry.append(&registry.begin_upload("app"), b"con");
    let _ = registry
        .finish_upload(&location, &sha256(b"content"), b"tent")
        .expect(201);
    assert_eq!(registry.repositories(), ["app"]);
    assert_eq!(registry.store().tree(), Vec::<String>::new());
}
