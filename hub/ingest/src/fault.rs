//! What can go wrong on the way in.

use proto_model::{Blame, Remedy};

/// A fault of the way in as a whole (single requests are answered, not failed).
#[derive(Debug, thiserror::Error)]
pub enum IngestFault {
    /// The store refused or failed beyond what retries cure.
    #[error(transparent)]
    Store(#[from] hub_store::StoreFault),
}

impl IngestFault {
    /// Always the store's word.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Store(_) => Blame::Store,
        }
    }

    /// The caller starts anew.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Store(_) => Remedy::Stop,
        }
    }
}
