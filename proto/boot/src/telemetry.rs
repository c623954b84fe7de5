//! How a process tells what it does: its log and its metrics.
//!
//! Parts: [`log`] (structured lines on stderr), [`metrics`] (counters, gauges and histograms, and the
//! text that Prometheus reads). Must not do: serve them (`probes` does), know edge or hub.

pub mod log;
pub mod metrics;
mod quota;

pub use log::{LogFormat, LogHandle, LogLevel, LogSettings};
pub use metrics::{Counter, Counters, Gauge, Gauges, Histogram, Histograms, Metrics, SECONDS};
