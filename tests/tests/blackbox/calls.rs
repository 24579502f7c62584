//! What is asked of the table and of the bucket for one request, once a registry is warm.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use roadstead_tests::faults::{Fate, Faults};
use roadstead_tests::image::noise;
use roadstead_tests::registry::Setup;
use roadstead_tests::store::Kind;
use roadstead_tests::{
    Image, Implementation, Response, Store, ministack, path_of, require_ministack, sha256,
};
use serde_json::json;

const MIB: usize = 1024 * 1024;

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
        for method in ["GET", "HEAD"] {
            let target = format!("/v2/a/b/blobs/{blob}");
            let (pulled, made) = calls.of(|| registry.request(method, &target).send());
            let _ = pulled.expect(307);
            assert!(!made.iter().any(|call| is_s3(call)), "{made:?}");
            assert!((1..=2).contains(&made.len()), "{made:?}");
        }
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
    let content: Vec<u8> = (0..12 << 20)
        .map(|at: u32| (at ^ (at >> 9)) as u8)
        .collect();
    let digest = sha256(&content);
    // The first upload that a process begins or ends finds out about the bucket.
    for (ending, is_first) in [(one, true), (other, true), (one, false), (other, false)] {
        let mut location = one.begin_upload("a/b");
        // As much as a function takes.
        for chunk in content.chunks(4 << 20) {
            location = one.append(&location, chunk);
        }
        let (pushed, made) = calls.of(|| ending.finish_upload(&location, &digest, b""));
        let _ = pushed.expect(201);
        assert!(is_first || made.len() == 4, "{made:?}");
        assert_eq!(other.blob_size("a/b", &digest), content.len());
    }
}

/// What docs/serverless.md and benches/costs.py count with, where they say what a push costs.
#[test]
fn a_push_through_the_upload_server_asks_for_what_the_estimate_says() {
    require_ministack!();
    let store = Store::of(Kind::S3Dynamodb);
    let faults = Faults::before(ministack::address().unwrap());
    let calls = Calls::through(&faults);
    let through = json!({
        "storage": {"s3": {"regionendpoint": faults.url(), "chunksize": 5 * MIB}},
        "metadata": {"dynamodb": {"endpoint": faults.url()}},
        "http": {"uploadorigin": "/"},
    });
    let setup = |implementation| {
        let setup = Setup::new(implementation).store(&store);
        setup.config(through.clone())
    };
    let uploads = setup(Implementation::Roadstead);
    let uploads = uploads.subcommand("uploads").start();
    let registry = setup(Implementation::Lambda).env("ROADSTEAD_UPLOADS", &uploads.host());
    let registry = registry.start();
    // The first push finds out what is remembered, as what conditional writes are worth.
    let warm = noise(0, 12 * MIB);
    let location = registry.append(&registry.begin_upload("a/b"), &warm);
    let _ = registry
        .finish_upload(&location, &sha256(&warm), b"")
        .expect(201);
    for seed in [1, 2] {
        let image = Image::seeded(seed);
        registry.push_image("a/b", &format!("other{seed}"), &image);
        let layer = noise(seed, 12 * MIB);
        let made = |request: &dyn Fn() -> Response, status| {
            let (response, made) = calls.of(request);
            (response.expect(status), summary(&made))
        };
        let begin = || registry.request("POST", "/v2/a/b/blobs/uploads/").send();
        let (begun, asked) = made(&begin, 202);
        assert_eq!(asked, ["1 PutItem"]);
        let location = begun.location();
        let append = || {
            let patch = registry.request("PATCH", path_of(&location));
            patch.body(&*layer).send()
        };
        let (appended, asked) = made(&append, 202);
        // Three parts, and the state of the upload.
        assert_eq!(
            asked,
            ["1 GET", "3 GetItem", "1 POST", "4 PUT", "1 UpdateItem"]
        );
        let location = appended.location();
        let finish = || registry.finish_upload(&location, &sha256(&layer), b"");
        let (_, asked) = made(&finish, 201);
        let expected = [
            "1 DELETE",
            "1 GET",
            "3 GetItem",
            "1 POST",
            "1 TransactWriteItems",
        ];
        assert_eq!(asked, expected);
        let push = || {
            let put = registry.request("PUT", "/v2/a/b/manifests/v1");
            let put = put.header("Content-Type", image.media_type());
            put.body(image.manifest()).send()
        };
        let (_, asked) = made(&push, 201);
        // Each blob is looked for before, with its size, and after.
        let blobs = image.blobs().len();
        let expected = [
            format!("{} GetItem", 3 * blobs),
            format!("{blobs} HEAD"),
            "1 TransactWriteItems".to_owned(),
        ];
        assert_eq!(asked, expected);
    }
}

/// How many of each kind: operations of DynamoDB by name, those of S3 by method.
fn summary(calls: &[String]) -> Vec<String> {
    let mut kinds = BTreeMap::<_, usize>::new();
    for call in calls {
        let kind = call.split(' ').next().unwrap_or_default();
        *kinds.entry(kind).or_default() += 1;
    }
    let counts = kinds.iter();
    counts
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect()
}
