//! Text as a JSON string, by one writer with a rule for each reader.
//!
//! Parts: [`Escapes`] (the rules), [`string`] (with its quotes), [`escaped`] (without, for text that is cut or completed).
//! Promises: what is written reads back as the same text, whatever the rule. Must not do: bound lengths; the caller cuts.

/// What is escaped besides `"`, `\` and the characters below U+0020.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// Nothing more (RFC 8259).
    Plain,
    /// For answers of the API: U+007F and the line separators U+2028 and U+2029.
    Answer,
    /// As Go's `encoding/json` writes: `<`, `>`, `&` and the line separators; U+0008 and U+000C by their letters.
    Go,
    /// As the `jsoniter` package of Go writes: as [`Escapes::Go`], U+0008 and U+000C by their numbers.
    Jsoniter,
    /// For a program's own log: all control characters and all that steers the direction of text, since a terminal shows it.
    Log,
}

impl Escapes {
    /// Whether a character from `"` upward, that is neither `"` nor `\`, is escaped.
    const fn has(self, c: char) -> bool {
        match self {
            Self::Plain => false,
            Self::Answer => matches!(c, '\u{7f}' | '\u{2028}' | '\u{2029}'),
            Self::Go | Self::Jsoniter => matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}'),
            Self::Log => matches!(c, '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'),
        }
    }
}

/// Appends `text` in quotes.
pub fn string(out: &mut String, text: &str, escapes: Escapes) {
    out.push('"');
    escaped(out, text, escapes);
    out.push('"');
}

/// Appends `text` as it stands between the quotes.
pub fn escaped(out: &mut String, text: &str, escapes: Escapes) {
    let mut from = 0;
    for (at, c) in text.char_indices().filter(|(_, c)| matches!(c, '\u{0}'..='\u{1f}' | '"' | '\\') || escapes.has(*c)) {
        out.push_str(&text[from..at]);
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' if escapes == Escapes::Go => out.push_str("\\b"),
            '\u{c}' if escapes == Escapes::Go => out.push_str("\\f"),
            // No rule escapes a character that would need a pair.
            c => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
        from = at + c.len_utf8();
    }
    out.push_str(&text[from..]);
}

#[cfg(test)]
mod tests;
