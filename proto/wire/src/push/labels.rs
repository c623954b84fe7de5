//! The label text of a pushed stream, `{a="b", c="d"}`, as Prometheus' parser reads it.

use proto_model::Labels;
use proto_model::labels::{LABELS_MAX, is_label_name};

use super::PushFault;

/// Reads `{name="value", ...}`; an empty set is allowed.
///
/// # Errors
/// [`PushFault::Malformed`] with Loki's wording and the column.
pub fn labels(text: &str) -> Result<Labels, PushFault> {
    let mut reader = Reader { text, at: 0 };
    reader.labels().map_err(|why| PushFault::Malformed(format!("couldn't parse labels: 1:{}: parse error: {why}", reader.at + 1)))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn blank(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: char) -> bool {
        self.blank();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len_utf8() } else { 0 };
        found
    }

    fn labels(&mut self) -> Result<Labels, String> {
        if !self.eat('{') {
            return Err("unexpected input, expected \"{\"".to_owned());
        }
        let mut labels = Labels::empty();
        let mut count = 0;
        while !self.eat('}') {
            if count > 0 && !self.eat(',') {
                return Err(self.unexpected());
            }
            if count > 0 && self.eat('}') {
                break;
            }
            let (name, value) = self.pair()?;
            count += 1;
            if count > LABELS_MAX {
                return Err(format!("more than {LABELS_MAX} labels"));
            }
            if labels.value(&name).is_some() {
                return Err(format!("duplicate label name: {name:?}"));
            }
            labels.set(name, value);
        }
        self.blank();
        if self.rest().is_empty() { Ok(labels) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> String {
        self.rest().chars().next().map_or_else(|| "unexpected end of input".to_owned(), |c| format!("unexpected character inside braces: {c:?}"))
    }

    fn pair(&mut self) -> Result<(String, String), String> {
        self.blank();
        let len = self.rest().find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest().len());
        let name = self.rest()[..len].to_owned();
        self.at += len;
        if !is_label_name(&name) || !self.eat('=') {
            return Err(self.unexpected());
        }
        self.blank();
        Ok((name, self.string()?))
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.rest().chars().next().filter(|c| matches!(c, '"' | '`' | '\'')).ok_or_else(|| self.unexpected())?;
        self.at += 1;
        let mut out = String::new();
        loop {
            let c = self.rest().chars().next().ok_or("unterminated quoted string")?;
            self.at += c.len_utf8();
            match c {
                c if c == quote => return Ok(out),
                '\\' if quote != '`' => out.push(self.escape()?),
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let c = self.rest().chars().next().ok_or("unterminated quoted string")?;
        self.at += c.len_utf8();
        let digits = match c {
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'a' => return Ok('\u{7}'),
            'b' => return Ok('\u{8}'),
            'f' => return Ok('\u{c}'),
            'v' => return Ok('\u{b}'),
            '\\' | '"' | '\'' => return Ok(c),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => return Err(format!("unknown escape sequence \\{c}")),
        };
        let hex = self.rest().get(..digits).ok_or("escape sequence is cut short")?;
        let code = u32::from_str_radix(hex, 16).map_err(|_| "escape sequence is not hexadecimal".to_owned())?;
        self.at += digits;
        char::from_u32(code).ok_or_else(|| "escape sequence is no character".to_owned())
    }
}
