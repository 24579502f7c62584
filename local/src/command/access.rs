//! `roadstead access`: what the access rules say.
#![expect(
    clippy::print_stdout,
    reason = "what this command prints is what it is for"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use roadstead_auth::{Action, Decision, Rule, Rules};
use roadstead_compose as compose;
use roadstead_oci::RepositoryName;

use super::{ConfigurationPath, FAILED, Failure, ended};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say whether somebody may do something, and which rule decides. Exits with 1 if they may not.
    Explain(Explain),
}

#[derive(Args, Debug)]
pub(super) struct Explain {
    /// The user; without one, somebody who has not logged in.
    #[arg(long)]
    user: Option<String>,
    /// The repository.
    #[arg(long)]
    repository: String,
    /// What is done to it: pull, push, delete or list.
    #[arg(long)]
    action: String,
    /// The configuration; without it the one in REGISTRY_CONFIGURATION_PATH.
    #[arg(value_name = "CONFIG")]
    path: Option<PathBuf>,
}

pub(super) fn run(command: Command) -> ExitCode {
    let Command::Explain(explain) = command;
    ended(answer(explain))
}

fn answer(explain: Explain) -> Result<ExitCode, Failure> {
    let Explain {
        user,
        repository,
        action,
        path,
    } = explain;
    let action: Action = action.parse().map_err(anyhow::Error::from)?;
    let repository: RepositoryName = repository
        .parse()
        .with_context(|| format!("{repository:?}"))?;
    let loaded = ConfigurationPath { path }.load()?;
    let rules = compose::rules(&loaded.configuration)?;
    let rules = rules.ok_or_else(|| {
        anyhow!("there are no access rules: whoever auth lets in may do everything")
    })?;
    let rules = rules.known();
    let decision = rules.decide(user.as_deref(), repository.as_str(), action);
    println!("{}", sentence(&rules, decision));
    Ok(match decision.allowed {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FAILED),
    })
}

fn sentence(rules: &Rules, decision: Decision) -> String {
    let verdict = if decision.allowed {
        "allowed"
    } else {
        "denied"
    };
    match decision
        .rule
        .and_then(|index| Some((index, rules.rules().get(index)?)))
    {
        Some((index, rule)) => format!("{verdict} by rule {}: {}", index + 1, described(rule)),
        None => format!("{verdict}: no rule is about this"),
    }
}

/// The rule as it is written.
fn described(rule: &Rule) -> String {
    let mut parts = Vec::new();
    let mut users: Vec<&str> = rule.who.users.iter().map(String::as_str).collect();
    if rule.who.authenticated {
        users.push("*");
    }
    let groups: Vec<&str> = rule.who.groups.iter().map(String::as_str).collect();
    let repositories: Vec<String> = rule.repositories.iter().map(ToString::to_string).collect();
    let repositories = repositories.iter().map(String::as_str).collect();
    let allow = rule.allow.iter().map(|action| action.as_str()).collect();
    let deny = rule.deny.iter().map(|action| action.as_str()).collect();
    for (key, values) in [
        ("users", users),
        ("groups", groups),
        ("repositories", repositories),
        ("allow", allow),
        ("deny", deny),
    ] {
        if !values.is_empty() {
            parts.push(format!("{key}: [{}]", values.join(", ")));
        }
    }
    if rule.who.anonymous {
        parts.insert(0, "anonymous: true".to_owned());
    }
    parts.join(", ")
}
