//! The software of simulated hosts: the real edge and the real hub, put together as their `main.rs` do.
//!
//! Parts: [`EdgeHost`] with its disk, [`HubHost`]; what both share with the driver. Promises: everything they touch of
//! the outside comes from a seed. Must not do: fail on purpose; faults come from disk, store, network and driver.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge::EdgeParts;
use edge::settings::{EdgeSettings, Prepared};
use edge::status::Status;
use hub_ingest::metrics::IngestMetrics;
use hub_ingest::{Ingest, IngestParts};
use hub_logql::Expr;
use hub_query::{Direction, Engine, Limits, LogRequest, QueryMetrics};
use hub_store::{Store, StoreSettings};
use hub_tenant::Tenants;
use object_store::path::Path as ObjectPath;
use proto_boot::Metrics;
use proto_model::{ClusterId, TenantId, TimeRange, Timestamp};
use proto_seam::{Entropy, World};
use tests::disk::SimDisk;
use tests::invariants::Answered;
use tests::net::Weather;
use tests::objects::Bucket;
use tests::quic::{self, HUB_NAME, Identities, PORT};
use tests::world::{Machine, START_NS, Trace, Wall, world_of};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What every host of a simulation shares.
#[derive(Clone)]
pub struct Ground {
    pub entropy: Entropy,
    pub trace: Trace,
    pub weather: Weather,
    pub bucket: Arc<Bucket>,
    pub tenants: Arc<str>,
    /// The generators that hosts were started with, for the test of determinism.
    pub worlds: Arc<Mutex<Vec<Entropy>>>,
}

/// Size and pace of an edge.
#[derive(Debug, Clone)]
pub struct EdgeShape {
    pub wal_bytes_max: u64,
    pub batch_bytes: u64,
    pub batch_wait_ms: u64,
    /// Lines are CRI and bring their time.
    pub timed: bool,
    pub sources: usize,
}

pub struct EdgeHost {
    pub name: String,
    pub cluster: &'static str,
    pub edge: &'static str,
    pub tenant: &'static str,
    pub shape: EdgeShape,
    pub hubs: Vec<String>,
    /// With everything of its own; fails.
    pub disk: SimDisk,
    /// With the sources; sound.
    pub sources: SimDisk,
    pub wall: Wall,
    pub boots: AtomicU64,
    pub status: Mutex<Option<Status>>,
    pub ground: Ground,
}

/// Where an edge's WAL lies.
pub const WAL_DIR: &str = "/wal";
/// Where its files lie.
pub const LOG_DIR: &str = "/logs";

impl EdgeHost {
    fn settings(&self) -> String {
        let urls: Vec<String> = self.hubs.iter().map(|hub| format!("https://{hub}:{PORT}")).collect();
        let stages = if self.shape.timed { "[{cri: {}}, {labeldrop: [filename, stream]}]" } else { "[{labeldrop: [filename]}]" };
        let jobs: String = (0..self.shape.sources)
            .map(|at| {
                format!(
                    "- job_name: app-{at}\n  pipeline_stages: {stages}\n  static_configs: [{{labels: {{app: app-{at}, edge: {}, __path__: '{LOG_DIR}/app-{at}.log*'}}}}]\n",
                    self.edge
                )
            })
            .collect();
        format!(
            "server: {{disable: true}}\nhub: {{url: [{}], ca_file: /tls/ca.crt, identity_dir: /tls, server_name: {HUB_NAME}}}\n\
             wal: {{dir: {WAL_DIR}}}\nbatch: {{max_bytes: {}, max_wait: {}ms}}\nscrape_configs:\n{jobs}",
            urls.join(", "),
            self.shape.batch_bytes,
            self.shape.batch_wait_ms
        )
    }

    fn machine(&self) -> Machine {
        Machine { sources_dir: LOG_DIR.into(), sources: Arc::new(self.sources.clone()), own: Arc::new(self.disk.clone()) }
    }

    fn prepared(&self) -> Prepared {
        let (parsed, mistakes) = proto_boot::settings::parse_all::<EdgeSettings>("edge.yaml", &self.settings());
        assert!(mistakes.is_empty(), "{mistakes:?}\n{}", self.settings());
        let mut prepared = parsed.unwrap().prepare("edge.yaml", "sim").unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        // Below what the settings allow, so that few lines fill it.
        prepared.wal.max_bytes = self.shape.wal_bytes_max;
        prepared.wal.file_bytes = self.shape.wal_bytes_max / 8;
        prepared.wal.grace_bytes = self.shape.wal_bytes_max / 8;
        prepared
    }

    /// The edge, from start to crash.
    pub async fn run(self: Arc<Self>) -> turmoil::Result {
        let boot = self.boots.fetch_add(1, Ordering::Relaxed);
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        let entropy = self.ground.entropy.fork(&format!("{} boot {boot}", self.name));
        self.ground.worlds.lock().unwrap().push(entropy.clone());
        let world = world_of(&self.wall, elapsed, entropy, Arc::new(self.machine()));
        let dial = quic::client(self.cluster, self.edge, self.ground.weather.clone(), &world).await;
        let stop = CancellationToken::new();
        loop {
            let status = Status::default();
            *self.status.lock().unwrap() = Some(status.clone());
            let parts = EdgeParts {
                prepared: self.prepared(),
                discover_every: Duration::from_secs(1),
                bandwidth: 0,
                dial: Arc::clone(&dial),
                metrics: Metrics::new(),
                status,
                world: world.clone(),
            };
            match edge::run(parts, &stop).await {
                Ok(mut edge) => {
                    let why = edge.failed().await.unwrap_or_else(|| "a task ended".to_owned());
                    return Err(format!("{}: {why}", self.name).into());
                }
                // As a supervisor would: again after a while.
                Err(fault) => {
                    self.ground.trace.note(&format!("{} does not start: {fault}", self.name));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// A file of source `at`.
    pub fn log(at: usize, rotated: Option<usize>) -> PathBuf {
        let name = rotated.map_or_else(|| format!("app-{at}.log"), |number| format!("app-{at}.log.{number}"));
        Path::new(LOG_DIR).join(name)
    }
}

/// What a hub was asked and answered.
pub struct Answer {
    pub hub: String,
    pub asked: u64,
    pub tenant: String,
    pub streams: Result<Vec<Answered>, String>,
}

pub struct HubHost {
    pub name: String,
    pub linger: Duration,
    pub wall: Wall,
    pub boots: AtomicU64,
    /// Raised to ask for all lines of all tenants.
    pub ask: watch::Sender<u64>,
    pub answers: Arc<Mutex<Vec<Answer>>>,
    pub ground: Ground,
}

impl HubHost {
    /// The hub, from start to crash.
    pub async fn run(self: Arc<Self>) -> turmoil::Result {
        let boot = self.boots.fetch_add(1, Ordering::Relaxed);
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        let entropy = self.ground.entropy.fork(&format!("{} boot {boot}", self.name));
        self.ground.worlds.lock().unwrap().push(entropy.clone());
        let world = world_of(&self.wall, elapsed, entropy.clone(), Arc::new(SimDisk::new(&entropy)));
        let tenants = Tenants::parse("tenants.yaml", &self.ground.tenants).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let store = self.open(&world, &tenants).await;
        let listener = quic::server(self.ground.weather.clone(), &world).await;
        let (force, in_force) = watch::channel(Arc::new(tenants));
        let stop = CancellationToken::new();
        let parts = IngestParts {
            store: Arc::clone(&store),
            tenants: in_force,
            revoked: tokio::sync::watch::channel(Default::default()).1,
            listeners: vec![listener],
            trust_domain: Identities::shared().trust_domain.clone(),
            linger: self.linger,
            object_bytes_max: 256 * 1024,
            metrics: IngestMetrics::new(&Metrics::new()),
            world: world.clone(),
        };
        let (_ingest, mut tasks) = Ingest::start(parts, &stop);
        let following = Arc::clone(&store);
        tasks.spawn(async move { following.run(stop).await });
        let engine = Engine::new(store, world, QueryMetrics::default());
        let mut asked = self.ask.subscribe();
        // What was asked of an earlier life is not answered.
        asked.mark_unchanged();
        let mut answering = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(ended) = tasks.join_next() => {
                    let why = ended.err().map_or_else(|| "a task ended".to_owned(), |failed| failed.to_string());
                    return Err(format!("{}: {why}", self.name).into());
                }
                Some(ended) = answering.join_next(), if !answering.is_empty() => ended?,
                Ok(()) = asked.changed() => {
                    asked.mark_unchanged();
                    let (host, engine, tenants, number) = (Arc::clone(&self), engine.clone(), Arc::clone(&force.borrow()), *asked.borrow());
                    answering.spawn(async move { host.answer(&engine, &tenants, number).await });
                }
            }
        }
    }

    async fn open(&self, world: &World, tenants: &Tenants) -> Arc<Store> {
        loop {
            let settings = StoreSettings { writer: self.name.clone(), ..StoreSettings::new(self.ground.bucket.door(&self.name), ObjectPath::default()) };
            let opened = async {
                let store = Store::open(settings, world.clone()).await?;
                store.tenant_maps().publish(tenants.version(), self.ground.tenants.as_bytes().to_vec().into()).await?;
                Ok::<_, hub_store::StoreFault>(store)
            };
            match opened.await {
                Ok(store) => return store,
                Err(fault) => {
                    self.ground.trace.note(&format!("{} does not start: {fault}", self.name));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn answer(&self, engine: &Engine, tenants: &Tenants, asked: u64) {
        for (tenant, of) in tenants.iter() {
            let streams = all_lines(engine, tenants, tenant, &of.clusters).await;
            let outcome =
                streams.as_ref().map_or_else(Clone::clone, |streams| format!("{} lines", streams.iter().map(|(_, lines)| lines.len()).sum::<usize>()));
            self.ground.trace.note(&format!("{} answers {tenant}: {outcome}", self.name));
            self.answers.lock().unwrap().push(Answer { hub: self.name.clone(), asked, tenant: tenant.to_string(), streams });
        }
    }
}

/// All lines of a tenant, as a query finds them.
async fn all_lines(engine: &Engine, tenants: &Tenants, tenant: &TenantId, clusters: &std::collections::BTreeSet<ClusterId>) -> Result<Vec<Answered>, String> {
    let grant = clusters.first().and_then(|cluster| tenants.identify(cluster)).ok_or("no grant")?;
    assert_eq!(grant.tenant(), tenant);
    let Ok(Expr::Log(expr)) = hub_logql::parse("{app=~\".+\"}") else { return Err("the query does not parse".to_owned()) };
    let day = Duration::from_secs(86_400);
    let range = TimeRange { start: Timestamp(START_NS).minus(day), end: Timestamp(START_NS).plus(day) };
    let limits = Limits { max_entries_limit_per_query: 0, ..Limits::default() };
    let request = LogRequest::new(expr, range, 1_000_000, Direction::Forward, &limits).map_err(|fault| fault.to_string())?;
    let answer = engine.logs(&[grant], &request, &limits).await.map_err(|fault| fault.to_string())?;
    if let Some(warning) = answer.warnings.first() {
        return Err(warning.clone());
    }
    let lines = |stream: hub_query::AnsweredStream| (stream.labels.to_string(), stream.entries.into_iter().map(|entry| entry.line).collect());
    Ok(answer.streams.into_iter().map(lines).collect())
}
