//! Segments: bytes to records and back, without I/O.

pub mod block;
pub mod builder;
pub mod facts;
pub mod fault;
pub mod footer;
pub mod kind;
pub mod limits;
pub mod merge;

pub use block::{Block, BlockRows, Outline};
pub use builder::SegmentBuilder;
pub use facts::{Built, Facts};
pub use fault::SegmentFault;
pub use footer::{BlockEntry, Footer, RunEntry, StreamEntry};
pub use kind::{Kind, kind_of};
pub use merge::{Fetch, Merger, Step, merge};
