//! `just watch`: the whole registry as a function on a developer's machine, through the programs
//! that developers of functions use.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use roadstead_tests::{Address, Image, Request, path_of, require, sha256, skip, tool};

#[test]
fn skopeo_pushes_and_pulls_through_cargo_lambda() {
    let skopeo = require!("skopeo");
    if roadstead_tests::lambda::is_front() {
        skip!("once is enough: with a socket or without, this is the same");
    }
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("emulators/watch.py");
    let mut watch = Command::new("python3")
        .arg(program)
        .args(["--built", "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let output = watch.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut said).unwrap();
    let port = match said.trim().split_once(' ') {
        Some(("READY", port)) => port.to_owned(),
        answer => {
            watch.wait().unwrap();
            match answer {
                Some(("SKIP", reason)) => skip!("{reason}"),
                _ => panic!("it says {said:?}"),
            }
        }
    };
    let image = Image::large(11, 5_000_000);
    push_and_pull(&skopeo, &format!("127.0.0.1:{port}"), &image);
    // It ends when its standard input does.
    drop(watch.stdin.take());
    assert!(watch.wait().unwrap().success());
}

fn push_and_pull(skopeo: &Path, host: &str, image: &Image) {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    image.write_layout(&source, "latest");
    let source = format!("oci:{}:latest", source.display());
    let reference = format!("docker://{host}/a/b:latest");
    let target = directory.path().join("target");
    let pulled = format!("oci:{}:latest", target.display());
    let push = ["copy", "--dest-tls-verify=false", &source, &reference];
    tool::run(skopeo, push).success();
    let pull = ["copy", "--src-tls-verify=false", &reference, &pulled];
    tool::run(skopeo, pull).success();
    for blob in image.blobs() {
        let digest = sha256(blob);
        let file = target.join("blobs/sha256").join(&digest["sha256:".len()..]);
        assert!(std::fs::read(file).unwrap() == *blob, "{digest}");
    }
    let address = Address::Tcp(host.parse().unwrap());
    let manifest = Request::new(address, "GET", path_of("/v2/a/b/manifests/latest"));
    let manifest = manifest.header("Accept", image.media_type()).send();
    assert!(manifest.expect(200).body == image.manifest());
}
