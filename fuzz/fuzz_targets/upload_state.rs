#![no_main]

use libfuzzer_sys::fuzz_target;
use roadstead_api::{Secret, UploadState};
use time::OffsetDateTime;

fuzz_target!(|input: (&str, &str, u64)| {
    let (token, id, offset) = input;
    let secret = Secret::new(b"a secret that nobody guesses");
    let name = "a/b".parse().expect("a name");
    assert!(UploadState::verify(Some(token), &secret, &name, id).is_err());
    let state = UploadState::new(&name, id, offset, OffsetDateTime::UNIX_EPOCH);
    let signed = state.sign(&secret);
    let back = UploadState::verify(Some(&signed), &secret, &name, id);
    assert_eq!(back.expect("its own token"), state);
    let foreign = state.sign(&Secret::new(token.as_bytes()));
    assert!(UploadState::verify(Some(&foreign), &secret, &name, id).is_err());
});
