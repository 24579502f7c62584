use std::time::Duration;

use crate::{load, minimal, problems};

#[test]
fn whoever_is_to_be_told_can_be_told() {
    let found = |text: &str| problems(&minimal(text));
    let endpoints =
        |endpoints: &str| found(&format!("notifications: {{endpoints: [{endpoints}]}}\n"));
    let no_url = "E config.yml:3: notifications.endpoints[0].url: there is no URL to post events to; write it as in https://example.com/events";
    for (endpoint, expected) in [
        ("{url: 'https://a:b@c/d'}", None),
        ("{url: 'http://c'}", None),
        ("{name: a, disabled: true}", None),
        ("{name: a}", Some(no_url)),
        ("{url: 'c/d'}", Some(no_url)),
        ("{url: 'http://'}", Some(no_url)),
        (
            "{url: 'http://c', ignore: {actions: [pulled]}}",
            Some(
                "W config.yml:3: notifications.endpoints[0].ignore.actions[0]: there is no action \"pulled\"; one of pull, push, mount, delete",
            ),
        ),
    ] {
        let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(endpoints(endpoint), expected, "{endpoint}");
    }
}

#[test]
fn an_event_bus_that_cannot_be_found_is_an_error() {
    let found = |bus: &str| {
        problems(&minimal(&format!(
            "notifications: {{eventbridge: {bus}}}\n"
        )))
    };
    assert_eq!(found("{bus: a, region: eu-west-1}"), [""; 0]);
    assert_eq!(found("{bus: a, endpoint: 'http://a'}"), [""; 0]);
    for (bus, expected) in [
        ("{region: eu-west-1}", "bus is missing"),
        ("{bus: a}", "there is no region"),
        ("{bus: a, region: b, accesskey: c}", "only work together"),
        ("{bus: a, region: b, source: aws.ecr}", "keeps sources"),
        ("{bus: a, region: b, events: c}", "unknown key"),
    ] {
        let found = found(bus);
        assert!(found.len() == 1 && found[0].starts_with("E "), "{found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn an_event_bus_is_not_told_of_pulls_unless_it_is_to_be() {
    let bus = |more: &str| {
        let text = format!("notifications: {{eventbridge: {{bus: a, region: b{more}}}}}\n");
        load(&minimal(&text))
            .configuration
            .notifications
            .eventbridge
    };
    let bus_without = bus("").unwrap();
    assert_eq!(bus_without.ignore.actions, ["pull"]);
    assert_eq!(bus_without.source, "roadstead");
    assert_eq!(bus_without.timeout, Duration::from_secs(3));
    assert_eq!(
        bus(", ignore: {actions: []}").unwrap().ignore.actions,
        [""; 0]
    );
    assert_eq!(
        load(&minimal("")).configuration.notifications.eventbridge,
        None
    );
}
