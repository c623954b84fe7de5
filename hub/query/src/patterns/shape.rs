//! A line as what holds it together (its shape) and the words between.
//!
//! Parts: [`Shape`] and [`Word`]. Blanks, quotes, brackets, `=`, `,`, `;` and `|` part words, and belong to the shape; so do keys
//! (`key=`, `"key":`), so that lines of one shape have the same keys. Promises: linear, bounded by [`SHAPED_BYTES_MAX`] and
//! [`WORDS_MAX`]: what lies beyond is one word; no word holds a byte that may part words, nor is it empty, but for that last
//! one. Thus the shape with any of its words taken out is a pattern that `|>` finds in the line. Must not do: compare lines.

/// Bytes of a line that are looked at: what tells lines apart stands in front.
pub(crate) const SHAPED_BYTES_MAX: usize = 4_096;
/// Words of a line that are told apart.
pub(crate) const WORDS_MAX: usize = 256;
/// Stands in a shape where a word is.
pub(crate) const HOLE: char = '\u{0}';

/// A line, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Shape<'l> {
    /// All but the words, [`HOLE`]s in their places.
    pub(crate) text: String,
    pub(crate) words: Vec<Word<'l>>,
}

/// What stands in a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word<'l> {
    /// `None`: what can never be part of a pattern (not UTF-8, `<`, the rest of a long line).
    pub(crate) text: Option<&'l str>,
    /// The only word of a key's value, which may differ between lines that say the same.
    pub(crate) is_value: bool,
}

/// Longest key that is part of a shape.
const KEY_BYTES_MAX: usize = 64;

/// A byte that parts words wherever it stands.
const fn parts(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | b'"' | b'`' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'=' | b',' | b';' | b'|')
}

/// Where the bytes that part words end, from `at` on. A `:` is one of them behind the quote of a JSON key.
fn parting_end(line: &[u8], at: usize) -> usize {
    let mut last = 0;
    for (place, byte) in line.iter().enumerate().skip(at) {
        let is_of_key = *byte == b':' && last == b'"';
        if !parts(*byte) && !is_of_key {
            return place;
        }
        if !byte.is_ascii_whitespace() {
            last = *byte;
        }
    }
    line.len()
}

/// Whether `word`, which `rest` follows, names a value: `word=` or `word":`.
fn is_key(word: &str, rest: &[u8]) -> bool {
    let named = word.len() <= KEY_BYTES_MAX
        && word.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '@'))
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'@'));
    let follows = match rest {
        [b'=', ..] => true,
        [b'"', more @ ..] => more.trim_ascii_start().first() == Some(&b':'),
        _ => false,
    };
    named && follows
}

impl<'l> Shape<'l> {
    /// Takes a line apart.
    pub(crate) fn of(line: &'l [u8]) -> Self {
        let head = &line[..line.len().min(SHAPED_BYTES_MAX)];
        let is_cut = head.len() < line.len();
        let mut shape = Self::default();
        let mut after_key = false;
        let mut at = 0;
        loop {
            let start = parting_end(head, at);
            // What parts words is ASCII.
            shape.text.extend(head[at..start].iter().map(|byte| char::from(*byte)));
            at = start + head[start..].iter().position(|byte| parts(*byte)).unwrap_or(head.len() - start);
            if at == head.len() && is_cut || (start < at && shape.words.len() == WORDS_MAX - 1) {
                shape.push(None, false);
                return shape;
            }
            if start == at {
                return shape;
            }
            let word = std::str::from_utf8(&head[start..at]).ok().filter(|word| !word.contains(['<', HOLE]));
            if let Some(key) = word.filter(|word| is_key(word, &head[at..])) {
                shape.text.push_str(key);
                after_key = true;
                continue;
            }
            let is_alone = !shape.text.ends_with('"') || head.get(at) == Some(&b'"');
            shape.push(word, after_key && is_alone);
            after_key = false;
        }
    }

    fn push(&mut self, text: Option<&'l str>, is_value: bool) {
        self.text.push(HOLE);
        self.words.push(Word { text, is_value });
    }
}
