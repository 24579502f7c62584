//! The route group `discovery`: tags, catalog and referrers, each in pages.
//!
//! A page asks the core for one entry more than it shows: whether there is a next page is known
//! then, and no link leads to an empty one.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::HeaderName;
use http::HeaderValue;
use roadstead_api::extract::{Name, PathDigest, Query};
use roadstead_api::{Api, Caller, Error, Urls, authorized, response};
use roadstead_auth::Grant;
use roadstead_metadata::{Page, ReferrerQuery};
use roadstead_oci::{Descriptor, Digest, RepositoryName, media_type};
use serde_json::json;

const JSON: &str = "application/json";
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// How many repositories a page has that is asked for without `n`: Distribution's figure.
const CATALOG_PAGE: usize = 100;
/// How many repositories are looked at together for those that a caller may see.
const CATALOG_WINDOW: usize = 1000;
/// How many referrers a page has at the most.
const REFERRERS_PAGE: usize = 1000;
/// About how many bytes of referrers a page has: what clients take as a manifest.
const REFERRERS_BYTES: usize = 3 * 1024 * 1024;

/// The routes of the group.
pub fn router(api: Api) -> Router {
    let routes = Router::new()
        .route("/v2/_catalog", get(catalog))
        .route("/v2/{name}/tags/list", get(tags))
        .route("/v2/{name}/referrers/{digest}", get(referrers));
    authorized(routes, api)
}

/// Distribution's catalog: repositories that have a manifest.
async fn catalog(
    State(api): State<Api>,
    Caller(grant): Caller,
    query: Query,
    urls: Urls,
) -> Result<Response, Error> {
    let most = api.options.max_catalog_entries;
    let n = query.page_size(most)?.unwrap_or(CATALOG_PAGE.min(most));
    let mut names = match n {
        0 => Vec::new(),
        n => shown(&api, &grant, page(&query, n)).await?,
    };
    let next = next(&mut names, n, |name| {
        let query = [("last", name.as_str()), ("n", &n.to_string())];
        urls.next_page("_catalog", &query)
    });
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    Ok(response::page(
        &json!({ "repositories": names }),
        JSON,
        next,
    ))
}

/// A page of the repositories that the caller may see. What is hidden costs time, and nothing else
/// tells of it.
async fn shown(api: &Api, grant: &Grant, page: Page<'_>) -> Result<Vec<RepositoryName>, Error> {
    if grant.shows_all() {
        return Ok(api.registry.catalog(page).await?);
    }
    let mut shown = Vec::new();
    let mut after = page.after.map(str::to_owned);
    loop {
        let window = Page {
            after: after.as_deref(),
            limit: CATALOG_WINDOW,
        };
        let names = api.registry.catalog(window).await?;
        let is_last = names.len() < CATALOG_WINDOW;
        after = names.last().map(|name| name.as_str().to_owned());
        let wanted = page.limit - shown.len();
        shown.extend(
            names
                .into_iter()
                .filter(|name| grant.shows(name))
                .take(wanted),
        );
        if is_last || shown.len() == page.limit {
            return Ok(shown);
        }
    }
}

/// end-8.
async fn tags(
    State(api): State<Api>,
    Name(name): Name,
    query: Query,
    urls: Urls,
) -> Result<Response, Error> {
    let n = query.page_size(api.options.max_tags)?.unwrap_or(usize::MAX);
    let tags = api.registry.repository(&name).tags();
    let mut tags = tags.list(page(&query, n)).await?;
    let next = next(&mut tags, n, |tag| {
        let query = [("last", tag.as_str()), ("n", &n.to_string())];
        urls.next_page(&format!("{name}/tags/list"), &query)
    });
    let tags: Vec<&str> = tags.iter().map(|tag| tag.as_str()).collect();
    let list = json!({ "name": name.as_str(), "tags": tags });
    Ok(response::page(&list, JSON, next))
}

/// end-12: also for a subject, or a repository, that is not there.
async fn referrers(
    State(api): State<Api>,
    Name(name): Name,
    PathDigest(subject): PathDigest,
    query: Query,
    urls: Urls,
) -> Result<Response, Error> {
    let n = query.page_size(REFERRERS_PAGE)?.unwrap_or(REFERRERS_PAGE);
    let artifact_type = query
        .get("artifactType")
        .filter(|wanted| !wanted.is_empty());
    let wanted = ReferrerQuery {
        subject: &subject,
        artifact_type,
        page: page(&query, n),
    };
    let mut found = match n {
        0 => Vec::new(),
        _ => {
            api.registry
                .repository(&name)
                .referrers()
                .list(wanted)
                .await?
        }
    };
    let n = n.min(fitting(&found));
    let next = next(&mut found, n, |last| {
        next_referrers(
            &urls,
            &format!("{name}/referrers/{subject}"),
            &last.digest,
            n,
            artifact_type,
        )
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": found,
    });
    let mut response = response::page(&index, media_type::OCI_INDEX, next);
    if artifact_type.is_some() {
        let applied = HeaderValue::from_static("artifactType");
        response.headers_mut().insert(FILTERS_APPLIED, applied);
    }
    Ok(response)
}

fn next_referrers(
    urls: &Urls,
    path: &str,
    last: &Digest,
    n: usize,
    artifact_type: Option<&str>,
) -> String {
    let n = n.to_string();
    let mut query = vec![("last", last.as_str()), ("n", &n)];
    query.extend(artifact_type.map(|wanted| ("artifactType", wanted)));
    urls.next_page(path, &query)
}

/// How many of the first descriptors make a page of bearable size; at least one.
fn fitting(found: &[Descriptor]) -> usize {
    let mut bytes = 0;
    let sizes = found
        .iter()
        .map(|descriptor| serde_json::to_string(descriptor).map_or(0, |text| text.len()));
    let fitting = sizes.take_while(|size| {
        bytes += size;
        bytes <= REFERRERS_BYTES
    });
    match fitting.count() {
        count if count == found.len() => usize::MAX,
        count => count.max(1),
    }
}

/// `n` entries and one more.
fn page(query: &Query, n: usize) -> Page<'_> {
    Page {
        after: query.last(),
        limit: n.saturating_add(1),
    }
}

/// Cuts `entries` to `n`, and if that leaves some out makes the link to the next page from the
/// last one that stays.
fn next<T>(entries: &mut Vec<T>, n: usize, link: impl FnOnce(&T) -> String) -> Option<String> {
    if entries.len() <= n {
        return None;
    }
    entries.truncate(n);
    entries.last().map(link)
}
