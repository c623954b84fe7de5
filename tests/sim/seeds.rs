//! Many seeds, each with its own topology, work and faults.
//!
//! `TRIBUTARY_SEED=n` runs that one alone (with `TRIBUTARY_TRACE=1` its trace is printed, with `TRIBUTARY_LOG=debug` what
//! the programs log); `TRIBUTARY_SEEDS=n` sets how many, `TRIBUTARY_SEED_FIRST=n` from which on.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::{Cluster, Report};
use crate::swarm::Swarm;

/// Seeds of a run without settings: what CI runs.
const SEEDS: u64 = 200;

/// Faults that must have fired somewhere in a whole run, or something is untested.
const KINDS: [&str; 27] = [
    "clock moved",
    "disk sync failed",
    "disk write found no room",
    "edge killed",
    "edge power lost",
    "edge stopped at a disk operation",
    "file rotated",
    "hub dies before commit",
    "hub dies between commit and ack",
    "hub held",
    "hub killed",
    "hub replaced",
    "lane number taken by another hub",
    "lane object after one of another hub",
    "lane object stands after its writer gave up",
    "lane object too late for its number",
    "link cut",
    "link cut one way",
    "packet lost",
    "store 412 after own create",
    "store answer lost",
    "store applied late",
    "store conflict",
    "store held",
    "store refused",
    "store slow",
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

fn run_seed(seed: u64, shows: bool) -> Result<Report, String> {
    let swarm = Swarm::of(seed);
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

fn log() {
    if let Ok(filter) = std::env::var("TRIBUTARY_LOG") {
        drop(tracing_subscriber::fmt().with_env_filter(filter).without_time().with_writer(std::io::stderr).try_init());
    }
}

#[test]
fn seeds() {
    if let Some(seed) = setting("TRIBUTARY_SEED") {
        log();
        let report = run_seed(seed, setting("TRIBUTARY_TRACE").is_some()).unwrap_or_else(|breach| panic!("seed {seed}: {breach}"));
        println!("{report:#?}");
        return;
    }
    let (first, count) = (setting("TRIBUTARY_SEED_FIRST").unwrap_or(0), setting("TRIBUTARY_SEEDS").unwrap_or(SEEDS));
    let next = AtomicU64::new(first);
    let (reports, breaches) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    match run_seed(seed, false) {
                        Ok(report) => reports.lock().unwrap().push(report),
                        Err(breach) => {
                            eprintln!("seed {seed}: {breach}\n  again: TRIBUTARY_SEED={seed} cargo test --release -p tests --test sim seeds -- --nocapture");
                            breaches.lock().unwrap().push(seed);
                        }
                    }
                }
            });
        }
    });
    let (reports, mut breaches) = (reports.into_inner().unwrap(), breaches.into_inner().unwrap());
    breaches.sort_unstable();
    let fired = summary(&reports);
    assert!(breaches.is_empty(), "{} of {count} seeds failed: {breaches:?}", breaches.len());
    if count >= SEEDS {
        let missing: Vec<&str> = KINDS.into_iter().filter(|kind| fired.get(kind).is_none_or(|count| *count == 0)).collect();
        assert!(missing.is_empty(), "these faults never fired, so nothing is known about them: {missing:?}");
    }
}

fn summary(reports: &[Report]) -> BTreeMap<&'static str, u64> {
    let mut fired: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, count) in reports.iter().flat_map(|report| &report.fired) {
        *fired.entry(kind).or_default() += count;
    }
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    println!(
        "{} seeds sound (trace of all {:016x}): {} simulated s, {} lines, {} lane objects, {} events",
        reports.len(),
        reports.iter().fold(0_u64, |all, report| all.wrapping_add(report.trace)),
        reports.iter().map(|report| report.simulated_ms).sum::<u128>() / 1_000,
        sum(|report| report.lines),
        sum(|report| report.objects),
        sum(|report| report.events)
    );
    for (kind, count) in &fired {
        println!("{count:>8} {kind}");
    }
    fired
}
