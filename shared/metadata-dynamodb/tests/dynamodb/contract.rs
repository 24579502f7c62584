//! The suite that every back end passes.

use roadstead_metadata::testkit;

use crate::store::Table;

testkit::suite!(Table::new().await);
