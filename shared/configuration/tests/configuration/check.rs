use roadstead_configuration::access::Access;

use crate::{load, minimal, problems, problems_with, source};

#[test]
fn a_good_configuration_has_no_problems() {
    assert_eq!(
        problems(&minimal(
            "http:\n  addr: :5000\n  debug: {}\n  tls: {}\nnotifications: {endpoints: []}\nredis: {}\nhealth:\n"
        )),
        [""; 0]
    );
}

#[test]
fn every_problem_is_listed_at_once_in_the_order_of_the_text() {
    let text = "
version: 0.2
log:
  level: warning
  formater: json
storage:
  filesytem:
    rootdirectory: /data
  delete:
    enabled: 'true'
http:
  prefix: registry
  draintimeout: 5
  headers:
    X-Frame-Options: DENY
  secret: [a]
tags:
  maxtags: -1
addr: localhost:5000
";
    assert_eq!(
        problems(text),
        [
            r#"E config.yml:2: version: unsupported version: "0.2""#,
            r#"E config.yml:4: log.level: expected one of error, warn, info, debug, found the text "warning""#,
            r#"W config.yml:5: log.formater: unknown key; did you mean "formatter"?"#,
            r#"E config.yml:7: storage.filesytem: unknown key; did you mean "filesystem"?"#,
            r#"E config.yml:10: storage.delete.enabled: expected true or false, found the text "true""#,
            r#"E config.yml:12: http.prefix: must begin and end with "/", as in "/registry/""#,
            "W config.yml:13: http.draintimeout: a number without a unit counts nanoseconds: 5 is next to nothing; did you mean 5s?",
            r#"E config.yml:15: http.headers.X-Frame-Options: the values of a header are a list; write [DENY]"#,
            "E config.yml:16: http.secret: expected a text, found a list",
            "E config.yml:18: tags.maxtags: must not be less than 0, and is -1",
            "W config.yml:19: addr: unknown key",
        ]
    );
}

#[test]
fn a_key_at_the_wrong_place_is_sent_to_the_right_one() {
    assert_eq!(
        problems(&minimal("draintimeout: 5s\n")),
        [r#"W config.yml:3: draintimeout: unknown key; did you mean "http.draintimeout"?"#]
    );
}

#[test]
fn a_missing_version_and_a_missing_storage_are_errors() {
    let expected = [
        "E config.yml:1: version: unsupported version: \"\"; write version: 0.1",
        "E config.yml:1: storage: no storage driver is configured; one of filesystem, inmemory, s3, s3aws",
    ];
    assert_eq!(problems(""), expected);
    assert_eq!(problems("http: {}\n"), expected);
}

#[test]
fn a_text_that_is_no_yaml_says_where() {
    let found = problems("version: 0.1\nstorage: [\n");
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("E config.yml:") && found[0].contains("not valid YAML: "),
        "{found:?}"
    );
    assert_eq!(
        problems("just a text"),
        [r#"E config.yml:1: expected a section with keys, found the text "just a text""#]
    );
}

#[test]
fn two_drivers_of_the_file_are_named_with_their_lines() {
    let text = "version: 0.1\nstorage:\n  filesystem:\n  inmemory:\n";
    let expected = "E config.yml:4: storage: multiple storage drivers specified in configuration or environment: \
                    filesystem (config.yml:3), inmemory (config.yml:4)";
    assert_eq!(problems(text), [expected]);
}

#[test]
fn a_driver_named_by_a_variable_beside_that_of_the_file_says_how_to_replace_it() {
    let text = "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /data\n";
    let found = problems_with(text, &[("REGISTRY_STORAGE_S3_BUCKET", "images")]);
    let expected = "E REGISTRY_STORAGE_S3_BUCKET: storage: multiple storage drivers specified in configuration or environment: \
                    filesystem (config.yml:3), s3 (REGISTRY_STORAGE_S3_BUCKET); \
                    set REGISTRY_STORAGE=s3 as well: it replaces what the file says of storage";
    assert!(found.contains(&expected.to_owned()), "{found:#?}");
}

#[test]
fn features_that_are_not_built_refuse_to_start_where_silence_would_be_dangerous() {
    let table = [
        (
            "proxy: {remoteurl: 'https://registry-1.docker.io'}",
            "proxy.remoteurl: the pull-through cache",
        ),
        (
            "policy: {repository: {classes: [image]}}",
            "policy.repository.classes: the policy of repository classes",
        ),
    ];
    for (line, start) in table {
        let expected = format!(
            "E config.yml:3: {start} is not built yet, and Roadstead does not start without it"
        );
        assert_eq!(problems(&minimal(line)), [expected], "{line}");
    }
    for driver in ["gcs", "azure"] {
        let found = problems(&format!("version: 0.1\nstorage: {driver}\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(&format!("E config.yml:2: storage.{driver}: the ")),
            "{found:?}"
        );
    }
}

#[test]
fn other_features_that_are_not_built_warn() {
    let table = [
        (
            "redis: {addrs: ['a:1']}",
            "redis: the connection to Redis is not built yet: this has no effect",
        ),
        (
            "log: {hooks: [{type: mail}]}",
            "log.hooks: the mail hook is not built yet: this has no effect",
        ),
    ];
    for (line, rest) in table {
        assert_eq!(
            problems(&minimal(line)),
            [format!("W config.yml:3: {rest}")],
            "{line}"
        );
    }
    let text = "version: 0.1\nstorage: {inmemory: , cache: {blobdescriptor: redis}}\n";
    assert_eq!(
        problems(text),
        [
            "W config.yml:2: storage.cache.blobdescriptor: the cache in Redis is not built yet: no cache is used"
        ]
    );
}

/// What is misspelt in access rules would permit, or forbid, without being seen.
#[test]
fn access_rules_are_read_strictly() {
    let table = [
        ("access: {rules: []}", None),
        (
            "access: {rules: [{users: [a], repositories: [b], allow: [pull]}]}",
            None,
        ),
        (
            "access:",
            Some("E config.yml:3: access: rules or path is missing"),
        ),
        (
            "access: {}",
            Some("E config.yml:3: access: rules or path is missing"),
        ),
        (
            "access: {groups: []}",
            Some("E config.yml:3: access: rules or path is missing"),
        ),
        (
            "access: {rules: }",
            Some("E config.yml:3: access: rules or path is missing"),
        ),
        (
            "access: {rules: [{denny: [push]}]}",
            Some("E config.yml:3: access.rules[0].denny: unknown key; did you mean \"deny\"?"),
        ),
        (
            "access: {rules: [], other: 1}",
            Some("E config.yml:3: access.other: unknown key"),
        ),
    ];
    for (line, problem) in table {
        let expected: Vec<&str> = problem.into_iter().collect();
        assert_eq!(problems(&minimal(line)), expected, "{line}");
    }
    for (text, problem) in [
        ("rules: []", None),
        ("{\"groups\": [], \"rules\": []}", None),
        ("", Some("E config.yml:1: rules: is missing")),
        ("groups: []", Some("E config.yml:1: rules: is missing")),
        (
            "access: {rules: []}",
            Some(
                "E config.yml:1: access: groups and rules stand here without a section around them",
            ),
        ),
        (
            "rules: []\nother: 1",
            Some("E config.yml:2: other: unknown key"),
        ),
        (
            "rules: []\npath: other.yml",
            Some("E config.yml:2: path: no file leads to another"),
        ),
        (
            "rules: []\nrules: []",
            Some(
                "E config.yml:2: rules: written twice, first at config.yml:1; of values that cannot be joined, the last counts",
            ),
        ),
    ] {
        let read = Access::read(&source(text)).err();
        let said = read.iter().flatten().map(|problem| format!("E {problem}"));
        let expected: Vec<&str> = problem.into_iter().collect();
        assert_eq!(said.collect::<Vec<_>>(), expected, "{text}");
    }
    assert_eq!(load(&minimal("")).configuration.access, None);
    let none = load(&minimal("access: {rules: []}")).configuration.access;
    assert_eq!(none.map(|access| access.rules.len()), Some(0));
}

#[test]
fn what_is_switched_off_does_not_count_as_used() {
    let table = [
        "http: {debug: {prometheus: {enabled: false, path: /m}}}",
        "notifications: {events: {includereferences: true}, endpoints: [{name: a, disabled: true}]}",
        "health: {storagedriver: {enabled: false, interval: 10s, threshold: 3}}",
        "health: {storagedriver: {interval: 10s}}",
        "log: {hooks: [{type: mail, disabled: true}]}",
        "proxy: {ttl: 1h, username: a}",
        "http: {tls: {minimumtls: tls1.2}, http2: {disabled: true}}",
        "auth: {}",
        "auth: None",
        "policy: {repository: {classes: []}}",
    ];
    for line in table {
        assert_eq!(problems(&minimal(line)), [""; 0], "{line}");
    }
}

#[test]
fn a_disabled_middleware_is_left_out_and_says_so() {
    let found = problems(&minimal(
        "middleware: {storage: [{name: redirect, disabled: true}]}",
    ));
    assert_eq!(
        found,
        [
            "W config.yml:3: middleware.storage[0].disabled: this entry is left out; Distribution applies it all the same"
        ]
    );
}

#[test]
fn a_middleware_that_there_is_not_lists_those_that_there_are() {
    let table = [
        (
            "middleware: {storage: [{name: cloudflare}]}",
            "middleware.storage[0].name: there is no storage middleware \"cloudflare\"; one of cloudfront, redirect, rewrite",
        ),
        (
            "middleware: {registry: [{name: allowlist, options: {repositories: [a]}}, {name: redirect}]}",
            "middleware.registry[1].name: there is no registry middleware \"redirect\"; one of allowlist",
        ),
        (
            "middleware: {repository: [{name: ReadOnly}]}",
            "middleware.repository[0].name: there is no repository middleware \"ReadOnly\"; one of immutabletags, readonly",
        ),
    ];
    for (line, expected) in table {
        let expected = format!("E config.yml:3: {expected}");
        assert_eq!(problems(&minimal(line)), [expected], "{line}");
    }
    let nameless = problems(&minimal("middleware: {storage: [{options: {}}]}"));
    assert_eq!(nameless.len(), 1, "{nameless:?}");
    assert!(
        nameless[0].contains("the storage middleware has no name; one of cloudfront"),
        "{nameless:?}"
    );
}

#[test]
fn a_middleware_says_what_it_needs() {
    for (line, needed) in [
        (
            "middleware: {storage: [{name: cloudfront, options: {ipfilteredby: awsregion, baseurl: ''}}]}",
            &["baseurl", "privatekey", "keypairid", "awsregion"][..],
        ),
        (
            "middleware: {storage: [{name: cloudfront, options: {baseurl: a, privatekey: b, keypairid: c}}]}",
            &[],
        ),
        ("middleware: {storage: [{name: redirect}]}", &["baseurl"]),
        ("middleware: {storage: [{name: rewrite}]}", &[]),
        (
            "middleware: {registry: [{name: allowlist}]}",
            &["repositories"],
        ),
        (
            "middleware: {repository: [{name: immutabletags}, {name: readonly}]}",
            &[],
        ),
        (
            "middleware: {storage: [{name: redirect, disabled: true}]}",
            &[],
        ),
    ] {
        let found = problems(&minimal(line));
        let found: Vec<_> = found
            .iter()
            .filter(|found| found.starts_with('E'))
            .collect();
        assert_eq!(found.len(), needed.len(), "{line}: {found:?}");
        for (found, needed) in found.iter().zip(needed) {
            assert!(
                found.contains(&format!("[0].options.{needed}: ")),
                "{found}"
            );
        }
    }
    let broken = problems(&minimal(
        "middleware: {registry: [{name: allowlist, options: {repositories: ['(']}}]}",
    ));
    assert!(
        broken[0].contains("middleware.registry[0].options.repositories[0]"),
        "{broken:?}"
    );
}

#[test]
fn removed_keys_say_what_replaces_them() {
    let text = minimal(
        "loglevel: info
reporting: {bugsnag: {apikey: k}, newrelic: {licensekey: k, name: n, verbose: true}}
compatibility: {schema1: {enabled: true, signingkeyfile: /k}}
redis:
  addr: localhost:6379
  pool:
    maxidle: 16
http:
  tls:
    minimumtls: tls1.0
",
    );
    assert_eq!(
        problems(&text),
        [
            "W config.yml:3: loglevel: deprecated name; use log.level",
            "W config.yml:4: reporting: not supported since Distribution 3; neither service is supported; remove the section",
            "W config.yml:5: compatibility: not supported since Distribution 3; schema 1 manifests are not supported; remove the section",
            "W config.yml:6: redis: the connection to Redis is not built yet: this has no effect",
            "W config.yml:7: redis.addr: deprecated name; use redis.addrs",
            "W config.yml:9: redis.pool.maxidle: deprecated name; use redis.maxidleconns",
            "W config.yml:12: http.tls.minimumtls: not supported since Distribution 3: tls1.2 is the least; use tls1.2",
        ]
    );
}

#[test]
fn a_removed_driver_is_an_error() {
    let found = problems("version: 0.1\nstorage: {swift: {password: p}}\n");
    let expected = "E config.yml:2: storage.swift: not supported since Distribution 3; \
                    OpenStack Swift has an S3 interface: use the s3 driver with regionendpoint";
    assert_eq!(found, [expected]);
}

#[test]
fn bad_values_are_errors() {
    let table = [
        (
            "http: {net: udp}",
            r#"http.net: expected one of tcp, unix, found the text "udp""#,
        ),
        (
            "http: {draintimeout: 1d}",
            r#"http.draintimeout: time: unknown unit "d" in duration "1d"; write a number with a unit, as in 30s, 10m or 168h"#,
        ),
        (
            "http: {draintimeout: true}",
            "http.draintimeout: expected a duration, found the bool true; write a number with a unit, as in 30s, 10m or 168h",
        ),
        (
            "http: {relativeurls: 1}",
            "http.relativeurls: expected true or false, found the number 1",
        ),
        (
            "http: [a]",
            "http: expected a section with keys, found a list",
        ),
        (
            "http: {tls: {clientauth: maybe}}",
            r#"http.tls.clientauth: expected one of require-and-verify-client-cert, request-client-cert, require-any-client-cert, verify-client-cert-if-given, found the text "maybe""#,
        ),
        (
            "catalog: {maxentries: many}",
            r#"catalog.maxentries: expected a whole number, found the text "many""#,
        ),
        (
            "catalog: {maxentries: '10'}",
            r#"catalog.maxentries: expected a whole number, found the text "10""#,
        ),
        (
            "log: {formatter: xml}",
            r#"log.formatter: expected one of text, json, logstash, found the text "xml""#,
        ),
        (
            "validation: {manifests: {indexes: {platforms: some}}}",
            r#"validation.manifests.indexes.platforms: expected one of all, none, list, found the text "some""#,
        ),
        (
            "validation: {manifests: {urls: {allow: ['a', '(']}}}",
            r#"validation.manifests.urls.allow[1]: invalid regular expression "(": unclosed group"#,
        ),
    ];
    for (line, rest) in table {
        assert_eq!(
            problems(&minimal(line)),
            [format!("E config.yml:3: {rest}")],
            "{line}"
        );
    }
    let readonly = "version: 0.1\nstorage: {inmemory: , maintenance: {readonly: true}}\n";
    assert_eq!(
        problems(readonly),
        [
            "E config.yml:2: storage.maintenance.readonly: expected a section with keys, found the bool true"
        ]
    );
    let limit = "version: 0.1\nstorage: {inmemory: , tag: {concurrencylimit: -1}}\n";
    assert_eq!(
        problems(limit),
        ["E config.yml:2: storage.tag.concurrencylimit: must not be less than 0, and is -1"]
    );
}

#[test]
fn other_numbers_and_maps_have_their_limits_too() {
    let found = problems(&minimal(
        "health: {http: [{uri: 'http://a/', statuscode: 70000}]}\nlog: {fields: [a]}\nx-anchors: {}\n",
    ));
    assert_eq!(
        found,
        [
            "E config.yml:3: health.http[0].statuscode: must not be more than 65535, and is 70000",
            "E config.yml:4: log.fields: expected a section with keys, found a list",
        ]
    );
}

#[test]
fn a_variable_below_something_that_is_no_section_is_an_error() {
    let found = problems_with(&minimal("http: 5\n"), &[("REGISTRY_HTTP_ADDR", ":1")]);
    assert_eq!(
        found,
        [
            "E config.yml:3: http: expected a section with keys, found the number 5",
            "E REGISTRY_HTTP_ADDR: does not fit: the file has a number in this place",
        ]
    );
}

#[test]
fn doubtful_values_warn() {
    let table = [
        (
            "http: {host: registry.example.com}",
            "http.host: has no scheme or no host and is ignored; write it as in https://registry.example.com",
        ),
        (
            "http: {draintimeout: -5s}",
            "http.draintimeout: -5s is negative and counts as 0",
        ),
        (
            "validation: {enabled: true}",
            "validation.enabled: deprecated; use validation.disabled",
        ),
        (
            "http: {addr: ':1', addr: ':2'}",
            "http.addr: written twice, first at config.yml:3; of values that cannot be joined, the last counts",
        ),
    ];
    for (line, rest) in table {
        assert_eq!(
            problems(&minimal(line)),
            [format!("W config.yml:3: {rest}")],
            "{line}"
        );
    }
    let cache = "version: 0.1\nstorage: {inmemory: , cache: {blobdescriptor: memcached}}\n";
    let expected = r#"W config.yml:2: storage.cache.blobdescriptor: unknown value "memcached", which counts as none; one of inmemory, redis"#;
    assert_eq!(problems(cache), [expected]);
}

#[test]
fn the_example_of_distribution_3_has_only_the_problems_it_is_written_with() {
    let found = problems(include_str!("../fixtures/distribution-3.yml"));
    assert!(
        !found.iter().any(|problem| problem.contains("unknown")),
        "{found:#?}"
    );
    let real = |problem: &&String| problem.starts_with('E') && !problem.contains("not built yet");
    let errors: Vec<&str> = found.iter().filter(real).map(String::as_str).collect();
    assert_eq!(
        errors,
        [
            "E config.yml:76: storage: multiple storage drivers specified in configuration or environment: filesystem (config.yml:26), \
             azure (config.yml:29), gcs (config.yml:41), s3 (config.yml:57), inmemory (config.yml:76)",
            "E config.yml:108: auth: multiple authentication types specified in configuration or environment: \
             silly (config.yml:95), token (config.yml:98), htpasswd (config.yml:108)",
            "E config.yml:171: notifications.endpoints[0].headers: expected a section with keys, found a text",
            "E config.yml:222: proxy.username: expected a text, found a list",
            "E config.yml:223: proxy.password: expected a text, found a list",
        ]
    );
}

#[test]
fn every_key_of_distribution_2_is_known() {
    let found = problems(include_str!("../fixtures/distribution-2.yml"));
    assert!(
        !found
            .iter()
            .any(|problem| problem.contains("unknown") || problem.contains("expected")),
        "{found:#?}"
    );
}

#[test]
fn the_configurations_of_the_official_images_start() {
    let third = load(include_str!("../fixtures/image-3.yml"));
    assert_eq!(third.warnings, []);
    let second = load(include_str!("../fixtures/image-2.yml"));
    assert_eq!(second.warnings, []);
}

#[test]
fn addresses_are_checked() {
    let table = [
        (
            "localhost",
            "missing port in address; write host:port, as in localhost:5000",
        ),
        (
            "::1:5000",
            "too many colons in address; write an IPv6 address as in [::1]:5000",
        ),
        ("localhost:65536", "invalid port; it is at most 65535"),
        ("localhost:registry", "unknown port; write its number"),
    ];
    for (address, message) in table {
        for (line, path) in [
            (format!("http: {{addr: '{address}'}}"), "http.addr"),
            (
                format!("http: {{net: tcp, addr: '{address}'}}"),
                "http.addr",
            ),
            (
                format!("http: {{debug: {{addr: '{address}'}}}}"),
                "http.debug.addr",
            ),
            (
                format!("health: {{tcp: [{{addr: '{address}'}}]}}"),
                "health.tcp[0].addr",
            ),
        ] {
            let expected = format!("E config.yml:3: {path}: {message}");
            assert_eq!(problems(&minimal(&line)), [expected], "{line}");
        }
    }
    for address in [":5000", "localhost:", ":", ":http", "[::1]:5000", ""] {
        let line = format!("http: {{addr: '{address}', debug: {{addr: '{address}'}}}}");
        assert_eq!(problems(&minimal(&line)), [""; 0], "{line}");
    }
    let socket = minimal("http: {net: unix, addr: /run/registry.sock}");
    assert_eq!(problems(&socket), [""; 0]);
    let found = problems_with(&minimal(""), &[("REGISTRY_HTTP_ADDR", ":70000")]);
    assert_eq!(
        found,
        ["E REGISTRY_HTTP_ADDR: http.addr: invalid port; it is at most 65535"]
    );
}

#[test]
fn headers_that_cannot_be_sent_are_errors() {
    const NAME: &str = "no header has such a name";
    const VALUE: &str = "no header has such a value: it is one line of text";
    const END: &str = "says where an answer ends, which the server knows";
    let table = [
        ("{'X Frame': [a]}", ".X Frame", NAME),
        ("{'X-Frame:': [a]}", ".X-Frame:", NAME),
        ("{'': [a]}", ".", NAME),
        ("{Ünder: [a]}", ".Ünder", NAME),
        (r#"{X-A: [a, "b\nc"]}"#, ".X-A[1]", VALUE),
        (r#"{X-A: ["\0"]}"#, ".X-A[0]", VALUE),
        ("{content-Length: ['5']}", ".content-Length", END),
        ("{Transfer-Encoding: [gzip]}", ".Transfer-Encoding", END),
    ];
    for (headers, path, message) in table {
        let line = format!("http: {{headers: {headers}}}");
        let expected = format!("E config.yml:3: http.headers{path}: {message}");
        assert_eq!(problems(&minimal(&line)), [expected], "{line}");
    }
    let good =
        r#"http: {headers: {X-Content-Type-Options: [nosniff], x.y_z: ["", "a\tb", ä], Vary:}}"#;
    assert_eq!(problems(&minimal(good)), [""; 0]);
}

#[test]
fn a_secret_header_that_cannot_be_sent_is_not_shown() {
    for (line, path) in [
        (
            r#"notifications: {endpoints: [{name: a, url: 'http://a/', headers: {A: ["geheim\n"]}}]}"#,
            "notifications.endpoints[0]",
        ),
        (
            r#"health: {http: [{uri: 'http://a/', headers: {A: ["geheim\n"]}}]}"#,
            "health.http[0]",
        ),
    ] {
        let expected = format!(
            "E config.yml:3: {path}.headers.A[0]: no header has such a value: it is one line of text"
        );
        assert_eq!(problems(&minimal(line)), [expected], "{line}");
    }
}

#[test]
fn networks_and_cipher_suites_are_checked() {
    for (line, message) in [
        (
            "http: {trustedproxies: [10.0.0.0/8, proxy.example]}",
            r#"http.trustedproxies[1]: "proxy.example" is neither an address"#,
        ),
        (
            "http: {trustedproxies: ['10.0.0.0/33']}",
            r#"http.trustedproxies[0]: "10.0.0.0/33" is neither an address"#,
        ),
        (
            "http: {tls: {ciphersuites: [TLS_AES_128_GCM_SHA256, TLS_X]}}",
            r#"http.tls.ciphersuites[1]: "TLS_X" is no cipher suite"#,
        ),
        (
            "http: {tls: {letsencrypt: {cachefile: c, hosts: [a.example, '*.example']}}}",
            r#"http.tls.letsencrypt.hosts[1]: "*.example" is no host name"#,
        ),
        (
            "http: {tls: {letsencrypt: {cachefile: c, hosts: [../../etc]}}}",
            r#"http.tls.letsencrypt.hosts[0]: "../../etc" is no host name"#,
        ),
    ] {
        let found = problems(&minimal(line));
        assert_eq!(found.len(), 1, "{found:?}");
        let expected = format!("E config.yml:3: {message}");
        assert!(found[0].starts_with(&expected), "{found:?}");
    }
    let fine = "http: {trustedproxies: [private, unix, 10.0.0.1, 'fd00::/8']}";
    assert!(problems(&minimal(fine)).is_empty());
}

#[test]
fn what_a_section_cannot_do_without_is_named_with_the_line_of_the_section() {
    let signing = "auth.token: token auth requires at least one token signing key; name the file of the certificates as rootcertbundle, or that of the keys as jwks";
    for (section, missing) in [
        (
            "auth: {silly: {realm: r}}",
            &["auth.silly: service is missing"][..],
        ),
        (
            "auth: {htpasswd: {realm: r}}",
            &["auth.htpasswd: path is missing"],
        ),
        (
            "auth: {htpasswd: {path: p}}",
            &["auth.htpasswd: realm is missing"],
        ),
        (
            "auth: {token: {issuer: i}}",
            &[
                "auth.token: service is missing",
                "auth.token: realm is missing",
                signing,
            ],
        ),
        (
            "auth: {token: {autoredirect: yes, service: s, issuer: i, jwks: j}}",
            &[],
        ),
        (
            "http: {tls: {certificate: c}}",
            &["http.tls.certificate: needs http.tls.key"],
        ),
        (
            "http: {tls: {key: k}}",
            &["http.tls.key: needs http.tls.certificate"],
        ),
        (
            "http: {tls: {letsencrypt: {cachefile: c}}}",
            &["http.tls.letsencrypt.cachefile: needs http.tls.letsencrypt.hosts"],
        ),
        (
            "http: {tls: {letsencrypt: {hosts: [h.example]}}}",
            &["http.tls.letsencrypt.hosts: needs http.tls.letsencrypt.cachefile"],
        ),
        (
            "health: {file: [{interval: 5s}], http: [{interval: 5s}], tcp: [{addr: 'a:1'}, {interval: 5s}]}",
            &[
                "health.file[0]: file is missing",
                "health.http[0]: uri is missing",
                "health.tcp[1]: addr is missing",
            ],
        ),
        (
            "tokenserver: {enabled: true}",
            &[
                "tokenserver: whom tokens are for is not known; configure auth.htpasswd or auth.token",
            ],
        ),
        (
            "apikeys: {path: p}",
            &["apikeys: nobody logs in here; configure auth.htpasswd or tokenserver"],
        ),
        (
            "auth: {htpasswd: {realm: r, path: [p]}}",
            &["auth.htpasswd.path: expected a text, found a list"],
        ),
    ] {
        let expected: Vec<_> = missing
            .iter()
            .map(|problem| format!("E config.yml:3: {problem}"))
            .collect();
        assert_eq!(problems(&minimal(section)), expected, "{section}");
    }
}

#[test]
fn a_bucket_and_where_it_is_have_to_be_named() {
    let found = |s3: &str| problems(&format!("version: 0.1\nstorage: {s3}\n"));
    for (s3, expected) in [
        (
            "{s3: {}}",
            &[
                "E storage.s3: bucket is missing",
                "E storage.s3: region is missing",
            ][..],
        ),
        (
            "{s3: {region: r}}",
            &["E config.yml:2: storage.s3: bucket is missing"],
        ),
        (
            "{s3aws: {bucket: b}}",
            &["E config.yml:2: storage.s3aws: region is missing"],
        ),
        ("{s3: {bucket: b, regionendpoint: e}}", &[]),
        ("{s3: {bucket: b, region: r}}", &[]),
    ] {
        assert_eq!(found(s3), expected, "{s3}");
    }
}

#[test]
fn a_token_server_brings_what_auth_does_without() {
    for (auth, expected) in [
        (
            "auth: {token: {}}\ntokenserver: {enabled: true, htpasswd: p}\n",
            &[][..],
        ),
        (
            "auth: {htpasswd: {path: p}}\ntokenserver: {enabled: true}\n",
            &[],
        ),
        (
            "auth: {token: {}}\ntokenserver: {enabled: true}\n",
            &["E config.yml:4: tokenserver: htpasswd is missing"],
        ),
    ] {
        assert_eq!(problems(&minimal(auth)), expected as &[&str], "{auth}");
    }
}
