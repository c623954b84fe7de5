//! The edge's YAML: all of Promtail's keys, and beside them `hub`, `wal`, `batch` and `canary` (`docs/contract.md`).
//!
//! Parts: [`EdgeSettings`] as written, by blocks ([`server`], [`client`], [`top`], [`scrape`] with [`discovery`],
//! [`receivers`] and [`pulled`], [`hub`]); [`http`], [`labels`] and [`unused`], which several of them share; `check`,
//! which turns it into [`Prepared`]. Promises: unknown and duplicate keys are mistakes; all mistakes are reported
//! together, each with line, column and a fix; a key without effect is told once. What differs from Promtail stands in
//! `docs/promtail.md`, which a test holds true. Must not do: open anything.

pub mod client;
pub mod discovery;
pub mod http;
pub mod hub;
pub mod labels;
pub mod load;
pub mod pulled;
pub mod receivers;
pub mod scrape;
pub mod server;
pub mod top;
pub mod unused;

pub(crate) mod check;
mod remark;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge_pipeline::Surroundings;
use edge_wal::WalSettings;
use proto_boot::Span;
use proto_link::{Targets, TransportChoice};
use proto_model::Labels;
use proto_seam::Disk;
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

pub use client::ClientSettings;
pub use hub::{BatchSettings, CanaryYaml, HubSettings, WalYaml};
pub use remark::Remark;
pub use scrape::{Discovery, Origin, ScrapeSettings};
pub use server::ServerSettings;
pub use top::{GlobalSettings, LimitsYaml, PositionsSettings, TargetSettings};
pub use unused::Unused;

use crate::canary::CanaryParts;
use crate::discover::Job;
use crate::gather::GatherSettings;
use crate::import::{ImportPlan, Imported};
use crate::limit::LimitSettings;
use crate::sink::Target;

/// A value and where it stands.
pub type Placed<T> = Spanned<T>;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeSettings {
    /// Its own pages.
    #[serde(default)]
    pub server: ServerSettings,
    /// Promtail's positions file.
    #[serde(default)]
    pub positions: PositionsSettings,
    /// Lokis to push to.
    #[serde(default)]
    pub clients: Vec<ClientSettings>,
    /// Its old form: one more, if it has a url; its labels go everywhere.
    #[serde(default)]
    pub client: Option<ClientSettings>,
    /// How files are searched for.
    #[serde(default)]
    pub target_config: TargetSettings,
    /// How files are looked at.
    #[serde(default)]
    pub global: GlobalSettings,
    /// What is too much.
    #[serde(default, alias = "limit_config")]
    pub limits_config: LimitsYaml,
    /// Promtail's traces: no effect.
    #[serde(default)]
    pub tracing: Unused,
    /// Promtail's options: no effect.
    #[serde(default)]
    pub options: Unused,
    /// What to read.
    #[serde(default)]
    pub scrape_configs: Vec<ScrapeSettings>,
    /// Where to send it.
    #[serde(default)]
    pub hub: Option<Placed<HubSettings>>,
    /// Where to keep it meanwhile.
    #[serde(default)]
    pub wal: WalYaml,
    /// How it is packed.
    #[serde(default)]
    pub batch: BatchSettings,
    /// Known lines among the others.
    #[serde(default)]
    pub canary: CanaryYaml,
}

/// Largest database of a `geoip` stage: it is held in memory as a whole.
const DATABASE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What settings are prepared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To read and to send.
    Run,
    /// To read and to show: nothing is said of where to send.
    Show,
}

/// Checked and compiled.
pub struct Prepared {
    /// What to read.
    pub jobs: Vec<Job>,
    /// The hubs.
    pub targets: Targets,
    /// How to reach them.
    pub transport: TransportChoice,
    /// How batches are closed and packed.
    pub gather: GatherSettings,
    /// Known lines among the others, named after the host until the certificate is read.
    pub canary: Option<CanaryParts>,
    /// The WAL.
    pub wal: WalSettings,
    /// Share of an old backlog beside live lines, per mille.
    pub backlog_mille: u32,
    /// So old makes the oldest unacked batch a backlog, which drains apart.
    pub backlog_age: Duration,
    /// Lokis to push to.
    pub clients: Vec<Target>,
    /// What each of them may keep in the WAL that others have passed, in bytes.
    pub sink_lag_max: u64,
    /// Labels of every line that has none of that name: `-client.external-labels`.
    pub external_labels: Labels,
    /// `limits_config`.
    pub limits: LimitSettings,
    /// Another agent's positions, to be read once.
    pub import: ImportPlan,
    /// What was read of them ([`crate::import::take`]).
    pub imported: Imported,
    /// Said once at start: settings without effect, and traps.
    pub remarks: Vec<Remark>,
}

impl EdgeSettings {
    /// Bytes a second to the hub; 0 = no limit.
    #[must_use]
    pub fn bandwidth(&self) -> u64 {
        self.hub.as_ref().map_or(0, |hub| hub.value.bandwidth.0)
    }

    /// Checks and compiles, to read and to send; `host` is compared with `__host__`.
    ///
    /// # Errors
    /// All mistakes.
    pub fn prepare(&self, file: &str, host: &str) -> Result<Prepared, Vec<proto_boot::Mistake>> {
        self.prepare_in(Purpose::Run, file, host, Surroundings::default())
    }

    /// What the stages of all jobs share, with the databases they name.
    #[must_use]
    pub fn surroundings(&self, disk: &dyn Disk) -> Surroundings {
        let mut shared = Surroundings::default();
        for path in self.scrape_configs.iter().flat_map(|scrape| edge_pipeline::databases(&scrape.pipeline_stages)) {
            let read = || disk.read_all(Path::new(&path), DATABASE_BYTES_MAX).map(Arc::from).map_err(|fault| fault.to_string());
            shared.databases.entry(path.clone()).or_insert_with(read);
        }
        shared
    }

    /// Checks and compiles for a purpose, in what the stages share.
    ///
    /// # Errors
    /// All mistakes.
    pub fn prepare_in(&self, purpose: Purpose, file: &str, host: &str, mut surroundings: Surroundings) -> Result<Prepared, Vec<proto_boot::Mistake>> {
        // Every host has a sample of its own.
        surroundings.seed = host.bytes().fold(surroundings.seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        check::prepare(self, purpose, (file, host), surroundings)
    }
}

/// Default of keys that are on.
fn yes() -> bool {
    true
}

fn span_of(seconds: u64) -> Span {
    Span(Duration::from_secs(seconds))
}

/// A default: it stands nowhere.
const fn unplaced<T>(value: T) -> Placed<T> {
    Spanned::new(value, Location::UNKNOWN, Location::UNKNOWN)
}

#[cfg(test)]
mod tests;
