//! Files and deliveries -> pipeline -> batch -> WAL: the edge's way in, one task.
//!
//! Parts: [`Collector::run`] (the loop: discover, turn, freeze, sync; between turns the shipper's orders), `Desk` (what moves to a worker for each
//! turn, since files and the WAL block), `write` (its last step), `report` (what pages and counters are told),
//! `adopt` and `rejoin` (the hub's word). Promises: a batch and the positions after it are one WAL record;
//! the durable mark moves only after a sync, and so are senders answered; files and deliveries take turns, a batch each; when the
//! WAL is full or the disk fails, reading stops: the files and the senders are the buffer. Must not do: talk to the hub.

mod adopt;
mod rejoin;
mod report;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edge_wal::{Room, SourcePosition, WalFault};
use proto_model::{Timestamp, TrackId};
use proto_seam::{Disk, World};
use proto_wire::FrozenBatch;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::discover::discover_listed;
use crate::discover::files::Listing;
use crate::gather::Gather;
use crate::metrics::EdgeMetrics;
use crate::receive::Delivery;
use crate::receive::streams::Streams;
use crate::reload::Reload;
use crate::ship::{Adoption, Mark, Order, SharedWal};
use crate::status::Status;
use crate::tail::source::read::LineCount;
use crate::tail::{Missed, Tail};
use adopt::Owed;

/// Bytes read in one turn: long enough that a worker is worth it, short enough that an ack is noticed.
const TURN_BYTES: u64 = 8 * 1024 * 1024;
/// Longest sleep of the loop.
const IDLE_MAX: Duration = Duration::from_millis(500);
/// Between two tries while the WAL has no room or the disk fails.
const STALLED: Duration = Duration::from_millis(250);
/// With positions in doubt, reading waits so long for the hub's word on them: no longer, since lines must be kept.
const HUB_WAIT_MAX: Duration = Duration::from_secs(60);
/// The wall clock may go so much ahead of or behind the steady one between two turns before it counts as set.
const CLOCK_STEP_MIN_NS: i64 = 100_000_000;
/// Deliveries taken in one turn: what they hold is bounded by the intake.
const TURN_DELIVERIES: usize = 64;

/// The edge's way in.
pub struct Collector {
    desk: Option<Box<Desk>>,
    status: Status,
    world: World,
    orders: mpsc::Receiver<Order>,
    deliveries: Option<mpsc::Receiver<Delivery>>,
    durable: watch::Sender<Mark>,
    began: Instant,
    stop: CancellationToken,
}

/// The time of one turn.
#[derive(Debug, Clone, Copy)]
struct Now {
    wall: Timestamp,
    /// Since the start, by a clock that nobody sets.
    steady: Timestamp,
}

struct Desk {
    tail: Tail,
    streams: Streams,
    gather: Gather,
    wal: SharedWal,
    disk: Arc<dyn Disk>,
    track: TrackId,
    discover_every: Duration,
    /// When the last turn was: if the two clocks went apart since, the wall clock was set.
    last_turn: Option<Now>,
    /// Positions are in doubt: reading waits for the hub's word, until this steady time.
    hub_awaited_until: Option<Timestamp>,
    /// What the WAL knew of the sources when it was opened.
    recovered: Vec<SourcePosition>,
    next_discovery: Timestamp,
    next_report: Timestamp,
    missed: Vec<Missed>,
    /// Losses that positions bear until they are told, and those positions.
    owed: Owed,
    /// A batch, or positions alone, that the WAL could not take yet: its lines are read, so it is kept until it is written.
    pending: Option<(Option<FrozenBatch>, Vec<SourcePosition>)>,
    metrics: EdgeMetrics,
    status: Status,
    /// Read from files since the start, by the name of the job.
    read_of: BTreeMap<String, LineCount>,
}

/// What a turn came to.
struct Done {
    durable: Mark,
    sleep: Duration,
    /// All deliveries are gathered and there is room: more may come.
    takes_deliveries: bool,
}

/// What the collector is made of.
pub struct CollectorParts {
    /// All sources.
    pub tail: Tail,
    /// The batch being filled.
    pub gather: Gather,
    /// Where batches go.
    pub wal: SharedWal,
    /// The track new batches join.
    pub track: TrackId,
    /// Between two discoveries.
    pub discover_every: Duration,
    /// Counters.
    pub metrics: EdgeMetrics,
    /// What pages show.
    pub status: Status,
    /// The world.
    pub world: World,
    /// What the WAL knew of the sources when it was opened.
    pub recovered: Vec<SourcePosition>,
    /// The WAL was damaged: where the hub knows a source further on, its word is better.
    pub positions_doubtful: bool,
    /// Orders to be carried out.
    pub orders: mpsc::Receiver<Order>,
    /// What receivers hand in; `None` = there are none.
    pub deliveries: Option<mpsc::Receiver<Delivery>>,
    /// Newest durable sequence.
    pub durable: watch::Sender<Mark>,
    /// Ends the collecting.
    pub stop: CancellationToken,
}

impl Collector {
    /// From its parts.
    #[must_use]
    pub fn new(parts: CollectorParts) -> Self {
        let owed = Owed::of(&parts.recovered, Timestamp(parts.world.clock.now_ns()));
        let desk = Desk {
            streams: Streams::new(parts.tail.jobs(), &parts.recovered, Timestamp(parts.world.clock.now_ns())),
            tail: parts.tail,
            gather: parts.gather,
            wal: parts.wal,
            disk: Arc::clone(&parts.world.disk),
            track: parts.track,
            discover_every: parts.discover_every,
            last_turn: None,
            hub_awaited_until: parts.positions_doubtful.then(|| Timestamp(0).plus(HUB_WAIT_MAX)),
            recovered: parts.recovered,
            next_discovery: Timestamp::MIN,
            next_report: Timestamp::MIN,
            missed: Vec::new(),
            owed,
            pending: None,
            metrics: parts.metrics,
            status: parts.status.clone(),
            read_of: BTreeMap::new(),
        };
        let (world, began) = (parts.world, Instant::now());
        Self {
            desk: Some(Box::new(desk)),
            status: parts.status,
            world,
            orders: parts.orders,
            deliveries: parts.deliveries,
            durable: parts.durable,
            began,
            stop: parts.stop,
        }
    }

    fn now(&self) -> Now {
        Now { wall: Timestamp(self.world.clock.now_ns()), steady: Timestamp(0).plus(self.began.elapsed()) }
    }

    async fn at_desk<T: Send + 'static>(&mut self, act: impl FnOnce(&mut Desk) -> T + Send + 'static) -> T {
        let mut desk = self.desk.take().expect("the desk is back after every turn");
        let (desk, value) = self
            .world
            .workers
            .run(move || {
                let value = act(&mut desk);
                (desk, value)
            })
            .await;
        self.desk = Some(desk);
        value
    }

    /// Collects until told to stop; then what was gathered is made durable.
    pub async fn run(mut self) {
        let mut handed_in = Vec::new();
        loop {
            let now = self.now();
            let deliveries = std::mem::take(&mut handed_in);
            let done = self.at_desk(move |desk| desk.turn(now, deliveries)).await;
            self.tell(done.durable);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(order) = self.orders.recv() => self.obey(order).await,
                () = self.status.snapshot_wanted() => self.at_desk(move |desk| desk.show(now.wall)).await,
                Some(delivery) = next(&mut self.deliveries), if done.takes_deliveries => {
                    handed_in.push(delivery);
                    self.take_more(&mut handed_in, TURN_DELIVERIES);
                }
                () = tokio::time::sleep(done.sleep) => {}
            }
        }
        self.take_more(&mut handed_in, usize::MAX);
        let now = self.now().wall;
        let durable = self.at_desk(move |desk| desk.close(now, handed_in)).await;
        self.tell(durable);
    }

    /// What is handed in already, up to `most`.
    fn take_more(&mut self, handed_in: &mut Vec<Delivery>, most: usize) {
        let Some(deliveries) = &mut self.deliveries else { return };
        while let Some(delivery) = (handed_in.len() < most).then(|| deliveries.try_recv().ok()).flatten() {
            handed_in.push(delivery);
        }
    }

    fn tell(&self, durable: Mark) {
        self.durable.send_if_modified(|mark| {
            let moved = *mark != durable;
            *mark = durable;
            moved
        });
    }

    async fn obey(&mut self, order: Order) {
        let now = self.now();
        match order {
            Order::Adopt(adoption) => self.adopt(adoption, now).await,
            Order::BeginTrack(track, done) => {
                let begun = self.at_desk(move |desk| desk.begin_track(track)).await;
                drop(done.send(begun));
                let durable = self.at_desk(|desk| desk.durable()).await;
                self.tell(durable);
            }
            Order::Reload(reload) => self.at_desk(move |desk| desk.reload(*reload, now.wall)).await,
            Order::HubPositions(positions) => self.at_desk(move |desk| desk.hub_told(positions)).await,
        }
    }

    async fn adopt(&mut self, adoption: Adoption, now: Now) {
        let (producer, last) = (adoption.producer, adoption.last);
        tracing::warn!(%producer, last = last.0, "the hub knows this edge from a WAL that is gone: reading continues where the hub stands");
        let (result, done) = self.at_desk(move |desk| desk.adopt(adoption, now.wall)).await;
        let durable = self.at_desk(|desk| desk.durable()).await;
        self.tell(durable);
        drop(done.send(result));
    }
}

/// The next delivery; waits for ever where nobody hands any in.
async fn next(deliveries: &mut Option<mpsc::Receiver<Delivery>>) -> Option<Delivery> {
    match deliveries {
        Some(deliveries) => deliveries.recv().await,
        None => std::future::pending().await,
    }
}

impl Desk {
    fn lock(&self) -> std::sync::MutexGuard<'_, edge_wal::Wal> {
        self.wal.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What is gathered from now on goes to a new track; the one before is durable as a whole then.
    fn begin_track(&mut self, known: Option<TrackId>) -> Result<TrackId, WalFault> {
        let track = {
            let mut wal = self.lock();
            wal.sync()?;
            known.map_or_else(|| wal.new_track(), Ok)?
        };
        self.track = track;
        Ok(track)
    }

    /// Reads other jobs from now on; what they name still goes on at its position.
    fn reload(&mut self, reload: Reload, now: Timestamp) {
        let Reload { jobs, limits, external_labels, discover_every, done } = reload;
        self.count_jobs();
        self.tail.reload(jobs, now);
        self.discovered();
        self.gather.set_rules(limits, external_labels);
        self.discover_every = discover_every;
        self.discover(now);
        if done.send(()).is_err() {
            tracing::debug!("nobody waits for the reload any more");
        }
    }

    /// The wall clock was set: what waits by it must not wait longer or shorter.
    fn heed_clock(&mut self, now: Now) {
        if let Some(last) = self.last_turn {
            let (wall, steady) = (now.wall.nanos().saturating_sub(last.wall.nanos()), now.steady.nanos().saturating_sub(last.steady.nanos()));
            let step = wall.saturating_sub(steady);
            if step.saturating_abs() >= CLOCK_STEP_MIN_NS {
                self.tail.clock_stepped(step);
                self.streams.clock_stepped(step);
            }
            if now.wall < last.wall {
                (self.next_discovery, self.next_report) = (now.wall, now.wall);
                self.tail.set_back(now.wall);
            }
        }
        self.last_turn = Some(now);
    }

    fn turn(&mut self, times: Now, deliveries: Vec<Delivery>) -> Done {
        self.streams.accept(deliveries);
        self.heed_clock(times);
        let now = times.wall;
        if now >= self.next_discovery || self.tail.wants_search(now) {
            self.discover(now);
        }
        if now >= self.next_report {
            self.report(now);
        }
        if self.hub_awaited_until.is_some_and(|until| times.steady < until) {
            return self.stalled();
        }
        if self.hub_awaited_until.take().is_some() {
            tracing::warn!("the hub cannot be asked how far it has the sources: some lines may be read a second time");
        }
        match self.make_room(now).and_then(|room| if room { self.read(now).map(Some) } else { Ok(None) }) {
            Ok(None) => {
                self.status.stalled(true);
                let looked = self.tail.look_around(now, &mut self.gather);
                self.metrics.read(&looked.count, &looked.counters);
                self.missed.extend(looked.missed);
                self.stalled()
            }
            read => self.turned(read),
        }
    }

    fn turned(&self, read: Result<Option<Duration>, WalFault>) -> Done {
        self.status.stalled(read.is_err());
        match read.map(Option::unwrap_or_default) {
            Ok(sleep) => Done { durable: self.durable(), sleep, takes_deliveries: self.streams.is_empty() },
            Err(fault) => {
                tracing::error!(%fault, "the WAL cannot be written: reading stops until it can");
                self.metrics.wal_failed();
                self.stalled()
            }
        }
    }

    fn stalled(&self) -> Done {
        Done { durable: self.durable(), sleep: STALLED, takes_deliveries: false }
    }

    /// Sees to it that a batch fits into the WAL, by the policy; false = stop reading.
    fn make_room(&self, now: Timestamp) -> Result<bool, WalFault> {
        let mut wal = self.lock();
        let mut lost = wal.drop_aged(now)?;
        let wanted = self.gather.raw_bytes();
        let room = match wal.has_room(wanted) {
            Room::Yes => true,
            Room::Block => false,
            Room::DropOldest => {
                lost.extend(wal.drop_oldest(wanted, now)?);
                true
            }
        };
        drop(wal);
        for lost in lost {
            tracing::error!(reason = lost.reason, lines = ?lost.lines, from = lost.from.0, to = lost.to.0, "batches were given up");
            self.status.lost(&lost.reason, lost.lines);
        }
        Ok(room)
    }

    fn durable(&self) -> Mark {
        Mark { track: self.track, sequence: self.lock().durable(self.track) }
    }

    fn discover(&mut self, now: Timestamp) {
        let mut troubles = Vec::new();
        let changed = self.tail.refresh(now);
        self.next_discovery = now.plus(self.discover_every);
        if changed || self.next_report == Timestamp::MIN {
            self.discovered();
        } else if !self.tail.needs_search(now) {
            return;
        }
        let mut listing = Listing::new(self.disk.as_ref());
        let found = discover_listed(self.tail.jobs(), &mut listing, &mut |why| troubles.push(why));
        for why in troubles {
            tracing::warn!(why, "a directory cannot be searched");
        }
        self.tail.found(&found, now);
        self.tail.cover(&listing, &found, now);
    }

    /// Reads one turn and writes what became full or due. Gives how long to sleep.
    fn read(&mut self, now: Timestamp) -> Result<Duration, WalFault> {
        self.tell_owed(now)?;
        if self.pending.is_some() {
            self.freeze(now)?;
        }
        self.gather.sing(now);
        let mut budget = TURN_BYTES;
        let mut more = true;
        while more && budget > 0 && self.gather.wait(now).is_zero() {
            let turn = self.tail.turn(now, budget, &mut self.gather);
            budget = budget.saturating_sub(turn.count.bytes);
            more = turn.more;
            self.metrics.read(&turn.count, &turn.counters);
            self.missed.extend(turn.missed);
            if self.gather.is_full() {
                self.freeze(now)?;
            }
            let handed_in = self.take_deliveries(now)?;
            budget = budget.saturating_sub(handed_in);
            more |= !self.streams.is_empty();
            if turn.count.bytes == 0 && handed_in == 0 {
                break;
            }
        }
        if !self.missed.is_empty() || self.streams.is_due(now) || self.gather.due_in(now).is_some_and(|due| due.is_zero()) {
            self.freeze(now)?;
        }
        self.lock().sync()?;
        self.streams.synced();
        let given = self.gather.take_given();
        self.metrics.limited(&given);
        self.status.limited(&given.0);
        let (due, wait) = (self.gather.due_in(now).unwrap_or(IDLE_MAX).min(self.streams.due_in(now)), self.gather.wait(now));
        if !wait.is_zero() {
            return Ok(wait.min(due).min(IDLE_MAX));
        }
        if more {
            return Ok(Duration::ZERO);
        }
        Ok(due.min(self.tail.due_in(now)).min(IDLE_MAX).max(Duration::from_millis(5)))
    }

    /// Gathers deliveries until a batch is full or there are no more. Gives their bytes.
    fn take_deliveries(&mut self, now: Timestamp) -> Result<u64, WalFault> {
        let taken = self.streams.turn(now, &mut self.gather);
        self.metrics.read(&taken.count, &taken.counters);
        if taken.batch_is_full || self.gather.is_full() {
            self.freeze(now)?;
        }
        // An empty line is work too.
        Ok(taken.count.bytes + taken.count.lines)
    }
}
