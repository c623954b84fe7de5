//! The edge: discover -> tail -> pipeline -> gather -> WAL -> ship.
//!
//! [`run`] is that path written down, in its order. Parts: [`discover`] (which files), [`import`] (where another agent stood), [`tail`] (their lines,
//! fairly), [`receive`] (what is sent to the edge, or pulled from other programs), `edge_pipeline` (what becomes of a line), [`gather`] (records to one batch), `edge_wal` (the only
//! WAL of the system; positions ride in the same record), [`collect`] (drives all that), [`ship`] (WAL to hub,
//! acks back), [`sink`] (WAL to any Loki, a cursor each). Beside the path: [`canary`] (known lines among the others), [`settings`], [`status`], [`pages`], [`metrics`].
//!
//! Promises: a line that was read is in the WAL with the position after it, or will be read again; nothing
//! leaves the WAL before the hub acknowledged it, but by a written policy, counted, with a loss record.
//! Must not do: touch disk, clock or chance but through the [`World`].

pub mod canary;
pub mod collect;
pub mod convert;
pub mod discover;
pub mod flags;
pub mod gather;
pub mod import;
pub mod limit;
pub mod metrics;
pub mod pages;
pub mod receive;
pub mod reload;
pub mod settings;
pub mod ship;
pub mod show;
pub mod sink;
pub mod status;
pub mod tail;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_wal::{Recovered, SourcePosition, Wal, WalFault};
use proto_boot::Metrics;
use proto_link::Dial;
use proto_model::{Timestamp, TrackId};
use proto_seam::{FileKind, World};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use canary::Canary;
use collect::{Collector, CollectorParts};
use discover::Job;
use discover::feeds::FeedMetrics;
use gather::Gather;
use metrics::EdgeMetrics;
use receive::streams::{is_held, is_stream};
use reload::Reload;
use settings::Prepared;
use ship::{Mark, Order, Shipper};
use sink::metrics::SinkMetrics;
use sink::{SinkParts, Sinks};
use status::Status;
use tail::Tail;

/// What an edge read so long before its WAL was written last may not be in it.
const AWAY_SLACK: Duration = Duration::from_secs(10);

/// What an edge is run with.
pub struct EdgeParts {
    /// Checked settings.
    pub prepared: Prepared,
    /// Between two searches for files.
    pub discover_every: Duration,
    /// Bytes a second to the hub; 0 = no limit.
    pub bandwidth: u64,
    /// How sessions are made; `None` = there is no hub, clients alone are pushed to.
    pub dial: Option<Arc<dyn Dial>>,
    /// Counters.
    pub metrics: Metrics,
    /// What pages show.
    pub status: Status,
    /// What receivers hand in ([`receive::Intake::new`]); `None` where there are none.
    pub deliveries: Option<mpsc::Receiver<receive::Delivery>>,
    /// The world.
    pub world: World,
}

/// A running edge.
pub struct Edge {
    tasks: JoinSet<()>,
    /// Who find targets; a reload ends them and starts others.
    feeds: Feeds,
    sinks: Sinks,
    orders: mpsc::Sender<Order>,
    /// Where pulled sources stood when the WAL was opened.
    pulled: Vec<SourcePosition>,
}

/// The discoveries of the present jobs.
struct Feeds {
    tasks: JoinSet<()>,
    dir: PathBuf,
    world: World,
    metrics: FeedMetrics,
    /// Ends the edge.
    stop: CancellationToken,
    /// Ends these.
    own_stop: CancellationToken,
}

impl Feeds {
    fn new(dir: PathBuf, (world, metrics): (&World, &Metrics), stop: &CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), dir, world: world.clone(), metrics: FeedMetrics::new(metrics), stop: stop.clone(), own_stop: stop.clone() }
    }

    fn start(&mut self, jobs: &mut [Job]) {
        self.own_stop = self.stop.child_token();
        discover::feeds::start(jobs, &self.dir, &self.world, &self.metrics, &mut self.tasks, &self.own_stop);
    }
}

/// Opens the WAL, then starts reading and shipping; both end after `stop`.
///
/// # Errors
/// [`WalFault`] when the WAL cannot be opened: another edge holds it, it is of a newer version, its
/// directory cannot be written.
pub async fn run(parts: EdgeParts, stop: &CancellationToken) -> Result<Edge, WalFault> {
    let EdgeParts { mut prepared, discover_every, bandwidth, dial, metrics, status, deliveries, world } = parts;
    let since = last_written(&prepared, &world).await;
    prepared.jobs.iter_mut().for_each(|job| job.since = since);
    let (mut wal, recovered) = open_wal(&mut prepared, dial.is_some(), &world).await?;
    let track = newest_track(&mut wal)?;
    tell(&status, &prepared, &recovered);
    let (durable, durable_mark) = watch::channel(Mark { track, sequence: wal.durable(track) });
    let reader = wal.reader();
    let wal = Arc::new(Mutex::new(wal));
    let mut sinks = Sinks::new(SinkParts {
        world: world.clone(),
        wal: Arc::clone(&wal),
        reader: reader.clone(),
        wal_id: recovered.wal_id,
        dir: prepared.wal.dir.clone(),
        durable: durable_mark.clone(),
        has_hub: dial.is_some(),
        lag_max: prepared.sink_lag_max,
        gathered_for: prepared.gather.wait_max,
        metrics: SinkMetrics::new(&metrics),
        status: status.clone(),
        stop: stop.clone(),
    });
    // Before anything is trimmed.
    drop(sinks.replace(std::mem::take(&mut prepared.clients)).await);
    let (orders, orders_taken) = mpsc::channel(1);
    let canary = prepared.canary.as_ref().map(|parts| Canary::new(parts, chance(&world), Timestamp(world.clock.now_ns())));
    let mut feeds = Feeds::new(prepared.wal.dir.join("discovery"), (&world, &metrics), stop);
    feeds.start(&mut prepared.jobs);
    let mut gather = Gather::new(prepared.gather).with_canary(canary);
    gather.set_rules(prepared.limits, prepared.external_labels);
    let pulled = recovered.positions.iter().filter(|position| is_stream(position) && !is_held(position)).cloned().collect();
    let collector = Collector::new(CollectorParts {
        tail: Tail::new(Arc::clone(&world.disk), prepared.jobs, recovered.positions.iter().filter(|position| !is_stream(position)).cloned()),
        gather,
        wal: Arc::clone(&wal),
        track,
        discover_every,
        metrics: EdgeMetrics::new(&metrics),
        status: status.clone(),
        world: world.clone(),
        recovered: recovered.positions,
        positions_doubtful: recovered.positions_doubtful && dial.is_some(),
        orders: orders_taken,
        deliveries,
        durable,
        stop: stop.clone(),
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(collector.run());
    if let Some(dial) = dial {
        let shipper = Shipper {
            world,
            wal,
            wal_id: recovered.wal_id,
            reader,
            dial,
            targets: prepared.targets,
            durable: durable_mark,
            orders: orders.clone(),
            status,
            bandwidth,
            backlog: (prepared.backlog_mille, prepared.backlog_age),
            began: tokio::time::Instant::now(),
            stop: stop.clone(),
        };
        tasks.spawn(shipper.run());
    }
    Ok(Edge { tasks, feeds, sinks, orders, pulled })
}

impl Edge {
    /// Where pulled sources stood when the WAL was opened, for [`receive::pulled::Stands::recovered`].
    pub fn take_pulled(&mut self) -> Vec<SourcePosition> {
        std::mem::take(&mut self.pulled)
    }

    /// Waits until all tasks have ended; a task that failed is told.
    pub async fn ended(mut self) -> Result<(), String> {
        let mut result = Ok(());
        for tasks in [&mut self.tasks, &mut self.feeds.tasks] {
            while let Some(ended) = tasks.join_next().await {
                if let Err(failed) = ended {
                    result = Err(format!("a task of the edge failed: {failed}"));
                }
            }
        }
        result.and(self.sinks.ended().await)
    }

    /// Waits until any task ends: before a stop, only a failure can do that, or a reload to a discovery.
    pub async fn failed(&mut self) -> Option<String> {
        loop {
            let Self { tasks, feeds, sinks, .. } = self;
            let ended = tokio::select! {
                biased;
                ended = tasks.join_next() => return ended.and_then(|ended| ended.err()).map(|failed| format!("a task of the edge failed: {failed}")),
                why = sinks.failed() => return Some(why),
                Some(ended) = feeds.tasks.join_next() => ended,
            };
            if let Err(failed) = ended {
                return Some(format!("a discovery failed: {failed}"));
            }
        }
    }

    /// Reads other jobs from now on (see [`reload`]), and pushes to other clients if `clients_changed`; false when a part of the edge has ended.
    pub async fn reload(&mut self, mut prepared: Prepared, discover_every: Duration, clients_changed: bool) -> bool {
        if clients_changed && self.sinks.replace(std::mem::take(&mut prepared.clients)).await.is_err() {
            return false;
        }
        let before = self.feeds.own_stop.clone();
        self.feeds.start(&mut prepared.jobs);
        let (done, told) = oneshot::channel();
        let Prepared { jobs, limits, external_labels, .. } = prepared;
        let order = Order::Reload(Box::new(Reload { jobs, limits, external_labels, discover_every, done }));
        let taken = self.orders.send(order).await.is_ok() && told.await.is_ok();
        before.cancel();
        taken
    }
}

async fn open_wal(prepared: &mut Prepared, has_hub: bool, world: &World) -> Result<(Wal, Recovered), WalFault> {
    let (settings, disk, entropy) = (prepared.wal.clone(), Arc::clone(&world.disk), world.entropy.fork("wal"));
    let (now, imported) = (Timestamp(world.clock.now_ns()), std::mem::take(&mut prepared.imported));
    let open = move || {
        let (mut wal, mut recovered) = Wal::open(settings, disk, &entropy, now)?;
        // Where records are damaged, what told that a hub had a track may be among them.
        if has_hub && recovered.bad_records == 0 {
            match wal.begin_for_hub() {
                Ok(()) | Err(WalFault::DiskFull { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        import::keep(imported, &mut wal, &mut recovered)?;
        Ok((wal, recovered))
    };
    let (wal, recovered) = world.workers.run(open).await?;
    if recovered.torn_bytes > 0 || recovered.bad_records > 0 {
        tracing::warn!(
            torn_bytes = recovered.torn_bytes,
            bad_records = recovered.bad_records,
            "the WAL was not closed in peace; it was read to its last sound record"
        );
    }
    for lost in &recovered.lost {
        tracing::error!(from = lost.from.0, to = lost.to.0, reason = lost.reason, "batches in the WAL are damaged and become a gap");
    }
    Ok((wal, recovered))
}

/// When this edge was last at work: when its WAL was written last, now if it has none yet. Files that came since and were rotated before
/// they are found are read all the same.
async fn last_written(prepared: &Prepared, world: &World) -> Timestamp {
    let (dir, disk, now) = (prepared.wal.dir.clone(), Arc::clone(&world.disk), Timestamp(world.clock.now_ns()));
    let newest = move || {
        let names = disk.list(&dir).unwrap_or_default().into_iter().map(|entry| dir.join(entry.name));
        names.filter_map(|file| disk.state(&file).ok()).filter(|state| state.kind == FileKind::File).map(|state| state.modified_ns).max()
    };
    world.workers.run(newest).await.map_or(now, |written| now.min(Timestamp(written)).minus(AWAY_SLACK))
}

/// What the pages are to know of the WAL.
fn tell(status: &Status, prepared: &Prepared, recovered: &Recovered) {
    status.wal_limit(prepared.wal.max_bytes);
    for lost in &recovered.lost {
        status.lost(&lost.reason, lost.lines);
    }
}

fn chance(world: &World) -> u16 {
    u16::try_from(world.entropy.fork("canary").below(1 << 16)).unwrap_or_default()
}

/// The track that new batches join: the newest that is not closed, or one begun now where damage left none.
fn newest_track(wal: &mut Wal) -> Result<TrackId, WalFault> {
    let open = wal.tracks().into_iter().filter(|track| !track.closed).map(|track| track.track).max();
    open.map_or_else(|| wal.new_track(), Ok)
}
