//! How much one caller may ask for: so many requests in a time, so many uploads at once.
//!
//! A caller is a user, or an address: that of who has not said who they are, in IPv6 its /64. A
//! request counts for its address until a user is known to have made it, so that guessing
//! passwords costs. Each process counts for itself, in bounded memory.

mod buckets;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Connection;

    fn request(method: Method, address: &str) -> Parts {
        let connection = Connection {
            peer: Peer::Address(address.parse().unwrap()),
            secure: false,
        };
        let request = http::Request::builder().method(method);
        let request = request.extension(connection).body(()).unwrap();
        request.into_parts().0
    }

    fn get(address: &str) -> Parts {
        request(Method::GET, address)
    }

    fn limits(by_address: bool) -> Limits {
        Limits::new(LimitOptions {
            requests: Some(Rate {
                count: 1,
                period: Duration::from_secs(3600),
                burst: 2,
            }),
            by_address,
            uploads: Some(1),
        })
    }

    /// Whether a request is let in and counted.
    fn anonymous(limits: &Limits, address: &str) -> bool {
        let entered = limits.enter(&get(address));
        entered.is_ok_and(|entered| entered.belongs_to(None).is_ok())
    }

    fn user(limits: &Limits, address: &str, name: &str) -> bool {
        let entered = limits.enter(&get(address));
        entered.is_ok_and(|entered| entered.belongs_to(Some(name)).is_ok())
    }

    #[test]
    fn each_address_counts_for_itself_and_a_64_of_ipv6_as_one() {
        let limits = limits(false);
        for (address, expected) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8:0:1::1", true),
            ("2001:db8:0:1:ffff::7", true),
            ("2001:db8:0:1::3", false),
            ("2001:db8:0:2::1", true),
        ] {
            assert_eq!(anonymous(&limits, address), expected, "{address}");
        }
    }

    #[test]
    fn users_count_for_themselves_and_cost_their_address_nothing() {
        let limits = limits(false);
        for _ in 0..2 {
            assert!(user(&limits, "192.0.2.1", "ann"));
            assert!(user(&limits, "192.0.2.1", "bob"));
        }
        assert!(!user(&limits, "192.0.2.9", "ann"));
        assert!(anonymous(&limits, "192.0.2.1"));
        assert!(anonymous(&limits, "192.0.2.1"));
        assert!(!anonymous(&limits, "192.0.2.1"));
    }

    #[test]
    fn who_guesses_is_not_listened_to_any_more_but_tokens_are() {
        let limits = limits(false);
        // Those that turn out to be nobody's just end.
        for _ in 0..2 {
            let _wrong = limits.enter(&get("192.0.2.1")).unwrap();
        }
        assert!(limits.enter(&get("192.0.2.1")).is_err());
        let token = limits.enter_with_token(&get("192.0.2.1")).unwrap();
        assert!(token.belongs_to(Some("ann")).is_ok());
        let forged = limits.enter_with_token(&get("192.0.2.1")).unwrap();
        assert!(forged.belongs_to(None).is_err());
    }

    #[test]
    fn what_clients_do_not_repeat_has_as_much_again() {
        let limits = limits(false);
        let put = || limits.enter(&request(Method::PUT, "192.0.2.1")).is_ok();
        assert_eq!([(); 5].map(|()| put()), [true, true, true, true, false]);
        assert!(!anonymous(&limits, "192.0.2.1"));
    }

    #[test]
    fn addresses_alone_may_count() {
        let limits = limits(true);
        assert!(user(&limits, "192.0.2.1", "ann"));
        assert!(user(&limits, "192.0.2.1", "bob"));
        assert!(!user(&limits, "192.0.2.1", "eve"));
        assert!(limits.enter_with_token(&get("192.0.2.1")).is_err());
        assert!(user(&limits, "192.0.2.2", "ann"));
    }

    #[test]
    fn uploads_are_counted_while_they_last() {
        let limits = limits(false);
        let at = get("192.0.2.1");
        let admitted = |user| limits.enter(&at).unwrap().belongs_to(user).unwrap();
        let first = admitted(Some("ann")).upload().unwrap();
        assert!(first.is_some());
        assert!(admitted(Some("ann")).upload().is_err());
        assert!(admitted(Some("ann")).upload_later().is_err());
        assert!(admitted(Some("bob")).upload_later().is_ok());
        assert!(admitted(Some("bob")).upload().is_ok());
        assert!(admitted(None).upload().is_ok());
        drop(first);
        assert_eq!(
            limits
                .0
                .as_ref()
                .unwrap()
                .uploads
                .as_ref()
                .unwrap()
                .callers(),
            0
        );
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let limits = Limits::new(LimitOptions::default());
        for _ in 0..1000 {
            assert!(anonymous(&limits, "192.0.2.1"));
        }
        let entered = limits.enter(&get("192.0.2.1")).unwrap();
        assert!(
            entered
                .belongs_to(None)
                .unwrap()
                .upload()
                .unwrap()
                .is_none()
        );
    }
}
