use serde_json::json;

use super::Resolver;
use crate::duration::{self, GoDuration};
use crate::effective::{Effective, Leaf};
use crate::schema::{Key, Kind};
use crate::yaml::{Node, Resolved, Scalar, Value};
use crate::{Origin, Problem, show};

/// A bare number below this many nanoseconds was surely meant to be something else.
const SUSPICIOUS: i64 = 1_000_000;

impl Resolver<'_> {
    /// A key without keys below. Null, and an empty text, are the default.
    pub(super) fn scalar(&mut self, key: &'static Key, node: Option<&Node>) -> Effective {
        let written = node.filter(|node| !is_empty(node));
        let value = written.and_then(|node| self.typed(key, node));
        value.map_or_else(|| self.default(key), Effective::Leaf)
    }

    fn default(&mut self, key: &'static Key) -> Effective {
        let Some(default) = key.default else {
            return Effective::Unset;
        };
        let node = match key.kind {
            Kind::Any => {
                return Effective::Leaf(Leaf::new(json!({}), "{}", &Origin::Default, false));
            }
            Kind::Text => Node::text(Origin::Default, default),
            _ => Node {
                origin: Origin::Default,
                value: Value::Scalar(Scalar::plain(default)),
            },
        };
        self.typed(key, &node)
            .map_or(Effective::Unset, Effective::Leaf)
    }

    fn typed(&mut self, key: &'static Key, node: &Node) -> Option<Leaf> {
        match &key.kind {
            Kind::Any => Some(self.leaf(any(node), &show::untyped(&any(node)).to_string(), node)),
            Kind::Text => self.text(key, node),
            Kind::Bool => self.bool(node, false),
            Kind::LooseBool => self.bool(node, true),
            Kind::Integer { min } => self.integer(key, node, *min, false),
            Kind::LooseInteger { min } => self.integer(key, node, *min, true),
            Kind::Duration => self.duration(key, node),
            Kind::Choice(words) => self.choice(key, node, words),
            _ => None,
        }
    }

    fn leaf(&self, json: serde_json::Value, shown: &str, node: &Node) -> Leaf {
        Leaf::new(json, shown, &node.origin, self.hidden)
    }

    fn scalar_or_error<'n>(&mut self, expected: &str, node: &'n Node) -> Option<&'n Scalar> {
        match &node.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => {
                self.expected(expected, node);
                None
            }
        }
    }

    /// An element of a list of texts.
    pub(super) fn text_value(&mut self, key: &'static Key, node: &Node) -> Option<Effective> {
        self.text(key, node).map(Effective::Leaf)
    }

    fn text(&mut self, key: &'static Key, node: &Node) -> Option<Leaf> {
        let scalar = self.scalar_or_error("a text", node)?;
        let text = if scalar.resolved == Resolved::Null {
            ""
        } else {
            scalar.text.as_str()
        };
        if let Some(Err(message)) = key.check.map(|check| check(text)) {
            self.error(&node.origin, message);
            return None;
        }
        Some(self.leaf(json!(text), text, node))
    }

    fn bool(&mut self, node: &Node, loose: bool) -> Option<Leaf> {
        let value = match &node.value {
            Value::Scalar(Scalar {
                resolved: Resolved::Bool(value),
                ..
            }) => Some(*value),
            Value::Scalar(scalar) if loose => parse_bool(&scalar.text),
            _ => None,
        };
        match value {
            Some(value) => Some(self.leaf(json!(value), &value.to_string(), node)),
            None => {
                self.expected("true or false", node);
                None
            }
        }
    }

    fn integer(&mut self, key: &Key, node: &Node, min: i64, loose: bool) -> Option<Leaf> {
        let scalar = self.scalar_or_error("a whole number", node)?;
        let Some(value) = whole_number(scalar, loose) else {
            self.expected("a whole number", node);
            return None;
        };
        if value <= 0 && key.zero_is_default && (min != 0 || value == 0) {
            return None;
        }
        if value < min {
            self.error(
                &node.origin,
                format!("must not be less than {min}, and is {value}"),
            );
            return None;
        }
        Some(self.leaf(json!(value), &value.to_string(), node))
    }

    fn duration(&mut self, key: &Key, node: &Node) -> Option<Leaf> {
        let scalar = self.scalar_or_error("a duration", node)?;
        let parsed = match scalar.resolved {
            Resolved::Integer(nanoseconds) => {
                self.warn_if_suspicious(nanoseconds, node);
                Ok(GoDuration::from_nanoseconds(nanoseconds))
            }
            Resolved::Text => GoDuration::parse(&scalar.text).map_err(|error| error.to_string()),
            _ => Err(format!(
                "expected a duration, found {}",
                node.describe(self.hidden)
            )),
        };
        let duration = match parsed {
            Ok(duration) => duration,
            Err(message) => {
                let problem = Problem::error(&self.path(), &node.origin, message);
                self.problems
                    .push(problem.suggest("write a number with a unit, as in 30s, 10m or 168h"));
                return None;
            }
        };
        if key.zero_is_default && !duration.is_positive() {
            return None;
        }
        if duration.is_negative() {
            self.warning(
                &node.origin,
                format!("{} is negative and counts as 0", scalar.text),
            );
        }
        let duration = duration.unsigned();
        let json = json!({ "secs": duration.as_secs(), "nanos": duration.subsec_nanos() });
        Some(self.leaf(json, &duration::display(duration), node))
    }

    fn warn_if_suspicious(&mut self, nanoseconds: i64, node: &Node) {
        if nanoseconds == 0 || nanoseconds.abs() >= SUSPICIOUS || node.origin == Origin::Default {
            return;
        }
        let message =
            format!("a number without a unit counts nanoseconds: {nanoseconds} is next to nothing");
        let problem = Problem::warning(&self.path(), &node.origin, message);
        self.problems
            .push(problem.suggest(format!("did you mean {nanoseconds}s?")));
    }

    fn choice(&mut self, key: &Key, node: &Node, words: &[&str]) -> Option<Leaf> {
        let expected = format!("one of {}", words.join(", "));
        let scalar = self.scalar_or_error(&expected, node)?;
        let lower = scalar.text.to_lowercase();
        if words.contains(&lower.as_str()) {
            return Some(self.leaf(json!(lower), &lower, node));
        }
        if key.tolerant {
            self.warning(
                &node.origin,
                format!(
                    "unknown value {:?}, which counts as none; {expected}",
                    scalar.text
                ),
            );
        } else {
            self.expected(&expected, node);
        }
        None
    }
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(scalar) if scalar.text.is_empty() || scalar.resolved == Resolved::Null)
}

/// Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "only whole numbers within 53 bits are converted"
)]
fn whole_number(scalar: &Scalar, loose: bool) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match scalar.resolved {
        Resolved::Integer(value) => Some(value),
        Resolved::Float(value) if value.fract() == 0.0 && value.abs() < EXACT => Some(value as i64),
        Resolved::Text if loose => match Scalar::plain(scalar.text.trim()).resolved {
            Resolved::Integer(value) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

fn any(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::List(list) => list.iter().map(any).collect(),
        Value::Map(map) => map
            .iter()
            .map(|(key, node)| (key.to_owned(), any(node)))
            .collect(),
        Value::Scalar(scalar) => match scalar.resolved {
            Resolved::Null => serde_json::Value::Null,
            Resolved::Bool(value) => json!(value),
            Resolved::Integer(value) => json!(value),
            Resolved::Unsigned(value) => json!(value),
            Resolved::Float(value) if value.is_finite() => json!(value),
            Resolved::Float(_) | Resolved::Text => json!(scalar.text),
        },
    }
}
