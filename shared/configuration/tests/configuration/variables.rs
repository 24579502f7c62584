use std::time::Duration;

use proptest::prelude::*;
use roadstead_configuration::middleware::StorageOptions;
use roadstead_configuration::{Configuration, configuration_path};

use crate::{load_with, minimal, owned, problems_with, source};

const FILE: &str = "
version: 0.1
storage:
  filesystem:
    rootdirectory: /data
http:
  addr: ':5000'
  headers:
    X-Foo: [old]
notifications:
  endpoints:
    - name: first
      url: http://first/
";

fn one(name: &str, value: &str) -> Configuration {
    load_with(FILE, &[(name, value)]).configuration
}

#[test]
fn a_variable_overrides_the_file() {
    assert_eq!(one("REGISTRY_HTTP_ADDR", ":5001").http.addr, ":5001");
    assert_eq!(
        one("REGISTRY_HTTP_DRAINTIMEOUT", "1m").http.draintimeout,
        Duration::from_secs(60)
    );
    assert!(one("REGISTRY_HTTP_RELATIVEURLS", "yes").http.relativeurls);
}

#[test]
fn an_empty_value_takes_the_files_away() {
    assert_eq!(one("REGISTRY_HTTP_ADDR", "").http.addr, "");
    assert_eq!(one("REGISTRY_HTTP_HEADERS", "null").http.headers.len(), 0);
}

#[test]
fn a_section_that_is_not_there_is_created() {
    assert!(
        one("REGISTRY_STORAGE_DELETE_ENABLED", "true")
            .storage
            .delete
            .enabled
    );
    assert!(
        one("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")
            .storage
            .maintenance
            .readonly
            .enabled
    );
    assert!(
        !one(
            "REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_ENABLED",
            "false"
        )
        .storage
        .maintenance
        .uploadpurging
        .enabled
    );
    assert!(
        one("REGISTRY_STORAGE_MAINTENANCE_READONLY", "{enabled: true}")
            .storage
            .maintenance
            .readonly
            .enabled
    );
}

#[test]
fn a_section_of_the_file_keeps_its_other_keys() {
    let text = "version: 0.1\nstorage: {inmemory: , maintenance: {readonly: {enabled: false}, uploadpurging: {age: 1h}}}\n";
    let configuration = load_with(
        text,
        &[("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")],
    )
    .configuration;
    assert!(configuration.storage.maintenance.readonly.enabled);
    assert_eq!(
        configuration.storage.maintenance.uploadpurging.age,
        Duration::from_secs(3600)
    );
}

#[test]
fn the_names_of_distributions_fields_work_like_the_keys() {
    let table = [
        (
            "REGISTRY_HEALTH_FILE_0_FILE",
            "REGISTRY_HEALTH_FILECHECKERS_0_FILE",
        ),
        (
            "REGISTRY_HEALTH_HTTP_0_URI",
            "REGISTRY_HEALTH_HTTPCHECKERS_0_URI",
        ),
        (
            "REGISTRY_HEALTH_TCP_0_ADDR",
            "REGISTRY_HEALTH_TCPCHECKERS_0_ADDR",
        ),
        (
            "REGISTRY_LOG_HOOKS_0_OPTIONS_SMTP_ADDR",
            "REGISTRY_LOG_HOOKS_0_MAILOPTIONS_SMTP_ADDR",
        ),
        ("REGISTRY_REDIS_PASSWORD", "REGISTRY_REDIS_OPTIONS_PASSWORD"),
    ];
    for (key, field) in table {
        assert_eq!(one(key, "x:1"), one(field, "x:1"), "{field}");
        assert_ne!(one(key, "x:1"), one("REGISTRY_HTTP_ADDR", ":5000"), "{key}");
    }
    let events = "REGISTRY_NOTIFICATIONS_EVENTCONFIG_INCLUDEREFERENCES";
    assert!(one(events, "true").notifications.events.includereferences);
    assert!(
        one("REGISTRY_NOTIFICATIONS_EVENTS_INCLUDEREFERENCES", "true")
            .notifications
            .events
            .includereferences
    );
}

#[test]
fn a_number_names_an_element_and_the_next_one_appends() {
    let endpoints = one("REGISTRY_NOTIFICATIONS_ENDPOINTS_0_URL", "http://other/")
        .notifications
        .endpoints;
    assert_eq!(
        (endpoints[0].name.as_deref(), endpoints[0].url.as_deref()),
        (Some("first"), Some("http://other/"))
    );
    let endpoints = one("REGISTRY_NOTIFICATIONS_ENDPOINTS_1_URL", "http://second/")
        .notifications
        .endpoints;
    assert_eq!(
        (endpoints.len(), endpoints[1].url.as_deref()),
        (2, Some("http://second/"))
    );
    let found = problems_with(FILE, &[("REGISTRY_NOTIFICATIONS_ENDPOINTS_2_URL", "x")]);
    assert!(
        found.contains(&"E REGISTRY_NOTIFICATIONS_ENDPOINTS_2_URL: undefined index: 2".to_owned()),
        "{found:?}"
    );
    let found = problems_with(FILE, &[("REGISTRY_NOTIFICATIONS_ENDPOINTS_URL", "x")]);
    assert!(
        found
            .contains(&"E REGISTRY_NOTIFICATIONS_ENDPOINTS_URL: non-numeric index: URL".to_owned()),
        "{found:?}"
    );
}

#[test]
fn elements_that_are_texts_work() {
    let variables = [
        ("REGISTRY_REDIS_ADDRS_0", "a:6379"),
        ("REGISTRY_REDIS_ADDRS_1", "b:6379"),
    ];
    assert_eq!(
        load_with(FILE, &variables).configuration.redis.addrs,
        ["a:6379", "b:6379"]
    );
    assert_eq!(
        one("REGISTRY_REDIS_ADDRS", "[a:6379, b:6379]").redis.addrs,
        ["a:6379", "b:6379"]
    );
}

#[test]
fn free_names_are_found_in_any_case_and_made_in_lower_case() {
    assert_eq!(
        one("REGISTRY_HTTP_HEADERS_X-FOO", "[new]").http.headers["X-Foo"],
        ["new"]
    );
    assert_eq!(
        one("REGISTRY_HTTP_HEADERS_X-FOO_1", "new").http.headers["X-Foo"],
        ["old", "new"]
    );
    assert_eq!(
        one("REGISTRY_HTTP_HEADERS_XBAR", "[new]").http.headers["xbar"],
        ["new"]
    );
    assert_eq!(
        one("REGISTRY_LOG_FIELDS_ENVIRONMENT", "staging").log.fields["environment"],
        "staging"
    );
    assert_eq!(
        one("REGISTRY_HTTP_HEADERS", "{X-Bar: [a]}")
            .http
            .headers
            .len(),
        1
    );
}

#[test]
fn names_with_an_underscore_are_recognised_as_a_whole() {
    let variables = [
        ("REGISTRY_STORAGE_AZURE_MAX_RETRIES", "many"),
        ("REGISTRY_STORAGE_GCS_CREDENTIALS_PRIVATE_KEY", "[a]"),
    ];
    let found = problems_with("version: 0.1\n", &variables);
    assert!(
        found
            .iter()
            .any(|problem| problem.contains("storage.azure.max_retries: expected a whole number")),
        "{found:#?}"
    );
}

#[test]
fn a_value_is_yaml_but_a_text_may_be_anything() {
    let table = [
        ("plain", "plain"),
        ("'quo: ted'", "quo: ted"),
        ("0123", "0123"),
        ("off", "off"),
        ("a: b", "a: b"),
        ("@x", "@x"),
        ("*x", "*x"),
        ("%x", "%x"),
        ("[x", "[x"),
        ("\"x", "\"x"),
        ("pass #1", "pass"),
        ("pass#1", "pass#1"),
    ];
    for (value, expected) in table {
        let secret = one("REGISTRY_HTTP_SECRET", value).http.secret;
        assert_eq!(
            secret.as_ref().map(|secret| secret.expose()),
            Some(expected),
            "{value}"
        );
    }
    let found = problems_with(&minimal(""), &[("REGISTRY_HTTP_SECRET", "pass #1")]);
    let expected = "W REGISTRY_HTTP_SECRET: what follows \" #\" is a comment and not part of the value; quote the value if it is not meant to be";
    assert_eq!(found, [expected]);
}

/// As functions have them, whose secrets are variables: YAML would fold the lines into one.
#[test]
fn a_key_in_pem_keeps_its_lines() {
    let pem =
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\nByqGSM49AgEG\n-----END PRIVATE KEY-----\n";
    let variables = [
        ("REGISTRY_MIDDLEWARE_STORAGE_0_NAME", "cloudfront"),
        (
            "REGISTRY_MIDDLEWARE_STORAGE_0_OPTIONS_BASEURL",
            "https://d1",
        ),
        ("REGISTRY_MIDDLEWARE_STORAGE_0_OPTIONS_KEYPAIRID", "K2"),
        ("REGISTRY_MIDDLEWARE_STORAGE_0_OPTIONS_PRIVATEKEY", pem),
    ];
    let middleware = load_with(FILE, &variables).configuration.middleware;
    let StorageOptions::Cloudfront(options) = &middleware.storage[0].options else {
        panic!("{middleware:?}");
    };
    assert_eq!(options.privatekey.as_ref().unwrap().expose(), pem);
    let secret = one("REGISTRY_HTTP_SECRET", pem).http.secret;
    assert_eq!(secret.unwrap().expose(), pem);
}

#[test]
fn a_value_of_the_wrong_kind_names_the_variable() {
    let found = problems_with(
        &minimal(""),
        &[
            ("REGISTRY_STORAGE_DELETE_ENABLED", "1"),
            ("REGISTRY_HTTP_HEADERS", "[a"),
        ],
    );
    assert_eq!(found.len(), 2);
    assert!(
        found[0].starts_with("E REGISTRY_HTTP_HEADERS: the value is not valid YAML: "),
        "{found:?}"
    );
    assert_eq!(
        found[1],
        "E REGISTRY_STORAGE_DELETE_ENABLED: storage.delete.enabled: expected true or false, found the number 1"
    );
}

#[test]
fn naming_a_storage_replaces_the_section() {
    let text =
        "version: 0.1\nstorage: {filesystem: {rootdirectory: /a}, delete: {enabled: true}}\n";
    let loaded = load_with(text, &[("REGISTRY_STORAGE", "inmemory")]);
    assert_eq!(loaded.configuration.storage.driver.name(), "inmemory");
    assert!(!loaded.configuration.storage.delete.enabled);
    let expected = "REGISTRY_STORAGE: storage: replaces the whole section: what the file says of delete no longer holds; \
                    set it by variables too, as in REGISTRY_STORAGE_DELETE_...";
    assert_eq!(loaded.warnings[0].to_string(), expected);
    let variables = [
        ("REGISTRY_STORAGE", "filesystem"),
        ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/b"),
    ];
    let shown = load_with("version: 0.1\nstorage: inmemory\n", &variables).show();
    assert!(shown.contains("rootdirectory: /b"), "{shown}");
}

#[test]
fn a_variable_may_add_to_a_storage_that_is_only_a_word() {
    let configuration =
        load_with(&minimal(""), &[("REGISTRY_STORAGE_DELETE_ENABLED", "true")]).configuration;
    assert_eq!(configuration.storage.driver.name(), "inmemory");
    assert!(configuration.storage.delete.enabled);
}

#[test]
fn a_misspelt_driver_is_an_error() {
    let found = problems_with(
        "version: 0.1\n",
        &[("REGISTRY_STORAGE_FILESYTEM_ROOTDIRECTORY", "/d")],
    );
    let expected = r#"E REGISTRY_STORAGE_FILESYTEM_ROOTDIRECTORY: storage.filesytem: unknown key; did you mean "filesystem"?"#;
    assert!(found.contains(&expected.to_owned()), "{found:#?}");
}

#[test]
fn a_variable_that_answers_to_nothing_is_a_warning() {
    let table = [
        (
            "REGISTRY_FOO",
            "REGISTRY_FOO: ignoring unrecognized environment variable",
        ),
        (
            "REGISTRY_HTTP_ADR",
            "REGISTRY_HTTP_ADR: ignoring unrecognized environment variable; did you mean \"REGISTRY_HTTP_ADDR\"?",
        ),
        (
            "REGISTRY_HTTP_addr",
            "REGISTRY_HTTP_addr: ignoring unrecognized environment variable; did you mean \"REGISTRY_HTTP_ADDR\"?",
        ),
        (
            "REGISTRY_HTTP_ADDR_X",
            "REGISTRY_HTTP_ADDR_X: ignoring unrecognized environment variable",
        ),
        (
            "REGISTRY__",
            "REGISTRY__: ignoring unrecognized environment variable",
        ),
    ];
    for (name, expected) in table {
        assert_eq!(
            problems_with(&minimal(""), &[(name, "x")]),
            [format!("W {expected}")],
            "{name}"
        );
    }
}

#[test]
fn variables_of_others_are_not_looked_at() {
    let variables = [
        ("PATH", "/bin"),
        ("registry_http_addr", "x"),
        ("REGISTRYHTTP", "x"),
        ("REGISTRY_CONFIGURATION_PATH", "/c"),
    ];
    assert_eq!(problems_with(&minimal(""), &variables), [""; 0]);
}

#[test]
fn what_kubernetes_makes_for_a_service_is_left_alone() {
    let table = [
        ("REGISTRY_PORT", "tcp://10.0.0.1:5000"),
        ("REGISTRY_SERVICE_HOST", "10.0.0.1"),
        ("REGISTRY_SERVICE_PORT_HTTP", "5000"),
        ("REGISTRY_PORT_5000_TCP_ADDR", "10.0.0.1"),
        ("REGISTRY_STORAGE_SERVICE_HOST", "10.0.0.1"),
        ("REGISTRY_REDIS_PORT_6379_TCP", "tcp://10.0.0.1:6379"),
    ];
    for (name, value) in table {
        let found = problems_with(&minimal(""), &[(name, value)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(&format!(
                "W {name}: ignoring a variable that Kubernetes makes"
            )),
            "{found:?}"
        );
    }
}

#[test]
fn the_path_of_the_configuration_may_be_a_variable() {
    assert_eq!(
        configuration_path(&owned(&[
            ("A", "b"),
            ("REGISTRY_CONFIGURATION_PATH", "/c.yml")
        ])),
        Some("/c.yml")
    );
    assert_eq!(
        configuration_path(&owned(&[("REGISTRY_CONFIGURATION_PATH", "")])),
        None
    );
}

fn step() -> impl Strategy<Value = String> {
    let words = [
        "HTTP",
        "STORAGE",
        "FILESYSTEM",
        "S3",
        "AUTH",
        "HEADERS",
        "ADDR",
        "TLS",
        "CLIENTCAS",
        "NOTIFICATIONS",
        "ENDPOINTS",
        "0",
        "1",
        "99999999999999999999",
        "REDIS",
        "OPTIONS",
        "ADDRS",
        "POOL",
        "MIDDLEWARE",
        "NAME",
        "LOG",
        "FIELDS",
        "HOOKS",
        "HEALTH",
        "X",
        "",
        "LOGLEVEL",
        "CACHE",
        "LAYERINFO",
        "MAINTENANCE",
        "READONLY",
        "VALIDATION",
        "MANIFESTS",
        "URLS",
        "ALLOW",
        "é",
    ];
    prop::sample::select(words.to_vec()).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        "[-{}\\[\\],:&*#'\"!|> a0~<.]{0,16}",
        prop::sample::select(vec![
            "{a: b}",
            "[a, b]",
            "[{name: redirect}]",
            "true",
            "5",
            "-1",
            "1h",
            "",
            "inmemory",
            "&a [*a]"
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn no_variables_make_it_panic(variables in prop::collection::vec((prop::collection::vec(step(), 1..6), value()), 0..6)) {
        let variables: Vec<(String, String)> =
            variables.into_iter().map(|(steps, value)| (format!("REGISTRY_{}", steps.join("_")), value)).collect();
        if let Ok(loaded) = Configuration::load(&source(FILE), variables) {
            let _ = loaded.show();
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "([a-z]{0,4}[-{}\\[\\],:&*#'\"!|> \n~<.0]{0,4}){0,12}") {
        let _ = Configuration::check(&source(&text), []);
    }
}
