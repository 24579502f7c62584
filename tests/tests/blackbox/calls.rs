//! What is asked of the table and of the bucket for one request, once a registry is warm.

use std::sync::{Arc, Mutex};

use roadstead_tests::faults::{Fate, Faults};
use roadstead_tests::registry::Setup;
use roadstead_tests::store::Kind;
use roadstead_tests::{
    Image, Implementation, Response, Store, ministack, require_ministack, sha256,
};
use serde_json::json;

/// Operations of DynamoDB by their names, those of S3 by method and target.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn through(faults: &Faults) -> Self {
        let calls = Self::default();
        let counted = calls.clone();
        faults.rule(move |name| {
            counted.0.lock().unwrap().push(name.to_owned());
            Fate::Pass
        });
        calls
    }

    /// Those that `request` makes.
    fn of(&self, request: impl Fn() -> Response) -> (Response, Vec<String>) {
        self.0.lock().unwrap().clear();
        let response = request();
        let calls = std::mem::take(&mut *self.0.lock().unwrap());
        (response, calls)
    }
}

fn is_s3(call: &str) -> bool {
    call.contains(' ')
}

#[test]
fn a_pull_is_one_read_of_the_table_and_none_of_the_bucket() {
    require_ministack!();
    let store = Store::of(Kind::S3Dynamodb);
    let faults = Faults::before(ministack::address().unwrap());
    let calls = Calls::through(&faults);
    let through = json!({
        "storage": {"s3": {"regionendpoint": faults.url()}, "redirect": {"disable": false}},
        "metadata": {"dynamodb": {"endpoint": faults.url()}},
    });
    let setup = Setup::new(Implementation::Lambda).store(&store);
    let registry = setup.config(through).start();
    let image = Image::seeded(1);
    registry.push_image("a/b", "v1", &image);
    let (blob, digest) = (sha256(&image.blobs()[0]), image.digest());
    // Twice: the first one of a kind may find out something that is remembered.
    for _ in 0..2 {
        for reference in ["v1", &digest] {
            for method in ["GET", "HEAD"] {
                let target = format!("/v2/a/b/manifests/{reference}");
                let (pulled, made) = calls.of(|| registry.request(method, &target).send());
                let _ = pulled.expect(200);
                assert_eq!(made, ["GetItem"], "{method} {reference}");
            }
        }
        let (pulled, made) = calls.of(|| registry.get(&format!("/v2/a/b/blobs/{blob}")));
        let _ = pulled.expect(307);
        assert!(!made.iter().any(|call| is_s3(call)), "{made:?}");
        assert!((1..=2).contains(&made.len()), "{made:?}");
    }
}

#[test]
fn an_upload_in_parts_is_ended_by_four_calls_to_the_bucket() {
    require_ministack!();
    let store = Store::of(Kind::S3);
    let faults = Faults::before(ministack::address().unwrap());
    let calls = Calls::through(&faults);
    let through = json!({"storage": {"s3": {"regionendpoint": faults.url()}}});
    let registries = [(); 2].map(|()| {
        let setup = Setup::new(Implementation::Roadstead).store(&store);
        setup.config(through.clone()).start()
    });
    let [one, other] = &registries;
    for registry in &registries {
        // The first chunk that a process stores finds out about the bucket.
        let chunk = registry.append(&registry.begin_upload("a/b"), b"chunk");
        let finished = registry.finish_upload(&chunk, &sha256(b"chunk"), b"");
        let _ = finished.expect(201);
    }
    let content: Vec<u8> = (0..12 << 20)
        .map(|at: u32| (at ^ (at >> 9)) as u8)
        .collect();
    let digest = sha256(&content);
    for (ending, expected) in [(one, 4), (other, 5)] {
        let location = one.append(&one.begin_upload("a/b"), &content);
        let (pushed, made) = calls.of(|| ending.finish_upload(&location, &digest, b""));
        let _ = pushed.expect(201);
        assert_eq!(made.len(), expected, "{made:?}");
        let pulled = other.get(&format!("/v2/a/b/blobs/{digest}")).expect(200);
        assert!(pulled.body == content);
    }
}
