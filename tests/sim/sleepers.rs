//! Hubs that sleep while others go on, and lanes that cannot be read: each rule that guards against them, brought to the moment where it alone does.
//!
//! Promises: each test sees that its moment has come, so that it fails when the rule is taken out (`planted`). Must not do: leave the moment to chance.

use std::time::Duration;

use tests::objects::Fate;

use crate::cluster::{Cluster, DRAIN_MAX};
use crate::directed::{burst, calmed, drains, fired, plain};
use crate::floor::Way;
use crate::swarm::{Pace, Swarm};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Two edges, two hubs; what is absorbed is collected within seconds.
fn hasty(seed: u64) -> Swarm {
    let pace = Pace { snapshot_every: 2, lane_idle: SECOND / 2, lane_keep: SECOND / 3, absorb_every: SECOND / 2, sweep_after: SECOND * 2 };
    Swarm { pace, linger: Duration::from_millis(20), ..plain(seed, 2, 2) }
}

/// Only the first hub runs; it has stored the first lines.
fn alone(swarm: Swarm) -> Cluster {
    let mut cluster = Cluster::new(swarm);
    cluster.crash_hub(1, DAY);
    cluster.suffer().unwrap();
    cluster.finish_halves();
    assert!(cluster.until(DRAIN_MAX, |cluster| (0..2).all(|at| cluster.is_drained(at))).unwrap());
    cluster.run_for(SECOND * 2).unwrap();
    cluster
}

/// An edge writes while time passes.
fn writes_for(cluster: &mut Cluster, at: usize, span: Duration) {
    let end = cluster.now() + span;
    while cluster.now() < end {
        cluster.write(at, 0);
        cluster.run_for(Duration::from_millis(100)).unwrap();
    }
}

/// Lane rule 6: a hub falls asleep with a create on its way; another takes its lane over, writes that number, absorbs and collects it; then the
/// create lands where nothing stands any more, and its sender wakes and hears that it was created.
#[test]
fn a_sleeper_creates_a_lane_object_that_was_collected() {
    let mut told = 0;
    for seed in 0..4 {
        let mut cluster = alone(hasty(seed));
        cluster.ground.bucket.tell("/log/", Fate::Slow(SECOND * 14));
        burst(&mut cluster);
        assert!(cluster.until(DRAIN_MAX, |cluster| cluster.ground.bucket.is_sealing("hub-0")).unwrap());
        cluster.freeze_hub(0, SECOND * 15);
        cluster.cut(1, 0, Way::Both, SECOND * 30);
        cluster.start_hub(1);
        writes_for(&mut cluster, 1, SECOND * 18);
        told += fired(&cluster, "garbage in a lane, told to its writer as created");
        drains(&mut cluster);
    }
    assert!(told > 0, "no sleeper ever created at a collected number");
}

/// Lane rule 16 (as 6): the same with a manifest; then the other hub dies, and the sleeper absorbs alone.
#[test]
fn a_sleeper_creates_a_manifest_that_was_collected() {
    let mut told = 0;
    for seed in 0..6 {
        let mut cluster = calmed(hasty(seed));
        cluster.ground.bucket.tell("/manifest/", Fate::Slow(SECOND * 26));
        burst(&mut cluster);
        let mut writer = None;
        cluster
            .until(DRAIN_MAX, |cluster| {
                writer = cluster.ground.bucket.writer_of("/manifest/").filter(|_| cluster.ground.bucket.all_told());
                writer.is_some()
            })
            .unwrap();
        let sleeper = usize::from(writer.expect("a manifest under way") == "hub-1");
        cluster.freeze_hub(sleeper, SECOND * 27);
        for edge in 0..2 {
            cluster.cut(edge, sleeper, Way::Both, SECOND * 27);
        }
        for _ in 0..250 {
            burst(&mut cluster);
            cluster.run_for(Duration::from_millis(107)).unwrap();
        }
        let other = 1 - sleeper;
        cluster.crash_hub(other, SECOND * 30);
        for _ in 0..25 {
            burst(&mut cluster);
            cluster.run_for(SECOND).unwrap();
        }
        told += fired(&cluster, "garbage manifest, told to its writer as created");
        drains(&mut cluster);
    }
    assert!(told > 0, "no sleeper ever created at a collected number");
}

/// Lane rule 1: a lane that was made elsewhere and cannot be read here is unknown, not empty: queries are not answered without it.
#[test]
fn a_lane_that_cannot_be_read_is_not_taken_for_empty() {
    for seed in 0..3 {
        let mut swarm = hasty(seed);
        swarm.pace.lane_idle = DAY;
        let mut cluster = alone(swarm);
        let lanes = |cluster: &Cluster| cluster.ground.bucket.oracle(|oracle| oracle.lanes().map(|(lane, ..)| lane.to_owned()).collect::<Vec<_>>());
        let first = lanes(&cluster);
        assert_eq!(first.len(), 1);
        cluster.ground.bucket.blind(Some(("hub-0", &first[0])));
        cluster.cut(1, 0, Way::Both, SECOND * 60);
        cluster.start_hub(1);
        writes_for(&mut cluster, 1, SECOND * 10);
        cluster.finish_halves();
        assert!(cluster.is_drained(1) || cluster.until(DRAIN_MAX, |cluster| cluster.is_drained(1)).unwrap());
        assert_eq!(lanes(&cluster).len(), 2, "the second hub has a lane of its own");
        cluster.run_for(SECOND * 3).unwrap();
        cluster.ask();
        cluster.run_for(SECOND * 9).unwrap();
        let refused = cluster.hubs[0].answers.lock().unwrap().iter().filter(|answer| answer.streams.is_err()).count();
        cluster.judge().unwrap_or_else(|breach| panic!("seed {seed}: {breach}"));
        assert!(refused > 0, "the hub answered without the lane");
        cluster.ground.bucket.blind(None);
        drains(&mut cluster);
    }
}
