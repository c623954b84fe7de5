//! Memory back to the system: what a job freed is not kept for the next one.
//!
//! Parts: [`settle`] and [`keep_blocks`] (once, before threads start), [`give_back`] (now), [`give_back_always`] (for ever). Blocks and
//! segments are taken and freed by many threads; left to itself the C library keeps them in an arena for each, so that a
//! process' size would be the sum of all peaks that ever were. Must not do: free anything; what is in use stays.

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
