//! One fault each, at the moment where it hurts.
//!
//! Parts: [`calm`] (a cluster that has stored its first lines), [`burst`], [`drains`], then a test per fault. Promises: each test
//! sees that its fault has happened. Must not do: leave the moment to chance.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tests::objects::Fate;

use crate::cluster::{Cluster, DRAIN_MAX};
use crate::swarm::Swarm;

/// So many edges and hubs, a little work, no faults.
pub fn plain(seed: u64, edges: usize, hubs: usize) -> Swarm {
    let mut swarm = Swarm { edges, hubs, tenants: edges, succession: false, rotates: false, lines: 20, ..Swarm::calm(seed) };
    swarm.shape.sources = 2;
    swarm.shape.timed = true;
    (swarm.shape.bandwidth, swarm.shape.backlog_ms) = (0, 60_000);
    swarm.faults_for = Duration::from_secs(5);
    swarm
}

/// A cluster whose first lines are stored and acknowledged.
pub fn calmed(swarm: Swarm) -> Cluster {
    let mut cluster = Cluster::new(swarm);
    cluster.suffer().unwrap();
    cluster.heal();
    cluster.drain().unwrap();
    cluster
}

pub fn calm(seed: u64, edges: usize, hubs: usize) -> Cluster {
    calmed(plain(seed, edges, hubs))
}

/// Every source writes a few lines.
pub fn burst(cluster: &mut Cluster) {
    for at in 0..cluster.edges.len() {
        for line in 0..10 {
            cluster.write(at, line % 2);
        }
    }
}

/// All that was written is stored once, though faults befell it.
pub fn drains(cluster: &mut Cluster) {
    cluster.heal();
    cluster.drain().unwrap_or_else(|breach| panic!("seed {}: {breach}\n{}", cluster.swarm.seed, cluster.standing()));
}

pub fn fired(cluster: &Cluster, kind: &str) -> u64 {
    cluster.fired.counts().get(kind).copied().unwrap_or(0)
}

#[test]
fn calm_water_stores_everything_at_once() {
    let mut cluster = calm(7, 2, 1);
    let before = cluster.now();
    burst(&mut cluster);
    drains(&mut cluster);
    assert!(cluster.now() - before < Duration::from_secs(10), "{:?}", cluster.now() - before);
}

/// A create meets `fate`; the hub of it lives on.
fn create_meets(fate: Fate) {
    for seed in 0..4 {
        let mut cluster = calm(seed, 1, 1);
        cluster.ground.bucket.tell("/log/", fate);
        burst(&mut cluster);
        assert!(cluster.until(DRAIN_MAX, |cluster| cluster.ground.bucket.all_told()).unwrap(), "{fate:?} never came");
        drains(&mut cluster);
        assert_eq!(cluster.hubs[0].boots.load(Ordering::Relaxed), 1, "the hub restarted");
    }
}

#[test]
fn a_create_is_refused() {
    create_meets(Fate::Refused);
}

#[test]
fn the_answer_of_a_create_is_an_error_though_it_stands() {
    create_meets(Fate::AnswerLost(false));
}

#[test]
fn the_answer_of_a_create_never_comes_though_it_stands() {
    create_meets(Fate::AnswerLost(true));
}

#[test]
fn a_create_that_failed_is_applied_while_the_hub_builds_anew() {
    for ms in [1, 30, 150, 400, 2_000, 20_000] {
        create_meets(Fate::Late(Duration::from_millis(ms)));
    }
}

#[test]
fn a_create_is_applied_after_its_timeout() {
    create_meets(Fate::Slow(Duration::from_secs(40)));
}

#[test]
fn a_create_meets_412_though_nothing_stands() {
    create_meets(Fate::Conflict);
}

#[test]
fn a_create_meets_412_of_itself() {
    create_meets(Fate::TakenByItself);
}

/// The hub dies at a create; what it sealed is stored once, by it or by its next life.
fn hub_dies(fate: Fate, stands: bool) {
    let mut with_lines = 0;
    for seed in 0..6 {
        let mut cluster = calm(seed, 2, 1);
        let lines = |cluster: &Cluster| cluster.ground.bucket.oracle(|oracle| oracle.lines("acme") + oracle.lines("blue"));
        let before = lines(&cluster);
        cluster.ground.bucket.tell("/log/", fate);
        burst(&mut cluster);
        assert!(cluster.until(DRAIN_MAX, |cluster| !cluster.floor.is_running("hub-0")).unwrap());
        let sealed = lines(&cluster) > before;
        assert!(stands || !sealed, "what the dying hub sealed");
        with_lines += usize::from(sealed);
        let unknown = (0..2).any(|at| cluster.acked_and_committed(at).0 < cluster.acked_and_committed(at).1);
        // The object it died over may hold a floor or an end alone: then there was nothing to acknowledge.
        assert_eq!(unknown, sealed, "no edge may know of an ack that the hub died over");
        drains(&mut cluster);
        assert_eq!(cluster.hubs[0].boots.load(Ordering::Relaxed), 2);
    }
    assert_eq!(with_lines > 0, stands, "no object with lines was met");
}

#[test]
fn the_hub_dies_before_commit() {
    hub_dies(Fate::DiesBefore, false);
}

#[test]
fn the_hub_dies_between_commit_and_ack() {
    hub_dies(Fate::DiesAfter, true);
}

/// The edge dies between commit and ack; nothing is sent twice as new.
#[test]
fn the_edge_dies_between_commit_and_ack() {
    for (seed, power) in [(0, false), (1, true), (2, false), (3, true)] {
        let mut cluster = calm(seed, 1, 1);
        burst(&mut cluster);
        let unknown = |cluster: &mut Cluster| {
            let (acked, committed) = cluster.acked_and_committed(0);
            committed > acked
        };
        assert!(cluster.until(DRAIN_MAX, unknown).unwrap(), "no ack was ever on its way");
        cluster.crash_edge(0, power, Duration::from_secs(2));
        drains(&mut cluster);
        assert_eq!(cluster.edges[0].boots.load(Ordering::Relaxed), 2);
    }
}

/// A hub stands still with a create in flight while its edges go to another, which ends their producers in its lane; then it goes on.
#[test]
fn a_writer_is_paused_with_its_create_in_flight() {
    let lost = |cluster: &Cluster| fired(cluster, "lane object too late for its number") + fired(cluster, "lane number taken by another hub");
    let (mut late, mut first) = (0, 0);
    for seed in 0..10 {
        let mut cluster = calm(seed, 2, 2);
        let before = lost(&cluster);
        cluster.ground.bucket.tell("/log/", Fate::Slow(Duration::from_millis(500)));
        burst(&mut cluster);
        assert!(cluster.until(DRAIN_MAX, |cluster| cluster.ground.bucket.is_sealing("hub-0") || cluster.ground.bucket.is_sealing("hub-1")).unwrap());
        let at = usize::from(cluster.ground.bucket.is_sealing("hub-1"));
        cluster.freeze_hub(at, Duration::from_secs(60));
        burst(&mut cluster);
        cluster.run_for(Duration::from_secs(65)).unwrap();
        late += u64::from(lost(&cluster) > before);
        first += u64::from(lost(&cluster) == before);
        drains(&mut cluster);
    }
    assert!(late + first == 10 && first > 0, "{late} late, {first} first");
}

/// Two hubs that seal at the same time: one of them meets 412, both store.
#[test]
fn two_hubs_meet_at_one_number() {
    let mut cluster = calm(3, 2, 2);
    for _ in 0..20 {
        burst(&mut cluster);
        cluster.run_for(Duration::from_millis(700)).unwrap();
    }
    drains(&mut cluster);
    assert!(fired(&cluster, "lane number taken by another hub") > 0, "the hubs never met");
}

/// The edge's machine stops at each of its disk operations in turn and loses power.
#[test]
fn the_edge_loses_power_at_each_disk_operation() {
    for operation in 0..60 {
        let mut cluster = calm(operation, 1, 1);
        cluster.edges[0].disk.stop_after(operation % 30);
        for _ in 0..200 {
            if cluster.edges[0].boots.load(Ordering::Relaxed) == 2 {
                break;
            }
            burst(&mut cluster);
            cluster.run_for(Duration::from_millis(300)).unwrap();
        }
        assert_eq!(cluster.edges[0].boots.load(Ordering::Relaxed), 2, "it never came to operation {operation}");
        drains(&mut cluster);
    }
}

/// Wall clocks go back by an hour in the midst of work: nothing waits for that hour to pass again.
#[test]
fn clocks_are_set_back() {
    let hour = -3_600_000_000_000;
    for (edge, hub) in [(hour, 0), (0, hour), (hour, hour)] {
        let mut swarm = plain(11, 1, 1);
        // Long enough that something waits at any moment, on both sides.
        (swarm.linger, swarm.shape.batch_wait_ms) = (Duration::from_secs(1), 1_000);
        let mut cluster = calmed(swarm);
        for round in 0..40 {
            burst(&mut cluster);
            if round == 20 {
                cluster.edges[0].wall.shift(edge);
                cluster.hubs[0].wall.shift(hub);
            }
            cluster.run_for(Duration::from_millis(95)).unwrap();
        }
        let before = cluster.now();
        drains(&mut cluster);
        assert!(cluster.now() - before < Duration::from_secs(60), "{:?} after clocks moved by {edge} and {hub}", cluster.now() - before);
    }
}
