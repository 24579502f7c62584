//! Tokens of other issuers as passwords.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use roadstead_auth::{
    Access, Action, Credentials, Fetch, Identities, IdentityOptions, IdentityRule, Jwk, Jwks,
    Passwords, Refusal, Rule, Rules, SigningKey, Who,
};
use serde_json::{Value, json};

const ISSUER: &str = "https://issuer.test";

/// An issuer that is asked for its keys.
#[derive(Debug, Default)]
struct Remote {
    keys: Mutex<Option<Vec<Jwk>>>,
    named: Mutex<Option<String>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Fetch for Remote {
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        // Whoever else wants the same comes while this is under way.
        tokio::task::yield_now().await;
        let keys = self.keys.lock().unwrap().clone();
        let keys = keys.ok_or("it is down")?;
        let document = match url {
            "https://issuer.test/.well-known/openid-configuration" => {
                let named = self.named.lock().unwrap().clone();
                json!({
                    "issuer": named.unwrap_or_else(|| ISSUER.to_owned()),
                    "jwks_uri": "https://keys.test/jwks",
                })
            }
            "https://keys.test/jwks" => {
                self.asked.fetch_add(1, Ordering::SeqCst);
                json!(Jwks { keys })
            }
            other => panic!("it is asked for {other}"),
        };
        Ok(document.to_string().into_bytes())
    }
}

impl Remote {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn has(&self, keys: &[&SigningKey]) {
        *self.keys.lock().unwrap() = Some(keys.iter().map(|key| key.jwk()).collect());
    }
}

struct World {
    remote: Arc<Remote>,
    key: SigningKey,
    credentials: Credentials,
    _folder: tempfile::TempDir,
}

fn world(clock: fn() -> SystemTime) -> World {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, "").unwrap();
    let (remote, key) = (Arc::new(Remote::default()), SigningKey::generate().unwrap());
    remote.has(&[&key]);
    let rule = |name: &str, value: &str, user: &str, group: Option<&str>| {
        let claims = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let groups: BTreeSet<_> = group.map(str::to_owned).into_iter().collect();
        IdentityRule::new(claims, user.to_owned(), groups).unwrap()
    };
    let identities = Identities::new(vec![IdentityOptions {
        issuer: ISSUER.to_owned(),
        audience: "registry".to_owned(),
        keys: None,
        fetch: Arc::clone(&remote) as Arc<dyn Fetch>,
        rules: vec![
            rule("sub", "repo:acme/app:*", "ci-app", Some("builders")),
            rule("sub", "repo:acme/*", "ci", None),
        ],
        clock,
    }]);
    let passwords = Arc::new(Passwords::open(file, false).unwrap());
    let credentials = Credentials::from(passwords).with_identities(Some(Arc::new(identities)));
    World {
        remote,
        key,
        credentials,
        _folder: folder,
    }
}

const START: u64 = 1_700_000_000;

fn at(offset: &AtomicU64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(START + offset.load(Ordering::SeqCst))
}

fn start() -> SystemTime {
    at(&AtomicU64::new(0))
}

fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": ["other", "registry"], "sub": "repo:acme/app:ref:refs/heads/main",
        "iat": START, "nbf": START, "exp": START + 300,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

impl World {
    async fn user(&self, token: &str) -> Result<Option<String>, Refusal> {
        let login = self.credentials.log_in("oidc", token).await?;
        Ok(login.and_then(|login| login.grant.user().map(str::to_owned)))
    }
}

#[tokio::test]
async fn a_token_is_worth_what_its_claims_are() {
    let world = world(start);
    for (changes, user) in [
        (json!({}), Some("ci-app")),
        (json!({ "sub": "repo:acme/other:x" }), Some("ci")),
        (json!({ "aud": "registry" }), Some("ci-app")),
        (json!({ "exp": START - 59 }), Some("ci-app")),
        (json!({ "nbf": START + 59 }), Some("ci-app")),
        (json!({ "exp": START - 61 }), None),
        (json!({ "nbf": START + 61 }), None),
        (json!({ "exp": null }), None),
        (json!({ "sub": "repo:acm/app:x" }), None),
        (json!({ "sub": "x:repo:acme/app:x" }), None),
        (json!({ "sub": ["repo:acme/app:x"] }), None),
        (json!({ "aud": "elsewhere" }), None),
        (json!({ "aud": [] }), None),
        (json!({ "iss": "https://issuer.test/" }), None),
        (json!({ "iss": "https://evil.test" }), None),
    ] {
        let token = world.key.sign(&claims(changes.clone())).unwrap();
        let known = world.user(&token).await.unwrap();
        assert_eq!(known.as_deref(), user, "{changes}");
        let elsewhere = world.credentials.log_in("ci-app", &token).await.unwrap();
        assert!(elsewhere.is_none(), "{changes}");
    }
    assert_eq!(world.remote.asked(), 1, "the keys are kept");
}

#[tokio::test]
async fn groups_count_for_rules() {
    let world = world(start);
    let builders = Who {
        groups: BTreeSet::from(["builders".to_owned()]),
        ..Who::default()
    };
    let rule = Rule {
        who: builders,
        repositories: vec!["app".parse().unwrap()],
        allow: BTreeSet::from([Action::Pull]),
        deny: BTreeSet::new(),
    };
    let groups = BTreeMap::from([("builders".to_owned(), BTreeSet::new())]);
    let rules = Arc::new(Rules::new(vec![rule], groups).unwrap());
    let access = Access::Repository("app".parse().unwrap(), Action::Pull);
    for (subject, allowed) in [("repo:acme/app:x", true), ("repo:acme/other:x", false)] {
        let token = world.key.sign(&claims(json!({ "sub": subject }))).unwrap();
        let login = world.credentials.log_in("oidc", &token).await.unwrap();
        let grant = login.unwrap().grant.under(Arc::clone(&rules));
        assert_eq!(grant.allows(&access), allowed, "{subject}");
    }
}

/// A token with this header, signed as the function says.
fn forged(header: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(&claims(json!({}))));
    let signature = BASE64.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn the_header_chooses_neither_key_nor_kind() {
    let world = world(start);
    let own = world.key.jwk();
    let stranger = SigningKey::generate().unwrap();
    let hmac = |secret: &[u8]| {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        move |signed: &[u8]| aws_lc_rs::hmac::sign(&key, signed).as_ref().to_vec()
    };
    let public = serde_json::to_vec(&own).unwrap();
    let point = BASE64.decode(own.x.clone().unwrap()).unwrap();
    let kid = &own.kid;
    let tokens = [
        forged(&json!({ "alg": "none", "kid": kid }), |_| Vec::new()),
        forged(&json!({ "alg": "HS256", "kid": kid }), hmac(&public)),
        forged(&json!({ "alg": "HS256", "kid": kid }), hmac(&point)),
        forged(&json!({ "alg": "RS256", "kid": kid }), |_| vec![1; 256]),
        forged(
            &json!({ "alg": "ES256", "jwk": stranger.jwk(), "jku": "https://evil.test" }),
            |_| vec![1; 64],
        ),
        stranger.sign(&claims(json!({}))).unwrap(),
    ];
    for token in &tokens {
        assert_eq!(world.user(token).await.unwrap(), None, "{token}");
    }
    let right = world.key.sign(&claims(json!({}))).unwrap();
    for broken in [
        "",
        "..",
        "a.b.c",
        &right[..right.len() - 8],
        &format!("{right}.x"),
        &right.replace('.', ".."),
    ] {
        assert_eq!(world.user(broken).await.unwrap(), None, "{broken}");
    }
    assert_eq!(
        world.remote.asked(),
        1,
        "unknown keys are not asked for again"
    );
}

#[tokio::test]
async fn a_new_key_is_asked_for_once_a_minute() {
    static NOW: AtomicU64 = AtomicU64::new(0);
    let world = world(|| at(&NOW));
    let new = SigningKey::generate().unwrap();
    let [old_token, new_token] =
        [&world.key, &new].map(|key| key.sign(&claims(json!({}))).unwrap());
    assert!(world.user(&old_token).await.unwrap().is_some());
    world.remote.has(&[&world.key, &new]);
    NOW.store(59, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(world.user(&new_token).await.unwrap().is_none());
    }
    assert_eq!(world.remote.asked(), 1);
    NOW.store(60, Ordering::SeqCst);
    for token in [&new_token, &old_token] {
        assert!(world.user(token).await.unwrap().is_some());
    }
    assert_eq!(world.remote.asked(), 2);
}

#[tokio::test]
async fn keys_are_fetched_by_one_for_all_who_wait() {
    let world = world(start);
    let token = world.key.sign(&claims(json!({}))).unwrap();
    let logins = (0..20).map(|_| {
        let (credentials, token) = (world.credentials.clone(), token.clone());
        tokio::spawn(async move { credentials.log_in("oidc", &token).await.unwrap().is_some() })
    });
    for login in logins.collect::<Vec<_>>() {
        assert!(login.await.unwrap());
    }
    assert_eq!(world.remote.asked(), 1);
}

#[tokio::test]
async fn an_outage_is_no_refusal_and_old_keys_count_for_a_day() {
    static NOW: AtomicU64 = AtomicU64::new(0);
    let world = world(|| at(&NOW));
    let keys = world.remote.keys.lock().unwrap().take();
    let token = |now: u64| {
        world
            .key
            .sign(&claims(json!({ "exp": START + now + 9 })))
            .unwrap()
    };
    let down = world.user(&token(0)).await;
    assert!(matches!(down, Err(Refusal::Unavailable)), "{down:?}");
    *world.remote.keys.lock().unwrap() = keys;
    NOW.store(1, Ordering::SeqCst);
    assert!(world.user(&token(1)).await.unwrap().is_some());

    *world.remote.keys.lock().unwrap() = None;
    let day = 24 * 60 * 60;
    NOW.store(day, Ordering::SeqCst);
    assert!(world.user(&token(day)).await.unwrap().is_some());
    NOW.store(day + 1, Ordering::SeqCst);
    let down = world.user(&token(day + 1)).await;
    assert!(matches!(down, Err(Refusal::Unavailable)), "{down:?}");
}

#[tokio::test]
async fn a_document_of_another_issuer_is_not_believed() {
    let world = world(start);
    *world.remote.named.lock().unwrap() = Some("https://evil.test".to_owned());
    let token = world.key.sign(&claims(json!({}))).unwrap();
    let refused = world.user(&token).await;
    assert!(matches!(refused, Err(Refusal::Unavailable)), "{refused:?}");
    assert_eq!(world.remote.asked(), 0);
}
