//! What can go wrong with a query, in the words Loki's clients know, and the HTTP status each has.
//!
//! Parts: [`QueryFault`] with [`QueryFault::status`], `blame` and `remedy`. Must not do: name another
//! tenant's data; a text holds only what the caller wrote or may read.

use hub_store::StoreFault;
use proto_model::{Blame, Remedy};

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryFault {
    /// The text is no LogQL.
    #[error(transparent)]
    Parse(#[from] hub_logql::LogqlFault),
    /// A parameter, or the query, asks for something that does not exist.
    #[error("{0}")]
    Request(String),
    /// LogQL that this hub does not answer.
    #[error("{0} is not supported by this hub: leave it out of the query")]
    Unsupported(String),
    /// A metric query met lines that a stage could not read.
    #[error(
        "pipeline error: '{kind}' for series: '{series}'.\n\
         Use a label filter to intentionally skip this error. (e.g | __error__!=\"{kind}\").\n\
         To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n\
         The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )\n"
    )]
    Pipeline {
        /// Value of `__error__`.
        kind: String,
        /// The labels of the line.
        series: String,
    },
    /// The series of a binary operation do not match as asked.
    #[error("{0}")]
    Matching(&'static str),
    /// A limit of the tenant, or of the hub, is passed.
    #[error("{0}")]
    Limit(String),
    /// Too many queries wait already.
    #[error("too many outstanding requests: {running} queries of the tenant run and {waiting} wait; ask again later")]
    Busy {
        /// Of the tenant.
        running: usize,
        /// Of the tenant.
        waiting: usize,
    },
    /// The query took longer than the tenant's limit.
    #[error(
        "request timed out, decrease the duration of the request or add more label matchers (prefer exact match over regex match) \
         to reduce the amount of data processed"
    )]
    Timeout,
    /// The store cannot be read now.
    #[error("the log store cannot be read: {0}")]
    Store(#[from] StoreFault),
    /// The store changed under the query too often.
    #[error("the log store changed under the query {views} times: ask again")]
    Moved {
        /// How many views were taken.
        views: u32,
    },
    /// Stored lines cannot be read.
    #[error("{what} cannot be read: {reason}; ask the operator to run fsck")]
    Damaged {
        /// What they are part of.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// The query was given up while it ran.
    #[error("the request was cancelled by the client")]
    Cancelled,
}

impl QueryFault {
    /// The HTTP status to answer with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Parse(_) | Self::Request(_) | Self::Unsupported(_) | Self::Pipeline { .. } | Self::Matching(_) | Self::Limit(_) => 400,
            Self::Busy { .. } => 429,
            Self::Cancelled => 499,
            Self::Damaged { .. } => 500,
            Self::Store(_) | Self::Moved { .. } => 503,
            Self::Timeout => 504,
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Store(fault) => fault.blame(),
            Self::Moved { .. } | Self::Damaged { .. } => Blame::Store,
            Self::Busy { .. } => Blame::Caller,
            Self::Parse(_) | Self::Request(_) | Self::Unsupported(_) | Self::Pipeline { .. } => Blame::Caller,
            Self::Matching(_) | Self::Limit(_) | Self::Timeout | Self::Cancelled => Blame::Caller,
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Store(fault) => fault.remedy(),
            Self::Moved { .. } | Self::Busy { .. } => Remedy::RetryAfter(std::time::Duration::from_secs(1)),
            Self::Damaged { .. } => Remedy::Drop,
            Self::Parse(_) | Self::Request(_) | Self::Unsupported(_) | Self::Pipeline { .. } => Remedy::Fix,
            Self::Matching(_) | Self::Limit(_) | Self::Timeout | Self::Cancelled => Remedy::Fix,
        }
    }
}
