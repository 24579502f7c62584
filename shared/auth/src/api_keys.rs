//! API keys: passwords for machines, which end, can be revoked one by one, and may do less than
//! their owner.

mod key;
mod scope;
mod stored;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crate::grant::Grant;
use crate::watched::{EVERY, Watched};
use crate::{Clock, FileError};

pub use key::ApiKey;
pub use scope::{InvalidKeyScope, KeyScope};
pub use stored::{ApiKeyFile, NewKey, StoredKey};

/// The API keys of a file, which is read again when it changes.
#[derive(Debug)]
pub struct ApiKeys {
    keys: Watched<ApiKeyFile>,
    clock: Clock,
}

impl ApiKeys {
    /// The keys of the file at `path`; an empty one is made where there is none. Blocks.
    ///
    /// # Errors
    ///
    /// The file cannot be read or made, or is no file of keys.
    pub fn open(path: PathBuf, clock: Clock) -> Result<Self, FileError> {
        ApiKeyFile::provide(&path)?;
        let shown = path.display().to_string();
        let keys = Watched::open(vec![path], EVERY, move |contents| {
            let bytes = contents.first().map(Vec::as_slice).unwrap_or_default();
            ApiKeyFile::parse(bytes).map_err(|message| FileError::Content {
                path: shown.clone(),
                message,
            })
        })?;
        Ok(Self { keys, clock })
    }

    /// What the owner of this key may do by it; `None` where it is none of this user's, or has
    /// expired. A wrong key costs as much as a right one.
    pub(crate) async fn grant(&self, user: &str, key: &ApiKey) -> Option<Grant> {
        let keys = self.keys.get().await;
        let now = (self.clock)().duration_since(UNIX_EPOCH);
        let stored = keys.find(key)?;
        let counts = stored.owner == user && stored.counts(now.unwrap_or_default().as_secs());
        let scopes = stored.scopes.clone().map(Arc::from);
        counts.then(|| Grant::of(user).limited(scopes))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, SystemTime};

    use roadstead_oci::RepositoryName;

    use super::*;
    use crate::access::{Access, Action};

    const CREATED: u64 = 1_000_000;

    fn then() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(CREATED + 100)
    }

    fn new(owner: &str, expires: Option<u64>, scopes: &[&str]) -> NewKey {
        NewKey {
            owner: owner.to_owned(),
            created: CREATED,
            expires,
            scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
        }
    }

    #[tokio::test]
    async fn a_key_opens_for_its_owner_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let add = |new| ApiKeyFile::add(&path, new).unwrap();
        let lasting = add(new("ann", None, &[]));
        let other = add(new("ann", Some(CREATED + 101), &[]));
        let ended = add(new("ann", Some(CREATED + 100), &[]));
        let keys = ApiKeys::open(path.clone(), then).unwrap();
        for (user, key, opens) in [
            ("ann", &lasting, true),
            ("ann", &other, true),
            ("ann", &ended, false),
            ("bob", &lasting, false),
            ("", &lasting, false),
        ] {
            let grant = keys.grant(user, key).await;
            assert_eq!(grant.is_some(), opens, "{user} {}", key.id());
        }
        let text = lasting.expose();
        let last = if text.ends_with('0') { "1" } else { "0" };
        let forged = format!("{}{last}", &text[..text.len() - 1]);
        let forged = ApiKey::parse(&forged).unwrap();
        assert!(keys.grant("ann", &forged).await.is_none());
        let file = std::fs::read_to_string(&path).unwrap();
        assert!(file.contains(lasting.id()) && !file.contains(&text[17..]));
    }

    #[tokio::test]
    async fn a_scope_narrows_what_the_owner_may_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let scopes = ["repository:team/**:pull,list", "repository:a:pull,push"];
        let key = ApiKeyFile::add(&path, new("ann", None, &scopes)).unwrap();
        let keys = ApiKeys::open(path, then).unwrap();
        let grant = keys.grant("ann", &key).await.unwrap();
        let name = |name: &str| -> RepositoryName { name.parse().unwrap() };
        for (repository, action, allowed) in [
            ("team/x", Action::Pull, true),
            ("team/x", Action::Push, false),
            ("team", Action::Pull, false),
            ("a", Action::Push, true),
            ("a", Action::Delete, false),
            ("b", Action::Pull, false),
        ] {
            let access = Access::Repository(name(repository), action);
            assert_eq!(grant.allows(&access), allowed, "{repository} {action}");
        }
        assert!(grant.allows(&Access::Catalog));
        assert!(!grant.shows_all() && grant.shows(&name("team/x")) && !grant.shows(&name("a")));
    }

    #[test]
    fn a_revoked_key_is_gone_and_the_file_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/keys.json");
        let first = ApiKeyFile::add(&path, new("ann", None, &[])).unwrap();
        let second = ApiKeyFile::add(&path, new("ann", None, &[])).unwrap();
        assert!(ApiKeyFile::revoke(&path, first.id()).unwrap());
        assert!(!ApiKeyFile::revoke(&path, first.id()).unwrap());
        let left = ApiKeyFile::read(&path).unwrap();
        let ids: BTreeSet<_> = left.keys().map(|key| key.id.as_str()).collect();
        assert_eq!(ids, BTreeSet::from([second.id()]));
        assert!(left.find(&first).is_none() && left.find(&second).is_some());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::write(&path, "{").unwrap();
        assert!(ApiKeyFile::add(&path, new("ann", None, &[])).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{");
    }

    #[test]
    fn keys_are_made_by_several_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let _ = ApiKeyFile::add(&path, new("ann", None, &[])).unwrap();
                    }
                });
            }
        });
        assert_eq!(ApiKeyFile::read(&path).unwrap().keys().count(), 20);
    }
}
