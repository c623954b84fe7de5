//! Rules 7, 14, 20: following, freshness, damage.

use std::time::Duration;

use proto_model::{Sequence, TimeRange, Timestamp};

use super::*;
use crate::fault::PutFault;
use crate::header::CommitId;
use crate::numbered::create_control;
use crate::object::Create;
use crate::rig::{Fate, grant, hub, shown};

/// A hub that writes and one that reads, with `count` batches committed.
async fn pair(rig: &Arc<Rig>, count: u64) -> (Arc<Store>, LaneWriter, Edge, Arc<Store>) {
    let (one, two) = (hub(rig, 1).await, hub(rig, 2).await);
    let mut writer = one.writer().await.unwrap();
    let mut edge = opened(&mut writer, 1).await;
    for _ in 0..count {
        commit(&mut writer, &mut edge).await;
    }
    (one, writer, edge, two)
}

fn head(hub: &Arc<Store>) -> u64 {
    hub.lanes().first().map_or(0, |lane| lane.head)
}

#[tokio::test(start_paused = true)]
async fn rule_7_one_round_reads_to_the_first_absent_number_however_far() {
    let rig = Rig::new();
    let (_, _, _, two) = pair(&rig, 150).await;
    two.follow_round().await.unwrap();
    assert_eq!(head(&two), 151);
    assert_eq!(shown(&two, "acme").await.len(), 150);
    // An idle lane costs two requests a round, the registry one.
    rig.forget_seen();
    two.follow_round().await.unwrap();
    assert_eq!(rig.seen("get", "").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn rule_7_objects_read_before_their_base_went_away_are_not_folded() {
    let rig = Rig::new();
    let (one, mut writer, mut edge, two) = pair(&rig, 1).await;
    two.follow_round().await.unwrap();
    for _ in 0..10 {
        commit(&mut writer, &mut edge).await;
    }
    assert_eq!(snapshot_now(&rig, &one).await, 12);
    collect(&rig, 0, 1).await;
    // The reader stands at 2. It asks for what follows; before its second look 2 is collected, and what
    // it read may be anybody's.
    let base = object_of(&rig, &writer, 2);
    rig.tell("get", &base, [Fate::AfterDeleting(base.clone())]);
    two.follow_round().await.unwrap();
    assert_eq!((two.metrics().lane_restarts.get(), head(&two)), (1, 12));
}

fn object_of(_: &Rig, writer: &LaneWriter, number: u64) -> String {
    Key::lane_object(writer.lane(), number).to_string()
}

#[tokio::test(start_paused = true)]
async fn rule_7_a_base_that_bears_another_commit_id_starts_the_lane_anew() {
    let rig = Rig::new();
    let (one, mut writer, mut edge, two) = pair(&rig, 3).await;
    two.follow_round().await.unwrap();
    assert_eq!(head(&two), 4);
    for _ in 0..4 {
        commit(&mut writer, &mut edge).await;
    }
    snapshot_now(&rig, &one).await;
    collect(&rig, 0, 6).await;
    // A sleeper's late create makes a well-formed 4 of another commit.
    let mut garbage = LaneHeader {
        lane: writer.lane(),
        number: 4,
        commit: CommitId([7; 16]),
        previous: CommitId([8; 16]),
        writer: "sleeper".to_owned(),
        written: Timestamp(0),
        map_version: 0,
        records: Vec::new(),
        sections: Vec::new(),
    };
    rig.write(&object_of(&rig, &writer, 4), garbage.seal(&StoreKeys::none()).unwrap()).await;
    two.follow_round().await.unwrap();
    assert_eq!((two.metrics().lane_restarts.get(), head(&two)), (1, 8));
    assert!(two.view().frozen().is_empty(), "a sleeper's garbage is no alarm");
}

#[tokio::test(start_paused = true)]
async fn rule_14_a_hub_that_slept_follows_before_it_answers() {
    let rig = Rig::new();
    let (_, mut writer, mut edge, two) = pair(&rig, 1).await;
    assert_eq!(shown(&two, "acme").await.len(), 1);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    commit(&mut writer, &mut edge).await;
    let asked = Timestamp(two.shore().objects.world.clock.now_ns());
    let view = two.fresh(asked.minus(Duration::from_secs(1))).await.unwrap();
    assert_eq!(view.sections(&grant("acme"), TimeRange::ALL).len(), 2);
    // Within the second nothing is asked again.
    rig.forget_seen();
    two.fresh(asked.minus(Duration::from_secs(1))).await.unwrap();
    assert!(rig.seen("get", "").is_empty());
}

#[tokio::test(start_paused = true)]
async fn rule_14_a_clock_that_is_set_back_or_stands_still_makes_nothing_fresh() {
    let rig = Rig::new();
    let (_, mut writer, mut edge, two) = pair(&rig, 1).await;
    two.follow_round().await.unwrap();
    let proto_seam::Clock::Simulated { skew_ns, .. } = &two.shore().objects.world.clock else { unreachable!() };
    // Set back while time went on; gone on while the machine, and its steady clock, were suspended.
    for (awake, skew) in [(10, -3_600_000_000_000_i64), (0, 3_600_000_000_000)] {
        tokio::time::sleep(Duration::from_secs(awake)).await;
        skew_ns.fetch_add(skew, std::sync::atomic::Ordering::Relaxed);
        let number = commit(&mut writer, &mut edge).await;
        let asked = Timestamp(two.shore().objects.world.clock.now_ns());
        let view = two.fresh(asked.minus(Duration::from_secs(1))).await.unwrap();
        assert_eq!(view.heads()[&writer.lane()], number, "skew {skew}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_14_without_the_store_there_is_no_answer_instead_of_an_old_one() {
    let rig = Rig::new();
    let (_, _, _, two) = pair(&rig, 1).await;
    two.follow_round().await.unwrap();
    for part in ["/log/", "control/lanes/"] {
        tokio::time::sleep(Duration::from_secs(10)).await;
        rig.refuse_all("get", part);
        let began = tokio::time::Instant::now();
        let fault = two.fresh(Timestamp::MAX).await.unwrap_err();
        assert!(matches!(fault, StoreFault::Stale { waited_ms: 5_000, .. }), "{fault}");
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        rig.heal();
        two.fresh(Timestamp::MAX).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_round_is_shared_by_all_who_wait_and_survives_the_one_who_began_it() {
    let rig = Rig::new();
    let (_, _, _, two) = pair(&rig, 1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    rig.forget_seen();
    rig.tell("get", "control/lanes/", [Fate::Slow(Duration::from_millis(300))]);
    let hurried = tokio::time::timeout(Duration::from_millis(100), two.fresh(Timestamp::MAX));
    let asked = Timestamp(two.shore().objects.world.clock.now_ns());
    let waits = futures::future::join_all((0..50).map(|_| two.fresh(asked)));
    let (hurried, views) = tokio::join!(hurried, waits);
    assert!(hurried.is_err());
    assert!(views.into_iter().all(|view| view.unwrap().sections(&grant("acme"), TimeRange::ALL).len() == 1));
    assert_eq!(rig.seen("get", "control/lanes/").len(), 2, "the first lane's entry, then the absent one: once for all");
}

#[tokio::test(start_paused = true)]
async fn rule_7_a_lane_made_elsewhere_is_found_and_one_that_cannot_be_read_is_unknown_not_empty() {
    let rig = Rig::new();
    let (one, writer, _, two) = pair(&rig, 1).await;
    two.follow_round().await.unwrap();
    // A second lane, as a later hub may make one.
    let (lane, genesis) = make::make_genesis(one.shore(), "elsewhere").await.unwrap();
    let entry = crate::proto::LaneRegistration { lane: lane.0, genesis: genesis.0.to_vec(), writer: String::new(), written_ns: 0 };
    let key = Key::registration(1);
    assert_eq!(create_control(&one.shore().objects, &StoreKeys::none(), &key, &entry).await.unwrap(), Create::Created);
    rig.refuse_all("get", &lane.to_string());
    assert!(two.follow_round().await.is_err());
    assert!(matches!(two.fresh(Timestamp::MAX).await.unwrap_err(), StoreFault::Stale { .. }));
    assert_eq!(two.lanes().iter().map(|lane| lane.lane).collect::<Vec<_>>(), [writer.lane()]);
    rig.heal();
    two.fresh(Timestamp::MAX).await.unwrap();
    assert_eq!(two.lanes().len(), 2);
    // Nobody ever wrote it: it is good for a hub that comes.
    let three = hub(&rig, 3).await;
    assert_eq!(three.writer().await.unwrap().lane(), lane);
}

#[tokio::test(start_paused = true)]
async fn rule_20_a_damaged_header_freezes_its_lane_until_it_reads_well() {
    let rig = Rig::new();
    let (one, mut writer, mut edge, two) = pair(&rig, 2).await;
    two.follow_round().await.unwrap();
    let number = commit(&mut writer, &mut edge).await;
    commit(&mut writer, &mut edge).await;
    let name = object_of(&rig, &writer, number);
    let good = rig.read(&name).await;
    let mut bad = good.to_vec();
    bad[frame::HEAD_BYTES + 5] ^= 1;
    for damage in [bad, good[..40].to_vec(), b"<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>".to_vec(), Vec::new()] {
        rig.write(&name, damage).await;
        two.follow_round().await.unwrap();
        // Reads go on up to the last good number, and say that they are not whole.
        let view = two.fresh(Timestamp::MAX).await.unwrap();
        assert_eq!(view.sections(&grant("acme"), TimeRange::ALL).len(), 2);
        assert_eq!(view.frozen().iter().map(|(lane, frozen)| (*lane, frozen.number)).collect::<Vec<_>>(), [(writer.lane(), number)]);
        let mut other = two.writer_of(writer.lane()).await.unwrap();
        let stranger = Edge::new(ProducerId { lane: writer.lane(), unique: 77 });
        let fault = other.put(draft("acme", vec![stranger.open()], Vec::new())).await.unwrap_err();
        assert!(matches!(fault, PutFault::NotWritten(StoreFault::Frozen { .. })), "{fault}");
    }
    rig.write(&name, good).await;
    two.follow_round().await.unwrap();
    let view = two.fresh(Timestamp::MAX).await.unwrap();
    assert_eq!((view.sections(&grant("acme"), TimeRange::ALL).len(), view.frozen()), (4, Vec::new()));
    assert_eq!(one.metrics().lane_restarts.get() + two.metrics().lane_restarts.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn rule_20_a_header_that_does_not_follow_freezes_its_lane() {
    let rig = Rig::new();
    let (_, writer, edge, two) = pair(&rig, 1).await;
    two.follow_round().await.unwrap();
    let fold = two.only_cell().known().unwrap().fold;
    // Forged without care for the chain: a whole header, but its advance overlaps.
    let (advance, _) = Edge::new(edge.producer).next(1);
    let mut forged = LaneHeader {
        lane: writer.lane(),
        number: 3,
        commit: CommitId([7; 16]),
        previous: fold.head_commit(),
        writer: "forger".to_owned(),
        written: Timestamp(0),
        map_version: 0,
        records: vec![advance],
        sections: Vec::new(),
    };
    rig.write(&object_of(&rig, &writer, 3), forged.seal(&StoreKeys::none()).unwrap()).await;
    two.follow_round().await.unwrap();
    assert_eq!((head(&two), two.view().frozen().len()), (2, 1));
    // Taken away, the number is free again.
    let forged = rig.read(&object_of(&rig, &writer, 3)).await;
    rig.delete(&object_of(&rig, &writer, 3)).await;
    two.follow_round().await.unwrap();
    assert!(two.view().frozen().is_empty());
    rig.write(&object_of(&rig, &writer, 3), forged).await;
    two.follow_round().await.unwrap();
    assert_eq!((head(&two), two.view().frozen().len()), (2, 1));
    assert_eq!(two.only_cell().known().unwrap().fold.producer(&edge.producer).unwrap().last, Sequence(1));
}

#[tokio::test(start_paused = true)]
async fn a_header_longer_than_one_request_is_read_whole() {
    let rig = Rig::new();
    let (_, mut writer, _, two) = pair(&rig, 1).await;
    let reason = "r".repeat(4_000);
    let edges: Vec<Edge> = (100..140).map(|unique| Edge::new(ProducerId { lane: writer.lane(), unique })).collect();
    let records = edges.iter().flat_map(|edge| [edge.open(), crate::record::LaneRecord::Quarantine { producer: edge.producer, reason: reason.clone() }]);
    let number = writer.put(draft("acme", records.collect(), Vec::new())).await.unwrap().number;
    assert!(rig.read(&object_of(&rig, &writer, number)).await.len() as u64 > 2 * HEADER_GET_BYTES);
    let more = Edge::new(ProducerId { lane: writer.lane(), unique: 200 });
    writer.put(draft("acme", vec![more.open()], Vec::new())).await.unwrap();
    two.follow_round().await.unwrap();
    assert_eq!(head(&two), number + 1);
    two.follow_round().await.unwrap();
    assert_eq!(two.metrics().lane_restarts.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_garbled_once_does_not_cost_the_lane_its_state() {
    let rig = Rig::new();
    let (_, writer, _, two) = pair(&rig, 3).await;
    two.follow_round().await.unwrap();
    rig.tell("get", &object_of(&rig, &writer, 4), [Fate::Answered("<Error>SlowDown</Error>".into())]);
    two.follow_round().await.unwrap();
    assert_eq!((two.metrics().lane_restarts.get(), head(&two)), (0, 4));
}
