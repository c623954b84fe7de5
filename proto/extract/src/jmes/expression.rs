//! The grammar of expressions: the part of JMESPath that names one place in a line.
//!
//! Parts: [`parse`]. Limits: as many steps as a line can have levels. What JMESPath has beyond it is refused by name, so
//! that a configuration fails at start and not in silence.

use super::Step;
use crate::fault::ExtractFault;
use crate::json::scan;
use crate::limits::JSON_DEPTH_MAX;

pub(super) fn parse(expression: &str) -> Result<Vec<Step>, ExtractFault> {
    let mut parser = Parser { source: expression, at: 0 };
    parser.steps()
}

struct Parser<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn steps(&mut self) -> Result<Vec<Step>, ExtractFault> {
        let mut steps = Vec::new();
        loop {
            match self.next() {
                None if steps.is_empty() => return Err(self.fault("a key is wanted; the expression is empty")),
                None => return Ok(steps),
                Some('[') => steps.push(self.index()?),
                Some('.') if !steps.is_empty() => {
                    self.at += 1;
                    steps.push(self.key()?);
                }
                Some(_) if steps.is_empty() => steps.push(self.key()?),
                Some(c) => return Err(self.unsupported(c)),
            }
            if steps.len() > JSON_DEPTH_MAX {
                return Err(self.fault("the expression has more steps than a line can have levels"));
            }
        }
    }

    /// The next character that is no white space.
    fn next(&mut self) -> Option<char> {
        let rest = &self.source[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.source[self.at..].chars().next()
    }

    fn key(&mut self) -> Result<Step, ExtractFault> {
        match self.next() {
            Some('"') => self.quoted(),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let rest = &self.source[self.at..];
                let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                if rest[length..].starts_with('(') {
                    return Err(self.fault(&format!("the function {} is not supported; use a template stage", &rest[..length])));
                }
                self.at += length;
                Ok(Step::Key(rest[..length].to_owned()))
            }
            Some(c) => Err(self.unsupported(c)),
            None => Err(self.fault("a key is wanted after the point")),
        }
    }

    fn quoted(&mut self) -> Result<Step, ExtractFault> {
        let start = self.at + 1;
        let Some((end, _)) = scan::string_end(self.source.as_bytes(), start) else {
            return Err(self.fault("the quoted key has no end"));
        };
        let mut key = String::new();
        if !scan::unescape(&self.source[start..end], &mut key) {
            return Err(self.fault("the quoted key has an escape that JSON does not know"));
        }
        self.at = end + 1;
        Ok(Step::Key(key))
    }

    fn index(&mut self) -> Result<Step, ExtractFault> {
        let open = self.at;
        self.at += 1;
        let next = self.next();
        let rest = &self.source[self.at..];
        let length = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
        if length == 0 {
            self.at = open;
            return Err(self.fault(match next {
                Some(']') => "the flattening [] is not supported; name one element, as in [0]",
                Some('*') => "the wildcard [*] is not supported; name one element, as in [0]",
                Some('?') => "the filter [?…] is not supported; name one element, as in [0]",
                Some(':') => "slices are not supported; name one element, as in [0]",
                Some('"') => "a list of expressions in [] is not supported; a quoted key stands without brackets",
                Some(_) => "a list of expressions in [] is not supported; name one element, as in [0]",
                None => "the bracket is not closed",
            }));
        }
        let Ok(index) = rest[..length].parse() else { return Err(self.fault("the index is no number")) };
        self.at += length;
        match self.next() {
            Some(']') => {
                self.at += 1;
                Ok(Step::Index(index))
            }
            Some(':') => Err(self.fault("slices are not supported; name one element, as in [0]")),
            Some(_) | None => Err(self.fault("the bracket is not closed")),
        }
    }

    /// Something of JMESPath that stands where a step or the end could.
    fn unsupported(&self, c: char) -> ExtractFault {
        let what = match c {
            '|' if self.source[self.at..].starts_with("||") => "the operator || is not supported",
            '|' => "pipes are not supported",
            '&' => "the operators && and & are not supported",
            '!' | '=' | '<' | '>' => "comparisons are not supported",
            '*' => "the wildcard * is not supported",
            '{' => "a list of expressions in {} is not supported",
            '@' => "the current node @ is not supported",
            '(' => "parentheses are not supported",
            '`' => "literals are not supported",
            '\'' => "raw strings are not supported; a key is quoted with \"",
            '-' => "a key with a dash is quoted, as in \"a-b\"",
            _ => return self.fault(&format!("unexpected {c:?}; a key with other characters than letters, digits and _ is quoted with \"")),
        };
        self.fault(&format!("{what}; one place is named, as in a.b[0]"))
    }

    fn fault(&self, reason: &str) -> ExtractFault {
        ExtractFault::Expression { expression: self.source.to_owned(), column: self.at + 1, reason: reason.to_owned() }
    }
}
