//! The edge's YAML: Promtail's keys, and beside them `hub`, `wal` and `batch` (`docs/contract.md`).
//!
//! Parts: [`EdgeSettings`] as written; [`Prepared`], compiled and checked. Promises: unknown and duplicate
//! keys are mistakes; all mistakes are reported together, each with line, column and a fix; what Promtail
//! has and this edge has not yet is refused by name, never ignored. Must not do: open anything.

use std::path::PathBuf;
use std::time::Duration;

use edge_pipeline::{Program, RelabelSettings, Relabeling, StageSettings};
use edge_wal::{WalSettings, WhenFull};
use proto_boot::settings::place;
use proto_boot::telemetry::LogLevel;
use proto_boot::{Bytes, Mistake, Span};
use proto_link::{Targets, TransportChoice};
use proto_model::Labels;
use proto_model::labels::is_label_name;
use proto_wire::Compression;
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::canary::{CanaryParts, EVERY_MIN};
use crate::discover::{Job, Relabelled, relabel_target};
use crate::gather::GatherSettings;
use crate::ship::share::SHARE_MILLE_MAX;
use crate::tail::reading::Reading;

type Placed<T> = Spanned<T>;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeSettings {
    /// Its own pages.
    #[serde(default)]
    pub server: ServerSettings,
    /// Promtail's positions file: accepted, positions lie in the WAL.
    #[serde(default)]
    pub positions: Option<PositionsSettings>,
    /// Promtail's pushes to Loki.
    #[serde(default)]
    pub clients: Option<Placed<serde_json::Value>>,
    /// Its old form.
    #[serde(default)]
    pub client: Option<Placed<serde_json::Value>>,
    /// Between two searches for files.
    #[serde(default)]
    pub target_config: TargetSettings,
    /// What to read.
    #[serde(default)]
    pub scrape_configs: Vec<ScrapeSettings>,
    /// Where to send it.
    pub hub: HubSettings,
    /// Where to keep it meanwhile.
    pub wal: WalYaml,
    /// How it is packed.
    #[serde(default)]
    pub batch: BatchSettings,
    /// Known lines among the others.
    #[serde(default)]
    pub canary: CanaryYaml,
}

/// `server`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Serve no pages.
    pub disable: bool,
    /// Address of the pages.
    pub http_listen_address: String,
    /// Port of the pages; 0 = any.
    pub http_listen_port: u16,
    /// Promtail's gRPC port: nothing listens there.
    pub grpc_listen_port: Option<u16>,
    /// `debug`, `info`, `warn`, `error`.
    pub log_level: LogLevel,
    /// `/ready` depends on files having been searched for.
    pub health_check_target: bool,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            disable: false,
            http_listen_address: "0.0.0.0".to_owned(),
            http_listen_port: 80,
            grpc_listen_port: None,
            log_level: LogLevel::default(),
            health_check_target: true,
        }
    }
}

/// `positions`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionsSettings {
    /// Promtail's file.
    #[serde(default)]
    pub filename: Option<String>,
    /// How often Promtail writes it.
    #[serde(default)]
    pub sync_period: Option<Span>,
    /// What Promtail does about a bad one.
    #[serde(default)]
    pub ignore_invalid_yaml: Option<bool>,
}

/// `target_config`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TargetSettings {
    /// Between two searches for files.
    pub sync_period: Span,
}

impl Default for TargetSettings {
    fn default() -> Self {
        Self { sync_period: Span(Duration::from_secs(1)) }
    }
}

/// One of `scrape_configs`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrapeSettings {
    /// Its name, unique.
    pub job_name: Placed<String>,
    /// Its files.
    #[serde(default)]
    pub static_configs: Vec<StaticSettings>,
    /// Rules for its labels.
    #[serde(default)]
    pub relabel_configs: Vec<RelabelSettings>,
    /// What happens to its lines.
    #[serde(default)]
    pub pipeline_stages: Vec<StageSettings>,
    /// Promtail's `encoding`: UTF-8 bytes pass as they are.
    #[serde(default)]
    pub encoding: Option<Placed<String>>,
}

/// One of `static_configs`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticSettings {
    /// Ignored, as by Promtail.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Labels, `__path__` among them.
    pub labels: Placed<std::collections::BTreeMap<String, Placed<String>>>,
}

/// One url or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Urls {
    /// One.
    One(String),
    /// Several, tried in turn.
    Many(Vec<String>),
}

/// `hub`
#[derive(Debug, Deserialize)]
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

/// `wal`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalYaml {
    /// Its folder.
    pub dir: PathBuf,
    /// Bytes at most.
    #[serde(default)]
    pub max_bytes: Option<Placed<Bytes>>,
    /// Age at most; 0s = none.
    #[serde(default)]
    pub max_age: Span,
    /// `block` or `drop_oldest`.
    #[serde(default)]
    pub when_full: Option<Placed<String>>,
    /// Acked bytes kept for a hub that was rolled back.
    #[serde(default)]
    pub grace_bytes: Option<Bytes>,
    /// And for how long.
    #[serde(default)]
    pub grace_age: Option<Span>,
    /// How far a further sink may lag: accepted, the hub is the only sink yet.
    #[serde(default)]
    pub sink_max_lag: Option<String>,
}

/// `canary`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CanaryYaml {
    /// Between two lines; 0s = none.
    pub every: Option<Placed<Span>>,
}

/// `batch`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchSettings {
    /// Bytes of lines.
    pub max_bytes: Placed<Bytes>,
    /// Age of the oldest line.
    pub max_wait: Span,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self { max_bytes: Spanned::new(Bytes(1024 * 1024), serde_saphyr::Location::UNKNOWN, serde_saphyr::Location::UNKNOWN), max_wait: Span::from_secs(1) }
    }
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
    /// Said once at start: settings that are accepted and have no effect.
    pub remarks: Vec<String>,
}

/// Default of `hub.backlog_share`, per mille.
const BACKLOG_MILLE: u32 = 700;
/// Smallest WAL: a few files.
const WAL_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Largest batch: half of what the format unpacks.
const BATCH_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Size of one WAL file.
const WAL_FILE_BYTES: u64 = 64 * 1024 * 1024;

struct Checker<'f> {
    file: &'f str,
    mistakes: Vec<Mistake>,
    remarks: Vec<String>,
}

impl EdgeSettings {
    /// Checks and compiles; `host` is compared with `__host__`.
    ///
    /// # Errors
    /// All mistakes.
    pub fn prepare(&self, file: &str, host: &str) -> Result<Prepared, Vec<Mistake>> {
        let mut checker = Checker { file, mistakes: Vec::new(), remarks: Vec::new() };
        let jobs = checker.jobs(&self.scrape_configs, host);
        let targets = checker.targets(&self.hub);
        let transport = checker.word(
            self.hub.transport.as_ref(),
            "transport",
            &[("auto", TransportChoice::Auto), ("quic", TransportChoice::Quic), ("grpc", TransportChoice::Grpc)],
        );
        let packings = [("zstd", Compression::Zstd), ("snappy", Compression::Snappy), ("none", Compression::None)];
        let compression = checker.word(self.hub.compression.as_ref(), "compression", &packings);
        let bytes_max = checker.between(&self.batch.max_bytes, "batch.max_bytes", 1_024, BATCH_BYTES_MAX);
        let wal = checker.wal(&self.wal);
        let canary = checker.canary(&self.canary, host);
        let backlog_mille = checker.backlog_mille(self.hub.backlog_share.as_ref());
        checker.other(self);
        let (Checker { mistakes, remarks, .. }, Some(targets)) = (checker, targets) else { return Err(Vec::new()) };
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let gather = GatherSettings { bytes_max, wait_max: self.batch.max_wait.0, compression };
        Ok(Prepared { jobs, targets, transport, gather, canary, wal, backlog_mille, remarks })
    }
}

impl Checker<'_> {
    fn mistake<T>(&mut self, at: &Placed<T>, text: impl Into<String>, fix: impl Into<String>) {
        self.mistakes.push(Mistake::new(self.file, place(at), text, fix));
    }

    fn word<T: Copy>(&mut self, written: Option<&Placed<String>>, what: &str, known: &[(&str, T)]) -> T {
        let (_, default) = known[0];
        let Some(written) = written else { return default };
        let found = known.iter().find(|(word, _)| *word == written.value).map(|(_, value)| *value);
        found.unwrap_or_else(|| {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            self.mistake(written, format!("{what} {:?} is not known", written.value), format!("write one of {}", words.join(", ")));
            default
        })
    }

    fn between(&mut self, written: &Placed<Bytes>, what: &str, least: u64, most: u64) -> u64 {
        let bytes = written.value.0;
        if !(least..=most).contains(&bytes) {
            self.mistake(written, format!("{what} is {bytes} bytes"), format!("write {least} to {most} bytes"));
        }
        bytes
    }

    fn targets(&mut self, hub: &HubSettings) -> Option<Targets> {
        let urls = match &hub.url.value {
            Urls::One(url) => std::slice::from_ref(url),
            Urls::Many(urls) => urls.as_slice(),
        };
        match Targets::parse(urls, &hub.server_name, &hub.proxy_url) {
            Ok(targets) => Some(targets),
            Err(fault) => {
                self.mistake(&hub.url, fault.to_string(), "write https://HOST:PORT");
                Targets::parse(&["https://localhost:9443".to_owned()], "", "").ok()
            }
        }
    }

    fn wal(&mut self, wal: &WalYaml) -> WalSettings {
        let max_bytes = wal.max_bytes.as_ref().map_or(10 << 30, |written| self.between(written, "wal.max_bytes", WAL_BYTES_MIN, u64::MAX / 2));
        let when_full = self.word(wal.when_full.as_ref(), "when_full", &[("block", WhenFull::Block), ("drop_oldest", WhenFull::DropOldest)]);
        WalSettings {
            dir: wal.dir.clone(),
            max_bytes,
            max_age: wal.max_age.0,
            when_full,
            grace_bytes: wal.grace_bytes.map_or(1 << 30, |bytes| bytes.0).min(max_bytes / 4),
            grace_age: wal.grace_age.map_or(Duration::from_secs(3_600), |age| age.0),
            file_bytes: WAL_FILE_BYTES.min(max_bytes / 8),
        }
    }

    fn canary(&mut self, canary: &CanaryYaml, host: &str) -> Option<CanaryParts> {
        let written = canary.every.as_ref().filter(|written| !written.value.0.is_zero())?;
        if written.value.0 < EVERY_MIN {
            self.mistake(written, "canary.every is shorter than 100ms", "write 0s for none, or 10s or so");
        }
        Some(CanaryParts { every: written.value.0, edge: host.to_owned() })
    }

    fn backlog_mille(&mut self, written: Option<&Placed<f64>>) -> u32 {
        let Some(written) = written else { return BACKLOG_MILLE };
        let most = f64::from(SHARE_MILLE_MAX) / 1_000.0;
        if !(0.0..=most).contains(&written.value) {
            self.mistake(written, format!("hub.backlog_share is {}", written.value), format!("write 0 to {most}"));
            return BACKLOG_MILLE;
        }
        (0..=SHARE_MILLE_MAX).find(|mille| f64::from(*mille) >= written.value * 1_000.0 - 0.5).unwrap_or(SHARE_MILLE_MAX)
    }

    fn other(&mut self, settings: &EdgeSettings) {
        for clients in [&settings.clients, &settings.client].into_iter().flatten() {
            let fix = "take the key out and say under `hub` where to send; an edge beside the old agent can push to Loki until then";
            self.mistake(clients, "pushing to Loki is not supported yet", fix);
        }
        if let Some(token) = settings.hub.enrol_token_file.as_ref().filter(|token| !token.value.is_empty()) {
            self.mistake(token, "enrolment by token is not supported yet", "issue the edge a certificate with tributary-certs issue edge");
        }
        if settings.wal.sink_max_lag.is_some() {
            self.remarks.push("wal.sink_max_lag has no effect yet: there is one sink".to_owned());
        }
        if settings.positions.is_some() {
            self.remarks.push("positions lie in the WAL: the key `positions` has no effect".to_owned());
        }
    }

    fn jobs(&mut self, scrapes: &[ScrapeSettings], host: &str) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        for scrape in scrapes {
            if jobs.iter().any(|job| job.name == scrape.job_name.value) {
                self.mistake(&scrape.job_name, format!("job {:?} is there twice", scrape.job_name.value), "give each job a name of its own");
            }
            if scrape.static_configs.is_empty() {
                self.mistake(&scrape.job_name, format!("job {:?} names no files", scrape.job_name.value), "add static_configs with a label __path__");
            }
            if let Some(encoding) = scrape.encoding.as_ref().filter(|encoding| !encoding.value.eq_ignore_ascii_case("utf-8")) {
                self.mistake(
                    encoding,
                    format!("encoding {:?} is not supported yet", encoding.value),
                    "convert the files to utf-8, or take the key out to keep their bytes",
                );
            }
            let file = self.file;
            let own = |found: Vec<edge_pipeline::Mistake>| found.into_iter().map(move |m| Mistake::new(file, (m.line as u64, m.column as u64), m.text, m.fix));
            let relabel = Relabeling::compile(&scrape.relabel_configs).map_err(|found| self.mistakes.extend(own(found)));
            let program = Program::compile(&scrape.pipeline_stages).map_err(|found| self.mistakes.extend(own(found)));
            let (Ok(relabel), Ok(program)) = (relabel, program) else { continue };
            let targets = scrape.static_configs.iter().filter_map(|written| self.target(written, &relabel, host)).collect();
            jobs.push(Job { name: scrape.job_name.value.clone(), targets, program, reading: Reading::default() });
        }
        jobs
    }

    fn target(&mut self, written: &StaticSettings, relabel: &Relabeling, host: &str) -> Option<crate::discover::Target> {
        for name in written.labels.value.keys().filter(|name| !is_label_name(name)) {
            let at = &written.labels.value[name];
            self.mistake(at, format!("{name:?} is no label name"), "use letters, digits and _, not beginning with a digit");
        }
        let labels = Labels::from_pairs(written.labels.value.iter().map(|(name, value)| (name.as_str(), value.value.as_str())));
        match relabel_target(labels, relabel, host) {
            Relabelled::Kept(target) => Some(*target),
            Relabelled::Dropped => None,
            Relabelled::Unusable(why) => {
                let at = written.labels.value.get("__path__").map(place).unwrap_or_else(|| place(&written.labels));
                self.mistakes.push(Mistake::new(self.file, at, why, "give an absolute glob such as /var/log/app/*.log in the label __path__"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
