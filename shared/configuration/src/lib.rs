//! CNCF Distribution's configuration as plain data: YAML, `REGISTRY_*` variables, defaults, and every problem with its path and line.
//!
//! A configuration goes through five steps, each in a module of its own:
//!
//! 1. `yaml` reads the text as Go's yaml.v2 does (YAML 1.1: `yes`, `0644`, `<<`) into a tree that knows the line of each key.
//! 2. `environment` lets each `REGISTRY_*` variable change one place of that tree.
//! 3. `renames` moves what stands under a former name.
//! 4. `resolve` types every value and fills in the defaults; whatever is wrong becomes a [`Problem`], and it goes on.
//! 5. The result becomes the structs of [`Configuration`], and `rules` looks at what holds between them.
//!
//! `schema` describes every key once: its kind, its default, whether it is secret, and what this release does with it. The
//! steps, `config show` and the tables of `docs/configuration.md` all come from there.
//!
//! In the structs, a field is named like its key, so that `http.draintimeout` is found by the name that users know.
//!
//! This crate builds nothing: it opens no store, compiles no expression for use, resolves no path. It alone reads the
//! environment, in [`from_process`]; everything else takes the variables as data.

pub mod access;
pub mod address;
pub mod auth;
mod configuration;
mod documentation;
mod duration;
mod effective;
mod environment;
mod go_regexp;
pub mod health;
pub mod http;
mod load;
pub mod log;
pub mod metadata;
pub mod middleware;
pub mod notifications;
mod origin;
mod problem;
pub mod proxy;
pub mod redis;
mod renames;
mod resolve;
mod rules;
mod schema;
mod secret;
mod show;
pub mod storage;
mod suggestion;
pub mod validation;
mod yaml;

pub use configuration::{Catalog, Configuration, Policy, RepositoryPolicy, Tags};
pub use documentation::key_tables;
pub use environment::{configuration_path, from_process};
pub use go_regexp::{GoRegexp, InvalidRegexp};
pub use load::{Loaded, Source};
pub use origin::Origin;
pub use problem::{Problem, Problems, Severity};
pub use secret::Secret;
