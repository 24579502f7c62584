//! Access rules: who may do what to which repositories.

mod current;
mod pattern;

use std::collections::{BTreeMap, BTreeSet};

use crate::access::Action;

pub use current::CurrentRules;
pub use pattern::Pattern;
pub(crate) use pattern::glob;

/// Somebody, and the groups that they are in whatever the rules say.
pub(crate) type Asker<'a> = (Option<&'a str>, Option<&'a BTreeSet<String>>);

/// Rules in their order. For an action the first rule decides that is about its maker, its
/// repository and the action itself; where none is, the answer is no.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    /// The users of each group.
    groups: BTreeMap<String, BTreeSet<String>>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Whom it is about.
    pub who: Who,
    /// What it is about.
    pub repositories: Vec<Pattern>,
    /// What they may do.
    pub allow: BTreeSet<Action>,
    /// What they may not do. What is neither allowed nor denied is left to the rules that follow.
    pub deny: BTreeSet<Action>,
}

/// Whom a rule is about: everyone to whom one of these applies.
#[derive(Clone, Debug, Default)]
pub struct Who {
    /// Everybody: also those who did not log in.
    pub anonymous: bool,
    /// Everybody who did log in.
    pub authenticated: bool,
    /// These users.
    pub users: BTreeSet<String>,
    /// The users of these groups.
    pub groups: BTreeSet<String>,
}

/// What the rules say, and which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub allowed: bool,
    /// The index of the rule that gives it; `None` when none does.
    pub rule: Option<usize>,
}

/// A rule makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// It is about nobody.
    #[error("rule {0} applies to nobody: give it users, groups or anonymous: true")]
    Nobody(usize),
    /// It is about no repository.
    #[error("rule {0} applies to no repository: give it repositories")]
    NoRepository(usize),
    /// It decides nothing.
    #[error("rule {0} decides nothing: give it allow or deny")]
    NoAction(usize),
    /// It allows and denies the same.
    #[error("rule {0} both allows and denies {1}")]
    Contradiction(usize, Action),
    /// It names a group that is not defined.
    #[error("rule {0} names the group {1:?}, which is not defined")]
    UnknownGroup(usize, String),
    /// No repository can match.
    #[error("{0:?} matches no repository: {1}")]
    Pattern(String, &'static str),
}

impl Rules {
    /// Rules and the users of each group.
    ///
    /// # Errors
    ///
    /// A rule that cannot apply, decides nothing or contradicts itself: rather than to guess what
    /// it was meant to say, nothing is served.
    pub fn new(
        rules: Vec<Rule>,
        groups: BTreeMap<String, BTreeSet<String>>,
    ) -> Result<Self, InvalidRule> {
        for (index, rule) in rules.iter().enumerate() {
            rule.check(index, &groups)?;
        }
        Ok(Self { rules, groups })
    }

    /// The rules in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether a user, or somebody who did not log in, may do this to a repository.
    pub fn decide(&self, user: Option<&str>, repository: &str, action: Action) -> Decision {
        self.decide_among((user, None), repository, action)
    }

    /// The same for a user who is in some groups as well.
    pub(crate) fn decide_among(
        &self,
        asker: Asker<'_>,
        repository: &str,
        action: Action,
    ) -> Decision {
        let about = |rule: &Rule| self.is_about(rule, asker) && rule.matches(asker.0, repository);
        let mut rules = self.rules.iter().enumerate();
        let deciding = rules.find(|(_, rule)| {
            (rule.allow.contains(&action) || rule.deny.contains(&action)) && about(rule)
        });
        Decision {
            allowed: deciding.is_some_and(|(_, rule)| rule.allow.contains(&action)),
            rule: deciding.map(|(index, _)| index),
        }
    }

    /// Whether there can be a repository that a user may list.
    pub(crate) fn may_list(&self, asker: Asker<'_>) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|rule| rule.allow.contains(&Action::List) && self.is_about(rule, asker))
    }

    /// Whether there is such a group.
    pub fn have_group(&self, name: &str) -> bool {
        self.groups.contains_key(name)
    }

    /// Whether some rule is about those who did not log in.
    pub fn know_anonymous(&self) -> bool {
        self.rules.iter().any(|rule| rule.who.anonymous)
    }

    fn is_about(&self, rule: &Rule, (user, groups): Asker<'_>) -> bool {
        let who = &rule.who;
        let Some(user) = user else {
            return who.anonymous;
        };
        let is_in = |group: &String| {
            let users = self.groups.get(group);
            users.is_some_and(|users| users.contains(user))
                || groups.is_some_and(|groups| groups.contains(group))
        };
        who.anonymous
            || who.authenticated
            || who.users.contains(user)
            || who.groups.iter().any(is_in)
    }
}

impl Rule {
    fn matches(&self, user: Option<&str>, repository: &str) -> bool {
        let mut patterns = self.repositories.iter();
        patterns.any(|pattern| pattern.matches(user, repository))
    }

    fn check(
        &self,
        index: usize,
        groups: &BTreeMap<String, BTreeSet<String>>,
    ) -> Result<(), InvalidRule> {
        let number = index + 1;
        let who = &self.who;
        if !who.anonymous && !who.authenticated && who.users.is_empty() && who.groups.is_empty() {
            return Err(InvalidRule::Nobody(number));
        }
        if self.repositories.is_empty() {
            return Err(InvalidRule::NoRepository(number));
        }
        if self.allow.is_empty() && self.deny.is_empty() {
            return Err(InvalidRule::NoAction(number));
        }
        if let Some(action) = self.allow.intersection(&self.deny).next() {
            return Err(InvalidRule::Contradiction(number, *action));
        }
        match who.groups.iter().find(|group| !groups.contains_key(*group)) {
            Some(group) => Err(InvalidRule::UnknownGroup(number, group.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::{Delete, List, Pull, Push};

    fn rule(who: Who, pattern: &str, allow: &[Action], deny: &[Action]) -> Rule {
        Rule {
            who,
            repositories: vec![pattern.parse().unwrap()],
            allow: allow.iter().copied().collect(),
            deny: deny.iter().copied().collect(),
        }
    }

    fn users(names: &[&str]) -> Who {
        Who {
            users: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Who::default()
        }
    }

    fn group(name: &str) -> Who {
        Who {
            groups: BTreeSet::from([name.to_owned()]),
            ..Who::default()
        }
    }

    fn anyone() -> Who {
        Who {
            anonymous: true,
            ..Who::default()
        }
    }

    fn groups() -> BTreeMap<String, BTreeSet<String>> {
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        BTreeMap::from([("dev".to_owned(), of(&["bob", "eve"]))])
    }

    #[test]
    fn the_first_rule_about_the_action_decides() {
        let authenticated = Who {
            authenticated: true,
            ..Who::default()
        };
        let rules = Rules::new(
            vec![
                rule(users(&["eve"]), "**", &[], &[Push, Delete]),
                rule(anyone(), "public/**", &[Pull, List], &[]),
                rule(group("dev"), "team/**", &[Pull, Push, List], &[Delete]),
                rule(users(&["root"]), "**", &[Pull, Push, Delete, List], &[]),
                rule(authenticated, "home/${user}/**", &[Pull, Push], &[]),
            ],
            groups(),
        )
        .unwrap();
        for (user, repository, action, allowed, decided) in [
            (None, "public/a", Pull, true, Some(1)),
            (None, "public/a", Push, false, None),
            (None, "public", Pull, false, None),
            (None, "publicity/a", Pull, false, None),
            (None, "team/a", Pull, false, None),
            (Some("bob"), "public/a", Pull, true, Some(1)),
            (Some("bob"), "team/a", Push, true, Some(2)),
            (Some("bob"), "team/a", Delete, false, Some(2)),
            (Some("eve"), "team/a", Pull, true, Some(2)),
            (Some("eve"), "team/a", Push, false, Some(0)),
            (Some("root"), "team/a", Delete, true, Some(3)),
            (Some("ann"), "team/a", Pull, false, None),
            (Some("ann"), "home/ann/x", Push, true, Some(4)),
            (Some("ann"), "home/bob/x", Push, false, None),
            (Some("*"), "home/bob/x", Push, false, None),
            (Some("**"), "home/bob/x", Push, false, None),
            (Some("dev"), "team/a", Push, false, None),
            (Some(""), "public/a", Pull, true, Some(1)),
        ] {
            let decision = rules.decide(user, repository, action);
            let expected = Decision {
                allowed,
                rule: decided,
            };
            assert_eq!(decision, expected, "{user:?} {action} {repository}");
        }
        assert!(rules.may_list((None, None)));
        assert!(rules.know_anonymous());
    }

    #[test]
    fn no_rules_deny_everything() {
        let rules = Rules::new(Vec::new(), groups()).unwrap();
        for action in Action::ALL {
            assert!(!rules.decide(Some("root"), "a", action).allowed);
        }
        assert!(!rules.may_list((Some("root"), None)));
    }

    #[test]
    fn a_rule_that_cannot_be_meant_is_refused() {
        let refused = |rule| Rules::new(vec![rule], groups()).unwrap_err();
        assert_eq!(
            refused(rule(Who::default(), "**", &[Pull], &[])),
            InvalidRule::Nobody(1)
        );
        assert_eq!(
            refused(rule(anyone(), "**", &[], &[])),
            InvalidRule::NoAction(1)
        );
        assert_eq!(
            refused(rule(anyone(), "**", &[Pull], &[Pull])),
            InvalidRule::Contradiction(1, Pull)
        );
        assert_eq!(
            refused(rule(group("ops"), "**", &[Pull], &[])),
            InvalidRule::UnknownGroup(1, "ops".to_owned())
        );
        let mut nowhere = rule(anyone(), "**", &[Pull], &[]);
        nowhere.repositories.clear();
        assert_eq!(refused(nowhere), InvalidRule::NoRepository(1));
    }
}
