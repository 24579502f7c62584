#![no_main]

use libfuzzer_sys::fuzz_target;
use roadstead_auth::{Authorization, Scope};

fuzz_target!(|text: &str| {
    if let Authorization::Basic { user, .. } = Authorization::parse(Some(text)) {
        assert!(!user.is_empty() && !user.contains(':'));
    }
    for scope in Scope::parse_all([text]) {
        assert!(!scope.kind.contains(':') && !scope.kind.contains('('));
        assert!(scope.actions.iter().all(|action| !action.is_empty()));
    }
});
