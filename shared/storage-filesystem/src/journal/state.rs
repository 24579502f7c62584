//! What a journal has at the moment, and what is appended to it.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use roadstead_storage::Key;

use super::claims::is_at_or_below;
use super::record::{Entry, Record};
use super::segment::{Applying, SIZE, Segment};

#[derive(Debug, Default)]
pub(super) struct State {
    /// To which records are appended.
    pub(super) open: Option<Open>,
    /// Whose files are being forced.
    pub(super) closed: Option<Open>,
    /// Without records.
    pub(super) spare: Option<Arc<Segment>>,
    /// When the last record was written.
    pub(super) last: u64,
    /// Nobody knows what the disk has, or the filesystem is of another kind: nothing is appended.
    pub(super) is_unfit: bool,
    pub(super) is_stopped: bool,
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) segment: Arc<Segment>,
    /// Where the next record goes.
    pub(super) end: usize,
    pub(super) records: usize,
    /// What the records are about.
    pub(super) keys: BTreeSet<Key>,
}

impl State {
    /// Appends a record, which is not durable yet; `None` when there is no room for it.
    pub(super) fn append(
        &mut self,
        entries: Vec<Entry>,
        keys: impl IntoIterator<Item = Key>,
    ) -> io::Result<Option<Applying>> {
        let Some(open) = &mut self.open else {
            return Ok(None);
        };
        let time = nanoseconds(SystemTime::now()).max(self.last + 1);
        let bytes = open.segment.encode(&Record { time, entries });
        if self.is_unfit || open.end + bytes.len() > SIZE {
            return Ok(None);
        }
        let written = open.segment.write(&bytes, open.end);
        written.inspect_err(|_| self.is_unfit = true)?;
        self.last = time;
        open.records += 1;
        open.end += bytes.len();
        open.keys.extend(keys);
        Ok(Some(open.segment.enter()))
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &Open> {
        self.open.iter().chain(&self.closed)
    }

    /// Whether the journal has something of `key` or below it.
    pub(super) fn knows(&self, key: &Key) -> bool {
        self.segments().any(|open| open.below(key).next().is_some())
    }

    pub(super) fn forget(&mut self, prefix: &Key) {
        for open in self.open.iter_mut().chain(&mut self.closed) {
            open.keys.retain(|key| !is_at_or_below(key, prefix));
        }
    }

    pub(super) fn has_records(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.is_empty())
    }

    pub(super) fn is_new(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.records == 1)
    }

    pub(super) fn is_half_full(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.end > SIZE / 2)
    }

    pub(super) fn remove_segments(&mut self) {
        let open = self.open.take().map(|open| open.segment);
        for segment in open.into_iter().chain(self.spare.take()) {
            // At worst it stays, without a record, until the next recovery.
            let _gone = segment.remove();
        }
    }
}

impl Open {
    pub(super) fn new(segment: Arc<Segment>) -> Self {
        Self {
            segment,
            end: Segment::BEGIN,
            records: 0,
            keys: BTreeSet::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The keys that are `prefix` or below it.
    pub(super) fn below<'k>(&'k self, prefix: &'k Key) -> impl Iterator<Item = &'k Key> {
        let from = self.keys.range(prefix..);
        let from = from.take_while(|key| key.as_str().starts_with(prefix.as_str()));
        from.filter(|key| is_at_or_below(key, prefix))
    }
}

/// Since 1970.
fn nanoseconds(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    since.as_nanos().try_into().unwrap_or(u64::MAX)
}
