//! The invariants of ARCHITECTURE.md, asserted over `cargo metadata` and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use roadstead_tests::tool;
use serde_json::Value;

/// The workspace's crates: where each is, and what it depends on when it is built for use.
struct Workspace(BTreeMap<String, Member>);

struct Member {
    folder: PathBuf,
    dependencies: BTreeSet<String>,
}

impl Workspace {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut cargo = Command::new(std::env::var("CARGO").unwrap_or("cargo".to_owned()));
        cargo.current_dir(root).args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ]);
        let metadata: Value = serde_json::from_str(&tool::finish(cargo).success()).unwrap();
        Self(
            metadata["packages"]
                .as_array()
                .unwrap()
                .iter()
                .map(member)
                .collect(),
        )
    }

    /// The crates of the workspace that this one depends on.
    fn inside(&self, name: &str) -> BTreeSet<&str> {
        let member = self
            .0
            .get(name)
            .unwrap_or_else(|| panic!("there is no crate {name}"));
        member
            .dependencies
            .iter()
            .map(String::as_str)
            .filter(|name| self.0.contains_key(*name))
            .collect()
    }

    /// Everything this crate can reach within the workspace, and the foreign crates these depend on.
    fn reach(&self, name: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open = vec![name];
        while let Some(next) = open.pop() {
            for dependency in self
                .0
                .get(next)
                .into_iter()
                .flat_map(|member| &member.dependencies)
            {
                if found.insert(&**dependency) {
                    open.push(dependency);
                }
            }
        }
        found
    }
}

fn member(package: &Value) -> (String, Member) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    // Of the kinds `null` (normal), `dev` and `build`, only the first is linked into the product.
    let dependencies = dependencies.filter(|dependency| dependency["kind"].is_null());
    let dependencies = dependencies
        .map(|dependency| text(&dependency["name"]))
        .collect();
    let folder = PathBuf::from(text(&package["manifest_path"]))
        .parent()
        .unwrap()
        .to_owned();
    (
        text(&package["name"]),
        Member {
            folder,
            dependencies,
        },
    )
}

#[test]
fn the_vocabulary_depends_on_no_other_crate() {
    assert_eq!(Workspace::read().inside("roadstead-oci"), BTreeSet::new());
}

#[test]
fn each_shared_crate_depends_only_on_what_is_below_it() {
    let workspace = Workspace::read();
    for (name, allowed) in [
        ("roadstead-storage", &["roadstead-oci"][..]),
        ("roadstead-metadata", &["roadstead-oci"]),
        ("roadstead-auth", &["roadstead-oci"]),
        ("roadstead-events", &["roadstead-fetch", "roadstead-oci"]),
        ("roadstead-configuration", &["roadstead-oci"]),
        (
            "roadstead-metadata-layout",
            &["roadstead-metadata", "roadstead-oci", "roadstead-storage"],
        ),
        (
            "roadstead-metadata-dynamodb",
            &["roadstead-metadata", "roadstead-oci"],
        ),
        ("roadstead-fetch", &[]),
        (
            "roadstead-storage-cloudfront",
            &["roadstead-fetch", "roadstead-storage"],
        ),
        (
            "roadstead-migration",
            &["roadstead-metadata", "roadstead-oci", "roadstead-storage"],
        ),
        (
            "roadstead-storage-filesystem",
            &["roadstead-oci", "roadstead-storage"],
        ),
        (
            "roadstead-storage-s3",
            &["roadstead-oci", "roadstead-storage"],
        ),
        (
            "roadstead-registry",
            &[
                "roadstead-auth",
                "roadstead-metadata",
                "roadstead-oci",
                "roadstead-storage",
            ],
        ),
    ] {
        if !workspace.0.contains_key(name) {
            continue; // a reserved name, until its first real code
        }
        let above: Vec<_> = workspace
            .inside(name)
            .into_iter()
            .filter(|other| !allowed.contains(other))
            .collect();
        assert_eq!(
            above,
            Vec::<&str>::new(),
            "{name} depends on what it must not know"
        );
    }
}

#[test]
fn the_core_knows_no_http_and_no_cloud() {
    let workspace = Workspace::read();
    for name in [
        "roadstead-registry",
        "roadstead-metadata",
        "roadstead-metadata-layout",
        "roadstead-migration",
        "roadstead-storage",
        "roadstead-oci",
    ] {
        let known: Vec<_> = workspace
            .reach(name)
            .into_iter()
            .filter(|dependency| {
                let families = [
                    "axum",
                    "hyper",
                    "http",
                    "tower",
                    "aws-sdk",
                    "aws-config",
                    "lambda",
                ];
                families.iter().any(|family| {
                    *dependency == *family || dependency.starts_with(&format!("{family}-"))
                })
            })
            .collect();
        assert_eq!(known, Vec::<&str>::new(), "{name}");
    }
}

#[test]
fn concrete_back_ends_are_chosen_in_one_place_only() {
    let workspace = Workspace::read();
    let concrete = |name: &str| {
        [
            "roadstead-storage-",
            "roadstead-metadata-",
            "roadstead-auth-",
        ]
        .iter()
        .any(|family| name.starts_with(family))
    };
    for name in workspace
        .0
        .keys()
        .filter(|name| &***name != "roadstead-compose")
    {
        let known: Vec<_> = workspace
            .inside(name)
            .into_iter()
            .filter(|other| concrete(other))
            .collect();
        assert_eq!(
            known,
            Vec::<&str>::new(),
            "{name} names a concrete back end"
        );
    }
}

#[test]
fn route_groups_do_not_know_each_other() {
    let workspace = Workspace::read();
    let groups: Vec<_> = workspace
        .0
        .iter()
        .filter(|(_, member)| member.folder.parent().unwrap().ends_with("functions"))
        .collect();
    assert!(groups.len() >= 7, "the functions have moved");
    // The one function that is all groups at once.
    let single = |name: &str| name != "roadstead-combined";
    for (name, _) in groups.iter().filter(|(name, _)| single(name)) {
        let others = workspace.inside(name);
        for (other, _) in &groups {
            assert!(!others.contains(&***other), "{name} depends on {other}");
        }
        assert!(
            !others.contains("roadstead"),
            "{name} depends on the server"
        );
    }
}

#[test]
fn no_test_is_linked_into_the_product() {
    let workspace = Workspace::read();
    for name in workspace.0.keys().filter(|name| *name != "roadstead-tests") {
        assert!(
            !workspace.inside(name).contains("roadstead-tests"),
            "{name} depends on the tests"
        );
    }
    // And the tests link nothing of the product: they can only see what users see.
    assert_eq!(workspace.inside("roadstead-tests"), BTreeSet::new());
}

/// The Rust files of a folder and those below it.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files
        .chain(folders.iter().flat_map(|folder| sources(folder)))
        .collect()
}

#[test]
fn only_the_configuration_reads_the_environment() {
    let workspace = Workspace::read();
    let members = workspace
        .0
        .iter()
        .filter(|(name, _)| !["roadstead-configuration", "roadstead-tests"].contains(&&***name));
    let mut looked_at = 0;
    for (name, member) in members {
        for path in sources(&member.folder.join("src")) {
            looked_at += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            // What only tests compile is theirs; by habit it stands last in a file.
            let product = text.split("#[cfg(test)]").next().unwrap_or_default();
            for call in ["env::var", "env::vars", "env::set_var"] {
                assert!(
                    !product.contains(call),
                    "{name} reads the environment in {}",
                    path.display()
                );
            }
        }
    }
    assert!(looked_at > 10, "the sources have moved");
}

#[test]
fn no_source_prints_or_panics_its_way_out() {
    let workspace = Workspace::read();
    for (name, member) in workspace
        .0
        .iter()
        .filter(|(name, _)| *name != "roadstead-tests")
    {
        for path in sources(&member.folder.join("src")) {
            let text = std::fs::read_to_string(&path).unwrap();
            let product = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in ["todo!(", "unimplemented!(", "dbg!("] {
                assert!(
                    !product.contains(word),
                    "{name}: {word} in {}",
                    path.display()
                );
            }
        }
    }
}

/// What a trait has a default for, a stand-in would otherwise answer itself, and nobody would see.
#[test]
fn what_stands_in_front_of_a_driver_is_held_to_hand_on_every_method() {
    let mut looked_at = 0;
    for member in Workspace::read().0.values() {
        let folder = member.folder.file_name().unwrap().to_string_lossy();
        if folder.starts_with("storage") {
            continue; // drivers themselves, which may keep a default
        }
        let parts = ["src", "tests"].map(|part| sources(&member.folder.join(part)));
        for path in parts.concat() {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines: Vec<_> = text.lines().collect();
            let implements = |line: &str| {
                ["Driver", "NotedUploads", "Upload", "UrlSigner"]
                    .iter()
                    .any(|name| line.starts_with(&format!("impl {name} for ")))
            };
            for at in (0..lines.len()).filter(|at| implements(lines[*at])) {
                looked_at += 1;
                assert!(
                    lines[..at]
                        .iter()
                        .rev()
                        .take_while(|line| line.starts_with("#["))
                        .any(|line| *line == "#[warn(clippy::missing_trait_methods)]"),
                    "{}: {}",
                    path.display(),
                    lines[at]
                );
            }
        }
    }
    assert!(looked_at > 3, "the stand-ins have moved");
}
