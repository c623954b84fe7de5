//! Query text into tokens with their places, as Loki's scanner cuts it.
//!
//! Parts: [`Tok`] and [`Token`]; [`tokens`], which cuts the whole text; below it words, numbers with
//! their units, ranges and punctuation. Strings are in [`crate::token::literal`].
//! Limits: the text is at most [`TEXT_BYTES_MAX`]; a token is made per character at worst.
//! Promises: never fails; what is no token becomes [`Tok::Broken`], reported by whoever meets it, so
//! that of several faults the first in the text is named. Function names are functions only before
//! `(`, so that labels may bear them. Must not do: know the grammar.

pub(crate) mod literal;

use crate::duration::{parse_bytes, parse_duration, parse_prometheus};
use crate::fault::LogqlFault;
use crate::limits::TEXT_BYTES_MAX;
use crate::op::{RangeOp, VectorOp};
use literal::{quoted_string, raw_string};

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tok {
    /// After the last token.
    End,
    /// A label name.
    Identifier(String),
    /// A string, unquoted.
    String(String),
    /// A number without unit: its text, and its value.
    Number(String, f64),
    /// `5m`, in nanoseconds.
    Duration(i64),
    /// `5KB`, in bytes.
    Bytes(u64),
    /// `[5m]`, in nanoseconds.
    Range(i64),
    /// `--strict`
    Strict,
    /// `--keep-empty`
    KeepEmpty,
    /// Punctuation or keyword, in lower case.
    Sym(&'static str),
    /// The name of a function, before a parenthesis, in lower case.
    Function(&'static str),
    /// A character of no token.
    Stray,
    /// A token with something wrong inside, in Loki's words.
    Broken(String),
}

impl Tok {
    /// As Loki names it in `unexpected X`.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::End => "$end".to_owned(),
            Self::Identifier(_) | Self::Stray => "IDENTIFIER".to_owned(),
            Self::String(_) => "STRING".to_owned(),
            Self::Number(..) => "NUMBER".to_owned(),
            Self::Duration(_) => "DURATION".to_owned(),
            Self::Bytes(_) => "BYTES".to_owned(),
            Self::Range(_) => "RANGE".to_owned(),
            Self::Strict | Self::KeepEmpty => "FUNCTION_FLAG".to_owned(),
            Self::Sym(text) => (*text).to_owned(),
            Self::Function(name @ ("ip" | "label_replace" | "variants")) => (*name).to_owned(),
            Self::Function(name @ ("bytes" | "duration" | "duration_seconds")) => format!("{}_CONV", name.to_uppercase()),
            Self::Function(name) => name.to_uppercase(),
            Self::Broken(text) => text.clone(),
        }
    }

    /// Whether Loki's scanner puts it together from several of its own tokens, and so loses the line.
    fn is_composed(&self) -> bool {
        match self {
            Self::Duration(_) | Self::Bytes(_) | Self::Range(_) | Self::Strict | Self::KeepEmpty => true,
            Self::Sym(text) => text.len() > 1 && !text.starts_with(|c: char| c.is_ascii_alphabetic()),
            Self::End | Self::Identifier(_) | Self::String(_) | Self::Number(..) | Self::Function(_) | Self::Stray | Self::Broken(_) => false,
        }
    }
}

/// A token and where it starts, line and column in characters from 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) tok: Tok,
    pub(crate) line: u32,
    pub(crate) col: u32,
}

impl Token {
    /// The fault of meeting this token where one of `expected` belongs; Loki lists up to four.
    pub(crate) fn unexpected(&self, expected: &[&str]) -> LogqlFault {
        let text = match (&self.tok, expected) {
            (Tok::Broken(text), _) => text.clone(),
            (tok, []) => format!("syntax error: unexpected {}", tok.name()),
            (tok, expected) => format!("syntax error: unexpected {}, expecting {}", tok.name(), expected.join(" or ")),
        };
        let unclosed_range = matches!(&self.tok, Tok::Broken(text) if text.contains("duration"));
        let line_reported = if self.tok.is_composed() || unclosed_range { 0 } else { self.line };
        LogqlFault::Syntax { line: self.line, col: self.col, line_reported, text }
    }
}

const KEYWORDS: [&str; 23] = [
    "by",
    "without",
    "bool",
    "offset",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "or",
    "and",
    "unless",
    "json",
    "regexp",
    "logfmt",
    "unpack",
    "pattern",
    "unwrap",
    "line_format",
    "label_format",
    "decolorize",
    "drop",
    "keep",
    "of",
];

/// Two characters before one, so that the longer is found first. `[` begins a range and is not here.
const PUNCTUATION: [&str; 27] =
    ["|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", "|", "=", ">", "<", "+", "-", "*", "/", "%", "^", "(", ")", "{", "}", ",", ".", "]"];

const FUNCTIONS: [&str; 7] = ["vector", "label_replace", "variants", "ip", "bytes", "duration", "duration_seconds"];

/// Cuts `text`; the last token is [`Tok::End`].
///
/// # Errors
/// [`LogqlFault::TooLarge`] beyond [`TEXT_BYTES_MAX`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, LogqlFault> {
    let mut scan = Scan { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1, col: 1 };
    if text.len() > TEXT_BYTES_MAX {
        let within = scan.rest.char_indices().map(|(at, _)| at).take_while(|at| *at <= TEXT_BYTES_MAX);
        scan.skip(within.last().unwrap_or(0));
        let text = format!("input size too long ({} > {TEXT_BYTES_MAX})", text.len());
        return Err(LogqlFault::TooLarge { line: scan.line, col: scan.col, text });
    }
    let mut out = Vec::new();
    loop {
        let unclosed = scan.skip_blank();
        let (line, col) = (scan.line, scan.col);
        let tok = if unclosed { scan.broken("comment not terminated") } else { scan.token() };
        let last = matches!(tok, Tok::End | Tok::Broken(_));
        out.push(Token { tok, line, col });
        if last {
            return Ok(out);
        }
    }
}

/// What is left of the text, and where that begins.
struct Scan<'a> {
    rest: &'a str,
    line: u32,
    col: u32,
}

impl<'a> Scan<'a> {
    /// Goes over `bytes` of the text and gives them.
    fn skip(&mut self, bytes: usize) -> &'a str {
        let (over, rest) = self.rest.split_at(bytes);
        for c in over.chars() {
            (self.line, self.col) = if c == '\n' { (self.line + 1, 1) } else { (self.line, self.col + 1) };
        }
        self.rest = rest;
        over
    }

    /// Goes over as long as `wanted`, and gives that.
    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        self.skip(self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len()))
    }

    /// Ends the text with a fault.
    fn broken(&mut self, text: &str) -> Tok {
        self.rest = "";
        Tok::Broken(text.to_owned())
    }

    /// Goes over white space and comments (`#`, `//`, `/* */`); true if one of the last kind has no end.
    fn skip_blank(&mut self) -> bool {
        loop {
            self.skip_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.skip_while(|c| c != '\n');
            } else if self.rest.starts_with("/*") {
                match self.rest.find("*/") {
                    Some(end) => self.skip(end + 2),
                    None => return true,
                };
            } else {
                return false;
            }
        }
    }

    fn token(&mut self) -> Tok {
        let Some(first) = self.rest.chars().next() else { return Tok::End };
        let next_is_digit = self.rest[first.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        match first {
            '"' | '`' => self.string(first),
            c if c.is_alphabetic() || c == '_' => self.word(),
            c if c.is_ascii_digit() || (c == '.' && next_is_digit) => self.number(),
            '[' => self.range(),
            '-' => self.minus(),
            '\0' => self.broken("invalid character NUL"),
            _ => self.punctuation(),
        }
    }

    fn string(&mut self, quote: char) -> Tok {
        let read = if quote == '`' { raw_string(self.rest) } else { quoted_string(self.rest) };
        match read {
            Ok((value, bytes)) => {
                self.skip(bytes);
                Tok::String(value)
            }
            Err(text) => self.broken(text),
        }
    }

    fn word(&mut self) -> Tok {
        let word = self.skip_while(|c| c.is_alphanumeric() || c == '_');
        let lower = word.to_lowercase();
        if let Some(keyword) = KEYWORDS.iter().find(|k| **k == lower) {
            return Tok::Sym(keyword);
        }
        match function(&lower) {
            Some(name) if self.is_called() => Tok::Function(name),
            _ => Tok::Identifier(word.to_owned()),
        }
    }

    /// Whether `(`, `by (` or `without (` follows.
    fn is_called(&self) -> bool {
        let mut ahead = Scan { rest: self.rest, line: 0, col: 0 };
        ahead.skip_blank();
        let grouping = ahead.skip_while(|c| c.is_ascii_alphabetic());
        if grouping.eq_ignore_ascii_case("by") || grouping.eq_ignore_ascii_case("without") {
            ahead.skip_blank();
        } else if !grouping.is_empty() {
            return false;
        }
        ahead.rest.starts_with('(')
    }

    fn minus(&mut self) -> Tok {
        for (flag, tok) in [("--keep-empty", Tok::KeepEmpty), ("--strict", Tok::Strict)] {
            let rest = self.rest.strip_prefix(flag);
            if rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-'))) {
                self.skip(flag.len());
                return tok;
            }
        }
        match self.duration(1) {
            Some(nanos) => Tok::Duration(nanos),
            None => self.punctuation(),
        }
    }

    /// A duration whose first `begun` bytes are known; goes over it if it is one.
    fn duration(&mut self, begun: usize) -> Option<i64> {
        let unit = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'n' | 'u' | 'µ' | 'μ' | 'm' | 's' | 'h' | 'd' | 'w' | 'y');
        let tail = &self.rest[begun..];
        let end = begun + tail.find(|c| !unit(c)).unwrap_or(tail.len());
        let nanos = parse_duration(&self.rest[..end])?;
        self.skip(end);
        Some(nanos)
    }

    /// A number, with the duration or size it begins.
    fn number(&mut self) -> Tok {
        let begun = number_end(self.rest);
        if let Some(nanos) = self.duration(begun) {
            return Tok::Duration(nanos);
        }
        let text = &self.rest[..begun];
        let digits = text.replace('_', "");
        if text.ends_with('_') || text.contains("__") || text.contains("_.") || text.contains("._") {
            return self.broken("'_' must separate successive digits");
        }
        let tail = &self.rest[begun..];
        if tail.starts_with('e') {
            return self.broken("exponent has no digits");
        }
        let end = tail.find(|c| !matches!(c, 'B' | 'i' | 'k' | 'K' | 'M' | 'G' | 'T' | 'P' | 'E')).unwrap_or(tail.len());
        if let Some(bytes) = (end > 0).then(|| parse_bytes(&digits, &tail[..end])).flatten() {
            self.skip(begun + end);
            return Tok::Bytes(bytes);
        }
        let hex = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
        let value = hex.map_or_else(|| digits.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok().map(|n| n as f64));
        match value {
            Some(value) if value.is_finite() => Tok::Number(self.skip(begun).to_owned(), value),
            // Go's ParseFloat refuses what rounds to infinity, which LogQL has no way to write.
            Some(_) => self.broken(&format!("unable to parse float: strconv.ParseFloat: parsing {digits:?}: value out of range")),
            None => self.broken("invalid number"),
        }
    }

    fn range(&mut self) -> Tok {
        let Some(end) = self.rest.find(']') else { return self.broken("missing closing ']' in duration") };
        match parse_prometheus(&self.rest[1..end]) {
            Ok(nanos) => {
                self.skip(end + 1);
                Tok::Range(nanos)
            }
            Err(text) => self.broken(&text),
        }
    }

    fn punctuation(&mut self) -> Tok {
        let found = PUNCTUATION.iter().find(|p| self.rest.starts_with(**p));
        let Some(first) = self.rest.chars().next() else { return Tok::End };
        self.skip(found.map_or(first.len_utf8(), |p| p.len()));
        found.map_or(Tok::Stray, |p| Tok::Sym(p))
    }
}

/// The function of this name, in lower case.
fn function(word: &str) -> Option<&'static str> {
    let other = FUNCTIONS.iter().find(|f| **f == word).copied();
    other.or_else(|| RangeOp::of(word).map(RangeOp::as_str)).or_else(|| VectorOp::of(word).map(VectorOp::as_str))
}

/// Where the number at the start of `text` ends: hexadecimal, or decimal with point and exponent.
fn number_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| from + bytes[from..].iter().take_while(|b| b.is_ascii_digit() || **b == b'_').count();
    if let [b'0', b'x' | b'X', tail @ ..] = bytes {
        let hex = tail.iter().take_while(|b| b.is_ascii_hexdigit() || **b == b'_').count();
        return if hex == 0 { 1 } else { 2 + hex };
    }
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
            end = digits(end + 1 + sign);
        }
    }
    end
}

#[cfg(test)]
mod tests;
