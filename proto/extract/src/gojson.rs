//! Texts as Promtail writes them into JSON, by its own encoder.
//!
//! Escaped: quotes, control characters (`\n`, `\r`, `\t` by letter), `<`, `>`, `&` and the line separators of
//! Unicode; bytes outside UTF-8 become `\ufffd`. Must not do: read JSON.

use proto_model::json::{self, Escapes};

/// Appends `text` in quotes.
pub fn push_quoted(text: &[u8], out: &mut String) {
    out.push('"');
    for chunk in text.utf8_chunks() {
        json::escaped(out, chunk.valid(), Escapes::Jsoniter);
        for _ in chunk.invalid() {
            out.push_str("\\ufffd");
        }
    }
    out.push('"');
}
