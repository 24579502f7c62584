//! `proxy`: the pull-through cache.

use std::time::Duration;

use crate::Secret;
use crate::schema::{DURATION, TEXT, nested, section};

section! {
    /// `proxy`.
    Proxy {
        /// The registry that is cached; with one, this registry is a pull-through cache.
        remoteurl: Option<String> = TEXT.refused("the pull-through cache");
        /// The user there.
        username: Option<String> = TEXT.follows("proxy.remoteurl");
        /// The user's password.
        password: Option<Secret> = TEXT.secret().follows("proxy.remoteurl");
        /// How long content is kept; 0 is for ever.
        ttl: Duration = DURATION.default("168h").follows("proxy.remoteurl");
        /// A program that knows user and password.
        exec: ProxyExec = nested(ProxyExec::KEYS).follows("proxy.remoteurl");
        /// How long writing to the cache may take.
        cachewritetimeout: Duration = DURATION.default("5m").zero_is_default().follows("proxy.remoteurl");
    }
}

section! {
    /// `proxy.exec`.
    ProxyExec {
        /// The program.
        command: Option<String> = TEXT;
        /// How long its answer is good.
        lifetime: Option<Duration> = DURATION;
    }
}
