//! CloudFormation templates as they are written, with intrinsic functions in their long form:
//! `!Ref x` is `{"Ref": "x"}`, `!Sub x` is `{"Fn::Sub": "x"}`.

use std::path::Path;

use granit_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Value, json};

/// A template of this repository, by its path below the root.
///
/// # Panics
/// When it cannot be read, or is not the YAML that CloudFormation reads: it has neither aliases
/// nor merge keys.
#[must_use]
pub fn read(path: &str) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let path = root.expect("tests lies below the root").join(path);
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parse(&text)
}

fn parse(text: &str) -> Value {
    let mut events = Parser::new_from_str(text);
    loop {
        match next(&mut events) {
            Event::StreamStart | Event::DocumentStart(..) => {}
            event => return node(event, &mut events),
        }
    }
}

fn next<'a>(events: &mut Parser<'a, StrInput<'a>>) -> Event<'a> {
    let (event, _) = events.next_event().expect("more events").expect("YAML");
    event
}

fn node<'a>(event: Event<'a>, events: &mut Parser<'a, StrInput<'a>>) -> Value {
    let tag = match &event {
        Event::Scalar(_, _, _, tag)
        | Event::SequenceStart(_, _, tag)
        | Event::MappingStart(_, _, tag) => tag.as_deref().map(|tag| tag.to_string()),
        _ => None,
    };
    let value = match event {
        Event::Scalar(text, ScalarStyle::Plain, ..) if tag.is_none() => plain(&text),
        Event::Scalar(text, ..) => json!(text),
        Event::SequenceStart(..) => list(events),
        Event::MappingStart(..) => map(events),
        other => panic!("CloudFormation does not take {other:?}"),
    };
    match tag.as_deref() {
        None => value,
        Some("!Ref") => json!({ "Ref": value }),
        Some("!Condition") => json!({ "Condition": value }),
        Some(tag) => json!({ (format!("Fn::{}", tag.trim_start_matches('!'))): value }),
    }
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => json!(true),
        "false" => json!(false),
        _ => text
            .parse::<i64>()
            .map_or_else(|_| json!(text), Value::from),
    }
}

fn list<'a>(events: &mut Parser<'a, StrInput<'a>>) -> Value {
    let mut list = Vec::new();
    loop {
        match next(events) {
            Event::SequenceEnd => return Value::Array(list),
            event => list.push(node(event, events)),
        }
    }
}

fn map<'a>(events: &mut Parser<'a, StrInput<'a>>) -> Value {
    let mut map = Map::new();
    loop {
        let key = match next(events) {
            Event::MappingEnd => return Value::Object(map),
            Event::Scalar(key, ..) => key.into_owned(),
            other => panic!("no key: {other:?}"),
        };
        assert_ne!(key, "<<", "CloudFormation does not merge");
        let event = next(events);
        let value = node(event, events);
        assert_eq!(map.insert(key.clone(), value), None, "{key} comes twice");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intrinsic_functions_have_their_long_form() {
        let text =
            "A: !Ref B\nC: [!GetAtt D.E, !If [F, \"1\", 2]]\nG: { H: !Sub \"${I}\" }\nJ: yes\n";
        assert_eq!(
            parse(text),
            json!({
                "A": { "Ref": "B" },
                "C": [{ "Fn::GetAtt": "D.E" }, { "Fn::If": ["F", "1", 2] }],
                "G": { "H": { "Fn::Sub": "${I}" } },
                "J": "yes",
            })
        );
    }
}
