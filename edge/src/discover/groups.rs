//! What a discovery found, before relabelling.
//!
//! Parts: [`TargetGroup`] (the label sets of one thing, such as a pod), [`Groups`] (all of one discovery now),
//! [`Feed`] (where a job reads them). Limits: [`LABEL_SETS_MAX`] label sets of one discovery. Must not do: find anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto_model::Labels;
use tokio::sync::watch;

/// Most label sets of one discovery: more containers than a big cluster has.
pub const LABEL_SETS_MAX: usize = 50_000;

/// The label sets of one thing that was discovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetGroup {
    /// Which thing: `pod/namespace/name`, a file's path and entry.
    pub source: String,
    /// Its label sets, before relabelling.
    pub labels: Vec<Labels>,
}

/// All that a discovery found.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    /// False until something was found out, from the source itself or from what was remembered: before that, what is not
    /// named here may still exist.
    pub known: bool,
    /// By source. A group that did not change is the same pointer as before.
    pub groups: BTreeMap<String, Arc<TargetGroup>>,
    /// What keeps it from being up to date now; empty when nothing does.
    pub trouble: String,
}

/// Where a job reads what a discovery found.
pub type Feed = watch::Receiver<Arc<Groups>>;
/// Where the discovery puts it.
pub type FeedSender = watch::Sender<Arc<Groups>>;

/// A feed that knows nothing yet.
#[must_use]
pub fn feed() -> (FeedSender, Feed) {
    watch::channel(Arc::default())
}
