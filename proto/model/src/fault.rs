//! Who is to blame for a fault and what the one who meets it should do.
//!
//! Every crate's error enum maps once to these two; the shipper's retry, the HTTP status and the
//! metric label all come from here. Must not do: carry texts; those belong to the fault itself.

use std::time::Duration;

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The edge or its configuration.
    Edge,
    /// The hub or its configuration.
    Hub,
    /// Whoever sent the request.
    Caller,
    /// The object store.
    Store,
}

impl Blame {
    /// The metric label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Hub => "hub",
            Self::Caller => "caller",
            Self::Store => "store",
        }
    }
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Try the same again after this long.
    RetryAfter(Duration),
    /// Change the request or the configuration first.
    Fix,
    /// Give this piece up, counted.
    Drop,
    /// Stop: going on would do harm.
    Stop,
}
