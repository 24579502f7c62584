//! Writing a configuration file: block YAML, as people write it, from a JSON value.

use serde_json::{Map, Value};

/// The document as YAML.
pub(crate) fn render(document: &Value) -> String {
    let mut text = String::new();
    if let Value::Object(map) = document {
        render_map(map, 0, &mut text);
    }
    text
}

/// Lays the second document over the first: maps merge, anything else replaces, `null` removes.
pub(crate) fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    base.remove(key);
                } else {
                    merge(base.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

fn render_map(map: &Map<String, Value>, depth: usize, text: &mut String) {
    for (key, value) in map {
        text.push_str(&"  ".repeat(depth));
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push_str(&format!("{key}:\n"));
                render_map(inner, depth + 1, text);
            }
            // Lists and scalars in JSON's form, which is YAML too.
            other => text.push_str(&format!("{key}: {other}\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn overrides_merge_replace_and_remove() {
        let mut base = json!({"a": {"b": 1, "c": 2}, "d": 3});
        merge(
            &mut base,
            &json!({"a": {"b": null, "e": {"f": "x"}}, "d": [1]}),
        );
        assert_eq!(base, json!({"a": {"c": 2, "e": {"f": "x"}}, "d": [1]}));
    }

    #[test]
    fn a_configuration_reads_like_one() {
        let document = json!({"http": {"addr": "127.0.0.1:1", "headers": {}}, "list": ["a"]});
        assert_eq!(
            render(&document),
            "http:\n  addr: \"127.0.0.1:1\"\n  headers: {}\nlist: [\"a\"]\n"
        );
    }
}
