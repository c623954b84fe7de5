//! Rules 1, 4, 5, 6, 9: making a lane and writing to it.

use std::time::Duration;

use proto_model::Sequence;

use super::*;
use crate::fault::PutFault;
use crate::record::LaneRecord;
use crate::rig::{Fate, counts, grant, hub, row, shown};
use crate::section::{BatchDraft, Draft, Origin, SectionDraft};

#[tokio::test(start_paused = true)]
async fn rule_1_a_genesis_without_a_yes_is_given_up_with_its_id() {
    for fate in [Fate::AnswerLost, Fate::Late, Fate::Refused] {
        let rig = Rig::new();
        let hub = hub(&rig, 1).await;
        rig.tell("put", "/log/", [fate]);
        let writer = hub.writer().await.unwrap();
        let tried = rig.seen("put", "/log/00000000000000000000");
        assert_eq!(tried.len(), 2);
        assert_ne!(tried[0].name, tried[1].name);
        assert!(tried[1].name.contains(&writer.lane().to_string()));
        rig.land().await;
        hub.follow_round().await.unwrap();
        assert_eq!(hub.lanes().len(), 1, "what was given up is never read");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_1_hubs_that_start_together_make_a_lane_each() {
    let rig = Rig::new();
    let (one, two, three) = (hub(&rig, 1).await, hub(&rig, 2).await, hub(&rig, 3).await);
    rig.tell("put", "control/lanes/", [Fate::Slow(Duration::from_secs(1)), Fate::Slow(Duration::from_secs(1)), Fate::Fine]);
    let writers = tokio::join!(one.writer(), two.writer(), three.writer());
    let lanes: std::collections::BTreeSet<LaneId> = [writers.0, writers.1, writers.2].into_iter().map(|writer| writer.unwrap().lane()).collect();
    assert_eq!((lanes.len(), rig.names("control/lanes/").await.len()), (3, 3));
    one.follow_round().await.unwrap();
    assert_eq!(one.lanes().iter().map(|report| report.lane).collect::<std::collections::BTreeSet<_>>(), lanes);
}

#[tokio::test(start_paused = true)]
async fn rule_1_a_registration_whose_answer_was_lost_is_found_again() {
    for fate in [Fate::AnswerLost, Fate::Late, Fate::Refused] {
        let rig = Rig::new();
        let hub = hub(&rig, 1).await;
        rig.tell("put", "control/lanes/", [fate]);
        let mut writer = hub.writer().await.unwrap();
        rig.land().await;
        opened(&mut writer, 1).await;
        hub.follow_round().await.unwrap();
        assert_eq!(rig.names("control/lanes/").await.len(), 1);
        assert_eq!(hub.lanes().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn rule_1_and_9_number_1_names_the_newest_map_and_an_older_one_may_not_write() {
    let rig = Rig::new();
    let hub = hub(&rig, 1).await;
    let mut writer = hub.writer().await.unwrap();
    hub.tenant_maps().publish(3, "three".into()).await.unwrap();
    let edge = Edge::new(ProducerId { lane: writer.lane(), unique: 1 });
    let old = Draft { map_version: 2, ..draft("acme", vec![edge.open()], Vec::new()) };
    let fault = writer.put(old.clone()).await.unwrap_err();
    assert_eq!(fault, PutFault::NotWritten(StoreFault::OldMap { have: 2, newest: 3 }));
    assert!(rig.seen("put", "/log/00000000000000000001").is_empty());
    writer.put(Draft { map_version: 3, ..old.clone() }).await.unwrap();
    assert_eq!(writer.fold().map_version(), 3);
    // Later maps come as records, and bind whoever writes after them.
    writer.put(Draft { records: vec![LaneRecord::Map(5)], sections: Vec::new(), map_version: 5 }).await.unwrap();
    let again = Draft { map_version: 4, records: vec![LaneRecord::Map(4)], ..Draft::default() };
    assert_eq!(writer.put(again).await.unwrap_err(), PutFault::NotWritten(StoreFault::OldMap { have: 4, newest: 5 }));
}

#[tokio::test(start_paused = true)]
async fn rule_5_who_loses_a_number_follows_and_builds_again() {
    let rig = Rig::new();
    let (one, two) = (hub(&rig, 1).await, hub(&rig, 2).await);
    let mut first = one.writer().await.unwrap();
    let mut second = two.writer_of(first.lane()).await.unwrap();
    let mut edge = opened(&mut first, 1).await;
    second.follow().await.unwrap();
    let (advance, batches) = edge.next(1);
    let pending = draft("acme", vec![advance], batches);
    first.put(pending.clone()).await.unwrap();
    // The same batch waits in the other hub: it is refused, then found to stand.
    let fault = second.put(pending.clone()).await.unwrap_err();
    assert!(matches!(&fault, PutFault::NotWritten(cause) if cause.is_conflict()), "{fault}");
    second.follow().await.unwrap();
    assert_eq!(second.fold().producer(&edge.producer).unwrap().last, Sequence(1));
    assert!(matches!(second.put(pending).await.unwrap_err(), PutFault::NotWritten(StoreFault::Draft { .. })), "a repeat is never written");
    let number = commit(&mut second, &mut edge).await;
    assert_eq!(number, 3);
    assert_eq!(counts(&one, "acme").await.into_values().collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn rule_5_a_lost_answer_is_cleared_up_by_following_never_by_sending_again() {
    let rig = Rig::new();
    let hub = hub(&rig, 1).await;
    let mut writer = hub.writer().await.unwrap();
    let mut edge = opened(&mut writer, 1).await;
    let (advance, batches) = edge.next(1);
    rig.tell("put", "/log/00000000000000000002", [Fate::AnswerLost]);
    let fault = writer.put(draft("acme", vec![advance], batches)).await.unwrap_err();
    assert!(matches!(&fault, PutFault::NotWritten(StoreFault::Unreachable { .. })), "{fault}");
    assert_eq!(writer.fold().head(), 1, "not folded before it was followed");
    writer.follow().await.unwrap();
    assert_eq!(writer.fold().producer(&edge.producer).unwrap().last, Sequence(1));
    assert_eq!(rig.seen("put", "/log/00000000000000000002").len(), 1);
    assert_eq!(shown(&hub, "acme").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_5_a_create_that_was_not_applied_is_built_anew_under_another_commit_id() {
    for fate in [Fate::Refused, Fate::Late] {
        let rig = Rig::new();
        let hub = hub(&rig, 1).await;
        let mut writer = hub.writer().await.unwrap();
        let mut edge = opened(&mut writer, 1).await;
        let (advance, batches) = edge.next(1);
        let pending = draft("acme", vec![advance], batches);
        rig.tell("put", "/log/00000000000000000002", [fate]);
        writer.put(pending.clone()).await.unwrap_err();
        writer.follow().await.unwrap();
        assert_eq!(writer.fold().head(), 1);
        writer.put(pending).await.unwrap();
        let sent = rig.seen("put", "/log/00000000000000000002");
        assert_eq!(sent.len(), 2);
        assert_ne!(sent[0].body, sent[1].body, "no bytes are ever sent twice under a name");
        assert_eq!(rig.land().await, 0, "what comes late finds the name taken");
        assert_eq!(shown(&hub, "acme").await.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn rule_5_a_create_that_lands_between_following_and_building_again_is_met_as_a_conflict() {
    let rig = Rig::new();
    let hub = hub(&rig, 1).await;
    let mut writer = hub.writer().await.unwrap();
    let mut edge = opened(&mut writer, 1).await;
    let (advance, batches) = edge.next(1);
    let pending = draft("acme", vec![advance], batches);
    rig.tell("put", "/log/00000000000000000002", [Fate::Late]);
    writer.put(pending.clone()).await.unwrap_err();
    writer.follow().await.unwrap();
    assert_eq!(rig.land().await, 1);
    let fault = writer.put(pending).await.unwrap_err();
    assert!(matches!(&fault, PutFault::NotWritten(cause) if cause.is_conflict()), "{fault}");
    writer.follow().await.unwrap();
    assert_eq!(writer.fold().producer(&edge.producer).unwrap().last, Sequence(1));
    assert_eq!(shown(&hub, "acme").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rule_6_an_object_written_into_the_void_is_neither_acknowledged_nor_seen() {
    let rig = Rig::new();
    let (one, two) = (hub(&rig, 1).await, hub(&rig, 2).await);
    let mut sleeper = one.writer().await.unwrap();
    let mut awake = two.writer_of(sleeper.lane()).await.unwrap();
    let mut edge = opened(&mut sleeper, 1).await;
    let mut other = opened_after(&mut awake, 2).await;
    sleeper.follow().await.unwrap();
    // The sleeper stands at 2. The others go on, a snapshot is written, 0 to 6 are collected.
    for _ in 3..=8 {
        commit(&mut awake, &mut other).await;
    }
    assert_eq!(snapshot_now(&rig, &two).await, 8);
    collect(&rig, 0, 6).await;
    let (advance, batches) = edge.next(1);
    let fault = sleeper.put(draft("acme", vec![advance.clone()], batches.clone())).await.unwrap_err();
    assert_eq!(fault, PutFault::Lost);
    assert_eq!(rig.names("/log/00000000000000000003").await.len(), 1, "the garbage stands");
    // Until the lane is read anew it is unknown, however fresh it was a moment ago.
    rig.refuse_all("get", "/log/");
    assert!(matches!(one.fresh(Timestamp(0)).await.unwrap_err(), StoreFault::Stale { .. }));
    rig.heal();
    sleeper.restart().await.unwrap();
    assert_eq!(sleeper.fold().head(), 8);
    assert_eq!(sleeper.fold().producer(&edge.producer).unwrap().last, Sequence(0));
    let view = one.fresh(Timestamp::MAX).await.unwrap();
    assert_eq!(view.heads()[&sleeper.lane()], 8);
    let committed = sleeper.put(draft("acme", vec![advance], batches)).await.unwrap();
    assert_eq!(committed.number, 9);
}

async fn opened_after(writer: &mut LaneWriter, unique: u128) -> Edge {
    writer.follow().await.unwrap();
    opened(writer, unique).await
}

#[tokio::test(start_paused = true)]
async fn rule_5_a_second_sleeper_does_not_fold_the_garbage_of_the_first() {
    let rig = Rig::new();
    let (one, two, three) = (hub(&rig, 1).await, hub(&rig, 2).await, hub(&rig, 3).await);
    let mut awake = three.writer().await.unwrap();
    let mut other = opened(&mut awake, 1).await;
    let (mut first, mut second) = (one.writer_of(awake.lane()).await.unwrap(), two.writer_of(awake.lane()).await.unwrap());
    let (edge_a, edge_b) = (Edge::new(ProducerId { lane: awake.lane(), unique: 8 }), Edge::new(ProducerId { lane: awake.lane(), unique: 9 }));
    for _ in 2..=6 {
        commit(&mut awake, &mut other).await;
    }
    snapshot_now(&rig, &three).await;
    collect(&rig, 0, 5).await;
    // Both stand at 1. The first makes a garbage 2 and drops it; the second is refused 2 and follows.
    assert_eq!(first.put(draft("acme", vec![edge_a.open()], Vec::new())).await.unwrap_err(), PutFault::Lost);
    let fault = second.put(draft("acme", vec![edge_b.open()], Vec::new())).await.unwrap_err();
    assert!(matches!(&fault, PutFault::NotWritten(cause) if cause.is_conflict()), "{fault}");
    second.follow().await.unwrap();
    assert_eq!(second.fold().head(), 6);
    assert!(second.fold().producer(&edge_a.producer).is_none());
    assert_eq!(second.put(draft("acme", vec![edge_b.open()], Vec::new())).await.unwrap().number, 7);
}

#[tokio::test(start_paused = true)]
async fn rule_6_a_look_that_fails_acknowledges_nothing_and_the_batch_is_found_later() {
    let rig = Rig::new();
    let hub = hub(&rig, 1).await;
    let mut writer = hub.writer().await.unwrap();
    let mut edge = opened(&mut writer, 1).await;
    let (advance, batches) = edge.next(1);
    rig.refuse_all("get", "/log/00000000000000000001");
    let fault = writer.put(draft("acme", vec![advance], batches)).await.unwrap_err();
    assert!(matches!(&fault, PutFault::NotWritten(StoreFault::Unreachable { .. })), "{fault}");
    assert_eq!(writer.fold().head(), 1);
    assert!(hub.view().sections(&grant("acme"), proto_model::TimeRange::ALL).is_empty());
    rig.heal();
    writer.follow().await.unwrap();
    assert_eq!(writer.fold().producer(&edge.producer).unwrap().last, Sequence(1));
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_visible_at_once_and_wakes_who_waits() {
    let rig = Rig::new();
    let hub = hub(&rig, 1).await;
    let mut writer = hub.writer().await.unwrap();
    let mut edge = opened(&mut writer, 1).await;
    let mut changes = hub.changes();
    changes.borrow_and_update();
    rig.forget_seen();
    let number = commit(&mut writer, &mut edge).await;
    assert!(changes.has_changed().unwrap());
    let sections = hub.view().sections(&grant("acme"), proto_model::TimeRange::ALL);
    assert_eq!(sections.iter().map(|section| section.number).collect::<Vec<_>>(), [number]);
    assert_eq!((rig.seen("put", "").len(), rig.seen("get", "").len()), (1, 1), "one create, one look");
    assert!(hub.view().sections(&grant("blue"), proto_model::TimeRange::ALL).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_process_has_one_writer_at_a_time() {
    let rig = Rig::new();
    let hub = hub(&rig, 1).await;
    let writer = hub.writer().await.unwrap();
    assert_eq!(hub.writer().await.unwrap_err(), StoreFault::WriterTaken);
    drop(writer);
    rig.refuse_all("get", "control/lanes/");
    assert!(matches!(hub.writer().await.unwrap_err(), StoreFault::Unreachable { .. }));
    rig.heal();
    assert!(hub.writer().await.is_ok(), "a failed try gives the turn back");
}

#[tokio::test(start_paused = true)]
async fn data_and_cursor_go_together_or_not_at_all() {
    let rig = Rig::new();
    let hub = hub(&rig, 1).await;
    let mut writer = hub.writer().await.unwrap();
    let mut edge = opened(&mut writer, 1).await;
    let (advance, batches) = edge.next(1);
    let push = BatchDraft { origin: Origin::Push { key: b"k".to_vec() }, cluster: None, body: "push".into(), rows: vec![row("a", 1, 0)] };
    let twice = vec![batches[0].clone(), batches[0].clone()];
    let split = Draft {
        records: vec![advance.clone()],
        sections: ["acme", "blue"].map(|tenant| SectionDraft { grant: grant(tenant), batches: batches.clone() }).into(),
        map_version: 0,
    };
    for wrong in [draft("acme", Vec::new(), batches.clone()), draft("acme", vec![advance.clone()], twice), split, draft("acme", Vec::new(), vec![push.clone()])]
    {
        rig.forget_seen();
        assert!(matches!(writer.put(wrong).await.unwrap_err(), PutFault::NotWritten(StoreFault::Draft { .. })));
        assert!(rig.seen("put", "").is_empty());
    }
    let at = Timestamp(5);
    let key = LaneRecord::PushKey { tenant: grant("acme").tenant().clone(), key: b"k".to_vec(), at };
    writer.put(draft("acme", vec![advance, key], vec![batches[0].clone(), push])).await.unwrap();
    assert_eq!(writer.fold().push_key(grant("acme").tenant(), b"k"), Some(at));
}

#[tokio::test(start_paused = true)]
async fn an_object_beyond_its_bound_is_not_sent() {
    let rig = Rig::new();
    let hub = hub(&rig, 1).await;
    let mut writer = hub.writer().await.unwrap();
    let mut edge = opened(&mut writer, 1).await;
    let (advance, mut batches) = edge.next(1);
    batches[0].body = Bytes::from(vec![0; crate::limits::OBJECT_BYTES + crate::limits::OBJECT_SLACK_BYTES + 1]);
    rig.forget_seen();
    let fault = writer.put(draft("acme", vec![advance], batches)).await.unwrap_err();
    assert!(matches!(fault, PutFault::NotWritten(StoreFault::TooLarge { .. })));
    assert!(rig.seen("put", "").is_empty());
}
