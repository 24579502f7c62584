//! Digests are the same whatever the pieces in which the bytes come.

use proptest::prelude::*;
use roadstead_oci::{Algorithm, Digester};

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512];

/// Bytes, and the pieces into which they are cut.
fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let piece = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..70),
        1 => prop::collection::vec(any::<u8>(), 120..400),
    ];
    prop::collection::vec(piece, 0..12)
}

proptest! {
    #[test]
    fn a_digest_does_not_depend_on_how_the_bytes_are_cut(pieces in pieces()) {
        for algorithm in ALGORITHMS {
            let mut digester = Digester::new(algorithm);
            pieces.iter().for_each(|piece| digester.update(piece));
            let whole = Digester::digest(algorithm, &pieces.concat());
            prop_assert_eq!(digester.finish(), whole);
        }
    }

    #[test]
    fn a_state_can_be_taken_out_and_put_back_after_every_piece(pieces in pieces()) {
        let mut digester = Digester::new(Algorithm::Sha256);
        for piece in &pieces {
            digester.update(piece);
            let state = digester.state().unwrap();
            digester = Digester::resume(&state).unwrap();
            prop_assert_eq!(digester.state().unwrap(), state);
        }
        let whole = Digester::digest(Algorithm::Sha256, &pieces.concat());
        prop_assert_eq!(digester.finish(), whole);
    }

    #[test]
    fn a_state_says_how_many_bytes_it_has_seen(pieces in pieces()) {
        let mut digester = Digester::new(Algorithm::Sha256);
        pieces.iter().for_each(|piece| digester.update(piece));
        let state = digester.state().unwrap();
        let length: [u8; 8] = state[100..].try_into().unwrap();
        prop_assert_eq!(u64::from_be_bytes(length), pieces.concat().len() as u64);
    }

    #[test]
    fn whatever_lies_in_a_state_file_is_taken_or_refused_but_never_kills_the_process(
        start in prop_oneof![Just(b"sha\x03".to_vec()), prop::collection::vec(any::<u8>(), 0..8)],
        rest in prop::collection::vec(any::<u8>(), 100..109),
        more in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let state = [start, rest].concat();
        if let Ok(mut digester) = Digester::resume(&state) {
            digester.update(&more);
            digester.finish();
        }
    }
}

#[test]
fn only_sha256_has_a_state_to_take_out() {
    assert!(Digester::new(Algorithm::Sha256).state().is_some());
    assert!(Digester::new(Algorithm::Sha384).state().is_none());
    assert!(Digester::new(Algorithm::Sha512).state().is_none());
}
