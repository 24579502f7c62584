//! Who gives memory out, and what is kept of what was given back.

#[cfg(target_os = "linux")]
use rustix::mm::{Advice, madvise};

/// In a static binary: the allocator of musl has one lock for all threads, which is most of what a
/// small request costs then.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Tells the C library of GNU how to keep memory. To be called before there are threads.
///
/// Left alone, it keeps what was given back in as many arenas as eight a processor, each for the
/// threads that were given it: what a connection's buffer leaves in one is of no use to a buffer that
/// is made by a thread of another, and sixteen uploads hold twice what they use. With few arenas the
/// threads that answer requests sometimes share one, as long as the process lives, and wait for each
/// other: of two arenas, half of all processes answer half as many requests a second.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no safe binding of mallopt(3) exists")]
pub fn configure() {
    for (option, value) in [
        (libc::M_ARENA_MAX, 8),
        // The buffers of uploads are larger, and are given back to the system. Without this, the
        // first of them to be freed raises the threshold above them.
        (libc::M_MMAP_THRESHOLD, 128 * 1024),
    ] {
        // SAFETY: the call takes no pointers, and no other thread runs yet.
        let _refused = unsafe { libc::mallopt(option, value) };
    }
}

/// Other allocators know better.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn configure() {}

/// Gives back the pages of the program's own code and constants that starting has needed, which is
/// half of what an idle registry holds: what serving needs of them is mapped again when it is used.
/// Breakpoints that were set before are forgotten as well.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe function tells where the program is")]
pub fn forget_start() {
    // SAFETY: `forget` keeps nothing of what it is given.
    let _stopped = unsafe { libc::dl_iterate_phdr(Some(forget), std::ptr::null_mut()) };
}

/// Other systems count differently.
#[cfg(not(target_os = "linux"))]
pub fn forget_start() {}

/// Gives back the pages of `program`, and asks for no further one: the first is the program itself
/// (dl_iterate_phdr(3)), the others are libraries.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the dynamic linker tells by pointers")]
unsafe extern "C" fn forget(
    program: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the caller keeps both as long as this function runs.
    let (base, segments) = unsafe {
        let program = &*program;
        let count = usize::from(program.dlpi_phnum);
        let segments = std::slice::from_raw_parts(program.dlpi_phdr, count);
        (program.dlpi_addr as usize, segments)
    };
    let page = rustix::param::page_size();
    for segment in segments {
        if segment.p_type != libc::PT_LOAD || segment.p_flags & libc::PF_W != 0 {
            continue;
        }
        let begin = base + segment.p_vaddr as usize;
        let first = begin - begin % page;
        let length = begin - first + segment.p_memsz as usize;
        let first = std::ptr::with_exposed_provenance_mut(first);
        // SAFETY: nobody can have written to these pages, so that the file has the same bytes.
        let _refused = unsafe { madvise(first, length, Advice::LinuxDontNeed) };
    }
    1
}
