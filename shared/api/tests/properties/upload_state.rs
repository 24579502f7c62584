//! The state of an upload: it comes back as it was given out, and nobody else can make one.

use proptest::prelude::*;
use roadstead_api::{Secret, UploadState};
use time::OffsetDateTime;

use crate::names::name;

fn moment() -> impl Strategy<Value = OffsetDateTime> {
    (0..4_000_000_000_i64, 0..1_000_000_000_i64).prop_map(|(seconds, nanoseconds)| {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
            + time::Duration::nanoseconds(nanoseconds)
    })
}

proptest! {
    #[test]
    fn a_state_comes_back_as_it_was_given_out(
        name in name(),
        id in ".{0,40}",
        offset in any::<u64>(),
        moment in moment(),
        secret in prop::collection::vec(any::<u8>(), 1..80),
    ) {
        let secret = Secret::new(&secret);
        let state = UploadState::new(&name, &id, offset, moment);
        let token = state.sign(&secret);
        let back = UploadState::verify(Some(&token), &secret, &name, &id).unwrap();
        prop_assert_eq!(back.offset(), offset);
        prop_assert_eq!(back, state);
    }

    #[test]
    fn a_token_with_any_change_is_refused(
        name in name(),
        offset in any::<u64>(),
        at in any::<prop::sample::Index>(),
        with in prop_oneof![proptest::char::range('0', 'z'), any::<char>()],
        how in 0..4_u8,
    ) {
        let secret = Secret::new(b"secret");
        let token = UploadState::new(&name, "id", offset, OffsetDateTime::UNIX_EPOCH).sign(&secret);
        let at = at.index(token.len());
        let (before, after) = token.split_at(at);
        let changed = match how {
            0 => format!("{before}{with}{}", &after[1..]),
            1 => format!("{before}{with}{after}"),
            2 => format!("{before}{}", &after[1..]),
            _ => before.to_owned(),
        };
        prop_assume!(changed != token);
        prop_assert!(UploadState::verify(Some(&changed), &secret, &name, "id").is_err());
    }

    #[test]
    fn nothing_is_a_token_but_what_was_signed_here(
        name in name(),
        token in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{40,120}={0,2}"],
        other in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let secret = Secret::new(b"secret");
        prop_assert!(UploadState::verify(Some(&token), &secret, &name, "id").is_err());
        prop_assert!(UploadState::verify(None, &secret, &name, "id").is_err());
        prop_assume!(other != b"secret");
        let foreign = UploadState::new(&name, "id", 0, OffsetDateTime::UNIX_EPOCH);
        let foreign = foreign.sign(&Secret::new(&other));
        prop_assert!(UploadState::verify(Some(&foreign), &secret, &name, "id").is_err());
    }

    #[test]
    fn a_token_is_of_one_upload_of_one_repository(one in name(), other in name(), ids in ("[a-f]{1,4}", "[a-f]{1,4}")) {
        let secret = Secret::new(b"secret");
        let token = UploadState::new(&one, &ids.0, 1, OffsetDateTime::UNIX_EPOCH).sign(&secret);
        let is_same = one == other && ids.0 == ids.1;
        let verified = UploadState::verify(Some(&token), &secret, &other, &ids.1);
        prop_assert_eq!(verified.is_ok(), is_same);
    }
}
