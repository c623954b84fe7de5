//! The tokens of an action: what stands between `{{` and `}}`.
//!
//! Parts: [`Token`], [`Lexer`]. White space separates operands, so it is a token. Must not do: know functions or
//! keywords; the parser does.

use crate::fault::TemplateFault;

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Space,
    /// `.name`
    Field(String),
    /// `.`
    Dot,
    Name(String),
    /// A string constant, its escapes resolved.
    Text(String),
    Pipe,
    Open,
    Close,
    /// Anything else of the language: what it is.
    Other(&'static str),
    /// `}}`, after ` -` or not.
    End {
        trim: bool,
    },
}

/// Reads one action of `source`, which has its first token at `at`.
pub(super) struct Lexer<'a> {
    pub(super) name: &'static str,
    pub(super) source: &'a str,
    pub(super) at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// The next token; where it begins is `at` before the call.
    pub(super) fn next(&mut self) -> Result<Token, TemplateFault> {
        let rest = self.rest();
        let spaces = rest.len() - rest.trim_start_matches(SPACES).len();
        let after = &rest[spaces..];
        if spaces > 0 && after.starts_with("-}}") {
            self.at += spaces + 3;
            return Ok(Token::End { trim: true });
        }
        if spaces > 0 {
            self.at += spaces;
            return Ok(Token::Space);
        }
        let Some(first) = rest.chars().next() else { return Err(self.fault("unclosed action")) };
        let (token, length) = match first {
            '}' if rest.starts_with("}}") => (Token::End { trim: false }, 2),
            '|' => (Token::Pipe, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => (Token::Other("numbers are"), 1),
            '.' => match word(&rest[1..]) {
                "" => (Token::Dot, 1),
                name => (Token::Field(name.to_owned()), name.len() + 1),
            },
            '"' => return self.quoted(),
            '`' => match rest[1..].find('`') {
                Some(end) => (Token::Text(rest[1..=end].to_owned()), end + 2),
                None => return Err(self.fault("unterminated raw quoted string")),
            },
            '\'' => (Token::Other("character constants are"), 1),
            '$' => (Token::Other("variables are"), 1),
            ':' | '=' | ',' => (Token::Other("assignments are"), 1),
            '+' | '-' | '0'..='9' => (Token::Other("numbers are"), 1),
            _ => match word(rest) {
                "" => return Err(self.fault(&format!("unexpected {first:?} in command"))),
                name => (Token::Name(name.to_owned()), name.len()),
            },
        };
        self.at += length;
        Ok(token)
    }

    /// A string constant in double quotes, with Go's escapes.
    fn quoted(&mut self) -> Result<Token, TemplateFault> {
        let mut text = String::new();
        let mut rest = &self.rest()[1..];
        loop {
            let Some(c) = rest.chars().next().filter(|c| *c != '\n') else {
                return Err(self.fault("unterminated quoted string"));
            };
            rest = &rest[c.len_utf8()..];
            match c {
                '"' => break,
                '\\' => {
                    let Some((c, length)) = escape(rest) else { return Err(self.fault("invalid syntax in quoted string")) };
                    text.push(c);
                    rest = &rest[length..];
                }
                c => text.push(c),
            }
        }
        self.at = self.source.len() - rest.len();
        Ok(Token::Text(text))
    }

    pub(super) fn fault(&self, reason: &str) -> TemplateFault {
        let line = self.source[..self.at].bytes().filter(|b| *b == b'\n').count() + 1;
        TemplateFault::Syntax { name: self.name, line, reason: reason.to_owned() }
    }
}

/// What counts as white space in templates.
pub(super) const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// The letters, digits and `_` at the start of `text`.
fn word(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
}

/// The character of an escape, `text` being after its backslash, and how much of it belongs to it.
fn escape(text: &str) -> Option<(char, usize)> {
    let code = text.bytes().next()?;
    let plain = match code {
        b'a' => '\u{7}',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'v' => '\u{b}',
        b'\\' | b'"' => code as char,
        b'x' => return digits(text, 1, 2, 16),
        b'u' => return digits(text, 1, 4, 16),
        b'U' => return digits(text, 1, 8, 16),
        b'0'..=b'7' => return digits(text, 0, 3, 8).filter(|(c, _)| (*c as u32) < 256),
        _ => return None,
    };
    Some((plain, 1))
}

/// A character by its number: `count` digits from `start` on.
fn digits(text: &str, start: usize, count: usize, radix: u32) -> Option<(char, usize)> {
    let digits = text.get(start..start + count).filter(|digits| digits.bytes().all(|b| b.is_ascii_alphanumeric()))?;
    Some((char::from_u32(u32::from_str_radix(digits, radix).ok()?)?, start + count))
}
