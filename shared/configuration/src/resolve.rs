//! The tree of a text against the schema: every value typed, every default filled in, every problem noted.

mod headers;
mod scalar;
mod status;

use crate::effective::{Effective, Field};
use crate::schema::{Key, Kind, OneOf, Status};
use crate::suggestion;
use crate::yaml::{Map, Node, Value};
use crate::{Configuration, Origin, Problem};

/// Types a whole tree. What is wrong goes to `problems`; the result then has the default in its place.
pub(crate) fn resolve(root: &Node, problems: &mut Vec<Problem>) -> Effective {
    let mut resolver = Resolver {
        path: Vec::new(),
        hidden: false,
        strict: false,
        start: &root.origin,
        problems,
    };
    resolver.section(Configuration::KEYS, Some(root))
}

/// The same for the text of one section, in which no key may be unknown.
pub(crate) fn resolve_section(
    keys: &'static [Key],
    root: &Node,
    problems: &mut Vec<Problem>,
) -> Effective {
    let mut resolver = Resolver {
        path: Vec::new(),
        hidden: false,
        strict: true,
        start: &root.origin,
        problems,
    };
    resolver.section(keys, Some(root))
}

struct Resolver<'a> {
    path: Vec<String>,
    /// Below a secret, no message may quote what it found.
    hidden: bool,
    /// Here an unknown key is an error.
    strict: bool,
    /// Where the text begins: the place of what is missing.
    start: &'a Origin,
    problems: &'a mut Vec<Problem>,
}

impl Resolver<'_> {
    fn path(&self) -> String {
        self.path.join(".").replace(".[", "[")
    }

    fn error(&mut self, origin: &Origin, message: impl Into<String>) {
        let problem = Problem::error(&self.path(), origin, message);
        self.problems.push(problem);
    }

    fn warning(&mut self, origin: &Origin, message: impl Into<String>) {
        let problem = Problem::warning(&self.path(), origin, message);
        self.problems.push(problem);
    }

    /// Goes one step down for as long as `act` takes.
    fn within<T>(&mut self, step: impl Into<String>, act: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step.into());
        let result = act(self);
        self.path.pop();
        result
    }

    fn key(&mut self, key: &'static Key, node: Option<&Node>, siblings: Option<&Map>) -> Effective {
        let (hidden, strict) = (self.hidden, self.strict);
        self.hidden |= key.secret;
        self.strict |= key.strict.is_some();
        if let (Some(required), Some(node)) = (key.strict, node) {
            self.report_missing(required, node);
        }
        if let Some(node) = node {
            self.report_status(key, node);
        }
        let written = node.filter(|node| !node.is_null());
        let value = match &key.kind {
            Kind::Section(_) if key.strict.is_some() && node.is_none() => Effective::Unset,
            Kind::Section(keys) => self.section(keys, node),
            Kind::Entries(keys) => self.entries(keys, written),
            Kind::OneOf(one_of) => self.one_of(one_of, written),
            Kind::Options(variants) => self.options(variants, node, siblings),
            Kind::Texts => self.texts(key, written),
            Kind::Headers => self.headers(key, written),
            _ => self.scalar(key, written),
        };
        (self.hidden, self.strict) = (hidden, strict);
        value
    }

    fn section(&mut self, keys: &'static [Key], node: Option<&Node>) -> Effective {
        let empty = Map::default();
        let map = node
            .and_then(|node| self.map_or_error(node))
            .unwrap_or(&empty);
        self.report_unknown(keys, map);
        Effective::Section(self.fields(keys, map))
    }

    fn fields(&mut self, keys: &'static [Key], map: &Map) -> Vec<Field> {
        keys.iter().filter_map(|key| self.field(key, map)).collect()
    }

    /// The value of a key that is data; what is only known gets its report.
    fn field(&mut self, key: &'static Key, map: &Map) -> Option<Field> {
        let node = map.get(key.name);
        if matches!(key.status, Status::Renamed(_)) {
            return None;
        }
        let value = self.within(key.name, |this| this.key(key, node, Some(map)));
        (!matches!(key.status, Status::Removed(_))).then_some(Field { key, value })
    }

    fn map_or_error<'n>(&mut self, node: &'n Node) -> Option<&'n Map> {
        if node.as_map().is_none() && !node.is_null() {
            self.expected("a section with keys", node);
        }
        node.as_map()
    }

    fn report_unknown(&mut self, keys: &'static [Key], map: &Map) {
        for (name, node) in map.iter() {
            let is_extension = self.path.is_empty() && name.starts_with("x-");
            if is_extension || keys.iter().any(|key| key.name == name) {
                continue;
            }
            let suggestion =
                suggestion::for_key(name, keys.iter().map(|key| key.name), Configuration::KEYS);
            let path = self.within(name, |this| this.path());
            let problem = match self.strict {
                true => Problem::error(&path, &node.origin, "unknown key"),
                false => Problem::warning(&path, &node.origin, "unknown key"),
            };
            self.problems.push(problem.suggest_if_some(suggestion));
        }
    }

    fn report_missing(&mut self, required: &[&str], node: &Node) {
        let map = node.as_map();
        let value = |key: &&str| map.and_then(|map| map.get(key));
        if required.iter().filter_map(value).all(Node::is_null) {
            let message = format!("{} is missing", required.join(" or "));
            self.error(&node.origin, message);
        }
    }

    fn entries(&mut self, keys: &'static [Key], node: Option<&Node>) -> Effective {
        let mut list = Vec::new();
        for (index, node) in self.list_or_error(node).iter().enumerate() {
            list.push(self.within(format!("[{index}]"), |this| this.section(keys, Some(node))));
        }
        Effective::List(list)
    }

    fn list_or_error<'n>(&mut self, node: Option<&'n Node>) -> &'n [Node] {
        match node {
            None => &[],
            Some(Node {
                value: Value::List(list),
                ..
            }) => list,
            Some(node) => {
                self.expected("a list", node);
                &[]
            }
        }
    }

    fn texts(&mut self, key: &'static Key, node: Option<&Node>) -> Effective {
        let mut list = Vec::new();
        let default = match node {
            Some(_) => Vec::new(),
            None => default_texts(key),
        };
        let written = self.list_or_error(node);
        for (index, node) in default.iter().chain(written).enumerate() {
            list.extend(self.within(format!("[{index}]"), |this| this.text_value(key, node)));
        }
        Effective::List(list)
    }

    fn options(
        &mut self,
        variants: &'static [Key],
        node: Option<&Node>,
        siblings: Option<&Map>,
    ) -> Effective {
        let name = siblings
            .and_then(|map| map.get("name"))
            .and_then(Node::as_text);
        let variant = variants.iter().find(|variant| Some(variant.name) == name);
        match variant {
            Some(variant) => {
                Effective::Tagged(variant.name, Box::new(self.key(variant, node, None)))
            }
            None => {
                let value = self.scalar(&crate::schema::ANY, node);
                Effective::Tagged("other", Box::new(value))
            }
        }
    }

    fn one_of(&mut self, one_of: &'static OneOf, node: Option<&Node>) -> Effective {
        let named = node.and_then(Node::as_text).zip(node).map(|(name, node)| {
            let mut map = Map::default();
            map.insert(name, Node::null(node.origin.clone()));
            map
        });
        let empty = Map::default();
        let map = match (&named, node) {
            (Some(map), _) => map,
            (None, Some(node)) => self.map_or_error(node).unwrap_or(&empty),
            (None, None) => &empty,
        };
        let chosen = self.chosen(one_of, map, node);
        let settings = self.fields(one_of.settings, map);
        Effective::OneOf {
            field: one_of.field,
            chosen,
            settings,
        }
    }

    /// The one variant of a map, resolved. None and several are errors, as is a name that is none.
    fn chosen(
        &mut self,
        one_of: &'static OneOf,
        map: &Map,
        node: Option<&Node>,
    ) -> Option<Box<Field>> {
        let is_setting = |name: &str| one_of.settings.iter().any(|key| key.name == name);
        let candidates: Vec<(&str, &Node)> =
            map.iter().filter(|(name, _)| !is_setting(name)).collect();
        match candidates.as_slice() {
            [] if one_of.required => {
                let origin = node.map_or(self.start, |node| &node.origin).clone();
                let message = format!("no {} is configured", one_of.noun);
                self.problems.push(
                    Problem::error(&self.path(), &origin, message)
                        .suggest(format!("one of {}", built(one_of).join(", "))),
                );
                None
            }
            [] => None,
            [(name, node)] => self.variant(one_of, name, node),
            several => {
                self.report_several(one_of, several);
                for (name, node) in several {
                    self.variant(one_of, name, node);
                }
                None
            }
        }
    }

    fn variant(&mut self, one_of: &'static OneOf, name: &str, node: &Node) -> Option<Box<Field>> {
        let lower = name.to_lowercase();
        let found = one_of
            .variants
            .iter()
            .find(|key| key.name == name || (key.name == "none" && lower == "none"));
        let Some(key) = found else {
            self.report_unknown_variant(one_of, name, node);
            return None;
        };
        let value = self.within(name, |this| this.key(key, Some(node), None));
        (!matches!(key.status, Status::Removed(_))).then(|| Box::new(Field { key, value }))
    }

    fn report_unknown_variant(&mut self, one_of: &'static OneOf, name: &str, node: &Node) {
        let names = one_of
            .variants
            .iter()
            .chain(one_of.settings)
            .map(|key| key.name);
        let suggestion = suggestion::for_key(name, names, &[]);
        let known = || format!("the {}s are {}", one_of.noun, built(one_of).join(", "));
        let path = self.within(name, |this| this.path());
        let problem = Problem::error(&path, &node.origin, "unknown key");
        self.problems
            .push(problem.suggest(suggestion.unwrap_or_else(known)));
    }

    fn report_several(&mut self, one_of: &OneOf, several: &[(&str, &Node)]) {
        let places: Vec<String> = several
            .iter()
            .map(|(name, node)| format!("{name} ({})", node.origin))
            .collect();
        let message = format!(
            "multiple {}s specified in configuration or environment: {}",
            one_of.noun,
            places.join(", ")
        );
        let (_, last) = several[several.len() - 1];
        let by_variable = several.iter().find(|(_, node)| node.origin.is_variable());
        let mut problem = Problem::error(&self.path(), &last.origin, message);
        if let Some((name, node)) = by_variable {
            problem.origin = node.origin.clone();
            let variable = format!("REGISTRY_{}", self.path().to_uppercase());
            problem = problem.suggest(format!(
                "set {variable}={name} as well: it replaces what the file says of {}",
                self.path()
            ));
        }
        self.problems.push(problem);
    }

    fn expected(&mut self, expected: &str, node: &Node) {
        let message = format!("expected {expected}, found {}", node.describe(self.hidden));
        self.error(&node.origin, message);
    }
}

/// The variants that a user may choose now.
fn built(one_of: &OneOf) -> Vec<&'static str> {
    one_of
        .variants
        .iter()
        .filter(|key| matches!(key.status, Status::Built))
        .map(|key| key.name)
        .collect()
}

/// The default of a list, which is written `[one, two]`.
fn default_texts(key: &Key) -> Vec<Node> {
    let texts = key.default.unwrap_or_default();
    let texts = texts.trim_matches(['[', ']']).split(',').map(str::trim);
    texts
        .filter(|text| !text.is_empty())
        .map(|text| Node::text(Origin::Default, text))
        .collect()
}
