//! Which repositories there are: rows that are written once, spread over shards and merged.

use std::collections::VecDeque;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use roadstead_metadata::{CatalogStore, Error, Page, Repositories};
use roadstead_oci::RepositoryName;

use crate::dynamodb::DynamoDb;
use crate::expression::Expression;
use crate::keys::{self, CATALOG_SHARDS};
use crate::row::{Row, yes};
use crate::table::Query;

/// What is known of a repository. It may have lost its manifests; that it had them stays true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Known {
    /// It has or had something.
    Something,
    /// It has or had a manifest.
    Manifests,
}

#[async_trait]
impl CatalogStore for DynamoDb {
    async fn repositories(
        &self,
        which: Repositories,
        page: Page<'_>,
    ) -> Result<Vec<RepositoryName>, Error> {
        let mut merge = Merge::new(self, page);
        let mut found = Vec::new();
        while found.len() < page.limit {
            let candidates = merge.next(which, page.limit - found.len()).await?;
            if candidates.is_empty() {
                break;
            }
            found.extend(match which {
                Repositories::All => candidates,
                Repositories::WithManifests => self.with_manifests(candidates).await?,
            });
        }
        Ok(found)
    }

    async fn has_place(&self) -> Result<bool, Error> {
        Ok(true)
    }
}

impl DynamoDb {
    /// Makes sure that the catalog has the repository, before anything of it is written.
    pub(crate) async fn enlist(&self, name: &RepositoryName, known: Known) -> Result<(), Error> {
        if self.known.get(name).is_some_and(|before| before >= known) {
            return Ok(());
        }
        let key = keys::repository(name);
        match known {
            Known::Something => {
                let row = Row::new(&key);
                let _either_way = self.table.put(row, Expression::is_absent()).await?;
            }
            Known::Manifests => {
                let update = Expression::new("SET #manifests = :yes").with(":yes", yes());
                let condition = Expression::new("attribute_not_exists(#manifests)");
                self.table.update(&key, update, Some(condition)).await?;
            }
        }
        self.known.insert(name.clone(), known);
        Ok(())
    }

    /// Whether the repository has or had a manifest.
    pub(crate) async fn had_manifests(&self, name: &RepositoryName) -> Result<bool, Error> {
        if self.known.get(name) == Some(Known::Manifests) {
            return Ok(true);
        }
        let row = self.table.get(&keys::repository(name)).await?;
        let had = row.is_some_and(|row| row.has("manifests"));
        if had {
            self.known.insert(name.clone(), Known::Manifests);
        }
        Ok(had)
    }

    /// Those that have a manifest now.
    async fn with_manifests(
        &self,
        names: Vec<RepositoryName>,
    ) -> Result<Vec<RepositoryName>, Error> {
        /// How many are asked for at once.
        const AT_ONCE: usize = 32;
        let asked = stream::iter(names).map(|name| async move {
            let query = Query {
                limit: 1,
                ..Query::all(keys::revisions(&name))
            };
            let has_manifests = !self.table.query(query.canonical()).await?.is_empty();
            Ok::<_, Error>(has_manifests.then_some(name))
        });
        let asked = asked.buffered(AT_ONCE);
        asked
            .try_filter_map(async |name| Ok(name))
            .try_collect()
            .await
    }
}

/// The shards of the catalog as one list in the order of names.
struct Merge<'a> {
    back_end: &'a DynamoDb,
    shards: Vec<Shard>,
    read_at_once: usize,
}

struct Shard {
    partition: String,
    pending: VecDeque<Row>,
    after: Option<String>,
    is_read: bool,
}

impl<'a> Merge<'a> {
    fn new(back_end: &'a DynamoDb, page: Page<'_>) -> Self {
        const FEWEST: usize = 16;
        const MOST: usize = 1000;
        let shard = |shard| Shard {
            partition: keys::catalog(shard),
            pending: VecDeque::new(),
            after: page.after.map(str::to_owned),
            is_read: false,
        };
        Self {
            back_end,
            shards: (0..CATALOG_SHARDS).map(shard).collect(),
            // Twice an even share: most pages are whole then, without another read.
            read_at_once: (page.limit / (CATALOG_SHARDS as usize / 2)).clamp(FEWEST, MOST),
        }
    }

    /// The next names, at most `limit`; none only at the end.
    async fn next(
        &mut self,
        which: Repositories,
        limit: usize,
    ) -> Result<Vec<RepositoryName>, Error> {
        /// How many are looked at before those found are handed on.
        const MOST: usize = 1000;
        let mut names = Vec::new();
        while names.len() < limit.min(MOST) {
            self.read().await?;
            let Some(row) = self.pop() else { break };
            if which == Repositories::All || row.has("manifests") {
                names.push(row.parsed("sk")?);
            }
        }
        Ok(names)
    }

    /// Reads on in each shard of which nothing is pending: any of them may have the next name.
    async fn read(&mut self) -> Result<(), Error> {
        let limit = self.read_at_once;
        let dry = self.shards.iter_mut();
        let dry = dry.filter(|shard| shard.pending.is_empty() && !shard.is_read);
        let reads = dry.map(|shard| shard.read(self.back_end, limit));
        futures_util::future::try_join_all(reads).await?;
        Ok(())
    }

    fn pop(&mut self) -> Option<Row> {
        let shards = self.shards.iter_mut();
        let pending = shards.filter(|shard| !shard.pending.is_empty());
        let first = pending.min_by(|one, other| one.first().cmp(&other.first()))?;
        first.pending.pop_front()
    }
}

impl Shard {
    async fn read(&mut self, back_end: &DynamoDb, limit: usize) -> Result<(), Error> {
        let query = Query {
            after: self.after.as_deref(),
            limit,
            ..Query::all(self.partition.clone())
        };
        let rows = back_end.table.query(query).await?;
        self.is_read = rows.len() < limit;
        if let Some(last) = rows.last() {
            self.after = Some(last.name().to_owned());
        }
        self.pending = rows.into();
        Ok(())
    }

    fn first(&self) -> Option<&str> {
        self.pending.front().map(Row::name)
    }
}
