//! Running: settings, log, WAL, pages; then signals and reloads until the end.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edge::discover::Job;
use edge::flags::Flags;
use edge::metrics::EdgeMetrics;
use edge::pages::{Effective, Pages, routes};
use edge::receive::{self, Intake, Receivers};
use edge::reload::{self, ASKS_MAX, Answer, Ask, ReloadMetrics};
use edge::settings::load::Loaded;
use edge::settings::{EdgeSettings, Origin, Prepared, Purpose, ServerSettings};
use edge::status::Status;
use edge::{Edge, EdgeParts};
use proto_boot::serve::{Serving, serve};
use proto_boot::telemetry::{LogSettings, log as telemetry};
use proto_boot::{Metrics, Stop, memory};
use proto_link::{ClientTls, GrpcClient, QuicClient};
use proto_seam::World;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::load::{From, passing_wal};
use crate::show::{deliver_stdin, source};
use crate::{complain, refuse, say, wal_failed};

/// Blocks of the file that count at the next start only.
const AT_START: [&str; 6] = ["server", "hub", "wal", "batch", "canary", "positions"];
/// Blocks that say who is pushed to.
const CLIENTS: [&str; 2] = ["clients", "client"];
/// Between two looks whether all of the standard input is acknowledged.
const ACKED_EVERY: Duration = Duration::from_millis(50);
/// Without a line for so long, memory is given back.
const QUIET: Duration = Duration::from_secs(10);
/// What is durable is in the status after so long at the latest.
const REPORTED_AFTER: Duration = Duration::from_millis(2_500);

/// Starts the log.
///
/// # Errors
/// The exit code, after the reason was told.
pub(crate) fn log(server: &ServerSettings, world: &World) -> Result<(), u8> {
    telemetry::start(LogSettings { level: server.log_level, format: server.log_format }, world.clock.clone()).map(drop).map_err(|fault| {
        complain(&fault.to_string());
        1
    })
}

/// Tells what is to be told of the settings.
pub(crate) fn begin(loaded: &Loaded, flags: &Flags) {
    if flags.print_config {
        drop(write!(std::io::stderr(), "# tributary-edge {}\n{}", env!("CARGO_PKG_VERSION"), loaded.show()));
    }
    if flags.log_config {
        for line in loaded.show().lines().rev() {
            tracing::info!("{line}");
        }
    }
    for remark in &flags.remarks {
        tracing::warn!("{remark}");
    }
    for remark in &loaded.prepared.remarks {
        tracing::warn!("{remark}");
    }
}

/// Gives back what is free, and the code that was run, once an edge that had lines has none.
async fn give_back(counters: EdgeMetrics) {
    let (mut before, mut owes) = (0, true);
    loop {
        tokio::time::sleep(QUIET).await;
        let gathered = counters.gathered_bytes();
        if gathered == before && std::mem::take(&mut owes) {
            memory::give_back();
            memory::forget_code();
        }
        owes |= gathered != before;
        before = gathered;
    }
}

/// Everything a running edge is told from outside.
struct Running {
    edge: Edge,
    from: From,
    world: World,
    /// The settings in force.
    effective: Value,
    /// The same for the page.
    shown: Effective,
    metrics: ReloadMetrics,
    asks: mpsc::Receiver<Ask>,
    hangups: Signal,
    stop: Stop,
    listeners: Listeners,
    /// Longest wait for last lines.
    end_within: Duration,
}

/// What is sent to the edge.
struct Listeners {
    intake: Intake,
    status: Status,
    /// Those of these jobs.
    running: Option<Receivers>,
    jobs: Vec<Job>,
}

impl Listeners {
    /// Starts those of `jobs` in place of those that run; if they cannot be started, those that ran are started again.
    async fn replace(&mut self, jobs: Vec<Job>, world: &World, stop: &Stop) -> Result<(), String> {
        if let Some(running) = self.running.take() {
            running.end().await;
        }
        match receive::start(&jobs, &self.intake, &self.status, world, &stop.token()).await {
            Ok(running) => {
                (self.running, self.jobs) = (Some(running), jobs);
                Ok(())
            }
            Err(fault) => {
                self.running = receive::start(&self.jobs, &self.intake, &self.status, world, &stop.token())
                    .await
                    .map_err(|again| tracing::error!(%again, "receivers that ran cannot be started again"))
                    .ok();
                Err(fault.to_string())
            }
        }
    }
}

/// Jobs that are sent to.
fn sent_to(jobs: &[Job]) -> Vec<Job> {
    jobs.iter().filter(|job| !matches!(*job.origin, Origin::Files(_))).cloned().collect()
}

/// A signal to end sets `stop`; one to hang up comes out.
fn signals(stop: &Stop) -> Result<Signal, u8> {
    stop.on_signals().and_then(|()| signal(SignalKind::hangup())).map_err(|fault| {
        complain(&format!("signals cannot be handled: {fault}"));
        1
    })
}

/// What is to be run, and the WAL that is taken away after it: that of the standard input.
async fn ready(from: &From, world: &World, flags: &Flags) -> Result<(Loaded, Option<PathBuf>), u8> {
    let (_, mut loaded) = from.load(world.disk.as_ref(), Purpose::Run).map_err(|mistakes| refuse(&mistakes))?;
    log(&loaded.settings.server, world)?;
    begin(&loaded, flags);
    // Positions are of files.
    if !loaded.settings.target_config.stdin {
        edge::import::take(&mut loaded.prepared, world).await.map_err(|mistakes| refuse(&mistakes))?;
    }
    let passing = passing_wal(&loaded, world);
    if let Some(dir) = &passing {
        loaded.prepared.wal.dir.clone_from(dir);
    }
    Ok((loaded, passing))
}

pub(crate) async fn run(from: From, world: World, flags: &Flags) -> u8 {
    let (mut loaded, passing) = match ready(&from, &world, flags).await {
        Ok(ready) => ready,
        Err(code) => return code,
    };
    let stop = Stop::new();
    let hangups = match signals(&stop) {
        Ok(hangups) => hangups,
        Err(code) => return code,
    };
    let listener = match listen(&loaded.settings.server).await {
        Ok(listener) => listener,
        Err(code) => return code,
    };
    let metrics = Metrics::new();
    let counters = EdgeMetrics::new(&metrics);
    tokio::spawn(give_back(counters.clone()));
    let status = Status::new(counters);
    let stdin = loaded.settings.target_config.stdin.then(|| source(&loaded.prepared, &world));
    loaded.prepared.jobs.retain(|_| stdin.is_none());
    let (intake, deliveries) = Intake::new(&metrics);
    let Loaded { settings, prepared, effective } = loaded;
    let shown = Effective::default();
    shown.set(effective.clone());
    status.receivers(intake.board.clone());
    let (ask, asks) = mpsc::channel(ASKS_MAX);
    let pages = pages(&settings.server, (&status, &metrics, &shown), ask, &world);
    let reloads = ReloadMetrics::new(&metrics);
    let receivers = sent_to(&prepared.jobs);
    let parts = parts(&settings, prepared, deliveries, (metrics, status.clone()), &world).await;
    let mut edge = match edge::run(parts, &stop.token()).await {
        Ok(edge) => edge,
        Err(fault) => return wal_failed(&fault),
    };
    intake.stands.recovered(edge.take_pulled());
    let mut listeners = Listeners { intake: intake.clone(), status: status.clone(), running: None, jobs: Vec::new() };
    if let Err(why) = listeners.replace(receivers, &world, &stop).await {
        complain(&why);
        return 1;
    }
    let running = Running {
        edge,
        from,
        world,
        effective,
        shown,
        metrics: reloads,
        asks,
        hangups,
        stop: stop.clone(),
        listeners,
        end_within: settings.server.graceful_shutdown_timeout.0,
    };
    open(listener, pages, &stop);
    match stdin {
        None => running.until_stopped().await,
        Some(source) => {
            let (ended, (fed, all_sent)) = tokio::join!(running.until_stopped(), feed(source, intake, &status, &stop));
            if let Some(dir) = passing {
                clear(&dir, all_sent);
            }
            ended.max(fed)
        }
    }
}

/// Takes the WAL of the standard input away, if all of it was sent.
fn clear(dir: &Path, all_sent: bool) {
    if all_sent {
        if let Err(fault) = std::fs::remove_dir_all(dir) {
            complain(&format!("{} cannot be removed: {fault}", dir.display()));
        }
    } else {
        complain(&format!("what was not sent lies in {}: an edge whose wal.dir is that sends it", dir.display()));
    }
}

/// Reads the standard input to its end, waits until the hub and all clients have it, and ends the edge. Gives the exit code, and whether they have it.
async fn feed(source: crate::show::Source, intake: Intake, status: &Status, stop: &Stop) -> (u8, bool) {
    let code = deliver_stdin(source, intake, stop).await;
    let all_acked = async {
        // Till then the status does not know of the last lines.
        tokio::time::sleep(REPORTED_AFTER).await;
        loop {
            let report = status.report();
            if report.acked >= report.sequence && report.clients.iter().all(|client| client.lag_bytes == 0) {
                return;
            }
            tokio::time::sleep(ACKED_EVERY).await;
        }
    };
    let all_sent = tokio::select! {
        biased;
        () = stop.begun() => false,
        () = all_acked => code == 0,
    };
    stop.begin();
    (code, all_sent)
}

/// What the edge is made of, with its way to the hub if there is one.
async fn parts(
    settings: &EdgeSettings,
    mut prepared: Prepared,
    deliveries: mpsc::Receiver<receive::Delivery>,
    (metrics, status): (Metrics, Status),
    world: &World,
) -> EdgeParts {
    if let (Some(canary), Some(name)) = (&mut prepared.canary, own_name(settings, world).await) {
        canary.edge = name;
    }
    let dial = settings.hub.as_ref().map(|hub| {
        let certificates = certs::store::watch_client(&hub.value.identity_dir, &hub.value.ca_file, world.clone());
        tokio::spawn(watch_certificate(certificates.clone(), status.clone()));
        let tls = ClientTls::new(certificates, world.clock.clone());
        prepared.transport.client(Arc::new(QuicClient::new(tls.clone(), &world.entropy)), Arc::new(GrpcClient::new(tls)))
    });
    let (discover_every, bandwidth) = (settings.target_config.sync_period.0, settings.bandwidth());
    EdgeParts { prepared, discover_every, bandwidth, dial, metrics, status, deliveries: Some(deliveries), world: world.clone() }
}

/// The edge's name in its certificate, if there is one already.
async fn own_name(settings: &EdgeSettings, world: &World) -> Option<String> {
    let hub = &settings.hub.as_ref()?.value;
    let material = certs::store::load_client(&certs::store::ClientPaths::new(&hub.identity_dir, &hub.ca_file), world).await.ok()?;
    material.own.leaf.subject_uri.as_deref()?.rsplit_once("/edge/").map(|(_, name)| name.to_owned())
}

async fn listen(server: &ServerSettings) -> Result<Option<tokio::net::TcpListener>, u8> {
    if server.disable {
        return Ok(None);
    }
    let host = if server.http_listen_address.is_empty() { "0.0.0.0" } else { &server.http_listen_address };
    match tokio::net::TcpListener::bind((host, server.http_listen_port)).await {
        Ok(listener) => Ok(Some(listener)),
        Err(fault) => {
            complain(&format!("cannot listen on {host}:{}: {fault}; choose a free address under `server`", server.http_listen_port));
            Err(1)
        }
    }
}

/// The pages below `http_path_prefix`, and where they were without one: probes are written for either.
fn pages(server: &ServerSettings, (status, metrics, shown): (&Status, &Metrics, &Effective), ask: mpsc::Sender<Ask>, world: &World) -> axum::Router {
    let pages = routes(Pages {
        status: status.clone(),
        metrics: metrics.clone(),
        settings: shown.clone(),
        ready_needs_targets: server.health_check_target,
        serves_metrics: server.register_instrumentation,
        world: world.clone(),
    });
    let pages = if server.enable_runtime_reload { pages.merge(reload::routes(ask)) } else { pages };
    let prefix = server.http_path_prefix.trim_matches('/');
    if prefix.is_empty() { pages } else { pages.clone().nest(&format!("/{prefix}"), pages) }
}

fn open(listener: Option<tokio::net::TcpListener>, pages: axum::Router, stop: &Stop) {
    let mut address: Option<SocketAddr> = None;
    if let Some(listener) = listener {
        address = listener.local_addr().ok();
        tokio::spawn(serve(listener, Serving::new(pages), stop.token()));
    }
    let http = address.map(|address| address.to_string()).unwrap_or_default();
    say(&format!("{{\"event\":\"listening\",\"http\":\"{http}\"}}"));
}

impl Running {
    async fn until_stopped(mut self) -> u8 {
        loop {
            tokio::select! {
                biased;
                () = self.stop.begun() => break,
                failed = self.edge.failed() => {
                    complain(&failed.unwrap_or_else(|| "a task of the edge ended by itself".to_owned()));
                    return 1;
                }
                Some(ask) = self.asks.recv() => self.reload(Some(ask)).await,
                Some(()) = self.hangups.recv() => self.reload(None).await,
            }
        }
        let ended = tokio::select! {
            biased;
            () = self.stop.forced() => Ok(()),
            ended = tokio::time::timeout(self.end_within, self.edge.ended()) => ended.unwrap_or(Ok(())),
        };
        match ended {
            Ok(()) => 0,
            Err(why) => {
                complain(&why);
                1
            }
        }
    }

    /// Reads the settings again; with a mistake in them everything stays as it is.
    async fn reload(&mut self, ask: Option<Ask>) {
        let answer = self.reloaded().await;
        self.metrics.count(&answer);
        match &answer {
            Ok(done) => tracing::info!("reload: {done}"),
            Err(why) => tracing::error!("reload: {why}"),
        }
        if let Some(Err(_)) = ask.map(|ask: oneshot::Sender<Answer>| ask.send(answer)) {
            tracing::debug!("whoever asked for the reload is gone");
        }
    }

    async fn reloaded(&mut self) -> Answer {
        let (_, loaded) = self.from.load(self.world.disk.as_ref(), Purpose::Run).map_err(|mistakes| {
            let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            format!("the settings in force stay: {}", all.join("; "))
        })?;
        if loaded.effective == self.effective {
            return Ok("the settings have not changed".to_owned());
        }
        if loaded.settings.target_config.stdin || self.effective["target_config"]["stdin"] == Value::Bool(true) {
            return Err("the settings in force stay: an edge that reads the standard input is not reloaded".to_owned());
        }
        if self.effective["hub"].is_null() && loaded.prepared.clients.is_empty() {
            return Err("the settings in force stay: without clients nothing says where to send until the next start".to_owned());
        }
        let clients_changed = CLIENTS.into_iter().any(|block| loaded.effective.get(block) != self.effective.get(block));
        let later: Vec<&str> = AT_START.into_iter().filter(|block| loaded.effective.get(block) != self.effective.get(block)).collect();
        for remark in &loaded.prepared.remarks {
            tracing::warn!("{remark}");
        }
        let every = loaded.settings.target_config.sync_period.0;
        let receivers = sent_to(&loaded.prepared.jobs);
        self.listeners.replace(receivers, &self.world, &self.stop).await.map_err(|why| format!("the settings in force stay: {why}"))?;
        if !self.edge.reload(loaded.prepared, every, clients_changed).await {
            return Err("the edge is ending".to_owned());
        }
        self.effective = merged(loaded.effective, &self.effective);
        self.shown.set(self.effective.clone());
        Ok(match later.as_slice() {
            [] => "the settings were reloaded".to_owned(),
            later => format!("the settings were reloaded; {} will count at the next start", later.join(", ")),
        })
    }
}

/// The settings in force: the new ones, but for what counts at the next start.
fn merged(mut new: Value, old: &Value) -> Value {
    if let Some(map) = new.as_object_mut() {
        for block in AT_START {
            match old.get(block) {
                Some(before) => drop(map.insert(block.to_owned(), before.clone())),
                None => drop(map.remove(block)),
            }
        }
    }
    new
}

/// Keeps the status page's word on the certificate.
async fn watch_certificate(mut certificates: tokio::sync::watch::Receiver<certs::ClientState>, status: Status) {
    loop {
        let shown = match &*certificates.borrow_and_update() {
            // Who looks at the files tells why.
            certs::ClientState::Missing(_) => None,
            certs::ClientState::Ready(material) => {
                let ends = material.own.not_after();
                let text = jiff::Timestamp::from_nanosecond(i128::from(ends.nanos())).map(|at| at.to_string()).unwrap_or_default();
                Some((ends.nanos() / 1_000_000_000, text))
            }
        };
        status.certificate(shown);
        if certificates.changed().await.is_err() {
            return;
        }
    }
}
