//! Header names, each with a list of values.

use http::{HeaderName, HeaderValue};

use super::Resolver;
use crate::Problem;
use crate::effective::Effective;
use crate::schema::{Key, TEXT};
use crate::yaml::{Map, Node, Value};

impl Resolver<'_> {
    pub(super) fn headers(&mut self, key: &Key, node: Option<&Node>) -> Effective {
        let map = node.and_then(|node| self.map_or_error(node));
        let mut headers = Vec::new();
        for (name, node) in map.into_iter().flat_map(Map::iter) {
            let values = self.within(name, |this| {
                this.header_name(key, name, node);
                this.header_values(node)
            });
            headers.push((name.to_owned(), Effective::List(values)));
        }
        Effective::Named(headers)
    }

    fn header_name(&mut self, key: &Key, name: &str, node: &Node) {
        if name.parse::<HeaderName>().is_err() {
            self.error(&node.origin, "no header has such a name");
        } else if let Some(Err(message)) = key.check.map(|check| check(name)) {
            self.error(&node.origin, message);
        }
    }

    fn header_values(&mut self, node: &Node) -> Vec<Effective> {
        if let (Value::Scalar(scalar), false) = (&node.value, node.is_null()) {
            let shown = if self.hidden {
                "value"
            } else {
                scalar.text.as_str()
            };
            let message = "the values of a header are a list";
            let problem = Problem::error(&self.path(), &node.origin, message);
            self.problems
                .push(problem.suggest(format!("write [{shown}]")));
            return Vec::new();
        }
        let list = self.list_or_error(Some(node).filter(|node| !node.is_null()));
        let mut values = Vec::new();
        for (index, node) in list.iter().enumerate() {
            values.extend(self.within(format!("[{index}]"), |this| this.header_value(node)));
        }
        values
    }

    fn header_value(&mut self, node: &Node) -> Option<Effective> {
        let value = self.text_value(&TEXT, node);
        if node
            .as_text()
            .is_some_and(|text| text.parse::<HeaderValue>().is_err())
        {
            self.error(
                &node.origin,
                "no header has such a value: it is one line of text",
            );
            return None;
        }
        value
    }
}
