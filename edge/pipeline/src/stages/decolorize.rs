//! `decolorize`: terminal control sequences are taken out of the line.
//!
//! Taken out: `ESC` or the one character U+009B with a control sequence (`[`, parameters, a final byte), `ESC ]` up to BEL
//! or `ESC \`, and `ESC` with any other intermediate and final byte. A sequence without its end stays.
//! Must not do: copy a line that has none.

use memchr::memmem;

use crate::draft::{Draft, Line};

const ESCAPE: u8 = 0x1b;
/// U+009B, the control sequence introducer as one character, in UTF-8.
const INTRODUCER: &[u8] = &[0xc2, 0x9b];

pub(crate) fn apply(draft: &mut Draft<'_>) {
    let text = match draft.line {
        Line::Given(text) => text,
        Line::Own => &draft.parts.own,
    };
    if memchr::memchr(ESCAPE, text).is_none() && memmem::find(text, INTRODUCER).is_none() {
        return;
    }
    let spare = &mut draft.parts.spare;
    spare.clear();
    let mut at = 0;
    while at < text.len() {
        match sequence(&text[at..]) {
            0 => {
                spare.push(text[at]);
                at += 1;
            }
            bytes => at += bytes,
        }
    }
    std::mem::swap(&mut draft.parts.own, &mut draft.parts.spare);
    draft.line = Line::Own;
}

/// Length of the sequence that `text` begins with; 0 when it begins with none.
fn sequence(text: &[u8]) -> usize {
    if text.starts_with(INTRODUCER) {
        return control(text, INTRODUCER.len());
    }
    match text {
        [ESCAPE, b'[', ..] => control(text, 2),
        [ESCAPE, b']', ..] => operating_system(text),
        [ESCAPE, ..] => {
            let fin = text.iter().skip(1).take_while(|b| (0x20..=0x2f).contains(*b)).count() + 1;
            text.get(fin).filter(|b| (0x30..=0x7e).contains(*b)).map_or(0, |_| fin + 1)
        }
        _ => 0,
    }
}

/// Parameter bytes from `start`, intermediate bytes, then one final byte.
fn control(text: &[u8], start: usize) -> usize {
    let parameters = text.iter().skip(start).take_while(|b| (0x30..=0x3f).contains(*b)).count() + start;
    let fin = text.iter().skip(parameters).take_while(|b| (0x20..=0x2f).contains(*b)).count() + parameters;
    text.get(fin).filter(|b| (0x40..=0x7e).contains(*b)).map_or(0, |_| fin + 1)
}

/// Up to BEL or `ESC \`.
fn operating_system(text: &[u8]) -> usize {
    match memchr::memchr2(0x07, ESCAPE, &text[2..]).map(|at| at + 2) {
        Some(at) if text[at] == 0x07 => at + 1,
        Some(at) if text.get(at + 1) == Some(&b'\\') => at + 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
