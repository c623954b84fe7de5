//! A line as Go's regular expressions see it, and the way back to its own bytes.
//!
//! Go takes every byte outside UTF-8 for one U+FFFD; the expressions here match text only. [`Haystack`] holds the
//! text to match and knows where the broken bytes were, so that a group gives the bytes the program wrote.
//! Promises: text that is valid is borrowed. Must not do: compile expressions.

use std::borrow::Cow;
use std::ops::Range;

use proto_extract::dialect;

/// Text to match.
pub(crate) struct Haystack<'a> {
    seen: Cow<'a, [u8]>,
    /// Where the characters that stand for broken bytes begin in `seen`, rising.
    broken: Vec<usize>,
}

impl<'a> Haystack<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let seen = dialect::seen(bytes);
        let broken = match seen {
            Cow::Borrowed(_) => Vec::new(),
            Cow::Owned(_) => broken_bytes(bytes),
        };
        Self { seen, broken }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.seen
    }

    /// The range of the original that `start..end` of [`Self::as_bytes`] stands for.
    pub(crate) fn original(&self, start: usize, end: usize) -> Range<usize> {
        self.position(start)..self.position(end)
    }

    /// A broken byte became three bytes: two are taken off for each one before `seen`.
    fn position(&self, seen: usize) -> usize {
        seen - 2 * self.broken.partition_point(|at| *at < seen)
    }
}

fn broken_bytes(bytes: &[u8]) -> Vec<usize> {
    let mut broken = Vec::new();
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        at += chunk.valid().len();
        broken.extend((0..chunk.invalid().len()).map(|n| at + 3 * n));
        at += 3 * chunk.invalid().len();
    }
    broken
}

#[cfg(test)]
mod tests;
