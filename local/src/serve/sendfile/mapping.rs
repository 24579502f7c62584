//! The only unsafe code of the server: a file range as memory that nobody reads.

use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

use bytes::Bytes;
use roadstead_storage::FileRange;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::Files;

/// A multiple of every page size in use: mappings begin at one of these.
const ALIGNMENT: u64 = 64 * 1024;

/// `range` as bytes of which `files` knows the file; the mapping lasts as long as any slice.
pub(super) fn map(range: &FileRange, files: &Arc<Files>) -> io::Result<Bytes> {
    let mapping = Mapping::new(range)?;
    files.add(mapping.as_ref(), range);
    Ok(Bytes::from_owner(Announced {
        mapping,
        files: files.clone(),
    }))
}

/// A mapping that its connection recognises.
struct Announced {
    mapping: Mapping,
    files: Arc<Files>,
}

impl AsRef<[u8]> for Announced {
    fn as_ref(&self) -> &[u8] {
        self.mapping.as_ref()
    }
}

/// The address is forgotten first: once unmapped, it may become that of anything.
impl Drop for Announced {
    fn drop(&mut self) {
        self.files.remove(self.mapping.as_ref());
    }
}

/// Read-only shared memory over whole pages of a file.
struct Mapping {
    address: NonNull<c_void>,
    /// Bytes of the mapping before the range.
    skip: usize,
    /// Bytes of the range.
    length: usize,
}

impl Mapping {
    fn new(range: &FileRange) -> io::Result<Self> {
        let too_long = |_| io::Error::from(io::ErrorKind::OutOfMemory);
        let skip = (range.offset % ALIGNMENT) as usize;
        let length = usize::try_from(range.length).map_err(too_long)?;
        let address = map_pages(range, range.offset - skip as u64, skip + length)?;
        Ok(Self {
            address,
            skip,
            length,
        })
    }
}

#[expect(unsafe_code, reason = "a mapping is what carries a file through hyper")]
fn map_pages(range: &FileRange, offset: u64, length: usize) -> io::Result<NonNull<c_void>> {
    let nowhere = std::ptr::null_mut();
    // SAFETY: the kernel chooses the address, so that no memory in use is replaced.
    let address = unsafe {
        mmap(
            nowhere,
            length,
            ProtFlags::READ,
            MapFlags::SHARED | MapFlags::NORESERVE,
            &range.file,
            offset,
        )
    }?;
    NonNull::new(address).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

#[expect(unsafe_code, reason = "a mapping is what carries a file through hyper")]
impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `skip + length` bytes from `address` on are mapped, readable, and stay so as
        // long as `self`. Blobs are never written in place. One that is truncated from outside
        // makes reading a fatal signal, which is why the connection does not read but sends the
        // file itself.
        unsafe {
            let start = self.address.cast::<u8>().add(self.skip);
            std::slice::from_raw_parts(start.as_ptr(), self.length)
        }
    }
}

#[expect(unsafe_code, reason = "a mapping is what carries a file through hyper")]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly this range was mapped, and every slice of it borrows `self`.
        let unmapped = unsafe { munmap(self.address.as_ptr(), self.skip + self.length) };
        debug_assert!(unmapped.is_ok());
    }
}

#[expect(unsafe_code, reason = "a mapping is what carries a file through hyper")]
// SAFETY: the memory is read-only and belongs to no thread.
unsafe impl Send for Mapping {}

#[expect(unsafe_code, reason = "a mapping is what carries a file through hyper")]
// SAFETY: as for `Send`; there is nothing to change through a shared reference.
unsafe impl Sync for Mapping {}
