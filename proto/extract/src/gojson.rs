//! Texts as Promtail writes them into JSON, by its own encoder.
//!
//! Escaped: quotes, control characters (`\n`, `\r`, `\t` by letter), `<`, `>`, `&` and the line separators of
//! Unicode; bytes outside UTF-8 become `\ufffd`. Must not do: read JSON.

use std::fmt::Write as _;

/// Appends `text` in quotes.
pub fn push_quoted(text: &[u8], out: &mut String) {
    out.push('"');
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_char(c, out);
        }
        for _ in chunk.invalid() {
            out.push_str("\\ufffd");
        }
    }
    out.push('"');
}

fn push_char(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        // writing to a string cannot fail
        '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => write!(out, "\\u{:04x}", c as u32).unwrap_or_default(),
        c => out.push(c),
    }
}
