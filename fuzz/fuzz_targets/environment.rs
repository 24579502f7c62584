#![no_main]

use libfuzzer_sys::fuzz_target;
use roadstead_configuration::{Configuration, Source};

const TEXT: &str = "
version: 0.1
log:
  hooks:
    - type: mail
      levels: [panic]
storage:
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
notifications:
  endpoints:
    - name: one
      url: https://example.org
";

fuzz_target!(|variables: Vec<(&str, &str)>| {
    let source = Source::File {
        path: "config.yml".to_owned(),
        text: TEXT.to_owned(),
    };
    let variables = variables
        .into_iter()
        .map(|(name, value)| (format!("REGISTRY_{name}"), value.to_owned()));
    let variables: Vec<_> = variables.collect();
    for source in [source, Source::EmbeddedDefault] {
        if let Ok(loaded) = Configuration::load(&source, variables.clone()) {
            assert!(!loaded.show().is_empty());
        }
    }
});
