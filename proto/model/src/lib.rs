//! Values that edge and hub agree on: names, times, labels, records, batch numbers, blame.
//!
//! Parts, in the order a log line meets them: [`id`] (who), [`time`] (when), [`labels`] (which
//! stream), [`record`] (the line), [`batch`] (how it travels), [`json`] (how text is shown), [`fault`]
//! (what can go wrong and whose move it is then).
//!
//! Promises: everything here is a checked value; constructing one from outside bytes can fail, using
//! one cannot. Must not do: I/O, clocks, async.

pub mod batch;
pub mod fault;
pub mod id;
pub mod json;
pub mod labels;
pub mod record;
pub mod time;

pub use batch::{BatchDigest, Chain, Epoch, ProducerId, Sequence, TrackId};
pub use fault::{Blame, Remedy};
pub use id::{ClusterId, EdgeId, IdFault, LaneId, TenantId, TokenId, WalId};
pub use labels::{Labels, LabelsNumbers, MatchOp, StreamId};
pub use record::Record;
pub use time::{TimeRange, Timestamp};
