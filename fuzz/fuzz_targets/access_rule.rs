#![no_main]

use libfuzzer_sys::fuzz_target;
use roadstead_auth::Pattern;
use roadstead_oci::RepositoryName;

fuzz_target!(|input: (&str, &str, &str)| {
    let (pattern, user, name) = input;
    let Ok(parsed) = pattern.parse::<Pattern>() else {
        return;
    };
    assert_eq!(parsed.to_string(), pattern);
    let matches = parsed.matches(Some(user), name);
    if name.parse::<RepositoryName>().is_ok() && !pattern.contains(['*', '$']) {
        assert_eq!(matches, pattern == name);
    }
});
