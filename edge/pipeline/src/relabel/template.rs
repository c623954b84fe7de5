//! Go's `Expand`: text with `$1`, `$name`, `${name}` and `$$`.
//!
//! A name is the longest run of letters, digits and `_`; an unknown name or group that took no part gives nothing; a
//! `$` that begins none of these stands for itself. Must not do: fail; every text is a template.

use regex::bytes::Captures;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Number(usize),
    Name(String),
}

impl Template {
    pub(super) fn parse(source: &str) -> Self {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some(at) = rest.find('$') {
            text.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(tail) = rest.strip_prefix('$') {
                text.push('$');
                rest = tail;
            } else if let Some((name, tail)) = reference(rest) {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(piece(name));
                rest = tail;
            } else {
                text.push('$');
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Self(pieces)
    }

    /// The text with the groups of a match in it.
    pub(super) fn expand(&self, groups: &Captures<'_>) -> String {
        let mut out = Vec::new();
        for piece in &self.0 {
            let group = match piece {
                Piece::Text(text) => {
                    out.extend_from_slice(text.as_bytes());
                    None
                }
                Piece::Number(n) => groups.get(*n),
                Piece::Name(name) => groups.name(name),
            };
            out.extend_from_slice(group.map_or(&[], |group| group.as_bytes()));
        }
        // groups of a text, cut where a match of a text expression cuts, are texts
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// The name after a `$`, and what follows it.
fn reference(rest: &str) -> Option<(&str, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if let Some(braced) = rest.strip_prefix('{') {
        let (name, tail) = braced.split_once('}')?;
        return (!name.is_empty() && name.chars().all(is_word)).then_some((name, tail));
    }
    let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    (end > 0).then(|| rest.split_at(end))
}

/// All digits: a number; leading zeros make a name, as in Go.
fn piece(name: &str) -> Piece {
    let is_number = name.bytes().all(|b| b.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
    match name.parse().ok().filter(|_| is_number) {
        Some(number) => Piece::Number(number),
        None => Piece::Name(name.to_owned()),
    }
}
