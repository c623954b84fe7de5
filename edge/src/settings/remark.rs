//! What a user is told of settings that are taken: they have no effect, another one, or look like a trap.
//!
//! [`Remark`] prints like a mistake, as a warning. Must not do: stop anything.

use std::fmt;

use proto_boot::Mistake;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark(Mistake);

impl Remark {
    /// Of a place in a file.
    #[must_use]
    pub fn new(file: &str, at: (u64, u64), text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self(Mistake::new(file, at, text, fix))
    }

    /// What is so.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// What to do about it.
    #[must_use]
    pub fn fix(&self) -> &str {
        &self.0.fix
    }
}

/// `F:LINE:COL: warning: TEXT; fix: TEXT`, one line.
impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_string().replacen(": error: ", ": warning: ", 1))
    }
}
