//! `log`: what is written about requests and about the registry itself.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Secret;
use crate::schema::{ANY, BOOL, TEXT, TEXTS, choice, entries, nested, section};

section! {
    /// `log`.
    Log {
        /// The access log: one line a request, on stdout.
        accesslog: AccessLog = nested(AccessLog::KEYS);
        /// The least severe messages that are logged.
        level: Level = choice(&["error", "warn", "info", "debug"]).default("info");
        /// How a log line is written.
        formatter: Formatter = choice(&["text", "json", "logstash"]).default("text");
        /// Fields that are added to each line.
        fields: BTreeMap<String, serde_json::Value> = ANY.default("{}");
        /// Mails that are sent for log lines.
        hooks: Vec<Hook> = entries(Hook::KEYS).later("the mail hook");
        /// Adds the place in the source to each line.
        reportcaller: bool = BOOL;
    }
}

section! {
    /// `log.accesslog`.
    AccessLog {
        /// Switches the access log off.
        disabled: bool = BOOL;
    }
}

section! {
    /// An entry of `log.hooks`.
    Hook {
        /// Switches this hook off.
        disabled: bool = BOOL;
        /// The kind of hook; there is `mail`.
        #[serde(rename = "type")]
        kind: Option<String> = TEXT.yaml("type");
        /// The levels that are sent.
        levels: Vec<String> = TEXTS;
        /// How they are sent.
        options: MailOptions = nested(MailOptions::KEYS).alias(&["MAILOPTIONS"]);
    }
}

section! {
    /// The options of a mail hook.
    MailOptions {
        /// The mail server.
        smtp: Smtp = nested(Smtp::KEYS);
        /// The sender's address.
        from: Option<String> = TEXT;
        /// The receivers' addresses.
        to: Vec<String> = TEXTS;
    }
}

section! {
    /// The mail server of a mail hook.
    Smtp {
        /// `host:port`.
        addr: Option<String> = TEXT;
        /// The user, where the server wants one.
        username: Option<String> = TEXT;
        /// The user's password.
        password: Option<Secret> = TEXT.secret();
        /// Does not verify the server's certificate.
        insecure: bool = BOOL;
    }
}

/// A log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Only failures.
    Error,
    /// What somebody should look at.
    Warn,
    /// What happens.
    Info,
    /// Everything.
    Debug,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Formatter {
    /// `key=value`, sorted by key.
    Text,
    /// An object a line.
    Json,
    /// An object a line, with Logstash's field names.
    Logstash,
}
