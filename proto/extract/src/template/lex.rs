//! The tokens of a template: text, and what stands between `{{` and `}}`.
//!
//! Parts: [`Token`], [`Item`] (a token and where it begins), [`lex`]. White space separates operands, so it is a token.
//! What cannot be read becomes [`Token::Bad`] at its place, so that a fault earlier in the text is told first, as in Go.
//! Source: Go's `text/template/parse` documentation. Must not do: know functions.

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Outside of actions.
    Text(String),
    /// `{{`
    Begin,
    /// `}}`
    End,
    Space,
    /// `.name`
    Field(String),
    /// `.`
    Dot,
    /// `$name`, the sign included.
    Variable(String),
    /// A function or a keyword.
    Name(String),
    /// A string constant: its value, and as it is written.
    Quoted(String, String),
    /// A number or character constant: as it is written.
    Number(String),
    Pipe,
    Open,
    Close,
    /// `=`
    Assign,
    /// `:=`
    Declare,
    /// A character that has no meaning here.
    Char(char),
    /// Cannot be read, and why.
    Bad(String),
    /// The end of the template.
    Eof,
}

/// A token and its first byte.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) token: Token,
    pub(super) at: usize,
}

/// What counts as white space in templates.
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// The tokens of `source`; the last one is [`Token::Bad`] or [`Token::Eof`].
pub(super) fn lex(source: &str) -> Vec<Item> {
    let mut lexer = Lexer { source, at: 0, depth: 0, items: Vec::new() };
    if let Err((at, reason)) = lexer.run() {
        lexer.items.push(Item { token: Token::Bad(reason), at });
    }
    lexer.items
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    /// Open parentheses.
    depth: usize,
    items: Vec<Item>,
}

type Lexed = Result<(), (usize, String)>;

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn push(&mut self, token: Token, length: usize) {
        self.items.push(Item { token, at: self.at });
        self.at += length;
    }

    fn fault<T>(&self, reason: impl Into<String>) -> Result<T, (usize, String)> {
        Err((self.at, reason.into()))
    }

    fn run(&mut self) -> Lexed {
        // Whether the action before ended in ` -}}`.
        let mut trim = false;
        loop {
            let rest = self.rest();
            let (text, open) = rest.find("{{").map_or((rest, false), |at| (&rest[..at], true));
            let start = if trim { text.len() - text.trim_start_matches(SPACES).len() } else { 0 };
            let trims_before = open && rest[text.len() + 2..].strip_prefix('-').is_some_and(|after| after.starts_with(SPACES));
            let end = if trims_before { text.trim_end_matches(SPACES).len().max(start) } else { text.len() };
            if start < end {
                self.items.push(Item { token: Token::Text(text[start..end].to_owned()), at: self.at + start });
            }
            self.at += text.len();
            if !open {
                self.push(Token::Eof, 0);
                return Ok(());
            }
            let opening = 2 + usize::from(trims_before);
            if let Some(after) = self.comment(opening)? {
                trim = after;
                continue;
            }
            self.push(Token::Begin, opening);
            trim = self.action()?;
        }
    }

    /// Passes over the comment of an action; whether it trims what follows.
    fn comment(&mut self, opening: usize) -> Result<Option<bool>, (usize, String)> {
        let inside = self.rest()[opening..].trim_start_matches(SPACES);
        let Some(inside) = inside.strip_prefix("/*") else { return Ok(None) };
        let Some((_, after)) = inside.split_once("*/") else { return self.fault("unclosed comment") };
        let plain = after.strip_prefix("}}").map(|rest| (rest, false));
        let trimming = || after.strip_prefix(SPACES).and_then(|rest| rest.trim_start_matches(SPACES).strip_prefix("-}}")).map(|rest| (rest, true));
        let Some((rest, trim)) = plain.or_else(trimming) else { return self.fault("comment ends before closing delimiter") };
        self.at = self.source.len() - rest.len();
        Ok(Some(trim))
    }

    /// The tokens up to the end of an action; whether it trims what follows.
    fn action(&mut self) -> Result<bool, (usize, String)> {
        loop {
            let rest = self.rest();
            let spaces = rest.len() - rest.trim_start_matches(SPACES).len();
            let trims = spaces > 0 && rest[spaces..].starts_with("-}}");
            if trims || rest.starts_with("}}") {
                if self.depth > 0 {
                    return self.fault("unclosed left paren");
                }
                self.push(Token::End, if trims { spaces + 3 } else { 2 });
                return Ok(trims);
            }
            if spaces > 0 {
                self.push(Token::Space, spaces);
                continue;
            }
            let Some(first) = rest.chars().next() else { return self.fault("unclosed action") };
            match first {
                '=' => self.push(Token::Assign, 1),
                ':' if rest.starts_with(":=") => self.push(Token::Declare, 2),
                ':' => return self.fault("expected :="),
                '|' => self.push(Token::Pipe, 1),
                '(' => {
                    self.depth += 1;
                    self.push(Token::Open, 1);
                }
                ')' => {
                    let Some(depth) = self.depth.checked_sub(1) else { return self.fault("unexpected right paren") };
                    self.depth = depth;
                    self.push(Token::Close, 1);
                }
                '"' => self.quoted()?,
                '`' => match rest[1..].find('`') {
                    Some(end) => self.push(Token::Quoted(rest[1..=end].replace('\r', ""), rest[..end + 2].to_owned()), end + 2),
                    None => return self.fault("unterminated raw quoted string"),
                },
                '\'' => self.character()?,
                '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.word('.')?,
                '$' => self.word('$')?,
                '+' | '-' | '.' | '0'..='9' => self.number()?,
                c if is_word(c) => self.word(' ')?,
                c if c.is_ascii_graphic() => self.push(Token::Char(c), 1),
                c => return self.fault(format!("unrecognized character in action: U+{:04X} '{c}'", c as u32)),
            }
        }
    }

    /// `.name`, `$name` or a bare name.
    fn word(&mut self, sign: char) -> Lexed {
        let rest = self.rest();
        let signed = usize::from(sign != ' ');
        let length = signed + rest[signed..].find(|c| !is_word(c)).unwrap_or(rest.len() - signed);
        let word = &rest[..length];
        let after = rest[length..].chars().next();
        if !ends_operand(&rest[length..]) {
            let c = after.unwrap_or(' ');
            return self.fault(format!("bad character U+{:04X} '{c}'", c as u32));
        }
        let token = match sign {
            '.' if length == 1 => Token::Dot,
            '.' => Token::Field(word[1..].to_owned()),
            '$' => Token::Variable(word.to_owned()),
            _ => Token::Name(word.to_owned()),
        };
        self.push(token, length);
        Ok(())
    }

    fn number(&mut self) -> Lexed {
        let rest = self.rest();
        let signed = usize::from(rest.starts_with(['+', '-']));
        let bytes = rest.as_bytes();
        let hex = rest[signed..].starts_with("0x") || rest[signed..].starts_with("0X");
        let mut length = signed;
        while let Some(b) = bytes.get(length) {
            let exponent_sign = matches!(b, b'+' | b'-')
                && length > signed
                && matches!(bytes[length - 1], b'p' | b'P' | b'e' | b'E')
                && (!hex || matches!(bytes[length - 1], b'p' | b'P'));
            if !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_') || exponent_sign) {
                break;
            }
            length += 1;
        }
        let text = &rest[..length];
        if super::value::Number::read(text).is_none() {
            return self.fault(format!("bad number syntax: {}", proto_model::labels::quoted(text)));
        }
        self.push(Token::Number(text.to_owned()), length);
        Ok(())
    }

    fn character(&mut self) -> Lexed {
        let mut escaped = false;
        for (at, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                '\'' if !escaped => {
                    let text = &self.rest()[..=at];
                    self.push(Token::Number(text.to_owned()), at + 1);
                    return Ok(());
                }
                _ => escaped = c == '\\' && !escaped,
            }
        }
        self.fault("unterminated character constant")
    }

    /// A string constant in double quotes, with Go's escapes.
    fn quoted(&mut self) -> Lexed {
        let mut escaped = false;
        for (at, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                '"' if !escaped => {
                    let written = &self.rest()[..=at];
                    let Some(value) = unescaped(&written[1..at]) else { return self.fault("invalid syntax") };
                    self.push(Token::Quoted(value, written.to_owned()), at + 1);
                    return Ok(());
                }
                _ => escaped = c == '\\' && !escaped,
            }
        }
        self.fault("unterminated quoted string")
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Whether an operand may end before `rest`.
fn ends_operand(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(SPACES) || rest.starts_with(['.', ',', '|', ':', ')', '(', '=']) || rest.starts_with("}}")
}

/// A string constant without its quotes; `None` where Go refuses it.
pub(super) fn unescaped(written: &str) -> Option<String> {
    let (mut out, mut rest) = (Vec::with_capacity(written.len()), written);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let (escape, length) = escape(rest)?;
        match escape {
            Escape::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Escape::Byte(b) => out.push(b),
        }
        rest = &rest[length..];
    }
    Some(crate::text::repaired(&out).into_owned())
}

enum Escape {
    Char(char),
    /// `\x` and octal escapes name bytes.
    Byte(u8),
}

/// What an escape stands for, `text` being after its backslash, and how much of it belongs to it.
fn escape(text: &str) -> Option<(Escape, usize)> {
    let code = text.bytes().next()?;
    let plain = match code {
        b'a' => '\u{7}',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'v' => '\u{b}',
        b'\\' | b'"' | b'\'' => code as char,
        b'x' => return number(text, 1, 2, 16).and_then(|(n, len)| Some((Escape::Byte(u8::try_from(n).ok()?), len))),
        b'u' => return number(text, 1, 4, 16).and_then(|(n, len)| Some((Escape::Char(char::from_u32(n)?), len))),
        b'U' => return number(text, 1, 8, 16).and_then(|(n, len)| Some((Escape::Char(char::from_u32(n)?), len))),
        b'0'..=b'7' => return number(text, 0, 3, 8).and_then(|(n, len)| Some((Escape::Byte(u8::try_from(n).ok()?), len))),
        _ => return None,
    };
    Some((Escape::Char(plain), 1))
}

fn number(text: &str, start: usize, count: usize, radix: u32) -> Option<(u32, usize)> {
    let digits = text.get(start..start + count).filter(|digits| digits.bytes().all(|b| b.is_ascii_alphanumeric()))?;
    Some((u32::from_str_radix(digits, radix).ok()?, start + count))
}
