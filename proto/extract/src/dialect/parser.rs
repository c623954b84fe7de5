//! Go's regular expression grammar, read left to right onto a stack of open groups.
//!
//! Parts: [`Parser::run`] (the loop over what can come next), then one method per construct. A [`Group`]
//! collects pieces; a piece is one thing a repeat can apply to, already in the other syntax.
//! Flags are resolved here: pieces under `(?i)` are marked and wrapped when joined; `s`, `m` and `U` are
//! written into the piece they govern. So no flag of the source is left in the result.

use std::collections::BTreeSet;

use super::class;
use crate::fault::{DialectCode, DialectFault};
use crate::limits::{REGEX_NEST_MAX, REGEX_REPEAT_MAX};

/// A class that no character is in.
const NOTHING: &str = "[^\\x00-\\x{10FFFF}]";

/// `(?imsU)`.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    fold: bool,
    lines: bool,
    dot_all: bool,
    lazy: bool,
}

/// One thing a repeat can apply to.
struct Piece {
    text: String,
    /// Whether letters in it match either case.
    fold: bool,
    /// Whether it already ends in a repeat.
    repeated: bool,
    /// The largest product of nested repeat counts in it, which Go bounds.
    repeats: u32,
    /// Whether it holds a group that captures.
    captures: bool,
}

/// An open group, or the whole expression.
#[derive(Default)]
struct Group {
    open: String,
    /// Flags to go back to at its end.
    outer: Flags,
    /// Branches already ended by `|`, with it.
    branches: String,
    pieces: Vec<Piece>,
    repeats: u32,
    captures: bool,
}

impl Group {
    /// Ends the branch: joins its pieces.
    fn join(&mut self) {
        let mut folding = false;
        for piece in self.pieces.drain(..) {
            if piece.fold != folding {
                self.branches.push_str(if folding { ")" } else { "(?i:" });
                folding = piece.fold;
            }
            self.branches.push_str(&piece.text);
            self.repeats = self.repeats.max(piece.repeats);
            self.captures |= piece.captures;
        }
        if folding {
            self.branches.push(')');
        }
    }
}

/// Reads a source once.
pub(super) struct Parser<'a> {
    source: &'a str,
    rest: &'a str,
    flags: Flags,
    groups: Vec<Group>,
    names: BTreeSet<String>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(source: &'a str, dot_all: bool) -> Self {
        Self { source, rest: source, flags: Flags { dot_all, ..Flags::default() }, groups: vec![Group::default()], names: BTreeSet::new() }
    }

    pub(super) fn run(mut self) -> Result<String, DialectFault> {
        // The repeat operator just read, from which the rest is measured in errors.
        let mut last_repeat: Option<&'a str> = None;
        while let Some(c) = self.rest.chars().next() {
            let before = self.rest;
            let mut repeat = None;
            match c {
                '(' if self.rest.starts_with("(?") => self.perl_group()?,
                '(' => {
                    self.advance(1);
                    self.open("(".to_owned())?;
                }
                '|' => {
                    self.advance(1);
                    let group = self.group();
                    group.join();
                    group.branches.push('|');
                }
                ')' => self.close()?,
                '^' | '$' => {
                    self.advance(1);
                    let text = if self.flags.lines { format!("(?m:{c})") } else { c.to_string() };
                    self.push(text, false);
                }
                '.' => {
                    self.advance(1);
                    self.push(if self.flags.dot_all { "(?s:.)" } else { "." }.to_owned(), false);
                }
                '[' => self.class()?,
                '*' | '+' | '?' => {
                    self.advance(1);
                    self.repeat(&before[..1], before, last_repeat, 1)?;
                    repeat = Some(before);
                }
                '{' => {
                    if self.counted(last_repeat)? {
                        repeat = Some(before);
                    } else {
                        self.advance(1);
                        self.literal('{');
                    }
                }
                '\\' => self.escape()?,
                c => {
                    self.advance(c.len_utf8());
                    self.literal(c);
                }
            }
            last_repeat = repeat;
        }
        let mut whole = self.groups.pop().unwrap_or_default();
        if !self.groups.is_empty() {
            return Err(syntax(DialectCode::Paren, self.source));
        }
        whole.join();
        Ok(whole.branches)
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    /// The part of the source from `start` to where reading stands.
    fn part(&self, start: &'a str) -> &'a str {
        &start[..start.len() - self.rest.len()]
    }

    fn group(&mut self) -> &mut Group {
        if self.groups.is_empty() {
            self.groups.push(Group::default());
        }
        let last = self.groups.len() - 1;
        &mut self.groups[last]
    }

    fn push(&mut self, text: String, fold: bool) {
        self.group().pieces.push(Piece { text, fold, repeated: false, repeats: 1, captures: false });
    }

    fn literal(&mut self, c: char) {
        let mut text = String::new();
        if c.is_ascii_punctuation() && c != '_' || c.is_ascii_control() {
            class::push_char(&mut text, c);
        } else {
            text.push(c);
        }
        let fold = self.flags.fold;
        self.push(text, fold);
    }

    fn open(&mut self, open: String) -> Result<(), DialectFault> {
        if self.groups.len() > REGEX_NEST_MAX {
            return Err(DialectFault::Nest { max: REGEX_NEST_MAX });
        }
        self.groups.push(Group { open, outer: self.flags, ..Group::default() });
        Ok(())
    }

    fn close(&mut self) -> Result<(), DialectFault> {
        if self.groups.len() < 2 {
            return Err(syntax(DialectCode::UnexpectedParen, self.source));
        }
        self.advance(1);
        if let Some(mut group) = self.groups.pop() {
            group.join();
            self.flags = group.outer;
            let text = format!("{}{})", group.open, group.branches);
            let captures = group.captures || group.open != "(?:";
            self.group().pieces.push(Piece { text, fold: false, repeated: false, repeats: group.repeats, captures });
        }
        Ok(())
    }

    /// `(?P<name>`, `(?<name>`, `(?flags)` or `(?flags:`.
    fn perl_group(&mut self) -> Result<(), DialectFault> {
        let start = self.rest;
        for prefix in ["(?P<", "(?<"] {
            let Some(named) = start.strip_prefix(prefix).filter(|named| !named.is_empty()) else { continue };
            let Some(end) = named.find('>') else { return Err(syntax(DialectCode::Name, start)) };
            let (name, whole) = (&named[..end], &start[..prefix.len() + end + 1]);
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(syntax(DialectCode::Name, whole));
            }
            self.advance(whole.len());
            return self.open_named(name);
        }
        self.advance(2);
        let mut flags = self.flags;
        let (mut on, mut seen) = (true, false);
        while let Some(c) = self.rest.chars().next() {
            self.advance(c.len_utf8());
            match c {
                'i' => flags.fold = on,
                'm' => flags.lines = on,
                's' => flags.dot_all = on,
                'U' => flags.lazy = on,
                '-' if on => {
                    (on, seen) = (false, false);
                    continue;
                }
                ':' | ')' if on || seen => {
                    if c == ':' {
                        self.open("(?:".to_owned())?;
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => return Err(syntax(DialectCode::Perl, self.part(start))),
            }
            seen = true;
        }
        Err(syntax(DialectCode::Perl, start))
    }

    fn open_named(&mut self, name: &str) -> Result<(), DialectFault> {
        let name = if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name.to_owned() };
        let open = format!("(?P<{name}>");
        let first = self.names.insert(name);
        self.open(if first { open } else { "(".to_owned() })
    }

    /// Applies `operator` to the piece before it. `count` is what it multiplies nested repeats by.
    fn repeat(&mut self, operator: &str, before: &'a str, last: Option<&'a str>, count: u32) -> Result<(), DialectFault> {
        let mut lazy = self.flags.lazy;
        if self.rest.starts_with('?') {
            self.advance(1);
            lazy = !lazy;
        }
        if let Some(last) = last {
            return Err(syntax(DialectCode::NestedRepeat, self.part(last)));
        }
        let part = self.part(before);
        let Some(piece) = self.group().pieces.last_mut() else {
            return Err(syntax(DialectCode::MissingArgument, part));
        };
        if piece.repeated {
            piece.text = format!("(?:{})", piece.text);
        }
        if matches!(operator, "{0}" | "{0,0}") && piece.captures {
            // The `regex` crate forgets groups that cannot match, and would count the ones after it from there.
            piece.text = format!("(?:{NOTHING}{}|)", piece.text);
            return Ok(());
        }
        piece.text.push_str(operator);
        if lazy {
            piece.text.push('?');
        }
        piece.repeated = true;
        if operator.starts_with('{') {
            piece.repeats = piece.repeats.max(u32::from(count > 0)).saturating_mul(count);
            if piece.repeats > REGEX_REPEAT_MAX {
                return Err(syntax(DialectCode::Count, part));
            }
        }
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}`; `false` when it is none and the brace stands for itself.
    fn counted(&mut self, last: Option<&'a str>) -> Result<bool, DialectFault> {
        let before = self.rest;
        let Some((min, max, length)) = counts(before) else { return Ok(false) };
        self.advance(length);
        if min > REGEX_REPEAT_MAX || max.is_some_and(|max| max > REGEX_REPEAT_MAX || min > max) {
            return Err(syntax(DialectCode::Count, self.part(before)));
        }
        self.repeat(&before[..length], before, last, max.unwrap_or(min))?;
        Ok(true)
    }

    /// What a backslash outside brackets begins.
    fn escape(&mut self) -> Result<(), DialectFault> {
        let start = self.rest;
        let anchor = match start.as_bytes().get(1) {
            Some(b'A') => "\\A",
            Some(b'z') => "\\z",
            Some(b'b') => "(?-u:\\b)",
            Some(b'B') => "(?-u:\\B)",
            Some(b'C') => return Err(syntax(DialectCode::Escape, "\\C")),
            Some(b'Q') => {
                let text = &start[2..];
                let (quoted, rest) = text.split_once("\\E").unwrap_or((text, ""));
                self.rest = rest;
                quoted.chars().for_each(|c| self.literal(c));
                return Ok(());
            }
            Some(_) | None => "",
        };
        if !anchor.is_empty() {
            self.advance(2);
            self.push(anchor.to_owned(), false);
            return Ok(());
        }
        if let Some(items) = self.class_escape()? {
            let fold = self.flags.fold;
            self.push(format!("[{items}]"), fold);
            return Ok(());
        }
        let c = self.escaped_char()?;
        self.literal(c);
        Ok(())
    }

    /// `\d`, `\pN`, `\p{Greek}` and the like, as items of a class; `None` when the rest begins none.
    fn class_escape(&mut self) -> Result<Option<String>, DialectFault> {
        let start = self.rest;
        let Some(&letter) = start.as_bytes().get(1).filter(|_| start.starts_with('\\')) else { return Ok(None) };
        if let Some(items) = class::perl(letter) {
            self.advance(2);
            return Ok(Some(items.to_owned()));
        }
        if !matches!(letter, b'p' | b'P') {
            return Ok(None);
        }
        self.advance(2);
        let Some(first) = self.rest.chars().next() else { return Err(syntax(DialectCode::Range, start)) };
        let mut name = &self.rest[..first.len_utf8()];
        if first == '{' {
            let Some(end) = self.rest.find('}') else { return Err(syntax(DialectCode::Range, start)) };
            name = &self.rest[1..end];
            self.advance(end + 1);
        } else {
            self.advance(name.len());
        }
        let (name, negated) = name.strip_prefix('^').map_or((name, letter == b'P'), |name| (name, letter == b'p'));
        match class::unicode(name, negated) {
            Some(items) => Ok(Some(items)),
            None => Err(syntax(DialectCode::Range, self.part(start))),
        }
    }

    /// The character that the escape at the rest stands for.
    fn escaped_char(&mut self) -> Result<char, DialectFault> {
        let start = self.rest;
        self.advance(1);
        let Some(c) = self.rest.chars().next() else { return Err(DialectFault::Backslash) };
        self.advance(c.len_utf8());
        let found = match c {
            '1'..='7' if !self.rest.starts_with(|c: char| ('0'..='7').contains(&c)) => None,
            '0'..='7' => {
                let mut code = c as u32 - '0' as u32;
                for _ in 0..2 {
                    let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    self.advance(1);
                }
                char::from_u32(code)
            }
            'x' => self.hex(),
            'a' => Some('\u{7}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        };
        found.ok_or_else(|| syntax(DialectCode::Escape, self.part(start)))
    }

    /// `\xFF` or `\x{10FFFF}`, the rest being after the `x`; a wrong one is read as far as Go reads it.
    fn hex(&mut self) -> Option<char> {
        let digit = |parser: &mut Self| {
            let c = parser.rest.chars().next()?;
            parser.advance(c.len_utf8());
            Some(c)
        };
        let first = digit(self)?;
        if first != '{' {
            let second = digit(self)?;
            return char::from_u32(first.to_digit(16)? * 16 + second.to_digit(16)?);
        }
        let (mut code, mut digits) = (0_u32, 0);
        loop {
            let c = digit(self)?;
            if c == '}' {
                // Surrogates are no characters: Go takes them and they match nothing.
                return if digits == 0 { None } else { Some(char::from_u32(code).unwrap_or('\u{fffd}')) };
            }
            code = code * 16 + c.to_digit(16)?;
            digits += 1;
            if code > char::MAX as u32 {
                return None;
            }
        }
    }

    /// A class in brackets.
    fn class(&mut self) -> Result<(), DialectFault> {
        let start = self.rest;
        self.advance(1);
        let mut out = String::from("[");
        if self.rest.starts_with('^') {
            self.advance(1);
            out.push('^');
        }
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            if let Some(named) = self.rest.strip_prefix("[:")
                && let Some(end) = named.find(":]")
            {
                let whole = &self.rest[..end + 4];
                out.push_str(&class::posix(&named[..end]).ok_or_else(|| syntax(DialectCode::Range, whole))?);
                self.advance(whole.len());
                continue;
            }
            if let Some(items) = self.class_escape()? {
                out.push_str(&items);
                continue;
            }
            let range = self.rest;
            let low = self.class_char(start)?;
            class::push_char(&mut out, low);
            if self.rest.len() >= 2 && self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.advance(1);
                let high = self.class_char(start)?;
                if high < low {
                    return Err(syntax(DialectCode::Range, self.part(range)));
                }
                out.push('-');
                class::push_char(&mut out, high);
            }
        }
        self.advance(1);
        out.push(']');
        let fold = self.flags.fold;
        self.push(out, fold);
        Ok(())
    }

    fn class_char(&mut self, class: &'a str) -> Result<char, DialectFault> {
        match self.rest.chars().next() {
            None => Err(syntax(DialectCode::Bracket, class)),
            Some('\\') => self.escaped_char(),
            Some(c) => {
                self.advance(c.len_utf8());
                Ok(c)
            }
        }
    }
}

/// `{n}`, `{n,}` or `{n,m}` at the start of `text`: least, most, length. Numbers have no leading zeros.
fn counts(text: &str) -> Option<(u32, Option<u32>, usize)> {
    let end = text.find('}')?;
    let (min, max) = match text[1..end].split_once(',') {
        None => {
            let count = number(&text[1..end])?;
            (count, Some(count))
        }
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
    };
    Some((min, max, end + 1))
}

fn number(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
    plain.then(|| digits.parse().unwrap_or(u32::MAX))
}

fn syntax(code: DialectCode, part: &str) -> DialectFault {
    DialectFault::Syntax { code, part: part.to_owned() }
}
