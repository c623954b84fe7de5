//! A mistake in a configuration: where it stands, what is wrong and what to write instead.
//!
//! Parts: [`Mistake`], printed as `F:LINE:COL: error: TEXT; fix: TEXT`.
//! Promises: the printed form is one line whatever the input held. Must not do: hold secrets; the
//! one who makes a mistake out of a secret value leaves the value out.

use std::fmt;

/// One mistake in one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The file as it was named by the user, or `command line` or `environment`.
    pub file: String,
    /// Line, counted from 1; 0 when the place is no line of a file.
    pub line: u64,
    /// Column in characters, counted from 1; 0 when the place is no line of a file.
    pub column: u64,
    /// What is wrong: lower case, no full stop.
    pub text: String,
    /// What to do about it: lower case, no full stop.
    pub fix: String,
}

impl Mistake {
    /// A mistake at a place in a file.
    #[must_use]
    pub fn new(file: impl Into<String>, (line, column): (u64, u64), text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { file: file.into(), line, column, text: text.into(), fix: fix.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        one_line(f, &self.file)?;
        write!(f, ":{}:{}: error: ", self.line, self.column)?;
        one_line(f, &self.text)?;
        f.write_str("; fix: ")?;
        one_line(f, &self.fix)
    }
}

impl std::error::Error for Mistake {}

/// Writes `text` with control characters escaped, so that it can neither start a new line nor steer a terminal.
fn one_line(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
    }
    Ok(())
}
