//! Memory back to the system: what a job freed is not kept for the next one.
//!
//! Parts: [`settle`] and [`keep_blocks`] (once, before threads start), [`give_back`] (now), [`give_back_always`] (for ever),
//! [`give_back_program`] (pages of the program's file). Blocks and segments are taken and freed by many threads; left to itself the C library keeps them in an arena for each, so that a
//! process' size would be the sum of all peaks that ever were. Must not do: free anything; what is in use stays.

#[cfg(target_os = "linux")]
use std::ffi::{c_int, c_void};
use std::time::Duration;

/// Arenas of the C library: few enough that what one thread freed serves another, enough that threads seldom meet.
#[cfg(target_env = "gnu")]
const ARENAS: i32 = 2;
/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);

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

/// Gives back what is free, now and then.
pub async fn give_back_always() {
    loop {
        tokio::time::sleep(EVERY).await;
        give_back();
    }
}

/// Gives back the mapped pages of the program's own file: code and constants. Around each page that is run or read the kernel maps sixteen, most
/// of them for what runs once, at the start. What is run again is mapped again, without reading: it stays in the system's cache as long as there is room.
/// For when there is little to do, since each of those costs a fault. A breakpoint that a debugger wrote into the code is lost.
pub fn give_back_program() {
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "only the C library knows where the program lies")]
    // SAFETY: it calls the function before it returns, with a description that is valid for that call, and does not keep the pointer, which is null.
    unsafe {
        libc::dl_iterate_phdr(Some(give_back_object), std::ptr::null_mut());
    }
}

/// Gives back what of a loaded object is never written to. The program is told first, and with 1 nothing else is: libraries are small, and shared.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "called by the C library, with its own description of what it loaded")]
unsafe extern "C" fn give_back_object(object: *mut libc::dl_phdr_info, _bytes: usize, _ours: *mut c_void) -> c_int {
    // SAFETY: the library passes a description with as many headers as it says, all valid until this returns.
    let (base, headers) = unsafe { ((*object).dlpi_addr, std::slice::from_raw_parts((*object).dlpi_phdr, usize::from((*object).dlpi_phnum))) };
    // SAFETY: it reads a constant of the system.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(usize::MAX);
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0) {
        let begin = (base + header.p_vaddr) as usize;
        // Whole pages alone: in the first and the last one there may be something else.
        let (first, end) = (begin.next_multiple_of(page), (begin + header.p_memsz as usize) / page * page);
        if first < end {
            // SAFETY: the pages lie in a segment of the program that nobody writes to, so that the file has the same: they are read from there again.
            unsafe {
                libc::madvise(first as *mut c_void, end - first, libc::MADV_DONTNEED);
            }
        }
    }
    1
}
