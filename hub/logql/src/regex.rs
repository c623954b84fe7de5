//! The syntax of regular expressions as Go's `regexp` takes it, judged without compiling.
//!
//! Parts: [`facts`], a recursive descent over groups, repetitions, classes and escapes that gives
//! what the parser must know of an expression ([`Facts`]); [`is_plain`], on which Loki's print depends.
//! Limits: source at most [`REGEX_BYTES_MAX`], groups nested at most [`REGEX_NESTING_MAX`],
//! repetitions multiplied at most [`REGEX_REPEAT_MAX`]; so the recursion is bounded.
//! Promise: refuses what Go refuses, in Go's words, so that a query means the same here as in Loki or
//! nothing. Names of Unicode classes are not looked up. Must not do: match text.

use crate::limits::{REGEX_BYTES_MAX, REGEX_NESTING_MAX, REGEX_REPEAT_MAX};

/// What there is to know of an expression without running it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whether it matches the empty text when anchored at both ends.
    pub(crate) takes_empty: bool,
    /// Names of its named groups in order, repeated ones too.
    pub(crate) names: Vec<String>,
}

/// Judges `source`.
///
/// # Errors
/// `error parsing regexp: ...` in Go's words.
pub(crate) fn facts(source: &str) -> Result<Facts, String> {
    if source.len() > REGEX_BYTES_MAX {
        return Err(format!("error parsing regexp: expression too large ({} bytes, limit {REGEX_BYTES_MAX})", source.len()));
    }
    let mut parser = Parser { source, rest: source, names: Vec::new(), depth: 0 };
    let node = parser.alternation().map_err(|text| format!("error parsing regexp: {text}"))?;
    if parser.rest.starts_with(')') {
        return Err(format!("error parsing regexp: unexpected ): `{source}`"));
    }
    Ok(Facts { takes_empty: node.takes_empty, names: parser.names })
}

/// A part of an expression, reduced to what matters around it.
#[derive(Clone, Copy)]
struct Node {
    takes_empty: bool,
    /// The largest product of nested repetitions inside, at least 1.
    repeats: u32,
}

impl Node {
    const ONE: Self = Self { takes_empty: false, repeats: 1 };
    const EMPTY: Self = Self { takes_empty: true, repeats: 1 };

    fn then(self, next: Self) -> Self {
        Self { takes_empty: self.takes_empty && next.takes_empty, repeats: self.repeats.max(next.repeats) }
    }
}

/// Parts in a row: the last apart, since a repetition belongs to it alone, even across flags.
struct Row {
    before: Node,
    last: Option<Node>,
}

impl Row {
    fn push(&mut self, node: Node) {
        self.before = self.whole();
        self.last = Some(node);
    }

    fn whole(&self) -> Node {
        self.last.map_or(self.before, |last| self.before.then(last))
    }
}

struct Parser<'a> {
    source: &'a str,
    rest: &'a str,
    names: Vec<String>,
    depth: usize,
}

type Parsed<T> = Result<T, String>;

impl<'a> Parser<'a> {
    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest.strip_prefix(text);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// What was read since `start`.
    fn since(&self, start: &'a str) -> &'a str {
        &start[..start.len() - self.rest.len()]
    }

    /// `a|b|c`, up to the end or a closing parenthesis.
    fn alternation(&mut self) -> Parsed<Node> {
        let mut all = self.concatenation()?;
        while self.eat("|") {
            let node = self.concatenation()?;
            all = Node { takes_empty: all.takes_empty || node.takes_empty, repeats: all.repeats.max(node.repeats) };
        }
        Ok(all)
    }

    fn concatenation(&mut self) -> Parsed<Node> {
        let mut row = Row { before: Node::EMPTY, last: None };
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
            self.repetitions(&mut row)?;
            if self.rest.is_empty() || self.rest.starts_with(['|', ')']) {
                break;
            }
            self.atom(&mut row)?;
        }
        Ok(row.whole())
    }

    /// One thing that may be repeated, or flags.
    fn atom(&mut self, row: &mut Row) -> Parsed<()> {
        let start = self.rest;
        match self.take() {
            Some('(') => return self.group(start, row),
            Some('[') => {
                self.class(start)?;
                row.push(Node::ONE);
            }
            Some('^' | '$') => row.push(Node::EMPTY),
            Some('\\') => return self.escape(start, row),
            _ => row.push(Node::ONE),
        }
        Ok(())
    }

    /// The repetitions that are next, of which there can be one.
    fn repetitions(&mut self, row: &mut Row) -> Parsed<()> {
        let mut first: Option<&'a str> = None;
        loop {
            let start = self.rest;
            let (min, max, length) = match start.chars().next() {
                Some('*') => (0, None, 1),
                Some('+') => (1, None, 1),
                Some('?') => (0, Some(1), 1),
                Some('{') => match counts(start) {
                    Some(counts) => counts,
                    None => return Ok(()),
                },
                _ => return Ok(()),
            };
            self.rest = &start[length..];
            let within = |node| counted(node, min, max).ok_or_else(|| format!("invalid repeat count: `{}`", &start[..length]));
            within(Node::ONE)?;
            self.eat("?");
            if let Some(first) = first {
                return Err(format!("invalid nested repetition operator: `{}`", self.since(first)));
            }
            first = Some(start);
            let last = row.last.ok_or_else(|| format!("missing argument to repetition operator: `{}`", self.since(start)))?;
            row.last = Some(within(last)?);
        }
    }

    /// Behind `(`: a group of any kind, or flags for what follows.
    fn group(&mut self, start: &'a str, row: &mut Row) -> Parsed<()> {
        if self.rest.starts_with('?') && !self.opening(start)? {
            return Ok(());
        }
        self.depth += 1;
        if self.depth > REGEX_NESTING_MAX {
            return Err(format!("expression nests too deeply: `{}`", self.source));
        }
        let node = self.alternation()?;
        self.depth -= 1;
        if !self.eat(")") {
            return Err(format!("missing closing ): `{}`", self.source));
        }
        row.push(node);
        Ok(())
    }

    /// `?P<name>`, `?<name>`, `?flags:`: true; `?flags)`: false.
    fn opening(&mut self, start: &'a str) -> Parsed<bool> {
        let named = ["?P<", "?<"].into_iter().find_map(|p| self.rest.strip_prefix(p));
        if let Some(named) = named.filter(|named| !named.is_empty()) {
            let end = named.find('>').ok_or_else(|| format!("invalid named capture: `{start}`"))?;
            let name = &named[..end];
            self.rest = &named[end + 1..];
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(format!("invalid named capture: `{}`", self.since(start)));
            }
            self.names.push(name.to_owned());
            return Ok(true);
        }
        self.take();
        let (mut negative, mut saw_flag) = (false, false);
        while let Some(c) = self.take() {
            match c {
                'i' | 'm' | 's' | 'U' => saw_flag = true,
                '-' if !negative => (negative, saw_flag) = (true, false),
                ':' | ')' if saw_flag || !negative => return Ok(c == ':'),
                _ => break,
            }
        }
        Err(format!("invalid or unsupported Perl syntax: `{}`", self.since(start)))
    }

    /// Behind a backslash outside a class.
    fn escape(&mut self, start: &'a str, row: &mut Row) -> Parsed<()> {
        match self.rest.chars().next() {
            Some('A' | 'z' | 'B') => {
                self.take();
                row.push(Node::EMPTY);
            }
            Some('b') => {
                self.take();
                row.push(Node::ONE);
            }
            Some('Q') => {
                let (literal, rest) = self.rest[1..].split_once("\\E").unwrap_or((&self.rest[1..], ""));
                literal.chars().for_each(|_| row.push(Node::ONE));
                self.rest = rest;
            }
            _ => {
                self.class_escape(start)?;
                row.push(Node::ONE);
            }
        }
        Ok(())
    }

    /// Behind a backslash anywhere: a class (`None`) or a character.
    fn class_escape(&mut self, start: &'a str) -> Parsed<Option<char>> {
        let invalid = |parser: &Self| format!("invalid escape sequence: `{}`", parser.since(start));
        match self.take() {
            None => Err("trailing backslash at end of expression: ``".to_owned()),
            Some('d' | 'D' | 's' | 'S' | 'w' | 'W') => Ok(None),
            Some('p' | 'P') => self.unicode_class(start).map(|()| None),
            Some('x') => self.hexadecimal().map(Some).ok_or_else(|| invalid(self)),
            Some(c @ '0'..='7') => {
                let more = self.rest.bytes().take(2).take_while(|b| matches!(b, b'0'..=b'7')).count();
                if c != '0' && more == 0 {
                    return Err(invalid(self));
                }
                let code = self.rest[..more].bytes().fold(u32::from(c) - 48, |code, b| code * 8 + u32::from(b - b'0'));
                self.rest = &self.rest[more..];
                Ok(char::from_u32(code))
            }
            Some('a') => Ok(Some('\u{7}')),
            Some('f') => Ok(Some('\u{c}')),
            Some('n') => Ok(Some('\n')),
            Some('r') => Ok(Some('\r')),
            Some('t') => Ok(Some('\t')),
            Some('v') => Ok(Some('\u{b}')),
            Some(c) if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(Some(c)),
            Some(_) => Err(invalid(self)),
        }
    }

    /// Behind `\x`: two digits, or `{...}` of up to 10FFFF. Reads as far as Go does, for the fault's text.
    fn hexadecimal(&mut self) -> Option<char> {
        let mut code = 0;
        if self.eat("{") {
            let start = self.rest;
            while !self.eat("}") {
                code = code * 16 + self.take()?.to_digit(16)?;
                (code <= 0x10_ffff).then_some(())?;
            }
            (self.since(start) != "}").then_some(())?;
        } else {
            let (high, low) = (self.take(), self.take());
            code = high?.to_digit(16)? * 16 + low?.to_digit(16)?;
        }
        // Half surrogates have no char; any stands for them, only validity and order are asked.
        Some(char::from_u32(code).unwrap_or('\u{d7ff}'))
    }

    /// Behind `\p` or `\P`: a letter, or a name in braces.
    fn unicode_class(&mut self, start: &'a str) -> Parsed<()> {
        let name = if self.eat("{") {
            let end = self.rest.find('}').ok_or_else(|| format!("invalid character class range: `{start}`"))?;
            let name = &self.rest[..end];
            self.rest = &self.rest[end + 1..];
            name.strip_prefix('^').unwrap_or(name)
        } else {
            let before = self.rest;
            self.take();
            self.since(before)
        };
        let known = if name.len() == 1 { "CLMNPSZ".contains(name) } else { name.chars().all(|c| c.is_ascii_alphabetic() || c == '_') };
        if name.is_empty() || !known {
            return Err(format!("invalid character class range: `{}`", self.since(start)));
        }
        Ok(())
    }

    /// Behind `[`, up to its `]`.
    fn class(&mut self, start: &'a str) -> Parsed<()> {
        self.eat("^");
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            if self.rest.starts_with("[:")
                && let Some(end) = self.rest[2..].find(":]")
            {
                let name = &self.rest[..end + 4];
                if !POSIX.contains(&name[2..end + 2].trim_start_matches('^')) {
                    return Err(format!("invalid character class range: `{name}`"));
                }
                self.rest = &self.rest[end + 4..];
                continue;
            }
            let range = self.rest;
            let Some(low) = self.class_item(start)? else { continue };
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") && self.rest.len() > 1 {
                self.take();
                let escaped = self.rest;
                let Some(high) = self.class_item(start)? else {
                    return Err(format!("invalid escape sequence: `{}`", self.since(escaped)));
                };
                if high < low {
                    return Err(format!("invalid character class range: `{}`", self.since(range)));
                }
            }
        }
        self.take();
        Ok(())
    }

    /// A character of a class, `None` for a class within.
    fn class_item(&mut self, class: &'a str) -> Parsed<Option<char>> {
        let start = self.rest;
        match self.take() {
            None => Err(format!("missing closing ]: `{class}`")),
            Some('\\') => self.class_escape(start),
            Some(c) => Ok(Some(c)),
        }
    }
}

const POSIX: [&str; 14] = ["alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit"];

/// `{n}`, `{n,}` or `{n,m}` at the start of `text`: least, most (`None`: no limit) and length in
/// bytes. What is none is literal text, as in `{"key"`. Numbers too long become the largest.
fn counts(text: &str) -> Option<(u32, Option<u32>, usize)> {
    let end = text.find('}')?;
    let inside = &text[1..end];
    let number = |digits: &str| {
        let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
        valid.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let (min, max) = match inside.split_once(',') {
        None => (number(inside)?, Some(number(inside)?)),
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
    };
    Some((min, max, end + 1))
}

/// `node` repeated; `None` if that is too often or runs backwards.
fn counted(node: Node, min: u32, max: Option<u32>) -> Option<Node> {
    let times = max.unwrap_or(min);
    if times.max(min) > REGEX_REPEAT_MAX || max.is_some_and(|max| max < min) {
        return None;
    }
    let repeats = if max == Some(0) { 1 } else { times.max(1).saturating_mul(node.repeats) };
    (repeats <= REGEX_REPEAT_MAX).then_some(Node { takes_empty: min == 0 || node.takes_empty, repeats })
}

/// Whether Loki's filter compiler turns this into plain text searches; it prints a label test in
/// double quotes if so, else in backquotes. Only the print hangs on it: both read back the same.
pub(crate) fn is_plain(source: &str) -> bool {
    let source = source.strip_prefix("(?i)").unwrap_or(source);
    let alternatives: Vec<&str> = source.split('|').collect();
    let single = |text: &str| text.chars().count() == 1;
    let merged = alternatives.windows(2).any(|pair| {
        let stem = |text: &str| text.char_indices().next_back().map(|(at, _)| text[..at].to_owned());
        pair[0] != pair[1] && stem(pair[0]).is_some() && stem(pair[0]) == stem(pair[1]) && (single(pair[0]) || is_literal(pair[0]) && is_literal(pair[1]))
    });
    !merged && alternatives.iter().all(|one| is_plain_alternative(one))
}

fn is_plain_alternative(text: &str) -> bool {
    if matches!(text, ".+" | ".*") {
        return true;
    }
    let text = text.strip_prefix(".*").unwrap_or(text);
    is_literal(text.strip_suffix(".*").unwrap_or(text))
}

fn is_literal(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_some_and(|c| !c.is_ascii_alphanumeric()) => {}
            '\\' | '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' | '|' => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests;
