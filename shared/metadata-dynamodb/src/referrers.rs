//! Edges from manifests to their subjects: a row each, which comes and goes with the manifest.

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use roadstead_metadata::{Error, ManifestStore, Page, Referrer, ReferrerQuery, ReferrerStore};
use roadstead_oci::{Descriptor, Digest, Manifest, Reference, RepositoryName};

use crate::dynamodb::DynamoDb;
use crate::keys::{self, EDGE};
use crate::row::{Row, text};
use crate::table::Query;

#[async_trait]
impl ReferrerStore for DynamoDb {
    async fn referrers(
        &self,
        repository: &RepositoryName,
        query: ReferrerQuery<'_>,
    ) -> Result<Vec<Descriptor>, Error> {
        /// How many edges are read in one go when some may be of another type.
        const AT_ONCE: usize = 1000;
        let mut found = Vec::new();
        let mut after = query.page.after.map(str::to_owned);
        while found.len() < query.page.limit {
            let limit = match query.artifact_type {
                None => query.page.limit - found.len(),
                Some(_) => AT_ONCE,
            };
            let page = Page {
                after: after.as_deref(),
                limit,
            };
            let rows = Query::page(keys::referrers(repository, query.subject), page);
            let rows = self.table.query(rows).await?;
            let is_last = rows.len() < limit;
            after = rows.last().map(|row| row.name().to_owned());
            let edges = self.edges(repository, rows).await?;
            let wanted = edges
                .into_iter()
                .filter(|edge| is_of_type(edge, query.artifact_type));
            found.extend(wanted.take(query.page.limit - found.len()));
            if is_last {
                break;
            }
        }
        Ok(found)
    }
}

impl DynamoDb {
    async fn edges(
        &self,
        repository: &RepositoryName,
        rows: Vec<Row>,
    ) -> Result<Vec<Descriptor>, Error> {
        /// How many manifests are read at once for edges that are too large for a row.
        const AT_ONCE: usize = 4;
        let edges = stream::iter(rows).map(|row| self.edge(repository, row));
        let edges = edges.buffered(AT_ONCE);
        edges
            .try_filter_map(async |edge| Ok(edge))
            .try_collect()
            .await
    }

    async fn edge(
        &self,
        repository: &RepositoryName,
        row: Row,
    ) -> Result<Option<Descriptor>, Error> {
        match row.has("descriptor") {
            true => descriptor(&row).map(Some),
            false => self.edge_of(repository, row.parsed("sk")?).await,
        }
    }

    async fn edge_of(
        &self,
        repository: &RepositoryName,
        digest: Digest,
    ) -> Result<Option<Descriptor>, Error> {
        let reference = Reference::Digest(digest);
        let Some(record) = self.manifest(repository, &reference).await? else {
            return Ok(None);
        };
        let manifest = Manifest::read(&record.bytes).ok();
        let referrer = manifest.and_then(|manifest| Referrer::of(&manifest, &record));
        Ok(referrer.map(|referrer| referrer.descriptor))
    }
}

/// The row of an edge; a large descriptor is left out and made from the manifest again.
pub(crate) fn edge(repository: &RepositoryName, referrer: &Referrer) -> Row {
    let descriptor = &referrer.descriptor;
    let key = keys::referrer(repository, &referrer.subject, &descriptor.digest);
    let row = Row::new(&key);
    match serde_json::to_string(descriptor) {
        Ok(json) if json.len() <= EDGE => row.with("descriptor", text(json)),
        _ => row,
    }
}

fn descriptor(row: &Row) -> Result<Descriptor, Error> {
    let json = row.text("descriptor")?;
    serde_json::from_str(json).map_err(|_| row.malformed("descriptor"))
}

fn is_of_type(edge: &Descriptor, artifact_type: Option<&str>) -> bool {
    artifact_type.is_none_or(|wanted| edge.artifact_type.as_deref() == Some(wanted))
}
