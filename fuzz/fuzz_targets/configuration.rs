#![no_main]

use libfuzzer_sys::fuzz_target;
use roadstead_configuration::{Configuration, Severity, Source};

fuzz_target!(|text: &str| {
    let source = Source::File {
        path: "config.yml".to_owned(),
        text: text.to_owned(),
    };
    let problems = Configuration::check(&source, []);
    let is_fine = problems.iter().all(|problem| problem.severity != Severity::Error);
    match Configuration::load(&source, []) {
        Ok(loaded) => {
            assert!(is_fine);
            assert!(!loaded.show().is_empty());
        }
        Err(problems) => {
            assert!(!is_fine);
            assert!(!problems.to_string().is_empty());
        }
    }
});
