//! One simulation: hosts on a floor, a driver that writes lines, brings faults, and checks at each step.
//!
//! Parts: [`Cluster`] with [`Cluster::step`] (one tick: software, landing writes, deaths, checks); verbs for directed
//! tests (crash, restart, freeze, cut); `work` (lines and pushes), `faults` (what befalls), `judge` (what must hold, and the liveness half). Promises: the
//! order of everything follows from the seed. Must not do: look into hosts but through what their pages show.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto_seam::{Disk, Entropy};
use tests::disk::SimDisk;
use tests::invariants;
use tests::ledger::Ledger;
use tests::net::Weather;
use tests::objects::{ALL, Bucket};
use tests::quic::{CLUSTERS, EDGES};
use tests::world::{Fired, Trace, Wall};

use crate::floor::{Floor, Way};
use crate::hosts::{EdgeHost, Ground, HubHost, LOG_DIR, TENANTS_FILE};
use crate::swarm::Swarm;

mod faults;
mod judge;
mod operators;
mod work;

/// One step of simulated time.
pub const TICK: Duration = Duration::from_millis(5);
/// After the last fault everything has drained within this: the longest backoffs and timeouts twice over.
pub const DRAIN_MAX: Duration = Duration::from_secs(300);
/// Then every query is answered within this: the longest timeout of a request to the store, and tries after it.
pub const ANSWER_MAX: Duration = Duration::from_secs(90);
/// And what lies in lanes is absorbed and collected within this.
pub const TIDY_MAX: Duration = Duration::from_secs(120);
/// A WAL passes its limit by one record at most: a batch of the largest setting, a long line, positions.
/// And by one file: a power cut may bring back one that was just removed.
const WAL_FILE_BYTES: u64 = 64 * 1024;
const WAL_SLACK_BYTES: u64 = 48 * 1024;
/// The tenants.
pub const TENANTS: [&str; 2] = ["acme", "blue"];
/// A cluster of each tenant that never moves and has no edges, so that the tenant can always be asked.
const SPARE: [&str; 2] = ["spare-acme", "spare-blue"];
/// What is acknowledged is found by every hub that is asked so long after it.
const VISIBLE_AFTER: Duration = Duration::from_secs(2);

pub struct Cluster {
    pub swarm: Swarm,
    pub floor: Floor,
    pub edges: Vec<Arc<EdgeHost>>,
    pub hubs: Vec<Arc<HubHost>>,
    pub ground: Ground,
    pub fired: Fired,
    pub ledger: Ledger,
    entropy: Entropy,
    /// Hosts that are down, and when they start again.
    down: BTreeMap<String, Duration>,
    /// Links that are cut or held, and until when.
    links: BTreeMap<(String, String), Duration>,
    /// Hosts that are frozen (or held, where a floor cannot freeze), and until when.
    frozen: BTreeMap<String, Duration>,
    store_held: Option<Duration>,
    /// Newest ack by producer, as edges told it; and as of earlier moments.
    acked: BTreeMap<String, u64>,
    acked_before: VecDeque<(Duration, BTreeMap<String, u64>)>,
    /// Lines of each tenant that were acknowledged well before a query was asked.
    acked_when_asked: BTreeMap<(u64, &'static str), u64>,
    /// Hosts that do not come back.
    retired: BTreeSet<String>,
    /// Edges whose lines need not arrive any more.
    revoked: BTreeSet<usize>,
    /// Clusters whose losses, if counted, are no breach.
    may_lose: BTreeSet<&'static str>,
    /// Some operator's doing is expected to end in quarantine.
    may_quarantine: bool,
    /// Which tenant each cluster belongs to, and the map's version.
    owners: Vec<usize>,
    map: u64,
    /// Maps that hubs have not got yet: when, which hub, what.
    maps_due: Vec<(Duration, usize, String)>,
    pushes: BTreeMap<u64, work::PendingPush>,
    pushed: u64,
    full: BTreeSet<String>,
    rotations: BTreeMap<(usize, usize), usize>,
    half: BTreeMap<(usize, usize), Vec<u8>>,
    backups: BTreeMap<usize, tests::disk::Image>,
    /// Per tenant, whether its last delete is known to be in force.
    pub deleted: BTreeMap<String, bool>,
    /// Producers that an operator released.
    released: BTreeSet<String>,
    /// Edges whose WAL was restored, copied, or lost its end.
    set_back: BTreeSet<usize>,
    /// A copy of an edge, and when it is switched off.
    clone: Option<(String, Duration)>,
    release_again: Duration,
    /// The bucket was: edges may know acks of what stands no more, for as long as no hub told them.
    rolled_back: bool,
    /// Of one edge at once.
    most_tracks: usize,
    stamp: i64,
    /// By so much the time of lines goes faster than all else: so many days pass.
    pub days_fold: i64,
    asked: u64,
}

/// What a simulation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub trace: u64,
    pub events: u64,
    /// The next number of each generator that a host was given.
    pub next: Vec<u64>,
    pub simulated_ms: u128,
    pub edges: usize,
    pub hubs: usize,
    pub lines: u64,
    pub batches: u64,
    pub packets: u64,
    pub objects: u64,
    pub requests: u64,
    pub fired: BTreeMap<&'static str, u64>,
}

/// The tenant map of these owners.
fn map_text(version: u64, owners: &[usize]) -> String {
    let clusters = |tenant: usize| {
        let own = owners.iter().enumerate().filter(|(_, owner)| **owner == tenant).map(|(at, _)| CLUSTERS[at]);
        std::iter::once(SPARE[tenant]).chain(own).collect::<Vec<_>>().join(", ")
    };
    let tenants: String = (0..TENANTS.len()).map(|at| format!("  {}: {{clusters: [{}]}}\n", TENANTS[at], clusters(at))).collect();
    format!("version: {version}\ntenants:\n{tenants}")
}

impl Cluster {
    pub fn new(swarm: Swarm) -> Self {
        let root = Entropy::seeded(swarm.seed);
        let (trace, fired) = (Trace::default(), Fired::default());
        let mut floor = if swarm.sockets { Floor::sockets(swarm.seed, swarm.latency_ms_max) } else { Floor::direct(&root, swarm.latency_ms_max) };
        let ground = Ground {
            bucket: Bucket::new(&root, trace.clone(), fired.clone()),
            entropy: root.fork("hosts"),
            trace,
            weather: Weather::default(),
            net: floor.net(),
            worlds: Arc::default(),
        };
        let owners: Vec<usize> = (0..swarm.edges).map(|at| if swarm.tenants == 2 { at % 2 } else { 0 }).collect();
        let text = map_text(1, &owners);
        let hubs: Vec<_> = (0..swarm.hubs).map(|at| Self::hub(&mut floor, &swarm, &ground, at, &text)).collect();
        let edges: Vec<_> = (0..swarm.edges).map(|at| Self::edge(&mut floor, &swarm, &ground, at, &root)).collect();
        let mut cluster = Self {
            floor,
            edges,
            hubs,
            ground,
            fired,
            ledger: Ledger::default(),
            entropy: root.fork("driver"),
            down: BTreeMap::new(),
            links: BTreeMap::new(),
            frozen: BTreeMap::new(),
            store_held: None,
            acked: BTreeMap::new(),
            acked_before: VecDeque::new(),
            acked_when_asked: BTreeMap::new(),
            retired: BTreeSet::new(),
            revoked: BTreeSet::new(),
            may_lose: BTreeSet::new(),
            may_quarantine: false,
            owners,
            map: 1,
            maps_due: Vec::new(),
            pushes: BTreeMap::new(),
            pushed: 0,
            full: BTreeSet::new(),
            rotations: BTreeMap::new(),
            half: BTreeMap::new(),
            backups: BTreeMap::new(),
            deleted: BTreeMap::new(),
            released: BTreeSet::new(),
            set_back: BTreeSet::new(),
            clone: None,
            release_again: Duration::ZERO,
            rolled_back: false,
            most_tracks: 1,
            stamp: 0,
            days_fold: 1,
            asked: 0,
            swarm,
        };
        cluster.know_map();
        cluster
    }

    /// Ledger and oracle learn the map.
    fn know_map(&mut self) {
        let owners: BTreeMap<String, String> =
            self.owners.iter().enumerate().map(|(at, owner)| (CLUSTERS[at].to_owned(), TENANTS[*owner].to_owned())).collect();
        owners.iter().for_each(|(cluster, tenant)| self.ledger.own(cluster, tenant));
        SPARE.iter().zip(TENANTS).for_each(|(cluster, tenant)| self.ledger.own(cluster, tenant));
        self.ground.bucket.oracle_mut(|oracle| oracle.know_map(self.map, owners));
    }

    fn hub(floor: &mut Floor, swarm: &Swarm, ground: &Ground, at: usize, map: &str) -> Arc<HubHost> {
        let name = format!("hub-{at}");
        let disk = SimDisk::new(&ground.entropy.fork(&name));
        disk.make_dirs(Path::new("/etc")).unwrap();
        disk.put(Path::new(TENANTS_FILE), map.as_bytes());
        let host = Arc::new(HubHost {
            name,
            linger: swarm.linger,
            pace: swarm.pace,
            disk,
            wall: Wall::default(),
            boots: AtomicU64::new(0),
            orders: Mutex::default(),
            answers: Mutex::default(),
            outcomes: Mutex::default(),
            ground: ground.clone(),
        });
        let software = Arc::clone(&host);
        floor.host(&host.name, move || Arc::clone(&software).run());
        host
    }

    fn edge(floor: &mut Floor, swarm: &Swarm, ground: &Ground, at: usize, root: &Entropy) -> Arc<EdgeHost> {
        let name = format!("node-{at}");
        let (disk, sources) = (SimDisk::new(&root.fork(&name)), SimDisk::new(&root.fork("sources")));
        sources.make_dirs(Path::new(LOG_DIR)).unwrap();
        let host = Arc::new(EdgeHost {
            cluster: CLUSTERS[at],
            edge: EDGES[at],
            shape: swarm.shape.clone(),
            hubs: (0..swarm.hubs).map(|hub| format!("hub-{}", (hub + at) % swarm.hubs)).collect(),
            disk,
            sources,
            wall: Wall::default(),
            boots: AtomicU64::new(0),
            status: Mutex::new(None),
            ground: ground.clone(),
            name,
        });
        let software = Arc::clone(&host);
        floor.host(&host.name, move || Arc::clone(&software).run());
        host
    }

    pub fn now(&self) -> Duration {
        self.floor.elapsed()
    }

    /// One tick.
    pub fn step(&mut self) -> Result<(), String> {
        self.ground.trace.set_now(self.floor.elapsed());
        self.floor.step()?;
        let now = self.floor.elapsed();
        self.ground.trace.set_now(now);
        self.ground.bucket.land(now);
        for host in self.ground.bucket.dying() {
            let away = Duration::from_millis(10 + self.entropy.below(5_000));
            self.crash(&host, away);
        }
        self.stopped_machines();
        self.due(now);
        self.carry_on_pushes();
        self.settle_contradicted();
        self.release_quarantined();
        self.check()
    }

    /// Steps until `done`, at most for `max`; whether it was reached.
    pub fn until(&mut self, max: Duration, mut done: impl FnMut(&mut Self) -> bool) -> Result<bool, String> {
        let end = self.now() + max;
        while self.now() < end {
            self.step()?;
            if done(self) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn run_for(&mut self, span: Duration) -> Result<(), String> {
        self.until(span, |_| false).map(drop)
    }

    fn check(&mut self) -> Result<(), String> {
        for edge in &self.edges {
            let Some(report) = edge.status.lock().unwrap().as_ref().map(edge::status::Status::report) else { continue };
            invariants::wal_bytes(&edge.name, edge.disk.used_bytes(), edge.shape.wal_bytes_max + WAL_SLACK_BYTES + WAL_FILE_BYTES)
                .map_err(|breach| format!("{breach}: {}", edge.disk.sizes()))?;
            if report.wal_bytes * 4 > edge.shape.wal_bytes_max * 3 && self.full.insert(edge.name.clone()) {
                self.fired.add("wal three quarters full");
            }
            if report.tracks.len() > 1 {
                self.most_tracks = self.most_tracks.max(report.tracks.len());
            }
            for track in report.tracks {
                let Some(producer) = track.producer else { continue };
                let sound = self.ground.bucket.oracle(|oracle| invariants::acked(oracle, &edge.name, &producer, track.acked));
                if sound.is_err() && (self.rolled_back || self.may_quarantine) {
                    continue;
                }
                sound?;
                let newest = self.acked.entry(producer).or_default();
                if track.acked > *newest {
                    *newest = track.acked;
                    self.ground.trace.note(&format!("{} acked {} of track {} epoch {}", edge.name, track.acked, track.track, track.epoch));
                }
            }
        }
        let now = self.now();
        if self.acked_before.back().is_none_or(|(at, _)| *at + Duration::from_millis(500) <= now) {
            self.acked_before.push_back((now, self.acked.clone()));
        }
        while self.acked_before.get(1).is_some_and(|(at, _)| *at + VISIBLE_AFTER <= now) {
            self.acked_before.pop_front();
        }
        let (violation, quarantined) = self.ground.bucket.oracle(|oracle| (oracle.violations().first().cloned(), oracle.quarantined()));
        if let Some(violation) = violation {
            return Err(format!("in the store: {violation}"));
        }
        match quarantined.first().filter(|_| !self.may_quarantine) {
            Some(producer) => Err(format!("{producer} was quarantined")),
            None => Ok(()),
        }
    }

    fn stopped_machines(&mut self) {
        let stopped: Vec<_> = self.edges.iter().filter(|edge| edge.disk.is_stopped()).cloned().collect();
        for edge in stopped {
            let away = Duration::from_millis(10 + self.entropy.below(5_000));
            self.crash(&edge.name, away);
            edge.disk.crash();
        }
    }

    /// What was to end by now ends.
    fn due(&mut self, now: Duration) {
        let over = |until: &BTreeMap<String, Duration>| until.iter().filter(|(_, at)| **at <= now).map(|(host, _)| host.clone()).collect::<Vec<_>>();
        for host in over(&self.down) {
            self.down.remove(&host);
            self.ground.trace.note(&format!("start {host}"));
            self.floor.start(&host);
        }
        for host in over(&self.frozen) {
            self.frozen.remove(&host);
            self.ground.trace.note(&format!("thaw {host}"));
            self.floor.thaw(&host);
            self.ground.bucket.release(&host);
        }
        let links: Vec<_> = self.links.iter().filter(|(_, at)| **at <= now).map(|(pair, _)| pair.clone()).collect();
        for (edge, hub) in links {
            self.ground.trace.note(&format!("mend {edge} {hub}"));
            self.floor.mend(&edge, &hub);
            self.links.remove(&(edge, hub));
        }
        if self.store_held.is_some_and(|at| at <= now) {
            self.store_held = None;
            self.ground.bucket.release(ALL);
        }
        let maps = std::mem::take(&mut self.maps_due);
        let (due, later) = maps.into_iter().partition(|(at, _, _)| *at <= now);
        self.maps_due = later;
        for (_, hub, text) in due {
            self.hubs[hub].disk.put(Path::new(TENANTS_FILE), text.as_bytes());
        }
    }

    /// Ends the software of `host` at once; it starts again after `away`.
    pub fn crash(&mut self, host: &str, away: Duration) {
        if self.down.contains_key(host) {
            return;
        }
        self.ground.trace.note(&format!("crash {host}"));
        self.floor.crash(host);
        self.full.remove(host);
        if self.frozen.remove(host).is_some() {
            self.ground.bucket.release(host);
        }
        if let Some(edge) = self.edges.iter().find(|edge| edge.name == host) {
            *edge.status.lock().unwrap() = None;
        }
        if let Some(hub) = self.hubs.iter().find(|hub| hub.name == host) {
            *hub.orders.lock().unwrap() = None;
        }
        self.down.insert(host.to_owned(), self.now() + away);
    }

    /// Kills an edge (`power` = with what was not synced) for `away`.
    pub fn crash_edge(&mut self, at: usize, power: bool, away: Duration) {
        let edge = Arc::clone(&self.edges[at]);
        if self.down.contains_key(&edge.name) {
            return;
        }
        self.crash(&edge.name, away);
        if power {
            edge.disk.crash();
        } else {
            edge.disk.kill();
        }
    }

    /// A hub that is down starts now.
    pub fn start_hub(&mut self, at: usize) {
        let now = self.now();
        if let Some(when) = self.down.get_mut(&self.hubs[at].name) {
            *when = now;
        }
    }

    pub fn crash_hub(&mut self, at: usize, away: Duration) {
        let name = self.hubs[at].name.clone();
        self.crash(&name, away);
    }

    /// A host stands still for `span`; over sockets: what others see of one.
    pub fn freeze(&mut self, host: &str, span: Duration) -> bool {
        if self.frozen.contains_key(host) || self.down.contains_key(host) {
            return false;
        }
        let until = self.now() + span;
        self.ground.trace.note(&format!("freeze {host} until {until:?}"));
        if !self.floor.freeze(host) {
            self.ground.bucket.hold(host);
            let pairs: Vec<_> = self.pairs().into_iter().filter(|(edge, hub)| edge == host || hub == host).collect();
            for pair in pairs {
                if !self.links.contains_key(&pair) {
                    self.floor.hold(&pair.0, &pair.1);
                    self.links.insert(pair, until);
                }
            }
        }
        self.frozen.insert(host.to_owned(), until);
        true
    }

    pub fn freeze_hub(&mut self, at: usize, span: Duration) -> bool {
        let name = self.hubs[at].name.clone();
        self.freeze(&name, span)
    }

    /// A hub that stands still goes on now.
    pub fn thaw_hub(&mut self, at: usize) {
        let now = self.now();
        if let Some(until) = self.frozen.get_mut(&self.hubs[at].name) {
            *until = now;
        }
    }

    fn pairs(&self) -> Vec<(String, String)> {
        self.edges.iter().flat_map(|edge| self.hubs.iter().map(|hub| (edge.name.clone(), hub.name.clone()))).collect()
    }

    pub fn hold_store(&mut self, span: Duration) {
        if self.store_held.is_none() {
            self.ground.trace.note("hold the store");
            self.ground.bucket.hold(ALL);
            self.store_held = Some(self.now() + span);
        }
    }

    pub fn cut(&mut self, edge: usize, hub: usize, way: Way, span: Duration) -> bool {
        let pair = (self.edges[edge].name.clone(), self.hubs[hub].name.clone());
        if self.links.contains_key(&pair) {
            return false;
        }
        self.ground.trace.note(&format!("cut {pair:?} {way:?}"));
        self.floor.cut(&pair.0, &pair.1, way);
        self.links.insert(pair, self.now() + span);
        true
    }

    pub fn report(&self) -> Report {
        let (trace, events) = self.ground.trace.digest();
        let mut fired = self.fired.counts();
        let (lost, packets) = self.ground.weather.packets();
        let ((objects, by_another), batches) = self.ground.bucket.oracle(|oracle| (oracle.objects(), oracle.batches()));
        fired.insert("lane object after one of another hub", by_another);
        fired.insert("producer moved", self.ground.bucket.oracle(|oracle| oracle.closes()));
        if self.most_tracks > 1 {
            fired.insert("seed with several tracks of an edge", 1);
        }
        if lost > 0 {
            fired.insert("packet lost", lost);
        }
        Report {
            trace,
            events,
            next: self.ground.worlds.lock().unwrap().iter().map(Entropy::next_u64).collect(),
            simulated_ms: self.now().as_millis(),
            edges: self.edges.len(),
            hubs: self.hubs.len(),
            lines: self.ledger.owed(|_| true),
            batches,
            packets,
            objects,
            requests: self.ground.bucket.requests(),
            fired,
        }
    }
}
