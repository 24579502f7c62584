use super::Resolver;
use crate::schema::{Key, Kind, Status};
use crate::yaml::{Map, Node, Resolved, Value};
use crate::{Origin, Problem};

impl Resolver<'_> {
    /// Says what a release that has not everything makes of a key that somebody uses.
    pub(super) fn report_status(&mut self, key: &'static Key, node: &Node) {
        match key.status {
            Status::Built | Status::Follows(_) | Status::Renamed(_) => {}
            Status::Later(feature) if is_active(key, node) => {
                let origin = active_origin(key, node);
                self.warning(
                    &origin,
                    format!("{feature} is not built yet: this has no effect"),
                );
            }
            Status::Refused(feature) if is_active(key, node) || self.is_variant(key) => {
                let origin = active_origin(key, node);
                let message =
                    format!("{feature} is not built yet, and Roadstead does not start without it");
                self.error(&origin, message);
            }
            Status::Later(_) | Status::Refused(_) => {}
            Status::Removed(instead) => self.report_removed(instead, node),
        }
    }

    /// A removed section is only missed; a removed driver would have held the data.
    fn report_removed(&mut self, instead: &str, node: &Node) {
        let path = self.path();
        let problem = match path.starts_with("storage.") {
            true => Problem::error(&path, &node.origin, "not supported since Distribution 3"),
            false => Problem::warning(&path, &node.origin, "not supported since Distribution 3"),
        };
        self.problems.push(problem.suggest(instead));
    }

    /// To name a storage driver or an authentication type is to use it, even with nothing below.
    fn is_variant(&self, key: &Key) -> bool {
        matches!(self.path.as_slice(), [first, second] if matches!(first.as_str(), "storage" | "auth") && second == key.name)
    }
}

/// Whether a value switches its feature on: not when it is empty, `false`, or says itself that it is switched off.
fn is_active(key: &Key, node: &Node) -> bool {
    match (&key.kind, &node.value) {
        (Kind::Section(keys), Value::Map(map)) => is_section_active(keys, map),
        (Kind::Entries(keys), Value::List(list)) => {
            list.iter().any(|node| is_entry_active(keys, node))
        }
        (_, Value::List(list)) => !list.is_empty(),
        (_, Value::Map(map)) => map.iter().next().is_some(),
        (_, Value::Scalar(scalar)) => match scalar.resolved {
            Resolved::Null => false,
            Resolved::Bool(value) => value,
            _ => !scalar.text.is_empty(),
        },
    }
}

fn is_section_active(keys: &[Key], map: &Map) -> bool {
    let says = |name: &str| keys.iter().any(|key| key.name == name);
    let is_true = |name: &str| map.get(name).is_some_and(is_true);
    if says("disabled") && is_true("disabled") {
        return false;
    }
    if says("enabled") && map.get("enabled").is_some_and(is_off) {
        return false;
    }
    if says("enabled") && says("interval") {
        return is_true("enabled");
    }
    map.iter().any(|(name, node)| {
        keys.iter()
            .find(|key| key.name == name)
            .is_some_and(|key| is_active(key, node))
    })
}

fn is_entry_active(keys: &[Key], node: &Node) -> bool {
    let disabled = node
        .as_map()
        .and_then(|map| map.get("disabled"))
        .is_some_and(is_true);
    let can_be_disabled = keys.iter().any(|key| key.name == "disabled");
    match (can_be_disabled, disabled) {
        (true, true) => false,
        _ => !node.is_null(),
    }
}

fn is_true(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(scalar) if scalar.resolved == Resolved::Bool(true))
}

fn is_off(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(scalar) if matches!(scalar.resolved, Resolved::Bool(false) | Resolved::Null))
}

/// What switched the feature on: a variable may have done so inside a section of the file.
fn active_origin(key: &Key, node: &Node) -> Origin {
    let Value::Map(map) = &node.value else {
        return node.origin.clone();
    };
    let below = key
        .children()
        .filter_map(|child| map.get(child.name).map(|node| (child, node)));
    let active = below
        .filter(|(child, node)| is_active(child, node))
        .find(|(_, node)| node.origin.is_variable());
    active.map_or_else(|| node.origin.clone(), |(_, node)| node.origin.clone())
}
