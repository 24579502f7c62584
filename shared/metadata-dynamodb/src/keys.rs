//! The table, and the only place that knows it.
//!
//! One table with the partition key `pk` and the sort key `sk`, both strings; `ttl` is its
//! time-to-live attribute. There is no index beside it: every read is by key and strongly
//! consistent, which reads of a global index are not.
//!
//! ```text
//! pk                               sk            what the row says
//! catalog#<shard>                  <repository>  there is the repository; `manifests`: it has had one
//! reference#<repository>           <digest>      a manifest as it is pulled: digest, type, bytes
//! reference#<repository>           <tag>         the same, by tag: a copy of the bytes if they are few
//! revision#<repository>            <digest>      the manifest is part of the repository: modified, push,
//!                                                version, before, aliases, subject
//! tag#<repository>                 <tag>         what the tag points to; before: what it pointed to
//! referrer#<repository>#<subject>  <digest>      an edge: how the referrer is listed
//! link#<repository>                <digest>      the blob is part of the repository: modified, aliases
//! upload#<repository>              <id>          an upload: started, expires, ttl, states; once it has
//!                                                ended: ended, or adopted (digest) and key
//! blob#<first hex digit>           <digest>      where the content lies: key, size, modified
//! orphan                           <key>         content that no row points to: since; doomed, once it is
//!                                                about to be deleted
//! ```
//!
//! **One read pulls a manifest.** `reference` rows are what GET and HEAD read, whatever the
//! reference is. The copy in a tag's row cannot be out of date: the row is replaced as a whole
//! with its digest, and what a digest says never changes. That no tag outlives its manifest is
//! the business of writers, see below. Rows that are listed, `tag` and `revision`, are small
//! ones of their own: a list reads no bytes of manifests.
//!
//! **Sizes.** An item has at most 400 KB. Up to [`INLINE`] bytes of a manifest lie in its row,
//! up to [`COPIED`] bytes also in the row of each tag; above that a pull by tag is two reads.
//! Larger manifests lie where blobs do, with a `blob` row: they have up to 4 MiB, a transaction
//! has at most that in all, and a partition takes 1 MB of writes a second. Garbage collection
//! finds their content as it finds that of blobs, marked by the revision. Pushed again, it stays
//! where it lies, if it is good, and only gets a new age: what was imported lies where another
//! registry looks for it.
//!
//! **One transaction a push**: revision, reference, alias, edge and tags. Each tag is two items
//! and a transaction has at most 100, so beyond [`TAGS_AT_ONCE`] tags the rest follows in
//! transactions of their own, after the manifest.
//!
//! **Fixed tags** are a condition of the push: the tag's row is new, or has the same digest.
//!
//! **Tags and deletion.** Whatever writes a tag also sets a new `version` in the revision of its
//! manifest; whatever removes a manifest reads the version, then looks for tags, then removes
//! under the condition that the version is still that one. So of a push and a deletion that meet
//! one is done again, and no tag points to what is not there. Garbage collection removes a
//! manifest under the same condition, and only if its last push is older than the collection's
//! grace age: a push that comes after it was marked stays. A push that is refused after all finds
//! by `push`, which names the last one, whether another has come since, and by `before`, which is
//! the version that it has replaced, or its own name in a new row, whether the manifest was there;
//! if neither, it removes the manifest, under the same condition again, and puts its tags back to
//! what they pointed to before. That is a push of a tag to a manifest as any other: it is there,
//! and it gets a new version and a new age.
//!
//! **No hot item.** A `catalog` row is written once in the life of a repository and never
//! removed, so every process may remember that it is there. Names are spread over
//! [`CATALOG_SHARDS`] partitions by hash and merged when they are listed; whether a repository
//! still has a manifest is asked of `revision` then. Two pushes to one repository meet in no
//! item unless they push the same manifest or tag.
//!
//! **Content.** An upload grows at one key, which any process may write to, and each attempt to
//! end it commits its bytes at another, beside that one, to which nothing is ever written again.
//! So whoever still has hold of an upload that another process has ended can spoil no blob,
//! whatever conditions the store of the bytes honours, and nothing is copied. Ending it is one
//! transaction: the `blob` row, the link, and in the session which key it is; of several attempts
//! one wins, and an attempt that is tried again wins once. It is the only call that ending takes:
//! a version of the session, or a fresh key for each request, would be a write at each opening as
//! well. Content that a row stops to point to, or does not point to yet, has an `orphan` row from
//! before to after: a crash leaves nothing behind for good.
//!
//! **Sessions** end for readers when they are adopted or ended, or when they expire. Their rows
//! stay until purging: whoever had hold of an upload then may have written beside the key that
//! won. What lies below the prefix of an upload can become a blob only by its row, and there at
//! most one key: so purging makes sure that none can any more, deletes all but that key, and then
//! the row. `ttl` is later than all of that: purging finds a row before the table forgets it.

use aws_sdk_dynamodb::types::AttributeValue;
use roadstead_oci::{Digest, Reference, RepositoryName, Tag};

use crate::row::Attributes;

/// The most bytes of a manifest that lie in its own row.
pub(crate) const INLINE: usize = 256 * 1024;

/// The most bytes of a manifest that are copied into the row of a tag.
pub(crate) const COPIED: usize = 32 * 1024;

/// The most bytes of a descriptor that lie in the row of an edge.
pub(crate) const EDGE: usize = 64 * 1024;

/// How many tags go into one transaction: two items each, beside at most nine others.
pub(crate) const TAGS_AT_ONCE: usize = 45;

/// How many tags of a refused push go into one transaction: two items each and the manifest that
/// they go back to, beside at most nine others.
pub(crate) const TAGS_BACK_AT_ONCE: usize = 30;

/// Over how many partitions the catalog is spread.
pub(crate) const CATALOG_SHARDS: u64 = 8;

/// The first hexadecimal digits of digests, in order: each has a partition of blobs.
pub(crate) const BLOB_SHARDS: &str = "0123456789abcdef";

/// The name of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

impl Key {
    pub(crate) fn attributes(&self) -> Attributes {
        let text = |text: &String| AttributeValue::S(text.clone());
        Attributes::from([
            ("pk".to_owned(), text(&self.pk)),
            ("sk".to_owned(), text(&self.sk)),
        ])
    }
}

fn key(pk: String, sk: impl ToString) -> Key {
    let sk = sk.to_string();
    Key { pk, sk }
}

pub(crate) fn repository(name: &RepositoryName) -> Key {
    key(catalog(shard(name)), name)
}

pub(crate) fn catalog(shard: u64) -> String {
    format!("catalog#{shard}")
}

/// FNV-1a: which shard a name is in must never change.
fn shard(name: &RepositoryName) -> u64 {
    let bytes = name.as_str().bytes();
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash % CATALOG_SHARDS
}

pub(crate) fn reference(name: &RepositoryName, reference: &Reference) -> Key {
    key(format!("reference#{name}"), reference)
}

pub(crate) fn by_digest(name: &RepositoryName, digest: &Digest) -> Key {
    reference(name, &Reference::Digest(digest.clone()))
}

pub(crate) fn by_tag(name: &RepositoryName, tag: &Tag) -> Key {
    reference(name, &Reference::Tag(tag.clone()))
}

pub(crate) fn revision(name: &RepositoryName, digest: &Digest) -> Key {
    key(revisions(name), digest)
}

pub(crate) fn revisions(name: &RepositoryName) -> String {
    format!("revision#{name}")
}

pub(crate) fn tag(name: &RepositoryName, tag: &Tag) -> Key {
    key(tags(name), tag)
}

pub(crate) fn tags(name: &RepositoryName) -> String {
    format!("tag#{name}")
}

pub(crate) fn referrer(name: &RepositoryName, subject: &Digest, digest: &Digest) -> Key {
    key(referrers(name, subject), digest)
}

pub(crate) fn referrers(name: &RepositoryName, subject: &Digest) -> String {
    format!("referrer#{name}#{subject}")
}

pub(crate) fn link(name: &RepositoryName, digest: &Digest) -> Key {
    key(links(name), digest)
}

pub(crate) fn links(name: &RepositoryName) -> String {
    format!("link#{name}")
}

/// `None` for what is no name of an upload and could not be asked for.
pub(crate) fn upload(name: &RepositoryName, id: &str) -> Option<Key> {
    const LONGEST: usize = 128;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_id = (1..=LONGEST).contains(&id.len()) && id.bytes().all(is_name);
    is_id.then(|| key(uploads(name), id))
}

pub(crate) fn uploads(name: &RepositoryName) -> String {
    format!("upload#{name}")
}

pub(crate) fn blob(digest: &Digest) -> Key {
    key(blobs(&digest.hex()[..1]), digest)
}

pub(crate) fn blobs(shard: &str) -> String {
    format!("blob#{shard}")
}

pub(crate) fn orphan(content: &str) -> Key {
    key(orphans(), content)
}

pub(crate) fn orphans() -> String {
    "orphan".to_owned()
}

/// What all content lies below that came by uploads.
pub(crate) const UPLOADED: &str = "blobs";

/// What all that comes of the upload `id` lies below. The last digits of a UUID are random in all
/// its versions: a prefix of them spreads the keys of a bucket.
pub(crate) fn contents_of_upload(id: &str) -> String {
    content(UPLOADED, id)
}

/// Where the bytes of the upload `id` grow; what it becomes lies beside.
pub(crate) fn growing(id: &str) -> String {
    format!("{}/upload", contents_of_upload(id))
}

/// Where the manifest `id` lies that is too large for a row.
pub(crate) fn content_of_manifest(id: &str) -> String {
    content("manifests", id)
}

fn content(kind: &str, id: &str) -> String {
    let shard = id.get(id.len().saturating_sub(2)..).unwrap_or(id);
    format!("{kind}/{shard}/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_stays_in_its_shard() {
        let shard_of = |name: &str| shard(&name.parse().unwrap());
        assert_eq!(
            ["a", "library/ubuntu", "a/b/c"].map(shard_of),
            [4, 2, 3],
            "rows of existing tables would not be found"
        );
    }

    #[test]
    fn only_what_can_name_an_upload_is_asked_for() {
        let name = "a".parse().unwrap();
        let long = "a".repeat(200);
        for bad in ["", "a/b", "a#b", "é", "a\0", &long] {
            assert_eq!(upload(&name, bad), None, "{bad:?}");
        }
        assert!(upload(&name, "01938f3c-7b1e-7000-8000-0123456789ab").is_some());
    }

    #[test]
    fn the_content_of_an_upload_lies_below_its_last_digits() {
        assert_eq!(contents_of_upload("0-ab"), "blobs/ab/0-ab");
        assert_eq!(growing("0-ab"), "blobs/ab/0-ab/upload");
    }
}
