//! A LogQL stream selector with line filters, as a `match` stage takes it: `{a="b", c=~"d.*"} |= "e" !~ "f"`.
//!
//! Parts: [`Selector`], [`SelectorFault`], a reader of the text with Go's string rules. Promtail knows the matchers
//! `= != =~ !~` and the filters `|= != |~ !~`; parsers, `or` and formats are LogQL for queries, not for this.
//! Must not do: accept a selector without a matcher.

use proto_extract::selector::{CompiledMatcher, LineOp, LineTest};
use proto_model::{Labels, MatchOp};

/// Chooses lines.
#[derive(Debug)]
pub(crate) struct Selector {
    matchers: Vec<CompiledMatcher>,
    filters: Vec<LineTest>,
}

/// What is wrong with a selector, at which column (from 1).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {reason}")]
pub(crate) struct SelectorFault {
    column: usize,
    reason: String,
}

impl Selector {
    pub(crate) fn parse(text: &str) -> Result<Self, SelectorFault> {
        let mut reader = Reader { text, at: 0 };
        let matchers = reader.matchers()?;
        let mut filters = Vec::new();
        while !reader.is_at_end() {
            filters.push(reader.filter()?);
        }
        Ok(Self { matchers, filters })
    }

    pub(crate) fn chooses(&self, labels: &Labels, line: &[u8]) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels.value(&matcher.name))) && self.filters.iter().all(|filter| filter.passes(line))
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn fault<T>(&self, at: usize, reason: impl Into<String>) -> Result<T, SelectorFault> {
        Err(SelectorFault { column: self.text[..at].chars().count() + 1, reason: reason.into() })
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.rest().is_empty()
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let is_next = self.rest().starts_with(token);
        self.at += if is_next { token.len() } else { 0 };
        is_next
    }

    fn matchers(&mut self) -> Result<Vec<CompiledMatcher>, SelectorFault> {
        if !self.take("{") {
            return self.fault(self.at, "`{` is expected");
        }
        let mut matchers = Vec::new();
        loop {
            matchers.push(self.matcher()?);
            if self.take("}") {
                return Ok(matchers);
            }
            if !self.take(",") {
                return self.fault(self.at, "`,` or `}` is expected");
            }
        }
    }

    fn matcher(&mut self) -> Result<CompiledMatcher, SelectorFault> {
        self.skip_space();
        let start = self.at;
        let length = self.rest().find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest().len());
        let name = self.rest()[..length].to_owned();
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return self.fault(start, "a label name is expected");
        }
        self.at += length;
        let ops = [MatchOp::Regex, MatchOp::NotRegex, MatchOp::NotEqual, MatchOp::Equal];
        let Some(op) = ops.into_iter().find(|op| self.take(op.as_str())) else {
            return self.fault(self.at, "one of = != =~ !~ is expected");
        };
        self.skip_space();
        let value_at = self.at;
        let value = self.string()?;
        CompiledMatcher::new(name, op, value).or_else(|fault| self.fault(value_at, fault.to_string()))
    }

    fn filter(&mut self) -> Result<LineTest, SelectorFault> {
        let ops = [LineOp::Contains, LineOp::NotContains, LineOp::Match, LineOp::NotMatch];
        let Some(op) = ops.into_iter().find(|op| self.take(op.as_str())) else {
            return self.fault(self.at, "one of |= != |~ !~ is expected");
        };
        self.skip_space();
        let text_at = self.at;
        let text = self.string()?;
        LineTest::new(op, text).or_else(|fault| self.fault(text_at, fault.to_string()))
    }

    /// A string in double quotes with Go's escapes, or in backquotes without any.
    fn string(&mut self) -> Result<String, SelectorFault> {
        let start = self.at;
        if let Some(raw) = self.rest().strip_prefix('`') {
            let Some(end) = raw.find('`') else { return self.fault(start, "the string has no end") };
            let text = raw[..end].to_owned();
            self.at += end + 2;
            return Ok(text);
        }
        if !self.rest().starts_with('"') {
            return self.fault(start, "a string in quotes is expected");
        }
        let mut bytes = Vec::new();
        self.at += 1;
        loop {
            let Some(c) = self.rest().chars().next() else { return self.fault(start, "the string has no end") };
            self.at += c.len_utf8();
            match c {
                '"' => break,
                '\n' => return self.fault(start, "the string has no end"),
                '\\' => self.escape(&mut bytes)?,
                c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        String::from_utf8(bytes).or_else(|_| self.fault(start, "the string is no UTF-8"))
    }

    /// What stands behind a backslash.
    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), SelectorFault> {
        let at = self.at - 1;
        let Some(c) = self.rest().chars().next() else { return self.fault(at, "the string has no end") };
        let (digits, radix) = match c {
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => (3, 8),
            _ => (0, 0),
        };
        let plain = match c {
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 0x0b,
            '\\' => b'\\',
            '"' => b'"',
            _ if digits > 0 => return self.code(at, digits, radix, bytes),
            _ => return self.fault(at, format!("`\\{c}` is no escape; write `\\\\{c}`, or put the string in backquotes")),
        };
        self.at += 1;
        bytes.push(plain);
        Ok(())
    }

    /// A byte (`\x`, octal) or a character (`\u`, `\U`) by number.
    fn code(&mut self, at: usize, digits: usize, radix: u32, bytes: &mut Vec<u8>) -> Result<(), SelectorFault> {
        let skip = usize::from(radix == 16);
        let code = self.rest().get(skip..skip + digits).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(code) = code.and_then(|text| u32::from_str_radix(text, radix).ok()) else {
            return self.fault(at, "the escape is not complete");
        };
        self.at += skip + digits;
        if digits > 3 {
            let Some(c) = char::from_u32(code) else { return self.fault(at, "the escape is no character") };
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(());
        }
        let Ok(byte) = u8::try_from(code) else { return self.fault(at, "the escape is no byte") };
        bytes.push(byte);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
