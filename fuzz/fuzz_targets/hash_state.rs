#![no_main]

use libfuzzer_sys::fuzz_target;
use roadstead_oci::{Algorithm, Digester};

fuzz_target!(|input: (&[u8], &[u8], usize)| {
    let (state, bytes, at) = input;
    if let Ok(mut digester) = Digester::resume(state) {
        digester.update(bytes);
        digester.finish();
    }
    let (first, second) = bytes.split_at(at.min(bytes.len()));
    let mut digester = Digester::new(Algorithm::Sha256);
    digester.update(first);
    let state = digester.state().expect("a state");
    let mut resumed = Digester::resume(&state).expect("its own state");
    resumed.update(second);
    assert_eq!(resumed.finish(), Digester::digest(Algorithm::Sha256, bytes));
});
