//! `REGISTRY_*` variables: each changes one place of the tree, found with the schema at hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::schema::{Key, Kind, OneOf};
use crate::yaml::{self, Map, Node, Value};
use crate::{Configuration, Origin, Problem, suggestion};

const PREFIX: &str = "REGISTRY_";
const PATH_VARIABLE: &str = "REGISTRY_CONFIGURATION_PATH";

/// The `REGISTRY_*` variables of this process. Bytes that are no UTF-8 are replaced.
#[must_use]
pub fn from_process() -> Vec<(String, String)> {
    let all = std::env::vars_os().map(|(name, value)| (lossy(&name), lossy(&value)));
    all.filter(|(name, _)| name.starts_with(PREFIX)).collect()
}

fn lossy(text: &std::ffi::OsStr) -> String {
    text.to_string_lossy().into_owned()
}

/// The path in `REGISTRY_CONFIGURATION_PATH`: the configuration to use where the command line names none.
#[must_use]
pub fn configuration_path<'a>(
    variables: impl IntoIterator<Item = &'a (String, String)>,
) -> Option<&'a str> {
    let found = variables
        .into_iter()
        .find(|(name, _)| name == PATH_VARIABLE);
    found
        .map(|(_, path)| path.as_str())
        .filter(|path| !path.is_empty())
}

/// Applies the variables in the order of their names, as Distribution does. The last one of a name counts.
pub(crate) fn apply(
    root: &mut Node,
    variables: impl IntoIterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
) {
    let sorted: BTreeMap<String, String> = variables.into_iter().collect();
    for (name, value) in sorted
        .iter()
        .filter(|(name, _)| name.as_str() != PATH_VARIABLE)
    {
        let Some(steps) = name.strip_prefix(PREFIX).filter(|steps| !steps.is_empty()) else {
            continue;
        };
        let steps: Vec<&str> = steps.split('_').collect();
        let mut variable = Variable {
            name,
            value,
            origin: Origin::Variable(Arc::from(name.as_str())),
            problems,
        };
        if let Err(refusal) = variable.section(Configuration::KEYS, root, &steps) {
            variable.report(refusal);
        }
    }
}

/// Why a variable changes nothing.
enum Refusal {
    /// No key answers to a step of the name; these do.
    Unrecognised {
        steps_left: usize,
        wrong: String,
        known: Vec<&'static str>,
    },
    UndefinedIndex(usize),
    NonNumericIndex(String),
    NoYaml(String),
    /// What the text has in the place of a section or a list.
    Occupied(String),
}

struct Variable<'a> {
    name: &'a str,
    value: &'a str,
    origin: Origin,
    problems: &'a mut Vec<Problem>,
}

type Applied = Result<(), Refusal>;

impl Variable<'_> {
    fn section(&mut self, keys: &'static [Key], node: &mut Node, steps: &[&str]) -> Applied {
        let Some((key, rest)) = find(keys.iter(), steps) else {
            return Err(unrecognised(keys.iter(), steps));
        };
        vacant_or(node, |value| matches!(value, Value::Map(_)))?;
        let origin = self.origin.clone();
        self.key(key, node.make_map().entry(key.name, &origin), rest)
    }

    fn key(&mut self, key: &'static Key, node: &mut Node, steps: &[&str]) -> Applied {
        if steps.is_empty() {
            return self.replace(key, node);
        }
        match &key.kind {
            Kind::Section(keys) => self.section(keys, node, without_embedded(key, keys, steps)),
            Kind::Entries(keys) => self.entry(keys, node, steps),
            Kind::Texts => self.text(node, steps),
            Kind::OneOf(one_of) => self.one_of(one_of, node, steps),
            Kind::Any | Kind::Map | Kind::Headers | Kind::Options(_) => self.untyped(node, steps),
            _ => Err(unrecognised([].iter(), steps)),
        }
    }

    /// The whole value of a key.
    fn replace(&mut self, key: &'static Key, node: &mut Node) -> Applied {
        let value = match key.kind {
            Kind::Text | Kind::Choice(_) => self.text_value(),
            _ => self.value().map_err(Refusal::NoYaml)?,
        };
        if let Kind::OneOf(one_of) = &key.kind {
            self.warn_of_lost_settings(key, one_of, node, &value);
        }
        *node = value;
        Ok(())
    }

    fn value(&self) -> Result<Node, String> {
        let origin = self.origin.clone();
        // A key in PEM, whose lines YAML would fold into one.
        if self.value.starts_with("-----BEGIN ") {
            return Ok(Node::text(origin, self.value));
        }
        let document = yaml::parse(self.value, &move |_| origin.clone(), &[])
            .map_err(|error| error.message)?;
        Ok(document.root)
    }

    /// A text is read as YAML where it is a scalar of YAML, and as it stands where Distribution would not start: `@x`, `a: b`.
    fn text_value(&mut self) -> Node {
        match self.value() {
            Ok(node) if matches!(node.value, Value::Scalar(_)) => {
                self.warn_of_lost_comment(&node);
                node
            }
            _ => Node::text(self.origin.clone(), self.value),
        }
    }

    fn warn_of_lost_comment(&mut self, node: &Node) {
        let is_quoted = self.value.trim_start().starts_with(['"', '\'', '|', '>']);
        let lost = self.value.contains(" #") || self.value.starts_with('#');
        if lost && !is_quoted && node.as_text() != Some(self.value) {
            let problem = Problem::warning(
                "",
                &self.origin,
                "what follows \" #\" is a comment and not part of the value",
            );
            self.problems
                .push(problem.suggest("quote the value if it is not meant to be"));
        }
    }

    /// `REGISTRY_STORAGE=s3` replaces the section, `delete` and `cache` included: that is Distribution's rule, and a surprise.
    fn warn_of_lost_settings(&mut self, key: &Key, one_of: &OneOf, old: &Node, new: &Node) {
        let Some(map) = old.as_map() else { return };
        let kept = |name: &str| new.as_map().is_some_and(|new| new.get(name).is_some());
        let settings = one_of.settings.iter().map(|setting| setting.name);
        let lost: Vec<&str> = settings
            .filter(|name| map.get(name).is_some() && !kept(name))
            .collect();
        if lost.is_empty() {
            return;
        }
        let message = format!(
            "replaces the whole section: what the file says of {} no longer holds",
            lost.join(", ")
        );
        let suggestion = format!(
            "set it by variables too, as in {}_{}_...",
            self.name,
            lost[0].to_uppercase()
        );
        self.problems
            .push(Problem::warning(key.name, &self.origin, message).suggest(suggestion));
    }

    fn entry(&mut self, keys: &'static [Key], node: &mut Node, steps: &[&str]) -> Applied {
        let (element, rest) = self.element(node, steps)?;
        if rest.is_empty() {
            *element = self.value().map_err(Refusal::NoYaml)?;
            return Ok(());
        }
        self.section(keys, element, rest)
    }

    fn text(&mut self, node: &mut Node, steps: &[&str]) -> Applied {
        let (element, rest) = self.element(node, steps)?;
        if !rest.is_empty() {
            return Err(unrecognised([].iter(), rest));
        }
        *element = self.text_value();
        Ok(())
    }

    /// The element that a number names; the one after the last is created.
    fn element<'n, 's>(
        &self,
        node: &'n mut Node,
        steps: &'s [&'s str],
    ) -> Result<(&'n mut Node, &'s [&'s str]), Refusal> {
        let index: usize = steps[0]
            .parse()
            .map_err(|_| Refusal::NonNumericIndex(steps[0].to_owned()))?;
        vacant_or(node, |value| matches!(value, Value::List(_)))?;
        let list = node.make_list();
        if index > list.len() {
            return Err(Refusal::UndefinedIndex(index));
        }
        if index == list.len() {
            list.push(Node::null(self.origin.clone()));
        }
        Ok((&mut list[index], &steps[1..]))
    }

    fn one_of(&mut self, one_of: &'static OneOf, node: &mut Node, steps: &[&str]) -> Applied {
        self.spell_out(node);
        let keys = || one_of.variants.iter().chain(one_of.settings);
        let origin = self.origin.clone();
        match find(keys(), steps) {
            Some((key, rest)) => {
                let map = node.make_map();
                let known = map.get(key.name).is_some();
                let place = map.entry(key.name, &origin);
                let applied = self.key(key, place, rest);
                if applied.is_err() && !known {
                    map.remove(key.name);
                }
                applied
            }
            None if is_service_link(self.name, self.value) => Err(unrecognised(keys(), steps)),
            None => {
                node.make_map().entry(&steps[0].to_lowercase(), &origin);
                Ok(())
            }
        }
    }

    /// `storage: inmemory` and `storage: {inmemory: }` are the same.
    fn spell_out(&self, node: &mut Node) {
        if let Some(name) = node.as_text().map(str::to_owned) {
            let mut map = Map::default();
            map.insert(&name, Node::null(node.origin.clone()));
            node.value = Value::Map(map);
        }
    }

    /// Where the schema says nothing: names of the text in any case, else new ones in lower case.
    fn untyped(&mut self, node: &mut Node, steps: &[&str]) -> Applied {
        if steps.is_empty() {
            *node = self.value().map_err(Refusal::NoYaml)?;
            return Ok(());
        }
        if matches!(node.value, Value::List(_)) {
            let (element, rest) = self.element(node, steps)?;
            return self.untyped(element, rest);
        }
        let origin = self.origin.clone();
        let map = node.make_map();
        let (name, rest) = match existing(map, steps) {
            Some((name, taken)) => (name, &steps[taken..]),
            None => (steps[0].to_lowercase(), &steps[1..]),
        };
        self.untyped(map.entry(&name, &origin), rest)
    }

    fn report(&mut self, refusal: Refusal) {
        let problem = match refusal {
            Refusal::UndefinedIndex(index) => self.error(format!("undefined index: {index}")),
            Refusal::NonNumericIndex(step) => self.error(format!("non-numeric index: {step}")),
            Refusal::NoYaml(reason) => self.error(format!("the value is not valid YAML: {reason}")),
            Refusal::Occupied(found) => {
                self.error(format!("does not fit: the file has {found} in this place"))
            }
            Refusal::Unrecognised { .. } if is_service_link(self.name, self.value) => {
                let message = "ignoring a variable that Kubernetes makes for a service whose name begins with \"registry\"";
                Problem::warning("", &self.origin, message)
            }
            Refusal::Unrecognised {
                steps_left,
                wrong,
                known,
            } => self.unrecognised_problem(steps_left, &wrong, &known),
        };
        self.problems.push(problem);
    }

    fn error(&self, message: String) -> Problem {
        Problem::error("", &self.origin, message)
    }

    fn unrecognised_problem(
        &self,
        steps_left: usize,
        wrong: &str,
        known: &[&'static str],
    ) -> Problem {
        let problem = Problem::warning(
            "",
            &self.origin,
            "ignoring unrecognized environment variable",
        );
        let steps: Vec<&str> = self.name.split('_').collect();
        let near = suggestion::nearest(wrong, known.iter().copied());
        problem.suggest_if_some(near.map(|near| {
            let at = steps.len() - steps_left;
            let mut meant: Vec<String> = steps.iter().map(|step| (*step).to_owned()).collect();
            meant[at] = near.to_uppercase();
            format!("did you mean {:?}?", meant.join("_"))
        }))
    }
}

/// A section cannot be put where the text has something else; null makes room.
fn vacant_or(node: &Node, fits: impl FnOnce(&Value) -> bool) -> Applied {
    match node.is_null() || fits(&node.value) {
        true => Ok(()),
        false => Err(Refusal::Occupied(node.describe(true))),
    }
}

/// The key that the first steps name, and the steps after it. A name with `_` in it takes several steps, so the longest is tried first.
fn find<'s>(
    keys: impl Iterator<Item = &'static Key> + Clone,
    steps: &'s [&'s str],
) -> Option<(&'static Key, &'s [&'s str])> {
    (1..=steps.len()).rev().find_map(|taken| {
        let name = steps[..taken].join("_");
        keys.clone()
            .find(|key| key.answers(&name))
            .map(|key| (key, &steps[taken..]))
    })
}

fn existing(map: &Map, steps: &[&str]) -> Option<(String, usize)> {
    (1..=steps.len()).rev().find_map(|taken| {
        let wanted = steps[..taken].join("_");
        map.iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(&wanted))
            .map(|(name, _)| (name.to_owned(), taken))
    })
}

fn without_embedded<'s>(key: &Key, keys: &'static [Key], steps: &'s [&'s str]) -> &'s [&'s str] {
    match steps {
        [first, rest @ ..]
            if key.embeds == Some(*first)
                && find(keys.iter(), steps).is_none()
                && !rest.is_empty() =>
        {
            rest
        }
        _ => steps,
    }
}

fn unrecognised(keys: impl Iterator<Item = &'static Key>, steps: &[&str]) -> Refusal {
    Refusal::Unrecognised {
        steps_left: steps.len(),
        wrong: steps[0].to_owned(),
        known: keys.map(|key| key.name).collect(),
    }
}

/// Kubernetes and Docker links describe other services in variables: a service `registry` gives `REGISTRY_PORT=tcp://...` and
/// `REGISTRY_SERVICE_HOST`, a service `registry-storage` gives `REGISTRY_STORAGE_SERVICE_HOST`.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_address = name.contains("_PORT_") || name.ends_with("_PORT");
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (is_address && (value.starts_with("tcp://") || value.starts_with("udp://")))
        || name.contains("_PORT_") && (name.contains("_TCP") || name.contains("_UDP"))
}
