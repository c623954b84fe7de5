//! Promtail's pipeline: log lines of one source in, records with labels, times and lines out.
//!
//! A configuration ([`settings`]) is compiled into a [`Program`] that many sources share; each source has a [`Run`],
//! which takes its lines one by one:
//!
//! ```text
//! pipeline_stages ── compile ──► Program          (every mistake at once, with line and column)
//!                                   │
//! line, now ──► Run::line ──► steps of the program, in order ──► Emitted { labels, time, line, metadata }
//!                 │    ▲
//!            held │    │ restore                  (partial lines and blocks survive a crash)
//!                 ▼    │
//!              WAL record, beside the reading position
//! ```
//!
//! Stages: cri, docker, json, logfmt, regex, replace, labels, static_labels, labeldrop, labelallow, structured_metadata,
//! timestamp, output, match, drop, multiline, tenant, decolorize, pipeline, template, metrics, limit, sampling, pack, geoip,
//! eventlogmessage. Metrics that stages make lie in a [`Registry`]. [`relabel`] is Prometheus' relabelling of
//! label sets, for sources. What differs from Promtail on purpose is said at the head of each stage's file.
//!
//! Promises: pure (no clock, no disk, no threads); a program without a stage that rewrites lines never copies one;
//! every line given up, cut or not understood is counted ([`Counters`]). Limits: [`limits`]. Must not do: know files,
//! positions, batches or the hub.

pub mod counters;
pub mod fault;
pub mod limits;
pub mod program;
pub mod registry;
pub mod relabel;
pub mod run;
pub mod settings;

mod compile;
mod cut;
mod draft;
mod haystack;
mod held;
mod inspect;
mod label_sets;
mod partials;
mod stage;
mod stages;
mod state;
#[cfg(test)]
mod testing;
mod units;

pub use counters::Counters;
pub use fault::{Mistake, PipelineFault, Place};
pub use inspect::Inspector;
pub use program::{Program, Surroundings};
pub use registry::Registry;
pub use relabel::Relabeling;
pub use run::{Emitted, Run};
pub use settings::{RelabelSettings, StageSettings};
pub use stages::geoip::Database;
pub use stages::tenant::TENANT_LABEL;

pub use compile::reads::databases;
