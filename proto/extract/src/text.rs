//! A line as text: validated once, sliced without copying, repaired only where it is broken.
//!
//! Parts: [`Text`], [`repaired`] and [`spaced`] (what becomes of broken bytes), [`push_name`] and [`is_clean_name`] (label
//! names out of keys).
//! Promises: a slice of valid text borrows; every byte that is not UTF-8 becomes one U+FFFD, as Go
//! sees it; [`spaced`] then turns U+FFFD into a space, since a label value must not hold it.

use std::borrow::Cow;
use std::ops::Range;

/// What Go reads for a byte that is not UTF-8.
pub(crate) const REPLACEMENT: char = '\u{fffd}';

/// A line, with the knowledge whether it is valid UTF-8 and whether it is ASCII.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    bytes: &'a [u8],
    valid: Option<&'a str>,
    ascii: bool,
}

impl<'a> Text<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let ascii = bytes.is_ascii();
        Self { bytes, valid: std::str::from_utf8(bytes).ok(), ascii }
    }

    /// Whether all of it is UTF-8.
    pub(crate) const fn is_valid(&self) -> bool {
        self.valid.is_some()
    }

    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The text of `range`; broken bytes as U+FFFD.
    pub(crate) fn slice(&self, range: Range<usize>) -> Cow<'a, str> {
        match self.valid.and_then(|text| text.get(range.clone())) {
            Some(text) => Cow::Borrowed(text),
            None => repaired(self.bytes.get(range).unwrap_or_default()),
        }
    }

    /// The text of `range` as a label value.
    pub(crate) fn value(&self, range: Range<usize>) -> Cow<'a, str> {
        let text = self.slice(range);
        if self.ascii { text } else { spaced(text) }
    }
}

/// `bytes` as text, each byte outside UTF-8 as one U+FFFD.
pub(crate) fn repaired(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(std::iter::repeat_n(REPLACEMENT, chunk.invalid().len()));
    }
    Cow::Owned(out)
}

/// `text` with every U+FFFD as a space.
pub(crate) fn spaced(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains(REPLACEMENT) { Cow::Owned(text.replace(REPLACEMENT, " ")) } else { text }
}

/// Which bytes a label name can have.
const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_';
        byte += 1;
    }
    table
};

/// Whether `key` can stand as a label name unchanged.
pub(crate) fn is_clean_name(key: &[u8]) -> bool {
    key.first().is_some_and(|b| !b.is_ascii_digit()) && key.iter().all(|b| NAME_BYTES[*b as usize])
}

/// Appends `key` to `name` as a part of a label name: `_` between parts, `_` before a leading digit,
/// `_` for every character outside `[a-zA-Z0-9_]`. A blank key adds nothing.
pub(crate) fn push_name(name: &mut String, key: &str) {
    let key = key.trim();
    let Some(first) = key.bytes().next() else { return };
    if !name.is_empty() || first.is_ascii_digit() {
        name.push('_');
    }
    name.extend(key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
}
