//! `notifications`: that whoever is to be told can be told.

use super::Rules;
use crate::notifications::{Endpoint, EventBridge, Notifications};

const ACTIONS: [&str; 4] = ["pull", "push", "mount", "delete"];

impl Rules<'_> {
    pub(super) fn notifications(&mut self, notifications: &Notifications) {
        let endpoints = notifications.endpoints.iter().enumerate();
        for (index, endpoint) in endpoints.filter(|(_, endpoint)| !endpoint.disabled) {
            self.endpoint(&format!("notifications.endpoints[{index}]"), endpoint);
        }
        if let Some(eventbridge) = &notifications.eventbridge {
            self.eventbridge("notifications.eventbridge", eventbridge);
        }
    }

    fn endpoint(&mut self, path: &str, endpoint: &Endpoint) {
        let url = endpoint.url.as_deref().unwrap_or_default();
        let rest = ["http://", "https://"]
            .iter()
            .find_map(|scheme| url.strip_prefix(scheme));
        if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
            self.error(
                &format!("{path}.url"),
                "there is no URL to post events to",
                "write it as in https://example.com/events",
            );
        }
        self.actions(&format!("{path}.ignore.actions"), &endpoint.ignore.actions);
    }

    fn eventbridge(&mut self, path: &str, bus: &EventBridge) {
        if bus.region.is_none() && bus.endpoint.is_none() {
            self.error(
                &format!("{path}.region"),
                "there is no region, nor an endpoint",
                "name the region of the event bus, as in eu-west-1",
            );
        }
        if bus.accesskey.is_some() != bus.secretkey.is_some() {
            self.error(
                &format!("{path}.accesskey"),
                "accesskey and secretkey only work together",
                "give both, or none for the credentials of the environment",
            );
        }
        if bus.source.starts_with("aws.") {
            self.error(
                &format!("{path}.source"),
                "EventBridge keeps sources that begin with \"aws.\" for AWS",
                "choose another one",
            );
        }
        self.actions(&format!("{path}.ignore.actions"), &bus.ignore.actions);
    }

    /// Whoever ignores what there is not will be sent what they ignore.
    fn actions(&mut self, path: &str, actions: &[String]) {
        for (index, action) in actions.iter().enumerate() {
            if !ACTIONS.contains(&action.as_str()) {
                let message = format!("there is no action {action:?}");
                let there_are = format!("one of {}", ACTIONS.join(", "));
                self.warn(&format!("{path}[{index}]"), &message, Some(&there_are));
            }
        }
    }
}
