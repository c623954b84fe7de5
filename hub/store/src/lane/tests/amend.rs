//! Rules 5, 8, 9, 10 across lanes: amendments, ends and beginnings of producers, maps, push lanes.

use std::time::Duration;

use proto_model::{Sequence, Timestamp};

use super::*;
use crate::fault::PutFault;
use crate::fold::ProducerState;
use crate::record::LaneRecord;
use crate::rig::{Fate, counts, grant, hub, row, shown};
use crate::section::{BatchDraft, Draft, Origin, SectionDraft};

/// Two hubs with a lane each, and an edge of the first with two batches.
async fn pair(rig: &Arc<Rig>) -> ((Arc<Store>, LaneWriter), (Arc<Store>, LaneWriter), Edge) {
    let (one, two) = (hub(rig, 1).await, hub(rig, 2).await);
    let (mut first, second) = (one.writer().await.unwrap(), two.writer().await.unwrap());
    let mut edge = opened(&mut first, 1).await;
    commit(&mut first, &mut edge).await;
    commit(&mut first, &mut edge).await;
    ((one, first), (two, second), edge)
}

fn only(record: LaneRecord) -> Draft {
    Draft { records: vec![record], ..Draft::default() }
}

/// The end of `producer` where it stands, unless it is closed; `next` goes on.
fn closing(fold: &Fold, producer: ProducerId, next: ProducerId) -> Option<Draft> {
    let state = fold.producer(&producer).unwrap();
    state.closed.is_none().then(|| only(LaneRecord::Close { producer, sequence: state.last, chain: state.chain, next }))
}

/// The first opening of `producer`, which goes on for `before`, unless it stands.
fn opening(fold: &Fold, producer: ProducerId, before: (ProducerId, &ProducerState)) -> Option<Draft> {
    let (id, state) = before;
    fold.producer(&producer).is_none().then(|| {
        only(LaneRecord::Open {
            producer,
            epoch: Epoch(1),
            identity: state.identity.clone(),
            nonce: [8; 16],
            wal_id: state.wal_id,
            track: state.track,
            sequence: state.last,
            chain: state.chain,
            positions: state.positions.values().cloned().collect(),
            after: Some(id),
        })
    })
}

#[tokio::test(start_paused = true)]
async fn rule_8_a_producer_moves_and_what_waits_at_its_old_hub_comes_to_nothing() {
    let rig = Rig::new();
    let ((one, mut first), (two, mut second), mut edge) = pair(&rig).await;
    let (old, next) = (edge.producer, ProducerId { lane: second.lane(), unique: 9 });
    let (pending, batches) = edge.clone().next(1);
    let pending = draft("acme", vec![pending], batches);
    let closed = two.amend(first.lane(), |fold| Ok(closing(fold, old, next))).await.unwrap();
    let state = closed.producer(&old).unwrap().clone();
    assert_eq!((state.closed, state.last), (Some(next), Sequence(2)));
    let opened = two.amend(second.lane(), |fold| Ok(opening(fold, next, (old, &state)))).await.unwrap();
    assert_eq!(opened.producer(&next).unwrap().after, Some(old));
    // The first hub, which knows nothing of it, still has a batch at hand.
    assert!(matches!(first.put(pending.clone()).await.unwrap_err(), PutFault::NotWritten(fault) if fault.is_conflict()));
    first.follow().await.unwrap();
    assert!(matches!(first.put(pending).await.unwrap_err(), PutFault::NotWritten(StoreFault::Draft { .. })), "an advance after a close");
    // It goes on in the other lane, in the same numbering.
    second.follow().await.unwrap();
    edge.producer = next;
    commit(&mut second, &mut edge).await;
    assert_eq!(edge.last, Sequence(3));
    assert_eq!(counts(&one, "acme").await.into_values().collect::<Vec<_>>(), [1, 1, 1]);
    let found = one.producers_of("alpha/one").await.unwrap();
    assert_eq!(found.iter().map(|(id, state)| (*id, state.last, state.closed)).collect::<std::collections::BTreeSet<_>>(), {
        [(old, Sequence(2), Some(next)), (next, Sequence(3), None)].into()
    });
    assert!(one.producers_of("alpha/two").await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn rule_8_a_next_one_that_nobody_opened_is_opened_once_by_whoever_meets_it() {
    let rig = Rig::new();
    let ((one, first), (two, second), edge) = pair(&rig).await;
    let (old, next) = (edge.producer, ProducerId { lane: second.lane(), unique: 9 });
    // The hub that closed it dies before it opens the next one. Two others meet that.
    let closed = two.amend(first.lane(), |fold| Ok(closing(fold, old, next))).await.unwrap();
    drop((two, second));
    let three = hub(&rig, 3).await;
    let state = closed.producer(&old).unwrap();
    rig.tell("put", "/log/", [Fate::AnswerLost, Fate::Slow(Duration::from_millis(300))]);
    let open = |fold: &Fold| Ok(opening(fold, next, (old, state)));
    let (a, b) = tokio::join!(one.amend(next.lane, open), three.amend(next.lane, open));
    for fold in [a.unwrap(), b.unwrap()] {
        let found = fold.producer(&next).unwrap();
        assert_eq!((found.epoch, found.last, found.chain), (Epoch(1), Sequence(2), edge.chain));
        assert_eq!(fold.head(), 1, "one opening stands");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_8_two_hubs_that_move_the_same_producer_agree_on_one_end() {
    let rig = Rig::new();
    let ((_, first), (two, second), edge) = pair(&rig).await;
    let three = hub(&rig, 3).await;
    let third = three.writer().await.unwrap();
    let to = [second.lane(), third.lane()].map(|lane| ProducerId { lane, unique: 9 });
    let (a, b) = tokio::join!(
        two.amend(first.lane(), |fold| Ok(closing(fold, edge.producer, to[0]))),
        three.amend(first.lane(), |fold| Ok(closing(fold, edge.producer, to[1]))),
    );
    let ends: Vec<_> = [a.unwrap(), b.unwrap()].iter().map(|fold| fold.producer(&edge.producer).unwrap().closed.unwrap()).collect();
    assert_eq!(ends[0], ends[1]);
    assert!(to.contains(&ends[0]));
}

#[tokio::test(start_paused = true)]
async fn rule_5_an_amendment_whose_answer_is_lost_is_not_made_twice() {
    for fate in [Fate::AnswerLost, Fate::Late, Fate::Refused] {
        let rig = Rig::new();
        let ((_, first), (two, second), edge) = pair(&rig).await;
        let next = ProducerId { lane: second.lane(), unique: 9 };
        rig.tell("put", "/log/", [fate]);
        let fold = two.amend(first.lane(), |fold| Ok(closing(fold, edge.producer, next))).await.unwrap();
        assert_eq!((fold.head(), fold.producer(&edge.producer).unwrap().closed), (4, Some(next)));
        assert_eq!(rig.land().await, 0, "what comes late finds the name taken");
        assert_eq!(two.fold_of(first.lane()).await.unwrap().head(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn rule_4_a_hub_has_one_put_in_flight_in_a_lane_however_many_write_it() {
    let rig = Rig::new();
    let ((one, mut first), _, mut edge) = pair(&rig).await;
    let mut also = one.writer_of(first.lane()).await.unwrap();
    rig.forget_seen();
    rig.tell("put", "/log/", [Fate::Slow(Duration::from_secs(2))]);
    let loss = |at| LaneRecord::Loss {
        tenant: grant("acme").tenant().clone(),
        cluster: proto_model::ClusterId::new("alpha").unwrap(),
        edge: proto_model::EdgeId::new("one").unwrap(),
        source: String::new(),
        reason: "rotated".to_owned(),
        from_ns: at,
        to_ns: at,
        lines: None,
        bytes: None,
    };
    let (advance, batches) = edge.next(1);
    let later = |ms| tokio::time::sleep(Duration::from_millis(ms));
    let (written, amended, refused) = tokio::join!(
        first.put(draft("acme", vec![advance], batches)),
        async {
            later(100).await;
            one.amend(also.lane(), |fold| Ok((fold.losses(grant("acme").tenant()).count() == 0).then(|| only(loss(1))))).await
        },
        async {
            let mut third = one.writer_of(edge.producer.lane).await.unwrap();
            later(200).await;
            third.put(only(loss(2))).await
        },
    );
    assert_eq!(written.unwrap().number, 4);
    assert_eq!(amended.unwrap().head(), 5);
    // What was judged on a fold that is not the newest any more is told so, without a request.
    assert!(matches!(refused.unwrap_err(), PutFault::NotWritten(fault) if fault.is_conflict()));
    assert!(matches!(also.put(only(loss(3))).await.unwrap_err(), PutFault::NotWritten(fault) if fault.is_conflict()));
    assert_eq!(rig.seen("put", "/log/").len(), 2);
    let before = rig.seen("get", "").len();
    // Nor does it take one to learn what this hub itself wrote.
    first.refresh();
    assert_eq!(rig.seen("get", "").len(), before);
    commit(&mut first, &mut edge).await;
    assert_eq!(shown(&one, "acme").await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn rule_5_an_amendment_wins_against_a_hub_that_writes_as_fast_as_batches_gather() {
    let rig = Rig::new();
    let ((_, mut first), (two, second), edge) = pair(&rig).await;
    rig.tell("get", "", std::iter::repeat_n(Fate::Slow(Duration::from_millis(20)), 100_000));
    rig.tell("put", "", std::iter::repeat_n(Fate::Slow(Duration::from_millis(20)), 100_000));
    let mut other = opened(&mut first, 2).await;
    let next = ProducerId { lane: second.lane(), unique: 9 };
    let (lane, old) = (first.lane(), edge.producer);
    let mut busy = std::pin::pin!(async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let (advance, batches) = other.clone().next(1);
            match first.put(draft("acme", vec![advance], batches)).await {
                Ok(_) => drop(other.next(1)),
                Err(_) => first.follow().await.unwrap(),
            }
        }
    });
    let amended = tokio::select! {
        biased;
        () = &mut busy => unreachable!(),
        amended = two.amend(lane, |fold| Ok(closing(fold, old, next))) => amended,
    };
    assert_eq!(amended.unwrap().producer(&old).unwrap().closed, Some(next));
}

#[tokio::test(start_paused = true)]
async fn rule_6_an_amendment_of_a_sleeper_does_not_end_in_the_void() {
    let rig = Rig::new();
    let ((one, mut first), (two, second), mut edge) = pair(&rig).await;
    two.follow_round().await.unwrap();
    for _ in 4..=9 {
        commit(&mut first, &mut edge).await;
    }
    snapshot_in(&rig, &one, first.lane()).await;
    for number in 0..=7 {
        rig.delete(Key::lane_object(first.lane(), number).as_str()).await;
    }
    let next = ProducerId { lane: second.lane(), unique: 9 };
    let fold = two.amend(first.lane(), |fold| Ok(closing(fold, edge.producer, next))).await.unwrap();
    assert_eq!((fold.head(), fold.producer(&edge.producer).unwrap().last), (10, edge.last));
    one.follow_round().await.unwrap();
    assert_eq!(one.fold_of(first.lane()).await.unwrap().producer(&edge.producer).unwrap().closed, Some(next));
}

/// Writes a snapshot of one lane as the hub knows it.
async fn snapshot_in(rig: &Rig, hub: &Arc<Store>, lane: LaneId) {
    let fold = hub.fold_of(lane).await.unwrap();
    rig.write(Key::snapshot(lane, fold.head()).as_str(), crate::fold::snapshot::encode(&fold, &hub.shore().keys).unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_not_there_or_cannot_be_read_is_a_fault_never_an_empty_one() {
    let rig = Rig::new();
    let ((one, first), (two, second), edge) = pair(&rig).await;
    let nowhere = LaneId(77);
    assert_eq!(one.fold_of(nowhere).await.unwrap_err(), StoreFault::NoLane { lane: nowhere });
    assert_eq!(one.writer_of(nowhere).await.unwrap_err(), StoreFault::NoLane { lane: nowhere });
    assert_eq!(one.amend(nowhere, |_| Ok(None)).await.unwrap_err(), StoreFault::NoLane { lane: nowhere });
    // One that was registered a moment ago is found.
    let fresh = hub(&rig, 3).await.writer().await.unwrap().lane();
    assert_eq!(one.fold_of(fresh).await.unwrap().head(), 0);
    rig.refuse_all("get", &first.lane().to_string());
    assert!(two.fold_of(first.lane()).await.is_err());
    assert!(two.producers_of("alpha/one").await.is_err());
    assert!(two.fold_of(second.lane()).await.is_ok());
    rig.heal();
    rig.write(Key::lane_object(first.lane(), 4).as_str(), "garbage").await;
    let asked = |fold: &Fold| Ok(closing(fold, edge.producer, edge.producer));
    for fault in [two.fold_of(first.lane()).await.unwrap_err(), two.amend(first.lane(), asked).await.unwrap_err()] {
        assert!(matches!(fault, StoreFault::Frozen { number: 4, .. }), "{fault}");
    }
    assert!(matches!(two.producers_of("alpha/one").await.unwrap_err(), StoreFault::Frozen { .. }));
    assert!(matches!(two.spread_map(1).await.unwrap_err(), StoreFault::Frozen { .. }));
    assert_eq!(two.amend(second.lane(), |_| Err(StoreFault::Foreign)).await.unwrap_err(), StoreFault::Foreign, "what the judge says is told");
}

#[tokio::test(start_paused = true)]
async fn rule_9_a_map_is_in_force_once_it_stands_in_every_lane() {
    let rig = Rig::new();
    let ((one, mut first), (two, second), mut edge) = pair(&rig).await;
    two.tenant_maps().publish(5, "five".into()).await.unwrap();
    assert!(!one.lacks_map(0) && one.lacks_map(5));
    // The second lane has no number 1 yet: it gets one.
    two.spread_map(5).await.unwrap();
    for lane in [first.lane(), second.lane()] {
        assert_eq!(two.fold_of(lane).await.unwrap().map_version(), 5);
    }
    assert!(!two.lacks_map(5));
    // A hub with an older map stores nothing any more.
    let (advance, batches) = edge.clone().next(1);
    let old = Draft { map_version: 4, ..draft("acme", vec![advance], batches) };
    assert!(matches!(first.put(old.clone()).await.unwrap_err(), PutFault::NotWritten(fault) if fault.is_conflict()));
    first.follow().await.unwrap();
    assert_eq!(first.put(old.clone()).await.unwrap_err(), PutFault::NotWritten(StoreFault::OldMap { have: 4, newest: 5 }));
    first.put(Draft { map_version: 5, ..old }).await.unwrap();
    edge.next(1);
    // Again, or an older one: nothing is written.
    rig.forget_seen();
    one.spread_map(5).await.unwrap();
    one.spread_map(4).await.unwrap();
    assert!(rig.seen("put", "/log/").is_empty());
    // Amendments go on without a map of their own, and raise none.
    let fold = one.amend(first.lane(), |fold| Ok(closing(fold, edge.producer, edge.producer))).await.unwrap();
    assert_eq!(fold.map_version(), 5);
}

#[tokio::test(start_paused = true)]
async fn rule_9_a_writer_of_number_1_that_read_the_map_too_early_comes_too_late() {
    let rig = Rig::new();
    let one = hub(&rig, 1).await;
    let mut writer = one.writer().await.unwrap();
    let two = hub(&rig, 2).await;
    // It reads "no map", then its PUT takes a while; the map is published and spread meanwhile.
    let edge = Edge::new(ProducerId { lane: writer.lane(), unique: 1 });
    rig.tell("put", "/log/00000000000000000001", [Fate::Slow(Duration::from_secs(3))]);
    let (put, spread) = tokio::join!(writer.put(draft("acme", vec![edge.open()], Vec::new())), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        two.tenant_maps().publish(2, "two".into()).await.unwrap();
        two.spread_map(2).await
    });
    spread.unwrap();
    assert!(matches!(put.unwrap_err(), PutFault::NotWritten(fault) if fault.is_conflict()));
    writer.follow().await.unwrap();
    assert_eq!(writer.fold().map_version(), 2);
    // An amendment that writes number 1 of a lane names the newest map, whatever it is about.
    let three = hub(&rig, 3).await;
    let fresh = three.writer().await.unwrap().lane();
    let loss = |fold: &Fold| Ok((fold.head() == 0).then(|| only(LaneRecord::Floor(0))));
    assert_eq!(two.amend(fresh, loss).await.unwrap().map_version(), 2);
}

#[tokio::test(start_paused = true)]
async fn rule_10_a_tenant_has_one_push_lane_for_ever_and_every_hub_may_write_it() {
    let rig = Rig::new();
    let ((one, first), (two, second), _) = pair(&rig).await;
    rig.tell("put", "control/push/acme", [Fate::AnswerLost, Fate::Late, Fate::Refused]);
    let acme = grant("acme");
    let (a, b) = tokio::join!(one.push_lane(&acme, first.lane()), two.push_lane(&acme, second.lane()));
    rig.land().await;
    let lane = a.unwrap();
    assert_eq!(lane, b.unwrap());
    assert_eq!(hub(&rig, 3).await.push_lane(&acme, second.lane()).await.unwrap(), lane);
    assert_eq!(one.push_lane(&grant("blue"), second.lane()).await.unwrap(), second.lane());
    rig.forget_seen();
    one.push_lane(&acme, second.lane()).await.unwrap();
    assert!(rig.seen("get", "").is_empty(), "it never changes: it is read once");
    // The same push at two hubs: the key makes the repeat known wherever it comes.
    let push = |fold: &Fold| {
        let key = LaneRecord::PushKey { tenant: acme.tenant().clone(), key: b"k".to_vec(), at: Timestamp(1) };
        let body = BatchDraft { origin: Origin::Push { key: b"k".to_vec() }, cluster: None, body: "push".into(), rows: vec![row("a", 1, 0)] };
        let sections = vec![SectionDraft { grant: acme.clone(), batches: vec![body] }];
        Ok(fold.push_key(acme.tenant(), b"k").is_none().then(|| Draft { records: vec![key], sections, map_version: fold.map_version() }))
    };
    let (a, b) = tokio::join!(one.amend(lane, push), two.amend(lane, push));
    a.unwrap();
    b.unwrap();
    let pushed = shown(&one, "acme").await.into_iter().filter(|(origin, _)| matches!(origin, Origin::Push { .. })).count();
    assert_eq!(pushed, 1);
    // A damaged entry is a fault, not a new choice.
    rig.write("control/push/blue", "garbage").await;
    assert!(matches!(hub(&rig, 4).await.push_lane(&grant("blue"), lane).await.unwrap_err(), StoreFault::Damaged { .. }));
}

#[tokio::test(start_paused = true)]
async fn rule_19_how_far_absorption_is_behind_is_known_lane_by_lane() {
    let rig = Rig::new();
    let ((one, first), (_, second), _) = pair(&rig).await;
    one.follow_round().await.unwrap();
    let behind: std::collections::BTreeMap<LaneId, (u64, u64)> = one.behind().into_iter().map(|behind| (behind.lane, (behind.objects, behind.bytes))).collect();
    let bytes: u64 = one.view().sections(&grant("acme"), proto_model::TimeRange::ALL).iter().map(|section| section.len).sum();
    assert!(bytes > 0);
    assert_eq!(behind, [(first.lane(), (3, bytes)), (second.lane(), (0, 0))].into());
    one.amend(first.lane(), |fold| Ok((fold.floor() < 2).then(|| only(LaneRecord::Floor(2))))).await.unwrap();
    let after = one.behind().into_iter().find(|behind| behind.lane == first.lane()).unwrap();
    assert_eq!((after.objects, after.bytes), (2, bytes / 2));
}
