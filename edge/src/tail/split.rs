//! Bytes of one file to complete lines.
//!
//! Pure. [`Splitter`] keeps what follows the last newline; a line longer than [`LINE_BYTES_MAX`] is cut,
//! its rest counted and skipped. Promises: `consumed` is exact to the byte, so a position names the first
//! byte of a line that was not handed out. A trailing `\r` belongs to the line ending (CRLF); a bare
//! `\r`, NUL or broken UTF-8 belongs to the line. Must not do: I/O.

use memchr::memchr_iter;

/// Longest line handed on, mark included (1 MiB: four times Loki's default, as much as a batch and as the
/// pipeline lets through).
pub const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Of which the mark of a cut line may take so much.
const MARK_BYTES: usize = 64;
const KEPT_BYTES_MAX: usize = LINE_BYTES_MAX - MARK_BYTES;

/// What follows the last newline of one file.
#[derive(Debug, Default)]
pub struct Splitter {
    pending: Vec<u8>,
    /// Bytes of the pending line that were not kept.
    skipped: u64,
}

/// A complete line.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its bytes without the line ending; a cut line ends in `…[cut from N bytes]`.
    pub bytes: &'a [u8],
    /// Bytes of the file it took, line ending included.
    pub consumed: u64,
    /// Its true length, when it was cut.
    pub cut_from: Option<u64>,
}

impl Splitter {
    /// Bytes of the file that were fed but not handed out: the next read begins after them.
    #[must_use]
    pub const fn unfinished(&self) -> u64 {
        self.pending.len() as u64 + self.skipped
    }

    /// Forgets the unfinished line.
    pub fn clear(&mut self) {
        self.pending = Vec::new();
        self.skipped = 0;
    }

    /// Feeds the next bytes of the file; `each` gets every line completed by them and says whether to go on.
    /// Gives how many of `bytes` were taken: all, unless `each` said stop (then up to the end of that line).
    pub fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(Line<'_>) -> bool) -> usize {
        let mut from = 0;
        for newline in memchr_iter(b'\n', bytes) {
            let goes_on = if self.unfinished() == 0 {
                each(whole(&bytes[from..newline]))
            } else {
                self.keep(&bytes[from..newline]);
                self.emit(1, each)
            };
            from = newline + 1;
            if !goes_on {
                return from;
            }
        }
        self.keep(&bytes[from..]);
        bytes.len()
    }

    /// Hands out the unfinished line, if there is one: the file ended without a newline.
    pub fn finish(&mut self, each: &mut dyn FnMut(Line<'_>) -> bool) {
        if self.unfinished() > 0 {
            self.emit(0, each);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT_BYTES_MAX.saturating_sub(self.pending.len());
        let kept = &bytes[..bytes.len().min(room)];
        self.pending.extend_from_slice(kept);
        self.skipped += (bytes.len() - kept.len()) as u64;
    }

    fn emit(&mut self, ending: u64, each: &mut dyn FnMut(Line<'_>) -> bool) -> bool {
        let consumed = self.unfinished() + ending;
        let mut pending = std::mem::take(&mut self.pending);
        let skipped = std::mem::take(&mut self.skipped);
        if skipped == 0 {
            return each(Line { consumed, ..whole(&pending) });
        }
        let length = pending.len() as u64 + skipped;
        pending.extend_from_slice(format!("…[cut from {length} bytes]").as_bytes());
        each(Line { bytes: &pending, consumed, cut_from: Some(length) })
    }
}

fn whole(bytes: &[u8]) -> Line<'_> {
    let consumed = bytes.len() as u64 + 1;
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    Line { bytes, consumed, cut_from: None }
}

#[cfg(test)]
mod tests;
