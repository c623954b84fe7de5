//! What can go wrong between a hub and its object store, whose move it is then, and what to do.
//!
//! Parts: [`StoreFault`], [`PutFault`]. Must not do: carry bytes or names of a tenant other than the asker's.

use std::time::Duration;

use proto_model::{Blame, LaneId, Remedy};

/// A fault of the store or of what lies in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// The store did not answer, or answered that it cannot now.
    #[error("the object store failed at {action} {key}: {reason}; check that it is up and reachable")]
    Unreachable {
        /// The request.
        action: &'static str,
        /// The object.
        key: String,
        /// In the store's words.
        reason: String,
    },
    /// The store refused the credentials or the permission.
    #[error("the object store refused {action} {key}: {reason}; check the credentials and the bucket's policy")]
    Denied {
        /// The request.
        action: &'static str,
        /// The object.
        key: String,
        /// In the store's words.
        reason: String,
    },
    /// The settings do not lead to a store.
    #[error("{what} is not usable: {reason}; fix: {fix}")]
    Settings {
        /// Which setting.
        what: &'static str,
        /// Why not.
        reason: String,
        /// What to write instead.
        fix: &'static str,
    },
    /// The store does not honour create-if-absent.
    #[error("the object store does not keep create-if-absent ({reason}): lines could be lost or doubled on it; use a store that honours If-None-Match: *")]
    NoConditionalCreate {
        /// What it did.
        reason: String,
    },
    /// An object contradicts its checksum, its MAC or its format.
    #[error("{key} is damaged: {reason}")]
    Damaged {
        /// The object.
        key: String,
        /// How.
        reason: String,
    },
    /// An object was made by a newer program.
    #[error("{key} has format version {found}, this hub knows {known}: upgrade the hub")]
    Version {
        /// The object.
        key: String,
        /// The version found.
        found: u16,
        /// The newest version known.
        known: u16,
    },
    /// A header that is whole but does not follow from the lane before it.
    #[error("lane {lane} breaks at number {number}: {reason}")]
    Chain {
        /// The lane.
        lane: LaneId,
        /// The number.
        number: u64,
        /// How.
        reason: String,
    },
    /// The lane's next header is damaged or out of order: nothing is written to it (lane rule 20).
    #[error("lane {lane} is frozen at number {number}: {reason}; restore that object, or run fsck")]
    Frozen {
        /// The lane.
        lane: LaneId,
        /// The first number that cannot be read.
        number: u64,
        /// Why.
        reason: String,
    },
    /// A lane whose state cannot be found again.
    #[error("lane {lane} cannot be read: {reason}; if the bucket was restored or emptied in part, restore it whole")]
    LaneUnreadable {
        /// The lane.
        lane: LaneId,
        /// Why.
        reason: String,
    },
    /// A lane that the registry, read to its end, does not name.
    #[error("there is no lane {lane} in this bucket")]
    NoLane {
        /// The lane.
        lane: LaneId,
    },
    /// Somebody else wrote this number first.
    #[error("number {number} of lane {lane} was taken: follow the lane and build again")]
    Taken {
        /// The lane.
        lane: LaneId,
        /// The number.
        number: u64,
    },
    /// Somebody else wrote this number of a log first.
    #[error("{key} was written by another: read on and build again")]
    Beaten {
        /// The object.
        key: String,
    },
    /// A tenant's manifest that cannot be found again, or lacks what the lanes say is absorbed.
    #[error("the manifest at {key} cannot be read: {reason}; if the bucket was restored or emptied in part, restore it whole")]
    ManifestUnreadable {
        /// Where manifests lie.
        key: String,
        /// Why.
        reason: String,
    },
    /// What a view named is no longer there: take a new view.
    #[error("{key} is not what the view named any more: ask again")]
    Moved {
        /// The object.
        key: String,
    },
    /// No view that is fresh enough could be had in time.
    #[error("no fresh view of the store within {waited_ms} ms: {reason}")]
    Stale {
        /// How long it was tried.
        waited_ms: u64,
        /// The last fault met.
        reason: String,
    },
    /// The tenant map in use is older than one that is in force.
    #[error("tenant map version {have} is older than version {newest}, which is in force: load the newer one")]
    OldMap {
        /// The version offered.
        have: u64,
        /// The version in force.
        newest: u64,
    },
    /// Another map was published under the same version.
    #[error("a different tenant map was already published as version {version}: raise the version")]
    MapTaken {
        /// The version.
        version: u64,
    },
    /// A draft contradicts itself or the fold: a defect of the hub, found before it was written.
    #[error("a lane object was drafted wrongly and not written: {reason}")]
    Draft {
        /// How.
        reason: String,
    },
    /// Something is larger than allowed.
    #[error("{what} is {found}, more than the {limit} allowed")]
    TooLarge {
        /// What was measured.
        what: &'static str,
        /// What was found.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A section was asked for with the grant of another tenant.
    #[error("the section does not belong to the tenant that asks")]
    Foreign,
    /// A process has one writer of its own lane.
    #[error("this process already has a writer of its own lane")]
    WriterTaken,
    /// A delete that is not open: carried out, called off, or never there.
    #[error("there is no open delete of that id")]
    NoDelete,
    /// A delete that took lines out already.
    #[error("the delete took lines out already: they cannot be had back; force calls off the rest")]
    DeleteBegun,
    /// A token id that exists already.
    #[error("a token {id} exists already: choose another id")]
    TokenTaken {
        /// The id.
        id: String,
    },
    /// A token id that does not exist.
    #[error("there is no token {id}")]
    NoToken {
        /// The id.
        id: String,
    },
}

impl StoreFault {
    /// Whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Unreachable { .. } | Self::NoConditionalCreate { .. } | Self::Damaged { .. } | Self::Chain { .. } | Self::Frozen { .. } => Blame::Store,
            Self::LaneUnreadable { .. } | Self::ManifestUnreadable { .. } | Self::Moved { .. } | Self::Stale { .. } => Blame::Store,
            Self::Denied { .. } | Self::Settings { .. } | Self::Version { .. } | Self::Taken { .. } | Self::OldMap { .. } => Blame::Hub,
            Self::Beaten { .. } => Blame::Hub,
            Self::Draft { .. } | Self::WriterTaken | Self::Foreign => Blame::Hub,
            Self::MapTaken { .. } | Self::TooLarge { .. } | Self::TokenTaken { .. } | Self::NoToken { .. } | Self::NoLane { .. } => Blame::Caller,
            Self::NoDelete | Self::DeleteBegun => Blame::Caller,
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Taken { .. } | Self::Beaten { .. } | Self::Moved { .. } => Remedy::RetryAfter(Duration::ZERO),
            Self::Unreachable { .. } | Self::Stale { .. } | Self::OldMap { .. } => Remedy::RetryAfter(Duration::from_secs(1)),
            Self::Frozen { .. } | Self::LaneUnreadable { .. } | Self::ManifestUnreadable { .. } | Self::Denied { .. } => {
                Remedy::RetryAfter(Duration::from_secs(5))
            }
            Self::Settings { .. } | Self::Version { .. } | Self::MapTaken { .. } | Self::TooLarge { .. } => Remedy::Fix,
            Self::NoDelete | Self::DeleteBegun => Remedy::Fix,
            Self::TokenTaken { .. } | Self::NoToken { .. } | Self::NoLane { .. } | Self::Draft { .. } | Self::Foreign | Self::WriterTaken => Remedy::Fix,
            Self::Damaged { .. } | Self::Chain { .. } => Remedy::Drop,
            Self::NoConditionalCreate { .. } => Remedy::Stop,
        }
    }

    /// Whether another writer of the lane was first, so that building again at once is right.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Taken { .. } | Self::Beaten { .. })
    }

    /// Whether the same request may succeed when simply sent again.
    #[must_use]
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// A PUT that was not confirmed: nothing of it may be acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutFault {
    /// It is not known to stand: follow the lane, then judge every batch again on the fold found
    /// (lane rule 5). It may have been written: then its batches are duplicates there.
    #[error("the lane object is not known to be written: {0}")]
    NotWritten(#[source] StoreFault),
    /// The object before it is gone: this hub's state of the lane is from before a collection. Start
    /// the lane anew (lane rules 6 and 11).
    #[error("the lane moved on while this hub slept: its state is dropped")]
    Lost,
}
