//! Lines that are JSON objects.

use std::borrow::Cow;
use std::fmt::Write;

use super::Line;
use super::fields::Value;
use super::timestamp::Timestamp;

/// Appends the line with the names of logrus.
pub(super) fn write(out: &mut String, line: &Line<'_>) {
    let time = Timestamp(line.time).to_string();
    let own = [
        ("level", line.level),
        ("msg", line.message),
        ("time", &time),
    ];
    object(out, line, &own);
}

/// Appends the line with the names of logstash.
pub(super) fn write_logstash(out: &mut String, line: &Line<'_>) {
    let time = Timestamp(line.time).to_string();
    let own = [
        ("@timestamp", time.as_str()),
        ("@version", "1"),
        ("level", line.level),
        ("message", line.message),
        ("type", "log"),
    ];
    object(out, line, &own);
}

/// What a member holds.
enum Member<'a> {
    Text(&'a str),
    Field(&'a Value),
}

fn object(out: &mut String, line: &Line<'_>, own: &[(&str, &str)]) {
    let caller = line.caller.as_ref();
    let caller = caller
        .map(|caller| [("file", &*caller.file), ("func", &*caller.func)])
        .into_iter()
        .flatten();
    let mut members: Vec<(Cow<'_, str>, Member<'_>)> = own
        .iter()
        .copied()
        .chain(caller)
        .map(|(name, text)| (Cow::Borrowed(name), Member::Text(text)))
        .collect();
    let taken = members.len();
    for (name, value) in &line.fields {
        let clashes = members[..taken].iter().any(|(known, _)| known == name);
        let name = if clashes {
            Cow::Owned(format!("fields.{name}"))
        } else {
            Cow::Borrowed(*name)
        };
        members.push((name, Member::Field(value)));
    }
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    out.push('{');
    for (index, (name, member)) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(out, name);
        out.push(':');
        match member {
            Member::Text(text) => string(out, text),
            Member::Field(value) => field(out, value),
        }
    }
    out.push('}');
}

fn field(out: &mut String, value: &Value) {
    // Writing to a string does not fail.
    let _ = match value {
        Value::Text(text) => {
            string(out, text);
            Ok(())
        }
        Value::Signed(number) => write!(out, "{number}"),
        Value::Unsigned(number) => write!(out, "{number}"),
        Value::Float(number) if number.is_finite() => write!(out, "{number:?}"),
        Value::Float(number) => write!(out, "\"{number}\""),
        Value::Flag(flag) => write!(out, "{flag}"),
        Value::Json(json) => write!(out, "{json}"),
    };
}

/// Appends a string; beyond what JSON demands, all control characters and line separators are
/// escaped, since a line is often shown by a terminal.
fn string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{2028}' | '\u{2029}' => unicode(out, character),
            control if control.is_control() => unicode(out, control),
            other => out.push(other),
        }
    }
    out.push('"');
}

fn unicode(out: &mut String, character: char) {
    // Writing to a string does not fail.
    let _ = write!(out, "\\u{:04x}", u32::from(character));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_have_no_control_characters_and_read_back_the_same() {
        let table = [
            ("plain", r#""plain""#),
            ("a\r\n\"b\"\\", r#""a\r\n\"b\"\\""#),
            (
                "\0\x1b\x7f\u{9b}\u{2028}",
                r#""\u0000\u001b\u007f\u009b\u2028""#,
            ),
        ];
        for (text, shown) in table {
            let mut out = String::new();
            string(&mut out, text);
            assert_eq!(out, shown);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
