//! What Linux alone can do; elsewhere nothing is known to be cached, so files are read.

#[cfg(target_os = "linux")]
pub(in crate::serve) use linux::*;
#[cfg(not(target_os = "linux"))]
pub(in crate::serve) use other::*;

#[cfg(target_os = "linux")]
mod linux {
    use std::io::IoSliceMut;
    use std::os::fd::AsFd;

    use roadstead_storage::FileRange;
    use rustix::fs::{Advice, fadvise};
    use rustix::io::{ReadWriteFlags, Result, preadv2};
    use rustix::net::SendFlags;

    use crate::serve::sendfile::Part;

    /// A head that a file follows at once leaves with it.
    pub(in crate::serve) const FILE_FOLLOWS: SendFlags = SendFlags::MORE.union(SendFlags::NOSIGNAL);

    /// Sends a part of a file, or the beginning of it.
    pub(in crate::serve) fn send_file(socket: impl AsFd, part: &Part) -> Result<usize> {
        let mut offset = part.offset;
        rustix::fs::sendfile(socket, &part.file, Some(&mut offset), part.length)
    }

    /// Reads one byte if that needs no disk.
    pub(in crate::serve) fn probe(range: &FileRange, place: u64) -> Result<usize> {
        let mut byte = [0];
        let mut slices = [IoSliceMut::new(&mut byte)];
        let offset = range.offset + place;
        preadv2(&range.file, &mut slices, offset, ReadWriteFlags::NOWAIT)
    }

    /// Starts reading into the page cache.
    pub(in crate::serve) fn read_ahead(range: &FileRange, offset: u64, length: u64) {
        // Only a hint: what fails here fails again, and is reported, in the next read.
        let _ = fadvise(
            &range.file,
            offset,
            length.try_into().ok(),
            Advice::WillNeed,
        );
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::os::fd::AsFd;

    use roadstead_storage::FileRange;
    use rustix::io::{Errno, Result};
    use rustix::net::SendFlags;

    use crate::serve::sendfile::Part;

    pub(in crate::serve) const FILE_FOLLOWS: SendFlags = SendFlags::empty();

    pub(in crate::serve) fn send_file(_: impl AsFd, _: &Part) -> Result<usize> {
        Err(Errno::NOSYS)
    }

    pub(in crate::serve) fn probe(_: &FileRange, _: u64) -> Result<usize> {
        Err(Errno::NOSYS)
    }

    pub(in crate::serve) fn read_ahead(_: &FileRange, _: u64, _: u64) {}
}
