//! The hub: accept -> identify -> admit -> gather -> seal -> ack, and query -> plan -> fetch -> scan -> answer.
//!
//! [`serve`] is that path written down: store, tenants, tokens, certificates, ingest, query, API. Parts:
//! [`settings`], `begin` (what is read of the store first), [`tenant_map`], [`tokens`], [`producers`], [`api`] (Loki's HTTP API), [`admin`] (the operator's), [`canary`],
//! [`segments`] (what both show of segments); the work is in the crates `hub_store`, `hub_ingest`, `hub_query`,
//! `hub_upkeep`, `hub_logql`, `hub_tenant`.
//!
//! Promises: nothing on this machine is needed to start again; what is acknowledged stands in the object
//! store. Must not do: touch disk, clock or chance but through the [`World`].

pub mod admin;
pub mod api;
mod begin;
pub mod canary;
pub mod fsck;
pub mod producers;
pub mod segments;
pub mod settings;
pub mod tenant_map;
pub mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use certs::store::ServerPaths;
use hub_ingest::metrics::IngestMetrics;
use hub_ingest::{Ingest, IngestParts};
use hub_query::{Engine, QueryMetrics};
use hub_store::{Store, StoreFault};
use hub_upkeep::{Upkeep, UpkeepMetrics};
use proto_boot::serve::{Served, Serving, serve as serve_http, serve_with};
use proto_boot::telemetry::log::LogHandle;
use proto_boot::{Draining, Metrics, Mistake, Ready, Stop};
use proto_link::{Caps, GrpcServer, LinkFault, Listen, QuicServer, ServerTls};
use proto_seam::{Clock, World};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use api::Api;
use api::config::About;
use api::tail::Tails;
use begin::Begun;
pub use begin::open_store;
use canary::{Canary, CanaryMetrics};
use settings::{Checked, HubSettings};
use tenant_map::MapFault;

/// Why a hub does not run.
#[derive(Debug, thiserror::Error)]
pub enum HubFault {
    /// Settings, tenants or certificates are wrong: exit code 2.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Mistakes(Vec<Mistake>),
    /// A certificate or key cannot be used: exit code 2.
    #[error(transparent)]
    Certs(#[from] certs::CertsFault),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// A socket cannot be opened.
    #[error(transparent)]
    Link(#[from] LinkFault),
    /// An HTTP socket cannot be opened.
    #[error("cannot listen on {address}: {reason}; choose a free address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's word.
        reason: std::io::Error,
    },
    /// A task failed.
    #[error("a task of the hub failed: {0}")]
    Task(String),
}

impl From<MapFault> for HubFault {
    fn from(fault: MapFault) -> Self {
        match fault {
            MapFault::Mistakes(mistakes) => Self::Mistakes(mistakes),
            MapFault::Store(fault) => Self::Store(fault),
        }
    }
}

impl HubFault {
    /// The exit code of the program.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Mistakes(_) | Self::Certs(_) => 2,
            Self::Store(_) | Self::Link(_) | Self::Listen { .. } | Self::Task(_) => 1,
        }
    }
}

/// The files of the link's certificate.
#[must_use]
pub fn link_paths(settings: &HubSettings) -> ServerPaths {
    ServerPaths {
        cert_file: settings.link.cert_file.value.clone(),
        key_file: settings.link.key_file.value.clone(),
        client_ca_file: Some(settings.link.client_ca_file.value.clone()),
    }
}

/// Where a hub listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The query API.
    pub http: SocketAddr,
    /// The admin API.
    pub admin: SocketAddr,
    /// QUIC, if served.
    pub quic: Option<SocketAddr>,
    /// gRPC, if served.
    pub grpc: Option<SocketAddr>,
}

/// Runs a hub until `stop`; `listening` is called once, when all sockets are open.
///
/// # Errors
/// [`HubFault`] when it cannot start or a part of it fails.
pub async fn serve(
    settings: HubSettings,
    checked: Checked,
    log: LogHandle,
    world: World,
    stop: Stop,
    listening: impl FnOnce(&Addresses),
) -> Result<(), HubFault> {
    certs::store::load_server(&link_paths(&settings), &world).await?;
    let Some(begun) = stop.token().run_until_cancelled(begin::begin_patiently(&settings, &checked, &world)).await else { return Ok(()) };
    let Begun { store, map, issued, revoked } = begun?;
    let tenants = map.subscribe();
    let (issued, issued_now) = watch::channel(Arc::new(issued));
    let (revoked, revoked_now) = watch::channel(Arc::new(revoked));
    let metrics = Metrics::new();
    metrics.register_with(|registry| store.metrics().register(registry));
    let (listeners, quic, grpc) = link(&settings, &checked, &world).await?;
    let (http, admin) = (bind(checked.http).await?, bind(checked.admin).await?);
    let addresses = Addresses { http: address(&http, checked.http), admin: address(&admin, checked.admin), quic, grpc };

    // Taken in order at the end: what comes in stops first, the API last.
    let (ingest_stop, rest_stop) = (CancellationToken::new(), CancellationToken::new());
    let parts = IngestParts {
        store: Arc::clone(&store),
        tenants: tenants.clone(),
        revoked: revoked_now,
        listeners,
        trust_domain: checked.trust_domain.clone(),
        linger: settings.lane.linger.value.0,
        object_bytes_max: settings.lane.object_max.value.as_usize(),
        metrics: IngestMetrics::new(&metrics),
        world: world.clone(),
    };
    let (ingest, ingest_tasks) = Ingest::start(parts, &ingest_stop);
    let engine = engine(&store, &world, &metrics);
    let upkeep = upkeep(&settings, &store, &world, &metrics);
    let ready = Ready::new();
    let about = Arc::new(About { yaml: api::config::shown(&settings, &checked.limits), log });
    let (rates, tails) = (Arc::default(), Tails::new(rest_stop.clone()));
    let (ready_now, refusals, base, held) = (ready.clone(), api::push::Refusals::new(&metrics), world.clone(), Arc::clone(&store));
    let api = Api { engine, store: held, about, ingest: ingest.clone(), tenants, issued: issued_now, rates, refusals, tails, ready: ready_now, world: base };
    let mut tasks = JoinSet::new();
    let giving = rest_stop.clone();
    tasks.spawn(async move { giving.run_until_cancelled(proto_boot::memory::give_back_always()).await.unwrap_or_default() });
    tasks.spawn(map.watch(rest_stop.clone()));
    tasks.spawn(tokens::follow(Arc::clone(&store), api.tenants.clone(), issued, revoked, rest_stop.clone()));
    start_canary(&mut tasks, &checked, &api, &metrics, &rest_stop);
    let (following, follow_stop) = (Arc::clone(&store), rest_stop.clone());
    tasks.spawn(async move { following.run(follow_stop).await });
    if settings.has_role("upkeep") {
        tasks.spawn(Arc::clone(&upkeep).run_shared(rest_stop.clone()));
    }
    let serving = ServeParts { checked: &checked, settings: &settings, world: &world, wake: ingest.wake(), stop: rest_stop.clone() };
    serve_api(&mut tasks, http, api.clone(), serving).await?;
    let (pages, admin_stop) = (admin::routes(admin::Admin { api, store, upkeep, metrics }), rest_stop.clone());
    tasks.spawn(async move { told("admin", serve_http(admin, Serving::new(pages), admin_stop).await) });
    ready.done("start");
    listening(&addresses);
    let failed = tokio::select! {
        biased;
        () = stop.begun() => None,
        ended = tasks.join_next() => ended,
    };
    ready.wait("stop", "the hub is shutting down");
    ingest_stop.cancel();
    let drained = Draining::new()
        .then("ingest", Duration::from_secs(10), join(ingest_tasks))
        .then("api", Duration::from_secs(10), async move {
            rest_stop.cancel();
            join(tasks).await;
        })
        .run(&stop)
        .await;
    if !drained.unfinished.is_empty() {
        tracing::warn!(unfinished = ?drained.unfinished, "the hub did not end in order");
    }
    ended_by(failed)
}

/// How a hub ended: by the task that ended first, if one did.
fn ended_by(first: Option<Result<(), tokio::task::JoinError>>) -> Result<(), HubFault> {
    match first {
        Some(Err(failure)) => Err(HubFault::Task(failure.to_string())),
        Some(Ok(())) => Err(HubFault::Task("it ended by itself".to_owned())),
        None => Ok(()),
    }
}

fn engine(store: &Arc<Store>, world: &World, metrics: &Metrics) -> Arc<Engine> {
    let numbers = QueryMetrics::default();
    metrics.register_with(|registry| numbers.register(registry));
    Arc::new(Engine::new(Arc::clone(store), world.clone(), numbers))
}

fn upkeep(settings: &HubSettings, store: &Arc<Store>, world: &World, metrics: &Metrics) -> Arc<Upkeep> {
    let numbers = UpkeepMetrics::default();
    metrics.register_with(|registry| numbers.register(registry));
    Arc::new(Upkeep::new(Arc::clone(store), world.clone(), settings.upkeep(), numbers))
}

/// Reads canary lines back, if that is asked for.
fn start_canary(tasks: &mut JoinSet<()>, checked: &Checked, api: &Api, metrics: &Metrics, stop: &CancellationToken) {
    if let Some(settings) = checked.canary {
        let (engine, tenants) = (Arc::clone(&api.engine), api.tenants.clone());
        let canary = Canary { settings, engine, tenants, metrics: CanaryMetrics::new(metrics), world: api.world.clone() };
        tasks.spawn(canary.run(stop.clone()));
    }
}

async fn join(mut tasks: JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

/// Says when connections had to be cut.
fn told(server: &'static str, served: Served) {
    if served.cut > 0 {
        tracing::info!(server, cut = served.cut, "connections were cut at the end");
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, HubFault> {
    TcpListener::bind(address).await.map_err(|reason| HubFault::Listen { address, reason })
}

fn address(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

type Links = (Vec<Box<dyn Listen>>, Option<SocketAddr>, Option<SocketAddr>);

/// Opens QUIC and gRPC on one port number (with port 0: the one that QUIC was given).
async fn link(settings: &HubSettings, checked: &Checked, world: &World) -> Result<Links, HubFault> {
    let mut material = certs::store::watch_server(link_paths(settings), world.clone());
    // Read once before: this is there after the first look of the watch.
    drop(tokio::time::timeout(Duration::from_secs(10), material.wait_for(Option::is_some)).await);
    let tls = ServerTls::new(material, checked.trust_domain.clone(), world.clock.clone());
    let caps = Caps::new();
    let mut listeners: Vec<Box<dyn Listen>> = Vec::new();
    let (mut quic, mut grpc, mut at) = (None, None, checked.link);
    if settings.link.quic {
        let server = QuicServer::bind(at, tls.clone(), caps.clone(), &world.entropy).await?;
        at = server.local_address();
        quic = Some(at);
        listeners.push(Box::new(server));
    }
    if settings.link.grpc {
        let server = GrpcServer::bind(at, tls, caps).await?;
        grpc = Some(server.local_address());
        listeners.push(Box::new(server));
    }
    Ok((listeners, quic, grpc))
}

/// Serves the query API, over TLS when a certificate is given. After the hub slept (lane rule 10) all its
/// connections are closed: how long requests lay in them cannot be known.
async fn serve_api(tasks: &mut JoinSet<()>, listener: TcpListener, api: Api, parts: ServeParts<'_>) -> Result<(), HubFault> {
    let ServeParts { checked, settings, world, mut wake, stop } = parts;
    let serving = Serving::new(api::routes(api, &checked.path_prefix));
    let listener = Arc::new(listener);
    let tls = http_tls(settings, world).await?;
    tasks.spawn(async move {
        while !stop.is_cancelled() {
            let round = stop.child_token();
            let (waiting, tls, serving, until) = (Arc::clone(&listener), tls.clone(), serving.clone(), round.clone());
            let listener = Arc::clone(&listener);
            let served = async move {
                let accept = move || {
                    let listener = Arc::clone(&listener);
                    async move { listener.accept().await }
                };
                match tls {
                    None => told("api", serve_with(accept, |stream: TcpStream| async move { stream.set_nodelay(true).map(|()| stream) }, serving, until).await),
                    Some(tls) => told("api", serve_with(accept, move |stream| tls.clone().accept(stream), serving, until).await),
                }
            };
            // Dropped when the hub slept, and its connections with it: they are cut wherever they are.
            let slept = tokio::select! {
                biased;
                Ok(()) = wake.changed() => true,
                () = served => false,
            };
            if slept {
                turn_away(&waiting).await;
            }
        }
    });
    Ok(())
}

/// Connections that may wait for accept: twice what the listener asks for.
const WAITING_FOR_ACCEPT_MAX: usize = 2_048;
/// None waits if none comes within this.
const ACCEPT_WAIT: Duration = Duration::from_millis(10);

/// Closes the connections that wait for accept, the oldest first.
async fn turn_away(listener: &TcpListener) {
    for _ in 0..WAITING_FOR_ACCEPT_MAX {
        if !matches!(tokio::time::timeout(ACCEPT_WAIT, listener.accept()).await, Ok(Ok(_))) {
            return;
        }
    }
}

/// What serving the API takes beside the API.
struct ServeParts<'s> {
    checked: &'s Checked,
    settings: &'s HubSettings,
    world: &'s World,
    wake: watch::Receiver<u64>,
    stop: CancellationToken,
}

/// The newest certificate of the query API.
#[derive(Clone)]
struct HttpTls {
    material: watch::Receiver<Option<Arc<certs::ServerMaterial>>>,
    clock: Clock,
}

impl HttpTls {
    async fn accept(self, stream: TcpStream) -> std::io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
        let material = self.material.borrow().clone().ok_or_else(|| std::io::Error::other("there is no certificate"))?;
        let config = certs::tls::server_http(&material, &self.clock).map_err(std::io::Error::other)?;
        tokio_rustls::TlsAcceptor::from(config).accept(stream).await
    }
}

async fn http_tls(settings: &HubSettings, world: &World) -> Result<Option<HttpTls>, HubFault> {
    let tls = &settings.http.tls;
    if tls.cert_file.as_os_str().is_empty() {
        return Ok(None);
    }
    let paths = ServerPaths { cert_file: tls.cert_file.clone(), key_file: tls.key_file.clone(), client_ca_file: None };
    certs::store::load_server(&paths, world).await?;
    Ok(Some(HttpTls { material: certs::store::watch_server(paths, world.clone()), clock: world.clock.clone() }))
}
