//! `hub.yaml` (`docs/contract.md`): the file, then `TRIBUTARY_HUB_A_B`, then `--a.b`.
//!
//! Parts: [`HubSettings`] as written, [`HubSettings::check`] (what only meaning can tell). Promises: unknown
//! and duplicate keys are mistakes; all mistakes come together. Must not do: open sockets or stores.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use certs::TrustDomain;
use hub_store::S3Settings;
use hub_tenant::{Limits, LimitsPatch};
use hub_upkeep::UpkeepSettings;
use proto_boot::settings::place;
use proto_boot::telemetry::LogSettings;
use proto_boot::{Bytes, Mistake, Span};
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::canary::CanarySettings;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSettings {
    /// What this hub is called where it writes; no two hubs of one store have one name. Default: host name and link port.
    #[serde(default)]
    pub name: Option<Spanned<String>>,
    /// The query API.
    #[serde(default)]
    pub http: HttpSettings,
    /// The admin API.
    #[serde(default)]
    pub admin: AdminSettings,
    /// Where edges come in.
    pub link: LinkSettings,
    /// `file:///path` or `s3://bucket/prefix`.
    pub store: Spanned<String>,
    /// How to reach S3.
    #[serde(default)]
    pub s3: S3Settings,
    /// Keys that sign what is stored; empty = none.
    #[serde(default)]
    pub store_key_file: Option<PathBuf>,
    /// The tenant map.
    pub tenants: TenantSource,
    /// What this hub does.
    #[serde(default)]
    pub roles: Option<Spanned<Vec<String>>>,
    /// Lane objects.
    #[serde(default)]
    pub lane: LaneSettings,
    /// When lane objects become segments.
    #[serde(default)]
    pub absorb: AbsorbSettings,
    /// The cache of what was read.
    #[serde(default)]
    pub cache: CacheSettings,
    /// Reading the edges' canary lines back.
    #[serde(default)]
    pub canary: CanaryYaml,
    /// Limits of tenants that set none.
    #[serde(default)]
    pub limits: LimitsPatch,
    /// The log.
    #[serde(default)]
    pub log: LogSettings,
}

/// `http`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Address and port.
    pub listen: Spanned<String>,
    /// Path before all routes.
    pub path_prefix: String,
    /// Certificate and key; none = plain HTTP.
    pub tls: HttpTlsSettings,
}

/// `http.tls`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpTlsSettings {
    /// Certificate chain, PEM.
    pub cert_file: PathBuf,
    /// Key, PEM.
    pub key_file: PathBuf,
}

/// `admin`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// Address and port.
    pub listen: Spanned<String>,
}

/// `link`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSettings {
    /// Address and port, UDP and TCP.
    #[serde(default = "link_listen")]
    pub listen: Spanned<String>,
    /// Serve QUIC.
    #[serde(default = "yes")]
    pub quic: bool,
    /// Serve gRPC.
    #[serde(default = "yes")]
    pub grpc: bool,
    /// The hub's certificate chain.
    pub cert_file: Spanned<PathBuf>,
    /// Its key.
    pub key_file: Spanned<PathBuf>,
    /// Who may vouch for edges.
    pub client_ca_file: Spanned<PathBuf>,
    /// Of all identities.
    pub trust_domain: Spanned<String>,
}

/// `tenants`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSource {
    /// The file.
    pub file: Spanned<PathBuf>,
}

/// `lane`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LaneSettings {
    /// Longest wait of a batch for others.
    pub linger: Spanned<Span>,
    /// Bodies of one object.
    pub object_max: Spanned<Bytes>,
    /// How long absorbed objects stay.
    pub keep: Span,
}

/// `absorb`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AbsorbSettings {
    /// Bytes of lines of a tenant in a lane that are absorbed at once.
    pub bytes: Spanned<Bytes>,
    /// How long less than that waits.
    pub after: Span,
    /// How long very little waits.
    pub after_small: Span,
}

/// `cache`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSettings {
    /// Bytes in memory.
    pub memory: Bytes,
    /// Folder of a cache on disk: not used yet.
    pub dir: String,
    /// Bytes on disk.
    pub disk: Bytes,
}

/// `canary`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CanaryYaml {
    /// Between two looks; 0s = none.
    pub every: Spanned<Span>,
    /// A line is missing so long after a later one was seen.
    pub wait: Spanned<Span>,
}

fn unplaced<T>(value: T) -> Spanned<T> {
    Spanned::new(value, serde_saphyr::Location::UNKNOWN, serde_saphyr::Location::UNKNOWN)
}

fn link_listen() -> Spanned<String> {
    unplaced("0.0.0.0:9443".to_owned())
}

const fn yes() -> bool {
    true
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { listen: unplaced("0.0.0.0:3100".to_owned()), path_prefix: String::new(), tls: HttpTlsSettings::default() }
    }
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { listen: unplaced("127.0.0.1:3101".to_owned()) }
    }
}

impl Default for LaneSettings {
    fn default() -> Self {
        Self { linger: unplaced(Span(Duration::from_millis(200))), object_max: unplaced(Bytes(8 << 20)), keep: Span::from_secs(24 * 3_600) }
    }
}

impl Default for CanaryYaml {
    fn default() -> Self {
        Self { every: unplaced(Span(Duration::ZERO)), wait: unplaced(Span::from_secs(60)) }
    }
}

impl Default for AbsorbSettings {
    fn default() -> Self {
        Self { bytes: unplaced(Bytes(64 << 20)), after: Span::from_secs(60), after_small: Span::from_secs(300) }
    }
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { memory: Bytes(128 << 20), dir: String::new(), disk: Bytes(0) }
    }
}

/// What the settings mean.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Address of the query API.
    pub http: SocketAddr,
    /// Path before its routes, empty or beginning with `/`.
    pub path_prefix: String,
    /// Address of the admin API.
    pub admin: SocketAddr,
    /// Address of the link.
    pub link: SocketAddr,
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// Limits of tenants that set none.
    pub limits: Limits,
    /// Reading canary lines back; `None` = not at all.
    pub canary: Option<CanarySettings>,
}

/// Longest linger: an edge waits for its ack so long.
const LINGER_MAX: Duration = Duration::from_secs(10);
/// Looking for canary lines more often is load.
const CANARY_EVERY_MIN: Duration = Duration::from_millis(100);
/// Shortest and longest wait for a canary line.
const CANARY_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(6 * 3_600));
/// Least that is worth a job of absorption.
const ABSORB_BYTES_MIN: u64 = 64 << 10;
/// Smallest and largest lane object.
const OBJECT_BYTES: (u64, u64) = (64 << 10, 32 << 20);

/// Longest name of a hub.
const NAME_BYTES_MAX: usize = 253;

impl HubSettings {
    /// Settings that are accepted and have no effect yet, to be told once at start.
    pub fn without_effect(&self) -> impl Iterator<Item = &'static str> {
        let cache = (!self.cache.dir.is_empty() || self.cache.disk.0 > 0).then_some("cache.dir, cache.disk: the cache lies in memory alone");
        cache.into_iter()
    }

    /// Whether this hub has a role; without `roles` it has all.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.as_ref().is_none_or(|roles| roles.value.iter().any(|given| given == role))
    }

    /// When absorption and collection do what.
    #[must_use]
    pub fn upkeep(&self) -> UpkeepSettings {
        UpkeepSettings {
            absorb_bytes: self.absorb.bytes.value.0,
            absorb_after: self.absorb.after.0,
            absorb_after_small: self.absorb.after_small.0,
            lane_keep: self.lane.keep.0,
            ..UpkeepSettings::default()
        }
    }

    /// Checks what only meaning can tell.
    ///
    /// # Errors
    /// All mistakes.
    pub fn check(&self, file: &str) -> Result<Checked, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut wrong = |at: (u64, u64), text: String, fix: &str| mistakes.push(Mistake::new(file, at, text, fix));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut address = |written: &Spanned<String>| {
            written.value.parse::<SocketAddr>().unwrap_or_else(|_| {
                wrong(place(written), format!("listen {:?} is no address", written.value), "write IP:PORT, such as 0.0.0.0:3100");
                nowhere
            })
        };
        let (http, admin, link) = (address(&self.http.listen), address(&self.admin.listen), address(&self.link.listen));
        if !self.store.value.starts_with("file:///") && !self.store.value.starts_with("s3://") {
            wrong(place(&self.store), format!("store {:?} is not known", self.store.value), "write file:///path or s3://bucket/prefix");
        }
        let trust_domain = TrustDomain::new(&self.link.trust_domain.value)
            .map_err(|fault| wrong(place(&self.link.trust_domain), fault.to_string(), "write a name like logs.example.org"));
        if self.lane.linger.value.0 > LINGER_MAX {
            wrong(place(&self.lane.linger), "lane.linger is longer than 10s".to_owned(), "write a shorter one; 200ms is the default");
        }
        if !(OBJECT_BYTES.0..=OBJECT_BYTES.1).contains(&self.lane.object_max.value.0) {
            wrong(place(&self.lane.object_max), "lane.object_max is out of range".to_owned(), "write 64KiB to 32MiB; 8MiB is the default");
        }
        if self.absorb.bytes.value.0 < ABSORB_BYTES_MIN {
            wrong(place(&self.absorb.bytes), "absorb.bytes is less than 64KiB".to_owned(), "write more; 64MiB is the default");
        }
        if let Some(name) =
            self.name.as_ref().filter(|name| name.value.is_empty() || name.value.len() > NAME_BYTES_MAX || name.value.contains(char::is_control))
        {
            wrong(place(name), "name is empty, too long or not printable".to_owned(), "write a name that no other hub of this store has");
        }
        for role in self.roles.iter().flat_map(|roles| roles.value.iter().map(move |role| (roles, role))) {
            if !["ingest", "query", "upkeep"].contains(&role.1.as_str()) {
                wrong(place(role.0), format!("role {:?} is not known", role.1), "write a list of ingest, query, upkeep");
            }
        }
        let (every, wait) = (self.canary.every.value.0, self.canary.wait.value.0);
        if !every.is_zero() && every < CANARY_EVERY_MIN {
            wrong(place(&self.canary.every), "canary.every is shorter than 100ms".to_owned(), "write 0s for none, or 10s or so");
        }
        if !(CANARY_WAIT.0..=CANARY_WAIT.1).contains(&wait) {
            wrong(place(&self.canary.wait), "canary.wait is out of range".to_owned(), "write 1s to 6h; 60s is the default");
        }
        let canary = (!every.is_zero()).then_some(CanarySettings { every, wait });
        if self.http.tls.cert_file.as_os_str().is_empty() != self.http.tls.key_file.as_os_str().is_empty() {
            wrong(place(&self.http.listen), "http.tls has a certificate or a key, not both".to_owned(), "give cert_file and key_file, or neither");
        }
        let prefix = self.http.path_prefix.trim_end_matches('/').to_owned();
        if !prefix.is_empty() && (!prefix.starts_with('/') || prefix.contains(['{', '}', '%', '?', '#', '*'])) {
            wrong(place(&self.http.listen), format!("http.path_prefix {prefix:?} is no path"), "write /path or leave it out");
        }
        match (trust_domain, mistakes.is_empty()) {
            (Ok(trust_domain), true) => {
                Ok(Checked { http, path_prefix: prefix, admin, link, trust_domain, limits: Limits::default().with(&self.limits), canary })
            }
            _ => Err(mistakes),
        }
    }
}
