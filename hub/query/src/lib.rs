//! Answers LogQL over what the hub has stored: plan -> fetch -> scan -> aggregate.
//!
//! ```text
//! request ──plan──> sections and segments ──open──> parts ──fetch (4 at once)──> bytes ──scan (worker threads)──> entries / windows ──merge──> answer
//! ```
//!
//! Parts in that order: [`request`], [`plan`] (which streams), [`engine`] (a turn by `turns`, a view and its manifests) with
//! `run` (what is read, `frontier`: in which order) over `source` (a section or a segment), `scan` with
//! `stages` over `record` (one line through a pipeline), `merge` (log answers), `range`, `vector` and `metric`
//! (samples), [`names`] (labels, series, statistics), [`volume`], [`detected`] and [`patterns`] (what Logs Drilldown asks for), [`answer`]; beside them [`deletion`] (lines that count as gone), `warnings`, [`budget`] and [`fault`].
//! Promises: a query sees one view of the store with manifests that fit it, lines once, in order (lane rules 14, 18);
//! memory is bounded by the answer and a few sections or blocks; lines are unpacked only where a step looks at them;
//! what is not supported is refused, never answered wrongly; a dropped query stops.
//! Must not do: HTTP, JSON, tenants' tables, writing.

mod address;
pub mod answer;
pub mod budget;
pub mod cardinality;
pub mod deletion;
pub mod detected;
pub mod engine;
pub mod fault;
mod frontier;
pub mod limits;
mod merge;
mod metric;
pub mod metrics;
pub mod names;
pub mod page;
pub mod patterns;
pub mod plan;
mod range;
mod record;
pub mod request;
#[cfg(test)]
mod rig;
mod run;
mod scan;
mod source;
mod stages;
pub mod tail;
mod turns;
mod vector;
pub mod volume;
mod wanted;
mod warnings;

pub use answer::{AnsweredEntry, AnsweredStream, InstantSample, InstantValue, LogAnswer, MatrixAnswer, MergedStream, Pairs, Series, Stats, VectorAnswer};
pub use budget::Limits;
pub use cardinality::{Cardinality, LabelCardinality, ValueCardinality};
pub use deletion::{Deletion, Fate, LineJudge, Struck};
pub use detected::{DetectedField, DetectedLabel, FieldType};
pub use engine::Engine;
pub use fault::QueryFault;
pub use metrics::QueryMetrics;
pub use names::IndexStats;
pub use page::{Cursor, Page};
pub use patterns::{Pattern, PatternAnswer, PatternRequest};
pub use request::{Direction, InstantRequest, LogRequest, RangeRequest};
pub use tail::{Tail, TailRequest, Tailed};
pub use volume::{AggregateBy, Volume, VolumeRequest};
