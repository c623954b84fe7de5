//! The functions of templates: names, numbers of arguments, what they do.
//!
//! Parts: [`Function`]: an enum, its table of names, and [`Function::apply`]. Letters change case one by one, as in Go: a
//! letter that another case writes with several letters stays as it is.

use std::borrow::Cow;

use super::value::Value;

/// Everything a template can call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    /// `__line__`: the line.
    Line,
    /// `__timestamp__`: its time.
    Timestamp,
    ToLower,
    ToUpper,
    TrimSpace,
}

/// Names, functions, numbers of arguments.
const TABLE: [(&str, Function, usize); 5] = [
    ("__line__", Function::Line, 0),
    ("__timestamp__", Function::Timestamp, 0),
    ("ToLower", Function::ToLower, 1),
    ("ToUpper", Function::ToUpper, 1),
    ("TrimSpace", Function::TrimSpace, 1),
];

impl Function {
    /// The function of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|(known, ..)| *known == name).map(|(_, function, _)| *function)
    }

    /// Its name and how many arguments it wants.
    pub(super) fn signature(self) -> (&'static str, usize) {
        TABLE.iter().find(|(_, function, _)| *function == self).map_or(("", 0), |(name, _, arguments)| (*name, *arguments))
    }

    /// Applies a function of values to its arguments, whose number has been checked.
    pub(super) fn apply(self, arguments: Vec<Value<'_>>) -> Result<Value<'_>, String> {
        let Some(text) = arguments.into_iter().next().map(Value::into_text).transpose()? else {
            return Ok(Value::Text(Cow::Borrowed("")));
        };
        Ok(Value::Text(match self {
            Self::ToLower => changed(text, lower),
            Self::ToUpper => changed(text, upper),
            Self::TrimSpace => trimmed(text),
            Self::Line | Self::Timestamp => text,
        }))
    }
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

fn changed(text: Cow<'_, str>, change: fn(char) -> char) -> Cow<'_, str> {
    if text.chars().all(|c| change(c) == c) { text } else { Cow::Owned(text.chars().map(change).collect()) }
}

fn lower(c: char) -> char {
    let mut letters = c.to_lowercase();
    match (letters.next(), letters.next()) {
        (Some(one), None) => one,
        // The only letter whose lower case is written with two: a capital I with a dot.
        _ => 'i',
    }
}

fn upper(c: char) -> char {
    let mut letters = c.to_uppercase();
    match (letters.next(), letters.next()) {
        (Some(one), None) => one,
        // Greek letters with a iota below have a capital form of one letter; the others have none.
        _ => match c {
            '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => shifted(c, 8),
            '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(c, 9),
            _ => c,
        },
    }
}

fn shifted(c: char, by: u32) -> char {
    char::from_u32(c as u32 + by).unwrap_or(c)
}
