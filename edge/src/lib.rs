//! The edge: discover -> tail -> pipeline -> gather -> WAL -> ship.
//!
//! [`run`] is that path written down, in its order. Parts: [`discover`] (which files), [`tail`] (their lines,
//! fairly), [`receive`] (what is sent to the edge, or pulled from other programs), `edge_pipeline` (what becomes of a line), [`gather`] (records to one batch), `edge_wal` (the only
//! WAL of the system; positions ride in the same record), [`collect`] (drives all that), [`ship`] (WAL to hub,
//! acks back). Beside the path: [`canary`] (known lines among the others), [`settings`], [`status`], [`pages`], [`metrics`].
//!
//! Promises: a line that was read is in the WAL with the position after it, or will be read again; nothing
//! leaves the WAL before the hub acknowledged it, but by a written policy, counted, with a loss record.
//! Must not do: touch disk, clock or chance but through the [`World`].

pub mod canary;
pub mod collect;
pub mod discover;
pub mod gather;
pub mod limit;
pub mod metrics;
pub mod pages;
pub mod receive;
pub mod settings;
pub mod ship;
pub mod status;
pub mod tail;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_wal::{Recovered, Wal, WalFault};
use proto_boot::Metrics;
use proto_link::Dial;
use proto_model::{Timestamp, TrackId};
use proto_seam::World;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use canary::Canary;
use collect::{Collector, CollectorParts};
use gather::Gather;
use metrics::EdgeMetrics;
use receive::streams::is_stream;
use settings::Prepared;
use ship::{Mark, Shipper};
use status::Status;
use tail::Tail;

/// What an edge is run with.
pub struct EdgeParts {
    /// Checked settings.
    pub prepared: Prepared,
    /// Between two searches for files.
    pub discover_every: Duration,
    /// Bytes a second to the hub; 0 = no limit.
    pub bandwidth: u64,
    /// How sessions are made.
    pub dial: Arc<dyn Dial>,
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
}

/// Opens the WAL, then starts reading and shipping; both end after `stop`.
///
/// # Errors
/// [`WalFault`] when the WAL cannot be opened: another edge holds it, it is of a newer version, its
/// directory cannot be written.
pub async fn run(parts: EdgeParts, stop: &CancellationToken) -> Result<Edge, WalFault> {
    let EdgeParts { mut prepared, discover_every, bandwidth, dial, metrics, status, deliveries, world } = parts;
    let (wal, recovered) = open_wal(&prepared, &world).await?;
    let track = newest_track(&recovered);
    for lost in &recovered.lost {
        status.lost(&lost.reason, lost.lines);
    }
    let (durable, durable_mark) = watch::channel(Mark { track, sequence: wal.durable(track) });
    let reader = wal.reader();
    let wal = Arc::new(Mutex::new(wal));
    let (orders, orders_taken) = mpsc::channel(1);
    let canary = prepared.canary.as_ref().map(|parts| Canary::new(parts, chance(&world), Timestamp(world.clock.now_ns())));
    let mut tasks = JoinSet::new();
    discover::feeds::start(&mut prepared.jobs, &prepared.wal.dir.join("discovery"), &world, &mut tasks, stop);
    let collector = Collector::new(CollectorParts {
        tail: Tail::new(Arc::clone(&world.disk), prepared.jobs, recovered.positions.iter().filter(|position| !is_stream(position)).cloned()),
        gather: Gather::new(prepared.gather).with_canary(canary),
        wal: Arc::clone(&wal),
        track,
        discover_every,
        metrics: EdgeMetrics::new(&metrics),
        status: status.clone(),
        world: world.clone(),
        recovered: recovered.positions,
        positions_doubtful: recovered.positions_doubtful,
        orders: orders_taken,
        deliveries,
        durable,
        stop: stop.clone(),
    });
    let shipper = Shipper {
        world,
        wal,
        wal_id: recovered.wal_id,
        reader,
        dial,
        targets: prepared.targets,
        durable: durable_mark,
        orders,
        status,
        bandwidth,
        backlog_mille: prepared.backlog_mille,
        began: tokio::time::Instant::now(),
        stop: stop.clone(),
    };
    tasks.spawn(collector.run());
    tasks.spawn(shipper.run());
    Ok(Edge { tasks })
}

impl Edge {
    /// Waits until all tasks have ended; a task that failed is told.
    pub async fn ended(mut self) -> Result<(), String> {
        let mut result = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(failed) = ended {
                result = Err(format!("a task of the edge failed: {failed}"));
            }
        }
        result
    }

    /// Waits until any task ends: before a stop, only a failure can do that.
    pub async fn failed(&mut self) -> Option<String> {
        match self.tasks.join_next().await {
            Some(Err(failed)) => Some(format!("a task of the edge failed: {failed}")),
            Some(Ok(())) | None => None,
        }
    }
}

async fn open_wal(prepared: &Prepared, world: &World) -> Result<(Wal, Recovered), WalFault> {
    let (settings, disk, entropy) = (prepared.wal.clone(), Arc::clone(&world.disk), world.entropy.fork("wal"));
    let now = Timestamp(world.clock.now_ns());
    let (wal, recovered) = world.workers.run(move || Wal::open(settings, disk, &entropy, now)).await?;
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

fn chance(world: &World) -> u16 {
    u16::try_from(world.entropy.fork("canary").below(1 << 16)).unwrap_or_default()
}

fn newest_track(recovered: &Recovered) -> TrackId {
    recovered.tracks.iter().filter(|track| !track.closed).map(|track| track.track).max().unwrap_or(TrackId(1))
}
