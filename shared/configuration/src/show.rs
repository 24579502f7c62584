//! The configuration as it takes effect, as YAML with where each value is from.

use crate::effective::{Effective, Field, Leaf};
use crate::yaml::{Resolved, Scalar};

const HIDDEN: &str = "********";

/// Every value that is set, one a line.
pub(crate) fn show(effective: &Effective) -> String {
    let mut page = Page { lines: Vec::new() };
    if let Effective::Section(fields) = effective {
        page.fields(fields.iter(), 0);
    }
    page.into_text()
}

struct Page {
    /// The YAML, and the origin behind it.
    lines: Vec<(String, String)>,
}

impl Page {
    fn fields<'a>(&mut self, fields: impl Iterator<Item = &'a Field>, depth: usize) {
        for field in fields {
            self.value(field.key.name, &field.value, depth);
        }
    }

    fn value(&mut self, name: &str, value: &Effective, depth: usize) {
        match value {
            Effective::Unset => {}
            Effective::Leaf(leaf) => self.line(depth, format!("{name}: {}", shown(leaf)), leaf),
            Effective::Tagged(_, value) => self.value(name, value, depth),
            _ => {
                let heading = self.lines.len();
                self.lines
                    .push((format!("{}{}:", indent(depth), quoted(name)), String::new()));
                self.below(value, depth + 1);
                self.drop_empty(heading, value);
            }
        }
    }

    fn below(&mut self, value: &Effective, depth: usize) {
        match value {
            Effective::Section(fields) => self.fields(fields.iter(), depth),
            Effective::OneOf {
                chosen, settings, ..
            } => {
                self.fields(chosen.as_deref().into_iter(), depth);
                self.fields(settings.iter(), depth);
            }
            Effective::Named(named) => named
                .iter()
                .for_each(|(name, value)| self.value(name, value, depth)),
            Effective::List(list) => list.iter().for_each(|value| self.element(value, depth)),
            Effective::Tagged(_, value) => self.below(value, depth),
            Effective::Leaf(_) | Effective::Unset => {}
        }
    }

    fn element(&mut self, value: &Effective, depth: usize) {
        if let Effective::Leaf(leaf) = value {
            return self.line(depth, format!("- {}", shown(leaf)), leaf);
        }
        let first = self.lines.len();
        self.below(value, depth + 1);
        if let Some((line, _)) = self.lines.get_mut(first) {
            let dash = depth * 2;
            line.replace_range(dash..=dash, "-");
        }
    }

    fn line(&mut self, depth: usize, text: String, leaf: &Leaf) {
        self.lines
            .push((format!("{}{text}", indent(depth)), leaf.origin.to_string()));
    }

    /// A section of which nothing is set is not shown; a chosen driver without parameters is.
    fn drop_empty(&mut self, heading: usize, value: &Effective) {
        let is_empty = heading + 1 == self.lines.len();
        let is_choice = matches!(value, Effective::Section(fields) if fields.is_empty());
        if is_empty && !is_choice {
            self.lines.truncate(heading);
        }
    }

    fn into_text(self) -> String {
        let width = self
            .lines
            .iter()
            .map(|(line, _)| line.chars().count())
            .filter(|width| *width <= 60)
            .max()
            .unwrap_or(0);
        let mut text = String::new();
        for (line, origin) in self.lines {
            let comment = if origin.is_empty() {
                String::new()
            } else {
                format!("  # {origin}")
            };
            let padding = if origin.is_empty() { 0 } else { width };
            text.push_str(&format!("{line:<padding$}{comment}\n"));
        }
        text
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

fn shown(leaf: &Leaf) -> String {
    match (leaf.secret, leaf.json().is_string()) {
        (true, _) => format!("{HIDDEN:?}"),
        (false, true) => quoted(&without_userinfo(&leaf.shown)),
        (false, false) => leaf.shown.clone(),
    }
}

/// Quotes only where YAML would read something else.
fn quoted(text: &str) -> String {
    let is_plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._/:-".contains(c))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || "/.".contains(c))
        && !text.ends_with(':')
        && Scalar::plain(text).resolved == Resolved::Text;
    if is_plain || text == "0.1" {
        text.to_owned()
    } else {
        format!("{text:?}")
    }
}

/// `https://user:password@host/` without user and password.
pub(crate) fn without_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{HIDDEN}@{}", &rest[at + 1..]),
        None => text.to_owned(),
    }
}

/// Untyped data as JSON, which is YAML too; whatever is called like a secret is hidden.
pub(crate) fn untyped(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => map
            .iter()
            .map(|(name, value)| {
                (
                    name.clone(),
                    if is_secret_name(name) {
                        HIDDEN.into()
                    } else {
                        untyped(value)
                    },
                )
            })
            .collect(),
        serde_json::Value::Array(list) => list.iter().map(untyped).collect(),
        serde_json::Value::String(text) => without_userinfo(text).into(),
        other => other.clone(),
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    [
        "password",
        "passwd",
        "secret",
        "token",
        "key",
        "credential",
        "authorization",
        "cookie",
    ]
    .iter()
    .any(|word| name.contains(word))
}
