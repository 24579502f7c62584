//! One suite for every [`Driver`]: what it proves is what the contract says and the rest of
//! Roadstead relies on.
//!
//! A driver's crate says what a fresh store is and stamps the suite into a module of its own:
//!
//! ```
//! # use std::sync::Arc;
//! # use roadstead_storage::{Driver, MemoryDriver, testkit};
//! struct Memory(MemoryDriver);
//!
//! #[async_trait::async_trait]
//! impl testkit::Store for Memory {
//!     fn driver(&self) -> Arc<dyn Driver> {
//!         Arc::new(self.0.clone())
//!     }
//! }
//!
//! testkit::suite!(Memory(MemoryDriver::new()));
//! ```
//!
//! The expression is evaluated for each test anew, in an async function; the crate needs tokio
//! with `macros` and `rt-multi-thread` among its dev-dependencies.

mod reads;
mod tree;
mod uploads;
mod writes;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{ByteRange, Driver, DriverExt, Error, Key, ListOptions, Write, WriteMode};

pub use crate::driver_suite as suite;
pub use reads::*;
pub use tree::*;
pub use uploads::*;
pub use writes::*;

/// How a test ends, besides by a panic.
pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A store under test, empty at first and no one else's.
#[async_trait]
pub trait Store: Send + Sync {
    /// Another driver on the store, as another process would have it.
    fn driver(&self) -> Arc<dyn Driver>;

    /// What is in the store although no operation shows it, for example temporary files.
    async fn leftovers(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether of many who create the same key at the same time exactly one succeeds, as the
    /// contract says. A store whose conditions are not atomic cannot be made to do that.
    fn creates_exactly(&self) -> bool {
        true
    }
}

/// Runs `test` on `store`, and then makes sure that nothing is left once all keys are deleted.
pub async fn check(test: impl AsyncFn(&dyn Store) -> Outcome, store: impl Store) -> Outcome {
    test(&store).await?;
    assert_eq!(store.leftovers().await, Vec::<String>::new(), "left behind");
    let driver = store.driver();
    for entry in driver.list(&Key::root(), ListOptions::ALL).await? {
        driver.delete(&Key::new(&entry.name)?).await?;
    }
    let rest = driver.list(&Key::root(), ListOptions::ALL).await?;
    assert_eq!(rest, [], "still there after everything was deleted");
    Ok(())
}

/// Stamps the suite's tests, each on the store that the expression makes.
#[macro_export]
macro_rules! driver_suite {
    ($store:expr) => {
        $crate::driver_suite! { @stamp $store;
            what_is_not_there_is_not_found
            nothing_lies_below_content
            content_has_a_size_and_a_time
            a_prefix_is_no_content
            the_root_is_always_there
            content_of_any_size_reads_back
            a_range_stops_at_the_end
            a_range_beyond_the_end_is_refused
            content_may_be_empty
            a_name_may_have_255_bytes
            many_can_read_at_once
            a_write_replaces_what_was_there
            the_writes_of_one_call_all_take_effect
            create_new_leaves_what_was_there
            one_of_many_creators_wins
            a_reader_never_sees_half_a_write
            writes_take_effect_in_their_order
            an_upload_grows_exactly_at_its_size
            an_upload_is_resumed_by_another_driver
            a_dropped_upload_keeps_its_bytes
            an_upload_is_busy_while_another_lives
            an_upload_may_be_empty
            a_cancelled_upload_is_gone
            a_deleted_upload_is_gone
            a_committed_upload_can_be_renamed
            an_upload_is_committed_apart
            an_upload_that_was_committed_apart_can_be_ended_again
            an_upload_is_committed_as_other_content
            notes_go_with_the_bytes_of_an_upload
            many_uploads_can_grow_at_once
            a_rename_replaces_what_was_there
            a_rename_needs_content
            deleting_a_prefix_spares_its_siblings
            deleting_content_spares_its_siblings
            content_that_was_written_again_is_not_deleted
            names_are_listed_in_the_order_of_their_bytes
            a_list_can_begin_and_end_anywhere
            pages_make_up_the_whole_list
            a_list_shows_every_change_at_once
        }
    };
    (@stamp $store:expr; $($test:ident)*) => {
        $(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> $crate::testkit::Outcome {
                $crate::testkit::check(async |store| $crate::testkit::$test(store).await, $store).await
            }
        )*
    };
}

fn key(path: &str) -> Key {
    Key::new(path).unwrap_or_else(|error| panic!("{error}"))
}

fn overwrite(path: &str, content: impl Into<Bytes>) -> Write {
    Write {
        key: key(path),
        content: content.into(),
        mode: WriteMode::Overwrite,
    }
}

fn create(path: &str, content: impl Into<Bytes>) -> Write {
    Write {
        mode: WriteMode::CreateNew,
        ..overwrite(path, content)
    }
}

/// `size` bytes that differ from place to place.
fn pattern(size: usize) -> Bytes {
    let byte = |at: usize| (at ^ (at >> 8) ^ (at >> 16)) as u8;
    (0..size).map(byte).collect()
}

async fn put(driver: &dyn Driver, path: &str, content: impl Into<Bytes>) -> Result<(), Error> {
    driver.write(&[overwrite(path, content)]).await
}

async fn get(driver: &dyn Driver, path: &str) -> Result<Bytes, Error> {
    driver.get(&key(path), u64::MAX).await
}

async fn get_range(
    driver: &dyn Driver,
    path: &str,
    offset: u64,
    length: Option<u64>,
) -> Result<Bytes, Error> {
    let range = ByteRange { offset, length };
    let object = driver.read(&key(path), range).await?;
    crate::driver_ext::collect(object.content).await
}

async fn names(driver: &dyn Driver, prefix: &str) -> Result<Vec<String>, Error> {
    let entries = driver.list(&key(prefix), ListOptions::ALL).await?;
    Ok(entries.into_iter().map(|entry| entry.name).collect())
}

/// Asserts that an operation ended with the named error.
macro_rules! assert_fails {
    ($result:expr, $error:pat $(if $guard:expr)?) => {
        match $result {
            Err($error) $(if $guard)? => {}
            Err(other) => panic!("not {}, but {other:?}", stringify!($error)),
            Ok(_) => panic!("not {}, but success", stringify!($error)),
        }
    };
}
use assert_fails;
