//! Power cuts: what the kernel had not yet written to the disk is gone, and the journal has it.
//!
//! The kernel runs on, and the disk is not cut off, so a test takes away itself what may be lost: of what the journal
//! of a killed server has, the files. Real disks are cut off by `tests/power-cut`, which needs root.

use std::fs::File;
use std::path::Path;

use roadstead_tests::image::OCI_MANIFEST;
use roadstead_tests::store::Store;
use roadstead_tests::{Image, Registry, journal, only_over, skip};

/// Leaves a test where servers keep no journal.
macro_rules! needs_journal {
    ($store:expr) => {
        only_over!(Filesystem: "the other stores have no journal");
        if !journal::is_kept($store.scratch()) {
            skip!("no journal is kept on the filesystem of {}", $store.scratch().display());
        }
    };
}

/// What a power cut may leave of a file whose bytes, or whose name, nobody forced.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Missing,
    Empty,
    Zeroes,
}

const FATES: [Fate; 3] = [Fate::Missing, Fate::Empty, Fate::Zeroes];

/// Takes away what only the journal has, and makes that of an earlier run of the kernel.
fn cut_power(root: &Path, fate: Fate) {
    for (key, content) in journal::at_risk(root) {
        let path = root.join(key);
        match fate {
            Fate::Missing => remove_with_directories(&path, root),
            Fate::Empty => replace(&path, &[]),
            Fate::Zeroes => replace(&path, &vec![0; content.len()]),
        }
    }
    journal::stamp(root);
}

/// A new directory that was not forced is lost with all in it.
fn remove_with_directories(path: &Path, root: &Path) {
    std::fs::remove_file(path).unwrap();
    let above = path.ancestors().skip(1).take_while(|above| *above != root);
    for directory in above {
        if std::fs::remove_dir(directory).is_err() {
            return;
        }
    }
}

/// The file looks as if nobody had touched it since.
fn replace(path: &Path, content: &[u8]) {
    let modified = path.metadata().unwrap().modified().unwrap();
    std::fs::write(path, content).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(modified).unwrap();
}

fn has_link_of_tag(key: &str, tag: &str) -> bool {
    key.ends_with(&format!("/app/_manifests/tags/{tag}/current/link"))
}

/// A server that was killed while `is_caught` holds of its store. The journal empties itself after a second,
/// and the machine may be busy: then `push` is done again.
fn killed_while(
    mut registry: Registry,
    push: impl Fn(&Registry),
    is_caught: impl Fn(&Path) -> bool,
) -> Store {
    for _ in 0..20 {
        push(&registry);
        let store = registry.kill();
        if is_caught(&store.root()) {
            return store;
        }
        registry = over(&store);
    }
    panic!("the journal never had what was pushed last");
}

fn over(store: &Store) -> Registry {
    Registry::over(roadstead_tests::Implementation::Roadstead, store)
}

#[test]
fn what_was_confirmed_survives_a_power_cut() {
    needs_journal!(Store::new());
    let (old, new, other) = (Image::seeded(1), Image::seeded(2), Image::seeded(3));
    for fate in FATES {
        let push = |registry: &Registry| {
            registry.push_image("app", "latest", &old);
            registry.push_image("app", "latest", &new);
            registry.push_image("deep/er", "one", &other);
            registry.push_image("app", "last", &old);
        };
        let is_caught = |root: &Path| {
            let mut at_risk = journal::at_risk(root).into_keys();
            at_risk.any(|key| has_link_of_tag(&key, "last"))
        };
        let store = killed_while(Registry::start(), push, is_caught);
        cut_power(&store.root(), fate);
        let registry = over(&store);
        for (repository, tag, image) in [
            ("app", "latest", &new),
            ("app", "last", &old),
            ("deep/er", "one", &other),
        ] {
            registry.assert_pullable(repository, tag, image);
            registry.assert_pullable(repository, &image.digest(), image);
        }
        assert_eq!(registry.tags("app"), ["last", "latest"], "{fate:?}");
        assert_eq!(registry.repositories(), ["app", "deep/er"], "{fate:?}");
    }
}

#[test]
fn what_was_deleted_does_not_come_back_by_a_power_cut() {
    needs_journal!(Store::new());
    let (kept, gone) = (Image::seeded(4), Image::seeded(5));
    let push = |registry: &Registry| {
        registry.push_image("app", "kept", &kept);
        registry.push_image("app", "manifest", &gone);
        let _ = registry
            .put_manifest("app", "tag", OCI_MANIFEST, kept.manifest())
            .expect(201);
        let by_digest = format!("/v2/app/manifests/{}", gone.digest());
        for target in [by_digest.as_str(), "/v2/app/manifests/tag"] {
            let _ = registry.delete(target).expect(202);
        }
    };
    // The journal still says that they were written, and after that to forget it.
    let is_caught = |root: &Path| {
        let entries = journal::entries(root);
        ["manifest", "tag"].iter().all(|tag| {
            let mut writes = entries.iter().filter(|entry| entry.content.is_some());
            writes.any(|entry| has_link_of_tag(&entry.key, tag))
        })
    };
    let store = killed_while(Registry::start(), push, is_caught);
    cut_power(&store.root(), Fate::Missing);
    let registry = over(&store);
    for reference in ["manifest", &gone.digest(), "tag"] {
        let _ = registry.get_manifest("app", reference).expect(404);
    }
    assert_eq!(registry.tags("app"), ["kept"]);
    registry.assert_pullable("app", "kept", &kept);
}
