//! `roadstead metadata`: from Distribution's layout into a table, and back.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use roadstead_tests::image::{MANIFEST_TYPES, noise};
use roadstead_tests::registry::{Setup, free_address};
use roadstead_tests::store::dynamodb;
use roadstead_tests::{
    Image, Implementation, Registry, Store, only_over, require, require_ministack, sha256, sha512,
    tool,
};
use serde_json::json;

use crate::distribution_interop::{assert_everything_is_served, push_everything, signature};
use crate::garbage_collect::at_once;

/// A store whose metadata can lie in a table as well.
struct Migration {
    store: Store,
    table: String,
}

impl Migration {
    fn new() -> Self {
        let store = Store::new();
        let name = store.scratch().file_name().unwrap().to_string_lossy();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let table = format!("{}-{now}", name.trim_start_matches('.'));
        let this = Self { store, table };
        this.run(&["create-table"]);
        this
    }

    fn over_layout(&self) -> Registry {
        Registry::over(Implementation::Roadstead, &self.store)
    }

    fn over_table(&self) -> Registry {
        self.setup().start()
    }

    fn setup(&self) -> Setup {
        let setup = Setup::new(Implementation::Roadstead).store(&self.store);
        setup.config(json!({"metadata": dynamodb(&self.table)}))
    }

    fn run(&self, arguments: &[&str]) -> String {
        let (setup, config) = (self.setup(), self.setup().write_config(&free_address()));
        let arguments = [&["metadata"], arguments, &[config.to_str().unwrap()]].concat();
        tool::finish(setup.command(&arguments)).success()
    }

    fn collect_garbage(&self) {
        let setup = self.setup().config(at_once());
        let config = setup.write_config(&free_address());
        let arguments = ["garbage-collect", config.to_str().unwrap()];
        tool::finish(setup.command(&arguments)).success();
    }
}

/// What a client may see of everything that was pushed.
fn answers(registry: &Registry) -> Vec<String> {
    let (one, two) = (Image::seeded(1), Image::docker(2));
    let mut targets = vec!["/v2/_catalog".to_owned()];
    for name in ["library/app", "library/app/nested", "nowhere"] {
        targets.push(format!("/v2/{name}/tags/list"));
        for reference in ["latest", "old", "multi", "v1"] {
            targets.push(format!("/v2/{name}/manifests/{reference}"));
        }
        for image in [&one, &two, &Image::index(&[&one, &two]), &signature()] {
            targets.push(format!("/v2/{name}/manifests/{}", image.digest()));
            let alias = sha512(image.manifest());
            targets.push(format!("/v2/{name}/manifests/{alias}"));
            targets.push(format!("/v2/{name}/referrers/{}", image.digest()));
            for blob in image.blobs() {
                targets.push(format!("/v2/{name}/blobs/{}", sha256(blob)));
            }
        }
        let content = noise(3, 1000);
        for digest in [sha256(b""), sha256(&content), sha512(&content)] {
            targets.push(format!("/v2/{name}/blobs/{digest}"));
        }
    }
    let mut seen = Vec::new();
    for target in &targets {
        for method in ["GET", "HEAD"] {
            let request = registry.request(method, target);
            let request = request.header("Accept", MANIFEST_TYPES.join(","));
            let answer = request.send();
            let headers = ["Content-Type", "Docker-Content-Digest", "Content-Length"];
            let headers = headers.map(|name| answer.header(name).map(str::to_owned));
            let body = match answer.status {
                200 => sha256(&answer.body),
                // The body of an error names the request.
                _ => answer.codes().join(","),
            };
            seen.push(format!(
                "{method} {target}: {} {headers:?} {body}",
                answer.status
            ));
        }
    }
    seen
}

#[test]
fn a_tree_of_distribution_is_served_from_a_table() {
    only_over!(Filesystem | S3 | Swift: "it begins with a layout");
    require!("docker-registry");
    require_ministack!();
    let migration = Migration::new();
    push_everything(&Registry::over(
        Implementation::Distribution,
        &migration.store,
    ));
    let expected = answers(&migration.over_layout());
    let said = migration.run(&["import"]);
    assert!(
        said.contains("library/app/nested: 1 manifests (1 new), 1 tags (1 new)"),
        "{said}"
    );
    let registry = migration.over_table();
    assert_everything_is_served(&registry);
    assert_eq!(answers(&registry), expected);
    // Done again, it finds nothing to do.
    let said = migration.run(&["import"]);
    let sum = said.lines().last().unwrap();
    assert_eq!(sum.matches("(0 new)").count(), 3, "{said}");
    assert_eq!(answers(&registry), expected);
}

#[test]
fn what_was_pushed_into_a_table_is_served_by_distribution() {
    only_over!(Filesystem | S3 | Swift: "it ends with a layout");
    require!("docker-registry");
    require_ministack!();
    let migration = Migration::new();
    let registry = migration.over_table();
    push_everything(&registry);
    let image = Image::seeded(1);
    let alias = sha512(image.manifest());
    let _ = registry
        .put_manifest("library/app", &alias, image.media_type(), image.manifest())
        .expect(201);
    let expected = answers(&registry);
    drop(registry);
    let said = migration.run(&["export"]);
    assert!(!said.contains("left out"), "{said}");
    let theirs = Registry::over(Implementation::Distribution, &migration.store);
    assert_everything_is_served(&theirs);
    drop(theirs);
    assert_eq!(answers(&migration.over_layout()), expected);
    // The table stays good: what was moved is found at its new place.
    assert_eq!(answers(&migration.over_table()), expected);
    let said = migration.run(&["export"]);
    assert_eq!(
        said.lines().last().unwrap().matches("(0 new)").count(),
        3,
        "{said}"
    );
    migration.collect_garbage();
    let theirs = Registry::over(Implementation::Distribution, &migration.store);
    theirs.assert_pullable("library/app", "latest", &Image::seeded(1));
    theirs.assert_pullable("library/app/nested", "v1", &Image::docker(2));
}

#[test]
fn garbage_of_an_imported_tree_is_collected_and_nothing_else() {
    only_over!(Filesystem: "it looks at the files");
    require_ministack!();
    let migration = Migration::new();
    let registry = migration.over_layout();
    let (kept, doomed) = (Image::seeded(1), Image::seeded(2));
    registry.push_image("app", "kept", &kept);
    registry.push_image("app", "doomed", &doomed);
    drop(registry);
    migration.run(&["import"]);
    let registry = migration.over_table();
    let _ = registry
        .delete(&format!("/v2/app/manifests/{}", doomed.digest()))
        .expect(202);
    // The content of a blob that is pushed again lies elsewhere, and the old one is garbage.
    let again = &kept.blobs()[0];
    registry.push_blob("app", again);
    migration.collect_garbage();
    registry.assert_pullable("app", "kept", &kept);
    for blob in doomed.blobs() {
        assert!(!migration.store.blob(&sha256(blob)).exists());
    }
    assert!(!migration.store.blob(&sha256(again)).exists());
    assert!(migration.store.blob(&sha256(&kept.blobs()[1])).exists());
    drop(registry);
    migration.run(&["export"]);
    migration.collect_garbage();
    migration
        .over_layout()
        .assert_pullable("app", "kept", &kept);
    migration.over_table().assert_pullable("app", "kept", &kept);
}

#[test]
fn an_import_that_is_killed_goes_on() {
    only_over!(Filesystem | S3 | Swift: "it begins with a layout");
    require_ministack!();
    let migration = Migration::new();
    let registry = migration.over_layout();
    let images: Vec<Image> = (0..20).map(Image::seeded).collect();
    for (number, image) in images.iter().enumerate() {
        registry.push_image(&format!("app/{number}"), "latest", image);
    }
    drop(registry);
    let setup = migration.setup();
    let config = setup.write_config(&free_address());
    for lines in [1, 5] {
        let mut command = setup.command(&["metadata", "import", config.to_str().unwrap()]);
        let mut import = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(import.stdout.take().unwrap());
        assert_eq!(output.lines().take(lines).count(), lines);
        import.kill().unwrap();
        import.wait().unwrap();
    }
    let said = migration.run(&["import"]);
    assert!(said.contains("20 repositories, 20 manifests"), "{said}");
    let registry = migration.over_table();
    for (number, image) in images.iter().enumerate() {
        registry.assert_pullable(&format!("app/{number}"), "latest", image);
    }
}

#[test]
fn differences_stay_unless_the_target_is_to_mirror() {
    only_over!(Filesystem | S3 | Swift: "it begins with a layout");
    require_ministack!();
    let migration = Migration::new();
    let (old, new) = (Image::seeded(1), Image::seeded(2));
    migration.over_layout().push_image("app", "latest", &old);
    migration.run(&["import"]);
    let registry = migration.over_table();
    registry.push_image("app", "latest", &new);
    registry.push_image("other", "latest", &new);
    let said = migration.run(&["import"]);
    assert!(said.contains("differs, kept: app tag latest"), "{said}");
    registry.assert_pullable("app", "latest", &new);
    drop(registry);
    let said = migration.run(&["export"]);
    assert!(said.contains("differs, kept: app tag latest"), "{said}");
    migration
        .over_layout()
        .assert_pullable("app", "latest", &old);
    let _ = migration
        .over_table()
        .delete("/v2/app/manifests/latest")
        .expect(202);
    migration.run(&["export", "--mirror"]);
    let layout = migration.over_layout();
    assert_eq!(layout.tags("app"), Vec::<String>::new());
    layout.assert_pullable("app", &new.digest(), &new);
    layout.assert_pullable("other", "latest", &new);
    layout.push_image("third", "latest", &old);
    let _ = layout
        .delete(&format!("/v2/other/manifests/{}", new.digest()))
        .expect(202);
    migration.run(&["import", "--mirror"]);
    assert_eq!(migration.over_table().repositories(), ["app", "third"]);
}

#[test]
fn without_a_table_there_is_nothing_to_move() {
    let setup = Setup::new(Implementation::Roadstead)
        .store(&Store::of(roadstead_tests::store::Kind::Filesystem));
    let config = setup.write_config(&free_address());
    for command in ["create-table", "import", "export"] {
        let arguments = ["metadata", command, config.to_str().unwrap()];
        let said = tool::finish(setup.command(&arguments)).failure();
        assert!(said.contains("metadata"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
