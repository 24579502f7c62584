//! The same with uploads whose bytes carry what is to be known of them, as over a bucket.

use roadstead_storage::MemoryDriver;

#[path = "faults.rs"]
mod faults;
#[path = "races.rs"]
mod races;
#[path = "uploads.rs"]
mod uploads;

fn store() -> MemoryDriver {
    MemoryDriver::with_notes()
}
