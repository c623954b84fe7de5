//! One simulation: hosts on turmoil, a driver that writes lines, brings faults, and checks at each step.
//!
//! Parts: [`Cluster`] with [`Cluster::step`] (one tick: software, landing writes, deaths, checks); verbs for directed
//! tests (crash, restart, hold, cut); [`Cluster::heal`] and [`Cluster::drain`], the liveness half. Promises: the
//! order of everything follows from the seed. Must not do: look into hosts but through what their pages show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto_seam::{Disk, Entropy, OpenHow};
use tests::disk::SimDisk;
use tests::invariants;
use tests::ledger::Ledger;
use tests::net::Weather;
use tests::objects::{ALL, Bucket, Rates};
use tests::quic::{CLUSTERS, EDGES};
use tests::world::{Fired, START_NS, Trace, Wall};
use tokio::sync::watch;

use crate::hosts::{Answer, EdgeHost, Ground, HubHost, LOG_DIR};
use crate::swarm::Swarm;

/// One step of simulated time.
pub const TICK: Duration = Duration::from_millis(5);
/// After the last fault everything has drained within this: the longest backoffs and timeouts twice over.
pub const DRAIN_MAX: Duration = Duration::from_secs(300);
/// Then every query is answered within this: the longest timeout of a request to the store, and tries after it.
pub const ANSWER_MAX: Duration = Duration::from_secs(90);
/// A WAL passes its limit by one record at most: a batch of the largest setting, a long line, positions.
const WAL_SLACK_BYTES: u64 = 32 * 1024;
/// The tenants, in the order of [`CLUSTERS`].
pub const TENANTS: [&str; 2] = ["acme", "blue"];

/// What a link between two hosts does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Cut,
    Held,
}

pub struct Cluster<'s> {
    pub swarm: Swarm,
    pub sim: turmoil::Sim<'s>,
    pub edges: Vec<Arc<EdgeHost>>,
    pub hubs: Vec<Arc<HubHost>>,
    pub ground: Ground,
    pub fired: Fired,
    pub ledger: Ledger,
    entropy: Entropy,
    /// Hosts that are down, and when they start again.
    down: BTreeMap<String, Duration>,
    links: BTreeMap<(String, String), (Broken, Duration)>,
    held: BTreeMap<String, Duration>,
    /// Newest ack by producer, as edges told it.
    acked: BTreeMap<String, u64>,
    /// Lines of each tenant that were acknowledged when a query was asked.
    acked_when_asked: BTreeMap<(u64, &'static str), u64>,
    /// Hubs that do not come back.
    retired: BTreeSet<String>,
    full: BTreeSet<String>,
    rotations: BTreeMap<(usize, usize), usize>,
    half: BTreeMap<(usize, usize), Vec<u8>>,
    stamp: i64,
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
    pub lines: u64,
    pub packets: u64,
    pub objects: u64,
    pub fired: BTreeMap<&'static str, u64>,
}

fn padding(entropy: &Entropy, max: u64) -> String {
    let len = usize::try_from(if entropy.chance(0.05) { entropy.below(1_500) } else { entropy.below(max) }).unwrap();
    (0..len).map(|_| char::from(b'a' + u8::try_from(entropy.below(26)).unwrap())).collect()
}

/// Appends as a program that logs does; at once durable.
fn append(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    let mut file = disk.open(path, OpenHow::Append).unwrap();
    file.append(bytes).and_then(|()| file.sync()).unwrap();
    disk.sync_dir(Path::new(LOG_DIR)).unwrap();
}

impl<'s> Cluster<'s> {
    pub fn new(swarm: Swarm) -> Self {
        let root = Entropy::seeded(swarm.seed);
        let (trace, fired) = (Trace::default(), Fired::default());
        let mut builder = turmoil::Builder::new();
        builder.rng_seed(swarm.seed).tick_duration(TICK).simulation_duration(Duration::from_secs(86_400)).udp_capacity(8_192);
        builder.min_message_latency(Duration::from_millis(1)).max_message_latency(Duration::from_millis(swarm.latency_ms_max));
        let mut sim = builder.build();
        let clusters = |of: usize| if swarm.tenants == 2 { vec![CLUSTERS[of]] } else { CLUSTERS.to_vec() };
        let tenants: Vec<String> = (0..swarm.tenants).map(|of| format!("  {}: {{clusters: [{}]}}\n", TENANTS[of], clusters(of).join(", "))).collect();
        let ground = Ground {
            bucket: Bucket::new(&root, trace.clone(), fired.clone()),
            entropy: root.fork("hosts"),
            trace,
            weather: Weather::default(),
            tenants: format!("version: 1\ntenants:\n{}", tenants.concat()).into(),
            worlds: Arc::default(),
        };
        let hubs: Vec<_> = (0..swarm.hubs).map(|at| Self::hub(&mut sim, &swarm, &ground, at)).collect();
        let edges: Vec<_> = (0..swarm.edges).map(|at| Self::edge(&mut sim, &swarm, &ground, at, &root)).collect();
        Self {
            sim,
            edges,
            hubs,
            ground,
            fired,
            ledger: Ledger::default(),
            entropy: root.fork("driver"),
            down: BTreeMap::new(),
            links: BTreeMap::new(),
            held: BTreeMap::new(),
            acked: BTreeMap::new(),
            acked_when_asked: BTreeMap::new(),
            retired: BTreeSet::new(),
            full: BTreeSet::new(),
            rotations: BTreeMap::new(),
            half: BTreeMap::new(),
            stamp: 0,
            asked: 0,
            swarm,
        }
    }

    fn hub(sim: &mut turmoil::Sim<'s>, swarm: &Swarm, ground: &Ground, at: usize) -> Arc<HubHost> {
        let (ask, _) = watch::channel(0);
        let host = Arc::new(HubHost {
            name: format!("hub-{at}"),
            linger: swarm.linger,
            wall: Wall::default(),
            boots: AtomicU64::new(0),
            ask,
            answers: Arc::default(),
            ground: ground.clone(),
        });
        let software = Arc::clone(&host);
        sim.host(host.name.as_str(), move || Arc::clone(&software).run());
        host
    }

    fn edge(sim: &mut turmoil::Sim<'s>, swarm: &Swarm, ground: &Ground, at: usize, root: &Entropy) -> Arc<EdgeHost> {
        let name = format!("node-{at}");
        let (disk, sources) = (SimDisk::new(&root.fork(&name)), SimDisk::new(&root.fork("sources")));
        sources.make_dirs(Path::new(LOG_DIR)).unwrap();
        let host = Arc::new(EdgeHost {
            cluster: CLUSTERS[at],
            edge: EDGES[at],
            tenant: TENANTS[if swarm.tenants == 2 { at } else { 0 }],
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
        sim.host(host.name.as_str(), move || Arc::clone(&software).run());
        host
    }

    pub fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    /// One tick.
    pub fn step(&mut self) -> Result<(), String> {
        self.ground.trace.set_now(self.sim.elapsed());
        self.sim.step().map_err(|fault| fault.to_string())?;
        let now = self.sim.elapsed();
        self.ground.trace.set_now(now);
        self.ground.bucket.land(now);
        for host in self.ground.bucket.dying() {
            let away = Duration::from_millis(10 + self.entropy.below(5_000));
            self.crash(&host, away);
        }
        self.stopped_machines();
        self.restart_due(now);
        self.links_due(now);
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
            let Some(producer) = &report.producer else { continue };
            self.ground.bucket.oracle(|oracle| invariants::acked(oracle, &edge.name, producer, report.acked))?;
            invariants::wal_bytes(&edge.name, report.wal_bytes, edge.shape.wal_bytes_max + WAL_SLACK_BYTES)?;
            if report.wal_bytes * 4 > edge.shape.wal_bytes_max * 3 && self.full.insert(edge.name.clone()) {
                self.fired.add("wal three quarters full");
            }
            let newest = self.acked.entry(producer.clone()).or_default();
            if report.acked > *newest {
                *newest = report.acked;
                self.ground.trace.note(&format!("{} acked {} epoch {}", edge.name, report.acked, report.epoch));
            }
        }
        self.ground.bucket.oracle(|oracle| oracle.violations().first().map_or(Ok(()), |violation| Err(format!("in the lane: {violation}"))))
    }

    fn stopped_machines(&mut self) {
        let stopped: Vec<_> = self.edges.iter().filter(|edge| edge.disk.is_stopped()).cloned().collect();
        for edge in stopped {
            let away = Duration::from_millis(10 + self.entropy.below(5_000));
            self.crash(&edge.name, away);
            edge.disk.crash();
        }
    }

    fn restart_due(&mut self, now: Duration) {
        let due: Vec<String> = self.down.iter().filter(|(_, at)| **at <= now).map(|(host, _)| host.clone()).collect();
        for host in due {
            self.down.remove(&host);
            self.ground.trace.note(&format!("start {host}"));
            self.sim.bounce(host.as_str());
        }
    }

    fn links_due(&mut self, now: Duration) {
        let due: Vec<_> = self.links.iter().filter(|(_, (_, at))| *at <= now).map(|(pair, (how, _))| (pair.clone(), *how)).collect();
        for ((a, b), how) in due {
            self.links.remove(&(a.clone(), b.clone()));
            self.ground.trace.note(&format!("mend {a} {b}"));
            match how {
                Broken::Cut => self.sim.repair(a.as_str(), b.as_str()),
                Broken::Held => self.sim.release(a.as_str(), b.as_str()),
            }
        }
        let due: Vec<String> = self.held.iter().filter(|(_, at)| **at <= now).map(|(host, _)| host.clone()).collect();
        for host in due {
            self.held.remove(&host);
            self.ground.trace.note(&format!("release {host}"));
            self.ground.bucket.release(&host);
        }
    }

    /// Ends the software of `host` at once; it starts again after `away`.
    pub fn crash(&mut self, host: &str, away: Duration) {
        if self.down.contains_key(host) {
            return;
        }
        self.ground.trace.note(&format!("crash {host}"));
        self.sim.crash(host);
        self.full.remove(host);
        if let Some(edge) = self.edges.iter().find(|edge| edge.name == host) {
            *edge.status.lock().unwrap() = None;
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

    /// Holds all that a hub sends and is sent, by packet or request, for `span`: what others see of a process that stands still.
    pub fn hold_hub(&mut self, at: usize, span: Duration) {
        let hub = self.hubs[at].name.clone();
        let until = self.now() + span;
        if self.held.contains_key(&hub) {
            return;
        }
        self.ground.trace.note(&format!("hold {hub} until {until:?}"));
        self.ground.bucket.hold(&hub);
        self.held.insert(hub.clone(), until);
        for edge in self.edges.clone() {
            let pair = (edge.name.clone(), hub.clone());
            if !self.links.contains_key(&pair) {
                self.sim.hold(edge.name.as_str(), hub.as_str());
                self.links.insert(pair, (Broken::Held, until));
            }
        }
    }

    fn hold_store(&mut self, span: Duration) {
        if !self.held.contains_key(ALL) {
            self.ground.trace.note("hold the store");
            self.ground.bucket.hold(ALL);
            self.held.insert(ALL.to_owned(), self.now() + span);
        }
    }

    fn cut(&mut self, edge: usize, hub: usize, one_way: bool, span: Duration) -> bool {
        let pair = (self.edges[edge].name.clone(), self.hubs[hub].name.clone());
        if self.links.contains_key(&pair) {
            return false;
        }
        self.ground.trace.note(&format!("cut {pair:?} {one_way}"));
        match (one_way, self.entropy.chance(0.5)) {
            (false, _) => self.sim.partition(pair.0.as_str(), pair.1.as_str()),
            (true, true) => self.sim.partition_oneway(pair.0.as_str(), pair.1.as_str()),
            (true, false) => self.sim.partition_oneway(pair.1.as_str(), pair.0.as_str()),
        }
        self.links.insert(pair, (Broken::Cut, self.now() + span));
        true
    }

    /// Writes the next line of a source of an edge: whole, in two pieces of CRI, or not to its end yet.
    pub fn write(&mut self, at: usize, source: usize) {
        let edge = Arc::clone(&self.edges[at]);
        let name = format!("{}.{}.app-{source}", edge.cluster, edge.edge);
        let line = self.ledger.write(edge.tenant, &name, &padding(&self.entropy, self.swarm.padding));
        let mut bytes = self.half.remove(&(at, source)).unwrap_or_default();
        let mut line_is_whole = true;
        if edge.shape.timed {
            let cut = if self.entropy.chance(0.05) { usize::try_from(1 + self.entropy.below(line.len() as u64 - 1)).unwrap() } else { 0 };
            if cut > 0 {
                line_is_whole = false;
                bytes.extend(format!("{} stdout P {}\n", self.stamp(), &line[..cut]).bytes());
            }
            bytes.extend(format!("{} stdout F {}\n", self.stamp(), &line[cut..]).bytes());
        } else {
            bytes.extend(format!("{line}\n").bytes());
        }
        // Pieces of one line lie together: an edge gives up waiting for the rest after half a minute.
        if line_is_whole && self.entropy.chance(0.1) {
            let keep = usize::try_from(self.entropy.below(bytes.len() as u64)).unwrap();
            self.half.insert((at, source), bytes.split_off(keep));
        }
        append(&edge.sources, &EdgeHost::log(source, None), &bytes);
    }

    /// A time that no other line has, RFC 3339 with nanoseconds.
    fn stamp(&mut self) -> String {
        let now = START_NS + i64::try_from(self.now().as_nanos()).unwrap();
        self.stamp = now.max(self.stamp + 1);
        let since = self.stamp - START_NS;
        let (secs, nanos) = (since / 1_000_000_000, since % 1_000_000_000);
        format!("2026-01-01T{:02}:{:02}:{:02}.{nanos:09}Z", secs / 3_600, secs / 60 % 60, secs % 60)
    }

    /// What was written not to its end yet is ended.
    fn finish_halves(&mut self) {
        for ((at, source), bytes) in std::mem::take(&mut self.half) {
            append(&self.edges[at].sources, &EdgeHost::log(source, None), &bytes);
        }
    }

    /// Renames a source's file and goes on in a new one.
    fn rotate(&mut self, at: usize, source: usize) {
        if self.half.contains_key(&(at, source)) {
            return;
        }
        let disk = self.edges[at].sources.clone();
        let number = self.rotations.entry((at, source)).or_default();
        *number += 1;
        let (from, to) = (EdgeHost::log(source, None), EdgeHost::log(source, Some(*number)));
        if disk.contents(&from).is_some() && disk.rename(&from, &to).is_ok() {
            drop(disk.sync_dir(Path::new(LOG_DIR)));
            self.ground.trace.note(&format!("rotate {} {}", self.edges[at].name, to.display()));
            self.fired.add("file rotated");
        }
    }

    fn strikes(&self, rate: u64) -> bool {
        rate > 0 && self.entropy.below(1_000_000) < rate
    }

    fn pick(&self, count: usize) -> usize {
        usize::try_from(self.entropy.below(count as u64)).unwrap()
    }

    fn span(&self, max_ms: u64) -> Duration {
        Duration::from_millis(10 + self.entropy.below(max_ms >> self.entropy.below(6)))
    }

    /// Perhaps brings faults, at the rates of the swarm.
    fn misfortune(&mut self) {
        let faults = self.swarm.faults.clone();
        for (rate, power, kind) in [(faults.edge_killed, false, "edge killed"), (faults.edge_power_lost, true, "edge power lost")] {
            if self.strikes(rate) {
                let (at, away) = (self.pick(self.edges.len()), self.span(10_000));
                self.fired.add(kind);
                self.crash_edge(at, power, away);
            }
        }
        if self.strikes(faults.edge_stopped) {
            self.fired.add("edge stopped at a disk operation");
            self.edges[self.pick(self.edges.len())].disk.stop_after(1 + self.entropy.below(12));
        }
        if self.strikes(faults.hub_killed) {
            let (at, away) = (self.pick(self.hubs.len()), self.span(10_000));
            self.fired.add("hub killed");
            let name = self.hubs[at].name.clone();
            self.crash(&name, away);
        }
        if self.strikes(faults.hub_held) {
            let (at, span) = (self.pick(self.hubs.len()), self.span(60_000));
            self.fired.add("hub held");
            self.hold_hub(at, span);
        }
        if self.strikes(faults.store_held) {
            let span = self.span(45_000);
            self.fired.add("store held");
            self.hold_store(span);
        }
        self.misfortune_around();
    }

    fn misfortune_around(&mut self) {
        let faults = self.swarm.faults.clone();
        for (rate, one_way, kind) in [(faults.cut, false, "link cut"), (faults.cut_one_way, true, "link cut one way")] {
            if self.strikes(rate) {
                let (edge, hub, span) = (self.pick(self.edges.len()), self.pick(self.hubs.len()), self.span(40_000));
                if self.cut(edge, hub, one_way, span) {
                    self.fired.add(kind);
                }
            }
        }
        if self.strikes(faults.clock_moved) {
            let walls: Vec<Wall> = self.edges.iter().map(|edge| edge.wall.clone()).chain(self.hubs.iter().map(|hub| hub.wall.clone())).collect();
            let ms = i64::try_from(self.entropy.below(600_000 >> self.entropy.below(8))).unwrap();
            let ns = if self.entropy.chance(0.5) { ms } else { -ms } * 1_000_000;
            self.ground.trace.note(&format!("clock moved by {ns}"));
            self.fired.add("clock moved");
            walls[self.pick(walls.len())].shift(ns);
        }
        if self.strikes(faults.disk_sync_failed) {
            self.fired.add("disk sync failed");
            self.edges[self.pick(self.edges.len())].disk.fail_sync(1);
        }
        if self.strikes(faults.disk_full) {
            self.fired.add("disk write found no room");
            self.edges[self.pick(self.edges.len())].disk.fail_write(1);
        }
    }

    /// Hubs one after the other: the second comes when the first goes for good.
    fn succeed(&mut self, step: u64, steps: u64) {
        let (first, second) = (self.hubs[0].name.clone(), self.hubs[1].name.clone());
        if step == 0 {
            let until = self.swarm.faults_for / 2;
            self.crash(&second, until);
        } else if step == steps / 2 {
            self.fired.add("hub replaced");
            self.crash(&first, Duration::from_secs(86_400));
            self.retired.insert(first);
        }
    }

    /// Lines are written and faults come.
    pub fn suffer(&mut self) -> Result<(), String> {
        self.ground.bucket.set_rates(self.swarm.faults.store);
        self.ground.weather.set_loss(self.swarm.faults.packets_lost);
        let steps = u64::try_from(self.swarm.faults_for.as_millis() / TICK.as_millis()).unwrap().max(1);
        let total = self.swarm.lines * self.edges.len() as u64;
        let mut left = total;
        for step in 0..steps {
            // In bursts: most steps write nothing.
            if left > 0 && self.entropy.below(20) == 0 {
                let share = (total * 20 / steps).max(1);
                for _ in 0..(1 + self.entropy.below(2 * share)).min(left) {
                    let (at, source) = (self.pick(self.edges.len()), self.pick(self.swarm.shape.sources));
                    self.write(at, source);
                    left -= 1;
                }
            }
            if self.swarm.rotates && self.strikes(500) {
                let (at, source) = (self.pick(self.edges.len()), self.pick(self.swarm.shape.sources));
                self.rotate(at, source);
            }
            if self.swarm.succession {
                self.succeed(step, steps);
            }
            self.misfortune();
            self.step()?;
            if step % 1_000 == 999 {
                self.ask();
            }
            self.judge()?;
        }
        Ok(())
    }

    /// Asks all hubs for everything.
    fn ask(&mut self) {
        self.asked += 1;
        for tenant in TENANTS {
            let lines = self.ground.bucket.oracle(|oracle| oracle.lines_acked(tenant, &self.acked));
            self.acked_when_asked.insert((self.asked, tenant), lines);
        }
        for hub in &self.hubs {
            hub.ask.send_replace(self.asked);
        }
    }

    /// What was answered so far is sound.
    fn judge(&mut self) -> Result<(), String> {
        for answer in self.answers() {
            if let Ok(streams) = &answer.streams {
                let sound = invariants::sound(&self.ledger, &answer.tenant, streams);
                let found: usize = sound.map_err(|breach| format!("{}: {breach}", answer.hub))?.values().sum();
                let wanted = self
                    .acked_when_asked
                    .iter()
                    .find(|((asked, tenant), _)| *asked == answer.asked && **tenant == *answer.tenant)
                    .map_or(0, |(_, lines)| *lines);
                if (found as u64) < wanted {
                    return Err(format!("{} found {found} lines of {}, but {wanted} were acknowledged before it was asked", answer.hub, answer.tenant));
                }
            }
        }
        Ok(())
    }

    fn answers(&self) -> Vec<Answer> {
        self.hubs.iter().flat_map(|hub| std::mem::take(&mut *hub.answers.lock().unwrap())).collect()
    }

    /// All faults end.
    pub fn heal(&mut self) {
        self.ground.trace.note("heal");
        self.ground.bucket.set_rates(Rates::default());
        self.ground.weather.set_loss(0);
        let now = self.now();
        let retired = self.retired.clone();
        self.down.iter_mut().filter(|(host, _)| !retired.contains(*host)).for_each(|(_, at)| *at = now);
        self.held.values_mut().for_each(|at| *at = now);
        self.links.values_mut().for_each(|(_, at)| *at = now);
        self.finish_halves();
    }

    fn drained(&self) -> bool {
        self.ground.bucket.oracle(|oracle| TENANTS.iter().all(|tenant| oracle.lines(tenant) >= self.ledger.count(tenant)))
            && self.edges.iter().all(|edge| {
                let report = edge.status.lock().unwrap().as_ref().map(edge::status::Status::report);
                report.is_some_and(|report| {
                    report.producer.is_some_and(|producer| self.ground.bucket.oracle(|oracle| oracle.committed(&producer)) == report.acked)
                })
            })
    }

    /// With no faults left, everything that was written is stored, acknowledged and answered by every hub.
    ///
    /// # Errors
    /// What is missing after [`DRAIN_MAX`].
    pub fn drain(&mut self) -> Result<(), String> {
        if !self.until(DRAIN_MAX, |cluster| cluster.drained())? {
            return Err(format!("not drained {} s after the last fault: {}", DRAIN_MAX.as_secs(), self.standing()));
        }
        // What is still on its way (a write that was given up) must change nothing.
        let late = self.until(Duration::from_secs(120), |cluster| cluster.ground.bucket.under_way() == 0)?;
        if !late {
            return Err("writes are still under way long after everything drained".to_owned());
        }
        let end = self.now() + ANSWER_MAX;
        loop {
            let left = match self.query_all()? {
                left if left.is_empty() => return Ok(()),
                left => left,
            };
            if self.now() >= end {
                return Err(format!("queries are not answered {} s after everything drained: {left:?}", ANSWER_MAX.as_secs()));
            }
        }
    }

    /// Asks all hubs once; what they answer must be complete. Gives who could not answer, and why.
    fn query_all(&mut self) -> Result<Vec<String>, String> {
        self.ask();
        let (asked, wanted) = (self.asked, (self.hubs.len() - self.retired.len()) * self.swarm.tenants);
        let mut answers = Vec::new();
        self.until(Duration::from_secs(10), |cluster| {
            answers.extend(cluster.answers().into_iter().filter(|answer| answer.asked == asked));
            answers.len() >= wanted
        })?;
        let mut left = Vec::new();
        if answers.len() < wanted {
            left.push(format!("{} of {wanted} answers came", answers.len()));
        }
        for answer in answers {
            match answer.streams {
                Ok(streams) => invariants::complete(&self.ledger, &answer.tenant, &streams).map_err(|breach| format!("{}: {breach}", answer.hub))?,
                Err(fault) => left.push(format!("{}: {fault}", answer.hub)),
            }
        }
        Ok(left)
    }

    /// Newest ack that an edge knows of, and newest sequence of it that is committed.
    pub fn acked_and_committed(&self, at: usize) -> (u64, u64) {
        let report = self.edges[at].status.lock().unwrap().as_ref().map(edge::status::Status::report);
        let Some((acked, Some(producer))) = report.map(|report| (report.acked, report.producer)) else { return (0, 0) };
        (acked, self.ground.bucket.oracle(|oracle| oracle.committed(&producer)))
    }

    /// Where everything stands, for people.
    pub fn standing(&self) -> String {
        let tenants: Vec<String> = TENANTS
            .iter()
            .map(|tenant| format!("{tenant} {} of {} lines", self.ground.bucket.oracle(|oracle| oracle.lines(tenant)), self.ledger.count(tenant)))
            .collect();
        let edges: Vec<String> = self
            .edges
            .iter()
            .map(|edge| {
                format!(
                    "{} {:?} skew {} s",
                    edge.name,
                    edge.status.lock().unwrap().as_ref().map(edge::status::Status::report),
                    edge.wall.skew_ns() / 1_000_000_000
                )
            })
            .collect();
        format!(
            "{}; {}; down {:?}; hub skew {:?}",
            tenants.join(", "),
            edges.join("; "),
            self.down,
            self.hubs.iter().map(|hub| hub.wall.skew_ns()).collect::<Vec<_>>()
        )
    }

    pub fn report(&self) -> Report {
        let (trace, events) = self.ground.trace.digest();
        let mut fired = self.fired.counts();
        let (lost, packets) = self.ground.weather.packets();
        let (objects, by_another) = self.ground.bucket.oracle(tests::ledger::Oracle::objects);
        fired.insert("lane object after one of another hub", by_another);
        if lost > 0 {
            fired.insert("packet lost", lost);
        }
        Report {
            trace,
            events,
            next: self.ground.worlds.lock().unwrap().iter().map(Entropy::next_u64).collect(),
            simulated_ms: self.now().as_millis(),
            lines: TENANTS.iter().map(|tenant| self.ledger.count(tenant)).sum(),
            packets,
            objects,
            fired,
        }
    }
}
