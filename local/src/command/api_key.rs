//! `roadstead api-key`: passwords for machines.
#![expect(
    clippy::print_stdout,
    reason = "what these commands print is what they are for"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use roadstead_auth::{ApiKeyFile, KeyScope, NewKey, StoredKey, parse_users};
use roadstead_compose as compose;
use roadstead_configuration::Configuration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{ConfigurationPath, Failure, ended};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key, and print it once: its user gives it as the password.
    Create(Create),
    /// List the keys, without what is secret.
    List(ConfigurationPath),
    /// Revoke a key; a registry that is running knows within seconds.
    Revoke(Revoke),
}

#[derive(Args, Debug)]
pub(super) struct Create {
    /// The user that the key's bearer acts as.
    #[arg(long, value_name = "USER")]
    owner: String,
    /// How long the key counts: days, hours or minutes as in 90d, 12h, 30m; or never.
    #[arg(long, value_name = "PERIOD", default_value = "90d")]
    expires: Expires,
    /// What the key may do at most, as in repository:team/**:pull,push; otherwise all that its
    /// owner may. Can be given several times.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<KeyScope>,
    #[command(flatten)]
    configuration: ConfigurationPath,
}

#[derive(Args, Debug)]
pub(super) struct Revoke {
    /// The key's name, as list shows it.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    configuration: ConfigurationPath,
}

#[derive(Clone, Copy, Debug)]
enum Expires {
    After(Duration),
    Never,
}

impl FromStr for Expires {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        let units = [("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60)];
        let found = units.iter().find_map(|(unit, seconds)| {
            let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
            Some(Duration::from_secs(u64::from(number) * seconds))
        });
        let period = found.filter(|period| !period.is_zero());
        period
            .map(Self::After)
            .ok_or_else(|| "must be as in 90d, 12h or 30m, or never".to_owned())
    }
}

pub(super) fn run(command: Command) -> ExitCode {
    ended(match command {
        Command::Create(arguments) => create(arguments),
        Command::List(configuration) => list(&configuration),
        Command::Revoke(arguments) => revoke(&arguments),
    })
}

fn create(arguments: Create) -> Result<ExitCode, Failure> {
    let configuration = arguments.configuration.load()?.configuration;
    let path = file(&configuration)?;
    check_owner(&configuration, &arguments.owner)?;
    let now = now();
    let expires = match arguments.expires {
        Expires::After(period) => Some(now.saturating_add(period.as_secs())),
        Expires::Never => None,
    };
    let new = NewKey {
        owner: arguments.owner,
        created: now,
        expires,
        scopes: arguments.scopes,
    };
    let key = ApiKeyFile::add(&path, new).map_err(anyhow::Error::from)?;
    println!("{}", key.expose());
    Ok(ExitCode::SUCCESS)
}

fn list(configuration: &ConfigurationPath) -> Result<ExitCode, Failure> {
    let path = file(&configuration.load()?.configuration)?;
    let keys = ApiKeyFile::read(&path).map_err(anyhow::Error::from)?;
    println!("ID\tOWNER\tCREATED\tEXPIRES\tSCOPES");
    for key in keys.keys() {
        println!("{}", line(key, now()));
    }
    Ok(ExitCode::SUCCESS)
}

fn revoke(arguments: &Revoke) -> Result<ExitCode, Failure> {
    let path = file(&arguments.configuration.load()?.configuration)?;
    let was_there = ApiKeyFile::revoke(&path, &arguments.id).map_err(anyhow::Error::from)?;
    if !was_there {
        return Err(anyhow!("there is no key {:?}", arguments.id).into());
    }
    println!("revoked {}", arguments.id);
    Ok(ExitCode::SUCCESS)
}

fn file(configuration: &Configuration) -> Result<PathBuf, Failure> {
    let path = compose::api_keys(configuration)?;
    let path = path.context("the configuration has no apikeys: give it a path");
    Ok(path?)
}

/// A key of somebody who cannot log in would open nothing.
fn check_owner(configuration: &Configuration, owner: &str) -> Result<(), Failure> {
    let path = compose::password_file(configuration);
    let path = path.context("the configuration has no password file: auth.htpasswd.path")?;
    let shown = path.display();
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| shown.to_string())?;
    let users = parse_users(&text);
    let users = users.map_err(|line| anyhow!("{shown}: line {line} has no colon"))?;
    match users.contains(owner) {
        true => Ok(()),
        false => Err(anyhow!("{shown} has no user {owner:?} with a bcrypt password").into()),
    }
}

fn line(key: &StoredKey, now: u64) -> String {
    let expires = match key.expires {
        None => "never".to_owned(),
        Some(at) if key.counts(now) => date(at),
        Some(at) => format!("{} (expired)", date(at)),
    };
    let scopes = match &key.scopes {
        None => "all that its owner may".to_owned(),
        Some(scopes) => {
            let scopes: Vec<_> = scopes.iter().map(ToString::to_string).collect();
            scopes.join(" ")
        }
    };
    let (id, owner, created) = (&key.id, &key.owner, date(key.created));
    format!("{id}\t{owner}\t{created}\t{expires}\t{scopes}")
}

fn date(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok();
    let at = at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let text = at.and_then(|at| at.format(&Rfc3339).ok());
    text.unwrap_or_else(|| seconds.to_string())
}

fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
