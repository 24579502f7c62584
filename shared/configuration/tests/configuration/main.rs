//! What comes of texts and variables: values, problems and display.

mod check;
mod metadata;
mod notifications;
mod secrets;
mod values;
mod variables;

use roadstead_configuration::{Configuration, Loaded, Severity, Source};

fn source(text: &str) -> Source {
    Source::File {
        path: "config.yml".to_owned(),
        text: text.to_owned(),
    }
}

fn owned(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn load_with(text: &str, variables: &[(&str, &str)]) -> Loaded {
    Configuration::load(&source(text), owned(variables))
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn load(text: &str) -> Loaded {
    load_with(text, &[])
}

/// Every problem, an `E` or `W` in front.
fn problems_with(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let problems = Configuration::check(&source(text), owned(variables));
    let letter = |severity| {
        if severity == Severity::Error {
            'E'
        } else {
            'W'
        }
    };
    problems
        .iter()
        .map(|problem| format!("{} {problem}", letter(problem.severity)))
        .collect()
}

fn problems(text: &str) -> Vec<String> {
    problems_with(text, &[])
}

/// The smallest configuration, and more lines.
fn minimal(more: &str) -> String {
    format!("version: 0.1\nstorage: inmemory\n{more}")
}
