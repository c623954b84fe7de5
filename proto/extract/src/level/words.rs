//! Words in a line: whether a level key may be there, and which level word stands there on its own.
//!
//! Parts: [`may_have_key`], [`first_level`], both over one search that looks at 64 positions at a time
//! for the first three letters of what is wanted. The compiler turns its plain loops over arrays into vector
//! instructions. Promises: exact; what the search lets through is compared letter by letter.

use super::Level;

/// Positions looked at in one step: enough for the compiler to make vectors of the loop in [`hits`].
const LANES: usize = 64;

/// Bytes a step needs: each position is looked at with the two bytes after it.
const SPAN: usize = LANES + 2;

/// Lower case of a letter; other bytes change too, so it may only be compared with letters.
const CASE: u8 = 0x20;

/// Calls `each(position)` for every position of `line` where `wanted` holds for the three lower-cased bytes from
/// there on, rising, until it returns `false`. After the end of the line come zeros.
#[inline(always)]
fn search(line: &[u8], wanted: impl Fn(u8, u8, u8) -> bool, mut each: impl FnMut(usize) -> bool) {
    let mut at = 0;
    while at < line.len() {
        let marks = match line[at..].first_chunk::<SPAN>() {
            Some(span) => hits(span, &wanted),
            None => {
                let mut span = [0; SPAN];
                span[..line.len() - at].copy_from_slice(&line[at..]);
                hits(&span, &wanted)
            }
        };
        for (place, word) in marks.as_chunks::<8>().0.iter().enumerate() {
            let mut word = u64::from_le_bytes(*word);
            while word != 0 {
                if !each(at + place * 8 + word.trailing_zeros() as usize / 8) {
                    return;
                }
                word &= word - 1;
            }
        }
        at += LANES;
    }
}

/// 1 for every position where `wanted` holds, else 0.
#[inline(always)]
fn hits(span: &[u8; SPAN], wanted: &impl Fn(u8, u8, u8) -> bool) -> [u8; LANES] {
    let mut marks = [0; LANES];
    for lane in 0..LANES {
        marks[lane] = u8::from(wanted(span[lane] | CASE, span[lane + 1] | CASE, span[lane + 2] | CASE));
    }
    marks
}

/// Whether the beginning of some level key (`lev`, `sev`, `lvl`) is in the line, or an escape that could hide one.
pub(super) fn may_have_key(line: &[u8]) -> bool {
    let mut found = false;
    search(
        line,
        |a, b, c| {
            // Behind `\u` a key could be written in any way; in lower case the backslash is another character.
            ((a == b'l') | (a == b's')) & (b == b'e') & (c == b'v') | (a == b'l') & (b == b'v') & (c == b'l') | (a == b'\\' | CASE) & (b == b'u')
        },
        |_| {
            found = true;
            false
        },
    );
    found
}

/// Level words, the more telling first; the first one that stands on its own gives the level.
const WORDS: [(&[u8], Level); 9] = [
    (b"trace", Level::Trace),
    (b"debug", Level::Debug),
    (b"fatal", Level::Fatal),
    (b"critical", Level::Critical),
    (b"error", Level::Error),
    (b"err", Level::Error),
    (b"warning", Level::Warn),
    (b"warn", Level::Warn),
    (b"info", Level::Info),
];

/// The level of the first of [`WORDS`] whose first occurrence in the line stands on its own, in any case.
pub(super) fn first_level(line: &[u8]) -> Level {
    // A bit per word: seen, and seen on its own. Only a word's first occurrence counts, as in Loki.
    let (mut seen, mut alone) = (0_u16, 0_u16);
    search(
        line,
        |a, b, c| {
            (a == b't') & (b == b'r') & (c == b'a')
                | (a == b'd') & (b == b'e') & (c == b'b')
                | (a == b'f') & (b == b'a') & (c == b't')
                | (a == b'c') & (b == b'r') & (c == b'i')
                | (a == b'e') & (b == b'r') & (c == b'r')
                | (a == b'w') & (b == b'a') & (c == b'r')
                | (a == b'i') & (b == b'n') & (c == b'f')
        },
        |start| {
            mark(line, start, &mut seen, &mut alone);
            // Nothing beats the first word.
            alone & 1 == 0
        },
    );
    WORDS.get(alone.trailing_zeros() as usize).map_or(Level::Unknown, |(_, level)| *level)
}

/// Notes which words begin at `start`.
fn mark(line: &[u8], start: usize, seen: &mut u16, alone: &mut u16) {
    let rest = &line[start..];
    let first = rest[0] | CASE;
    for (place, (word, _)) in WORDS.iter().enumerate() {
        let bit = 1 << place;
        if word[0] != first || *seen & bit != 0 || rest.len() < word.len() || !rest[..word.len()].eq_ignore_ascii_case(word) {
            continue;
        }
        *seen |= bit;
        let before = start.checked_sub(1).and_then(|at| line.get(at));
        if !before.is_some_and(|b| is_word_byte(*b)) && !rest.get(word.len()).is_some_and(|b| is_word_byte(*b)) {
            *alone |= bit;
        }
    }
}

/// Whether `byte`, taken as a character of Latin-1, is part of a word: Loki looks at bytes, so the last byte of
/// a character before the word can count as a letter.
const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | 0xaa | 0xb5 | 0xba | 0xc0..=0xd6 | 0xd8..=0xf6 | 0xf8..=0xff)
}
