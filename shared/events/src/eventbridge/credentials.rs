//! Credentials, kept while they are good: to ask for them may be a request of its own.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::Mutex;

/// How long before their end credentials are good no longer, and for how long those are that do not
/// say when they end.
const MARGIN: Duration = Duration::from_secs(5 * 60);

#[derive(Debug)]
pub(super) struct Kept {
    provider: SharedCredentialsProvider,
    /// Until when.
    kept: Mutex<Option<(Credentials, SystemTime)>>,
}

impl Kept {
    pub(super) fn new(provider: SharedCredentialsProvider) -> Self {
        let kept = Mutex::new(None);
        Self { provider, kept }
    }

    pub(super) async fn get(&self, now: SystemTime) -> Result<Credentials, CredentialsError> {
        let mut kept = self.kept.lock().await;
        if let Some((credentials, until)) = &*kept
            && now < *until
        {
            return Ok(credentials.clone());
        }
        let credentials = self.provider.provide_credentials().await?;
        let until = match credentials.expiry() {
            Some(end) => end - MARGIN,
            None => now + MARGIN,
        };
        *kept = Some((credentials.clone(), until));
        Ok(credentials)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use aws_credential_types::provider::future;

    use super::*;

    /// Good for so long from the epoch on; each has the number of its making as its key.
    #[derive(Debug)]
    struct Counting(Arc<AtomicU64>, Option<Duration>);

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.0.fetch_add(1, Ordering::Relaxed).to_string();
            let end = self.1.map(|end| SystemTime::UNIX_EPOCH + end);
            future::ProvideCredentials::ready(Ok(Credentials::new(number, "", None, end, "test")))
        }
    }

    #[tokio::test]
    async fn credentials_are_asked_for_again_shortly_before_they_end() {
        let hour = Duration::from_secs(3600);
        for (end, times) in [
            (
                Some(hour),
                [(0, "0"), (3299, "0"), (3300, "1"), (3600, "2")],
            ),
            (None, [(0, "0"), (299, "0"), (300, "1"), (599, "1")]),
        ] {
            let provider = Counting(Arc::default(), end);
            let kept = Kept::new(SharedCredentialsProvider::new(provider));
            for (second, expected) in times {
                let now = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
                let credentials = kept.get(now).await.unwrap();
                assert_eq!(credentials.access_key_id(), expected, "{end:?} {second}");
            }
        }
    }
}
