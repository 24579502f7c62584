//! The fields of spans and events.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use tracing::field::{Field, Visit};

/// The field that tracing keeps the message in.
const MESSAGE: &str = "message";

/// What a field holds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Flag(bool),
    /// From the configuration.
    Json(serde_json::Value),
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::String(text) => Value::Text(text),
            other => Value::Json(other),
        }
    }
}

/// Names and values, each name once.
#[derive(Default)]
pub(super) struct Fields(Vec<(Cow<'static, str>, Value)>);

impl Fields {
    /// Sets a field, in place of an earlier value.
    pub(super) fn set(&mut self, name: impl Into<Cow<'static, str>>, value: Value) {
        let name = name.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// The message of an event; empty if it has none.
    pub(super) fn message(&self) -> &str {
        let message = self.0.iter().find(|(name, _)| name == MESSAGE);
        match message {
            Some((_, Value::Text(text))) => text,
            _ => "",
        }
    }
}

/// All fields but the message, sorted by name; a later layer wins over an earlier one.
pub(super) fn merge<'a>(layers: impl Iterator<Item = &'a Fields>) -> Vec<(&'a str, &'a Value)> {
    let mut merged: Vec<(&str, &Value)> = layers
        .flat_map(|fields| &fields.0)
        .map(|(name, value)| (name.as_ref(), value))
        .filter(|(name, _)| *name != MESSAGE)
        .collect();
    // The last of equal names comes first, and is the one that is kept.
    merged.reverse();
    merged.sort_by_key(|(name, _)| *name);
    merged.dedup_by_key(|(name, _)| *name);
    merged
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), Value::Text(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), Value::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), Value::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), Value::Flag(value));
    }

    /// An error with all its causes.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        self.set(field.name(), Value::Text(text));
    }
}
