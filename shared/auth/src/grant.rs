//! What a caller may do, once it is known who they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use roadstead_oci::RepositoryName;

use crate::access::{Access, Action};
use crate::api_keys::KeyScope;
use crate::rules::Rules;
use crate::token::ResourceActions;

/// Who acts, and what they may do. Clones are the same.
#[derive(Clone, Debug)]
pub struct Grant {
    user: Option<Arc<str>>,
    groups: Option<Arc<BTreeSet<String>>>,
    scope: Option<Arc<[ResourceActions]>>,
    limits: Option<Arc<[KeyScope]>>,
    rules: Option<Arc<Rules>>,
    signed: bool,
}

impl Grant {
    /// Nobody in particular, who may do everything unless rules say otherwise.
    pub fn anonymous() -> Self {
        Self {
            user: None,
            groups: None,
            scope: None,
            limits: None,
            rules: None,
            signed: false,
        }
    }

    /// A user who may do everything unless rules say otherwise. An empty name is nobody's.
    pub fn of(user: &str) -> Self {
        Self {
            user: Some(Arc::from(user)).filter(|user: &Arc<str>| !user.is_empty()),
            ..Self::anonymous()
        }
    }

    /// The same caller, who is in these groups as well.
    #[must_use]
    pub fn among(mut self, groups: Arc<BTreeSet<String>>) -> Self {
        self.groups = Some(groups).filter(|groups| !groups.is_empty());
        self
    }

    /// The same caller, who may do no more than this.
    #[must_use]
    pub fn within(mut self, scope: Arc<[ResourceActions]>) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The same caller, who may do no more than these scopes of an API key; `None` for no limit.
    #[must_use]
    pub fn limited(mut self, limits: Option<Arc<[KeyScope]>>) -> Self {
        self.limits = limits;
        self
    }

    /// The same caller, for whom these rules hold as well.
    #[must_use]
    pub fn under(mut self, rules: Arc<Rules>) -> Self {
        self.rules = Some(rules);
        self
    }

    /// The same caller, who has signed the request, and whose body has to be what was signed.
    #[must_use]
    pub(crate) fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// Whether the request is signed: its body has to be what was signed.
    pub fn is_signed(&self) -> bool {
        self.signed
    }

    /// The caller's name; `None` for one who did not say.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The groups that the caller is in whatever the rules say.
    pub(crate) fn groups(&self) -> Option<&Arc<BTreeSet<String>>> {
        self.groups.as_ref()
    }

    /// Whether the caller may do this.
    pub fn allows(&self, access: &Access) -> bool {
        self.is_in_scope(access) && self.is_within_limits(access) && self.is_within_rules(access)
    }

    /// Whether the caller may do this to a repository.
    pub fn allows_on(&self, name: &RepositoryName, action: Action) -> bool {
        self.allows(&Access::Repository(name.clone(), action))
    }

    /// Whether lists of repositories name this one.
    pub fn shows(&self, name: &RepositoryName) -> bool {
        let allows = |action| {
            let access = Access::Repository(name.clone(), action);
            self.is_within_limits(&access) && self.is_within_rules(&access)
        };
        self.shows_all() || (allows(Action::List) && allows(Action::Pull))
    }

    /// Whether lists of repositories are whole.
    pub fn shows_all(&self) -> bool {
        self.rules.is_none() && !self.is_limited()
    }

    /// Whether the caller may do less than who they act as.
    pub(crate) fn is_limited(&self) -> bool {
        self.limits.is_some()
    }

    fn is_in_scope(&self, access: &Access) -> bool {
        let Some(scope) = &self.scope else {
            return true;
        };
        scope.iter().any(|granted| granted.covers(access))
    }

    fn is_within_limits(&self, access: &Access) -> bool {
        let Some(limits) = &self.limits else {
            return true;
        };
        limits.iter().any(|limit| match access {
            Access::Repository(name, action) => limit.covers(self.user(), name.as_str(), *action),
            Access::Catalog => limit.lists(),
        })
    }

    fn is_within_rules(&self, access: &Access) -> bool {
        let Some(rules) = &self.rules else {
            return true;
        };
        match access {
            Access::Repository(name, action) => {
                let asker = (self.user(), self.groups().map(Arc::as_ref));
                rules.decide_among(asker, name.as_str(), *action).allowed
            }
            Access::Catalog => rules.may_list((self.user(), self.groups().map(Arc::as_ref))),
        }
    }
}
