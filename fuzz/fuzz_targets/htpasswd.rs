#![no_main]

use libfuzzer_sys::fuzz_target;
use roadstead_auth::parse_users;

fuzz_target!(|text: &str| {
    if let Ok(users) = parse_users(text) {
        assert!(users.len() <= text.lines().count());
    }
});
