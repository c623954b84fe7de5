//! Expands `${VAR}` in a settings text, as Promtail's `-config.expand-env` does.
//!
//! Forms: `${VAR}`, `${VAR:-default}` (also `:=` and `=`; a default may hold further `${}`), the
//! letter cases `${VAR^}`, `${VAR^^}`, `${VAR,}`, `${VAR,,}` and the length `${#VAR}`. `$$` gives `$`,
//! `\\` gives `\` and `\/` gives `/`, everywhere; a `$` before anything else stays, so `$1` of a
//! relabel rule does.
//! Promises: works on the raw text before YAML is read; a variable that is not set and has no default
//! gives nothing, as in Promtail; what a value holds is not expanded again.
//! Limits: 16 defaults within each other; the result stays below 16 MiB.
//! Must not do: Promtail's substring, trim and replace forms; they are refused by name.

use crate::limits::SETTINGS_BYTES_MAX;

/// Defaults within defaults.
const NESTING_MAX: usize = 16;

/// A text that cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandFault {
    /// `${` without `}`.
    #[error("line {line}: ${{ has no closing brace; close it, or write $${{ for the text itself")]
    Unclosed {
        /// Line, counted from 1.
        line: usize,
    },
    /// No name of a variable after `${`.
    #[error("line {line}: ${{ is not followed by the name of a variable; write $${{ for the text itself")]
    Name {
        /// Line, counted from 1.
        line: usize,
    },
    /// A form that is not supported.
    #[error("line {line}: {operator:?} after a variable's name is not supported; use ${{NAME}} or ${{NAME:-default}}")]
    Operator {
        /// Line, counted from 1.
        line: usize,
        /// What follows the name.
        operator: String,
    },
    /// Too many defaults within each other.
    #[error("line {line}: defaults stand more than {NESTING_MAX} deep within each other; use fewer")]
    Nesting {
        /// Line, counted from 1.
        line: usize,
    },
    /// Too much text.
    #[error("the expanded settings are larger than {SETTINGS_BYTES_MAX} bytes; shorten the variables")]
    TooLarge,
}

impl ExpandFault {
    /// The line it speaks of; 1 when it speaks of the whole.
    #[must_use]
    pub const fn line(&self) -> usize {
        match self {
            Self::Unclosed { line } | Self::Name { line } | Self::Operator { line, .. } | Self::Nesting { line } => *line,
            Self::TooLarge => 1,
        }
    }
}

/// Expands `text`; `variable` gives the value of a name, or `None`.
///
/// # Errors
/// [`ExpandFault`] with the line in `text`.
pub fn expand(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, ExpandFault> {
    let mut expanding = Expanding { text, at: 0, variable: &variable };
    expanding.until(None, 0)
}

struct Expanding<'a, F> {
    text: &'a str,
    at: usize,
    variable: &'a F,
}

impl<F: Fn(&str) -> Option<String>> Expanding<'_, F> {
    /// Expands up to `end` (which is consumed) or the end of the text.
    fn until(&mut self, end: Option<char>, depth: usize) -> Result<String, ExpandFault> {
        let begun = self.at;
        let mut out = String::new();
        while let Some(c) = self.rest().chars().next() {
            if Some(c) == end {
                self.at += c.len_utf8();
                return Ok(out);
            }
            let rest = self.rest();
            if rest.starts_with("$$") || rest.starts_with("\\\\") || rest.starts_with("\\/") {
                out.push_str(&rest[1..2]);
                self.at += 2;
            } else if rest.starts_with("${") {
                self.at += 2;
                let value = self.reference(depth)?;
                out.push_str(&value);
            } else {
                out.push(c);
                self.at += c.len_utf8();
            }
            if out.len() > SETTINGS_BYTES_MAX {
                return Err(ExpandFault::TooLarge);
            }
        }
        if end.is_some() { Err(ExpandFault::Unclosed { line: self.line(begun) }) } else { Ok(out) }
    }

    /// What stands between `${` and `}`.
    fn reference(&mut self, depth: usize) -> Result<String, ExpandFault> {
        let begun = self.at;
        if depth >= NESTING_MAX {
            return Err(ExpandFault::Nesting { line: self.line(begun) });
        }
        let count = self.rest().starts_with('#');
        self.at += usize::from(count);
        let rest = self.rest();
        let name = &rest[..rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-')).unwrap_or(rest.len())];
        if name.is_empty() {
            return Err(ExpandFault::Name { line: self.line(begun) });
        }
        let value = (self.variable)(name).unwrap_or_default();
        self.at += name.len();
        if count {
            self.close(begun)?;
            return Ok(value.chars().count().to_string());
        }
        for default in [":-", ":=", "="] {
            if self.rest().starts_with(default) {
                self.at += default.len();
                let default = self.until(Some('}'), depth + 1)?;
                return Ok(if value.is_empty() { default } else { value });
            }
        }
        for (operator, change) in CASES {
            if self.rest().starts_with(operator) {
                self.at += operator.len();
                self.close(begun)?;
                return Ok(change(&value));
            }
        }
        self.close(begun)?;
        Ok(value)
    }

    fn close(&mut self, begun: usize) -> Result<(), ExpandFault> {
        let line = self.line(begun);
        match self.rest().chars().next() {
            Some('}') => {
                self.at += 1;
                Ok(())
            }
            None => Err(ExpandFault::Unclosed { line }),
            Some(_) => Err(ExpandFault::Operator { line, operator: self.rest().chars().take(2).collect() }),
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text[..at].bytes().filter(|byte| *byte == b'\n').count()
    }
}

type Change = fn(&str) -> String;

/// The longer operator of a common beginning first.
const CASES: [(&str, Change); 4] = [
    ("^^", |text| text.to_uppercase()),
    (",,", |text| text.to_lowercase()),
    ("^", |text| first(text, |c| c.to_uppercase().collect())),
    (",", |text| first(text, |c| c.to_lowercase().collect())),
];

fn first(text: &str, change: impl Fn(char) -> String) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| change(c) + chars.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ExpandFault, expand};

    fn variable(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("node-1".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICKY" => Some("${HOST} $$ \\\\".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn forms_are_expanded() {
        for (text, expanded) in [
            ("no variables", "no variables"),
            ("host: ${HOST}", "host: node-1"),
            ("${HOST}${HOST}", "node-1node-1"),
            ("a${UNSET}b", "ab"),
            ("${UNSET:-x y}", "x y"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY=x}", "x"),
            ("${HOST:=x}", "node-1"),
            ("${UNSET:-${HOST}}/${UNSET:-a${EMPTY:-b}c}", "node-1/abc"),
            ("${HOST^} ${HOST^^} ${HOST,,}", "Node-1 NODE-1 node-1"),
            ("${#HOST}", "6"),
            ("$1 $HOST $", "$1 $HOST $"),
            ("$$1 $${HOST}", "$1 ${HOST}"),
            (r"\\d \d \/", r"\d \d /"),
            ("${TRICKY}", r"${HOST} $$ \\"),
            ("é${HOST}é", "énode-1é"),
        ] {
            assert_eq!(expand(text, variable).as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused_with_their_line() {
        for (text, fault) in [
            ("a\nb: ${HOST", ExpandFault::Unclosed { line: 2 }),
            ("${UNSET:-x", ExpandFault::Unclosed { line: 1 }),
            ("\n\n${}", ExpandFault::Name { line: 3 }),
            ("${ HOST}", ExpandFault::Name { line: 1 }),
            ("${HOST:2}", ExpandFault::Operator { line: 1, operator: ":2".to_owned() }),
            ("${HOST/a/b}", ExpandFault::Operator { line: 1, operator: "/a".to_owned() }),
            ("${HOST##*.}", ExpandFault::Operator { line: 1, operator: "##".to_owned() }),
        ] {
            assert_eq!(expand(text, variable), Err(fault), "{text}");
        }
        assert!(matches!(expand(&"${A:-".repeat(100), variable), Err(ExpandFault::Nesting { .. })));
    }

    #[test]
    fn growth_is_bounded() {
        let big = |_: &str| Some("x".repeat(1 << 20));
        assert_eq!(expand(&"${A}".repeat(100), big), Err(ExpandFault::TooLarge));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[${}:=A^,#\\\\é\n-]{0,60}") {
            if let Err(fault) = expand(&text, variable) {
                prop_assert!(fault.line() >= 1);
            }
        }

        #[test]
        fn text_without_dollar_and_backslash_stays(text in "[^$\\\\]{0,100}") {
            prop_assert_eq!(expand(&text, variable), Ok(text));
        }
    }
}
