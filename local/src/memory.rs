//! Who gives memory out, and how what was given back is kept.

/// In a static binary: the allocator of musl has one lock for all threads, which is most of what a
/// small request costs then.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Has all threads take their memory from two arenas. The C library of GNU makes one for each of
/// the first threads, eight a processor; what a connection's buffer leaves in one of them is of no
/// use to a buffer that is made by another thread, so that sixteen uploads held twice what they
/// use. One arena would hold the least, but threads wait for it: half as many manifests a second.
///
/// To be called before there are threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no safe binding of mallopt(3) exists")]
pub fn share() {
    // SAFETY: the call takes no pointers, and no other thread runs yet.
    let _refused = unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
}

/// Other allocators know better.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share() {}
