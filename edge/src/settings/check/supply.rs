//! Where lines are kept and sent: `hub`, `clients`, `wal`, `batch`, `canary`, `positions`, `limits_config`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edge_wal::{WalSettings, WhenFull};
use proto_boot::Bytes;
use proto_boot::settings::place;
use proto_link::{Targets, TransportChoice};
use proto_model::Labels;
use proto_wire::Compression;

use super::super::hub::Urls;
use super::super::labels::LabelsYaml;
use super::super::top::{BudgetYaml, LimitsYaml, POSITIONS_FILE, PositionsSettings};
use super::super::{BatchSettings, CanaryYaml, ClientSettings, EdgeSettings, HubSettings, Placed, Purpose, WalYaml};
use super::Checker;
use crate::canary::{CanaryParts, EVERY_MIN};
use crate::gather::GatherSettings;
use crate::import::{ImportPlan, WhenDoubtful};
use crate::limit::LimitSettings;
use crate::limit::budget::Budget;
use crate::ship::share::SHARE_MILLE_MAX;
use crate::sink::{Target, Unfit};

/// Default of `hub.backlog_share`, per mille.
const BACKLOG_MILLE: u32 = 700;
/// Smallest WAL: a few files.
const WAL_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Largest batch: half of what the format unpacks.
const BATCH_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Default of `wal.sink_max_lag`.
const SINK_LAG_PERCENT: u64 = 25;
/// Its most: beyond, one stuck client could fill the WAL.
const SINK_LAG_PERCENT_MAX: u64 = 75;
/// Size of one WAL file.
const WAL_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Name of the WAL's folder beside Promtail's positions file.
const WAL_DIR: &str = "tributary-wal";
/// Folders that a restart empties: Promtail's positions often lie there, since they are cheap to lose.
const PASSING: [&str; 4] = ["/run", "/var/run", "/tmp", "/dev/shm"];

/// What of [`Prepared`](super::Prepared) is not jobs.
pub(super) struct Supply {
    pub(super) targets: Targets,
    pub(super) transport: TransportChoice,
    pub(super) gather: GatherSettings,
    pub(super) canary: Option<CanaryParts>,
    pub(super) wal: WalSettings,
    pub(super) backlog_mille: u32,
    pub(super) clients: Vec<Target>,
    pub(super) sink_lag_max: u64,
    pub(super) external_labels: Labels,
    pub(super) import: ImportPlan,
}

impl Checker<'_> {
    pub(super) fn supply(&mut self, settings: &EdgeSettings, purpose: Purpose, host: &str) -> Option<Supply> {
        let hub = settings.hub.as_ref().map(|hub| &hub.value);
        let targets = self.targets(hub);
        let transport = self.word(
            hub.and_then(|hub| hub.transport.as_ref()),
            "transport",
            &[("auto", TransportChoice::Auto), ("quic", TransportChoice::Quic), ("grpc", TransportChoice::Grpc)],
        );
        let packings = [("zstd", Compression::Zstd), ("snappy", Compression::Snappy), ("none", Compression::None)];
        let compression = self.word(hub.and_then(|hub| hub.compression.as_ref()), "compression", &packings);
        let positions = settings.positions.filename.as_ref().map_or_else(|| PathBuf::from(POSITIONS_FILE), |written| written.value.clone());
        let told = purpose == Purpose::Run && (hub.is_some() || !settings.target_config.stdin);
        let wal = self.wal(&settings.wal, &positions, told, hub.is_some());
        let sink_lag_max = self.sink_lag_max(settings.wal.sink_max_lag.as_ref(), wal.max_bytes);
        let import = self.import(&settings.positions, positions);
        let canary = self.canary(&settings.canary, host);
        let backlog_mille = self.backlog_mille(hub.and_then(|hub| hub.backlog_share.as_ref()));
        if let Some(token) = hub.and_then(|hub| hub.enrol_token_file.as_ref()).filter(|token| !token.value.is_empty()) {
            self.mistake(token, "enrolment by token is not supported yet", "issue the edge a certificate with tributary-certs issue edge");
        }
        let gather = self.gather(&settings.batch, compression);
        let clients = self.clients(settings, purpose);
        let external_labels = settings.client.as_ref().map(|client| client.external_labels.labels()).unwrap_or_default();
        Some(Supply { targets: targets?, transport, gather, canary, wal, backlog_mille, clients, sink_lag_max, external_labels, import })
    }

    fn gather(&mut self, batch: &BatchSettings, compression: Compression) -> GatherSettings {
        let bytes_max = self.between(&batch.max_bytes, "batch.max_bytes", 1_024, BATCH_BYTES_MAX);
        GatherSettings { bytes_max, wait_max: batch.max_wait.0, compression }
    }

    fn targets(&mut self, hub: Option<&HubSettings>) -> Option<Targets> {
        let nowhere = || Targets::parse(&["https://localhost:9443".to_owned()], "", "").ok();
        let Some(hub) = hub else { return nowhere() };
        let urls = match &hub.url.value {
            Urls::One(url) => std::slice::from_ref(url),
            Urls::Many(urls) => urls.as_slice(),
        };
        match Targets::parse(urls, &hub.server_name, &hub.proxy_url) {
            Ok(targets) => Some(targets),
            Err(fault) => {
                self.mistake(&hub.url, fault.to_string(), "write https://HOST:PORT");
                nowhere()
            }
        }
    }

    fn wal(&mut self, wal: &WalYaml, positions: &Path, told: bool, has_hub: bool) -> WalSettings {
        let max_bytes = wal.max_bytes.as_ref().map_or(10 << 30, |written| self.between(written, "wal.max_bytes", WAL_BYTES_MIN, u64::MAX / 2));
        let when_full = self.word(wal.when_full.as_ref(), "when_full", &[("block", WhenFull::Block), ("drop_oldest", WhenFull::DropOldest)]);
        let beside = positions.parent().unwrap_or(Path::new("/var/log")).join(WAL_DIR);
        let dir = wal.dir.as_ref().map_or_else(|| beside.clone(), |dir| dir.value.clone());
        if wal.dir.is_none() && told {
            let place = format!("the WAL lies in {}, beside Promtail's positions", beside.display());
            if PASSING.iter().any(|folder| beside.starts_with(folder)) {
                let text = format!("{place}: a folder that most systems empty at a restart, or keep in memory; lines that wait there are gone then");
                self.remark((0, 0), text, "write wal.dir: a folder on the disk, in Kubernetes a hostPath below /var/lib");
            } else {
                self.remark((0, 0), place, "write wal.dir to have it elsewhere");
            }
        }
        WalSettings {
            dir,
            max_bytes,
            max_age: wal.max_age.0,
            when_full,
            // The grace is for a hub that was rolled back.
            grace_bytes: if has_hub { wal.grace_bytes.map_or(1 << 30, |bytes| bytes.0).min(max_bytes / 4) } else { 0 },
            grace_age: wal.grace_age.map_or(Duration::from_secs(3_600), |age| age.0),
            file_bytes: WAL_FILE_BYTES.min(max_bytes / 8),
        }
    }

    fn import(&mut self, positions: &PositionsSettings, file: PathBuf) -> ImportPlan {
        let ways = [("stop", WhenDoubtful::Stop), ("start", WhenDoubtful::Start), ("end", WhenDoubtful::End), ("time", WhenDoubtful::Time)];
        let when_doubtful = self.word(positions.when_doubtful.as_ref(), "positions.when_doubtful", &ways);
        ImportPlan {
            files: std::iter::once(file).chain(positions.legacy.iter().cloned()).collect(),
            ignore_invalid: positions.ignore_invalid_yaml,
            when_doubtful,
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

    /// `wal.sink_max_lag` in bytes.
    fn sink_lag_max(&mut self, written: Option<&Placed<String>>, max_bytes: u64) -> u64 {
        let Some(written) = written else { return max_bytes / 100 * SINK_LAG_PERCENT };
        let text = written.value.trim();
        let bytes = match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse::<u64>().ok().filter(|percent| *percent <= 100).map(|percent| max_bytes / 100 * percent),
            None => text.parse::<Bytes>().ok().map(|bytes| bytes.0),
        };
        let most = max_bytes / 100 * SINK_LAG_PERCENT_MAX;
        bytes.filter(|bytes| (1..=most).contains(bytes)).unwrap_or_else(|| {
            let fix = format!("write 1% to {SINK_LAG_PERCENT_MAX}%, or so many bytes: the rest is for what nobody has yet");
            self.mistake(written, format!("wal.sink_max_lag {text:?} cannot be"), fix);
            most
        })
    }

    /// The clients, that of the old key among them; two of one name are a mistake, as in Promtail.
    fn clients(&mut self, settings: &EdgeSettings, purpose: Purpose) -> Vec<Target> {
        let old = settings.client.iter().filter(|client| !client.url.value.is_empty());
        for client in settings.client.iter().filter(|client| client.url.value.is_empty()) {
            self.label_names(&client.external_labels);
        }
        let mut targets: Vec<Target> = Vec::new();
        let mut written = 0;
        for client in settings.clients.iter().chain(old) {
            written += 1;
            let Some(target) = self.client(client) else { continue };
            if targets.iter().any(|earlier| earlier.name == target.name) {
                self.mistake(&client.url, "this client is there twice", "take one out, or give each a name of its own");
            }
            targets.push(target);
        }
        if purpose == Purpose::Run && settings.hub.is_none() && written == 0 {
            self.mistake_at((1, 1), "missing key \"hub\": nothing says where to send", "add hub with url, ca_file and identity_dir, or clients with a url");
        }
        targets
    }

    fn client(&mut self, client: &ClientSettings) -> Option<Target> {
        self.label_names(&client.external_labels);
        if let Some(old) = &client.stream_lag_labels {
            self.remark(place(old), "clients.stream_lag_labels has no effect: Promtail has removed it", "take the key out to be rid of this warning");
        }
        Target::new(client).map_err(|Unfit { text, fix }| self.mistake(&client.url, text, fix)).ok()
    }

    pub(super) fn label_names(&mut self, labels: &LabelsYaml) {
        for (name, at) in labels.0.iter().filter(|(name, _)| !proto_model::labels::is_label_name(name)) {
            self.mistake(at, format!("{name:?} is no label name"), "use letters, digits and _, not beginning with a digit");
        }
    }

    pub(super) fn limits(&mut self, limits: &LimitsYaml) -> LimitSettings {
        let rate = limits.readline_rate.value;
        if limits.readline_rate_enabled && (!rate.is_finite() || rate <= 0.0) {
            self.mistake(&limits.readline_rate, format!("limits_config.readline_rate is {rate}"), "write lines per second, more than 0");
        }
        if limits.readline_rate_enabled && limits.readline_burst.value == 0 {
            self.mistake(&limits.readline_burst, "limits_config.readline_burst is 0", "write as many lines as may come at once, at least 1");
        }
        let Bytes(line_bytes_max) = limits.max_line_size;
        LimitSettings {
            rate: limits.readline_rate_enabled.then_some((rate, limits.readline_burst.value)),
            drop: limits.readline_rate_drop,
            streams_max: limits.max_streams,
            line_bytes_max,
            truncate: limits.max_line_size_truncate,
            budgets: Arc::new(limits.tenant_budgets.iter().map(|(name, written)| (name.clone(), self.budget(written))).collect()),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is far below 2^52 bytes")]
    fn budget(&mut self, written: &BudgetYaml) -> Budget {
        let Bytes(rate) = written.bytes_rate.value;
        if rate == 0 {
            self.mistake(&written.bytes_rate, "a tenant's bytes_rate is 0", "write bytes per second, such as 1MiB, or take the tenant out");
        }
        let burst = written.bytes_burst.as_ref().map_or(rate.saturating_mul(10), |burst| burst.value.0);
        if let Some(at) = written.bytes_burst.as_ref().filter(|_| burst == 0) {
            self.mistake(at, "a tenant's bytes_burst is 0", "write how many bytes may come at once, such as 4MiB");
        }
        Budget { bytes_rate: rate.max(1) as f64, bytes_burst: burst.max(1), drop: written.drop }
    }
}
