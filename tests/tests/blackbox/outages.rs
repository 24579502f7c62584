//! What the stores do behind the registry's back: they fail, they answer too late or half, and two
//! registries share them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use roadstead_tests::faults::{Fate, Faults};
use roadstead_tests::registry::{Setup, free_address, with_query};
use roadstead_tests::{Image, Implementation, Registry, Response, Store, only_over, sha256, tool};
use serde_json::{Value, json};

const NO_STORE: &str = "there is no network between registry and store";

/// A registry that reaches its stores through a proxy.
fn harmed(store: &Store) -> (Registry, Faults) {
    let faults = Faults::before(store.service());
    let mut through = json!({"storage": {"s3": {"regionendpoint": faults.url()}}});
    if store.has_table() {
        through["metadata"] = json!({"dynamodb": {"endpoint": faults.url()}});
    }
    let setup = Setup::new(Implementation::Roadstead).store(store);
    (setup.config(through).start(), faults)
}

fn assert_outage(what: &str, answer: &Response) {
    assert_eq!(answer.status, 503, "{what}: {answer:?}");
    assert!(answer.header("retry-after").is_some(), "{what}: {answer:?}");
    assert!(!answer.text().contains("127.0.0.1"), "{what}: {answer:?}");
}

/// Nothing is "not found" as long as nobody can look.
fn an_outage_is_said_to_be_one(fate: Fate) {
    let store = Store::new();
    let (registry, faults) = harmed(&store);
    let (image, new) = (Image::seeded(1), Image::seeded(2));
    registry.push_image("app", "latest", &image);
    for blob in new.blobs() {
        registry.push_blob("app", blob);
    }
    let (digest, layer) = (image.digest(), sha256(&image.blobs()[1]));
    let location = registry.append(&registry.begin_upload("app"), b"con");
    let finish = with_query(&location, &format!("digest={}", sha256(b"content")));
    faults.rule(move |_| fate);
    let requests = [
        ("GET", "/v2/_catalog".to_owned()),
        ("GET", "/v2/app/tags/list".to_owned()),
        ("GET", "/v2/app/manifests/latest".to_owned()),
        ("HEAD", format!("/v2/app/manifests/{digest}")),
        ("GET", format!("/v2/app/blobs/{layer}")),
        ("HEAD", format!("/v2/app/blobs/{layer}")),
        ("GET", format!("/v2/app/referrers/{digest}")),
        (
            "POST",
            format!("/v2/other/blobs/uploads/?mount={layer}&from=app"),
        ),
        ("POST", "/v2/app/blobs/uploads/".to_owned()),
        ("GET", location.clone()),
        ("PATCH", location.clone()),
        ("PUT", finish.clone()),
        ("PUT", "/v2/app/manifests/new".to_owned()),
    ];
    std::thread::scope(|scope| {
        for (method, target) in &requests {
            let body = match *method {
                "PATCH" | "PUT" if target.contains("/uploads/") => b"tent".to_vec(),
                "PUT" => new.manifest().to_vec(),
                _ => Vec::new(),
            };
            let request = registry.request(method, target).body(body);
            let request = request.header("Content-Type", new.media_type());
            scope.spawn(move || assert_outage(&format!("{method} {target}"), &request.send()));
        }
    });
    faults.rule(|_| Fate::Pass);
    registry.assert_pullable("app", "latest", &image);
    registry.push_image("app", "new", &new);
    registry.assert_pullable("app", "new", &new);
    let digest = registry.push_blob("app", b"content");
    let answer = registry.get(&format!("/v2/app/blobs/{digest}")).expect(200);
    assert_eq!(answer.text(), "content");
}

#[test]
fn a_store_that_fails_is_an_outage() {
    only_over!(S3 | Swift | S3Dynamodb: NO_STORE);
    an_outage_is_said_to_be_one(Fate::Fail);
}

#[test]
fn a_store_that_has_too_much_to_do_is_an_outage() {
    only_over!(S3 | Swift | S3Dynamodb: NO_STORE);
    an_outage_is_said_to_be_one(Fate::Throttle);
}

#[test]
fn a_store_that_cannot_be_reached_is_an_outage() {
    only_over!(S3 | Swift | S3Dynamodb: NO_STORE);
    an_outage_is_said_to_be_one(Fate::LoseRequest);
}

#[test]
fn a_store_that_asks_for_patience_once_is_asked_again() {
    only_over!(S3 | Swift | S3Dynamodb: NO_STORE);
    let store = Store::new();
    let (registry, faults) = harmed(&store);
    let mut seen = HashSet::new();
    faults.rule(move |request| match seen.insert(request.to_owned()) {
        true => Fate::Throttle,
        false => Fate::Pass,
    });
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    registry.assert_pullable("app", "latest", &image);
    assert!(
        registry
            .get("/v2/app/tags/list")
            .expect(200)
            .text()
            .contains("latest")
    );
}

/// Pushes until it is told yes: what a client does.
fn push(registry: &Registry, repository: &str, tag: &str, image: &Image) {
    for _ in 0..50 {
        if try_push(registry, repository, tag, image) {
            return;
        }
    }
    panic!("{repository}:{tag} cannot be pushed");
}

fn try_push(registry: &Registry, repository: &str, tag: &str, image: &Image) -> bool {
    for blob in image.blobs() {
        let digest = sha256(blob);
        let begun = registry
            .request("POST", &format!("/v2/{repository}/blobs/uploads/"))
            .send();
        if begun.status == 503 {
            return false;
        }
        let location = begun.expect(202).location();
        let (first, second) = blob.split_at(blob.len() / 2);
        let appended = registry.patch(&location, first);
        if appended.status != 202 {
            // After an answer that was lost on the way here, the bytes may be there already.
            assert!([409, 416, 503].contains(&appended.status), "{appended:?}");
            return false;
        }
        let pushed = registry.finish_upload(&appended.location(), &digest, second);
        if pushed.status != 201 {
            assert!([404, 409, 416, 503].contains(&pushed.status), "{pushed:?}");
            return false;
        }
        let stat = registry.head(&format!("/v2/{repository}/blobs/{digest}"));
        assert!([200, 503].contains(&stat.status), "a lost 201: {stat:?}");
    }
    let put = registry.put_manifest(repository, tag, image.media_type(), image.manifest());
    assert!([201, 503].contains(&put.status), "{put:?}");
    put.status == 201
}

/// A number that looks as if by chance, the same in each run.
fn chance(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    *state >> 33
}

#[test]
fn what_was_acknowledged_stays_however_the_stores_behave() {
    only_over!(S3 | Swift | S3Dynamodb: NO_STORE);
    let store = Store::new();
    let (registry, faults) = harmed(&store);
    let first = Image::seeded(1);
    registry.push_image("app", "first", &first);
    let mut state = 1;
    faults.rule(move |_| match chance(&mut state) % 20 {
        0 => Fate::Throttle,
        1 => Fate::Fail,
        2 => Fate::LoseRequest,
        3 => Fate::LoseAnswer,
        4 => Fate::HalfAnswer,
        _ => Fate::Pass,
    });
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let manifest = registry.get_manifest("app", "first");
                assert!([200, 503].contains(&manifest.status), "{manifest:?}");
                assert!(manifest.status == 503 || manifest.body == first.manifest());
                let tags = registry.get("/v2/app/tags/list");
                assert!([200, 503].contains(&tags.status), "{tags:?}");
                assert!(
                    tags.status == 503 || tags.text().contains("first"),
                    "{tags:?}"
                );
            }
        });
        let pushers: Vec<_> = (2..6)
            .map(|seed| {
                let registry = &registry;
                scope
                    .spawn(move || push(registry, "app", &format!("v{seed}"), &Image::seeded(seed)))
            })
            .collect();
        let pushed: Vec<_> = pushers.into_iter().map(|pusher| pusher.join()).collect();
        is_done.store(true, Ordering::Relaxed);
        readers.join().unwrap();
        pushed.into_iter().for_each(|pushed| pushed.unwrap());
    });
    faults.rule(|_| Fate::Pass);
    registry.assert_pullable("app", "first", &first);
    for seed in 2..6 {
        registry.assert_pullable("app", &format!("v{seed}"), &Image::seeded(seed));
    }
}

#[test]
fn garbage_collection_over_a_failing_store_deletes_no_content_in_use() {
    only_over!(S3 | Swift | S3Dynamodb: NO_STORE);
    let store = Store::new();
    let (registry, faults) = harmed(&store);
    let images: Vec<Image> = (1..5).map(Image::seeded).collect();
    for (number, image) in images.iter().enumerate() {
        registry.push_image(&format!("app/{number}"), "latest", image);
    }
    for worst in [2, 5, 20] {
        let mut state = worst;
        faults.rule(move |_| match chance(&mut state) % worst {
            0 => Fate::HalfAnswer,
            1 => Fate::Fail,
            _ => Fate::Pass,
        });
        // It may give up; what matters is what it leaves.
        let _either_way = collect(&store, Some(faults.url()));
        faults.rule(|_| Fate::Pass);
        for (number, image) in images.iter().enumerate() {
            registry.assert_pullable(&format!("app/{number}"), "latest", image);
        }
    }
}

fn collect(store: &Store, through: Option<&str>) -> tool::Outcome {
    let mut config = crate::garbage_collect::at_once();
    if let Some(url) = through {
        config["storage"]["s3"] = json!({"regionendpoint": url});
        if store.has_table() {
            config["metadata"] = json!({"dynamodb": {"endpoint": url}});
        }
    }
    collect_with(store, config)
}

fn collect_with(store: &Store, config: Value) -> tool::Outcome {
    let setup = Setup::new(Implementation::Roadstead)
        .store(store)
        .config(config);
    let path = setup.write_config(&free_address());
    tool::finish(setup.command(&["garbage-collect", "-q", path.to_str().unwrap()]))
}
