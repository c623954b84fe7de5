//! The mark of a line that was too long: `…[cut from N bytes]` after what is kept of it.
//!
//! Must not do: decide how long is too long.

use std::io::Write;

/// Marks `kept`, the beginning of a line of `total` bytes. A character that the cut went through is left out.
pub(crate) fn mark(kept: &mut Vec<u8>, total: u64) {
    kept.truncate(whole_chars(kept));
    // writing to a Vec cannot fail
    let written = write!(kept, "\u{2026}[cut from {total} bytes]");
    debug_assert!(written.is_ok());
}

/// Length of `bytes` without an unfinished UTF-8 character at the end; other broken bytes stay.
pub(crate) fn whole_chars(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(3);
    for at in (tail..bytes.len()).rev() {
        let wanted = match bytes[at] {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if bytes.len() - at < wanted { at } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests;
