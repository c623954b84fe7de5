//! Promtail's stages, one per file, each compiled from its settings and applied to one line at a time.
//!
//! In a file: the stage with what it compiled to, `compile` (reports every mistake, then gives `None`), `apply`.
//! What a stage keeps between lines lies in the run's state, by an index given when it is compiled.
//! Must not do: send, wait, or read the clock.

pub(crate) mod cri;
pub(crate) mod decolorize;
pub(crate) mod docker;
pub(crate) mod drop;
pub(crate) mod eventlogmessage;
pub(crate) mod geoip;
pub(crate) mod json;
pub(crate) mod labelallow;
pub(crate) mod labeldrop;
pub(crate) mod labels;
pub(crate) mod limit;
pub(crate) mod logfmt;
pub(crate) mod r#match;
pub(crate) mod metrics;
pub(crate) mod multiline;
pub(crate) mod output;
pub(crate) mod pack;
pub(crate) mod pipeline;
pub(crate) mod regex;
pub(crate) mod replace;
pub(crate) mod sampling;
pub(crate) mod static_labels;
pub(crate) mod structured_metadata;
pub(crate) mod template;
pub(crate) mod tenant;
pub(crate) mod timestamp;
