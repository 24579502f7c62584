//! Real clients: what they push they pull, with the same digests.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use roadstead_tests::image::{DOCKER_MANIFEST, OCI_MANIFEST};
use roadstead_tests::{Image, Registry, require, sha256, tool, wait};
use serde_json::Value;

/// The manifest that an OCI layout directory has under its only entry.
fn layout_manifest(directory: &Path) -> Vec<u8> {
    let index: Value =
        serde_json::from_slice(&std::fs::read(directory.join("index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"]
        .as_str()
        .expect("an entry in the layout")
        .to_owned();
    std::fs::read(directory.join("blobs").join(digest.replace(':', "/"))).unwrap()
}

fn skopeo(program: &Path, arguments: &[&str]) -> tool::Outcome {
    tool::run(program, [&["--insecure-policy"], arguments].concat())
}

#[test]
fn skopeo_copies_an_image_in_and_out() {
    let program = require!("skopeo");
    let registry = Registry::start();
    let image = Image::seeded(1);
    let scratch = registry.store().scratch();
    image.write_layout(&scratch.join("in"), "latest");
    let (source, target) = (
        format!("oci:{}:latest", scratch.join("in").display()),
        format!("docker://{}/app:v1", registry.host()),
    );
    skopeo(
        &program,
        &["copy", "--dest-tls-verify=false", &source, &target],
    )
    .success();
    assert_eq!(
        registry
            .get_manifest("app", "v1")
            .need("docker-content-digest"),
        image.digest()
    );
    registry.assert_pullable("app", "v1", &image);
    let back = format!("oci:{}:latest", scratch.join("out").display());
    skopeo(
        &program,
        &["copy", "--src-tls-verify=false", &target, &back],
    )
    .success();
    assert_eq!(layout_manifest(&scratch.join("out")), image.manifest());
    let inspected = skopeo(&program, &["inspect", "--tls-verify=false", &target]).success();
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["Digest"], image.digest());
    assert_eq!(inspected["RepoTags"], serde_json::json!(["v1"]));
}

#[test]
fn skopeo_copies_between_repositories_and_deletes() {
    let program = require!("skopeo");
    let registry = Registry::start();
    let image = Image::docker(2);
    registry.push_image("from/here", "v1", &image);
    let name = |repository: &str| format!("docker://{}/{repository}", registry.host());
    let flags = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    skopeo(
        &program,
        &[&flags[..], &[&name("from/here:v1"), &name("to/there:v2")]].concat(),
    )
    .success();
    registry.assert_pullable("to/there", "v2", &image);
    let listed = skopeo(
        &program,
        &["list-tags", "--tls-verify=false", &name("to/there")],
    )
    .success();
    assert!(listed.contains("\"v2\""), "{listed}");
    skopeo(
        &program,
        &["delete", "--tls-verify=false", &name("to/there:v2")],
    )
    .success();
    let _ = registry.get_manifest("to/there", "v2").expect(404);
    registry.assert_pullable("from/here", "v1", &image);
}

#[test]
fn skopeo_copies_an_index_with_all_its_images() {
    let program = require!("skopeo");
    let registry = Registry::start();
    let (amd64, arm64) = (Image::seeded(3), Image::seeded(4));
    let index = Image::index(&[&amd64, &arm64]);
    for child in [&amd64, &arm64] {
        registry.push_image("from", &child.digest(), child);
    }
    registry.push_image("from", "multi", &index);
    let name = |repository: &str| format!("docker://{}/{repository}", registry.host());
    let flags = [
        "copy",
        "--all",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
    ];
    skopeo(
        &program,
        &[&flags[..], &[&name("from:multi"), &name("to:multi")]].concat(),
    )
    .success();
    registry.assert_pullable("to", "multi", &index);
    for child in [&amd64, &arm64] {
        registry.assert_pullable("to", &child.digest(), child);
    }
}

#[test]
fn skopeo_converts_between_image_formats() {
    let program = require!("skopeo");
    let registry = Registry::start();
    registry.push_image("app", "oci", &Image::seeded(5));
    let name = |tag: &str| format!("docker://{}/app:{tag}", registry.host());
    let flags = [
        "copy",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        "--format",
        "v2s2",
    ];
    skopeo(
        &program,
        &[&flags[..], &[&name("oci"), &name("docker")]].concat(),
    )
    .success();
    assert_eq!(
        registry
            .get_manifest("app", "docker")
            .expect(200)
            .need("content-type"),
        DOCKER_MANIFEST
    );
    assert_eq!(
        registry
            .get_manifest("app", "oci")
            .expect(200)
            .need("content-type"),
        OCI_MANIFEST
    );
}

/// Podman and Buildah without any of the machine's state.
pub(crate) fn containers(program: &Path, state: &Path, arguments: &[&str]) -> tool::Outcome {
    let mut command = Command::new(program);
    command
        .arg("--root")
        .arg(state.join("root"))
        .arg("--runroot")
        .arg(state.join("run"));
    command.args(["--storage-driver", "vfs"]).args(arguments);
    command
        .env("HOME", state)
        .env("XDG_RUNTIME_DIR", state.join("xdg"))
        .env("TMPDIR", state);
    for directory in ["xdg", ".config/containers"] {
        std::fs::create_dir_all(state.join(directory)).unwrap();
    }
    let policy = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
    std::fs::write(state.join(".config/containers/policy.json"), policy).unwrap();
    tool::finish(command)
}

/// Leaves the test when it runs as an ordinary user, for whom these clients need user namespaces and `/etc/subuid`.
macro_rules! require_root {
    () => {
        if !rustix::process::geteuid().is_root() {
            roadstead_tests::skip!("this client is run as root only");
        }
    };
}
pub(crate) use require_root;

/// Pulls an image, pushes it under another name, and compares what a client sees.
fn pull_and_push(program: &Path) {
    let registry = Registry::start();
    let image = Image::seeded(6);
    registry.push_image("from", "v1", &image);
    let state = registry.store().scratch().join("state");
    let run = |arguments: &[&str]| containers(program, &state, arguments).success();
    let (from, to) = (
        format!("{}/from:v1", registry.host()),
        format!("{}/to:v2", registry.host()),
    );
    run(&["pull", "--tls-verify=false", &from]);
    run(&["tag", &from, &to]);
    run(&["push", "--tls-verify=false", &to]);
    // The layers may be compressed anew; the configuration is the image's identity.
    let config = |repository: &str, tag: &str| {
        registry.get_manifest(repository, tag).expect(200).json()["config"]["digest"].clone()
    };
    assert_eq!(config("to", "v2"), config("from", "v1"));
    run(&["rmi", "--all", "--force"]);
    run(&["pull", "--tls-verify=false", &to]);
}

#[test]
fn podman_pulls_and_pushes() {
    require_root!();
    pull_and_push(&require!("podman"));
}

#[test]
fn buildah_pulls_and_pushes() {
    require_root!();
    pull_and_push(&require!("buildah"));
}

#[test]
fn buildah_pushes_an_image_that_it_built() {
    require_root!();
    let program = require!("buildah");
    let registry = Registry::start();
    let state = registry.store().scratch().join("state");
    let run = |arguments: &[&str]| containers(&program, &state, arguments).success();
    let container = run(&["from", "scratch"]).trim().to_owned();
    let file = registry.store().scratch().join("file");
    std::fs::write(&file, "built").unwrap();
    run(&["copy", &container, file.to_str().unwrap(), "/file"]);
    run(&["commit", &container, "built"]);
    let name = format!("{}/built:v1", registry.host());
    let digests = registry.store().scratch().join("digest");
    run(&[
        "push",
        "--tls-verify=false",
        "--digestfile",
        digests.to_str().unwrap(),
        "built",
        &format!("docker://{name}"),
    ]);
    let answer = registry.get_manifest("built", "v1").expect(200);
    assert_eq!(
        answer.need("docker-content-digest"),
        std::fs::read_to_string(digests).unwrap().trim()
    );
    run(&["rmi", "--all", "--force"]);
    run(&["pull", "--tls-verify=false", &name]);
}

/// A containerd of its own, which ends with the test.
pub(crate) struct Containerd {
    child: Child,
    ctr: PathBuf,
    socket: PathBuf,
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Containerd {
    /// Starts one below `scratch`; `None`, and why, where it does not run.
    pub(crate) fn start(daemon: &Path, ctr: &Path, scratch: &Path) -> Result<Self, String> {
        let (socket, log) = (
            scratch.join("containerd.sock"),
            scratch.join("containerd.log"),
        );
        let config = format!(
            "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\n[grpc]\naddress = \"{1}\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n",
            scratch.display(),
            socket.display()
        );
        std::fs::write(scratch.join("containerd.toml"), config).unwrap();
        let log_file = std::fs::File::create(&log).unwrap();
        let child = Command::new(daemon)
            .arg("--config")
            .arg(scratch.join("containerd.toml"))
            .stdin(Stdio::null())
            .stdout(log_file.try_clone().unwrap())
            .stderr(log_file)
            .spawn()
            .unwrap();
        let mut daemon = Self {
            child,
            ctr: ctr.to_owned(),
            socket,
        };
        let ready = wait::until("containerd to answer", || {
            let ended = daemon.child.try_wait().unwrap().is_some();
            let answers = !ended && daemon.run(&["version"]).status.success();
            (ended || answers).then_some(answers)
        });
        if ready {
            return Ok(daemon);
        }
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        Err(said.lines().last().unwrap_or_default().to_owned())
    }

    /// Runs its client.
    pub(crate) fn run(&self, arguments: &[&str]) -> tool::Outcome {
        let address = ["--address", self.socket.to_str().unwrap()];
        tool::run(&self.ctr, [&address, arguments].concat())
    }
}

#[test]
fn containerd_pulls_and_pushes() {
    let (daemon, ctr) = (require!("containerd"), require!("ctr"));
    require_root!();
    let registry = Registry::start();
    let daemon = match Containerd::start(&daemon, &ctr, registry.store().scratch()) {
        Ok(daemon) => daemon,
        Err(why) => roadstead_tests::skip!("containerd does not run here: {why}"),
    };
    let run = |arguments: &[&str]| daemon.run(arguments);
    for (tag, image) in [("oci", Image::seeded(7)), ("docker", Image::docker(8))] {
        registry.push_image("from", tag, &image);
        let (from, to) = (
            format!("{}/from:{tag}", registry.host()),
            format!("{}/to:{tag}", registry.host()),
        );
        // Fetching does not unpack, so no snapshotter has to work here.
        run(&["content", "fetch", "--plain-http", &from]).success();
        let listed = run(&["images", "list"]).success();
        assert!(listed.contains(&image.digest()), "{listed}");
        run(&["images", "tag", &from, &to]).success();
        run(&["images", "push", "--plain-http", &to]).success();
        registry.assert_pullable("to", tag, &image);
    }
}

#[test]
fn an_image_made_by_umoci_goes_in_and_out() {
    let (umoci, program) = (require!("umoci"), require!("skopeo"));
    let registry = Registry::start();
    let scratch = registry.store().scratch();
    let layout = scratch.join("made");
    let image = format!("{}:latest", layout.display());
    std::fs::write(scratch.join("file"), "made").unwrap();
    tool::run(&umoci, ["init", "--layout", layout.to_str().unwrap()]).success();
    tool::run(&umoci, ["new", "--image", &image]).success();
    tool::run(
        &umoci,
        [
            "insert",
            "--image",
            &image,
            scratch.join("file").to_str().unwrap(),
            "/file",
        ],
    )
    .success();
    let manifest = layout_manifest(&layout);
    let target = format!("docker://{}/made:v1", registry.host());
    skopeo(
        &program,
        &[
            "copy",
            "--dest-tls-verify=false",
            &format!("oci:{image}"),
            &target,
        ],
    )
    .success();
    let answer = registry.get_manifest("made", "v1").expect(200);
    assert_eq!(answer.need("docker-content-digest"), sha256(&manifest));
    let back = format!("oci:{}:latest", scratch.join("out").display());
    skopeo(
        &program,
        &["copy", "--src-tls-verify=false", &target, &back],
    )
    .success();
    assert_eq!(layout_manifest(&scratch.join("out")), manifest);
    tool::run(
        &umoci,
        [
            "stat",
            "--image",
            &format!("{}:latest", scratch.join("out").display()),
        ],
    )
    .success();
}

#[test]
fn curl_pulls_without_knowing_anything_about_images() {
    let program = require!("curl");
    let registry = Registry::start();
    let image = Image::seeded(9);
    registry.push_image("app", "latest", &image);
    let url = format!("http://{}/v2/app/manifests/latest", registry.host());
    let output = tool::run(&program, ["--silent", "--show-error", "--fail", &url]).success();
    assert_eq!(output.as_bytes(), image.manifest());
}
