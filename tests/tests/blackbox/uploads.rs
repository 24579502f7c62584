//! Upload sessions under strain: order, forgery, races, resumption (list C of the attacks).

use roadstead_tests::image::noise;
use roadstead_tests::registry::{SECRET, Setup, with_query};
use roadstead_tests::{Implementation, Registry, only_over, sha256, wait};
use serde_json::json;

fn ranged(
    registry: &Registry,
    location: &str,
    range: &str,
    chunk: &[u8],
) -> roadstead_tests::Response {
    let request = registry
        .request("PATCH", location)
        .header("Content-Range", range);
    request
        .header("Content-Type", "application/octet-stream")
        .body(chunk)
        .send()
}

/// A location whose `_state` is replaced.
fn with_state(location: &str, state: &str) -> String {
    let (path, _) = location
        .split_once("?_state=")
        .expect("a location with a state");
    format!("{path}?_state={state}")
}

#[test]
fn the_status_of_an_upload_says_where_to_go_on() {
    let registry = Registry::start();
    let location = registry.begin_upload("app");
    let empty = registry.get(&location).expect(204);
    assert_eq!(empty.need("range"), "0-0");
    let location = registry.append(&location, &noise(1, 100));
    for method in ["GET", "HEAD"] {
        let status = registry.request(method, &location).send().expect(204);
        assert_eq!(status.need("range"), "0-99");
        assert!(status.header("docker-upload-uuid").is_some());
    }
    let location = registry.get(&location).location();
    let _ = registry
        .finish_upload(&location, &sha256(&noise(1, 100)), b"")
        .expect(201);
}

#[test]
fn a_client_that_lost_its_state_can_ask_for_it() {
    let registry = Registry::start();
    let location = registry.append(&registry.begin_upload("app"), b"con");
    let (path, _) = location.split_once('?').unwrap();
    let status = registry.get(path).expect(204);
    assert_eq!(status.need("range"), "0-2");
    let _ = registry
        .finish_upload(&status.location(), &sha256(b"content"), b"tent")
        .expect(201);
}

#[test]
fn a_chunk_out_of_order_is_refused_with_the_place_to_go_on() {
    let registry = Registry::start();
    let content = noise(2, 300);
    let location = registry.begin_upload("app");
    let _ = ranged(&registry, &location, "100-199", &content[100..200])
        .expect_error(416, "RANGE_INVALID");
    let location = ranged(&registry, &location, "0-99", &content[..100])
        .expect(202)
        .location();
    for range in ["0-99", "99-198", "101-200", "200-299", "50-149"] {
        let refused = ranged(&registry, &location, range, &content[100..200])
            .expect_error(416, "RANGE_INVALID");
        assert_eq!(refused.need("range"), "0-99", "{range}");
        assert_eq!(
            registry.get(&refused.location()).expect(204).need("range"),
            "0-99",
            "{range}"
        );
    }
    let location = ranged(&registry, &location, "100-199", &content[100..200])
        .expect(202)
        .location();
    let request = registry.request(
        "PUT",
        &with_query(&location, &format!("digest={}", sha256(&content))),
    );
    let refused = request
        .header("Content-Range", "100-199")
        .body(&content[200..])
        .send();
    let refused = refused.expect_error(416, "RANGE_INVALID");
    let created = registry
        .finish_upload(&refused.location(), &sha256(&content), &content[200..])
        .expect(201);
    assert_eq!(registry.get(&created.location()).expect(200).body, content);
}

#[test]
fn a_range_that_lies_is_refused() {
    let registry = Registry::start();
    let location = registry.begin_upload("app");
    for range in [
        "0-98",
        "0-100",
        "0-0",
        "1-0",
        "0-",
        "-99",
        "a-b",
        "0",
        "",
        "0-99-100",
        "bytes=0-99",
        "0 - 99",
        "-1-98",
        "0-18446744073709551615",
        "18446744073709551615-18446744073709551616",
        "99999999999999999999999-1",
        "0x0-99",
    ] {
        let answer = ranged(&registry, &location, range, &noise(3, 100));
        assert!([400, 416].contains(&answer.status), "{range}: {answer:?}");
        assert_eq!(
            registry.get(&location).expect(204).need("range"),
            "0-0",
            "{range} was appended"
        );
    }
}

#[test]
fn a_replayed_location_is_refused_once_it_is_outdated() {
    let registry = Registry::start();
    let content = noise(4, 200);
    let first = registry.begin_upload("app");
    let second = registry.append(&first, &content[..100]);
    let refused = registry.patch(&first, &content[..100]).expect(416);
    assert_eq!(refused.need("range"), "0-99");
    let third = registry.append(&second, &content[100..]);
    let _ = registry.patch(&second, &content[100..]).expect(416);
    let _ = registry
        .finish_upload(&third, &sha256(&content), b"")
        .expect(201);
}

#[test]
fn a_forged_state_is_refused() {
    let registry = Registry::start();
    let location = registry.append(&registry.begin_upload("app"), b"content");
    let other = registry.begin_upload("app");
    let elsewhere = registry.begin_upload("elsewhere");
    let state = |location: &str| location.split_once("?_state=").unwrap().1.to_owned();
    let (mine, half) = (state(&location), state(&location)[..40].to_owned());
    let flipped = mine.replacen(&mine[..1], if mine.starts_with('A') { "B" } else { "A" }, 1);
    let digest = sha256(b"content");
    let forged = [
        String::new(),
        "x".to_owned(),
        half,
        flipped,
        state(&other),
        state(&elsewhere),
        "%00".to_owned(),
        "A".repeat(5000),
    ];
    for state in forged {
        let forged = with_state(&location, &state);
        for answer in [
            registry.patch(&forged, b"more"),
            registry.finish_upload(&forged, &digest, b""),
            registry.delete(&forged),
        ] {
            let answer = answer.expect(404);
            assert_eq!(
                answer.codes(),
                ["BLOB_UPLOAD_INVALID"],
                "{state}: {answer:?}"
            );
        }
    }
    let (path, _) = location.split_once('?').unwrap();
    let _ = registry
        .patch(path, b"more")
        .expect_error(404, "BLOB_UPLOAD_INVALID");
    let _ = registry
        .delete(path)
        .expect_error(404, "BLOB_UPLOAD_INVALID");
    let put = registry.finish_upload(path, &digest, b"");
    let _ = put.expect_error(404, "BLOB_UPLOAD_INVALID");
    let _ = registry.finish_upload(&location, &digest, b"").expect(201);
}

#[test]
fn an_upload_belongs_to_its_repository() {
    let registry = Registry::start();
    let location = registry.append(&registry.begin_upload("mine"), b"content");
    let stolen = location.replacen("/v2/mine/", "/v2/yours/", 1);
    let _ = registry.get(&stolen).expect(404);
    let _ = registry.patch(&stolen, b"more").expect(404);
    let _ = registry.delete(&stolen).expect(404);
    let _ = registry
        .finish_upload(&stolen, &sha256(b"content"), b"")
        .expect(404);
    let _ = registry
        .finish_upload(&location, &sha256(b"content"), b"")
        .expect(201);
}

#[test]
fn an_upload_that_is_over_is_unknown() {
    let registry = Registry::start();
    let finished = registry.append(&registry.begin_upload("app"), b"content");
    let _ = registry
        .finish_upload(&finished, &sha256(b"content"), b"")
        .expect(201);
    let cancelled = registry.append(&registry.begin_upload("app"), b"content");
    let _ = registry.delete(&cancelled).expect(204);
    for location in [finished, cancelled] {
        let _ = registry
            .get(&location)
            .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        let _ = registry
            .patch(&location, b"more")
            .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        let _ = registry
            .delete(&location)
            .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
}

#[test]
fn a_cancelled_upload_leaves_no_file() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    registry.push_blob("app", b"something else");
    let before = registry.store().tree();
    let location = registry.append(&registry.begin_upload("app"), &noise(5, 1000));
    let _ = registry.delete(&location).expect(204);
    let left: Vec<_> = registry
        .store()
        .tree()
        .into_iter()
        .filter(|name| !before.contains(name))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_finished_upload_leaves_no_session() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let location = registry.append(&registry.begin_upload("app"), &noise(6, 1000));
    let _ = registry
        .finish_upload(&location, &sha256(&noise(6, 1000)), b"")
        .expect(201);
    let left: Vec<_> = registry
        .store()
        .tree()
        .into_iter()
        .filter(|name| name.contains("_uploads/"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn content_that_is_not_what_was_announced_is_not_stored() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let location = registry.append(&registry.begin_upload("app"), b"what was ");
    let meant = sha256(b"what was meant");
    let _ = registry
        .finish_upload(&location, &meant, b"sent")
        .expect_error(400, "DIGEST_INVALID");
    for digest in [meant, sha256(b"what was sent")] {
        let _ = registry.get(&format!("/v2/app/blobs/{digest}")).expect(404);
        assert!(!registry.store().blob(&digest).exists());
    }
}

#[test]
fn an_upload_goes_on_after_a_restart() {
    let mut registry = Registry::start();
    let content = noise(7, 5000);
    let location = registry.append(&registry.begin_upload("app"), &content[..1234]);
    registry.kill_and_restart();
    let location = registry.append(&location, &content[1234..4000]);
    registry.kill_and_restart();
    let created = registry
        .finish_upload(&location, &sha256(&content), &content[4000..])
        .expect(201);
    assert_eq!(registry.get(&created.location()).expect(200).body, content);
}

#[test]
fn a_resumed_upload_is_checked_against_its_whole_content() {
    only_over!(Filesystem: "it looks at the files");
    let mut registry = Registry::start();
    let content = noise(8, 5000);
    let location = registry.append(&registry.begin_upload("app"), &content[..3000]);
    // What lies on disk changes behind the registry's back, and the hash state it kept is dropped.
    registry.kill_and_restart();
    let uploads = registry.store().repository("app").join("_uploads");
    let session = std::fs::read_dir(&uploads)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut stored = std::fs::read(session.join("data")).unwrap();
    stored[10] ^= 1;
    std::fs::write(session.join("data"), stored).unwrap();
    let _ = std::fs::remove_dir_all(session.join("hashstates"));
    let answer = registry.finish_upload(&location, &sha256(&content), &content[3000..]);
    let _ = answer.expect_error(400, "DIGEST_INVALID");
    let _ = registry
        .get(&format!("/v2/app/blobs/{}", sha256(&content)))
        .expect(404);
}

#[test]
fn registries_that_share_the_secret_share_their_uploads() {
    let one = Registry::start();
    let two = Registry::over(Implementation::Roadstead, one.store());
    let content = noise(9, 900);
    let location = one.append(&one.begin_upload("app"), &content[..300]);
    let location = two.append(&location, &content[300..600]);
    let created = one
        .finish_upload(&location, &sha256(&content), &content[600..])
        .expect(201);
    assert_eq!(two.get(&created.location()).expect(200).body, content);
}

#[test]
fn a_state_signed_with_another_secret_is_refused() {
    let one = Registry::start();
    let other = json!({"http": {"secret": format!("not {SECRET}")}});
    let two = Setup::new(Implementation::Roadstead)
        .store(one.store())
        .config(other)
        .start();
    let location = one.append(&one.begin_upload("app"), b"content");
    let _ = two
        .patch(&location, b"more")
        .expect_error(404, "BLOB_UPLOAD_INVALID");
    let _ = one
        .finish_upload(&location, &sha256(b"content"), b"")
        .expect(201);
}

#[test]
fn a_client_that_goes_away_can_come_back_at_every_point() {
    let registry = Registry::start();
    let content = noise(10, 200_000);
    let digest = sha256(&content);
    // Not 1: the answer for one byte, `0-0`, is also that for none, by Distribution's protocol.
    for (sent, announced) in [
        (0, true),
        (2, true),
        (70_000, true),
        (199_999, true),
        (70_000, false),
        (0, false),
    ] {
        let location = registry.begin_upload("app");
        let framing = if announced {
            "Content-Length: 200000"
        } else {
            "Transfer-Encoding: chunked"
        };
        let mut connection = registry.connect();
        connection
            .send(format!(
                "PATCH {location} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"
            ))
            .unwrap();
        if !announced {
            connection.send("30d40\r\n").unwrap();
        }
        connection.send(&content[..sent]).unwrap();
        drop(connection);
        // The registry notices in its own time; then what it kept is a beginning of what was sent.
        let (location, kept) = wait::until("the upload to accept more", || {
            let status = registry.get(&location);
            assert_eq!(status.status, 204, "{status:?}");
            let last: usize = status.need("range")[2..].parse().unwrap();
            let kept = if last == 0 { 0 } else { last + 1 };
            assert!(kept <= sent, "{kept} of {sent}");
            let next = ranged(
                &registry,
                &status.location(),
                &format!("{kept}-199999"),
                &content[kept..],
            );
            // It may have appended more in between.
            (next.status == 202).then(|| (next.location(), kept))
        });
        let created = registry.finish_upload(&location, &digest, b"").expect(201);
        assert!(
            registry.get(&created.location()).expect(200).body == content,
            "after {sent} bytes, {kept} kept"
        );
        let _ = registry.delete(&created.location()).expect(202);
    }
}

#[test]
fn a_client_that_missed_the_answer_can_push_again() {
    let registry = Registry::start();
    let content = noise(11, 1000);
    let digest = sha256(&content);
    let location = registry.begin_upload("app");
    let mut connection = registry.connect();
    let request = registry
        .request("PUT", &with_query(&location, &format!("digest={digest}")))
        .body(&*content);
    connection.send(request.bytes()).unwrap();
    drop(connection);
    registry.push_blob("app", &content);
    assert_eq!(
        registry
            .get(&format!("/v2/app/blobs/{digest}"))
            .expect(200)
            .body,
        content
    );
}

#[test]
fn parallel_chunks_on_one_upload_never_mix() {
    let registry = Registry::start();
    for round in 0..5 {
        let location = registry.begin_upload("app");
        let chunks: Vec<Vec<u8>> = (0..4)
            .map(|seed| noise(round * 10 + seed, 50_000))
            .collect();
        let accepted: Vec<(usize, String)> = std::thread::scope(|scope| {
            let send = |chunk: &Vec<u8>| registry.patch(&location, chunk);
            let running: Vec<_> = chunks
                .iter()
                .map(|chunk| scope.spawn(move || send(chunk)))
                .collect();
            let answers = running.into_iter().map(|thread| thread.join().unwrap());
            answers
                .enumerate()
                .inspect(|(_, answer)| {
                    assert!([202, 404, 409, 416].contains(&answer.status), "{answer:?}")
                })
                .filter(|(_, answer)| answer.status == 202)
                .map(|(position, answer)| (position, answer.location()))
                .collect()
        });
        assert_eq!(
            accepted.len(),
            1,
            "exactly one chunk begins at the start: {accepted:?}"
        );
        let (winner, location) = &accepted[0];
        let digest = sha256(&chunks[*winner]);
        let created = registry.finish_upload(location, &digest, b"").expect(201);
        assert!(registry.get(&created.location()).expect(200).body == chunks[*winner]);
    }
}

#[test]
fn parallel_chunks_through_two_registries_never_mix() {
    let one = Registry::start();
    let two = Registry::over(Implementation::Roadstead, one.store());
    for round in 0..25 {
        let location = one.begin_upload("app");
        let chunks = [
            noise(1000 + round * 2, 300_000),
            noise(1001 + round * 2, 300_000),
        ];
        let answers = std::thread::scope(|scope| {
            let first = scope.spawn(|| one.patch(&location, &chunks[0]));
            let second = scope.spawn(|| two.patch(&location, &chunks[1]));
            [first.join().unwrap(), second.join().unwrap()]
        });
        for (answer, chunk) in answers.iter().zip(&chunks) {
            assert!([202, 404, 409, 416].contains(&answer.status), "{answer:?}");
            if answer.status != 202 {
                continue;
            }
            // Whoever was told yes may be told no now; but what is stored is what its digest says.
            let digest = sha256(chunk);
            let closed = one.finish_upload(&answer.location(), &digest, b"");
            assert!([201, 400, 404, 416].contains(&closed.status), "{closed:?}");
            let stored = one.get(&format!("/v2/app/blobs/{digest}"));
            assert_eq!(stored.status == 200, closed.status == 201, "{stored:?}");
            assert!(
                closed.status != 201 || stored.body == *chunk,
                "round {round}: damaged content is stored"
            );
        }
    }
}

#[test]
fn two_registries_that_close_one_upload_both_tell_the_truth() {
    let one = Registry::start();
    let two = Registry::over(Implementation::Roadstead, one.store());
    for round in 0..25 {
        let content = noise(2000 + round, 20_000);
        let digest = sha256(&content);
        let location = one.append(&one.begin_upload("app"), &content);
        let statuses = std::thread::scope(|scope| {
            let first = scope.spawn(|| one.finish_upload(&location, &digest, b"").status);
            let second = scope.spawn(|| two.finish_upload(&location, &digest, b"").status);
            [first.join().unwrap(), second.join().unwrap()]
        });
        assert!(statuses.contains(&201), "{statuses:?}");
        assert!(
            statuses
                .iter()
                .all(|status| [201, 404, 409, 416].contains(status)),
            "{statuses:?}"
        );
        assert!(two.get(&format!("/v2/app/blobs/{digest}")).expect(200).body == content);
    }
}

#[test]
fn two_clients_that_close_one_upload_both_learn_the_truth() {
    let registry = Registry::start();
    for round in 0..25 {
        let content = noise(100 + round, 20_000);
        let digest = sha256(&content);
        let location = registry.append(&registry.begin_upload("app"), &content);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let close = || registry.finish_upload(&location, &digest, b"").status;
            let running = [scope.spawn(close), scope.spawn(close)];
            running
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(statuses.contains(&201), "{statuses:?}");
        assert!(
            statuses
                .iter()
                .all(|status| [201, 404, 409, 416].contains(status)),
            "{statuses:?}"
        );
        assert!(
            registry
                .get(&format!("/v2/app/blobs/{digest}"))
                .expect(200)
                .body
                == content
        );
    }
}

#[test]
fn a_cancel_that_races_with_the_close_leaves_a_whole_blob_or_none() {
    let registry = Registry::start();
    for round in 0..5 {
        let content = noise(200 + round, 20_000);
        let digest = sha256(&content);
        let location = registry.append(&registry.begin_upload("app"), &content);
        let closed = std::thread::scope(|scope| {
            let close = scope.spawn(|| registry.finish_upload(&location, &digest, b"").status);
            let cancelled = registry.delete(&location).status;
            assert!([204, 404, 409, 416].contains(&cancelled), "{cancelled}");
            close.join().unwrap()
        });
        let answer = registry.get(&format!("/v2/app/blobs/{digest}"));
        match closed {
            201 => assert!(answer.expect(200).body == content),
            _ => assert_eq!(answer.status, 404, "{closed}: {answer:?}"),
        }
    }
}

#[test]
fn a_body_shorter_than_announced_is_never_taken_for_the_whole() {
    let registry = Registry::start();
    let content = noise(12, 1000);
    let location = registry.begin_upload("app");
    let target = with_query(&location, &format!("digest={}", sha256(&content[..500])));
    let mut connection = registry.connect();
    connection
        .send(format!(
            "PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        ))
        .unwrap();
    connection.send(&content[..500]).unwrap();
    connection.finish_sending().unwrap();
    if let Ok(answer) = connection.receive("PUT") {
        assert_ne!(answer.status, 201, "{answer:?}");
    }
    let _ = registry
        .get(&format!("/v2/app/blobs/{}", sha256(&content[..500])))
        .expect(404);
}

#[test]
fn a_made_up_upload_is_unknown() {
    let registry = Registry::start();
    registry.push_blob("app", b"content");
    for id in [
        "00000000-0000-4000-8000-000000000000",
        "x",
        "..",
        "%2e%2e",
        "a%2fb",
        &"x".repeat(300),
    ] {
        let answer = registry.get(&format!("/v2/app/blobs/uploads/{id}"));
        assert!([400, 404].contains(&answer.status), "{id}: {answer:?}");
    }
}

#[test]
fn a_form_does_not_swallow_the_content() {
    // Distribution reads parameters from a form body, and so loses the content of such a chunk.
    let registry = Registry::start();
    let location = registry.begin_upload("app");
    let request = registry
        .request("PATCH", &location)
        .header("Content-Type", "application/x-www-form-urlencoded");
    let answer = request.body("a=b&c=d").send();
    let kept = registry.get(&location).expect(204).need("range").to_owned();
    match answer.status {
        202 => assert_eq!(kept, "0-6"),
        status => assert!([400, 415].contains(&status) && kept == "0-0", "{answer:?}"),
    }
}

#[test]
fn an_old_upload_is_purged_and_a_young_one_is_not() {
    roadstead_tests::only_by_socket!("functions purge by schedule: see the module lambda");
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let old = registry.append(&registry.begin_upload("app"), b"old");
    let young = registry.append(&registry.begin_upload("app"), b"young");
    let id = |location: &str| location.split(['/', '?']).nth(5).unwrap().to_owned();
    let store = registry.kill();
    let session = |location: &str| store.repository("app").join("_uploads").join(id(location));
    std::fs::write(session(&old).join("startedat"), "2020-01-01T00:00:00Z").unwrap();
    let purging =
        json!({"enabled": true, "age": "24h", "interval": "24h", "dryrun": false, "delay": "0s"});
    let config = json!({"storage": {"maintenance": {"uploadpurging": purging}}});
    let registry = Setup::new(Implementation::Roadstead)
        .store(&store)
        .config(config)
        .start();
    wait::until("the old upload to be purged", || {
        (!session(&old).exists()).then_some(())
    });
    assert!(session(&young).exists());
    let _ = registry
        .finish_upload(&young, &sha256(b"young"), b"")
        .expect(201);
}

#[test]
fn a_refusal_arrives_although_the_client_is_still_sending() {
    roadstead_tests::only_by_socket!("a gateway takes the whole body first");
    let registry = Registry::start();
    let body = vec![7; 32 * 1024 * 1024];
    for _ in 0..5 {
        let mut connection = registry.connect();
        let head = format!(
            "PATCH /v2/app/blobs/uploads/none HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        connection.send(head).unwrap();
        connection.send(&body).unwrap();
        let answer = connection.receive("PATCH").unwrap();
        assert_eq!(answer.status, 404, "{answer:?}");
    }
}
