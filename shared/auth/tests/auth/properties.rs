//! What holds for any text.

use proptest::prelude::*;
use roadstead_auth::{Action, Algorithm, Authorization, Pattern, Scope, parse_users};
use serde_json::json;

use crate::kit::{Key, claims, now, trusted, verifier};

proptest! {
    #[test]
    fn no_text_is_a_token(token in "[-_A-Za-z0-9.]{0,200}|.{0,60}") {
        let key = Key::Secret((0..64).collect());
        let trusted = trusted(&[key.jwk("k")]);
        prop_assert!(verifier().verify(&token, &trusted, now()).is_err());
    }

    #[test]
    fn a_token_with_one_other_letter_counts_for_nothing(at in any::<prop::sample::Index>(), letter in "[-_A-Za-z0-9]") {
        let key = Key::Secret((0..64).collect());
        let trusted = trusted(&[key.jwk("k")]);
        let header = json!({ "alg": "HS256", "kid": "k" });
        let token = key.token(Algorithm::Hs256, header, &claims().to_string());
        let at = at.index(token.len());
        let mut bent = token.clone();
        bent.replace_range(at..=at, &letter);
        prop_assume!(bent != token);
        prop_assert!(verifier().verify(&bent, &trusted, now()).is_err());
    }

    #[test]
    fn any_text_is_read_as_authorization(value in ".{0,80}|[Bb]asic [A-Za-z0-9+/=]{0,60}") {
        if let Authorization::Basic { user, .. } = Authorization::parse(Some(&value)) {
            prop_assert!(!user.is_empty() && !user.contains(':'));
        }
    }

    #[test]
    fn any_text_is_read_as_a_password_file(text in "(.{0,20}\n){0,8}|([a-z]{0,3}:[$.a-z0-9]{0,60}\n){0,8}") {
        let _ = parse_users(&text);
    }

    #[test]
    fn any_text_is_read_as_scopes(text in "[a-z()/:,* ]{0,80}|.{0,80}") {
        for scope in Scope::parse_all([text.as_str()]) {
            prop_assert!(!scope.kind.contains(':'));
            prop_assert!(scope.actions.iter().all(|action| !action.is_empty()));
        }
    }

    #[test]
    fn a_name_matches_itself_and_everything(name in "[a-z0-9]{1,5}(/[a-z0-9]{1,5}){0,4}") {
        let matches = |pattern: &str| pattern.parse::<Pattern>().unwrap().matches(None, &name);
        let inside = format!("{name}/**");
        prop_assert!(matches(&name) && matches("**"));
        prop_assert!(!matches(&inside));
    }

    #[test]
    fn patterns_take_bounded_time(stars in 1usize..60) {
        let pattern: Pattern = vec!["**"; stars].join("/").parse().unwrap();
        let name = vec!["a"; 120].join("/");
        prop_assert_eq!(pattern.matches(None, &name), stars <= 120);
        let pattern: Pattern = ("*a".repeat(stars) + "b").parse().unwrap();
        prop_assert!(!pattern.matches(None, &"a".repeat(250)));
    }

    #[test]
    fn actions_are_written_as_they_are_read(action in prop::sample::select(Action::ALL.to_vec())) {
        prop_assert_eq!(action.as_str().parse(), Ok(action));
    }
}
