//! The edge's own keys: `hub`, `wal`, `batch`, `canary`.
//!
//! Parts: [`HubSettings`], [`WalYaml`] (with the fields of Promtail's block of that name), [`BatchSettings`],
//! [`CanaryYaml`]. Must not do: open anything.

use std::path::PathBuf;

use proto_boot::{Bytes, Span};
use serde::Deserialize;

use super::unused::with_unused;
use super::{Placed, span_of, unplaced};

/// One url or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Urls {
    /// One.
    One(String),
    /// Several, tried in turn.
    Many(Vec<String>),
}

/// `hub`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSettings {
    /// `https://HOST:PORT`.
    pub url: Placed<Urls>,
    /// Who may vouch for the hub.
    pub ca_file: PathBuf,
    /// Folder of `edge.crt` and `edge.key`.
    pub identity_dir: PathBuf,
    /// Name in the hub's certificate, if not the host of the url.
    #[serde(default)]
    pub server_name: String,
    /// `auto`, `quic` or `grpc`.
    #[serde(default)]
    pub transport: Option<Placed<String>>,
    /// `zstd`, `snappy` or `none`.
    #[serde(default)]
    pub compression: Option<Placed<String>>,
    /// HTTP proxy for gRPC.
    #[serde(default)]
    pub proxy_url: String,
    /// Bytes a second; 0 = no limit.
    #[serde(default)]
    pub bandwidth: Bytes,
    /// Most that an old backlog takes of the bytes sent while live lines wait too: 0 to 0.95.
    #[serde(default)]
    pub backlog_share: Option<Placed<f64>>,
    /// One-time token to enrol with: must be empty yet.
    #[serde(default)]
    pub enrol_token_file: Option<Placed<String>>,
}

const OWN_WAL: &str = "the WAL of this edge is on in any case and frees what is acknowledged";

with_unused! {
    /// `wal`
    pub struct WalYaml {
        /// Its folder; absent = `tributary-wal` beside Promtail's positions file.
        pub dir: Option<Placed<PathBuf>> = None,
        /// Bytes at most.
        pub max_bytes: Option<Placed<Bytes>> = None,
        /// Age at most; 0s = none.
        pub max_age: Span = Span::default(),
        /// `block` or `drop_oldest`.
        pub when_full: Option<Placed<String>> = None,
        /// Acked bytes kept for a hub that was rolled back.
        pub grace_bytes: Option<Bytes> = None,
        /// And for how long.
        pub grace_age: Option<Span> = None,
        /// What one of `clients` may keep that others have passed: bytes, or a share such as `25%`.
        pub sink_max_lag: Option<Placed<String>> = None,
        unused {
            enabled: OWN_WAL,
            cleanSegmentsOlderThan: OWN_WAL,
            watchConfig: OWN_WAL,
        }
    }
}

/// `canary`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CanaryYaml {
    /// Between two lines; 0s = none.
    pub every: Option<Placed<Span>>,
}

/// `batch`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchSettings {
    /// Bytes of lines.
    pub max_bytes: Placed<Bytes>,
    /// Age of the oldest line.
    pub max_wait: Span,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self { max_bytes: unplaced(Bytes(1024 * 1024)), max_wait: span_of(1) }
    }
}
