//! Rule 1: which lane a hub writes, and several lanes followed at once.

use std::collections::BTreeSet;
use std::time::Duration;

use proto_model::{Sequence, TimeRange, Timestamp};

use super::*;
use crate::fault::PutFault;
use crate::limits::{ASKED_LATELY, FOLLOW_EVERY, LANE_IDLE, WHOLE_EVERY};
use crate::record::LaneRecord;
use crate::rig::{Fate, grant, hub, shown};
use crate::section::Draft;

/// A lane of the hub of that seed, written once.
async fn written(rig: &Arc<Rig>, seed: u64) -> (Arc<Store>, LaneWriter, Edge) {
    let store = hub(rig, seed).await;
    let mut writer = store.writer().await.unwrap();
    let edge = opened(&mut writer, u128::from(seed)).await;
    (store, writer, edge)
}

fn lanes(store: &Store) -> BTreeSet<LaneId> {
    store.lanes().iter().map(|report| report.lane).collect()
}

#[tokio::test(start_paused = true)]
async fn rule_1_a_hub_that_comes_back_finds_its_lane_by_its_name() {
    let rig = Rig::new();
    let (one, first, _) = written(&rig, 1).await;
    let (two, second, _) = written(&rig, 2).await;
    assert_ne!(first.lane(), second.lane());
    assert_eq!((one.own_lane(), two.own_lane()), (Some(first.lane()), Some(second.lane())));
    // Another hub's amendment is the newest number of the lane; it is the first hub's all the same.
    two.amend(first.lane(), |fold| Ok((fold.map_version() < 3).then(|| Draft { records: vec![LaneRecord::Map(3)], ..Draft::default() }))).await.unwrap();
    assert_eq!(two.lanes().iter().find(|report| report.lane == first.lane()).unwrap().writer, "hub-2");
    let (lane, others) = (first.lane(), second.lane());
    drop((one, first, two, second));
    assert_eq!(hub(&rig, 1).await.writer().await.unwrap().lane(), lane);
    assert_eq!(hub(&rig, 2).await.writer().await.unwrap().lane(), others);
    assert_eq!(rig.names("control/lanes/").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn rule_1_a_hub_that_comes_back_before_it_ever_wrote_finds_the_lane_it_made() {
    let rig = Rig::new();
    let lane = hub(&rig, 1).await.writer().await.unwrap().lane();
    assert_eq!(hub(&rig, 1).await.writer().await.unwrap().lane(), lane);
    assert_ne!(hub(&rig, 2).await.writer().await.unwrap().lane(), lane);
}

#[tokio::test(start_paused = true)]
async fn rule_1_a_lane_is_nobodys_once_it_is_idle_for_30_s() {
    let rig = Rig::new();
    let (_, first, _) = written(&rig, 1).await;
    tokio::time::sleep(LANE_IDLE - Duration::from_millis(1)).await;
    let made = hub(&rig, 2).await.writer().await.unwrap().lane();
    assert_ne!(made, first.lane(), "it was written a moment ago");
    tokio::time::sleep(Duration::from_millis(1)).await;
    let three = hub(&rig, 3).await;
    let mut adopted = three.writer().await.unwrap();
    assert_eq!(adopted.lane(), first.lane());
    opened(&mut adopted, 3).await;
    // From now on it is the third hub's; the first one, back again, looks for another.
    let (back, owner) = (hub(&rig, 1).await.writer().await.unwrap().lane(), adopted.fold().owner().to_owned());
    assert_ne!((back, owner.as_str()), (first.lane(), "hub-1"));
}

#[tokio::test(start_paused = true)]
async fn rule_1_a_lane_whose_maker_died_before_it_was_registered_is_nowhere() {
    let rig = Rig::new();
    let one = hub(&rig, 1).await;
    rig.refuse_all("put", "control/lanes/");
    assert!(matches!(one.writer().await.unwrap_err(), StoreFault::Unreachable { .. }));
    assert_eq!(one.own_lane(), None);
    rig.heal();
    let orphans = rig.names("/log/").await;
    assert!(!orphans.is_empty());
    drop(one);
    let (two, writer, _) = written(&rig, 2).await;
    assert_eq!(lanes(&two), [writer.lane()].into());
    assert!(orphans.iter().all(|name| !name.contains(&writer.lane().to_string())));
    assert_eq!(shown(&two, "acme").await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn rule_1_a_lane_that_cannot_be_read_is_not_chosen() {
    let rig = Rig::new();
    let (_, first, _) = written(&rig, 1).await;
    let damaged = Key::lane_object(first.lane(), 2).to_string();
    rig.write(&damaged, "garbage").await;
    tokio::time::sleep(LANE_IDLE).await;
    let two = hub(&rig, 2).await;
    assert_eq!(two.view().frozen().len(), 1);
    let made = two.writer().await.unwrap().lane();
    assert_ne!(made, first.lane());
    // Not even by the hub whose it was: it would stand still with it.
    let back = hub(&rig, 1).await;
    assert_ne!(back.writer().await.unwrap().lane(), first.lane());
}

#[tokio::test(start_paused = true)]
async fn rule_1_two_hubs_that_adopt_the_same_lane_pay_in_retries_until_one_goes_elsewhere() {
    let rig = Rig::new();
    let (_, idle, _) = written(&rig, 1).await;
    tokio::time::sleep(LANE_IDLE).await;
    let (two, three) = (hub(&rig, 2).await, hub(&rig, 3).await);
    let (mut second, mut third) = (two.writer().await.unwrap(), three.writer().await.unwrap());
    assert_eq!((second.lane(), third.lane()), (idle.lane(), idle.lane()));
    let mut one_edge = opened(&mut second, 20).await;
    let mut other_edge = Edge::new(ProducerId { lane: third.lane(), unique: 30 });
    let pending = draft("acme", vec![other_edge.open()], Vec::new());
    assert!(matches!(third.put(pending.clone()).await.unwrap_err(), PutFault::NotWritten(fault) if fault.is_conflict()));
    third.follow().await.unwrap();
    assert_eq!(third.fold().writer(), "hub-2");
    third.put(pending).await.unwrap();
    assert!(matches!(second.put(draft("acme", vec![], Vec::new())).await.unwrap_err(), PutFault::NotWritten(fault) if fault.is_conflict()));
    // The second goes elsewhere; what it has at hand it may still write where it was.
    let mut elsewhere = two.another_lane().await.unwrap();
    assert_ne!(elsewhere.lane(), idle.lane());
    assert_eq!(two.own_lane(), Some(elsewhere.lane()));
    second.follow().await.unwrap();
    commit(&mut second, &mut one_edge).await;
    assert_eq!(two.writer().await.unwrap_err(), StoreFault::WriterTaken);
    drop(second);
    assert_eq!(two.writer().await.unwrap_err(), StoreFault::WriterTaken, "the writer of the lane before is not the own one any more");
    let mut third_edge = opened(&mut elsewhere, 40).await;
    commit(&mut elsewhere, &mut third_edge).await;
    third.follow().await.unwrap();
    commit(&mut third, &mut other_edge).await;
    let lane = elsewhere.lane();
    drop(elsewhere);
    assert_eq!(two.writer().await.unwrap().lane(), lane);
    assert_eq!(shown(&three, "acme").await.len(), 3);
    drop(two);
    assert_eq!(hub(&rig, 2).await.writer().await.unwrap().lane(), lane, "of the lanes of its name, the one it wrote last");
}

#[tokio::test(start_paused = true)]
async fn rule_1_giving_a_lane_up_fails_whole_or_not_at_all() {
    let rig = Rig::new();
    let (one, mut writer, mut edge) = written(&rig, 1).await;
    rig.refuse_all("put", "control/lanes/");
    assert!(one.another_lane().await.is_err());
    rig.heal();
    assert_eq!(one.own_lane(), Some(writer.lane()));
    commit(&mut writer, &mut edge).await;
    assert_eq!(one.writer().await.unwrap_err(), StoreFault::WriterTaken);
}

#[tokio::test(start_paused = true)]
async fn rule_1_hubs_of_one_name_share_a_lane_at_the_cost_of_retries() {
    let rig = Rig::new();
    let (one, mut first, mut edge) = written(&rig, 1).await;
    let twin = hub(&rig, 1).await;
    let mut second = twin.writer().await.unwrap();
    assert_eq!(second.lane(), first.lane());
    commit(&mut first, &mut edge).await;
    let other = Edge::new(ProducerId { lane: second.lane(), unique: 50 });
    let pending = draft("acme", vec![other.open()], Vec::new());
    assert!(matches!(second.put(pending.clone()).await.unwrap_err(), PutFault::NotWritten(fault) if fault.is_conflict()));
    second.follow().await.unwrap();
    second.put(pending).await.unwrap();
    first.follow().await.unwrap();
    commit(&mut first, &mut edge).await;
    assert_eq!((shown(&one, "acme").await.len(), shown(&twin, "acme").await.len()), (2, 2));
}

/// A reader, and `count` hubs that each wrote a batch into a lane of their own.
async fn many(rig: &Arc<Rig>, count: u64) -> (Arc<Store>, Vec<(Arc<Store>, LaneWriter, Edge)>) {
    let mut hubs = Vec::new();
    for seed in 1..=count {
        let (store, mut writer, mut edge) = written(rig, seed).await;
        commit(&mut writer, &mut edge).await;
        hubs.push((store, writer, edge));
    }
    let reader = hub(rig, count + 1).await;
    assert_eq!(lanes(&reader).len(), usize::try_from(count).unwrap());
    (reader, hubs)
}

#[tokio::test(start_paused = true)]
async fn rule_7_fifty_lanes_are_fresh_within_a_second_on_a_slow_store() {
    let rig = Rig::new();
    let (reader, mut hubs) = many(&rig, 50).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let (_, writer, edge) = &mut hubs[30];
    commit(writer, edge).await;
    rig.tell("get", "", std::iter::repeat_n(Fate::Slow(Duration::from_millis(50)), 10_000));
    let began = tokio::time::Instant::now();
    let asked = Timestamp(reader.shore().objects.world.clock.now_ns());
    let view = reader.fresh(asked).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(view.sections(&grant("acme"), TimeRange::ALL).len(), 51);
    // And what a hub that follows every second shows is no older than that and a round.
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn({
        let (reader, stop) = (Arc::clone(&reader), stop.clone());
        async move { reader.run(stop).await }
    });
    for (number, (_, writer, edge)) in hubs.iter_mut().enumerate() {
        commit(writer, edge).await;
        tokio::time::sleep(FOLLOW_EVERY + Duration::from_secs(1)).await;
        assert_eq!(reader.view().sections(&grant("acme"), TimeRange::ALL).len(), 52 + number);
    }
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rule_7_an_idle_lane_costs_one_request_a_round_while_nobody_asks() {
    let rig = Rig::new();
    let (reader, mut hubs) = many(&rig, 10).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn({
        let (reader, stop) = (Arc::clone(&reader), stop.clone());
        async move { reader.run(stop).await }
    });
    let rounds = || rig.seen("get", "control/lanes/").len();
    let of_lanes = || rig.seen("get", "/log/").len();
    tokio::time::sleep(Duration::from_millis(100)).await;
    rig.forget_seen();
    tokio::time::sleep(WHOLE_EVERY - Duration::from_secs(5)).await;
    assert!(rounds() >= 24, "{}", rounds());
    assert_eq!(of_lanes(), 10 * rounds());
    // What is new is found by the next of these rounds.
    let (_, writer, edge) = &mut hubs[3];
    let number = commit(writer, edge).await;
    tokio::time::sleep(FOLLOW_EVERY).await;
    assert_eq!(reader.view().heads()[&writer.lane()], number);
    // Nothing is known to be fresh by them, so the first who asks has to wait for a round, and the next ones do not.
    let asked = || Timestamp(reader.shore().objects.world.clock.now_ns());
    tokio::time::sleep(Duration::from_secs(1)).await;
    reader.fresh(asked()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    rig.forget_seen();
    reader.fresh(asked().minus(FOLLOW_EVERY)).await.unwrap();
    assert_eq!(rig.seen("get", "").len(), 0);
    tokio::time::sleep(ASKED_LATELY + WHOLE_EVERY).await;
    rig.forget_seen();
    tokio::time::sleep(WHOLE_EVERY).await;
    assert!(of_lanes() < 12 * rounds(), "{} requests in {} rounds", of_lanes(), rounds());
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rule_7_a_hub_that_slept_through_a_collection_finds_out_though_nobody_asks() {
    let rig = Rig::new();
    let (one, mut writer, mut edge) = written(&rig, 1).await;
    let reader = hub(&rig, 2).await;
    for _ in 0..9 {
        commit(&mut writer, &mut edge).await;
    }
    snapshot_now(&rig, &one).await;
    collect(&rig, 0, 9).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn({
        let (reader, stop) = (Arc::clone(&reader), stop.clone());
        async move { reader.run(stop).await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(reader.view().heads()[&writer.lane()], 1, "what it looks for is gone");
    tokio::time::sleep(WHOLE_EVERY).await;
    assert_eq!(reader.view().heads()[&writer.lane()], 10);
    assert_eq!(one.fold_of(writer.lane()).await.unwrap().producer(&edge.producer).unwrap().last, Sequence(9));
    stop.cancel();
    running.await.unwrap();
}
