//! Deletes while hubs die in the middle of carrying them out (lane rule 17).
//!
//! Parts: `lines` (what each hub shows), the test. Must not do: `drain` (it owes every line that was written).

use std::time::Duration;

use tests::objects::Fate;
use tests::quic::CLUSTERS;

use crate::cluster::{Cluster, DRAIN_MAX};
use crate::directed::{burst, calm, fired};
use crate::hosts::Order;

const QUERY: &str = r#"{app=~".+"} |= "1""#;

/// The lines of a tenant on each hub, sorted; asked now.
fn lines(cluster: &mut Cluster, tenant: &str, asked: u64) -> Vec<Vec<String>> {
    (0..cluster.hubs.len()).map(|at| of_hub(cluster, at, tenant, asked)).collect()
}

fn of_hub(cluster: &mut Cluster, at: usize, tenant: &str, asked: u64) -> Vec<String> {
    let hub = std::sync::Arc::clone(&cluster.hubs[at]);
    for _ in 0..60 {
        hub.order(Order::Ask(asked));
        cluster.run_for(Duration::from_secs(1)).unwrap();
        let answers = std::mem::take(&mut *hub.answers.lock().unwrap());
        let mine = answers.into_iter().filter(|answer| answer.asked == asked && answer.tenant == tenant);
        if let Some(streams) = mine.filter_map(|answer| answer.streams.ok()).next_back() {
            let mut lines: Vec<String> = streams.into_iter().flat_map(|(_, lines)| lines).collect();
            lines.sort();
            return lines;
        }
    }
    panic!("{} does not answer\n{}", hub.name, cluster.standing())
}

/// Deletes on hub `at`, again until it is known to be in force.
fn delete(cluster: &mut Cluster, at: usize) -> String {
    for _ in 0..60 {
        cluster.hubs[at].order(Order::Delete { cluster: CLUSTERS[0], query: QUERY });
        cluster.run_for(Duration::from_secs(1)).unwrap();
        if let Some((tenant, _)) = cluster.deleted.iter().find(|(_, done)| **done) {
            return tenant.clone();
        }
    }
    panic!("nobody takes the delete in\n{}", cluster.standing())
}

/// A delete of some lines, then a hub dies, or is not answered, at the first write under `part` that follows.
fn survives(seed: u64, part: &str, fate: Fate, kind: &str) {
    let mut cluster = calm(seed, 1, 2);
    let before = fired(&cluster, kind);
    // Some lines may lie in segments by now, these in a lane.
    burst(&mut cluster);
    cluster.finish_halves();
    assert!(cluster.until(DRAIN_MAX, |cluster| cluster.is_drained(0)).unwrap());
    let at = usize::try_from(seed % 2).unwrap();
    // It meets the delete itself, or what absorption and rewriting write then.
    cluster.ground.bucket.tell(part, fate);
    let tenant = delete(&mut cluster, at);
    let shown = lines(&mut cluster, &tenant, 1_000_000);
    assert!(!shown[0].is_empty() && shown[0].iter().all(|line| !line.contains('1')), "seed {seed}: {:?}", shown[0]);
    assert_eq!(shown[0], shown[1], "seed {seed}: in force on both");
    // What comes now is new.
    let mut expected = shown[0].clone();
    burst(&mut cluster);
    cluster.finish_halves();
    assert!(cluster.until(DRAIN_MAX, |cluster| cluster.is_drained(0)).unwrap());
    let shown = lines(&mut cluster, &tenant, 1_000_001);
    let new: Vec<String> = shown[0].iter().filter(|line| !expected.contains(line)).cloned().collect();
    assert!(new.len() == 10 && new.iter().any(|line| line.contains('1')), "seed {seed}: {new:?}");
    expected.extend(new);
    expected.sort();
    let over = cluster
        .until(Duration::from_secs(600), |cluster| cluster.ground.bucket.all_told() && cluster.ground.bucket.oracle(|oracle| oracle.deletes(&tenant).0 == 0));
    assert!(over.unwrap(), "seed {seed}: the delete is not carried out, or {kind} never came\n{}", cluster.standing());
    assert!(fired(&cluster, kind) > before, "seed {seed}: {kind}");
    assert!(cluster.ground.bucket.oracle(|oracle| oracle.deletes(&tenant).1) > 0, "seed {seed}: lines were taken out");
    for host in 0..2 {
        cluster.crash_hub(host, Duration::from_millis(500));
    }
    cluster.run_for(Duration::from_secs(5)).unwrap();
    for shown in lines(&mut cluster, &tenant, 1_000_002) {
        assert_eq!(shown, expected, "seed {seed}: what is carried out shows what was in force");
    }
    assert_eq!(cluster.ground.bucket.oracle(|oracle| oracle.violations().to_vec()), Vec::<String>::new());
}

#[test]
fn hubs_die_while_they_absorb_and_rewrite_without_deleted_lines() {
    for seed in 0..2 {
        survives(seed, "/segments/", Fate::DiesBefore, "hub dies before commit");
        survives(seed, "/segments/", Fate::DiesAfter, "hub dies between commit and ack");
        survives(seed, "/manifest/", Fate::DiesBefore, "hub dies before commit");
        survives(seed, "/manifest/", Fate::DiesAfter, "hub dies between commit and ack");
    }
}

#[test]
fn the_number_that_takes_lines_out_is_answered_wrongly_or_late() {
    survives(3, "/manifest/", Fate::AnswerLost(false), "store answer lost");
    survives(5, "/manifest/", Fate::Late(Duration::from_secs(5)), "store applied late");
}
