//! Who may do what: every route, every verb, every role.

use roadstead_tests::registry::{Implementation, Setup};
use roadstead_tests::users::{self, ANN, BOB, ROOT, User, by};
use roadstead_tests::{Image, Registry, Response, Store, digest, only_over, sha256, wait};
use serde_json::{Value, json};

/// `private` is a repository that only ann and root may read, `public` one that everybody may;
/// `absent/...` are names under which nothing was ever pushed, with the same rules.
fn rules() -> Value {
    json!({
        "groups": [{ "name": "readers", "users": ["bob"] }],
        "rules": [
            { "users": ["root"], "repositories": ["**"], "allow": ["pull", "push", "delete", "list"] },
            { "users": ["ann"], "repositories": ["private", "absent/private"], "allow": ["pull", "push", "list"] },
            { "groups": ["readers"], "repositories": ["public"], "allow": ["list"], "deny": ["push"] },
            { "users": ["*"], "repositories": ["home/${user}/**"], "allow": ["pull", "push"] },
            { "anonymous": true, "repositories": ["public", "absent/public"], "allow": ["pull"] },
        ],
    })
}

/// A registry with an image in each repository.
fn registry() -> (Registry, Image) {
    let store = Store::new();
    let image = Image::seeded(700);
    let open = Registry::over(Implementation::Roadstead, &store);
    for repository in ["private", "public", "home/ann/app"] {
        open.push_image(repository, "v1", &image);
    }
    drop(open);
    (guarded(&store), image)
}

fn guarded(store: &Store) -> Registry {
    let config = json!({ "auth": users::htpasswd(store), "access": rules() });
    Setup::new(Implementation::Roadstead)
        .store(store)
        .config(config)
        .start()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Needs {
    Nothing,
    Login,
    Pull,
    Push,
    Delete,
    List,
}

const ROLES: [Option<User>; 4] = [None, Some(ANN), Some(BOB), Some(ROOT)];

fn may(user: Option<User>, repository: &str, needs: Needs) -> bool {
    let name = user.map(|user| user.name);
    match (needs, name) {
        (Needs::Nothing, _) | (_, Some("root")) => true,
        (Needs::Login, name) => name.is_some(),
        (Needs::List, name) => name.is_some(),
        (Needs::Pull, name) => repository == "public" || name == Some("ann"),
        (Needs::Push, name) => repository == "private" && name == Some("ann"),
        (Needs::Delete, _) => false,
    }
}

/// Everything that can be asked of a repository, with what it needs.
fn requests(repository: &str, image: &Image) -> Vec<(&'static str, String, Needs)> {
    let (manifest, layer) = (image.digest(), sha256(&image.blobs()[1]));
    let absent = digest::absent('e');
    let at = |path: &str| format!("/v2/{repository}/{path}");
    let mut requests = Vec::new();
    for path in [
        "tags/list".to_owned(),
        "tags/list?n=1".to_owned(),
        "manifests/v1".to_owned(),
        "manifests/v2".to_owned(),
        format!("manifests/{manifest}"),
        format!("manifests/{absent}"),
        format!("blobs/{layer}"),
        format!("blobs/{absent}"),
        format!("referrers/{manifest}"),
        "blobs/uploads/no-upload".to_owned(),
    ] {
        for (method, needs) in [
            ("GET", Needs::Pull),
            ("HEAD", Needs::Pull),
            ("PUT", Needs::Push),
            ("POST", Needs::Push),
            ("PATCH", Needs::Push),
            ("DELETE", Needs::Delete),
            ("FETCH", Needs::Login),
            ("OPTIONS", Needs::Nothing),
        ] {
            requests.push((method, at(&path), needs));
        }
    }
    requests.push(("POST", at("blobs/uploads/"), Needs::Push));
    requests
}

fn send(registry: &Registry, method: &str, target: &str, user: Option<User>) -> Response {
    by(registry.request(method, target), user).send()
}

fn is_refused(response: &Response, user: Option<User>) -> bool {
    match user {
        None => response.status == 401,
        Some(_) => response.status == 403,
    }
}

#[test]
fn every_route_verb_and_role() {
    let (registry, image) = registry();
    for repository in ["private", "public"] {
        for (method, target, needs) in requests(repository, &image) {
            for user in ROLES {
                // What would change something is only sent by those who may not.
                let allowed = may(user, repository, needs);
                let changes = matches!(method, "DELETE" | "POST");
                if allowed && changes {
                    continue;
                }
                let response = send(&registry, method, &target, user);
                let context = format!("{user:?} {method} {target}: {response:?}");
                assert_eq!(is_refused(&response, user), !allowed, "{context}");
                assert_eq!(
                    response.header("www-authenticate"),
                    (response.status == 401).then_some(r#"Basic realm="a realm""#),
                    "{context}"
                );
            }
        }
    }
    for (method, target, needs) in [
        ("GET", "/", Needs::Nothing),
        ("GET", "/v2", Needs::Nothing),
        ("GET", "/v2/", Needs::Login),
        ("HEAD", "/v2/", Needs::Login),
        ("DELETE", "/v2/", Needs::Login),
        ("GET", "/v2/_catalog", Needs::List),
        ("HEAD", "/v2/_catalog", Needs::List),
        ("DELETE", "/v2/_catalog", Needs::List),
        ("GET", "/auth/token", Needs::Nothing),
        ("GET", "/auth/keys", Needs::Nothing),
        ("OPTIONS", "/v2/", Needs::Nothing),
        ("OPTIONS", "/v2/_catalog", Needs::Nothing),
    ] {
        for user in ROLES {
            // Ann's home is hers, and bob's is his: whoever logs in may list, if only nothing.
            let listed = needs != Needs::List || user.is_some();
            let response = send(&registry, method, target, user);
            let refused = matches!(response.status, 401 | 403);
            let expected = may(user, "", needs) && listed;
            assert_eq!(
                refused, !expected,
                "{user:?} {method} {target}: {response:?}"
            );
        }
    }
    for user in ROLES {
        let whole = send(&registry, "GET", "/v2/public/manifests/v1", user);
        assert_eq!(whole.expect(200).body, image.manifest());
    }
}

/// What a client can see of an answer, but for the time and the name, which are as long.
fn visible(response: &Response, repository: &str) -> Vec<String> {
    let shown = format!("{response:?}").replace(repository, "NAME");
    let lines = shown.lines().filter(|line| !line.starts_with("date:"));
    lines.map(str::to_owned).collect()
}

#[test]
fn whoever_may_not_read_a_repository_cannot_tell_it_from_nothing() {
    let (registry, image) = registry();
    let there = requests("private", &image);
    let nothing = requests("nothing", &image);
    for ((method, there, needs), (_, nothing, _)) in there.into_iter().zip(nothing) {
        for user in [None, Some(BOB)] {
            if may(user, "private", needs) {
                continue;
            }
            assert_eq!(
                visible(&send(&registry, method, &there, user), "private"),
                visible(&send(&registry, method, &nothing, user), "nothing"),
                "{user:?} {method} {there}"
            );
        }
    }
}

#[test]
fn the_catalog_shows_what_its_reader_may_read() {
    let (registry, _) = registry();
    let listed = |user: User| {
        let mut names = Vec::new();
        let mut next = Some("/v2/_catalog?n=1".to_owned());
        while let Some(target) = next {
            let page = send(&registry, "GET", &target, Some(user)).expect(200);
            let page_names = roadstead_tests::registry::strings(&page.json()["repositories"]);
            assert!(page_names.len() <= 1, "{page:?}");
            names.extend(page_names);
            next = page.header("link").map(|link| {
                let target = link.trim_start_matches('<').split_once('>').unwrap().0;
                target.to_owned()
            });
        }
        names
    };
    assert_eq!(listed(ROOT), ["home/ann/app", "private", "public"]);
    assert_eq!(listed(ANN), ["private"]);
    assert_eq!(listed(BOB), ["public"]);
    send(&registry, "GET", "/v2/_catalog", None).expect_error(401, "UNAUTHORIZED");
}

#[test]
fn a_blob_is_mounted_from_where_its_pusher_may_read() {
    let (registry, image) = registry();
    let layer = sha256(&image.blobs()[1]);
    let mount = |user: User, from: &str| {
        let home = format!("home/{}/new", user.name);
        let target = format!("/v2/{home}/blobs/uploads/?mount={layer}{from}");
        let status = send(&registry, "POST", &target, Some(user)).status;
        let stat = send(
            &registry,
            "HEAD",
            &format!("/v2/{home}/blobs/{layer}"),
            Some(user),
        );
        (status, stat.status)
    };
    assert_eq!(
        mount(BOB, "&from=private"),
        (202, 404),
        "bob may not read it"
    );
    assert_eq!(
        mount(BOB, "&from=gone"),
        (202, 404),
        "as if it were not there"
    );
    assert_eq!(mount(BOB, "&from=home/ann/app"), (202, 404));
    assert_eq!(mount(BOB, "&from=public"), (201, 200));
    assert_eq!(mount(ANN, "&from=private"), (201, 200));
}

#[test]
fn a_mount_from_anywhere_looks_only_where_its_pusher_may_read() {
    let store = Store::new();
    let image = Image::seeded(701);
    let open = Registry::over(Implementation::Roadstead, &store);
    open.push_image("private", "v1", &image);
    drop(open);
    let registry = guarded(&store);
    let layer = sha256(&image.blobs()[1]);
    for (user, expected) in [(BOB, 202), (ANN, 201)] {
        let target = format!("/v2/home/{}/new/blobs/uploads/?mount={layer}", user.name);
        let _ = send(&registry, "POST", &target, Some(user)).expect(expected);
    }
}

#[test]
fn a_refused_push_changes_nothing() {
    only_over!(Filesystem: "it looks at the files");
    let (registry, image) = registry();
    let before = registry.store().files();
    for user in [None, Some(BOB)] {
        let body = by(registry.request("PUT", "/v2/private/manifests/v9"), user)
            .header("Content-Type", image.media_type())
            .body(image.manifest())
            .send();
        assert!(is_refused(&body, user), "{body:?}");
        let layer = sha256(b"x");
        let target = format!("/v2/private/blobs/uploads/?digest={layer}");
        let upload = by(registry.request("POST", &target), user).body("x").send();
        assert!(is_refused(&upload, user), "{upload:?}");
        let deleted = send(&registry, "DELETE", "/v2/private/manifests/v1", user);
        assert!(is_refused(&deleted, user), "{deleted:?}");
    }
    assert_eq!(registry.store().files(), before);
}

#[test]
fn rules_that_cannot_be_meant_do_not_start() {
    for (access, message) in [
        (
            json!({ "rules": [{ "users": ["a"], "repositories": ["x"] }] }),
            "decides nothing",
        ),
        (
            json!({ "rules": [{ "repositories": ["x"], "allow": ["pull"] }] }),
            "nobody",
        ),
        (
            json!({ "rules": [{ "users": ["a"], "allow": ["pull"] }] }),
            "no repository",
        ),
        (
            json!({ "rules": [{ "users": ["a"], "repositories": ["X"], "allow": ["pull"] }] }),
            "matches no repository",
        ),
        (
            json!({ "rules": [{ "users": ["a"], "repositories": ["x"], "allow": ["read"] }] }),
            "is no action",
        ),
        (
            json!({ "rules": [{ "groups": ["g"], "repositories": ["x"], "allow": ["pull"] }] }),
            "not defined",
        ),
        (json!({ "groups": [] }), "rules or path is missing"),
        (
            json!({ "path": "/nowhere/rules.yml" }),
            "/nowhere/rules.yml",
        ),
    ] {
        let setup = Setup::new(Implementation::Roadstead).config(json!({ "access": access }));
        let said = setup.try_start().err().expect("it must not start");
        assert!(said.contains(message), "{message}: {said}");
    }
}

/// CVE-2025-23208: who is taken out of a group loses what the group may do.
#[test]
fn a_file_of_rules_that_changes_counts_at_once() {
    roadstead_tests::only_by_socket!("each function looks at its files in its own time");
    let store = Store::new();
    let path = store.scratch().join("rules.yml");
    let allow = |user: &str| {
        let rules = format!(
            "groups: [{{ name: readers, users: [{user}] }}]\n\
             rules: [{{ groups: [readers], repositories: [a], allow: [pull] }}]\n"
        );
        std::fs::write(&path, rules).unwrap();
    };
    allow("ann");
    let config = json!({ "auth": users::htpasswd(&store), "access": { "path": path } });
    let setup = Setup::new(Implementation::Roadstead).store(&store);
    let registry = setup.config(config).start();
    let status = |user| send(&registry, "GET", "/v2/a/tags/list", Some(user)).status;
    assert_eq!((status(ANN), status(BOB)), (404, 403));
    allow("bob");
    wait::until("bob to be let in", || (status(BOB) == 404).then_some(()));
    assert_eq!(status(ANN), 403);
    std::fs::write(
        &path,
        "rules: [{ users: [ann], repositories: [a], alow: [pull] }]",
    )
    .unwrap();
    wait::until("the broken rules to be noticed", || {
        assert_eq!(
            (status(ANN), status(BOB)),
            (403, 404),
            "the old rules count on"
        );
        registry.log().contains("unknown key").then_some(())
    });
    allow("ann");
    wait::until("ann to be back", || (status(ANN) == 404).then_some(()));
    let mut command = Setup::new(Implementation::Roadstead).command(&["access", "explain"]);
    command.args(["--user", "ann", "--repository", "a", "--action", "pull"]);
    command.arg(registry.config());
    let said = roadstead_tests::tool::finish(command).success();
    assert!(
        said.starts_with("allowed by rule 1: groups: [readers]"),
        "{said}"
    );
}

#[test]
fn no_rules_at_all_permit_nothing() {
    let store = Store::new();
    let config = json!({ "auth": users::htpasswd(&store), "access": { "rules": [] } });
    let setup = Setup::new(Implementation::Roadstead).store(&store);
    let registry = setup.config(config).start();
    let _ = send(&registry, "GET", "/v2/", Some(ROOT)).expect(200);
    for target in ["/v2/a/tags/list", "/v2/_catalog"] {
        send(&registry, "GET", target, Some(ROOT)).expect_error(403, "DENIED");
        send(&registry, "GET", target, None).expect_error(401, "UNAUTHORIZED");
    }
}

#[test]
fn explain_says_which_rule_decides() {
    let (registry, _) = registry();
    let explain = |arguments: &[&str]| {
        let mut command = Setup::new(Implementation::Roadstead).command(&["access", "explain"]);
        command.args(arguments).arg(registry.config());
        roadstead_tests::tool::finish(command)
    };
    let allowed = explain(&[
        "--user",
        "ann",
        "--repository",
        "private",
        "--action",
        "push",
    ]);
    assert!(
        allowed
            .success()
            .starts_with("allowed by rule 2: users: [ann]")
    );
    let denied = explain(&[
        "--user",
        "bob",
        "--repository",
        "public",
        "--action",
        "push",
    ]);
    assert!(
        denied
            .stdout
            .starts_with("denied by rule 3: groups: [readers]"),
        "{denied:?}"
    );
    let _ = denied.failure();
    let unknown = explain(&["--repository", "private", "--action", "pull"]);
    assert_eq!(unknown.stdout, "denied: no rule is about this\n");
    let _ = unknown.failure();
}
