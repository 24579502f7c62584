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
        endpoints: Vec<Endpoint> = entries(Endpoint::KEYS).differs("At most 16 MiB of events wait for each endpoint, and they are sent before a graceful end; in Distribution any number waits, and is lost at the end.");
        /// An event bus of Amazon EventBridge that is told.
        eventbridge: Option<EventBridge> = nested(EventBridge::KEYS).strict(&["bus"]).differs("Roadstead's own.");
    }
}

section! {
    /// `notifications.events`.
    Events {
        /// Lists what a manifest consists of in events of its pulls and pushes.
        includereferences: bool = BOOL;
    }
}

section! {
    /// An entry of `notifications.endpoints`.
    Endpoint {
        /// What the log calls it.
        name: Option<String> = TEXT;
        /// Switches this endpoint off.
        disabled: bool = BOOL;
        /// Where to post events: a URL with `http` or `https`. A user and a password in it are sent as `Authorization`.
        url: Option<String> = TEXT.differs("Redirects are not followed; what a redirect answers is tried again.");
        /// Headers to send with them.
        headers: BTreeMap<String, Vec<Secret>> = HEADERS.secret();
        /// How long an answer may take.
        timeout: Duration = DURATION.default("1s").zero_is_default();
        /// After how many failures in a row to wait before each further attempt.
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

section! {
    /// `notifications.eventbridge`.
    EventBridge {
        /// The event bus, by its name or its ARN.
        bus: Option<String> = TEXT;
        /// The `source` of the events there, by which rules know them.
        source: String = TEXT.default("roadstead");
        /// The region of the bus.
        region: Option<String> = TEXT;
        /// The URL of an EventBridge other than that of AWS.
        endpoint: Option<String> = TEXT;
        /// The access key; without one, the whole default chain of the AWS SDK is asked, as for `storage.s3`.
        accesskey: Option<String> = TEXT;
        /// The secret key.
        secretkey: Option<Secret> = TEXT.secret();
        /// How long an answer may take.
        timeout: Duration = DURATION.default("3s").zero_is_default();
        /// Events that are not sent.
        ignore: EventBridgeIgnore = nested(EventBridgeIgnore::KEYS);
    }
}

section! {
    /// `notifications.eventbridge.ignore`.
    EventBridgeIgnore {
        /// Media types of targets whose events are not sent.
        mediatypes: Vec<String> = TEXTS;
        /// Actions whose events are not sent. Pulls are not unless this is an empty list: a function would wait for EventBridge before each answer.
        actions: Vec<String> = TEXTS.default("[pull]");
    }
}
