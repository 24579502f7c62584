//! What a caller may do, once it is known who they are.

use std::sync::Arc;

use roadstead_oci::RepositoryName;

use crate::access::{Access, Action};
use crate::rules::Rules;
use crate::token::ResourceActions;

/// Who acts, and what they may do. Clones are the same.
#[derive(Clone, Debug)]
pub struct Grant {
    user: Option<Arc<str>>,
    scope: Option<Arc<[ResourceActions]>>,
    rules: Option<Arc<Rules>>,
}

impl Grant {
    /// Nobody in particular, who may do everything unless rules say otherwise.
    pub fn anonymous() -> Self {
        Self {
            user: None,
            scope: None,
            rules: None,
        }
    }

    /// A user who may do everything unless rules say otherwise. An empty name is nobody's.
    pub fn of(user: &str) -> Self {
        Self {
            user: Some(Arc::from(user)).filter(|user: &Arc<str>| !user.is_empty()),
            ..Self::anonymous()
        }
    }

    /// The same caller, who may do no more than this.
    #[must_use]
    pub fn within(mut self, scope: Arc<[ResourceActions]>) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The same caller, for whom these rules hold as well.
    #[must_use]
    pub fn under(mut self, rules: Arc<Rules>) -> Self {
        self.rules = Some(rules);
        self
    }

    /// The caller's name; `None` for one who did not say.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Whether the caller may do this.
    pub fn allows(&self, access: &Access) -> bool {
        self.is_in_scope(access) && self.is_within_rules(access)
    }

    /// Whether the caller may do this to a repository.
    pub fn allows_on(&self, name: &RepositoryName, action: Action) -> bool {
        self.allows(&Access::Repository(name.clone(), action))
    }

    /// Whether lists of repositories name this one.
    pub fn shows(&self, name: &RepositoryName) -> bool {
        let allows = |action| self.is_within_rules(&Access::Repository(name.clone(), action));
        self.shows_all() || (allows(Action::List) && allows(Action::Pull))
    }

    /// Whether lists of repositories are whole.
    pub fn shows_all(&self) -> bool {
        self.rules.is_none()
    }

    fn is_in_scope(&self, access: &Access) -> bool {
        let Some(scope) = &self.scope else {
            return true;
        };
        scope.iter().any(|granted| granted.covers(access))
    }

    fn is_within_rules(&self, access: &Access) -> bool {
        let Some(rules) = &self.rules else {
            return true;
        };
        match access {
            Access::Repository(name, action) => {
                rules.decide(self.user(), name.as_str(), *action).allowed
            }
            Access::Catalog => rules.may_list(self.user()),
        }
    }
}
