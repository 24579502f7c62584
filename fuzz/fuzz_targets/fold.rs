#![no_main]

use libfuzzer_sys::fuzz_target;
use roadstead_api::fold::fold;

fuzz_target!(|input: (&str, &str)| {
    let (path, prefix) = input;
    if let Some(folded) = fold(path, prefix) {
        assert!(path == "/" || path.starts_with(prefix));
        assert!(folded.len() <= 3 * path.len() + 1);
    }
    if let Some(once) = fold(path, "/") {
        assert_eq!(fold(&once, "/").as_deref(), Some(&*once));
        assert!(once.starts_with('/'));
    }
});
