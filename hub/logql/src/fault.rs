//! Why a query is refused, in Loki's words, because clients show and match them.
//!
//! Parts: [`LogqlFault`], with [`LogqlFault::position`] for who wants to point at the place, and
//! `blame`/`remedy`. Must not do: carry anything but the caller's own text.

use proto_model::{Blame, Remedy};

/// What Loki answers when no matcher of a selector rules out the empty value.
const NO_MATCHER: &str = "queries require at least one regexp or equality matcher that does not have an empty-compatible value. \
    For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will";

/// A query that is not LogQL, says nothing sensible, or is too large. All are the caller's: HTTP 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogqlFault {
    /// The text leaves the grammar at a token.
    #[error("parse error at line {line_reported}, col {col}: {text}")]
    Syntax {
        /// Line of the token, from 1.
        line: u32,
        /// Column of the token in characters, from 1.
        col: u32,
        /// The line as Loki reports it: 0 for tokens that its scanner puts together from several
        /// (`|=`, `[5m]`, `5m`, `5KB`, `--strict`), else `line`.
        line_reported: u32,
        /// `syntax error: unexpected X, expecting Y`, or what is wrong inside the token.
        text: String,
    },
    /// The text goes over one of [`crate::limits`].
    #[error("parse error at line {line}, col {col}: {text}")]
    TooLarge {
        /// Line of the place where it goes over, from 1.
        line: u32,
        /// Column of it in characters, from 1.
        col: u32,
        /// Which limit, and its value.
        text: String,
    },
    /// Grammatical, but it cannot mean anything.
    #[error("parse error : {text}")]
    Meaning {
        /// Loki's words for it.
        text: String,
    },
    /// No matcher of a selector rules out the empty value, so it would read everything.
    #[error("parse error : {NO_MATCHER}")]
    NoMatcher,
    /// A stage of a pipeline cannot be built (found by [`crate::validate`], not by the parser).
    #[error("parse error : stage '{stage}' : {text}")]
    Stage {
        /// The stage's canonical text.
        stage: String,
        /// What is wrong with it.
        text: String,
    },
    /// More than a selector where only a selector is taken.
    #[error("only label matchers are supported")]
    NotSelector,
}

impl LogqlFault {
    pub(crate) fn meaning(text: impl Into<String>) -> Self {
        Self::Meaning { text: text.into() }
    }

    /// A stage that cannot be built, e.g. because its template is broken.
    #[must_use]
    pub fn stage(stage: &crate::Stage, text: impl Into<String>) -> Self {
        Self::Stage { stage: stage.to_string(), text: text.into() }
    }

    /// Line and column of the place, both from 1, where the fault has one.
    #[must_use]
    pub const fn position(&self) -> Option<(u32, u32)> {
        match self {
            Self::Syntax { line, col, .. } | Self::TooLarge { line, col, .. } => Some((*line, *col)),
            Self::Meaning { .. } | Self::NoMatcher | Self::Stage { .. } | Self::NotSelector => None,
        }
    }

    /// Always whoever wrote the query.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        Blame::Caller
    }

    /// Always: change the query.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        Remedy::Fix
    }
}
