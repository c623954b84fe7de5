//! The expressions that name one place in a line: names, quoted names, members, elements.
//!
//! Parts: [`parse`]. Nearly all expressions are of this kind, and only what they name is searched for. Must not do: judge
//! others; `language` does.

use super::Step;
use crate::json::scan;

/// The steps to the place; `None` when the expression is more than that, or none.
pub(super) fn parse(expression: &str) -> Option<Vec<Step>> {
    let mut parser = Parser { source: expression, at: 0 };
    let mut steps = Vec::new();
    loop {
        match parser.next() {
            None => return (!steps.is_empty()).then_some(steps),
            Some('[') => steps.push(parser.index()?),
            Some('.') if !steps.is_empty() => {
                parser.at += 1;
                steps.push(parser.key()?);
            }
            Some(_) if steps.is_empty() => steps.push(parser.key()?),
            Some(_) => return None,
        }
    }
}

struct Parser<'a> {
    source: &'a str,
    at: usize,
}

impl Parser<'_> {
    /// The next character that is no white space.
    fn next(&mut self) -> Option<char> {
        let rest = &self.source[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.source[self.at..].chars().next()
    }

    fn key(&mut self) -> Option<Step> {
        let first = self.next()?;
        if first == '"' {
            return self.quoted();
        }
        let rest = &self.source[self.at..];
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let is_name = !first.is_ascii_digit() && length > 0 && !rest[length..].starts_with('(');
        self.at += length;
        is_name.then(|| Step::Key(rest[..length].to_owned()))
    }

    fn quoted(&mut self) -> Option<Step> {
        let start = self.at + 1;
        let (end, _) = scan::string_end(self.source.as_bytes(), start)?;
        let mut key = String::new();
        self.at = end + 1;
        scan::unescape(&self.source[start..end], &mut key).then_some(Step::Key(key))
    }

    fn index(&mut self) -> Option<Step> {
        self.at += 1;
        self.next()?;
        let rest = &self.source[self.at..];
        let length = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
        let index = rest[..length].parse().ok()?;
        self.at += length;
        (self.next()? == ']').then(|| {
            self.at += 1;
            Step::Index(index)
        })
    }
}
