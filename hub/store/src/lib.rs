//! The only door to the object store: lanes, sections, folds, views, control objects.
//!
//! ```text
//! draft -> lane object (header + a section per tenant) -> create-if-absent -> look at the one before -> fold -> view
//!            header.rs   section.rs       object.rs           lane/writer.rs        fold.rs   head.rs
//! lanes/<lane>/log/<n>   lanes/<lane>/snap/<n>   control/{lanes,edges,tenants,tokens,probe}/...      keys.rs
//! ```
//!
//! Parts, in the order in which a hub meets them: [`open`] (a URL to a store), [`store`] (open, follow,
//! read, write), [`lane`] (rules 1, 4 to 7, 11, 20), [`fold`] (what a lane says), [`section`] (what a tenant
//! wrote), [`head`] (what can be read), [`control`] (what is not in lanes). Format and rules:
//! `docs/formats/lane.md`.
//! Promises: an answer is given for a commit only when it is durable and the only one of its number;
//! bytes from the store are checked before they are believed, and end in a fault, never a panic; a tenant's
//! section is reached with that tenant's grant only. Must not do: HTTP, sessions, queries, deleting of
//! lane objects.

mod cache;
pub mod control;
pub mod fault;
pub mod fold;
mod frame;
pub mod head;
pub mod header;
mod keys;
pub mod lane;
pub mod limits;
mod mac;
pub mod manifest;
pub mod metrics;
mod numbered;
mod object;
pub mod open;
mod probe;
pub mod record;
#[cfg(test)]
mod rig;
pub mod section;
pub mod store;

/// What is stored beside the lines, generated from `lane.proto`.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic, clippy::use_self)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/tributary.lane.v1.rs"));

    /// Manifests, generated from `manifest.proto`.
    pub mod manifest {
        include!(concat!(env!("OUT_DIR"), "/tributary.manifest.v1.rs"));
    }
}

pub use control::{Revocations, StoredToken, TenantMap, TenantMaps, Tokens};
pub use fault::{PutFault, StoreFault};
pub use fold::log::Commit;
pub use fold::{Fold, ProducerState, SourceKey};
pub use head::{Frozen, LaneView, SectionRef, View};
pub use header::{Checksum, CommitId, LaneHeader, SectionEntry};
pub use lane::writer::{Committed, LaneWriter};
pub use mac::StoreKeys;
pub use manifest::{Applied, Change, Delete, Doomed, Manifest, SegmentId, SegmentRef};
pub use metrics::StoreMetrics;
pub use open::{S3Settings, open_objects};
pub use record::{LaneRecord, Loss};
pub use section::{BatchDraft, BatchEntry, Draft, HubRow, Origin, Section, SectionDraft, SectionTable, TableRow};
pub use store::fsck::{Damage, Examination, Examined, GiveUpFault};
pub use store::keeper::{Keeper, StoredSection};
pub use store::{Behind, LaneReport, Store, StoreSettings};
