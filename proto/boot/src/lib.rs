//! What every process does at start and stop: settings, telemetry, the stop signal, a small HTTP server.
//!
//! Parts, in the order a process meets them: [`arguments`] (flags that are settings), [`settings`]
//! (file, environment and flags into one typed tree) with [`units`], [`expand`], [`mistake`] and
//! [`nearest()`]; [`telemetry`] (log and metrics); [`probes`] and [`serve`](mod@serve) (pages); [`memory`] (given back);
//! [`stop`] (ordered end).
//!
//! ```
//! # #[derive(serde::Deserialize)] #[serde(deny_unknown_fields)] struct HubSettings { store: String }
//! let mistakes = proto_boot::settings::parse::<HubSettings>("hub.yaml", "stroe: file:///data").err().unwrap_or_default();
//! let printed: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
//! assert_eq!(printed[0], r#"hub.yaml:1:1: error: unknown key "stroe"; fix: did you mean "store""#);
//! ```
//!
//! Must not do: know edge or hub.

pub mod arguments;
pub mod expand;
pub mod limits;
pub mod memory;
pub mod mistake;
pub mod nearest;
pub mod probes;
pub mod serve;
pub mod settings;
pub mod stop;
pub mod telemetry;
pub mod units;

pub use mistake::Mistake;
pub use nearest::nearest;
pub use probes::Ready;
pub use stop::{Drained, Draining, Stop};
pub use telemetry::Metrics;
pub use units::{Bytes, Span};
