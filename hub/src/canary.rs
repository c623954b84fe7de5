//! The canary's end: reads the edges' known lines back through the query engine and reckons what became of them.
//!
//! Parts: [`Checker`] (pure: lines of a look and `now` in, a [`Tally`] per edge out), [`Canary::run`] (every so
//! often and for each tenant a query like anybody's, then metrics). An edge's line is `canary RUN NUMBER NS`
//! (`edge::canary`): `RUN` names one start of one edge and tells when that was, numbers begin at 1. Promises: a number is missing when a
//! later one of its run has been seen for `wait` and it has not; a line that comes after that is counted as late,
//! the count of the missing stays. Memory is bounded: [`RUNS_MAX`] runs a tenant, and numbers that are settled are
//! forgotten. Limits: what a run wrote last before its edge ended is not missed; latency is known to one look.
//! Must not do: repair, or read anything but canary lines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hub_logql::Expr;
use hub_query::{Direction, Engine, Limits, LogAnswer, LogRequest, QueryFault};
use hub_tenant::{Grant, Tenants};
use proto_boot::Metrics;
use proto_boot::telemetry::{Counters, Gauges};
use proto_model::{TenantId, TimeRange, Timestamp};
use proto_seam::World;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What is asked.
const QUERY: &str = "{job=\"tributary-canary\"}";
/// Runs that are followed per tenant: a thousand edges, restarted some times within [`BACK_MAX`].
pub const RUNS_MAX: usize = 10_000;
/// How far back a look reaches for lines that are still expected.
const BACK_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Entries of one page of a look, Loki's usual limit.
const PAGE: i64 = 5_000;
/// Pages of one look: the rest is for the next.
const PAGES_MAX: usize = 20;
/// Numbers of one run that may be open at once: a forged number must not make a long list.
const OPEN_MAX: u64 = 100_000;

/// `canary`
#[derive(Debug, Clone, Copy)]
pub struct CanarySettings {
    /// Between two looks.
    pub every: Duration,
    /// A number is missing so long after a later one was seen.
    pub wait: Duration,
}

/// Whose lines: cluster and edge, as the labels say.
pub type Source = (String, String);

/// What one look adds to the metrics of a source.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Tally {
    /// Lines seen for the first time.
    pub lines: u64,
    /// Numbers given up.
    pub missing: u64,
    /// Lines that came after they were given up.
    pub late: u64,
    /// Copies beyond the first.
    pub duplicate: u64,
    /// Lines answered after a later one of their run.
    pub out_of_order: u64,
    /// The largest span from writing to being seen, of the lines of this look.
    pub latency: Option<Duration>,
}

/// One canary line as it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Cluster and edge.
    pub source: Source,
    /// The start of the edge.
    pub run: String,
    /// From 1.
    pub number: u64,
    /// When it was written.
    pub written: Timestamp,
}

impl Sighting {
    /// Reads a line; `None` when it is no canary's.
    #[must_use]
    pub fn read(source: Source, line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (Some("canary"), Some(run), Some(number), Some(ns), None) = (words.next(), words.next(), words.next(), words.next(), words.next()) else {
            return None;
        };
        let known = run.len() == 16 && run.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (number, ns) = (number.parse().ok().filter(|number| *number > 0)?, ns.parse().ok()?);
        known.then(|| Self { source, run: run.to_owned(), number, written: Timestamp(ns) })
    }
}

/// One start of one edge.
#[derive(Debug)]
struct Run {
    /// All numbers below are settled: seen, or given up.
    settled: u64,
    /// When the newest settled line that was seen was written: a look begins there while something is open.
    from: Timestamp,
    /// Seen and not settled: copies, when written, and whether it was counted as out of order.
    seen: BTreeMap<u64, Seen>,
    /// Given up and not seen since, with the time after which they were written.
    given_up: BTreeMap<u64, Timestamp>,
    /// The highest number and when this hub first saw it or a higher one: per look.
    marks: Vec<(u64, Timestamp)>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    copies: u64,
    written: Timestamp,
    disordered: bool,
}

/// What is known of one tenant's canaries. Pure.
#[derive(Debug)]
pub struct Checker {
    wait: Duration,
    began: Timestamp,
    runs: BTreeMap<(Source, String), Run>,
}

impl Checker {
    /// Begins at `now`: what was written before is another's to judge.
    #[must_use]
    pub const fn new(wait: Duration, now: Timestamp) -> Self {
        Self { wait, began: now, runs: BTreeMap::new() }
    }

    /// From when on lines are wanted for the next look.
    #[must_use]
    pub fn from(&self, now: Timestamp) -> Timestamp {
        let recent = now.minus(self.wait.saturating_mul(2));
        let open = self.runs.values().filter_map(Run::wants_from).min().unwrap_or(recent).min(recent);
        open.max(now.minus(BACK_MAX)).max(self.began)
    }

    /// Takes the lines of a look, in the order answered.
    pub fn look(&mut self, sightings: &[Sighting], now: Timestamp) -> BTreeMap<Source, Tally> {
        let mut tallies: BTreeMap<Source, Tally> = BTreeMap::new();
        let mut copies: BTreeMap<(&Source, &str, u64), u64> = BTreeMap::new();
        let mut last: BTreeMap<(&Source, &str), u64> = BTreeMap::new();
        for sighting in sightings {
            let key = (sighting.source.clone(), sighting.run.clone());
            if !self.runs.contains_key(&key) && self.runs.len() >= RUNS_MAX {
                continue;
            }
            let began = self.began;
            let run = self.runs.entry(key).or_insert_with(|| Run::new(sighting, began));
            let tally = tallies.entry(sighting.source.clone()).or_default();
            let before = last.insert((&sighting.source, &sighting.run), sighting.number).unwrap_or(0);
            let copy = copies.entry((&sighting.source, &sighting.run, sighting.number)).or_default();
            *copy += 1;
            run.see(sighting, *copy, before, now, tally);
        }
        for ((source, _), run) in &mut self.runs {
            run.settle(now, self.wait, tallies.entry(source.clone()).or_default());
        }
        let gone = now.minus(BACK_MAX);
        self.runs.retain(|_, run| run.from > gone);
        tallies
    }
}

impl Run {
    /// A run that began after this hub's looking is expected from number 1, an older one from the first number seen.
    fn new(first: &Sighting, began: Timestamp) -> Self {
        let started = i64::from_str_radix(&first.run, 16).map_or(Timestamp::MIN, Timestamp);
        let (settled, from) = if started >= began { (1, started) } else { (first.number, first.written) };
        Self { settled, from, seen: BTreeMap::new(), given_up: BTreeMap::new(), marks: Vec::new() }
    }

    /// From when on its lines are wanted; `None` when it waits for none.
    fn wants_from(&self) -> Option<Timestamp> {
        let open = (!self.marks.is_empty()).then_some(self.from);
        open.into_iter().chain(self.given_up.values().copied()).min()
    }

    fn see(&mut self, sighting: &Sighting, copies: u64, before: u64, now: Timestamp, tally: &mut Tally) {
        let number = sighting.number;
        if number > self.settled.saturating_add(OPEN_MAX) {
            return;
        }
        if self.given_up.remove(&number).is_some() {
            tally.late += 1;
            self.seen.insert(number, Seen { copies, written: sighting.written, disordered: false });
        }
        let new = !self.seen.contains_key(&number);
        if new && number < self.settled {
            return;
        }
        let seen = self.seen.entry(number).or_insert(Seen { copies: 1, written: sighting.written, disordered: false });
        if new {
            tally.lines += 1;
            let latency = now.since(sighting.written);
            tally.latency = Some(tally.latency.map_or(latency, |longest| longest.max(latency)));
            if self.marks.last().is_none_or(|(highest, _)| *highest < number) {
                self.marks.push((number, now));
            }
        }
        if copies > seen.copies {
            tally.duplicate += copies - seen.copies;
            seen.copies = copies;
        }
        if before > number && !seen.disordered {
            tally.out_of_order += 1;
            seen.disordered = true;
        }
    }

    /// Gives up what is overdue and forgets what is settled and old.
    fn settle(&mut self, now: Timestamp, wait: Duration, tally: &mut Tally) {
        let due = now.minus(wait);
        let overdue = self.marks.iter().take_while(|(_, at)| *at <= due).map(|(number, _)| *number).last();
        self.marks.retain(|(_, at)| *at > due);
        for number in overdue.map(|below| self.settled..=below).into_iter().flatten() {
            match self.seen.get(&number) {
                Some(seen) => self.from = self.from.max(seen.written),
                None => {
                    tally.missing += 1;
                    self.given_up.insert(number, self.from);
                }
            }
        }
        self.settled = overdue.map_or(self.settled, |below| self.settled.max(below));
        // Kept for a while longer, so that a copy that comes later is known.
        let (old, gone, settled) = (now.minus(wait.saturating_mul(2)), now.minus(BACK_MAX), self.settled);
        self.seen.retain(|number, seen| *number >= settled || seen.written > old);
        self.given_up.retain(|_, after| *after > gone);
    }
}

/// The metrics; see the page on the contract.
#[derive(Debug, Clone)]
pub struct CanaryMetrics {
    latency: Gauges<3>,
    lines: Counters<3>,
    missing: Counters<3>,
    late: Counters<3>,
    duplicate: Counters<3>,
    out_of_order: Counters<3>,
}

impl CanaryMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        const LABELS: [&str; 3] = ["tenant", "cluster", "edge"];
        let counters = |name, help| metrics.counters(name, help, LABELS);
        Self {
            latency: metrics.gauges("tributary_hub_canary_latency_seconds", "From writing to being seen by a query, the longest of the last look", LABELS),
            lines: counters("tributary_hub_canary_lines_total", "Canary lines seen"),
            missing: counters("tributary_hub_canary_missing_total", "Canary lines not seen although later ones were"),
            late: counters("tributary_hub_canary_late_total", "Canary lines seen after they were counted as missing"),
            duplicate: counters("tributary_hub_canary_duplicate_total", "Copies of canary lines beyond the first"),
            out_of_order: counters("tributary_hub_canary_out_of_order_total", "Canary lines answered after a later one"),
        }
    }

    fn add(&self, tenant: &TenantId, source: &Source, tally: &Tally) {
        let labels = [tenant.as_str(), source.0.as_str(), source.1.as_str()];
        for (counters, more) in [
            (&self.lines, tally.lines),
            (&self.missing, tally.missing),
            (&self.late, tally.late),
            (&self.duplicate, tally.duplicate),
            (&self.out_of_order, tally.out_of_order),
        ] {
            counters.with(labels).add(more);
        }
        if let Some(latency) = tally.latency {
            self.latency.with(labels).set(latency.as_secs_f64());
        }
    }
}

/// Looks again and again.
pub struct Canary {
    /// When.
    pub settings: CanarySettings,
    /// Whom to ask.
    pub engine: Arc<Engine>,
    /// For which tenants.
    pub tenants: watch::Receiver<Arc<Tenants>>,
    /// Where to tell.
    pub metrics: CanaryMetrics,
    /// The world.
    pub world: World,
}

impl Canary {
    /// Looks until told to stop; a look that fails is told and made again.
    pub async fn run(self, stop: CancellationToken) {
        let mut checkers: BTreeMap<TenantId, Checker> = BTreeMap::new();
        let began = self.now();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.settings.every) => {}
            }
            for grant in self.grants() {
                let tenant = grant.tenant().clone();
                let checker = checkers.entry(tenant.clone()).or_insert_with(|| Checker::new(self.settings.wait, began));
                match self.sightings(&grant, checker.from(self.now())).await {
                    Ok(sightings) => {
                        for (source, tally) in checker.look(&sightings, self.now()) {
                            self.metrics.add(&tenant, &source, &tally);
                        }
                    }
                    Err(fault) => tracing::warn!(%tenant, %fault, "canary lines cannot be read back"),
                }
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.world.clock.now_ns())
    }

    /// One grant a tenant that has clusters: others have no edges.
    fn grants(&self) -> Vec<Grant> {
        let tenants = self.tenants.borrow();
        tenants.iter().filter_map(|(_, tenant)| tenants.identify(tenant.clusters.first()?)).collect()
    }

    /// All canary lines from `from` on, oldest first.
    async fn sightings(&self, grant: &Grant, from: Timestamp) -> Result<Vec<Sighting>, QueryFault> {
        let Expr::Log(expr) = hub_logql::parse(QUERY).map_err(|fault| QueryFault::Request(fault.to_string()))? else { return Ok(Vec::new()) };
        let (limits, mut out, mut from) = (Limits::default(), Vec::new(), from);
        for _ in 0..PAGES_MAX {
            // A clock of an edge may be ahead.
            let range = TimeRange { start: from, end: self.now().plus(self.settings.wait) };
            let request = LogRequest::new(expr.clone(), range, PAGE, Direction::Forward, &limits)?;
            let answer = self.engine.logs(std::slice::from_ref(grant), &request, &limits).await?;
            let entries: usize = answer.streams.iter().map(|stream| stream.entries.len()).sum();
            let full = i64::try_from(entries).is_ok_and(|entries| entries >= PAGE);
            let last = answer.streams.iter().filter_map(|stream| stream.entries.last()).map(|entry| entry.time).max();
            let next = last.filter(|last| full && *last > from);
            read(&answer, next, &mut out);
            let Some(next) = next else { break };
            from = next;
        }
        Ok(out)
    }
}

/// The canary lines of a page; those at or after `until` are the next page's.
fn read(answer: &LogAnswer, until: Option<Timestamp>, out: &mut Vec<Sighting>) {
    for stream in &answer.streams {
        let label = |name: &str| stream.labels.value(name).unwrap_or_default().to_owned();
        let source = (label("cluster"), label("edge"));
        let entries = stream.entries.iter().filter(|entry| until.is_none_or(|until| entry.time < until));
        out.extend(entries.filter_map(|entry| Sighting::read(source.clone(), &entry.line)));
    }
}

#[cfg(test)]
mod tests;
