//! What can be wrong: a configuration ([`Mistake`], many at once) or held state ([`PipelineFault`]).
//!
//! Must not do: know which file a mistake stands in; the reader of the file adds that.

use std::fmt;

use proto_model::{Blame, Remedy};

/// Where a value stands in its YAML file; both numbers from 1, 0 when unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl From<serde_saphyr::Location> for Place {
    fn from(at: serde_saphyr::Location) -> Self {
        let number = |n: u64| usize::try_from(n).unwrap_or(0);
        Self { line: number(at.line()), column: number(at.column()) }
    }
}

/// One thing wrong with a configuration, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1; 0 when unknown.
    pub line: usize,
    /// Column in characters, from 1; 0 when unknown.
    pub column: usize,
    /// What is wrong.
    pub text: String,
    /// What to write instead.
    pub fix: String,
}

impl Mistake {
    /// A mistake at `place`.
    pub fn new(place: Place, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { line: place.line, column: place.column, text: text.into(), fix: fix.into() }
    }
}

/// `LINE:COLUMN: error: TEXT; fix: FIX`, as `check-config` prints it after the file's name.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: error: {}; fix: {}", self.line, self.column, self.text, self.fix)
    }
}

/// State that was held back by an earlier run cannot be taken up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PipelineFault {
    /// Written by another version of this program.
    #[error("held pipeline state has version {found}, this edge reads version {known}: it was written by a newer edge, start that one")]
    HeldVersion {
        /// The version found.
        found: u8,
        /// The version this program reads.
        known: u8,
    },
    /// Not what `Run::held` wrote.
    #[error("held pipeline state is damaged at byte {at} of {len}: {reason}")]
    HeldDamaged {
        /// Offset of the first byte that cannot be right.
        at: usize,
        /// Length of the state.
        len: usize,
        /// What is wrong there.
        reason: &'static str,
    },
}

impl PipelineFault {
    /// Whose fault it is: always the edge's own.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        Blame::Edge
    }

    /// A newer version must not be overwritten; damage costs what was held, counted.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::HeldVersion { .. } => Remedy::Stop,
            Self::HeldDamaged { .. } => Remedy::Drop,
        }
    }
}
