use roadstead_configuration::Configuration;

use crate::{load_with, owned, problems_with, source};

/// Every secret that a configuration can have, each with `HUSH` in it.
const TEXT: &str = "
version: 0.1
log:
  hooks: [{type: mail, options: {smtp: {addr: 'a:25', username: u, password: HUSH-1}}}]
storage:
  inmemory:
http:
  secret: HUSH-2
notifications:
  endpoints:
    - name: a
      url: https://user:HUSH-3@example.com/events
      headers: {Authorization: [Bearer HUSH-4], X-Other: [HUSH-5]}
redis:
  addrs: [a:6379]
  password: HUSH-6
  sentinelpassword: HUSH-7
health:
  http: [{uri: 'http://HUSH-8@a/', headers: {Authorization: [HUSH-9]}}]
proxy:
  password: HUSH-10
middleware:
  registry: [{name: a, disabled: true, options: {apikey: HUSH-11, url: 'http://u:HUSH-12@a/'}}]
";

#[test]
fn show_hides_every_secret() {
    let loaded = load_with(TEXT, &[]);
    let shown = loaded.show();
    assert!(!shown.contains("HUSH"), "{shown}");
    assert!(shown.contains("secret: \"********\""), "{shown}");
    assert!(
        shown.contains("url: \"https://********@example.com/events\""),
        "{shown}"
    );
}

#[test]
fn a_variables_secret_is_hidden_too() {
    let shown = load_with(
        TEXT,
        &[
            ("REGISTRY_HTTP_SECRET", "HUSH-x"),
            ("REGISTRY_REDIS_OPTIONS_PASSWORD", "HUSH-y"),
        ],
    )
    .show();
    assert!(!shown.contains("HUSH"), "{shown}");
    assert!(shown.contains("# REGISTRY_HTTP_SECRET"), "{shown}");
}

#[test]
fn debug_output_hides_typed_secrets() {
    let debug = format!("{:?}", load_with(TEXT, &[]).configuration);
    for hidden in [
        "HUSH-1\"", "HUSH-2", "HUSH-4", "HUSH-5", "HUSH-6", "HUSH-7", "HUSH-9", "HUSH-10",
    ] {
        assert!(!debug.contains(hidden), "{hidden}");
    }
}

#[test]
fn problems_never_quote_a_secret() {
    let text = "
version: 0.1
storage:
  s3: {secretkey: {HUSH-1: a}, accesskey: a}
  azure: {accountkey: [HUSH-2], credentials: {secret: [HUSH-3]}}
  gcs: {credentials: HUSH-4}
http: {secret: [HUSH-5]}
notifications: {endpoints: [{name: a, headers: {Authorization: HUSH-6}}, {name: b, headers: HUSH-7}]}
health: {http: [{headers: {Authorization: HUSH-8}}]}
redis: {password: {a: HUSH-9}}
";
    let variables = [
        ("REGISTRY_PROXY_PASSWORD", "[HUSH-10"),
        ("REGISTRY_HTTP_SECRET_X", "HUSH-11"),
        ("REGISTRY_NOPE", "HUSH-12"),
    ];
    let found = problems_with(text, &variables).join("\n");
    assert!(!found.contains("HUSH"), "{found}");
    let error = Configuration::load(&source(text), owned(&variables))
        .unwrap_err()
        .to_string();
    assert!(!error.contains("HUSH"), "{error}");
}

#[test]
fn the_display_is_yaml_that_loads_again() {
    let loaded = load_with(
        "version: 0.1\nstorage: {filesystem: {rootdirectory: '/da ta'}}\nhttp: {addr: ':5000', headers: {X-A: [a, 'b: c']}}\nlog: {fields: {a: [1, x]}}\n",
        &[],
    );
    let again = load_with(&loaded.show(), &[]);
    assert_eq!(again.configuration, loaded.configuration);
}

#[test]
fn the_display_names_the_origin_of_each_value() {
    let text = "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /data\nhttp:\n  headers:\n    X-A: [a]\n";
    let shown = load_with(text, &[("REGISTRY_HTTP_ADDR", ":5001")]).show();
    let origin = |start: &str| {
        let line = shown
            .lines()
            .find(|line| line.trim_start().starts_with(start))
            .unwrap();
        line.rsplit_once("# ").unwrap().1.to_owned()
    };
    assert_eq!(origin("rootdirectory: /data"), "config.yml:4");
    assert_eq!(origin("addr: \":5001\""), "REGISTRY_HTTP_ADDR");
    assert_eq!(origin("- a"), "config.yml:7");
    assert_eq!(origin("fsync: journal"), "default");
}
