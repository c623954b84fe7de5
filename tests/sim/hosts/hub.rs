//! The hub of a simulation, with what a driver can ask of it: all lines, a push, what an operator would do.
//!
//! Parts: [`HubHost`]; [`Order`] and [`Outcome`]. Its tenant map lies in a file on its own disk, as a real hub's. Must not do: keep anything
//! from one life to the next but that file.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hub::producers::{Action, act};
use hub::tenant_map::TenantMap;
use hub_ingest::admit::hub_rows;
use hub_ingest::metrics::IngestMetrics;
use hub_ingest::{Ingest, IngestParts};
use hub_logql::Expr;
use hub_query::{Direction, Engine, LogRequest, QueryMetrics};
use hub_store::{Store, StoreSettings};
use hub_tenant::{Grant, Limits, Tenants};
use hub_upkeep::{Upkeep, UpkeepMetrics};
use object_store::path::Path as ObjectPath;
use proto_boot::Metrics;
use proto_model::{ClusterId, EdgeId, Labels, TenantId, TimeRange, Timestamp};
use proto_seam::{Entropy, World};
use proto_wire::{BatchBuilder, BatchView, Compression};
use tests::disk::SimDisk;
use tests::invariants::Answered;
use tests::machines::Ended;
use tests::quic::Identities;
use tests::world::{START_NS, Wall, world_of};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Ground;
use crate::swarm::Pace;

/// Where a hub's tenant map lies.
pub const TENANTS_FILE: &str = "/etc/tenants.yaml";

/// What a hub was asked and answered.
pub struct Answer {
    pub hub: String,
    pub asked: u64,
    pub tenant: String,
    pub streams: Result<Vec<Answered>, String>,
}

/// What a driver asks of a hub.
#[derive(Debug, Clone)]
pub enum Order {
    /// Everything, of all tenants.
    Ask(u64),
    /// Store this line as a push under this key, number `id` to the driver.
    Push { id: u64, cluster: &'static str, key: Vec<u8>, line: String, at: i64 },
    /// An edge's identity is revoked.
    Revoke { cluster: &'static str, edge: &'static str },
    /// A producer is released, its edges go on under others.
    Release { producer: String },
    /// A producer ends for ever.
    Retire { producer: String },
    /// Lines of a cluster's tenant are deleted.
    Delete { cluster: &'static str, query: &'static str },
}

/// What came of an order.
#[derive(Debug, Clone)]
pub enum Outcome {
    Pushed {
        id: u64,
        stored: bool,
    },
    /// Or retired.
    Released {
        producer: String,
        done: bool,
    },
    /// Or not: then it may be in force or not.
    Deleted {
        tenant: String,
        done: bool,
    },
}

pub struct HubHost {
    pub name: String,
    pub linger: Duration,
    pub pace: Pace,
    pub disk: SimDisk,
    pub wall: Wall,
    pub boots: AtomicU64,
    pub orders: Mutex<Option<mpsc::UnboundedSender<Order>>>,
    pub answers: Mutex<Vec<Answer>>,
    pub outcomes: Mutex<Vec<Outcome>>,
    pub ground: Ground,
}

/// What an order is carried out with.
#[derive(Clone)]
struct Tools {
    engine: Engine,
    ingest: Ingest,
    store: Arc<Store>,
    tenants: watch::Receiver<Arc<Tenants>>,
    entropy: Entropy,
}

impl HubHost {
    /// Gives an order; false when nobody is there to take it.
    pub fn order(&self, order: Order) -> bool {
        self.orders.lock().unwrap().as_ref().is_some_and(|orders| orders.send(order).is_ok())
    }

    /// The hub, from start to crash.
    pub async fn run(self: Arc<Self>) -> Ended {
        let (elapsed, entropy) = self.ground.life(&self.name, &self.boots);
        let world = world_of(&self.wall, elapsed, entropy.clone(), Arc::new(self.disk.clone()));
        let (store, map) = self.open(&world).await;
        let listener = self.ground.listen(&self.name, &world).await;
        let stop = CancellationToken::new();
        let tenants = map.subscribe();
        let (revoked, revoked_now) = watch::channel(Arc::default());
        let (issued, _issued_now) = watch::channel(Arc::default());
        let parts = IngestParts {
            store: Arc::clone(&store),
            tenants: tenants.clone(),
            revoked: revoked_now,
            listeners: vec![listener],
            trust_domain: Identities::shared().trust_domain.clone(),
            linger: self.linger,
            object_bytes_max: 256 * 1024,
            metrics: IngestMetrics::new(&Metrics::new()),
            world: world.clone(),
        };
        let (ingest, mut tasks) = Ingest::start(parts, &stop);
        let (following, until) = (Arc::clone(&store), stop.clone());
        tasks.spawn(async move { following.run(until).await });
        tasks.spawn(map.watch(stop.clone()));
        tasks.spawn(hub::tokens::follow(Arc::clone(&store), tenants.clone(), issued, revoked, stop.clone()));
        let upkeep = Upkeep::new(Arc::clone(&store), world.clone(), self.pace.upkeep(), UpkeepMetrics::default());
        tasks.spawn(async move { upkeep.run(stop).await });
        let engine = Engine::new(Arc::clone(&store), world, QueryMetrics::default());
        let tools = Tools { engine, ingest, store, tenants, entropy };
        let (orders, mut taken) = mpsc::unbounded_channel();
        *self.orders.lock().unwrap() = Some(orders);
        let mut working = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(ended) = tasks.join_next() => {
                    let why = ended.err().map_or_else(|| "a task ended".to_owned(), |failed| failed.to_string());
                    return Err(format!("{}: {why}", self.name));
                }
                Some(ended) = working.join_next(), if !working.is_empty() => ended.map_err(|failed| format!("{}: {failed}", self.name))?,
                Some(order) = taken.recv() => {
                    let (host, tools) = (Arc::clone(&self), tools.clone());
                    working.spawn(async move { host.carry_out(&tools, order).await });
                }
            }
        }
    }

    async fn open(&self, world: &World) -> (Arc<Store>, TenantMap) {
        loop {
            let settings =
                self.pace.store(StoreSettings { writer: self.name.clone(), ..StoreSettings::new(self.ground.bucket.door(&self.name), ObjectPath::default()) });
            let opened = async {
                let store = Store::open(settings, world.clone()).await.map_err(|fault| fault.to_string())?;
                let map = TenantMap::start(Path::new(TENANTS_FILE).to_path_buf(), Limits::default(), Arc::clone(&store), world.clone());
                Ok::<_, String>((store, map.await.map_err(|fault| fault.to_string())?))
            };
            match opened.await {
                Ok(opened) => return opened,
                Err(fault) => {
                    self.ground.trace.note(&format!("{} does not start: {fault}", self.name));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn carry_out(&self, tools: &Tools, order: Order) {
        let tenants = Arc::clone(&tools.tenants.borrow());
        match order {
            Order::Ask(asked) => self.answer(&tools.engine, &tenants, asked).await,
            Order::Push { id, cluster, key, line, at } => {
                let Some(grant) = tenants.identify(&ClusterId::new(cluster).unwrap()) else { return };
                let stored = push(tools, grant, cluster, key, &line, at).await;
                self.ground.trace.note(&format!("{} push {id}: {stored:?}", self.name));
                self.outcomes.lock().unwrap().push(Outcome::Pushed { id, stored: stored.is_ok() });
            }
            Order::Revoke { cluster, edge } => {
                let (cluster, edge) = (ClusterId::new(cluster).unwrap(), EdgeId::new(edge).unwrap());
                let revoked = tools.store.revocations().revoke(&cluster, &edge, Timestamp(START_NS)).await;
                self.ground.trace.note(&format!("{} revokes: {revoked:?}", self.name));
            }
            Order::Retire { producer } => {
                let retired = act(&tools.store, &tools.entropy, producer.parse().unwrap(), Action::Retire).await;
                self.ground.trace.note(&format!("{} retires {producer}: {retired:?}", self.name));
                self.outcomes.lock().unwrap().push(Outcome::Released { producer, done: retired.is_ok() });
            }
            Order::Delete { cluster, query } => {
                let Some(grant) = tenants.identify(&ClusterId::new(cluster).unwrap()) else { return };
                let range = TimeRange { start: Timestamp(0), end: Timestamp::MAX };
                let deleted = tools.store.delete(&grant, query, range).await;
                self.ground.trace.note(&format!("{} deletes of {grant}: {deleted:?}", self.name));
                self.outcomes.lock().unwrap().push(Outcome::Deleted { tenant: grant.tenant().to_string(), done: deleted.is_ok() });
            }
            Order::Release { producer } => {
                let released = act(&tools.store, &tools.entropy, producer.parse().unwrap(), Action::Release).await;
                self.ground.trace.note(&format!("{} releases {producer}: {released:?}", self.name));
                self.outcomes.lock().unwrap().push(Outcome::Released { producer, done: released.is_ok() });
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

async fn push(tools: &Tools, grant: Grant, cluster: &str, key: Vec<u8>, line: &str, at: i64) -> Result<(), String> {
    let mut builder = BatchBuilder::new();
    let labels = Arc::new(Labels::from_pairs([("app", "push"), ("from", cluster)]));
    let time = Timestamp(START_NS + at);
    builder.push(&labels, time, 0, &[], line.as_bytes());
    let frozen = builder.freeze(Compression::Zstd).map_err(|fault| fault.to_string())?;
    let view = BatchView::parse(frozen.body.clone()).map_err(|fault| fault.to_string())?;
    let (rows, _) = hub_rows(&view.table().streams, None, &[]);
    tools.ingest.push(grant, key, rows, frozen.body, frozen.lines).await.map(drop).map_err(|refused| format!("{refused:?}"))
}

/// All lines of a tenant, as a query finds them.
async fn all_lines(engine: &Engine, tenants: &Tenants, tenant: &TenantId, clusters: &std::collections::BTreeSet<ClusterId>) -> Result<Vec<Answered>, String> {
    let grant = clusters.first().and_then(|cluster| tenants.identify(cluster)).ok_or("no grant")?;
    assert_eq!(grant.tenant(), tenant);
    let Ok(Expr::Log(expr)) = hub_logql::parse("{app=~\".+\"}") else { return Err("the query does not parse".to_owned()) };
    let day = Duration::from_secs(86_400);
    let range = TimeRange { start: Timestamp(START_NS).minus(day), end: Timestamp(START_NS).plus(day * 28) };
    let limits = hub_query::Limits { max_entries_limit_per_query: 0, ..hub_query::Limits::default() };
    let request = LogRequest::new(expr, range, 1_000_000, Direction::Forward, &limits).map_err(|fault| fault.to_string())?;
    let answer = engine.logs(&[grant], &request, &limits).await.map_err(|fault| fault.to_string())?;
    if let Some(warning) = answer.warnings.iter().find(|warning| !warning.starts_with("lines missing")) {
        return Err(warning.clone());
    }
    let lines = |stream: hub_query::AnsweredStream| (stream.labels.to_string(), stream.entries.into_iter().map(|entry| entry.line).collect());
    Ok(answer.streams.into_iter().map(lines).collect())
}
