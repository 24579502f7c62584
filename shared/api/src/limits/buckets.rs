//! A bucket a caller, which requests fill and time empties.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use quick_cache::sync::Cache;

use super::{Caller, Rate};

/// How many callers are remembered; some 10 MB. Of more than these, those that have not come for
/// the longest are forgotten, and begin anew.
const REMEMBERED: usize = 65_536;

/// Whether a request may be counted that there is no place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credit {
    /// It may not.
    None,
    /// It may, up to twice the limit: those that come after it wait.
    Granted,
}

/// The buckets of all callers (the generic cell rate algorithm, ITU-T I.371, annex A): each is
/// no more than the time at which it will be empty.
#[derive(Debug)]
pub(super) struct Buckets {
    /// Nanoseconds since a beginning.
    empty_at: Cache<Caller, Arc<AtomicU64>>,
    /// The nanoseconds in which one request flows out.
    one: u64,
    /// The nanoseconds in which a full bucket does.
    full: u64,
}

impl Buckets {
    /// Buckets that are empty.
    pub(super) fn new(rate: Rate) -> Self {
        let one = (nanos(rate.period) / rate.count.max(1)).max(1);
        Self {
            empty_at: Cache::new(REMEMBERED),
            one,
            full: one.saturating_mul(rate.burst.max(1)),
        }
    }

    /// Puts a request into the bucket of `caller`, at a time `since` the beginning. On `credit`, it
    /// may overflow by as much as a bucket holds.
    ///
    /// # Errors
    ///
    /// How long it takes until there is a place. One that finds none fills nothing.
    pub(super) fn take(
        &self,
        caller: &Caller,
        since: Duration,
        credit: Credit,
    ) -> Result<(), Duration> {
        let most = match credit {
            Credit::None => self.full,
            Credit::Granted => self.full.saturating_mul(2),
        };
        let now = nanos(since);
        let new = || Ok::<_, Infallible>(Arc::default());
        let Ok(bucket) = self.empty_at.get_or_insert_with(caller, new);
        let filled = bucket.fetch_update(Relaxed, Relaxed, |empty_at| {
            let then = self.with_one_more(empty_at, now);
            (then - now <= most).then_some(then)
        });
        filled.map(drop).map_err(|empty_at| {
            let then = self.with_one_more(empty_at, now);
            Duration::from_nanos(then - now - most)
        })
    }

    /// Takes a request out again.
    pub(super) fn give_back(&self, caller: &Caller) {
        if let Some(bucket) = self.empty_at.get(caller) {
            let less = |empty_at: u64| Some(empty_at.saturating_sub(self.one));
            let _always = bucket.fetch_update(Relaxed, Relaxed, less);
        }
    }

    fn with_one_more(&self, empty_at: u64, now: u64) -> u64 {
        empty_at.max(now).saturating_add(self.one)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn buckets(count: u64, period: Duration, burst: u64) -> Buckets {
        Buckets::new(Rate {
            count,
            period,
            burst,
        })
    }

    fn caller(number: u32) -> Caller {
        Caller::Network(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    #[test]
    fn a_burst_is_let_in_and_then_as_many_as_the_rate_says() {
        let buckets = buckets(10, SECOND, 3);
        let begin = 100 * SECOND;
        for _ in 0..3 {
            assert_eq!(buckets.take(&caller(1), begin, Credit::None), Ok(()));
        }
        let wait = Duration::from_millis(100);
        assert_eq!(buckets.take(&caller(1), begin, Credit::None), Err(wait));
        assert_eq!(buckets.take(&caller(2), begin, Credit::None), Ok(()));
        let almost = begin + wait - Duration::from_nanos(1);
        assert_eq!(
            buckets.take(&caller(1), almost, Credit::None),
            Err(Duration::from_nanos(1))
        );
        assert_eq!(buckets.take(&caller(1), begin + wait, Credit::None), Ok(()));
        assert!(
            buckets
                .take(&caller(1), begin + wait, Credit::None)
                .is_err()
        );
        // A pause gives back the burst and no more.
        let let_in =
            (0..10).filter(|_| buckets.take(&caller(1), 200 * SECOND, Credit::None).is_ok());
        assert_eq!(let_in.count(), 3);
    }

    #[test]
    fn credit_is_for_once_more_the_burst_and_others_wait_for_it() {
        let buckets = buckets(1, SECOND, 2);
        let take = |since, credit| buckets.take(&caller(1), since, credit);
        for _ in 0..4 {
            assert_eq!(take(SECOND, Credit::Granted), Ok(()));
        }
        assert_eq!(take(SECOND, Credit::Granted), Err(SECOND));
        assert_eq!(take(SECOND, Credit::None), Err(3 * SECOND));
        assert_eq!(take(4 * SECOND, Credit::None), Ok(()));
    }

    #[test]
    fn who_goes_on_asking_does_not_wait_longer() {
        let buckets = buckets(1, SECOND, 1);
        assert_eq!(buckets.take(&caller(1), SECOND, Credit::None), Ok(()));
        for _ in 0..100 {
            assert_eq!(buckets.take(&caller(1), SECOND, Credit::None), Err(SECOND));
        }
        assert_eq!(buckets.take(&caller(1), 2 * SECOND, Credit::None), Ok(()));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_nothing_beyond() {
        let buckets = buckets(1, SECOND, 1);
        buckets.give_back(&caller(1));
        assert_eq!(buckets.take(&caller(1), SECOND, Credit::None), Ok(()));
        buckets.give_back(&caller(1));
        buckets.give_back(&caller(1));
        assert_eq!(buckets.take(&caller(1), SECOND, Credit::None), Ok(()));
        assert!(buckets.take(&caller(1), SECOND, Credit::None).is_err());
    }

    #[test]
    fn strange_rates_overflow_nothing() {
        for (count, period, burst) in [
            (0, SECOND, 0),
            (u64::MAX, Duration::ZERO, u64::MAX),
            (1, Duration::MAX, u64::MAX),
        ] {
            let buckets = buckets(count, period, burst);
            assert_eq!(buckets.take(&caller(1), SECOND, Credit::None), Ok(()));
        }
    }

    #[test]
    fn any_number_of_addresses_takes_no_more_memory() {
        let buckets = buckets(1, SECOND, 1);
        for number in 0..4 * REMEMBERED as u32 {
            assert_eq!(buckets.take(&caller(number), SECOND, Credit::None), Ok(()));
        }
        assert!(buckets.empty_at.len() <= REMEMBERED);
    }
}
