//! The schema as tables for people.

use std::fmt::Write as _;

use crate::Configuration;
use crate::schema::{Key, Kind, Status};

const HEAD: &str = "| key | kind | default | what it does | difference from Distribution |\n|---|---|---|---|---|\n";

/// Every key in Markdown: a heading and a table for each section, and for each storage driver and the like one of its own.
#[must_use]
pub fn key_tables() -> String {
    let mut text = String::new();
    let (sections, single): (Vec<_>, Vec<_>) = Configuration::KEYS
        .iter()
        .partition(|key| key.children().next().is_some());
    table(
        &mut text,
        "The keys that are no section",
        single.into_iter().map(|key| (key.name.to_owned(), key)),
    );
    for section in sections {
        section_tables(&mut text, section.name, section);
    }
    text.trim_end().to_owned() + "\n"
}

fn section_tables(text: &mut String, path: &str, section: &'static Key) {
    let mut rows = Vec::new();
    let mut apart = Vec::new();
    collect(path, section, &mut rows, &mut apart);
    let heading = format!("`{path}`: {}", sentence(section));
    table(text, &heading, rows.into_iter());
    for (path, key) in apart {
        section_tables(text, &path, key);
    }
}

/// The keys below a section; variants that have keys of their own are put apart.
fn collect(
    path: &str,
    section: &'static Key,
    rows: &mut Vec<(String, &'static Key)>,
    apart: &mut Vec<(String, &'static Key)>,
) {
    let variants: &[Key] = match &section.kind {
        Kind::OneOf(one_of) => one_of.variants,
        Kind::Options(variants) => variants,
        _ => &[],
    };
    for key in section.children() {
        let is_variant = variants.iter().any(|variant| std::ptr::eq(variant, key));
        let path = child_path(path, section, key);
        rows.push((path.clone(), key));
        match is_variant {
            true if key.children().next().is_some() => apart.push((path, key)),
            true => {}
            false => collect(&path, key, rows, apart),
        }
    }
}

fn child_path(path: &str, section: &Key, key: &Key) -> String {
    match section.kind {
        Kind::Entries(_) => format!("{path}[].{}", key.name),
        Kind::Options(_) => format!("{path} ({})", key.name),
        _ => format!("{path}.{}", key.name),
    }
}

fn table(text: &mut String, heading: &str, rows: impl Iterator<Item = (String, &'static Key)>) {
    let _ = write!(text, "### {heading}\n\n{HEAD}");
    for (path, key) in rows {
        let default = key
            .default
            .map(|default| format!("`{}`", if default.is_empty() { "\"\"" } else { default }));
        let default = default.unwrap_or_default();
        let _ = writeln!(
            text,
            "| `{path}` | {} | {default} | {} | {} |",
            kind(key),
            sentence(key),
            key.differs.replace('|', "\\|")
        );
    }
    text.push('\n');
}

fn kind(key: &Key) -> String {
    let kind = match &key.kind {
        Kind::Bool => "bool".to_owned(),
        Kind::LooseBool => "bool, also as a text".to_owned(),
        Kind::Integer { .. } => "integer".to_owned(),
        Kind::LooseInteger { .. } => "integer, also as a text".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Duration => "duration".to_owned(),
        Kind::Choice(words) => words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Kind::Any | Kind::Options(_) => "anything".to_owned(),
        Kind::Texts => "list of texts".to_owned(),
        Kind::Headers => "map of lists".to_owned(),
        Kind::Section(_) => "section".to_owned(),
        Kind::Entries(_) => "list of sections".to_owned(),
        Kind::OneOf(_) => "one of its keys, or a name".to_owned(),
    };
    if key.secret {
        format!("{kind}, secret")
    } else {
        kind
    }
}

fn sentence(key: &Key) -> String {
    let doc = key.doc.trim();
    match key.status {
        Status::Built => doc.to_owned(),
        Status::Later(_) => format!("{doc} **Not built yet**: a warning, no effect."),
        Status::Refused(_) => format!("{doc} **Not built yet**: Roadstead does not start with it."),
        Status::Follows(with) => format!("{doc} Only together with `{with}`."),
        Status::Removed(instead) => format!("{doc} **Removed**: {instead}."),
        Status::Renamed(to) => format!("{doc} The value counts for `{to}`, with a warning."),
    }
}
