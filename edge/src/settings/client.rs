//! `clients`: Lokis (or hubs) that are pushed to over HTTP, beside or instead of `hub`.
//!
//! Parts: [`ClientSettings`], [`BackoffSettings`]. The defaults are Promtail's. Must not do: push.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_boot::{Bytes, Span};
use serde::Deserialize;

use super::http::{Secret, with_http};
use super::labels::LabelsYaml;
use super::{Placed, span_of};

with_http! {
    /// One of `clients`
    pub struct ClientSettings {
        /// Where to push: `http://HOST:PORT/loki/api/v1/push`.
        #[serde(default = "no_url")]
        pub url: Placed<String>,
        /// Its name in metrics and in the WAL; absent = derived from the rest.
        #[serde(default)]
        pub name: Option<Placed<String>>,
        /// Headers of every request.
        #[serde(default)]
        pub headers: BTreeMap<String, Secret>,
        /// `X-Scope-OrgID`, where no pipeline says another.
        #[serde(default)]
        pub tenant_id: String,
        /// Age of the oldest line of a request.
        #[serde(default = "wait", rename = "batchwait")]
        pub batch_wait: Span,
        /// Bytes of lines of a request.
        #[serde(default = "size", rename = "batchsize")]
        pub batch_size: Bytes,
        /// Pauses between tries.
        #[serde(default)]
        pub backoff_config: BackoffSettings,
        /// Give up batches that were answered with 429.
        #[serde(default)]
        pub drop_rate_limited_batches: bool,
        /// Labels of every line that goes there.
        #[serde(default)]
        pub external_labels: LabelsYaml,
        /// Longest request.
        #[serde(default = "timeout")]
        pub timeout: Span,
        /// Promtail's removed setting.
        #[serde(default)]
        pub stream_lag_labels: super::Unused,
    }
}

/// `backoff_config`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackoffSettings {
    /// First pause.
    pub min_period: Span,
    /// Longest pause.
    pub max_period: Span,
    /// Tries of one batch; 0 and absent = for ever (Promtail's default is 10: see `docs/promtail.md`).
    pub max_retries: Option<u64>,
}

impl Default for BackoffSettings {
    fn default() -> Self {
        Self { min_period: Span(Duration::from_millis(500)), max_period: span_of(300), max_retries: None }
    }
}

fn no_url() -> Placed<String> {
    super::unplaced(String::new())
}

fn wait() -> Span {
    span_of(1)
}

fn size() -> Bytes {
    Bytes(1024 * 1024)
}

fn timeout() -> Span {
    span_of(10)
}
