//! `list`: the names below a prefix, in the order of their bytes.
//!
//! S3 lists objects in the order of their names, and those below a common prefix as that prefix
//! with its slash: `a-b` stands before `a/`, though `a` comes before `a-b`. A page of S3 is
//! therefore the beginning of the list but for the prefixes that are shortened forms of its last
//! name; whether these exist is asked one by one, if there are more pages at all.

use std::collections::BTreeMap;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{CommonPrefix, Object};
use roadstead_storage::{Entry, EntryKind, Error, Key, ListOptions};

use crate::bucket::{Bucket, Listing};
use crate::conditions::OWN;
use crate::error::Failure;

/// How many names S3 gives at a time.
const PAGE: usize = 1000;

pub(crate) async fn list(
    bucket: &Bucket,
    prefix: &Key,
    options: ListOptions<'_>,
) -> Result<Vec<Entry>, Error> {
    let list = collect(bucket, prefix, options).await;
    let (names, nothing) = list.map_err(Failure::outage)?;
    if nothing && *prefix != Key::root() {
        let below = bucket.below(prefix);
        let anything = match options.after {
            None => Ok(false),
            Some(_) => anything(bucket, &below).await,
        };
        if !anything.map_err(Failure::outage)? {
            return Err(Error::NotFound(prefix.to_string()));
        }
    }
    let names = names.into_iter().take(options.limit);
    let entry = |(name, kind)| Entry { name, kind };
    Ok(names.map(entry).collect())
}

/// Whether there are objects whose names begin with `below`.
pub(crate) async fn anything(bucket: &Bucket, below: &str) -> Result<bool, Failure> {
    let options = Listing {
        limit: Some(1),
        ..Listing::default()
    };
    let answer = bucket.list(below, options).await?;
    Page::new(&answer)?;
    Ok(!answer.contents().is_empty())
}

/// The names after `options.after` up to at least `options.limit` of them, and whether S3 had
/// nothing to show.
async fn collect(
    bucket: &Bucket,
    prefix: &Key,
    options: ListOptions<'_>,
) -> Result<(BTreeMap<String, EntryKind>, bool), Failure> {
    let below = bucket.below(prefix);
    let mut names = BTreeMap::new();
    let mut nothing = true;
    let mut token: Option<String> = None;
    let start = options
        .after
        .map(sendable)
        .filter(|after| !after.is_empty());
    let start = start.map(|after| format!("{below}{after}"));
    let is_wanted = |name: &str| {
        let after = options.after.is_none_or(|after| name > after);
        after && !name.starts_with(OWN) && is_name(name)
    };
    loop {
        let listing = Listing {
            delimited: true,
            after: start.as_deref().filter(|_| token.is_none()),
            token: token.as_deref(),
            limit: None,
        };
        let answer = bucket.list(&below, listing).await?;
        let page = Page::new(&answer)?;
        nothing &= page.is_empty();
        for (name, kind) in page.names(&below) {
            if is_wanted(name) {
                add(&mut names, name, kind);
            }
        }
        let Some(next) = page.next.clone() else {
            return Ok((names, nothing));
        };
        if names.len() >= options.limit {
            let mut candidates = shortened(page.last(&below));
            candidates.retain(|name| is_wanted(name) && !names.contains_key(*name));
            for name in candidates {
                if anything(bucket, &format!("{below}{name}/")).await? {
                    add(&mut names, name, EntryKind::Prefix);
                }
            }
            return Ok((names, nothing));
        }
        if token.as_ref() == Some(&next) {
            return Err(Failure::found("ListObjectsV2", "a page follows itself"));
        }
        token = Some(next);
    }
}

/// The beginning of a name that S3 can be asked about: its answer repeats it, in XML, and no name
/// of an object has more than 1024 bytes. It comes before all that comes after the name.
fn sendable(name: &str) -> &str {
    const LONGEST: usize = 256;
    let end = name.find(|next: char| !next.is_ascii_graphic());
    let name = &name[..end.unwrap_or(name.len())];
    &name[..name.len().min(LONGEST)]
}

/// A name that is both content and a prefix is content.
fn add(names: &mut BTreeMap<String, EntryKind>, name: &str, kind: EntryKind) {
    if kind == EntryKind::Content || !names.contains_key(name) {
        names.insert(name.to_owned(), kind);
    }
}

fn is_name(name: &str) -> bool {
    !name.contains('/') && !name.is_empty() && Key::new(name).is_ok()
}

/// The names that `name` begins with and that S3 shows after it when they are prefixes.
fn shortened(name: &str) -> Vec<&str> {
    let ends = name.char_indices().filter(|(_, next)| *next < '/');
    ends.map(|(end, _)| &name[..end])
        .filter(|name| !name.is_empty())
        .collect()
}

/// One page of S3, whole for sure.
pub(crate) struct Page<'a> {
    answer: &'a ListObjectsV2Output,
    /// The token of the next page; `None` says that this is the last.
    pub(crate) next: Option<String>,
}

impl<'a> Page<'a> {
    /// # Errors
    ///
    /// When the answer contradicts itself: more names than are there, or more pages and no way
    /// to them. Who would delete what a list does not show must not be told a part of it.
    pub(crate) fn new(answer: &'a ListObjectsV2Output) -> Result<Self, Failure> {
        let found = answer.contents().len() + answer.common_prefixes().len();
        let said = usize::try_from(answer.key_count().unwrap_or_default()).unwrap_or(usize::MAX);
        let next = answer
            .next_continuation_token()
            .filter(|token| !token.is_empty());
        let truncated = match answer.is_truncated() {
            Some(truncated) => truncated,
            None => next.is_some() || found >= PAGE,
        };
        if said > found || (truncated && next.is_none()) {
            return Err(Failure::found("ListObjectsV2", "the list is cut off"));
        }
        let next = next.filter(|_| truncated).map(str::to_owned);
        Ok(Self { answer, next })
    }

    fn is_empty(&self) -> bool {
        self.answer.contents().is_empty() && self.answer.common_prefixes().is_empty()
    }

    /// What the names have beyond `below`, in no certain order.
    fn names(&self, below: &str) -> impl Iterator<Item = (&'a str, EntryKind)> {
        let start = below.len();
        let contents = self.answer.contents().iter();
        let contents = contents.filter_map(move |object| object.key()?.get(start..));
        let prefixes = self.answer.common_prefixes().iter();
        let prefixes = prefixes.filter_map(move |prefix| prefix.prefix()?.get(start..));
        let prefixes = prefixes.filter_map(|name| name.strip_suffix('/'));
        let contents = contents.map(|name| (name, EntryKind::Content));
        contents.chain(prefixes.map(|name| (name, EntryKind::Prefix)))
    }

    /// The last of the names in S3's order.
    fn last(&self, below: &str) -> &'a str {
        let contents = self.answer.contents().last().and_then(Object::key);
        let prefixes = self.answer.common_prefixes().last();
        let last = contents.max(prefixes.and_then(CommonPrefix::prefix));
        let last = last.and_then(|last| last.get(below.len()..));
        last.unwrap_or_default().trim_end_matches('/')
    }

    /// The names of the objects.
    pub(crate) fn objects(&self) -> impl Iterator<Item = String> {
        let contents = self.answer.contents().iter();
        contents.filter_map(|object| object.key().map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_preceded_by_its_shortened_forms() {
        assert_eq!(shortened("v1.2-rc.1"), ["v1", "v1.2", "v1.2-rc"]);
        assert_eq!(shortened("latest"), [""; 0]);
        assert_eq!(shortened("-a"), [""; 0]);
        assert_eq!(shortened(""), [""; 0]);
    }

    #[test]
    fn a_page_that_is_cut_off_is_no_page() {
        let page = |count: i32, truncated: Option<bool>, token: Option<&str>| {
            let answer = ListObjectsV2Output::builder()
                .contents(Object::builder().key("a").build())
                .set_key_count(Some(count))
                .set_is_truncated(truncated)
                .set_next_continuation_token(token.map(str::to_owned));
            Page::new(&answer.build()).map(|page| page.next.is_some())
        };
        assert!(!page(1, Some(false), None).unwrap());
        assert!(!page(0, Some(false), None).unwrap());
        assert!(page(1, Some(true), Some("t")).unwrap());
        assert!(!page(1, None, None).unwrap());
        assert!(page(1, None, Some("t")).unwrap());
        assert!(!page(1, Some(false), Some("t")).unwrap());
        page(2, Some(false), None).unwrap_err();
        page(1, Some(true), None).unwrap_err();
        page(1, Some(true), Some("")).unwrap_err();
    }
}
