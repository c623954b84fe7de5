//! The software of simulated hosts: the real edge and the real hub, put together as their `main.rs` do.
//!
//! Parts: [`EdgeHost`] with its disk, [`HubHost`] (in `hosts/hub.rs`); what both share with the driver. Promises: everything they touch of
//! the outside comes from a seed. Must not do: fail on purpose; faults come from disk, store, network and driver.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge::EdgeParts;
use edge::settings::{EdgeSettings, Prepared};
use edge::status::Status;
use proto_boot::Metrics;
use proto_link::{Dial, DirectNet, Listen};
use proto_seam::{Entropy, World};
use tests::disk::SimDisk;
use tests::machines::Ended;
use tests::net::Weather;
use tests::objects::Bucket;
use tests::quic::{self, HUB_NAME, PORT};
use tests::world::{Machine, Trace, Wall, world_of};
use tokio_util::sync::CancellationToken;

mod hub;

pub use hub::{Answer, HubHost, Order, Outcome, TENANTS_FILE};

/// What every host of a simulation shares.
#[derive(Clone)]
pub struct Ground {
    pub entropy: Entropy,
    pub trace: Trace,
    pub weather: Weather,
    /// Without: sockets and QUIC.
    pub net: Option<DirectNet>,
    pub bucket: Arc<Bucket>,
    /// The generators that hosts were started with, for the test of determinism.
    pub worlds: Arc<Mutex<Vec<Entropy>>>,
}

impl Ground {
    /// The generator of a host's next life.
    fn life(&self, name: &str, boots: &AtomicU64) -> (Duration, Entropy) {
        let boot = boots.fetch_add(1, Ordering::Relaxed);
        let entropy = self.entropy.fork(&format!("{name} boot {boot}"));
        self.worlds.lock().unwrap().push(entropy.clone());
        (self.trace.now(), entropy)
    }

    async fn dial(&self, host: &EdgeHost, world: &World) -> Arc<dyn Dial> {
        match &self.net {
            Some(net) => quic::direct_client(host.cluster, host.edge, &host.name, net),
            None => quic::client(host.cluster, host.edge, self.weather.clone(), world).await,
        }
    }

    async fn listen(&self, name: &str, world: &World) -> Box<dyn Listen> {
        match &self.net {
            Some(net) => Box::new(net.listen(name)),
            None => quic::server(self.weather.clone(), world).await,
        }
    }
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
    /// Bytes a second to the hub; 0 = no limit.
    pub bandwidth: u64,
    /// So old makes the oldest batch a backlog, in ms.
    pub backlog_ms: u64,
}

pub struct EdgeHost {
    pub name: String,
    pub cluster: &'static str,
    pub edge: &'static str,
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
            self.shape.batch_bytes.max(1_024),
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
        prepared.gather.bytes_max = self.shape.batch_bytes;
        prepared.backlog_age = Duration::from_millis(self.shape.backlog_ms);
        prepared.wal.max_bytes = self.shape.wal_bytes_max;
        prepared.wal.file_bytes = self.shape.wal_bytes_max / 8;
        prepared.wal.grace_bytes = self.shape.wal_bytes_max / 8;
        prepared
    }

    /// The edge, from start to crash.
    pub async fn run(self: Arc<Self>) -> Ended {
        let (elapsed, entropy) = self.ground.life(&self.name, &self.boots);
        let world = world_of(&self.wall, elapsed, entropy, Arc::new(self.machine()));
        let dial = self.ground.dial(&self, &world).await;
        let stop = CancellationToken::new();
        loop {
            let status = Status::default();
            *self.status.lock().unwrap() = Some(status.clone());
            let parts = EdgeParts {
                prepared: self.prepared(),
                discover_every: Duration::from_secs(1),
                bandwidth: self.shape.bandwidth,
                dial: Some(Arc::clone(&dial)),
                metrics: Metrics::new(),
                status,
                deliveries: None,
                world: world.clone(),
            };
            match edge::run(parts, &stop).await {
                Ok(mut edge) => {
                    let why = edge.failed().await.unwrap_or_else(|| "a task ended".to_owned());
                    return Err(format!("{}: {why}", self.name));
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
