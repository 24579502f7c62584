//! The black-box tests, in one binary so that they link once. A module per chapter.

#![expect(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

mod access;
mod acme;
mod api_keys;
mod architecture;
mod authentication;
mod bodies;
mod browsers;
mod calls;
mod clients;
mod commands;
mod cors;
mod crash;
mod discovery;
mod distribution_interop;
mod docker;
mod errors;
mod eventbridge;
mod garbage_collect;
mod http;
mod identities;
mod lambda;
mod login;
mod management;
mod middleware;
mod migration;
mod names_and_paths;
mod notifications;
mod outages;
mod privileged;
mod pull;
mod push;
mod reads;
mod redirects;
mod shared_store;
mod tls;
mod tokens;
mod upload_server;
mod uploads;
mod watch;
