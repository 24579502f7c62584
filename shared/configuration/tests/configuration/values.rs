use std::time::Duration;

use roadstead_configuration::http::Net;
use roadstead_configuration::log::{Formatter, Level};
use roadstead_configuration::storage::{BlobDescriptorCache, Driver, Fsync};
use roadstead_configuration::validation::Platforms;
use roadstead_configuration::{Configuration, Origin, Source};

use crate::{load, minimal, problems};

#[test]
fn the_embedded_default_stores_in_a_local_folder_and_says_so() {
    let loaded = Configuration::load(&Source::EmbeddedDefault, []).unwrap();
    let configuration = &loaded.configuration;
    assert!(
        matches!(&configuration.storage.driver, Driver::Filesystem(f) if f.rootdirectory == "./registry-data")
    );
    assert_eq!(configuration.http.addr, "127.0.0.1:5000");
    assert!(configuration.storage.delete.enabled);
    assert_eq!(loaded.warnings, []);
    let notice = "no configuration given, using the built-in default: storing in ./registry-data, \
                  listening on 127.0.0.1:5000, deletion enabled";
    assert_eq!(loaded.default_notice().as_deref(), Some(notice));
}

#[test]
fn a_file_of_the_user_gives_no_notice() {
    assert_eq!(load(&minimal("")).default_notice(), None);
}

#[test]
fn what_is_left_out_has_its_default() {
    let configuration = load(&minimal("")).configuration;
    assert_eq!(configuration.log.level, Level::Info);
    assert_eq!(configuration.log.formatter, Formatter::Text);
    assert_eq!(configuration.http.addr, "");
    assert_eq!(configuration.http.net, Net::Tcp);
    assert_eq!(configuration.http.prefix, "/");
    assert_eq!(configuration.http.secret, None);
    assert_eq!(configuration.http.draintimeout, Duration::ZERO);
    assert_eq!(
        configuration.http.readheadertimeout,
        Duration::from_secs(60)
    );
    assert_eq!(configuration.http.maxheaderbytes, 32768);
    assert!(!configuration.storage.delete.enabled);
    assert_eq!(configuration.storage.cache.blobdescriptor, None);
    assert_eq!(
        configuration
            .storage
            .cache
            .blobdescriptorsize
            .map(Into::into),
        Some(10_000)
    );
    let maintenance = &configuration.storage.maintenance;
    assert!(
        maintenance.uploadpurging.enabled
            && !maintenance.uploadpurging.dryrun
            && !maintenance.readonly.enabled
    );
    assert_eq!(
        maintenance.uploadpurging.age,
        Duration::from_secs(168 * 3600)
    );
    assert_eq!(
        maintenance.garbagecollect.graceage,
        Duration::from_secs(24 * 3600)
    );
    assert_eq!(configuration.auth.provider, None);
    assert_eq!(configuration.catalog.maxentries, 1000);
    assert_eq!(configuration.tags.maxtags, 1000);
    assert_eq!(configuration.proxy.ttl, Duration::from_secs(168 * 3600));
    assert_eq!(
        configuration.validation.manifests.indexes.platforms,
        Platforms::All
    );
    assert!(configuration.validation.is_enabled());
}

#[test]
fn every_built_key_is_read() {
    let text = "
version: '0.1'
log:
  accesslog: {disabled: on}
  level: WARN
  formatter: json
  fields: {service: registry, shard: 7}
  reportcaller: yes
storage:
  filesystem: {rootdirectory: /data, maxthreads: '200', fsync: never}
  tag: {concurrencylimit: 8}
  delete: {enabled: y}
  redirect: {disable: true}
  cache: {blobdescriptor: inmemory, blobdescriptorsize: 0}
  maintenance:
    uploadpurging: {enabled: false, age: 1h, interval: 90m, dryrun: true}
    readonly: {enabled: true}
    garbagecollect: {graceage: 2h}
auth: none
http:
  addr: /run/registry.sock
  net: unix
  host: https://registry.example.com
  prefix: /nested/
  secret: 0123
  relativeurls: true
  draintimeout: 60s
  headers: {X-Content-Type-Options: [nosniff], X-N: [1]}
  http2: {disabled: true}
  h2c: {enabled: true}
  readheadertimeout: 5s
  maxheaderbytes: 0x1000
catalog: {maxentries: 1_000_000}
tags: {maxtags: 50}
validation:
  disabled: true
  manifests:
    urls: {allow: ['^https?://([^/]+\\.)*example\\.com/'], deny: ['\\d']}
    indexes: {platforms: List, platformlist: [{architecture: amd64, os: linux}]}
";
    let loaded = load(text);
    assert_eq!(loaded.warnings, []);
    let Configuration {
        log,
        storage,
        http,
        catalog,
        tags,
        validation,
        auth,
        ..
    } = &loaded.configuration;
    assert!(log.accesslog.disabled && log.reportcaller);
    assert_eq!((log.level, log.formatter), (Level::Warn, Formatter::Json));
    assert_eq!(log.fields["shard"], 7);
    let Driver::Filesystem(filesystem) = &storage.driver else {
        panic!("{:?}", storage.driver)
    };
    assert_eq!(
        (
            filesystem.rootdirectory.as_str(),
            filesystem.maxthreads,
            filesystem.fsync
        ),
        ("/data", 200, Fsync::Never)
    );
    assert_eq!(storage.tag.concurrencylimit, 8);
    assert!(
        storage.delete.enabled && storage.redirect.disable && storage.maintenance.readonly.enabled
    );
    assert_eq!(
        storage.cache.blobdescriptor,
        Some(BlobDescriptorCache::Inmemory)
    );
    assert_eq!(storage.cache.blobdescriptorsize, None);
    assert!(!storage.maintenance.uploadpurging.enabled && storage.maintenance.uploadpurging.dryrun);
    assert_eq!(
        storage.maintenance.uploadpurging.interval,
        Duration::from_secs(90 * 60)
    );
    assert_eq!(
        storage.maintenance.garbagecollect.graceage,
        Duration::from_secs(7200)
    );
    assert!(auth.provider.is_some());
    assert_eq!(
        (http.addr.as_str(), http.net, http.prefix.as_str()),
        ("/run/registry.sock", Net::Unix, "/nested/")
    );
    assert_eq!(
        http.secret.as_ref().map(|secret| secret.expose()),
        Some("0123")
    );
    assert_eq!(http.headers["X-N"], ["1"]);
    assert_eq!(http.draintimeout, Duration::from_secs(60));
    assert!(http.relativeurls && http.http2.disabled && http.h2c.enabled);
    assert_eq!(
        (http.readheadertimeout, http.maxheaderbytes),
        (Duration::from_secs(5), 4096)
    );
    assert_eq!((catalog.maxentries, tags.maxtags), (1_000_000, 50));
    assert!(!validation.is_enabled());
    assert_eq!(validation.manifests.urls.deny[0].translated(), "[0-9]");
    assert_eq!(validation.manifests.indexes.platforms, Platforms::List);
    assert_eq!(
        validation.manifests.indexes.platformlist[0].os.as_deref(),
        Some("linux")
    );
}

#[test]
fn storage_may_be_a_word_and_a_driver_may_have_no_value() {
    for storage in [
        "storage: inmemory",
        "storage: {inmemory: }",
        "storage:\n  inmemory:\n  delete: {enabled: false}",
    ] {
        let configuration = load(&format!("version: 0.1\n{storage}\n")).configuration;
        assert_eq!(configuration.storage.driver.name(), "inmemory", "{storage}");
    }
}

#[test]
fn null_and_empty_texts_are_the_default() {
    let more = "log: {level: '', formatter: }\nhttp: {prefix: '', secret: '', headers: , tls: {certificate: ''}}\ncatalog: {maxentries: ~}\n";
    let loaded = load(&minimal(more));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.configuration.http.prefix, "/");
    assert_eq!(loaded.configuration.http.secret, None);
    assert_eq!(loaded.configuration.catalog.maxentries, 1000);
}

#[test]
fn zero_and_less_are_the_default_where_distribution_says_so() {
    let more = "catalog: {maxentries: -1}\ntags: {maxtags: 0}\nnotifications: {endpoints: [{name: a, url: 'http://a', timeout: 0s, threshold: -3, backoff: -1s}]}\n";
    let configuration = load(&minimal(more)).configuration;
    assert_eq!(
        (configuration.catalog.maxentries, configuration.tags.maxtags),
        (1000, 1000)
    );
    let endpoint = &configuration.notifications.endpoints[0];
    assert_eq!(
        (endpoint.timeout, endpoint.threshold, endpoint.backoff),
        (Duration::from_secs(1), 10, Duration::from_secs(1))
    );
}

#[test]
fn a_partial_uploadpurging_keeps_the_other_defaults() {
    let text = "version: 0.1\nstorage: {inmemory: , maintenance: {uploadpurging: {age: 1h}}}\n";
    let purging = load(text).configuration.storage.maintenance.uploadpurging;
    assert!(purging.enabled && !purging.dryrun);
    assert_eq!(
        (purging.age.as_secs(), purging.interval.as_secs()),
        (3600, 86400)
    );
}

#[test]
fn a_section_that_comes_twice_is_joined_but_of_storage_the_last_counts() {
    // measured on Distribution 2.8.2
    let text = "
version: 0.1
storage: {filesystem: {rootdirectory: /a}}
storage: {inmemory: }
http: {addr: ':1', headers: {X-A: [a]}}
http: {prefix: /b/, headers: {X-B: [b]}}
";
    let configuration = load(text).configuration;
    assert_eq!(configuration.storage.driver.name(), "inmemory");
    assert_eq!(
        (
            configuration.http.addr.as_str(),
            configuration.http.prefix.as_str()
        ),
        (":1", "/b/")
    );
    assert_eq!(configuration.http.headers.len(), 2);
}

#[test]
fn merge_keys_act_where_they_stand() {
    // measured on Distribution 2.8.2: what is above `<<` is overridden
    let text = minimal(
        "
base: &base {addr: ':1', relativeurls: true, draintimeout: 1s}
more: &more {addr: ':2', prefix: /m/}
http:
  addr: ':0'
  <<: [*base, *more]
  draintimeout: 5s
",
    );
    let http = load(&text).configuration.http;
    assert_eq!(
        (http.addr.as_str(), http.prefix.as_str(), http.relativeurls),
        (":1", "/m/", true)
    );
    assert_eq!(http.draintimeout, Duration::from_secs(5));
}

#[test]
fn only_the_first_document_counts() {
    let text = format!("---\n{}---\nhttp: [this is another one\n", minimal(""));
    assert_eq!(load(&text).configuration.storage.driver.name(), "inmemory");
}

#[test]
fn deprecated_names_count_for_the_present_ones() {
    let text = "
version: 0.1
loglevel: debug
storage: {inmemory: , cache: {layerinfo: inmemory}}
redis: {addr: 'localhost:6379', pool: {maxidle: 16, maxactive: 64, idletimeout: 300s}, tls: {clientcas: [/ca.pem]}}
";
    let configuration = load(text).configuration;
    assert_eq!(configuration.log.level, Level::Debug);
    assert_eq!(
        configuration.storage.cache.blobdescriptor,
        Some(BlobDescriptorCache::Inmemory)
    );
    assert_eq!(configuration.redis.addrs, ["localhost:6379"]);
    assert_eq!(
        (
            configuration.redis.maxidleconns,
            configuration.redis.maxactiveconns
        ),
        (16, 64)
    );
    assert_eq!(
        configuration.redis.connmaxidletime,
        Some(Duration::from_secs(300))
    );
    assert_eq!(configuration.redis.tls.rootcas, ["/ca.pem"]);
}

#[test]
fn a_present_name_beats_a_deprecated_one() {
    let configuration = load(&minimal("loglevel: debug\nlog: {level: error}\n")).configuration;
    assert_eq!(configuration.log.level, Level::Error);
}

#[test]
fn a_bare_number_counts_nanoseconds() {
    let configuration = load(&minimal("http: {draintimeout: 5000000000}\n")).configuration;
    assert_eq!(configuration.http.draintimeout, Duration::from_secs(5));
}

#[test]
fn every_value_knows_where_it_is_from() {
    let variables = [("REGISTRY_HTTP_PREFIX", "/x/")];
    let loaded = crate::load_with(&minimal("http:\n  addr: ':1'\n"), &variables);
    let at = |path| loaded.origin(path).map(Origin::to_string);
    assert_eq!(at("http.addr").as_deref(), Some("config.yml:4"));
    assert_eq!(at("http.prefix").as_deref(), Some("REGISTRY_HTTP_PREFIX"));
    assert_eq!(at("http.net").as_deref(), Some("default"));
    assert_eq!(at("http.secret"), None);
}

#[test]
fn a_text_full_of_aliases_is_refused() {
    let mut text = minimal("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let alias = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
    }
    assert!(
        problems(&text)[0].contains("more than 100000 values"),
        "{:?}",
        problems(&text)
    );
}

#[test]
fn a_fraction_is_cut_off_as_in_go_but_not_in_silence() {
    let loaded = load(&minimal(
        "catalog: {maxentries: 10.5}\ntags: {maxtags: 20.0}\n",
    ));
    assert_eq!(
        (
            loaded.configuration.catalog.maxentries,
            loaded.configuration.tags.maxtags
        ),
        (10, 20)
    );
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["config.yml:3: catalog.maxentries: 10.5 is no whole number and counts as 10"]
    );
}

#[test]
fn a_long_value_is_no_trouble() {
    let long = "x".repeat(20_000);
    let configuration = load(&minimal(&format!(
        "http: {{secret: {long}, host: \"https://a/{long}\"}}\n"
    )))
    .configuration;
    assert_eq!(
        configuration
            .http
            .secret
            .map(|secret| secret.expose().len()),
        Some(20_000)
    );
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_trouble() {
    let text = format!(
        "\u{feff}{}",
        minimal("http:\n  addr: :1\n").replace('\n', "\r\n")
    );
    assert_eq!(load(&text).configuration.http.addr, ":1");
}

#[test]
fn threads_are_at_least_25() {
    let text = "version: 0.1\nstorage: {filesystem: {maxthreads: 3}}\n";
    let configuration = load(text).configuration;
    assert!(matches!(&configuration.storage.driver, Driver::Filesystem(f) if f.threads() == 25));
}

#[test]
fn a_list_may_have_a_default_which_an_empty_one_takes_away() {
    let trusted = |line: &str| load(&minimal(line)).configuration.http.trustedproxies;
    assert_eq!(trusted("http: {addr: ':5000'}"), ["private"]);
    assert_eq!(trusted("http: {trustedproxies: }"), ["private"]);
    assert!(trusted("http: {trustedproxies: []}").is_empty());
    assert_eq!(trusted("http: {trustedproxies: [unix]}"), ["unix"]);
}
