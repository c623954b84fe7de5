//! What each session sends, and how fast it may: between the sessions and the pace.
//!
//! Parts: [`Meters`], all sessions; [`Meter`], one; [`Gauge`], what the sealers took; [`run`], the task that looks once a
//! second and tells the sessions. What is decided is [`crate::pace`]'s. Must not do: send.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hub_store::Store;
use proto_model::{TenantId, Timestamp};
use proto_seam::World;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::limits::{BEHIND_BYTES, BEHIND_OBJECTS, PACE_EVERY};
use crate::metrics::IngestMetrics;
use crate::pace::{Asking, Decision, Load, Pace};
use crate::request::Speaker;
use crate::room::Rooms;

/// Looks over which rates are taken.
const WINDOW_LOOKS: usize = 5;

#[derive(Debug)]
struct Row {
    speaker: Speaker,
    tenant: Mutex<Option<TenantId>>,
    /// Bytes since it began.
    sent: AtomicU64,
    /// `None`: it may send all it likes.
    slow: watch::Sender<Option<u64>>,
}

/// All sessions; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Meters {
    rows: Arc<Mutex<BTreeMap<u64, Arc<Row>>>>,
    next: Arc<AtomicU64>,
}

/// One session; leaves when dropped.
#[derive(Debug)]
pub struct Meter {
    all: Meters,
    id: u64,
    row: Arc<Row>,
}

impl Meters {
    /// A session begins.
    #[must_use]
    pub fn enter(&self, speaker: &Speaker, tenant: Option<TenantId>) -> Meter {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let row = Arc::new(Row { speaker: speaker.clone(), tenant: Mutex::new(tenant), sent: AtomicU64::new(0), slow: watch::Sender::new(None) });
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&row));
        Meter { all: self.clone(), id, row }
    }

    /// Sessions that stand.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn list(&self) -> Vec<(u64, Arc<Row>)> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(id, row)| (*id, Arc::clone(row))).collect()
    }
}

impl Meter {
    /// A batch came, while the edge's cluster was in `tenant`.
    pub fn sent(&self, bytes: usize, tenant: Option<&TenantId>) {
        self.row.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        let mut known = self.row.tenant.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() != tenant {
            *known = tenant.cloned();
        }
    }

    /// How fast it may send.
    #[must_use]
    pub fn slow(&self) -> watch::Receiver<Option<u64>> {
        self.row.slow.subscribe()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.all.rows.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// What the sealers took; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Gauge {
    taken: Arc<AtomicU64>,
    /// When the object under way in the own lane was begun, ns; 0 for none.
    since: Arc<AtomicI64>,
}

impl Gauge {
    /// An object is begun.
    pub fn begin(&self, now: Timestamp) {
        self.since.store(now.nanos().max(1), Ordering::Relaxed);
    }

    /// So many bytes stand.
    pub fn took(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What was begun is over.
    pub fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    fn under_way(&self, now: Timestamp) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => now.since(Timestamp(since)),
        }
    }
}

/// Counts as of one look.
#[derive(Debug, Clone, Default)]
struct Counts {
    at: Timestamp,
    taken: u64,
    sent: BTreeMap<u64, u64>,
}

/// The last few looks.
#[derive(Debug, Default)]
struct Window {
    counts: VecDeque<Counts>,
    allowed: BTreeMap<Speaker, u64>,
}

impl Window {
    fn add(&mut self, counts: Counts) {
        self.counts.push_back(counts);
        while self.counts.len() > WINDOW_LOOKS + 1 {
            self.counts.pop_front();
        }
    }

    /// Bytes a second taken, and sent by each edge, between the first and the last look.
    fn rates(&self, rows: &[(u64, Arc<Row>)]) -> (u64, BTreeMap<Speaker, Asking>) {
        let (Some(first), Some(last)) = (self.counts.front(), self.counts.back()) else { return Default::default() };
        let ms = u64::try_from(last.at.since(first.at).as_millis()).unwrap_or(0).max(1);
        let a_second = |bytes: u64| bytes.saturating_mul(1_000) / ms;
        let mut asking: BTreeMap<Speaker, Asking> = BTreeMap::new();
        for (id, row) in rows {
            let sent = last.sent.get(id).copied().unwrap_or(0).saturating_sub(first.sent.get(id).copied().unwrap_or(0));
            let tenant = row.tenant.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let allowed = self.allowed.get(&row.speaker).copied();
            let asked = asking.entry(row.speaker.clone()).or_insert(Asking { tenant, sent: 0, allowed });
            asked.sent += a_second(sent);
        }
        (a_second(last.taken.saturating_sub(first.taken)), asking)
    }
}

/// Looks once a second how the store does, and tells the sessions how fast they may send.
pub async fn run(meters: Meters, gauge: Gauge, rooms: Rooms, store: Arc<Store>, metrics: IngestMetrics, world: World, stop: CancellationToken) {
    let (mut pace, mut window) = (Pace::default(), Window::default());
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PACE_EVERY) => {}
        }
        let (rows, now) = (meters.list(), Timestamp(world.clock.now_ns()));
        let sent = rows.iter().map(|(id, row)| (*id, row.sent.load(Ordering::Relaxed))).collect();
        window.add(Counts { at: now, taken: gauge.taken.load(Ordering::Relaxed), sent });
        let (taken, asking) = window.rates(&rows);
        let behind = store.behind().iter().any(|lane| Some(lane.lane) == store.own_lane() && (lane.objects > BEHIND_OBJECTS || lane.bytes > BEHIND_BYTES));
        let offered = asking.values().map(|asked| asked.sent).sum();
        let load = Load { waiting: rooms.taken(), budget: rooms.budget(), offered, taken, seal: gauge.under_way(now), behind };
        let was = pace.slowed();
        let decision = pace.look(&load, &asking);
        if pace.slowed() != was {
            tracing::warn!(slowed = pace.slowed(), waiting = load.waiting, offered, taken, behind, "the pace of edges changes: the store is slow or recovered");
        }
        metrics.slowed(pace.slowed());
        tell(&mut window, &rows, decision);
    }
}

fn tell(window: &mut Window, rows: &[(u64, Arc<Row>)], decision: Decision) {
    match decision {
        Decision::Free => {}
        Decision::Release => {
            window.allowed.clear();
            for (_, row) in rows {
                row.slow.send_replace(None);
            }
        }
        Decision::Slow(shares) => {
            let mut sessions: BTreeMap<&Speaker, u64> = BTreeMap::new();
            for (_, row) in rows {
                *sessions.entry(&row.speaker).or_default() += 1;
            }
            for (_, row) in rows {
                // An edge that has several sessions splits its share among them.
                let share = shares.get(&row.speaker).map(|share| share / sessions.get(&row.speaker).copied().unwrap_or(1).max(1));
                row.slow.send_replace(share);
            }
            window.allowed = shares;
        }
    }
}
