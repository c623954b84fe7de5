//! The cases that log systems leave untested, one each: disks that fill or fail at every operation, disks put back or copied, a bucket put back, a
//! hub that sleeps, a create that lands after its number is gone; and the cases that the lane rules walk through.
//!
//! Promises: each test sees that its fault has happened. Must not do: leave the moment to chance.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tests::objects::Fate;

use crate::cluster::{Cluster, DRAIN_MAX};
use crate::directed::{burst, calm, calmed, drains, fired, plain};
use crate::floor::Way;

const SECOND: Duration = Duration::from_secs(1);

/// A fault of the edge's disk at the `n`th operation from now, for each `n`.
fn disk_fails_at_each(count: u64, strike: impl Fn(&Cluster, u64)) {
    for n in 1..=count {
        let mut cluster = calm(n, 2, 2);
        strike(&cluster, n);
        for _ in 0..6 {
            burst(&mut cluster);
            cluster.run_for(SECOND / 2).unwrap();
        }
        drains(&mut cluster);
    }
}

#[test]
fn the_disk_is_full_at_each_write() {
    disk_fails_at_each(40, |cluster, n| cluster.edges[0].disk.fail_write(n));
}

#[test]
fn the_disk_stays_full_from_each_write_on() {
    for n in 0..12 {
        let mut cluster = calm(n, 2, 2);
        cluster.edges[0].disk.set_full(Some(n * 400));
        for _ in 0..4 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
    }
}

#[test]
fn each_sync_fails() {
    disk_fails_at_each(25, |cluster, n| cluster.edges[0].disk.fail_sync(n));
}

#[test]
fn a_disk_of_an_hour_ago_is_put_back() {
    for seed in 0..4 {
        let mut cluster = calm(seed, 2, 2);
        cluster.restore_wal(0, SECOND);
        for _ in 0..10 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
        cluster.restore_wal(0, SECOND);
        assert_eq!(fired(&cluster, "wal restored"), 1);
        burst(&mut cluster);
        drains(&mut cluster);
    }
}

/// The copy has nothing of its own to send: it is fenced, or fences, and nothing is lost or stored twice.
#[test]
fn a_disk_is_copied_and_both_run() {
    for seed in 0..4 {
        let mut cluster = calm(seed, 2, 2);
        let openings =
            |cluster: &Cluster| cluster.edges[0].status.lock().unwrap().as_ref().map(|status| status.report()).map(|report| (report.producer, report.epoch));
        let before = openings(&cluster);
        assert!(cluster.clone_edge(0, SECOND * 30));
        for _ in 0..30 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
        assert!(openings(&cluster) != before, "the copy was never met");
    }
}

#[test]
fn the_bucket_is_put_back() {
    for seed in 0..4 {
        let mut cluster = calm(seed, 2, 2);
        cluster.ground.bucket.keep();
        for _ in 0..3 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
        cluster.roll_back(SECOND);
        burst(&mut cluster);
        drains(&mut cluster);
        // All of it lay in the grace of the edges' WALs.
        let lines: u64 = cluster.edges.iter().map(|edge| cluster.ground.bucket.oracle(|oracle| oracle.lines_of_cluster(edge.cluster))).sum();
        assert_eq!(lines, cluster.ledger.owed(|source| !source.ends_with(".push")));
    }
}

/// A hub sleeps while its lane is written by others, absorbed and collected; then it wakes with a create in hand.
#[test]
fn a_hub_sleeps_until_its_lane_is_collected() {
    let mut garbage = 0;
    for seed in 0..8 {
        let mut swarm = plain(seed, 2, 2);
        (swarm.pace.lane_keep, swarm.pace.snapshot_every, swarm.pace.absorb_every) = (SECOND, 2, SECOND / 2);
        let mut cluster = calmed(swarm);
        cluster.ground.bucket.tell("/log/", Fate::Late(Duration::from_secs(90)));
        burst(&mut cluster);
        assert!(cluster.until(DRAIN_MAX, |cluster| cluster.ground.bucket.all_told()).unwrap());
        cluster.freeze_hub(0, Duration::from_secs(120));
        for _ in 0..100 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
        garbage += fired(&cluster, "garbage created in a lane");
    }
    assert!(garbage > 0, "no create ever landed at a collected number");
}

/// Lanes simulated, breach 9: batches wait in a sleeping hub while their edge loses its WAL and goes to another hub.
#[test]
fn a_wal_is_lost_while_its_batches_wait_in_a_sleeping_hub() {
    for seed in 0..6 {
        let mut cluster = calm(seed, 2, 2);
        cluster.ground.bucket.hold("hub-0");
        burst(&mut cluster);
        cluster.run_for(SECOND).unwrap();
        cluster.freeze_hub(0, SECOND * 40);
        cluster.ground.bucket.release("hub-0");
        cluster.lose_wal(0, SECOND / 2);
        for _ in 0..30 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
        assert_eq!(fired(&cluster, "wal lost"), 1);
    }
}

#[test]
fn an_edge_moves_to_another_hub_and_back() {
    for seed in 0..4 {
        let mut cluster = calm(seed, 2, 2);
        for round in 0..4 {
            assert!(cluster.cut(0, round % 2, Way::Both, SECOND * 20));
            for _ in 0..20 {
                burst(&mut cluster);
                cluster.run_for(SECOND).unwrap();
            }
        }
        drains(&mut cluster);
        let moves = cluster.ground.bucket.oracle(tests::oracle::Oracle::closes);
        assert!(moves >= 2, "the edge moved {moves} times");
    }
}

/// Lanes simulated, breach 10: a push lies in a sleeping hub while its sender has it stored elsewhere.
#[test]
fn a_push_is_retried_at_another_hub_while_the_first_sleeps() {
    for seed in 0..4 {
        let mut cluster = calm(seed, 2, 2);
        for _ in 0..6 {
            cluster.push(0);
        }
        cluster.freeze_hub(0, SECOND * 25);
        cluster.freeze_hub(1, SECOND * 5);
        cluster.run_for(SECOND * 60).unwrap();
        assert!(fired(&cluster, "push retried at another hub") > 0);
        drains(&mut cluster);
    }
}

/// A cluster changes its tenant while batches are committed and not acknowledged.
#[test]
fn a_cluster_moves_to_another_tenant_with_acks_under_way() {
    for seed in 0..6 {
        let mut cluster = calm(seed, 2, 2);
        for hub in 0..2 {
            cluster.cut(0, hub, Way::ToEdge, SECOND * 8);
        }
        burst(&mut cluster);
        cluster.run_for(SECOND).unwrap();
        cluster.remap(0);
        for _ in 0..12 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
    }
}

#[test]
fn a_revoked_edge_stores_nothing_more() {
    let mut cluster = calm(5, 2, 2);
    burst(&mut cluster);
    cluster.revoke(0);
    cluster.run_for(SECOND * 5).unwrap();
    let lines = |cluster: &Cluster| cluster.ground.bucket.oracle(|oracle| oracle.lines_of_cluster(cluster.edges[0].cluster));
    let before = lines(&cluster);
    for _ in 0..10 {
        burst(&mut cluster);
        cluster.run_for(SECOND).unwrap();
    }
    assert_eq!(lines(&cluster), before, "a revoked edge stored lines 5 s later");
    drains(&mut cluster);
}

/// Seven days offline at 1 MB/s, at a scale of 1 : 100 in time and 1 : 150 in rate: 6,048 s without a hub at 6.6 KB/s; the times of lines run a hundred
/// times as fast as all else, so they span the seven days, and the backlog becomes segments of each of them. The link, 64 KiB/s, is ten times the rate.
#[test]
fn seven_days_of_backlog_drain_beside_live_lines() {
    let mut swarm = plain(3, 2, 2);
    swarm.padding = 1_500;
    (swarm.shape.wal_bytes_max, swarm.shape.batch_bytes) = (128 * 1024 * 1024, 32 * 1024);
    swarm.shape.bandwidth = 64 * 1024;
    let mut cluster = calmed(swarm);
    cluster.days_fold = 100;
    let offline = u32::try_from(7 * 86_400 / cluster.days_fold).unwrap();
    for hub in 0..2 {
        cluster.cut(0, hub, Way::Both, SECOND * offline);
    }
    for _ in 0..offline {
        for line in 0..8 {
            cluster.write(0, line % 2);
        }
        cluster.run_for(SECOND).unwrap();
    }
    let report = |cluster: &Cluster| cluster.edges[0].status.lock().unwrap().as_ref().map(edge::status::Status::report).unwrap();
    let backlog: u64 = report(&cluster).tracks.iter().map(|track| track.backlog_bytes).sum();
    assert!(backlog > 10_000_000, "{backlog} bytes of backlog");
    cluster.run_for(SECOND * 40).unwrap();
    let (began, mut worst, mut tracks) = (cluster.now(), 0, 0);
    let limit = SECOND * u32::try_from(backlog / 64 / 1024).unwrap() * 2;
    while report(&cluster).tracks.iter().any(|track| track.backlog_bytes > 64 * 1024) && cluster.now() - began < limit {
        cluster.write(0, 0);
        cluster.run_for(SECOND).unwrap();
        tracks = tracks.max(report(&cluster).tracks.len());
        worst = worst.max(report(&cluster).live_latency_ms);
    }
    let took = cluster.now() - began;
    println!("{backlog} bytes of backlog, drained in {took:?} over a link of 64 KiB/s beside live lines that waited {worst} ms at most");
    assert!(tracks >= 2, "the backlog was never a track of its own");
    assert!(worst < 5_000, "a live line waited {worst} ms behind the backlog");
    assert!(took < limit, "the backlog of {backlog} bytes took {took:?}: less than half of the link");
    // Everything once, and in order of its stream: the oracle and the queries of all hubs see to it.
    drains(&mut cluster);
    assert_eq!(cluster.edges[0].boots.load(Ordering::Relaxed), 1);
    let days = cluster.ground.bucket.oracle(tests::oracle::Oracle::segments);
    assert!(days.1 >= 7, "segments: {days:?}");
}
