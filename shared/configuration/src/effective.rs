use serde_json::{Map, Value};

use crate::Origin;
use crate::schema::Key;

/// A value as it takes effect: typed, with defaults, and with where it is from.
#[derive(Debug)]
pub(crate) enum Effective {
    Unset,
    Leaf(Leaf),
    List(Vec<Effective>),
    /// Names that the user chose.
    Named(Vec<(String, Effective)>),
    Section(Vec<Field>),
    OneOf {
        field: &'static str,
        chosen: Option<Box<Field>>,
        settings: Vec<Field>,
    },
    /// What a `name` beside has decided.
    Tagged(&'static str, Box<Effective>),
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) key: &'static Key,
    pub(crate) value: Effective,
}

#[derive(Debug)]
pub(crate) struct Leaf {
    json: Value,
    pub(crate) shown: String,
    pub(crate) origin: Origin,
    pub(crate) secret: bool,
}

impl Leaf {
    pub(crate) fn new(json: Value, shown: &str, origin: &Origin, secret: bool) -> Self {
        Self {
            json,
            shown: shown.to_owned(),
            origin: origin.clone(),
            secret,
        }
    }

    pub(crate) fn json(&self) -> &Value {
        &self.json
    }
}

impl Effective {
    /// The value as the structs of the configuration read it.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Unset => Value::Null,
            Self::Leaf(leaf) => leaf.json.clone(),
            Self::List(list) => list.iter().map(Self::to_json).collect(),
            Self::Named(named) => named
                .iter()
                .map(|(name, value)| (name.clone(), value.to_json()))
                .collect(),
            Self::Section(fields) => Value::Object(object(fields)),
            Self::Tagged(tag, value) => single(tag, value.to_json()),
            Self::OneOf {
                field,
                chosen,
                settings,
            } => {
                let mut all = object(settings);
                let chosen = chosen.as_ref().map_or(Value::Null, |chosen| {
                    single(chosen.key.name, chosen.value.to_json())
                });
                all.insert((*field).to_owned(), chosen);
                Value::Object(all)
            }
        }
    }

    /// The leaf at `http.addr` or `notifications.endpoints[0].url`.
    pub(crate) fn find(&self, path: &str) -> Option<&Leaf> {
        match self.at(path)? {
            Self::Leaf(leaf) => Some(leaf),
            _ => None,
        }
    }

    /// Where the value at `path` is written, or the first one of the section there; `None` when none
    /// is.
    pub(crate) fn origin(&self, path: &str) -> Option<&Origin> {
        self.at(path)?.first_written()
    }

    fn first_written(&self) -> Option<&Origin> {
        match self {
            Self::Unset => None,
            Self::Leaf(leaf) => Some(&leaf.origin).filter(|origin| **origin != Origin::Default),
            Self::List(list) => list.iter().find_map(Self::first_written),
            Self::Named(named) => named.iter().find_map(|(_, value)| value.first_written()),
            Self::Section(fields) => fields.iter().find_map(|field| field.value.first_written()),
            Self::OneOf {
                chosen, settings, ..
            } => {
                let mut fields = chosen.as_deref().into_iter().chain(settings);
                fields.find_map(|field| field.value.first_written())
            }
            Self::Tagged(_, value) => value.first_written(),
        }
    }

    /// The value or section at `path`.
    fn at(&self, path: &str) -> Option<&Self> {
        let (step, rest) = match path.find(['.', '[']) {
            _ if path.is_empty() => return Some(self),
            Some(0) => return self.at_index(path),
            Some(at) => path.split_at(at),
            None => (path, ""),
        };
        match self {
            Self::Section(fields) => at_field(fields.iter(), step, rest),
            Self::OneOf {
                chosen, settings, ..
            } => at_field(settings.iter().chain(chosen.as_deref()), step, rest),
            Self::Named(named) => named
                .iter()
                .find(|(name, _)| name == step)
                .and_then(|(_, value)| value.below(rest)),
            Self::Tagged(_, value) => value.at(path),
            Self::Unset | Self::Leaf(_) | Self::List(_) => None,
        }
    }

    fn at_index(&self, path: &str) -> Option<&Self> {
        let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
        match self {
            Self::List(list) => list.get(index.parse::<usize>().ok()?)?.below(rest),
            _ => None,
        }
    }

    fn below(&self, rest: &str) -> Option<&Self> {
        self.at(rest.strip_prefix('.').unwrap_or(rest))
    }
}

fn object(fields: &[Field]) -> Map<String, Value> {
    fields
        .iter()
        .map(|field| (field.key.name.to_owned(), field.value.to_json()))
        .collect()
}

fn single(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

fn at_field<'a>(
    mut fields: impl Iterator<Item = &'a Field>,
    name: &str,
    rest: &str,
) -> Option<&'a Effective> {
    fields
        .find(|field| field.key.name == name)
        .and_then(|field| field.value.below(rest))
}
