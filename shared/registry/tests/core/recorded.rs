//! The tests with uploads of which the metadata keeps a record, as over a directory.

use roadstead_storage::MemoryDriver;

#[path = "faults.rs"]
mod faults;
#[path = "races.rs"]
mod races;
#[path = "uploads.rs"]
mod uploads;

fn store() -> MemoryDriver {
    MemoryDriver::new()
}
