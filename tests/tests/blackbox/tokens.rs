//! The token server, and registries that take its tokens.

use roadstead_tests::registry::{Implementation, Setup};
use roadstead_tests::users::{self, ANN, BOB, ROOT, User, by};
use roadstead_tests::{Image, Registry, Response, Store, require, tool, wait};
use serde_json::{Value, json};

fn access() -> Value {
    json!({ "rules": [
        { "users": ["root"], "repositories": ["**"], "allow": ["pull", "push", "delete", "list"] },
        { "users": ["ann"], "repositories": ["team/**"], "allow": ["pull", "push"] },
        { "anonymous": true, "repositories": ["public/**"], "allow": ["pull"] },
    ] })
}

/// One process that is both.
fn registry(store: &Store, tokenserver: Value) -> Registry {
    let config = json!({
        "auth": users::htpasswd(store),
        "tokenserver": tokenserver,
        "access": access(),
    });
    Setup::new(Implementation::Roadstead)
        .store(store)
        .config(config)
        .start()
}

fn fetch(server: &Registry, user: Option<User>, query: &str) -> Response {
    let target = format!("/auth/token?service=roadstead&{query}");
    by(server.request("GET", &target), user).send()
}

fn exchange(server: &Registry, form: &str) -> Response {
    let request = server.request("POST", "/auth/token");
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    request.body(form).send()
}

fn token(response: Response) -> String {
    let response = response.expect(200);
    assert_eq!(response.need("cache-control"), "no-store");
    let json = response.json();
    assert_eq!(json["token"], json["access_token"]);
    assert!(json["expires_in"].as_u64().unwrap() >= 60);
    json["token"].as_str().unwrap().to_owned()
}

fn status(registry: &Registry, method: &str, target: &str, token: &str) -> u16 {
    let request = registry.request(method, target);
    let authorization = format!("Bearer {token}");
    request.header("Authorization", authorization).send().status
}

#[test]
fn a_client_follows_the_challenge_and_gets_in() {
    let store = Store::new();
    let registry = registry(&store, json!({ "enabled": true }));
    let target = "/v2/team/app/tags/list";
    let challenge = registry.get(target).expect_error(401, "UNAUTHORIZED");
    let expected = format!(
        r#"Bearer realm="http://{}/auth/token",service="roadstead",scope="repository:team/app:pull""#,
        registry.host()
    );
    assert_eq!(challenge.need("www-authenticate"), expected);
    let scope = "scope=repository:team/app:pull,push";
    for (user, expected) in [
        (Some(ANN), 404),
        (Some(ROOT), 404),
        (Some(BOB), 401),
        (None, 401),
    ] {
        let token = token(fetch(&registry, user, scope));
        assert_eq!(
            status(&registry, "GET", target, &token),
            expected,
            "{user:?}"
        );
        assert_eq!(status(&registry, "GET", "/v2/", &token), 200);
        assert_eq!(
            status(&registry, "GET", "/v2/team/other/tags/list", &token),
            401
        );
        assert_eq!(status(&registry, "GET", "/v2/_catalog", &token), 401);
    }
    let anonymous = token(fetch(
        &registry,
        None,
        "scope=repository:public/a:pull,push",
    ));
    assert_eq!(
        status(&registry, "GET", "/v2/public/a/tags/list", &anonymous),
        404
    );
    assert_eq!(
        status(&registry, "POST", "/v2/public/a/blobs/uploads/", &anonymous),
        401
    );
    assert_eq!(
        registry.get("/v2/public/a/tags/list").status,
        404,
        "and without one"
    );
    // A client that sends its password unasked is let in by it as well.
    let request = by(registry.request("GET", target), Some(ANN));
    let _ = request.send().expect(404);
}

#[test]
fn a_wrong_password_gets_no_token() {
    let store = Store::new();
    let registry = registry(&store, json!({ "enabled": true }));
    for authorization in [
        users::basic("ann", "wrong"),
        users::basic("nobody", "wrong"),
        "Bearer x".to_owned(),
        "Basic".to_owned(),
    ] {
        let request = registry.request("GET", "/auth/token?scope=repository:public/a:pull");
        let response = request.header("Authorization", authorization).send();
        let response = response.expect_error(401, "UNAUTHORIZED");
        assert_eq!(
            response.need("www-authenticate"),
            r#"Basic realm="roadstead""#
        );
    }
    for (form, status) in [
        ("grant_type=password&username=ann&password=wrong", 401),
        ("grant_type=password&username=ann", 400),
        ("grant_type=password&username=&password=", 400),
        ("grant_type=refresh_token&refresh_token=x.y.z", 401),
        ("grant_type=refresh_token", 400),
        ("grant_type=authorization_code&code=x", 400),
        ("username=ann", 400),
        ("", 400),
    ] {
        let _ = exchange(&registry, form).expect(status);
    }
    let _ = exchange(&registry, &"x".repeat(100_000)).expect(400);
    assert!(
        !registry.log().contains("wrong"),
        "a password is in the log"
    );
}

#[test]
fn a_form_gets_a_token_and_a_token_to_get_others_with() {
    let openssl = require!("openssl");
    let store = Store::new();
    let key = private_key(
        &store,
        &openssl,
        &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    );
    let registry = registry(&store, json!({ "enabled": true, "privatekey": key }));
    let login = "grant_type=password&username=ann&password=ann%27s+secret&service=roadstead&client_id=docker&access_type=offline&scope=repository:team/app:pull";
    let first = exchange(&registry, login).expect(200).json();
    let refresh = first["refresh_token"]
        .as_str()
        .expect("a refresh token")
        .to_owned();
    assert_eq!(
        status(&registry, "GET", "/v2/", &refresh),
        401,
        "it is no token itself"
    );
    let form = format!(
        "grant_type=refresh_token&refresh_token={refresh}&service=roadstead&client_id=docker&scope=repository%3Ateam%2Fapp%3Apull%2Cpush+repository:x:pull"
    );
    let second = exchange(&registry, &form);
    assert_eq!(second.json()["scope"], "repository:team/app:pull,push");
    let second = token(second);
    assert_eq!(
        status(&registry, "GET", "/v2/team/app/tags/list", &second),
        404
    );
    assert_eq!(status(&registry, "GET", "/v2/x/tags/list", &second), 401);
    let form = form.replace(&refresh, &second);
    exchange(&registry, &form).expect_error(401, "UNAUTHORIZED");
    let offline = fetch(&registry, Some(ANN), "offline_token=true")
        .expect(200)
        .json();
    assert!(offline["refresh_token"].is_string());
    let short = fetch(&registry, Some(ANN), "").expect(200).json();
    assert_eq!(short["refresh_token"], Value::Null);
    // It outlives the process, as the key does.
    let form = form.replace(&second, &refresh);
    drop(registry);
    let registry = self::registry(&store, json!({ "enabled": true, "privatekey": key }));
    let _ = token(exchange(&registry, &form));
}

fn private_key(store: &Store, openssl: &std::path::Path, algorithm: &[&str]) -> std::path::PathBuf {
    let path = store
        .scratch()
        .join(format!("{}.pem", algorithm.join("-").replace(':', "-")));
    let mut command = std::process::Command::new(openssl);
    command
        .args(["genpkey", "-algorithm"])
        .args(algorithm)
        .arg("-out")
        .arg(&path);
    let _ = tool::finish(command).success();
    path
}

#[test]
fn a_registry_elsewhere_takes_the_tokens_by_their_published_keys() {
    let openssl = require!("openssl");
    for algorithm in [
        &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..],
        &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
        &["ED25519"],
    ] {
        let store = Store::new();
        let server = Setup::new(Implementation::Roadstead)
            .store(&store)
            .subcommand("token-server")
            .config(json!({
                "auth": users::htpasswd(&store),
                "access": access(),
                "tokenserver": {
                    "enabled": true,
                    "privatekey": private_key(&store, &openssl, algorithm),
                    "issuer": "our tokens",
                    "service": "our registry",
                },
                // What serves tokens only has no use for the store, nor for what stands before it.
                "middleware": { "storage": [{ "name": "cloudfront", "options": {
                    "baseurl": "https://d.cloudfront.net",
                    "privatekey": "/nowhere",
                    "keypairid": "K",
                } }] },
            }))
            .start();
        let keys = server.get("/auth/keys").expect(200);
        let path = store.scratch().join("keys.json");
        std::fs::write(&path, &keys.body).unwrap();
        assert!(!keys.text().contains("\"d\""), "a private key is published");
        let _ = server.get("/v2/").expect(404);
        let auth = json!({ "token": {
            "realm": format!("http://{}/auth/token", server.host()),
            "service": "our registry",
            "issuer": "our tokens",
            "jwks": path,
        } });
        let registry = Registry::with(json!({ "auth": auth }));
        let image = Image::seeded(702);
        let upload = "/v2/team/app/blobs/uploads/";
        let refused = registry.request("POST", upload).send().expect(401);
        assert!(
            refused
                .need("www-authenticate")
                .ends_with(r#"scope="repository:team/app:pull,push""#)
        );
        let ann = token(fetch(
            &server,
            Some(ANN),
            "scope=repository:team/app:pull,push",
        ));
        assert_eq!(
            status(&registry, "POST", upload, &ann),
            202,
            "{algorithm:?}"
        );
        let target = format!("/v2/team/app/manifests/{}", image.digest());
        assert_eq!(status(&registry, "GET", &target, &ann), 404);
        assert_eq!(status(&registry, "DELETE", &target, &ann), 401);
        assert_eq!(status(&registry, "GET", "/v2/", "x.y.z"), 401);
        let mut bent = ann.clone();
        bent.replace_range(bent.len() - 8..bent.len() - 4, "AAAA");
        assert_eq!(status(&registry, "GET", "/v2/", &bent), 401);
    }
}

#[test]
fn a_signing_key_that_changes_counts_at_once_and_may_stay_for_a_while() {
    roadstead_tests::only_by_socket!("each function looks at its files in its own time");
    let openssl = require!("openssl");
    let store = Store::new();
    let first = private_key(&store, &openssl, &["ED25519"]);
    let path = store.scratch().join("key.pem");
    std::fs::copy(&first, &path).unwrap();
    let registry = registry(&store, json!({ "enabled": true, "privatekey": path }));
    let keys = || {
        let keys = registry.get("/auth/keys").expect(200).json();
        keys["keys"].as_array().unwrap().clone()
    };
    let (old, scope) = (keys(), "scope=repository:team/a:pull&offline_token=true");
    let issued = fetch(&registry, Some(ANN), scope).expect(200).json();
    let (token, refresh) = (issued["token"].as_str().unwrap(), &issued["refresh_token"]);
    let refresh = format!(
        "grant_type=refresh_token&refresh_token={}",
        refresh.as_str().unwrap()
    );

    std::fs::write(&path, "no key").unwrap();
    wait::until("the broken file to be noticed", || {
        assert_eq!(keys(), old, "the old key counts on");
        registry
            .log()
            .contains("no private key that can sign")
            .then_some(())
    });
    let kind = ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let second = std::fs::read_to_string(private_key(&store, &openssl, &kind)).unwrap();
    std::fs::write(
        &path,
        second.clone() + &std::fs::read_to_string(&first).unwrap(),
    )
    .unwrap();
    wait::until("both keys to be published", || {
        (keys().len() == 2).then_some(())
    });
    assert_eq!(keys()[1], old[0]);
    assert_eq!(status(&registry, "GET", "/v2/", token), 200);
    let _ = exchange(&registry, &refresh).expect(200);
    let signed = fetch(&registry, Some(ANN), scope).expect(200).json();
    let new = signed["token"].as_str().unwrap();
    assert_eq!(status(&registry, "GET", "/v2/", new), 200);

    std::fs::write(&path, second).unwrap();
    wait::until("the old key to be gone", || {
        (keys().len() == 1).then_some(())
    });
    assert_eq!(status(&registry, "GET", "/v2/", token), 401);
    let _ = exchange(&registry, &refresh).expect(401);
    assert_eq!(status(&registry, "GET", "/v2/", new), 200);
}

#[test]
fn autoredirect_sends_clients_to_the_host_that_they_know() {
    roadstead_tests::only_by_socket!("a gateway says by which scheme it was reached");
    let openssl = require!("openssl");
    let store = Store::new();
    let config = json!({
        "auth": { "token": { "autoredirect": true, "service": "s", "issuer": "i" } },
        "tokenserver": {
            "enabled": true,
            "privatekey": private_key(&store, &openssl, &["ED25519"]),
            "htpasswd": users::password_file(&store),
        },
    });
    let setup = Setup::new(Implementation::Roadstead).store(&store);
    let registry = setup.config(config).start();
    let challenge = |headers: &[(&str, &str)]| {
        let request = registry.request("GET", "/v2/");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(name, *value)
        });
        request
            .send()
            .expect(401)
            .need("www-authenticate")
            .to_owned()
    };
    for (headers, realm) in [
        (&[("Host", "r.example")][..], "https://r.example/auth/token"),
        (
            &[("Host", "r.example:5000"), ("X-Forwarded-Proto", "http")],
            "http://r.example:5000/auth/token",
        ),
        (
            &[("Host", "r.example"), ("X-Forwarded-Proto", "javascript")],
            "https://r.example/auth/token",
        ),
        (
            &[
                ("Host", "r.example"),
                ("X-Forwarded-Host", "evil.example/\"@x"),
            ],
            "https://r.example/auth/token",
        ),
    ] {
        assert_eq!(
            challenge(headers),
            format!(r#"Bearer realm="{realm}",service="s""#),
            "{headers:?}"
        );
    }
    let token = token(fetch(&registry, Some(BOB), "scope=repository:a:pull"));
    assert_eq!(status(&registry, "GET", "/v2/a/tags/list", &token), 404);
    let _ = fetch(&registry, None, "scope=repository:a:pull").expect(401);
}

#[test]
fn below_a_prefix_the_challenge_leads_below_it() {
    let store = Store::new();
    let config = json!({
        "auth": users::htpasswd(&store),
        "tokenserver": { "enabled": true },
        "http": { "prefix": "/my/", "relativeurls": true },
    });
    let setup = Setup::new(Implementation::Roadstead).store(&store);
    let registry = setup.config(config).start();
    let challenge = registry.get("/my/v2/").expect(401);
    let realm = format!("http://{}/my/auth/token", registry.host());
    assert!(challenge.need("www-authenticate").contains(&realm));
    let response = by(registry.request("GET", "/my/auth/token"), Some(ANN)).send();
    let token = token(response);
    assert_eq!(status(&registry, "GET", "/my/v2/", &token), 200);
    let _ = registry.get("/auth/token").expect(404);
}

#[test]
fn a_registry_without_a_token_server_has_no_such_route() {
    let registry = Registry::start();
    for target in ["/auth/token", "/auth/keys"] {
        let _ = registry.get(target).expect(404);
    }
    let said = Setup::new(Implementation::Roadstead)
        .config(json!({ "tokenserver": { "enabled": true } }))
        .try_start()
        .err()
        .expect("nobody can log in");
    assert!(said.contains("tokenserver"), "{said}");
}

/// Tokens of golang-jwt's command (Debian's `jwt`): what others sign counts here, and they take ours.
#[test]
fn tokens_of_others_count_and_others_read_ours() {
    let (openssl, jwt) = (require!("openssl"), require!("jwt"));
    for (kind, algorithms) in [
        (
            &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..],
            &["RS256", "PS512"][..],
        ),
        (&["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], &["ES256"]),
        (&["EC", "-pkeyopt", "ec_paramgen_curve:P-521"], &["ES512"]),
        (&["ED25519"], &["EdDSA"]),
    ] {
        let store = Store::new();
        let key = private_key(&store, &openssl, kind);
        let (public, chain) = (key.with_extension("public"), key.with_extension("crt"));
        let [key, public, chain] = [&key, &public, &chain].map(|path| path.to_str().unwrap());
        let run = |arguments: &[&str]| tool::run(&openssl, arguments).success();
        let _ = run(&["pkey", "-in", key, "-pubout", "-out", public]);
        let _ = run(&[
            "req",
            "-x509",
            "-new",
            "-key",
            key,
            "-subj",
            "/CN=issuer",
            "-out",
            chain,
        ]);

        // As its server publishes the key, which is what tells its name.
        let config = json!({
            "auth": users::htpasswd(&store),
            "tokenserver": { "enabled": true, "privatekey": key },
        });
        let setup = Setup::new(Implementation::Roadstead).store(&store);
        let server = setup.config(config).start();
        let keys = server.get("/auth/keys").expect(200).json();
        let id = keys["keys"][0]["kid"].as_str().unwrap().to_owned();
        let ours = token(fetch(&server, Some(ANN), "scope=repository:team/a:pull"));
        drop(server);

        let config = json!({ "auth": { "token": {
            "realm": "https://issuer.test/token",
            "service": "roadstead",
            "issuer": "roadstead",
            "rootcertbundle": chain,
        } } });
        let registry = Setup::new(Implementation::Roadstead).config(config).start();
        let claims = store.scratch().join("claims.json");
        let claims = claims.to_str().unwrap();
        let sign = |algorithm: &str, service: &str| {
            let said = json!({
                "iss": "roadstead",
                "sub": "ann",
                "aud": [service],
                "exp": 4_102_444_800_u64,
                "access": [{ "type": "repository", "name": "team/a", "actions": ["pull"] }],
            });
            std::fs::write(claims, said.to_string()).unwrap();
            let header = format!("kid={id}");
            let arguments = [
                "-alg", algorithm, "-key", key, "-header", &header, "-sign", claims,
            ];
            tool::run(&jwt, arguments).success().trim().to_owned()
        };
        for algorithm in algorithms {
            let theirs = sign(algorithm, "roadstead");
            let status = |target: &str, token: &str| status(&registry, "GET", target, token);
            assert_eq!(status("/v2/team/a/tags/list", &theirs), 404, "{algorithm}");
            assert_eq!(status("/v2/team/b/tags/list", &theirs), 401, "{algorithm}");
            assert_eq!(
                status("/v2/", &sign(algorithm, "another")),
                401,
                "{algorithm}"
            );
        }
        let file = store.scratch().join("token");
        std::fs::write(&file, ours).unwrap();
        let arguments = [
            "-alg",
            algorithms[0],
            "-key",
            public,
            "-verify",
            file.to_str().unwrap(),
        ];
        let read: Value = serde_json::from_str(&tool::run(&jwt, arguments).success()).unwrap();
        assert_eq!(
            (&read["sub"], &read["aud"]),
            (&json!("ann"), &json!("roadstead"))
        );
    }
}
