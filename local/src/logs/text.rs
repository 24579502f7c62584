//! `key=value` lines.

use std::fmt::Write;

use super::Line;
use super::fields::Value;
use super::quote;
use super::timestamp::Timestamp;

/// The names that a line has of its own.
const RESERVED: [&str; 5] = ["time", "level", "msg", "func", "file"];

/// Appends the line: time, level, message, caller, and the fields in order.
pub(super) fn write(out: &mut String, line: &Line<'_>) {
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "time=\"{}\" level={}",
        Timestamp(line.time),
        line.level
    );
    if !line.message.is_empty() {
        pair(out, "msg", line.message);
    }
    if let Some(caller) = &line.caller {
        pair(out, "func", &caller.func);
        pair(out, "file", &caller.file);
    }
    for (name, value) in &line.fields {
        field(out, name, value);
    }
}

fn field(out: &mut String, name: &str, value: &Value) {
    out.push(' ');
    if RESERVED.contains(&name) {
        out.push_str("fields.");
    }
    out.push_str(name);
    out.push('=');
    // Writing to a string does not fail.
    let _ = match value {
        Value::Text(text) => {
            quote::value(out, text);
            Ok(())
        }
        Value::Signed(number) => write!(out, "{number}"),
        Value::Unsigned(number) => write!(out, "{number}"),
        Value::Flag(flag) => write!(out, "{flag}"),
        Value::Float(number) => {
            quote::value(out, &number.to_string());
            Ok(())
        }
        Value::Json(json) => {
            let mut shown = String::new();
            show(&mut shown, json);
            quote::value(out, &shown);
            Ok(())
        }
    };
}

fn pair(out: &mut String, name: &str, text: &str) {
    out.push(' ');
    out.push_str(name);
    out.push('=');
    quote::value(out, text);
}

/// Appends a value as Go prints it: `[1 b]`, `map[k:<nil>]`.
fn show(out: &mut String, value: &serde_json::Value) {
    use serde_json::Value as Json;
    match value {
        Json::Null => out.push_str("<nil>"),
        Json::String(text) => out.push_str(text),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(out, index);
                show(out, item);
            }
            out.push(']');
        }
        Json::Object(entries) => {
            out.push_str("map[");
            for (index, (name, entry)) in entries.iter().enumerate() {
                separate(out, index);
                out.push_str(name);
                out.push(':');
                show(out, entry);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push(' ');
    }
}
