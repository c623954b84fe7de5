//! Segments: bytes to records and back, without I/O (`docs/formats/segment.md`).
//!
//! ```text
//!  lines in order of arrival          segments, neighbours in manifest order
//!            │ SegmentBuilder                     │ Merger
//!            │ (stable sort by stream, time)      │ (stable merge, a block of each at a time)
//!            └──────────────┬─────────────────────┘
//!                           ▼
//!  object  ┌──────┬─────────┬─────────┬─ … ─┬─────────┬─────────┬────────┬──────┐
//!          │ head │ block 0 │ block 1 │     │ filters │ tallies │ footer │ tail │
//!          └──────┴────┬────┴─────────┴─ … ─┴─────────┴─────────┴───┬────┴──────┘
//!                      │                                            │ texts; blocks: length, checksum;
//!                      │                        │ streams: labels, runs: lines, bytes, min, max
//!                      ▼
//!          ┌──────┬──────┬───────┬────────┬─────────┬──────────┬───────┐   packed column by column; one run
//!          │ head │ runs │ times │ levels │ lengths │ metadata │ lines │   a stream: large streams have blocks
//!          └──────┴──────┴───────┴────────┴─────────┴──────────┴───────┘   of their own, small neighbours share
//! ```
//!
//! Parts: [`kind`] (which day), [`builder`], [`merge`], `object` (cuts streams into blocks), [`block`], [`grams`] (which blocks cannot
//! hold a text), [`tally`] (lines by minute), `region` (where those lie), [`footer`], [`facts`] (what the manifest keeps), [`fault`], [`limits`]. Promises: the same lines in the same order give the same bytes, built at once or merged; bytes
//! from the store are input and end in a fault, never a panic, never more memory than [`limits`] say; each block has fresh buffers.
//! Must not do: I/O, clocks, tenants, keys.

pub mod block;
pub mod builder;
pub mod facts;
pub mod fault;
pub mod footer;
pub mod grams;
pub mod kind;
pub mod limits;
pub mod merge;
mod object;
mod region;
pub mod tally;
#[cfg(test)]
mod testing;

pub use block::{Block, BlockRows, Outline};
pub use builder::SegmentBuilder;
pub use facts::{Built, Facts};
pub use fault::SegmentFault;
pub use footer::{BlockEntry, Footer, RunEntry, StreamEntry};
pub use grams::{GramFilters, Needle};
pub use kind::{Kind, kind_of};
pub use merge::{Fetch, Merger, Sieve, Step, merge};
pub use region::RegionEntry;
pub use tally::{Tallies, Tally};

/// BLAKE3-128 of `bytes`.
fn checksum(bytes: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    out
}
