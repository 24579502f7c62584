//! `notifications`: who is told what happened.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Secret;
use crate::schema::{BOOL, DURATION, HEADERS, INTEGER, TEXT, TEXTS, entries, nested, section};

section! {
    /// `notifications`.
    Notifications {
        /// What an event says.
        events: Events = nested(Events::KEYS).alias(&["EVENTCONFIG"]);
        /// Who is told.
        endpoints: Vec<Endpoint> = entries(Endpoint::KEYS).later("sending notifications");
    }
}

section! {
    /// `notifications.events`.
    Events {
        /// Lists what a manifest refers to.
        includereferences: bool = BOOL.follows("notifications.endpoints");
    }
}

section! {
    /// An entry of `notifications.endpoints`.
    Endpoint {
        /// A name for people.
        name: Option<String> = TEXT;
        /// Switches this endpoint off.
        disabled: bool = BOOL;
        /// Where to send events.
        url: Option<String> = TEXT;
        /// Headers to send with them.
        headers: BTreeMap<String, Vec<Secret>> = HEADERS.secret();
        /// How long an answer may take.
        timeout: Duration = DURATION.default("1s").zero_is_default();
        /// After how many failures to wait.
        threshold: u64 = INTEGER.default("10").zero_is_default();
        /// How long to wait.
        backoff: Duration = DURATION.default("1s").zero_is_default();
        /// Media types of targets whose events are not sent.
        ignoredmediatypes: Vec<String> = TEXTS;
        /// Events that are not sent.
        ignore: Ignore = nested(Ignore::KEYS);
    }
}

section! {
    /// `notifications.endpoints[].ignore`.
    Ignore {
        /// Media types of targets whose events are not sent.
        mediatypes: Vec<String> = TEXTS;
        /// Actions whose events are not sent.
        actions: Vec<String> = TEXTS;
    }
}
