//! Character classes: which characters a class of Go's syntax holds, written for the `regex` crate.
//!
//! Parts: [`push_char`] (one character inside a class), [`perl`] (`\d`), [`posix`] (`[:alpha:]`), [`unicode`] (`\p{Greek}`).
//! Each writes items to stand inside brackets. Must not do: read the source; the parser does.

use std::fmt::Write as _;

/// Appends `c` so that it stands for itself inside brackets.
pub(super) fn push_char(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || !c.is_ascii() {
        out.push(c);
    } else {
        // Writing to a string cannot fail.
        write!(out, "\\x{:02X}", c as u32).unwrap_or_default();
    }
}

/// The items of `\d`, `\w`, `\s` and their opposites, ASCII as in Go; `None` for another letter.
pub(super) const fn perl(letter: u8) -> Option<&'static str> {
    Some(match letter {
        b'd' => "0-9",
        b'D' => "[^0-9]",
        b's' => "\\t\\n\\x0C\\r\\x20",
        b'S' => "[^\\t\\n\\x0C\\r\\x20]",
        b'w' => "0-9A-Za-z_",
        b'W' => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

/// The items of `[:name:]` or `[:^name:]`; `None` for an unknown name.
pub(super) fn posix(name: &str) -> Option<String> {
    let (plain, negated) = name.strip_prefix('^').map_or((name, false), |plain| (plain, true));
    let items = match plain {
        "alnum" => "0-9A-Za-z",
        "alpha" => "A-Za-z",
        "ascii" => "\\x00-\\x7F",
        "blank" => "\\t\\x20",
        "cntrl" => "\\x00-\\x1F\\x7F",
        "digit" => "0-9",
        "graph" => "!-~",
        "lower" => "a-z",
        "print" => "\\x20-~",
        "punct" => "!-/:-@\\x5B-`\\x7B-~",
        "space" => "\\t-\\r\\x20",
        "upper" => "A-Z",
        "word" => "0-9A-Za-z_",
        "xdigit" => "0-9A-Fa-f",
        _ => return None,
    };
    Some(if negated { format!("[^{items}]") } else { items.to_owned() })
}

/// General categories of Unicode by their short names, as Go knows them.
const CATEGORIES: [&str; 38] = [
    "C", "Cc", "Cf", "Cn", "Co", "Cs", "L", "LC", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf",
    "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
];

/// The items of `\p{name}`, or of its opposite; `None` where there is no such category or script.
pub(super) fn unicode(name: &str, negated: bool) -> Option<String> {
    let letter = if negated { 'P' } else { 'p' };
    if matches!(name, "Any" | "ASCII" | "Assigned") {
        return Some(format!("\\{letter}{{{name}}}"));
    }
    if CATEGORIES.contains(&name) {
        return Some(format!("\\{letter}{{gc={name}}}"));
    }
    // Names of scripts are words; a binary property, a value by another property's name or a loose spelling is not.
    let word = name.starts_with(|c: char| c.is_ascii_uppercase()) && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    let item = format!("\\{letter}{{sc={name}}}");
    let known = word && name.len() > 2 && regex_syntax::ParserBuilder::new().build().parse(&item).is_ok();
    known.then_some(item)
}
