//! Conditions and updates.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// An expression of DynamoDB with the values in it: `#name` stands for the attribute `name`,
/// which may be a reserved word, `:name` for a value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expression {
    pub(crate) text: String,
    pub(crate) values: HashMap<String, AttributeValue>,
}

impl Expression {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            values: HashMap::new(),
        }
    }

    /// The row is there.
    pub(crate) fn is_there() -> Self {
        Self::new("attribute_exists(#pk)")
    }

    /// The row is not there.
    pub(crate) fn is_absent() -> Self {
        Self::new("attribute_not_exists(#pk)")
    }

    pub(crate) fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// What the names stand for.
    pub(crate) fn names(&self) -> HashMap<String, String> {
        let names = self.text.split('#').skip(1);
        let name = |text: &str| -> String {
            let is_part = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
            text.chars().take_while(is_part).collect()
        };
        names
            .map(name)
            .map(|name| (format!("#{name}"), name))
            .collect()
    }
}

/// The names or values of two expressions; `None` instead of none, which DynamoDB refuses.
pub(crate) fn both<T: Clone>(
    one: HashMap<String, T>,
    other: HashMap<String, T>,
) -> Option<HashMap<String, T>> {
    let all: HashMap<_, _> = one.into_iter().chain(other).collect();
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_the_text() {
        let expression = Expression::new("SET #key = :key, #a.#b2 = :a REMOVE #key");
        let mut names: Vec<_> = expression.names().into_values().collect();
        names.sort();
        assert_eq!(names, ["a", "b2", "key"]);
    }
}
