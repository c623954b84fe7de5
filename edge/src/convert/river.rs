//! River, the language of Alloy's files: text to blocks and attributes, and these to values.
//!
//! Parts: [`lex`] (text to tokens), [`syntax`] (tokens to a tree), [`value`] (expressions to values); [`At`], [`RiverFault`].
//! Promises: every fault has line and column; text, nesting and values are bounded; no text makes it panic. Must not do:
//! know components.

pub mod lex;
pub mod syntax;
pub mod value;

use std::fmt;

/// Largest file.
pub const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Deepest nesting of blocks, lists, objects and brackets.
pub const DEPTH_MAX: usize = 48;

/// A place: line and column, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct At {
    /// Line.
    pub line: u64,
    /// Column in characters.
    pub column: u64,
}

impl At {
    /// As mistakes take it.
    #[must_use]
    pub const fn pair(self) -> (u64, u64) {
        (self.line, self.column)
    }
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiverFault {
    /// Where.
    pub at: At,
    /// What: lower case, no full stop.
    pub text: String,
    /// What to do.
    pub fix: String,
}

impl RiverFault {
    /// At a place.
    #[must_use]
    pub fn new(at: At, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { at, text: text.into(), fix: fix.into() }
    }
}

impl fmt::Display for RiverFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.at.line, self.at.column, self.text, self.fix)
    }
}
