//! `docs/configuration.md` knows every key: its tables are generated, and this test fails where they are not up to date.

use std::path::Path;

const BEGIN: &str = "<!-- keys: generated from the schema by this crate's documentation test -->\n";
const END: &str = "<!-- /keys -->\n";

#[test]
fn the_document_has_the_tables_of_the_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = format!(
        "{before}{BEGIN}\n{}\n{END}{after}",
        roadstead_configuration::key_tables()
    );
    if std::env::var_os("ROADSTEAD_BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let document = std::fs::read_to_string(&path).unwrap();
    assert!(
        document == expected,
        "run this test with ROADSTEAD_BLESS=1 to bring docs/configuration.md up to date"
    );
}
