//! How much one caller may ask for: so many requests in a time, so many uploads at once.
//!
//! A caller is a user, or an address: that of who has not said who they are, in IPv6 its /64. A
//! request counts for its address until a user is known to have made it, so that guessing
//! passwords costs. Each process counts for itself, in bounded memory.

mod buckets;
#[cfg(test)]
mod tests;
mod uploads;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderValue, Method};
use roadstead_oci::ErrorCode;

use crate::client::Client;
use crate::connection::Peer;
use crate::error::Error;
use buckets::{Buckets, Credit};
use uploads::Uploads;

pub use uploads::UploadPermit;

/// When to try again where nobody knows when an upload will have ended.
const SOON: Duration = Duration::from_secs(5);

/// How much a caller may ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitOptions {
    /// How many requests; `None` for any number.
    pub requests: Option<Rate>,
    /// Whether requests count for their address also when it is known who made them.
    pub by_address: bool,
    /// How many requests may bring bytes of blobs at the same time; `None` for any number.
    pub uploads: Option<usize>,
}

/// So many requests in a time.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// How many, at least one.
    pub count: u64,
    /// In how long.
    pub period: Duration,
    /// How many may come at once after a pause, at least one.
    pub burst: u64,
}

/// Counts what callers ask for. Clones are the same; the default has no limits.
#[derive(Clone, Debug, Default)]
pub struct Limits(Option<Arc<Counted>>);

#[derive(Debug)]
struct Counted {
    begun: Instant,
    requests: Option<Buckets>,
    by_address: bool,
    uploads: Option<Uploads>,
}

/// Whom something counts for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Caller {
    /// A user.
    User(Arc<str>),
    /// An IPv4 address, or the first address of an IPv6 /64: that much, one customer has.
    Network(IpAddr),
    /// Everybody on this machine.
    Local,
}

impl Caller {
    fn at(peer: Peer) -> Self {
        match peer.ip().map(|address| address.to_canonical()) {
            None => Self::Local,
            Some(IpAddr::V4(address)) => Self::Network(address.into()),
            Some(IpAddr::V6(address)) => {
                let network = address.to_bits() & (u128::MAX << 64);
                Self::Network(IpAddr::V6(network.into()))
            }
        }
    }
}

impl Limits {
    /// These limits, with nobody counted yet.
    pub fn new(options: LimitOptions) -> Self {
        if options.requests.is_none() && options.uploads.is_none() {
            return Self::default();
        }
        Self(Some(Arc::new(Counted {
            begun: Instant::now(),
            requests: options.requests.map(Buckets::new),
            by_address: options.by_address,
            uploads: options.uploads.map(Uploads::new),
        })))
    }

    /// A request of somebody: it counts for the address it is from, until
    /// [`Entered::belongs_to`] says otherwise.
    ///
    /// # Errors
    ///
    /// `TOOMANYREQUESTS` when there were too many from there.
    pub fn enter(&self, parts: &Parts) -> Result<Entered<'_>, Error> {
        self.entered(parts, true)
    }

    /// A request of somebody with a token, which nobody guesses: it counts when it is known whose
    /// it is.
    ///
    /// # Errors
    ///
    /// `TOOMANYREQUESTS` where only addresses count, and there were too many from this one.
    pub fn enter_with_token(&self, parts: &Parts) -> Result<Entered<'_>, Error> {
        let by_address = self.0.as_deref().is_some_and(|counted| counted.by_address);
        self.entered(parts, by_address)
    }

    fn entered(&self, parts: &Parts, counts: bool) -> Result<Entered<'_>, Error> {
        let Some(counted) = self.0.as_deref() else {
            return Ok(Entered(None));
        };
        let address = Caller::at(Client::of(&parts.extensions).address);
        let credit = credit(&parts.method);
        if counts {
            counted.take(&address, credit)?;
        }
        Ok(Entered(Some(Counting {
            counted,
            address,
            is_taken: counts,
            credit,
        })))
    }
}

/// Clients repeat what has no body; a push ends where one of these is refused.
fn credit(method: &Method) -> Credit {
    match *method {
        Method::PATCH | Method::PUT => Credit::Granted,
        _ => Credit::None,
    }
}

impl Counted {
    fn take(&self, caller: &Caller, credit: Credit) -> Result<(), Error> {
        let Some(buckets) = &self.requests else {
            return Ok(());
        };
        let taken = buckets.take(caller, self.begun.elapsed(), credit);
        taken.map_err(|wait| too_many("too many requests from one caller", wait))
    }

    fn give_back(&self, caller: &Caller) {
        if let Some(buckets) = &self.requests {
            buckets.give_back(caller);
        }
    }
}

/// A request that was let in.
#[derive(Debug)]
#[must_use]
pub struct Entered<'a>(Option<Counting<'a>>);

#[derive(Debug)]
struct Counting<'a> {
    counted: &'a Counted,
    address: Caller,
    is_taken: bool,
    credit: Credit,
}

impl<'a> Entered<'a> {
    /// The request is this user's, and counts for them. Of nobody known, it counts for its address.
    ///
    /// # Errors
    ///
    /// `TOOMANYREQUESTS` when they made too many.
    pub fn belongs_to(self, user: Option<&str>) -> Result<Admitted<'a>, Error> {
        let Some(counting) = self.0 else {
            return Ok(Admitted(None));
        };
        let counted = counting.counted;
        let user = user.filter(|_| !counted.by_address);
        let caller = match user {
            Some(user) => Caller::User(user.into()),
            None if counting.is_taken => return Ok(Admitted(Some((counted, counting.address)))),
            None => counting.address.clone(),
        };
        if counting.is_taken {
            counted.give_back(&counting.address);
        }
        counted.take(&caller, counting.credit)?;
        Ok(Admitted(Some((counted, caller))))
    }
}

/// A request that was counted.
#[derive(Debug)]
#[must_use]
pub struct Admitted<'a>(Option<(&'a Counted, Caller)>);

impl Admitted<'_> {
    /// The right to bring bytes of a blob, for as long as it is kept; `None` where any number may.
    ///
    /// # Errors
    ///
    /// `TOOMANYREQUESTS` when its maker has as many as they may.
    pub fn upload(&self) -> Result<Option<UploadPermit>, Error> {
        let Some((uploads, caller)) = self.uploads() else {
            return Ok(None);
        };
        uploads.begin(caller).ok_or_else(too_many_uploads).map(Some)
    }

    /// Whether its maker may bring bytes as well: then it is worth to begin an upload.
    ///
    /// # Errors
    ///
    /// `TOOMANYREQUESTS` when its maker has as many as they may.
    pub fn upload_later(&self) -> Result<(), Error> {
        match self.uploads() {
            Some((uploads, caller)) if !uploads.has_place(caller) => Err(too_many_uploads()),
            _ => Ok(()),
        }
    }

    fn uploads(&self) -> Option<(&Uploads, &Caller)> {
        let (counted, caller) = self.0.as_ref()?;
        Some((counted.uploads.as_ref()?, caller))
    }
}

fn too_many_uploads() -> Error {
    too_many("too many uploads of one caller at once", SOON)
}

/// 429, and after how many whole seconds it is worth to come again (RFC 6585, section 4).
fn too_many(detail: &'static str, wait: Duration) -> Error {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Error::new(ErrorCode::TooManyRequests, detail)
        .with_header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
}
