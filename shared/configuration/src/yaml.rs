//! A YAML text as a tree that remembers where each key stands, read as Go's yaml.v2 reads it.

mod reader;
mod scalar;

pub(crate) use reader::{Document, SyntaxError, parse};
pub(crate) use scalar::{Resolved, Scalar};

use crate::Origin;

/// A value and where it was written: the line of its key or, in a list, of itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

impl Node {
    pub(crate) fn null(origin: Origin) -> Self {
        Self {
            origin,
            value: Value::Scalar(Scalar::null()),
        }
    }

    pub(crate) fn text(origin: Origin, text: impl Into<String>) -> Self {
        Self {
            origin,
            value: Value::Scalar(Scalar::text(text)),
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.resolved == Resolved::Null)
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if scalar.resolved != Resolved::Null => Some(&scalar.text),
            _ => None,
        }
    }

    /// The map in this place; whatever else is there makes room for an empty one.
    pub(crate) fn make_map(&mut self) -> &mut Map {
        if !matches!(self.value, Value::Map(_)) {
            self.value = Value::Map(Map::default());
        }
        match &mut self.value {
            Value::Map(map) => map,
            _ => unreachable!("a map was just put here"),
        }
    }

    /// The list in this place; whatever else is there makes room for an empty one.
    pub(crate) fn make_list(&mut self) -> &mut Vec<Node> {
        if !matches!(self.value, Value::List(_)) {
            self.value = Value::List(Vec::new());
        }
        match &mut self.value {
            Value::List(list) => list,
            _ => unreachable!("a list was just put here"),
        }
    }

    /// `a map`, `a list`, `the text "x"`: how a message names what it found.
    pub(crate) fn describe(&self, hide: bool) -> String {
        match &self.value {
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
            Value::Scalar(scalar) => {
                let kind = match scalar.resolved {
                    Resolved::Null => return "nothing".to_owned(),
                    Resolved::Bool(_) => "the bool",
                    Resolved::Integer(_) | Resolved::Unsigned(_) | Resolved::Float(_) => {
                        "the number"
                    }
                    Resolved::Text if hide => "a text",
                    Resolved::Text => return format!("the text {:?}", scalar.text),
                };
                if hide {
                    kind.replace("the", "a")
                } else {
                    format!("{kind} {}", scalar.text)
                }
            }
        }
    }
}

/// A map in the order it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Map {
    entries: Vec<(String, Node)>,
}

impl Map {
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries
            .iter_mut()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries
            .iter()
            .map(|(name, node)| (name.as_str(), node))
    }

    /// The value of a key, created as null where there is none.
    pub(crate) fn entry(&mut self, key: &str, origin: &Origin) -> &mut Node {
        let index = match self.entries.iter().position(|(name, _)| name == key) {
            Some(index) => index,
            None => {
                self.entries
                    .push((key.to_owned(), Node::null(origin.clone())));
                self.entries.len() - 1
            }
        };
        &mut self.entries[index].1
    }

    pub(crate) fn insert(&mut self, key: &str, node: Node) {
        let origin = node.origin.clone();
        *self.entry(key, &origin) = node;
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Node> {
        let index = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.remove(index).1)
    }

    /// What yaml.v2 does with a key that comes again, or by `<<`: sections join, everything else is replaced.
    fn absorb(&mut self, key: &str, node: Node) {
        match (self.get_mut(key).map(|old| &mut old.value), node) {
            (
                Some(Value::Map(old)),
                Node {
                    value: Value::Map(new),
                    ..
                },
            ) => {
                for (key, node) in new.entries {
                    old.absorb(&key, node);
                }
            }
            (_, node) => self.insert(key, node),
        }
    }
}
