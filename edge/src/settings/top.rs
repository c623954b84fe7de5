//! The smaller blocks of Promtail's file: `positions`, `target_config`, `global`, `limits_config`.
//!
//! The defaults are Promtail's, but for `target_config.sync_period`, which is 1s. Must not do: read the positions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proto_boot::{Bytes, Span};
use serde::Deserialize;

use super::unused::with_unused;
use super::{Placed, span_of, unplaced};

/// Where Promtail keeps its positions if nobody says otherwise.
pub const POSITIONS_FILE: &str = "/var/log/positions.yaml";

with_unused! {
    /// `positions`
    pub struct PositionsSettings {
        /// Promtail's file: read once, never written.
        pub filename: Option<Placed<PathBuf>> = None,
        /// A file that is no YAML is passed over instead of stopping the start.
        pub ignore_invalid_yaml: bool = false,
        /// Ours: further positions files to be read once, such as those of Alloy's components.
        pub legacy: Vec<PathBuf> = Vec::new(),
        /// Ours: `stop`, or where reading begins in files whose entry cannot be true: `end`, `start`, `time`.
        pub when_doubtful: Option<Placed<String>> = None,
        unused {
            sync_period: "positions lie in the WAL, beside the lines",
        }
    }
}

/// `target_config`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TargetSettings {
    /// Between two searches for files.
    pub sync_period: Span,
    /// Read the standard input instead of the jobs' sources.
    pub stdin: bool,
}

impl Default for TargetSettings {
    fn default() -> Self {
        Self { sync_period: span_of(1), stdin: false }
    }
}

/// `global`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GlobalSettings {
    /// How often a file is looked at.
    pub file_watch_config: FileWatchSettings,
}

const LOOKS: &str = "a file is looked at when it changes, and at the latest every 500ms";

with_unused! {
    /// `global.file_watch_config`
    pub struct FileWatchSettings {
        unused {
            min_poll_frequency: LOOKS,
            max_poll_frequency: LOOKS,
        }
    }
}

/// `limits_config`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsYaml {
    /// Lines a second.
    pub readline_rate: Placed<f64>,
    /// Lines at once.
    pub readline_burst: Placed<u64>,
    /// Whether those two count.
    pub readline_rate_enabled: bool,
    /// Lines beyond are dropped; else reading waits.
    pub readline_rate_drop: bool,
    /// Streams of one batch; 0 = no limit.
    pub max_streams: u64,
    /// Bytes of one line; 0 = no limit of its own.
    pub max_line_size: Bytes,
    /// A longer line is cut; else it is dropped.
    pub max_line_size_truncate: bool,
    /// Not Promtail's: what each tenant may send; `*` is each that is not named.
    pub tenant_budgets: BTreeMap<String, BudgetYaml>,
}

/// One of `limits_config.tenant_budgets`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetYaml {
    /// Bytes of lines a second.
    pub bytes_rate: Placed<Bytes>,
    /// Bytes at once; absent: those of ten seconds.
    #[serde(default)]
    pub bytes_burst: Option<Placed<Bytes>>,
    /// Lines beyond are dropped; else their source waits.
    #[serde(default)]
    pub drop: bool,
}

impl Default for LimitsYaml {
    fn default() -> Self {
        Self {
            readline_rate: unplaced(10_000.0),
            readline_burst: unplaced(10_000),
            readline_rate_enabled: false,
            readline_rate_drop: true,
            max_streams: 0,
            max_line_size: Bytes(0),
            max_line_size_truncate: false,
            tenant_budgets: BTreeMap::new(),
        }
    }
}
