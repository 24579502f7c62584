use std::time::Duration;

use roadstead_configuration::metadata::{Dynamodb, Store};

use crate::{load, load_with, minimal, problems};

fn table(text: &str, variables: &[(&str, &str)]) -> Dynamodb {
    let loaded = load_with(&minimal(text), variables);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    match loaded.configuration.metadata.store {
        Some(Store::Dynamodb(table)) => *table,
        other => panic!("{other:?}"),
    }
}

#[test]
fn metadata_lies_in_the_layout_unless_something_else_is_said() {
    assert_eq!(load(&minimal("")).configuration.metadata.store, None);
    let loaded = load(&minimal("metadata: layout\n"));
    let store = loaded.configuration.metadata.store;
    assert!(matches!(store, Some(Store::Layout(_))), "{store:?}");
}

#[test]
fn a_table_is_named_by_the_file_or_by_variables() {
    let text = "metadata:\n  dynamodb:\n    table: images\n    region: eu-west-1\n";
    let by_file = table(text, &[]);
    let by_variables = table(
        "",
        &[
            ("REGISTRY_METADATA_DYNAMODB_REGION", "eu-west-1"),
            ("REGISTRY_METADATA_DYNAMODB_TABLE", "images"),
        ],
    );
    assert_eq!(by_file, by_variables);
    assert_eq!(by_file.table.as_deref(), Some("images"));
    assert_eq!(by_file.region.as_deref(), Some("eu-west-1"));
    assert_eq!(
        by_file.uploadlifetime,
        Duration::from_secs(7 * 24 * 60 * 60)
    );
    assert_eq!((by_file.accesskey, by_file.secretkey), (None, None));
}

#[test]
fn a_table_that_cannot_be_found_is_an_error() {
    let found = |text: &str| problems(&minimal(text));
    assert_eq!(
        found("metadata: dynamodb\n"),
        [
            "E metadata.dynamodb.table: no table is named; name the table that holds the metadata",
            "E metadata.dynamodb.region: there is no region, nor an endpoint; name the region of the table, as in eu-west-1",
        ]
    );
    let text = "metadata:\n  dynamodb: {table: images, region: eu-west-1, accesskey: a}\n";
    let expected = "E config.yml:4: metadata.dynamodb.accesskey: accesskey and secretkey only work together; give both, or none for the credentials of the environment";
    assert_eq!(found(text), [expected]);
    let both = "metadata:\n  layout:\n  dynamodb: {table: images, region: eu-west-1}\n";
    let found = found(both);
    assert!(found[0].contains("multiple metadata stores"), "{found:?}");
}
