//! Bytes of one file to complete lines.
//!
//! Pure. [`Splitter`] keeps what follows the last newline; a line longer than [`LINE_BYTES_MAX`] is cut,
//! its rest counted and skipped; what a line is in UTF-8 the file's [`Text`] says. Promises: `consumed` is exact to the
//! byte, so a position names the first byte of a line that was not handed out. A trailing `\r` belongs to the line
//! ending (CRLF); a bare `\r`, NUL or broken UTF-8 belongs to the line. Must not do: I/O.

use memchr::memchr_iter;

use super::text::Text;

/// Longest line handed on, mark included (1 MiB: four times Loki's default, as much as a batch and as the
/// pipeline lets through).
pub const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Of which the mark of a cut line may take so much.
const MARK_BYTES: usize = 64;
const KEPT_BYTES_MAX: usize = LINE_BYTES_MAX - MARK_BYTES;

/// What follows the last newline of one file.
#[derive(Debug, Default)]
pub struct Splitter {
    text: Text,
    pending: Vec<u8>,
    /// Bytes of the pending line that were not kept.
    skipped: u64,
    /// The last byte fed of the pending line.
    last: u8,
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
    /// For a file of this text.
    #[must_use]
    pub fn new(text: Text) -> Self {
        Self { text, ..Self::default() }
    }

    /// Bytes of the file that were fed but not handed out: the next read begins after them.
    #[must_use]
    pub const fn unfinished(&self) -> u64 {
        self.pending.len() as u64 + self.skipped
    }

    /// Bytes of the unfinished line that are not kept: it is too long.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Forgets the unfinished line.
    pub fn clear(&mut self) {
        self.pending = Vec::new();
        self.skipped = 0;
    }

    /// Feeds the next bytes of the file; `each` gets every line completed by them and says whether to go on.
    /// Gives how many of `bytes` were taken: all, unless `each` said stop (then up to the end of that line).
    pub fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(Line<'_>) -> bool) -> usize {
        if self.text.is_wide() {
            return self.feed_wide(bytes, each);
        }
        let mut from = 0;
        for newline in memchr_iter(b'\n', bytes) {
            let goes_on = if self.unfinished() == 0 {
                whole(self.text, &bytes[from..newline], 1, each)
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

    /// The same where a newline is two bytes, which begin an even number of bytes after the line's first.
    fn feed_wide(&mut self, bytes: &[u8], each: &mut dyn FnMut(Line<'_>) -> bool) -> usize {
        let [high, low] = self.text.wide_newline();
        let mut from = 0;
        // The byte that ends a newline; the one before it may have come with the bytes before.
        for end in memchr_iter(low, bytes) {
            let before = if end > from { bytes[end - 1] } else { self.last };
            let at = self.unfinished() + (end - from) as u64;
            if at.is_multiple_of(2) || before != high {
                continue;
            }
            let goes_on = if self.unfinished() == 0 {
                whole(self.text, &bytes[from..end - 1], 2, each)
            } else {
                self.keep(&bytes[from..end]);
                // The newline's first byte was kept with the line, or counted with what was not.
                match self.skipped.checked_sub(1) {
                    Some(less) => self.skipped = less,
                    None => drop(self.pending.pop()),
                }
                self.emit(2, each)
            };
            from = end + 1;
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
        self.last = bytes.last().copied().unwrap_or(self.last);
    }

    fn emit(&mut self, ending: u64, each: &mut dyn FnMut(Line<'_>) -> bool) -> bool {
        let consumed = self.unfinished() + ending;
        let pending = std::mem::take(&mut self.pending);
        let skipped = std::mem::take(&mut self.skipped);
        if skipped == 0 {
            return whole(self.text, &pending, ending, each);
        }
        cut(self.text.decode(&pending).into_owned(), pending.len() as u64 + skipped, consumed, each)
    }
}

fn whole(text: Text, bytes: &[u8], ending: u64, each: &mut dyn FnMut(Line<'_>) -> bool) -> bool {
    let consumed = bytes.len() as u64 + ending;
    let decoded = text.decode(bytes);
    if decoded.len() > LINE_BYTES_MAX {
        return cut(decoded.into_owned(), bytes.len() as u64, consumed, each);
    }
    let bytes = decoded.strip_suffix(b"\r").unwrap_or(&decoded);
    each(Line { bytes, consumed, cut_from: None })
}

/// A line of which more than the limit is known, or was not kept.
fn cut(mut decoded: Vec<u8>, length: u64, consumed: u64, each: &mut dyn FnMut(Line<'_>) -> bool) -> bool {
    // A character that takes more bytes in UTF-8 made it longer: it ends before one.
    let is_within = |decoded: &[u8], at: usize| decoded.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    let end = (KEPT_BYTES_MAX - 3..=KEPT_BYTES_MAX).rev().find(|at| !is_within(&decoded, *at)).unwrap_or(KEPT_BYTES_MAX);
    if decoded.len() > KEPT_BYTES_MAX {
        decoded.truncate(end);
    }
    decoded.extend_from_slice(format!("…[cut from {length} bytes]").as_bytes());
    each(Line { bytes: &decoded, consumed, cut_from: Some(length) })
}

#[cfg(test)]
mod tests;
