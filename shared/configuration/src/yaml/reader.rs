use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag, options};

use super::{Map, Node, Scalar, Value};
use crate::Origin;

/// Aliases may repeat a part of the text; beyond this many values it is an attack, not a configuration.
const NODE_LIMIT: usize = 100_000;

/// Gives the lines of one text their origin.
pub(crate) trait Position {
    fn at(&self, line: usize) -> Origin;
}

impl<F: Fn(usize) -> Origin> Position for F {
    fn at(&self, line: usize) -> Origin {
        self(line)
    }
}

/// The text is no YAML. The message never quotes the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// A document, and the keys that were written more than once: path, first line, and where they came again.
pub(crate) struct Document {
    pub(crate) root: Node,
    pub(crate) repeated: Vec<Repeated>,
}

pub(crate) struct Repeated {
    pub(crate) path: String,
    pub(crate) first: Origin,
    pub(crate) again: Origin,
}

/// Reads the first document of a text. `whole` names the top-level keys that a repetition replaces instead of joining:
/// yaml.v2 joins the two `http:` sections of a text, but Distribution's own decoders keep only the last `storage:`.
pub(crate) fn parse(
    text: &str,
    position: &dyn Position,
    whole: &[&str],
) -> Result<Document, SyntaxError> {
    let parser =
        Parser::new_from_str_with_options(text, options! { simple_key_max_lookahead: 4096 });
    let mut reader = Reader {
        events: parser,
        position,
        whole,
        anchors: HashMap::new(),
        path: Vec::new(),
        repeated: Vec::new(),
        nodes: 0,
    };
    let root = reader.document()?;
    Ok(Document {
        root,
        repeated: reader.repeated,
    })
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    position: &'a dyn Position,
    whole: &'a [&'a str],
    anchors: HashMap<usize, Node>,
    path: Vec<String>,
    repeated: Vec<Repeated>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Node, SyntaxError> {
        loop {
            match self.next()? {
                Some((Event::StreamStart | Event::DocumentStart(..), _)) => {}
                Some((Event::StreamEnd | Event::DocumentEnd, _)) | None => {
                    return Ok(Node::null(self.position.at(1)));
                }
                Some((event, span)) => return self.node(event, span),
            }
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, SyntaxError> {
        match self.events.next_event() {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => Err(SyntaxError {
                line: error.marker().line(),
                message: error.info(),
            }),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, SyntaxError> {
        let line = span.start.line();
        self.count(1, line)?;
        let anchor = event.anchor_id();
        let value = match event {
            Event::Scalar(text, style, _, tag) => {
                Value::Scalar(scalar(text.into_owned(), style, tag.as_deref()))
            }
            Event::SequenceStart(..) => Value::List(self.list()?),
            Event::MappingStart(..) => Value::Map(self.map()?),
            Event::Alias(id) => return self.alias(id, line),
            _ => {
                return Err(SyntaxError {
                    line,
                    message: "a value is missing here".to_owned(),
                });
            }
        };
        let node = Node {
            origin: self.position.at(line),
            value,
        };
        if let Some(id) = anchor {
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, line: usize) -> Result<Node, SyntaxError> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            return Err(SyntaxError {
                line,
                message: "an anchor contains itself".to_owned(),
            });
        };
        self.count(size(&node), line)?;
        Ok(node)
    }

    fn count(&mut self, nodes: usize, line: usize) -> Result<(), SyntaxError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= NODE_LIMIT {
            return Ok(());
        }
        Err(SyntaxError {
            line,
            message: format!("more than {NODE_LIMIT} values, aliases included"),
        })
    }

    fn list(&mut self) -> Result<Vec<Node>, SyntaxError> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                Some((Event::SequenceEnd, _)) | None => return Ok(list),
                Some((event, span)) => {
                    self.path.push(format!("[{}]", list.len()));
                    list.push(self.node(event, span)?);
                    self.path.pop();
                }
            }
        }
    }

    fn map(&mut self) -> Result<Map, SyntaxError> {
        let mut map = Map::default();
        let mut written: HashMap<String, Origin> = HashMap::new();
        loop {
            let (event, span) = match self.next()? {
                Some((Event::MappingEnd, _)) | None => return Ok(map),
                Some(next) => next,
            };
            let line = span.start.line();
            let merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = key_text(self.node(event, span)?, line)?;
            self.path.push(key.clone());
            let value = self.value(line)?;
            if merge {
                merge_into(&mut map, value, line)?;
            } else {
                let origin = self.position.at(line);
                if let Some(first) = written.insert(key.clone(), origin.clone()) {
                    self.repeated.push(Repeated {
                        path: self.path_text(),
                        first,
                        again: origin.clone(),
                    });
                }
                self.put(&mut map, &key, Node { origin, ..value });
            }
            self.path.pop();
        }
    }

    fn value(&mut self, line: usize) -> Result<Node, SyntaxError> {
        match self.next()? {
            Some((event, span)) => self.node(event, span),
            None => Err(SyntaxError {
                line,
                message: "a value is missing here".to_owned(),
            }),
        }
    }

    fn put(&self, map: &mut Map, key: &str, node: Node) {
        if self.path.len() == 1 && self.whole.contains(&key) {
            map.insert(key, node);
        } else {
            map.absorb(key, node);
        }
    }

    fn path_text(&self) -> String {
        self.path.join(".").replace(".[", "[")
    }
}

fn scalar(text: String, style: ScalarStyle, tag: Option<&Tag>) -> Scalar {
    match tag.map(|tag| tag.core_suffix()) {
        Some(None | Some("str")) => Scalar::text(text),
        Some(Some(_)) => Scalar::plain(text),
        None if style == ScalarStyle::Plain => Scalar::plain(text),
        None => Scalar::text(text),
    }
}

fn key_text(key: Node, line: usize) -> Result<String, SyntaxError> {
    match key.value {
        Value::Scalar(scalar) => Ok(scalar.text),
        Value::List(_) | Value::Map(_) => Err(SyntaxError {
            line,
            message: "a key must be a text".to_owned(),
        }),
    }
}

/// `<<: *a` or `<<: [*a, *b]`, where the earlier wins. As in yaml.v2 it acts where it stands: it overrides what is written
/// above it and is overridden by what follows.
fn merge_into(map: &mut Map, value: Node, line: usize) -> Result<(), SyntaxError> {
    match value.value {
        Value::Map(other) => {
            for (key, node) in other.entries {
                map.absorb(&key, node);
            }
            Ok(())
        }
        Value::List(others) => others
            .into_iter()
            .rev()
            .try_for_each(|other| match other.value {
                Value::Map(_) => merge_into(map, other, line),
                _ => Err(not_a_map(line)),
            }),
        Value::Scalar(_) => Err(not_a_map(line)),
    }
}

fn not_a_map(line: usize) -> SyntaxError {
    SyntaxError {
        line,
        message: "map merge requires map or sequence of maps as the value".to_owned(),
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 1,
        Value::List(list) => 1 + list.iter().map(size).sum::<usize>(),
        Value::Map(map) => 1 + map.iter().map(|(_, node)| size(node)).sum::<usize>(),
    }
}
