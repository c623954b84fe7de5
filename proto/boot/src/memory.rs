//! Memory back to the system: what a job freed is not kept for the next one, and what only the start ran does not count for ever.
//!
//! Parts: [`settle`] and [`keep_blocks`] (once, before threads start), [`give_back`] and [`forget_code`] (now),
//! [`give_back_always`] (all of it, for ever). Blocks and segments are taken and freed by many threads; left to itself the C library
//! keeps them in an arena for each, so that a process' size would be the sum of all peaks that ever were. Must not do: free
//! anything; what is in use stays.

use std::time::Duration;

/// Arenas of the C library: few enough that what one thread freed serves another, enough that threads seldom meet.
#[cfg(target_env = "gnu")]
const ARENAS: i32 = 2;
/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// So many looks after it began, the start is over.
const START: u32 = 4;

/// Says how memory is to be kept.
pub fn settle() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "a setting of the C library, made before there are threads; it reads nothing of ours")]
    // SAFETY: any values are allowed; an unknown one is refused by the library itself.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}

/// Blocks up to `bytes` are taken from what was freed before instead of from the system, which must clear each page anew; as much as
/// `bytes` stays free for that until [`give_back`].
pub fn keep_blocks(bytes: i32) {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "settings of the C library, made before there are threads; they read nothing of ours")]
    // SAFETY: any values are allowed; what is out of bounds is refused by the library itself.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, bytes);
        libc::mallopt(libc::M_TRIM_THRESHOLD, bytes);
    }
}

/// Gives back what is free: a walk over it, about a millisecond.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the C library walks its own free lists, under its own locks")]
    // SAFETY: it may be called at any time from any thread and touches only memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Says that the program's code and constants are not in use until they are touched again, which costs about a microsecond for
/// each window of 64 KiB. The kernel maps that much around each page that is run, and counts it as the process' own for ever:
/// settings, arguments, handshakes. What is not mapped and marked cold stays in the system's cache until room is needed, and is taken first then.
///
/// Only pages that nobody can have written: those of segments that are not writable. What a debugger changed
/// there is lost.
pub fn forget_code() {
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "the C library tells where the program lies, the kernel how its pages are kept")]
    // SAFETY: `forget` may be called with what the library gives it, and uses no data of ours.
    unsafe {
        libc::dl_iterate_phdr(Some(forget), std::ptr::null_mut());
    }
}

/// For an object that lies in a file: the program, and the libraries that it is linked with.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "as above")]
unsafe extern "C" fn forget(info: *mut libc::dl_phdr_info, _size: libc::size_t, _data: *mut libc::c_void) -> libc::c_int {
    // The first is the program, which bears no name; what the kernel maps of its own bears no path.
    // SAFETY: the library passes a whole `dl_phdr_info`, its name a string that ends with zero.
    let is_file = unsafe { matches!(std::ffi::CStr::from_ptr((*info).dlpi_name).to_bytes(), [] | [b'/', ..]) };
    if !is_file {
        return 0;
    }
    // SAFETY: as above, and the headers stay mapped as long as the object does: here for ever.
    let (base, headers) = unsafe { ((*info).dlpi_addr, std::slice::from_raw_parts((*info).dlpi_phdr, usize::from((*info).dlpi_phnum))) };
    // SAFETY: it reads a number.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096).max(1);
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0) {
        let from = (base + header.p_vaddr) / page * page;
        let to = (base + header.p_vaddr + header.p_memsz) / page * page;
        let (Ok(at), Ok(bytes)) = (usize::try_from(from), usize::try_from(to.saturating_sub(from))) else { continue };
        for advice in [libc::MADV_COLD, libc::MADV_DONTNEED] {
            // SAFETY: a mapping of a file that is not writable: what is dropped is read from the file again, the same bytes.
            unsafe { libc::madvise(std::ptr::with_exposed_provenance_mut(at), bytes, advice) };
        }
    }
    0
}

/// Gives back what is free, now and then, and what the start needed once that is over.
pub async fn give_back_always() {
    for turn in 1_u32.. {
        tokio::time::sleep(EVERY).await;
        give_back();
        if turn == START {
            forget_code();
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
