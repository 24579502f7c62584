//! Names of repositories, those that look like parts of paths among them.

use proptest::prelude::*;
use roadstead_oci::RepositoryName;

pub(crate) fn name() -> impl Strategy<Value = RepositoryName> {
    let component = prop_oneof![
        3 => prop::sample::select(vec!["v2", "blobs", "uploads", "manifests", "referrers", "tags", "list"])
            .prop_map(str::to_owned),
        2 => "[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}",
    ];
    let components = prop::collection::vec(component, 1..6);
    components.prop_map(|components| components.join("/").parse().unwrap())
}
