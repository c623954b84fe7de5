//! Where a value lies in a line, as `json` and `logfmt` are told: `user.tags[0]`, `["odd key"]`, `key`.
//!
//! Parts: [`json_path`], [`logfmt_key`], and the small scanner of both.
//! Promise: takes what Loki takes and refuses in its words. Must not do: read lines.

/// One step from a JSON value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathStep {
    /// A field of an object.
    Field(String),
    /// An item of an array, from 0.
    Index(usize),
}

/// A token of a path; brackets and dots stand for themselves.
enum PathTok {
    End,
    Symbol(char),
    Word(String),
    Text(String),
    Number(usize),
    /// A character of no token.
    Stray(char),
}

impl PathTok {
    fn name(&self, word: &str) -> String {
        match self {
            // Where something is expected, Loki takes a stray character or digit for the end.
            Self::End | Self::Stray(_) | Self::Number(_) => "$end".to_owned(),
            Self::Symbol('.') => "DOT".to_owned(),
            Self::Symbol('[') => "LSB".to_owned(),
            Self::Symbol(']') => "RSB".to_owned(),
            Self::Symbol(c) => c.to_string(),
            Self::Word(_) => word.to_owned(),
            Self::Text(_) => "STRING".to_owned(),
        }
    }
}

/// Reads a path of `json`: fields between dots, `[0]` and `["name"]`.
///
/// # Errors
/// What is wrong, in Loki's words.
pub fn json_path(text: &str) -> Result<Vec<PathStep>, String> {
    let mut scan = PathScan { text, rest: text };
    let mut steps = Vec::new();
    let mut tok = scan.next()?;
    loop {
        let after_dot = !steps.is_empty() && matches!(tok, PathTok::Symbol('.'));
        if after_dot {
            tok = scan.next()?;
        }
        let begins = steps.is_empty();
        steps.push(match tok {
            PathTok::Symbol('[') if !after_dot => scan.bracket()?,
            PathTok::Word(name) if after_dot || begins => PathStep::Field(name),
            PathTok::End if !after_dot && !begins => return Ok(steps),
            PathTok::End | PathTok::Symbol(_) | PathTok::Word(_) | PathTok::Text(_) | PathTok::Number(_) | PathTok::Stray(_) => {
                let expected = match (after_dot, begins) {
                    (true, _) => "FIELD",
                    (false, true) => "LSB or FIELD",
                    (false, false) => "",
                };
                return unexpected(text, &tok, "FIELD", expected);
            }
        });
        tok = scan.next()?;
    }
}

/// Reads a key of `logfmt`: a word, or anything in double quotes.
///
/// # Errors
/// What is wrong, in Loki's words.
pub fn logfmt_key(text: &str) -> Result<String, String> {
    let mut scan = PathScan { text, rest: text };
    // Brackets and dots are nothing to logfmt.
    let refuse = |tok: PathTok, expected: &str| {
        let tok = if let PathTok::Symbol(c) = tok { PathTok::Stray(c) } else { tok };
        unexpected(text, &tok, "KEY", expected)
    };
    let first = scan.next()?;
    let (PathTok::Word(key) | PathTok::Text(key)) = first else { return refuse(first, "STRING or KEY") };
    let second = scan.next()?;
    if let PathTok::End = second { Ok(key) } else { refuse(second, "") }
}

/// The fault of `tok`, which `word` is the name of if it is a word.
fn unexpected<T>(text: &str, tok: &PathTok, word: &str, expected: &str) -> Result<T, String> {
    let reason = match (tok, expected) {
        (PathTok::Stray(c), "") => format!("unexpected char {c}"),
        (tok, "") => format!("syntax error: unexpected {}", tok.name(word)),
        (tok, expected) => format!("syntax error: unexpected {}, expecting {expected}", tok.name(word)),
    };
    Err(fault(text, &reason))
}

fn fault(text: &str, reason: &str) -> String {
    format!("cannot parse expression [{text}]: {reason}")
}

struct PathScan<'a> {
    text: &'a str,
    rest: &'a str,
}

impl PathScan<'_> {
    /// Behind `[`, up to its `]`.
    fn bracket(&mut self) -> Result<PathStep, String> {
        let inside = self.next()?;
        let step = if let PathTok::Number(index) = inside {
            PathStep::Index(index)
        } else if let PathTok::Text(name) = inside {
            PathStep::Field(name)
        } else {
            return unexpected(self.text, &inside, "FIELD", "STRING or INDEX");
        };
        let close = self.next()?;
        if let PathTok::Symbol(']') = close { Ok(step) } else { unexpected(self.text, &close, "FIELD", "RSB") }
    }

    fn next(&mut self) -> Result<PathTok, String> {
        self.rest = self.rest.trim_start();
        let Some(first) = self.rest.chars().next() else { return Ok(PathTok::End) };
        let (tok, length) = match first {
            '.' | '[' | ']' => (PathTok::Symbol(first), 1),
            '"' => {
                let (value, length) = crate::token::literal::quoted_string(self.rest).map_err(|reason| fault(self.text, reason))?;
                (PathTok::Text(value), length)
            }
            c if c.is_ascii_digit() => {
                let length = self.length(|c| c.is_ascii_digit());
                let number = self.rest[..length].parse().map_err(|_| fault(self.text, "index out of range"))?;
                (PathTok::Number(number), length)
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let length = self.length(|c| c.is_ascii_alphanumeric() || c == '_');
                (PathTok::Word(self.rest[..length].to_owned()), length)
            }
            c => (PathTok::Stray(c), c.len_utf8()),
        };
        self.rest = &self.rest[length..];
        Ok(tok)
    }

    fn length(&self, inside: impl Fn(char) -> bool) -> usize {
        self.rest.find(|c| !inside(c)).unwrap_or(self.rest.len())
    }
}

#[cfg(test)]
mod tests;
