//! Two holders of one WAL, and a WAL that contradicts what is stored: what hubs do, and the ways out that an operator has.
//!
//! Promises: each test sees that its fault has happened; lines are found once each afterwards. Must not do: leave the moment to chance.

use std::sync::Arc;
use std::time::Duration;

use tests::oracle::Oracle;
use tests::quic::EDGES;

use crate::cluster::Cluster;
use crate::directed::{burst, calm, drains, fired};
use crate::floor::Way;
use crate::hosts::{EdgeHost, Order};

const SECOND: Duration = Duration::from_secs(1);

fn report(edge: &EdgeHost) -> Option<edge::status::StatusReport> {
    edge.status.lock().unwrap().as_ref().map(edge::status::Status::report)
}

/// Original and copy both collect lines of their own while the copy meets no hub; then they fence each other until a hub sees that they are two.
fn quarantined(seed: u64) -> (Cluster, Arc<EdgeHost>) {
    crate::seeds::log();
    let mut cluster = calm(seed, 2, 2);
    let copy = cluster.copy_edge(0, EDGES[0], SECOND * 86_400, true).expect("a copy");
    let hubs = ["hub-0", "hub-1"];
    hubs.iter().for_each(|hub| cluster.floor.cut(&copy.name, hub, Way::Both));
    for round in 0..40 {
        if round < 5 {
            cluster.write(0, 0);
        }
        cluster.write_beside(&copy, round % 2);
        cluster.run_for(SECOND / 2).unwrap();
    }
    hubs.iter().for_each(|hub| cluster.floor.mend(&copy.name, hub));
    // Both go on, seldom: each finds itself fenced by the other, and opens anew.
    for round in 0..30 {
        cluster.write(0, 0);
        cluster.write_beside(&copy, round % 2);
        if cluster.until(SECOND * 10, |cluster| !cluster.ground.bucket.oracle(Oracle::quarantined).is_empty()).unwrap() {
            return (cluster, copy);
        }
    }
    panic!("seed {seed}: two active copies were never found out: {}", cluster.standing());
}

/// Reliability 2.5: nothing more of either is stored then, until an operator comes.
#[test]
fn two_active_copies_are_quarantined() {
    let (mut cluster, _copy) = quarantined(0);
    cluster.run_for(SECOND * 5).unwrap();
    assert!(!cluster.ground.bucket.oracle(Oracle::quarantined).is_empty());
}

/// State, producer and newest ack of the newest track.
fn newest(edge: &EdgeHost) -> Option<(&'static str, Option<String>, u64)> {
    report(edge).and_then(|report| report.tracks.last().map(|track| (track.state, track.producer.clone(), track.acked)))
}

/// Both write, half a second a round; what is quarantined is released meanwhile, unless a copy stands under the name of its original.
fn both_write(cluster: &mut Cluster, copy: &EdgeHost, rounds: usize) {
    for round in 0..rounds {
        cluster.write(0, 0);
        cluster.write_beside(copy, round % 2);
        cluster.run_for(SECOND / 2).unwrap();
    }
}

/// A cloned disk, both copies running, after the operator's work: the copy is enrolled under a name of its own, and what was quarantined is released. The
/// original goes on under the producer that follows, the copy under a fresh one; lines of both are stored, once each.
#[test]
fn two_active_copies_both_go_on_after_the_release() {
    for seed in 0..3 {
        let (mut cluster, copy) = quarantined(seed);
        let renamed = cluster.rename_edge(&copy, EDGES[2]);
        cluster.forget_clone();
        both_write(&mut cluster, &copy, 200);
        let (original, renamed) = (newest(&cluster.edges[0]).unwrap(), newest(&renamed).unwrap());
        assert_eq!((original.0, renamed.0), ("open", "open"), "{original:?} {renamed:?}");
        assert!(original.1 != renamed.1 && original.2 > 0 && renamed.2 > 0, "each under a producer of its own: {original:?} {renamed:?}");
        drains(&mut cluster);
    }
}

/// A release while both still bear one name: whoever is first has the numbering that follows. Whom a hub turns away after that is enrolled under
/// another name (runbook on divergence, step 6).
#[test]
fn a_release_before_the_copy_has_a_name_of_its_own_harms_nobody() {
    for seed in 0..3 {
        let (mut cluster, copy) = quarantined(seed);
        cluster.forget_clone();
        both_write(&mut cluster, &copy, 100);
        let mut renamed = cluster.rename_edge(&copy, EDGES[2]);
        both_write(&mut cluster, &copy, 200);
        let mut original = Arc::clone(&cluster.edges[0]);
        if newest(&original).is_none_or(|newest| newest.0 != "open") {
            original = cluster.rename_edge(&original, EDGES[1]);
        } else if newest(&renamed).is_none_or(|newest| newest.0 != "open") {
            renamed = cluster.rename_edge(&renamed, EDGES[1]);
        }
        both_write(&mut cluster, &copy, 200);
        let (original, renamed) = (newest(&original).unwrap(), newest(&renamed).unwrap());
        assert_eq!((original.0, renamed.0), ("open", "open"), "{original:?} {renamed:?}");
        assert!(original.1 != renamed.1, "each under a producer of its own: {original:?} {renamed:?}");
        drains(&mut cluster);
    }
}

/// What an operator retired is denied for ever; its WAL is brought over by who holds it under another name.
#[test]
fn a_retired_producer_stores_nothing_more_and_its_wal_is_brought_over_under_another_name() {
    for seed in 0..3 {
        let mut cluster = calm(seed, 2, 2);
        let producer = report(&cluster.edges[1]).and_then(|report| report.producer).expect("a producer");
        assert!(cluster.hubs[0].order(Order::Retire { producer }));
        cluster.run_for(SECOND * 3).unwrap();
        let lines = |cluster: &Cluster| cluster.ground.bucket.oracle(|oracle| oracle.lines_of_cluster(cluster.edges[1].cluster));
        let before = lines(&cluster);
        for _ in 0..10 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        assert_eq!(lines(&cluster), before, "a retired producer went on");
        let edge = Arc::clone(&cluster.edges[1]);
        drop(cluster.rename_edge(&edge, EDGES[0]));
        drains(&mut cluster);
        assert!(lines(&cluster) > before);
    }
}

/// A WAL of a while ago is put back and collects before it meets a hub, under numbers that are taken: it contradicts what is stored, which only
/// its edge can see (a producer that has moved to another hub meanwhile needs no operator: the edge is told to begin anew). The operator releases its producer, and it reads on where the hub stands.
#[test]
fn a_wal_that_was_put_back_and_went_on_is_released() {
    let mut released = 0;
    for seed in 0..6 {
        let mut cluster = calm(seed, 2, 1);
        cluster.restore_wal(0, SECOND);
        for _ in 0..4 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
        cluster.cut(0, 0, Way::Both, SECOND * 25);
        cluster.restore_wal(0, SECOND / 2);
        for _ in 0..20 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        drains(&mut cluster);
        assert_eq!(fired(&cluster, "wal restored"), 1);
        released += fired(&cluster, "contradicted producer released by an operator");
        assert_eq!(fired(&cluster, "contradicting wal deleted by an operator"), 0);
    }
    assert!(released > 0, "it never contradicted what is stored");
}
