//! A token server and the controller that takes its tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use roadstead_auth::{
    Access, AccessController, Action, Algorithm, Attempt, CurrentRules, Issuer, IssuerOptions,
    Login, Passwords, Realm, Refusal, Rule, Rules, Scope, SigningKey, SigningKeys, Token,
    TokenOptions, Who,
};

struct Pair {
    issuer: Issuer,
    token: Token,
    file: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

fn line(user: &str, password: &str) -> String {
    format!("{user}:{}\n", bcrypt::hash(password, 4).unwrap())
}

fn pair(rules: Option<CurrentRules>) -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, line("ann", "secret")).unwrap();
    let keys = SigningKeys::from(SigningKey::generate().unwrap());
    let token = Token::open(TokenOptions {
        realm: Realm::Here("auth/token"),
        service: "service".to_owned(),
        issuer: "issuer".to_owned(),
        rootcertbundle: None,
        jwks: None,
        own: Some(keys.clone()),
        algorithms: Algorithm::ALL.to_vec(),
        clock: SystemTime::now,
    });
    let issuer = Issuer::new(IssuerOptions {
        issuer: "issuer".to_owned(),
        service: "service".to_owned(),
        keys,
        expires: Duration::from_secs(300),
        refresh: Some(Duration::from_secs(3600)),
        credentials: Arc::new(Passwords::open(file.clone(), false).unwrap()).into(),
        rules,
        clock: SystemTime::now,
    });
    Pair {
        issuer,
        token: token.unwrap(),
        file,
        _folder: folder,
    }
}

fn rules() -> CurrentRules {
    let rule = |who: Who, pattern: &str, allow: &[Action]| Rule {
        who,
        repositories: vec![pattern.parse().unwrap()],
        allow: allow.iter().copied().collect(),
        deny: BTreeSet::new(),
    };
    let anyone = Who {
        anonymous: true,
        ..Who::default()
    };
    let ann = Who {
        users: BTreeSet::from(["ann".to_owned()]),
        ..Who::default()
    };
    let rules = vec![
        rule(anyone, "public/*", &[Action::Pull]),
        rule(ann, "team/*", &[Action::Pull, Action::Push, Action::List]),
    ];
    Rules::new(rules, BTreeMap::new()).unwrap().into()
}

async fn ann(pair: &Pair) -> Login {
    let login = pair.issuer.log_in("ann", "secret").await.unwrap();
    login.expect("ann logs in")
}

async fn scope_of(pair: &Pair, user: Option<&str>, scope: &str) -> String {
    let scopes = Scope::parse_all([scope]);
    let login = match user {
        Some(_) => Some(ann(pair).await),
        None => None,
    };
    let issued = pair.issuer.issue(login.as_ref(), &scopes, false).await;
    issued.unwrap().scope
}

#[tokio::test]
async fn a_token_is_for_as_much_as_its_user_may_do() {
    let pair = pair(Some(rules()));
    for (user, scope, granted) in [
        (
            None,
            "repository:public/a:pull,push",
            "repository:public/a:pull",
        ),
        (None, "repository:team/a:pull", ""),
        (None, "registry:catalog:*", ""),
        (
            Some("ann"),
            "repository:team/a:*",
            "repository:team/a:pull,push",
        ),
        (
            Some("ann"),
            "repository:team/a:push,pull,delete",
            "repository:team/a:pull,push",
        ),
        (Some("ann"), "registry:catalog:*", "registry:catalog:*"),
        (Some("ann"), "registry:catalog:pull", ""),
        (Some("ann"), "repository:*:pull", ""),
        (Some("ann"), "repository:team/**:pull", ""),
        (Some("ann"), "repository:TEAM/a:pull", ""),
        (Some("ann"), "other:team/a:pull", ""),
        (
            Some("ann"),
            "repository:team/a:push repository:public/b:pull",
            "repository:team/a:push repository:public/b:pull",
        ),
    ] {
        assert_eq!(
            scope_of(&pair, user, scope).await,
            granted,
            "{user:?} {scope}"
        );
    }
}

#[tokio::test]
async fn without_rules_users_may_do_everything_and_others_nothing() {
    let pair = pair(None);
    let all = "repository:a:pull,push,delete";
    assert_eq!(scope_of(&pair, Some("ann"), "repository:a:*").await, all);
    assert_eq!(scope_of(&pair, None, "repository:a:*").await, "");
    assert!(!pair.issuer.knows_anonymous().await);
}

#[tokio::test]
async fn the_controller_takes_what_the_server_issues_and_nothing_more() {
    let pair = pair(Some(rules()));
    let scopes = Scope::parse_all(["repository:team/a:pull,push"]);
    let issued = pair
        .issuer
        .issue(Some(&ann(&pair).await), &scopes, true)
        .await
        .unwrap();
    let authorization = format!("Bearer {}", issued.token);
    let attempt = Attempt {
        authorization: Some(&authorization),
        confidential: true,
        signed: None,
    };
    let access = |name: &str, action| [Access::Repository(name.parse().unwrap(), action)];
    for _ in 0..2 {
        let granted = pair
            .token
            .authorize(attempt, &access("team/a", Action::Push))
            .await;
        assert_eq!(granted.unwrap().user(), Some("ann"));
        for refused in [
            access("team/a", Action::Delete),
            access("team/b", Action::Pull),
        ] {
            let refusal = pair.token.authorize(attempt, &refused).await.unwrap_err();
            let Refusal::Challenge(challenge) = refusal else {
                panic!("{refusal:?}")
            };
            assert!(
                challenge
                    .header("r")
                    .ends_with(r#",error="insufficient_scope""#)
            );
        }
    }
    let refresh = format!("Bearer {}", issued.refresh_token.unwrap());
    let attempt = Attempt {
        authorization: Some(&refresh),
        confidential: true,
        signed: None,
    };
    assert!(
        pair.token.authorize(attempt, &[]).await.is_err(),
        "a refresh token is no token"
    );
}

#[tokio::test]
async fn a_refresh_token_counts_until_the_password_changes() {
    let pair = pair(None);
    let issued = pair
        .issuer
        .issue(Some(&ann(&pair).await), &[], true)
        .await
        .unwrap();
    let refresh = issued.refresh_token.unwrap();
    let refreshed = pair.issuer.refreshed(&refresh).await.unwrap();
    assert_eq!(refreshed.grant.user(), Some("ann"));
    let by_token = pair.issuer.refreshed(&issued.token).await;
    assert!(by_token.is_none(), "a token refreshes nothing");
    assert!(pair.issuer.refreshed("x.y.z").await.is_none());
    std::fs::write(&pair.file, line("ann", "secret2")).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while pair.issuer.refreshed(&refresh).await.is_some() {
        assert!(
            std::time::Instant::now() < deadline,
            "the old password counts on"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (password, is_right) in [("secret2", true), ("secret", false)] {
        let login = pair.issuer.log_in("ann", password).await.unwrap();
        assert_eq!(login.is_some(), is_right, "{password}");
    }
}
