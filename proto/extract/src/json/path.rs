//! One value of a JSON line by its path.
//!
//! Parts: [`JsonPath`] (the grammar of LogQL's `json` stage: `a.b`, `a[0]`, `["odd key"]`), [`lookup`].
//! Limits: a path is as long as its text; walking it takes no recursion.

use std::borrow::Cow;

use super::scan::{self, Kind, Token};
use crate::fault::{JsonFault, PathFault};
use crate::text::{self, Text};

/// A path into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl JsonPath {
    /// Reads `expr`: a field or `[…]` first, then any number of `.field`, `["key"]` and `[index]`.
    /// Fields are `[a-zA-Z_][a-zA-Z0-9_]*`; quoted keys know no escapes.
    ///
    /// # Errors
    /// In the words Loki's clients know, without the expression itself.
    pub fn parse(expr: &str) -> Result<Self, PathFault> {
        Parser { rest: expr, pending: None }.path()
    }

    /// The path of one plain key, whatever characters it has.
    #[must_use]
    pub fn of_key(key: &str) -> Self {
        Self(vec![Step::Key(key.to_owned())])
    }
}

/// The value at `path` in `line`: strings unescaped, numbers and booleans as written, objects and arrays as
/// their text, null as empty text; `None` where the path leads nowhere. Of equal keys the first counts.
///
/// # Errors
/// When `line` is not JSON up to the place that was searched. An empty line is one of these: LogQL's stage
/// passes it by, which is the caller's to do.
pub fn lookup<'a>(line: &'a [u8], path: &JsonPath) -> Result<Option<Cow<'a, str>>, JsonFault> {
    let text = Text::new(line);
    if !matches!(line.get(scan::skip_space(line, 0)), Some(b'{' | b'[' | b'"')) {
        return Err(JsonFault::Object);
    }
    let mut at = 0;
    for step in &path.0 {
        let found = match step {
            Step::Key(key) => member(&text, at, key)?,
            Step::Index(index) => element(line, at, *index)?,
        };
        let Some(next) = found else { return Ok(None) };
        at = next;
    }
    let token = scan::whole(line, at)?;
    Ok(Some(value_text(&text, &token)))
}

fn value_text<'a>(text: &Text<'a>, token: &Token) -> Cow<'a, str> {
    match token.kind {
        Kind::Null => Cow::Borrowed(""),
        Kind::String if token.escaped => {
            let mut out = String::new();
            if !scan::unescape(&text.slice(token.start..token.end), &mut out) {
                out.clear();
            }
            text::spaced(Cow::Owned(out))
        }
        Kind::String | Kind::Number | Kind::Boolean | Kind::Object | Kind::Array => text.value(token.start..token.end),
    }
}

/// Position of the value of `key` in the object at `at`; `None` if there is none or it is no object.
fn member(text: &Text<'_>, at: usize, key: &str) -> Result<Option<usize>, JsonFault> {
    let bytes = text.bytes();
    let start = scan::skip_space(bytes, at);
    if bytes.get(start) != Some(&b'{') {
        return Ok(None);
    }
    let mut at = scan::first_token(bytes, start + 1)?;
    while bytes.get(at) != Some(&b'}') {
        let token = scan::key(bytes, at)?;
        let raw = text.slice(token.start..token.end);
        let same = if token.escaped {
            let mut plain = String::new();
            scan::unescape(&raw, &mut plain) && plain == key
        } else {
            raw == key
        };
        if same {
            return Ok(Some(token.next));
        }
        at = scan::after_value(bytes, scan::whole(bytes, token.next)?.next)?;
    }
    Ok(None)
}

/// Position of element `index` of the array at `at`; `None` if there is none or it is no array.
fn element(bytes: &[u8], at: usize, index: usize) -> Result<Option<usize>, JsonFault> {
    let start = scan::skip_space(bytes, at);
    if bytes.get(start) != Some(&b'[') {
        return Ok(None);
    }
    let mut at = scan::first_token(bytes, start + 1)?;
    let mut left = index;
    while bytes.get(at) != Some(&b']') {
        if left == 0 {
            return Ok(Some(at));
        }
        left -= 1;
        at = scan::skip_space(bytes, scan::whole(bytes, at)?.next);
        match bytes.get(at) {
            Some(b',') => at = scan::skip_space(bytes, at + 1),
            Some(b']') => {}
            Some(_) | None => return Err(JsonFault::Array),
        }
        if at >= bytes.len() {
            return Err(JsonFault::Array);
        }
    }
    Ok(None)
}

/// A token of the grammar, by the name errors call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lexeme<'a> {
    Field(&'a str),
    Quoted(&'a str),
    Index(usize),
    Open,
    Close,
    Dot,
    End,
}

impl Lexeme<'_> {
    const fn unexpected(self, expected: &'static str) -> PathFault {
        let found = match self {
            Self::Field(_) => "FIELD",
            Self::Quoted(_) => "STRING",
            Self::Index(_) => "INDEX",
            Self::Open => "LSB",
            Self::Close => "RSB",
            Self::Dot => "DOT",
            Self::End => "$end",
        };
        PathFault::Syntax { found, expected }
    }
}

struct Parser<'a> {
    rest: &'a str,
    /// A wrong character ends the text; it is the fault only if the path would be complete there.
    pending: Option<PathFault>,
}

impl<'a> Parser<'a> {
    fn path(mut self) -> Result<JsonPath, PathFault> {
        let mut steps = Vec::new();
        loop {
            let lexeme = self.lexeme();
            let first = steps.is_empty();
            if let (Lexeme::Field(name), true) = (lexeme, first) {
                steps.push(Step::Key(name.to_owned()));
            } else if lexeme == Lexeme::Open {
                steps.push(self.bracket()?);
            } else if lexeme == Lexeme::Dot && !first {
                let lexeme = self.lexeme();
                let Lexeme::Field(name) = lexeme else { return Err(lexeme.unexpected("FIELD")) };
                steps.push(Step::Key(name.to_owned()));
            } else if lexeme == Lexeme::End && !first {
                return self.pending.map_or(Ok(JsonPath(steps)), Err);
            } else {
                return Err(lexeme.unexpected(if first { "LSB or FIELD" } else { "" }));
            }
        }
    }

    fn bracket(&mut self) -> Result<Step, PathFault> {
        let lexeme = self.lexeme();
        let step = if let Lexeme::Quoted(key) = lexeme {
            Step::Key(key.to_owned())
        } else if let Lexeme::Index(index) = lexeme {
            Step::Index(index)
        } else {
            return Err(self.pending.take().unwrap_or(lexeme.unexpected("STRING or INDEX")));
        };
        let close = self.lexeme();
        if close == Lexeme::Close { Ok(step) } else { Err(close.unexpected("RSB")) }
    }

    fn lexeme(&mut self) -> Lexeme<'a> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n']);
        let text = self.rest;
        let Some(first) = text.chars().next() else { return Lexeme::End };
        let (lexeme, length) = match first {
            '[' => (Lexeme::Open, 1),
            ']' => (Lexeme::Close, 1),
            '.' => (Lexeme::Dot, 1),
            '"' => match text[1..].find('"') {
                Some(end) => (Lexeme::Quoted(&text[1..=end]), end + 2),
                None => return self.fail(PathFault::Syntax { found: "$end", expected: "RSB" }),
            },
            c if c.is_ascii_digit() => return self.index(),
            c if c.is_ascii_alphabetic() || c == '_' => {
                let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
                (Lexeme::Field(&text[..end]), end)
            }
            c => return self.fail(PathFault::Character(c)),
        };
        self.rest = &text[length..];
        lexeme
    }

    fn index(&mut self) -> Lexeme<'a> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        match rest.chars().next() {
            Some('.') => return self.fail(PathFault::Float),
            Some(c) if !matches!(c, ']' | ' ' | '\t' | '\n') => return self.fail(PathFault::Index(c)),
            Some(_) | None => {}
        }
        match digits.parse() {
            Ok(index) => {
                self.rest = rest;
                Lexeme::Index(index)
            }
            Err(_) => self.fail(PathFault::Large(digits.to_owned())),
        }
    }

    fn fail(&mut self, fault: PathFault) -> Lexeme<'a> {
        self.rest = "";
        self.pending = Some(fault);
        Lexeme::End
    }
}

#[cfg(test)]
mod tests;
