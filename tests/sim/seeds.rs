//! Many seeds, each with its own topology, work and faults, until enough of them count.
//!
//! A seed counts with at least two edges, two hubs, 200 committed batches, and five fired faults of three kinds, a crash among them.
//! `TRIBUTARY_SEED=n` runs that one alone (with `TRIBUTARY_TRACE=1` its trace is printed, with `TRIBUTARY_LOG=debug` what
//! the programs log). `TRIBUTARY_SIM_SEEDS=n` sets how many must count, `TRIBUTARY_SIM_START=n` the first seed, `TRIBUTARY_SIM_BACKLOG=1` lets all of them have several tracks soon, `TRIBUTARY_SIM_UNTIL_BREACH=1` ends at the first breach.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::cluster::{Cluster, Report};
use crate::swarm::Swarm;

/// Seeds that must count, without settings: what CI runs, and what a build for debugging can do.
const SEEDS: u64 = if cfg!(debug_assertions) { 20 } else { 2_000 };
/// How often each kind must have fired in a run of [`SEEDS_FULL`] or more.
const FIRED_MIN: u64 = 20;
/// From so many counted seeds on every kind is asked for.
const SEEDS_FULL: u64 = 2_000;

/// Faults that are brought from outside.
const FAULTS: [&str; 34] = [
    "address changed",
    "clock moved",
    "cluster moved to another tenant",
    "disk sync failed",
    "disk write found no room",
    "edge frozen",
    "edge killed",
    "edge power lost",
    "edge revoked",
    "edge stopped at a disk operation",
    "hub dies before commit",
    "hub dies between commit and ack",
    "hub frozen",
    "hub frozen together with another",
    "hub killed",
    "hub replaced",
    "link cut",
    "link cut one way",
    "packet lost",
    "push retried at another hub",
    "store 412 after own create",
    "store answer lost",
    "store applied late",
    "store conflict",
    "store held",
    "store listing was old",
    "store refused",
    "store slow",
    "wal bit rot",
    "wal file lost",
    "wal lost",
    "wal restored",
    "edge cloned",
    "bucket rolled back",
];
/// Faults that end a program.
const CRASHES: [&str; 6] =
    ["edge killed", "edge power lost", "edge stopped at a disk operation", "hub dies before commit", "hub dies between commit and ack", "hub killed"];
/// What faults must have led to somewhere in a whole run, or rules are untested.
const EFFECTS: [&str; 9] = [
    "file rotated",
    "garbage created in a lane",
    "garbage created in a manifest log",
    "lane number taken by another hub",
    "lane object after one of another hub",
    "lane object stands after its writer gave up",
    "lane object too late for its number",
    "producer moved",
    "wal three quarters full",
];

pub fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs one swarm to its end: what came of it, and the breach if there was one.
pub fn run(swarm: Swarm, shows: bool) -> (Report, Result<(), String>) {
    let mut cluster = Cluster::new(swarm);
    if shows {
        cluster.ground.trace.keep_lines();
    }
    let outcome = cluster.suffer().and_then(|()| {
        cluster.heal();
        cluster.drain()
    });
    if shows {
        for line in cluster.ground.trace.lines() {
            println!("{line}");
        }
    }
    let outcome = outcome.map_err(|breach| format!("at {:?}: {breach}", cluster.now()));
    (cluster.report(), outcome)
}

fn run_seed(seed: u64, has_backlog: bool, shows: bool) -> Result<Report, String> {
    let swarm = Swarm::of(seed);
    let swarm = if has_backlog { swarm.with_backlog() } else { swarm };
    if shows {
        println!("{swarm:#?}");
    }
    let ran = catch_unwind(AssertUnwindSafe(|| run(swarm, shows)));
    ran.map_or_else(
        |panic| {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(format!("panic: {}", text.unwrap_or_default()))
        },
        |(report, outcome)| outcome.map(|()| report),
    )
}

/// Why a seed does not count; `None` = it does.
fn shortfall(report: &Report) -> Option<&'static str> {
    let fired: Vec<u64> = FAULTS.iter().filter_map(|kind| report.fired.get(kind).copied()).filter(|count| *count > 0).collect();
    let crashed = CRASHES.iter().any(|kind| report.fired.contains_key(kind));
    match () {
        () if report.edges < 2 || report.hubs < 2 => Some("too few edges or hubs"),
        () if report.batches < 200 => Some("fewer than 200 batches"),
        () if fired.len() < 3 || fired.iter().sum::<u64>() < 5 => Some("fewer than 5 faults of 3 kinds"),
        () if !crashed => Some("no crash"),
        () => None,
    }
}

pub fn log() {
    if let Ok(filter) = std::env::var("TRIBUTARY_LOG") {
        drop(tracing_subscriber::fmt().with_env_filter(filter).without_time().with_writer(std::io::stderr).try_init());
    }
}

/// What all threads of a run have found.
#[derive(Default)]
struct Tally {
    counted: AtomicU64,
    ends: AtomicBool,
    reports: Mutex<Vec<(u64, Report)>>,
    breaches: Mutex<Vec<u64>>,
}

impl Tally {
    fn take(&self, seed: u64, outcome: Result<Report, String>) {
        match outcome {
            Ok(report) => {
                self.counted.fetch_add(u64::from(shortfall(&report).is_none()), Ordering::Relaxed);
                self.reports.lock().unwrap().push((seed, report));
            }
            Err(breach) => {
                let profile = if cfg!(debug_assertions) { "" } else { "--release " };
                let backlog = if setting("TRIBUTARY_SIM_BACKLOG").is_some() { "TRIBUTARY_SIM_BACKLOG=1 " } else { "" };
                // One line, with all that it takes to see it again.
                println!(
                    "BREACH seed {seed}: {} | {backlog}TRIBUTARY_SEED={seed} cargo test {profile}-p tests --test sim seeds -- --nocapture",
                    breach.replace('\n', " ")
                );
                self.breaches.lock().unwrap().push(seed);
                self.ends.fetch_or(setting("TRIBUTARY_SIM_UNTIL_BREACH").is_some(), Ordering::Relaxed);
            }
        }
    }
}

/// Seeds beyond those that CI runs, each of which showed a fault once.
const FOUND: [u64; 3] = [20_440, 21_627, 31_385];
/// The same with several tracks at once.
const FOUND_WITH_BACKLOG: [u64; 20] = [
    51_166, 51_224, 51_628, 51_658, 51_831, 60_160, 61_011, 61_336, 61_499, 62_327, 62_602, 62_966, 63_310, 63_401, 66_789, 67_979, 68_012, 69_008, 80_442,
    81_972,
];

#[test]
fn seeds_that_failed_once_are_sound() {
    for (seed, has_backlog) in FOUND.map(|seed| (seed, false)).into_iter().chain(FOUND_WITH_BACKLOG.map(|seed| (seed, true))) {
        run_seed(seed, has_backlog, false).unwrap_or_else(|breach| panic!("seed {seed}: {breach}"));
    }
}

#[test]
fn seeds() {
    let has_backlog = setting("TRIBUTARY_SIM_BACKLOG").is_some();
    if let Some(seed) = setting("TRIBUTARY_SEED") {
        log();
        let report = run_seed(seed, has_backlog, setting("TRIBUTARY_TRACE").is_some()).unwrap_or_else(|breach| panic!("seed {seed}: {breach}"));
        println!("{report:#?}");
        return;
    }
    let (first, wanted) = (setting("TRIBUTARY_SIM_START").unwrap_or(0), setting("TRIBUTARY_SIM_SEEDS").unwrap_or(SEEDS));
    let next = AtomicU64::new(first);
    let tally = Tally::default();
    // Of three seeds at least two count.
    let last = first + wanted + wanted / 2 + 10;
    let threads =
        setting("TRIBUTARY_SIM_THREADS").map_or_else(|| std::thread::available_parallelism().map_or(2, usize::from), |count| usize::try_from(count).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while tally.counted.load(Ordering::Relaxed) < wanted && !tally.ends.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last {
                        return;
                    }
                    tally.take(seed, run_seed(seed, has_backlog, false));
                }
            });
        }
    });
    let counted = tally.counted.into_inner();
    let mut reports = tally.reports.into_inner().unwrap();
    reports.sort_by_key(|(seed, _)| *seed);
    let mut breaches = tally.breaches.into_inner().unwrap();
    breaches.sort_unstable();
    let fired = summary(&reports, counted);
    assert!(breaches.is_empty(), "{} of {} seeds failed: {breaches:?}", breaches.len(), breaches.len() + reports.len());
    assert!(counted >= wanted, "only {counted} of {} seeds count, {wanted} must", reports.len());
    if counted >= SEEDS_FULL {
        let rare: Vec<&str> = FAULTS.into_iter().chain(EFFECTS).filter(|kind| fired.get(kind).is_none_or(|count| *count < FIRED_MIN)).collect();
        assert!(rare.is_empty(), "these came fewer than {FIRED_MIN} times, so little is known about them: {rare:?}");
    }
}

fn summary(reports: &[(u64, Report)], counted: u64) -> BTreeMap<&'static str, u64> {
    let mut fired: BTreeMap<&str, u64> = BTreeMap::new();
    let mut short: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, report) in reports {
        if let Some(why) = shortfall(report) {
            *short.entry(why).or_default() += 1;
        }
        for (kind, count) in &report.fired {
            *fired.entry(kind).or_default() += count;
        }
    }
    let sum = |of: fn(&Report) -> u64| reports.iter().map(|(_, report)| of(report)).sum::<u64>();
    println!(
        "{} seeds sound, {counted} of them count (others: {short:?}); trace of all {:016x}: {} simulated s, {} lines, {} batches, {} lane objects, {} requests to the store, {} events",
        reports.len(),
        reports.iter().fold(0_u64, |all, (_, report)| all.wrapping_add(report.trace)),
        reports.iter().map(|(_, report)| report.simulated_ms).sum::<u128>() / 1_000,
        sum(|report| report.lines),
        sum(|report| report.batches),
        sum(|report| report.objects),
        sum(|report| report.requests),
        sum(|report| report.events)
    );
    println!("   fired fault");
    for kind in FAULTS {
        println!("{:>8} {kind}", fired.get(kind).copied().unwrap_or(0));
    }
    println!("    seen effect");
    for (kind, count) in fired.iter().filter(|(kind, _)| !FAULTS.contains(kind)) {
        println!("{count:>8} {kind}");
    }
    fired
}
