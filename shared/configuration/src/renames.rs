//! Keys that have another name now: their values count for the new one.

use crate::schema::{Key, Kind, Status};
use crate::yaml::{Map, Node, Value};
use crate::{Configuration, Problem};

/// Moves every value that stands under a former name, unless the present name has one too. Each is a warning.
pub(crate) fn apply(root: &mut Node, problems: &mut Vec<Problem>) {
    let mut renames = Renames {
        problems,
        distant: Vec::new(),
    };
    renames.keys(Configuration::KEYS, root, "");
    for (target, node) in renames.distant {
        fill(place(root, target, &node), node);
    }
}

struct Renames<'a> {
    problems: &'a mut Vec<Problem>,
    /// Values for keys of other sections.
    distant: Vec<(&'static str, Node)>,
}

impl Renames<'_> {
    fn keys(&mut self, keys: &'static [Key], node: &mut Node, path: &str) {
        let Value::Map(map) = &mut node.value else {
            return;
        };
        for key in keys {
            let path = if path.is_empty() {
                key.name.to_owned()
            } else {
                format!("{path}.{}", key.name)
            };
            match key.status {
                Status::Renamed(to) => self.rename(key, to, keys, map, &path),
                _ => self.below(key, map, &path),
            }
        }
    }

    fn below(&mut self, key: &'static Key, map: &mut Map, path: &str) {
        let Some(node) = map.get_mut(key.name) else {
            return;
        };
        match &key.kind {
            Kind::Section(keys) => self.keys(keys, node, path),
            Kind::Entries(keys) => self.entries(keys, node, path),
            Kind::OneOf(one_of) => {
                self.keys(one_of.variants, node, path);
                self.keys(one_of.settings, node, path);
            }
            Kind::Options(variants) => {
                variants
                    .iter()
                    .flat_map(Key::sections)
                    .for_each(|keys| self.keys(keys, node, path));
            }
            _ => {}
        }
        let is_emptied = node.as_map().is_some_and(|map| map.iter().next().is_none());
        if is_emptied && matches!(key.status, Status::Removed(_)) {
            map.remove(key.name);
        }
    }

    fn entries(&mut self, keys: &'static [Key], node: &mut Node, path: &str) {
        let Value::List(list) = &mut node.value else {
            return;
        };
        for (index, node) in list.iter_mut().enumerate() {
            self.keys(keys, node, &format!("{path}[{index}]"));
        }
    }

    fn rename(&mut self, key: &Key, to: &'static str, siblings: &[Key], map: &mut Map, path: &str) {
        let Some(node) = map.remove(key.name) else {
            return;
        };
        let new = match (to.contains('.'), path.rsplit_once('.')) {
            (false, Some((parent, _))) => format!("{parent}.{to}"),
            _ => to.to_owned(),
        };
        self.problems.push(
            Problem::warning(path, &node.origin, "deprecated name").suggest(format!("use {new}")),
        );
        match siblings.iter().find(|sibling| sibling.name == to) {
            Some(sibling) => {
                let origin = node.origin.clone();
                fill(map.entry(to, &origin), fit(sibling, node));
            }
            None => self.distant.push((to, node)),
        }
    }
}

impl Key {
    fn sections(&'static self) -> Option<&'static [Key]> {
        match self.kind {
            Kind::Section(keys) => Some(keys),
            _ => None,
        }
    }
}

/// One text for what is a list now.
fn fit(key: &Key, node: Node) -> Node {
    match (&key.kind, &node.value) {
        (Kind::Texts, Value::Scalar(_)) if !node.is_null() => Node {
            origin: node.origin.clone(),
            value: Value::List(vec![node]),
        },
        _ => node,
    }
}

fn place<'a>(root: &'a mut Node, path: &str, like: &Node) -> &'a mut Node {
    path.split('.')
        .fold(root, |node, step| node.make_map().entry(step, &like.origin))
}

fn fill(place: &mut Node, node: Node) {
    if place.is_null() {
        *place = node;
    }
}
