//! Takes fields out of a log line: pure functions, the same at the edge (pipeline stages) and in queries (LogQL stages).
//!
//! Parts, by what they read: [`json`] and [`jmes`] (JSON lines: flattened, by LogQL path, by
//! Promtail expression), [`logfmt`], [`pattern`], [`unpack`]; [`dialect`] (Go's regular
//! expressions on the `regex` crate) and [`selector`] (label matchers and line filters) decide what
//! a line or stream matches; [`gotime`] reads and prints times by Go layouts, [`gofloat`] prints
//! numbers and [`gojson`] texts as Go does, [`quantity`] reads numbers, durations and sizes; [`template`] renders a line anew; [`level`] names the level of a line.
//!
//! Promises: no input panics, no input costs more than linear time times a bound of [`limits`],
//! nothing is allocated per field where it can be borrowed. Must not do: I/O, clocks, async, or know
//! what a stage, a tenant or a query is.

pub mod dialect;
pub mod fault;
pub mod gofloat;
pub mod gojson;
pub mod gotime;
pub mod jmes;
pub mod json;
pub mod level;
pub mod limits;
pub mod logfmt;
pub mod pattern;
pub mod quantity;
pub mod selector;
pub mod template;
mod text;
pub mod unpack;

pub use fault::{DialectFault, ExtractFault, JsonFault, LogfmtFault, PathFault, PatternFault, TemplateFault, TimeFault};
