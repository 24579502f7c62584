//! The deployment: what template.yaml and infra/ say, and what becomes of it.

mod defaults;
mod permissions;
mod routes;
mod stack;
