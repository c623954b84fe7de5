//! The edge's WAL: the only WAL in the system (`docs/formats/wal.md`).
//!
//! ```text
//!  append_batch ─┐                       ┌─ read ─► Entry (batch or gap), only what is durable
//!  append_loss  ─┼─► file n ── sync ──►  │
//!  positions    ─┘   [head][checkpoint x2][record][record]...     index in memory: 48 bytes an entry
//!                    file n-1 [........................]           acked + grace passed ─► deleted whole
//! ```
//!
//! Parts, from bytes to promises: `entry` and `file` (records and files, pure), `scan` and `walk`
//! (what a directory holds, whatever happened to it), `recover` (the longest true state, pure), `slot` and
//! `index` (where each entry lies, and the chain), `writer` and `append` (in), `read` (out), `settle` and `carry` (the
//! hub's word), `trim`, `relief` and `quota` (what goes, what is given up), `sinks` (who reads beside the hub), `inspect` (for people).
//!
//! Promises: what `sync` returned for survives a power cut, with the positions it advances, and is read
//! back byte for byte; what it did not return for is either whole or gone; damage costs the damaged
//! records alone and is told. Nothing unacked is deleted but by policy, and then a gap says so.
//! Limits: `limits.rs`. Everything blocks: callers run it on `proto_seam::Workers`.
//! Must not do: open sockets, read a clock, touch `std::fs`.

mod append;
mod carry;
mod entry;
pub mod fault;
mod file;
mod index;
mod inspect;
pub mod limits;
mod position;
mod quota;
mod read;
mod recover;
mod relief;
mod scan;
mod settle;
mod sinks;
mod slot;
mod trim;
mod wal;
mod walk;
mod writer;

pub use append::{Acked, Loss};
pub use carry::{Carried, Committed};
pub use fault::WalFault;
pub use inspect::{Inspected, InspectedKind, Summary, inspect};
pub use position::SourcePosition;
pub use quota::{Room, TrackUsage, Usage, WhenFull};
pub use read::{Entry, WalReader};
pub use recover::{Lost, Recovered, TrackState, reason};
pub use settle::Settled;
pub use sinks::{Cursor, SinkEntry, SinkId, SinkLost, SinkUsage};
pub use wal::{Unacked, Wal, WalSettings, positions};

#[cfg(test)]
mod bed;
#[cfg(test)]
#[allow(dead_code, unreachable_pub, reason = "the tests crate shares it and uses other parts")]
#[path = "../../../tests/harness/disk.rs"]
mod sim_disk;
