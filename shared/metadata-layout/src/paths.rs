//! The tree of files, and the only place that knows it.
//!
//! ```text
//! docker/registry/v2/
//!   blobs/<alg>/<first two hex>/<hex>/data                 bytes of a blob or a manifest
//!   repositories/<name>/
//!     _layers/<alg>/<hex>/link                             a blob is part of the repository
//!     _manifests/revisions/<alg>/<hex>/link                a manifest is part of the repository
//!     _manifests/tags/<tag>/current/link                   what the tag points to
//!     _manifests/tags/<tag>/index/<alg>/<hex>/link         what the tag pointed to
//!     _uploads/<uuid>/data                                 bytes of an unfinished upload
//!     _uploads/<uuid>/startedat                            when it was begun (RFC 3339)
//!     _uploads/<uuid>/hashstates/<alg>/<offset>            digest of its first <offset> bytes, so far
//!     _roadstead/referrers/<alg>/<hex>/<alg>-<hex>         ours: a referrer of the manifest <hex>
//!     _roadstead/referrers/indexed                         ours: all older manifests were looked at
//! ```
//!
//! Where the driver keeps notes with an upload, `startedat` and `hashstates` are notes on `data`.
//! A link holds the canonical digest as text, without a newline; a link under another algorithm
//! is an alias and holds the canonical digest too. Everything but `_roadstead` is CNCF
//! Distribution's; it passes over names that begin with `_` and that it does not know.

use roadstead_metadata::UploadSession;
use roadstead_oci::{Digest, RepositoryName, Tag};
use roadstead_storage::{Error, Key};

pub(crate) const ROOT: &str = "docker/registry/v2";

type Result = std::result::Result<Key, Error>;

pub(crate) fn blobs() -> Result {
    Key::new(&format!("{ROOT}/blobs/sha256"))
}

pub(crate) fn blob(digest: &Digest) -> Result {
    let (algorithm, hex) = (digest.algorithm(), digest.hex());
    Key::new(&format!("{ROOT}/blobs/{algorithm}/{}/{hex}", &hex[..2]))
}

pub(crate) fn blob_data(digest: &Digest) -> Result {
    blob(digest)?.join("data")
}

pub(crate) fn repositories() -> Result {
    Key::new(&format!("{ROOT}/repositories"))
}

/// Something in a repository's own folder.
pub(crate) fn repository(name: &RepositoryName, rest: &str) -> Result {
    Key::new(&format!("{ROOT}/repositories/{name}/{rest}"))
}

pub(crate) fn layers(name: &RepositoryName) -> Result {
    repository(name, "_layers/sha256")
}

pub(crate) fn layer(name: &RepositoryName, digest: &Digest) -> Result {
    repository(name, &format!("_layers/{}", by_digest(digest)))
}

pub(crate) fn layer_link(name: &RepositoryName, digest: &Digest) -> Result {
    layer(name, digest)?.join("link")
}

pub(crate) fn revisions(name: &RepositoryName) -> Result {
    repository(name, "_manifests/revisions/sha256")
}

pub(crate) fn revision(name: &RepositoryName, digest: &Digest) -> Result {
    repository(name, &format!("_manifests/revisions/{}", by_digest(digest)))
}

pub(crate) fn revision_link(name: &RepositoryName, digest: &Digest) -> Result {
    revision(name, digest)?.join("link")
}

pub(crate) fn tags(name: &RepositoryName) -> Result {
    repository(name, "_manifests/tags")
}

pub(crate) fn tag(name: &RepositoryName, tag: &Tag) -> Result {
    repository(name, &format!("_manifests/tags/{tag}"))
}

pub(crate) fn tag_current(name: &RepositoryName, tag: &Tag) -> Result {
    repository(name, &format!("_manifests/tags/{tag}/current/link"))
}

pub(crate) fn tag_index(name: &RepositoryName, tag: &Tag, digest: &Digest) -> Result {
    let digest = by_digest(digest);
    repository(name, &format!("_manifests/tags/{tag}/index/{digest}/link"))
}

pub(crate) fn uploads(name: &RepositoryName) -> Result {
    repository(name, "_uploads")
}

pub(crate) fn upload(name: &RepositoryName, id: &str) -> Result {
    uploads(name)?.join(id)
}

pub(crate) fn upload_data(session: &UploadSession) -> Result {
    upload(&session.repository, &session.id)?.join("data")
}

pub(crate) fn upload_started_at(name: &RepositoryName, id: &str) -> Result {
    upload(name, id)?.join("startedat")
}

pub(crate) fn upload_hash_states(session: &UploadSession) -> Result {
    upload(&session.repository, &session.id)?.join("hashstates/sha256")
}

pub(crate) fn referrers(name: &RepositoryName, subject: &Digest) -> Result {
    repository(
        name,
        &format!("_roadstead/referrers/{}", by_digest(subject)),
    )
}

pub(crate) fn referrer(name: &RepositoryName, subject: &Digest, digest: &Digest) -> Result {
    referrers(name, subject)?.join(&referrer_name(digest))
}

pub(crate) fn referrer_name(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm(), digest.hex())
}

pub(crate) fn referrers_indexed(name: &RepositoryName) -> Result {
    repository(name, "_roadstead/referrers/indexed")
}

fn by_digest(digest: &Digest) -> String {
    format!("{}/{}", digest.algorithm(), digest.hex())
}
