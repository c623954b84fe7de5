use std::time::Duration;

use bytes::Bytes;
use hub_store::{CommitId, LaneHeader};
use proto_model::{BatchDigest, Chain, ClusterId, EdgeId, LaneId, TrackId};
use tokio::sync::oneshot;

use super::*;
use crate::moves::{Beginning, Target};
use crate::request::{Room, Speaker};
use crate::rig::{cluster, tenants};

const LANE: LaneId = LaneId(7);
const NOW: Timestamp = Timestamp(10_000_000_000_000);

fn producer(unique: u128) -> ProducerId {
    ProducerId { lane: LANE, unique }
}

fn speaker(name: &str) -> Speaker {
    Speaker { cluster: cluster(name), edge: EdgeId::new("one").unwrap() }
}

fn open(name: &str, target: Option<ProducerId>) -> Request {
    let (reply, _) = mpsc::channel(1);
    let acked = (Sequence(0), Chain::default());
    let target = target.map(|producer| Box::new(Target { producer, beginning: Beginning::default(), carry: None, nonce: None, later: None }));
    Request::Open(Open {
        speaker: speaker(name),
        track: TrackId(1),
        producer: None,
        nonce: [0; 16],
        wal_id: 1,
        acked,
        followed: false,
        target,
        walks: 0,
        reply,
    })
}

fn plan(requests: &[Request], fold: &Fold, tenants: &Tenants, now: Timestamp) -> Plan {
    let (clones, unsure) = (Clones::default(), Taken::default());
    super::plan(requests, Basis { fold, tenants, clones: &clones, unsure: &unsure, now })
}

fn offer(name: &str, unique: u128, sequence: u64) -> Offer {
    let (reply, _) = mpsc::channel(1);
    let digest = |sequence: u64| BatchDigest([u8::try_from(sequence % 256).unwrap(); 16]);
    Offer {
        speaker: speaker(name),
        producer: producer(unique),
        epoch: Epoch(1),
        sequence: Sequence(sequence),
        chain_previous: (1..sequence).fold(Chain::default(), |chain, s| proto_wire::digest::extend(chain, digest(s))),
        digest: digest(sequence),
        positions: Vec::new(),
        rows: Vec::new(),
        body: Bytes::from(format!("{name} {sequence}")),
        lines: 2,
        room: Room::default(),
        reply,
    }
}

fn push(name: &str, key: &str, arrived: Timestamp) -> Request {
    let grant = tenants(1).identify(&cluster(name)).unwrap();
    let (reply, _) = oneshot::channel();
    let (key, body) = (key.as_bytes().to_vec(), Bytes::from_static(b"pushed"));
    Request::Push(Push { grant, lane: LANE, key, arrived, rows: Vec::new(), body, lines: 3, room: Room::default(), reply })
}

fn commit(fold: &mut Fold, plan: &Plan) {
    let number = fold.head() + 1;
    let commit = CommitId([u8::try_from(number).unwrap(); 16]);
    let records = plan.draft.records.clone();
    let header = LaneHeader {
        lane: LANE,
        number,
        commit,
        previous: fold.head_commit(),
        writer: String::new(),
        written: NOW,
        map_version: plan.draft.map_version,
        records,
        sections: Vec::new(),
    };
    fold.apply(&header).unwrap();
}

/// Producer 1 of alpha and 2 of beta stand open under epoch 1; the map stands at version 1.
fn opened() -> Fold {
    let mut fold = Fold::genesis(LANE, CommitId([0; 16]));
    let opening = plan(&[open("alpha", Some(producer(1))), open("beta", Some(producer(2)))], &fold, &tenants(1), NOW);
    assert_eq!(opening.after.len(), 2);
    commit(&mut fold, &opening);
    fold
}

fn judged(fold: &Fold, requests: &[Request]) -> Plan {
    plan(requests, fold, &tenants(1), NOW)
}

fn shape(plan: &Plan) -> Vec<(String, Vec<Bytes>)> {
    plan.draft.sections.iter().map(|section| (section.grant.to_string(), section.batches.iter().map(|batch| batch.body.clone()).collect())).collect()
}

#[test]
fn each_tenant_gets_a_section_with_its_batches_in_order() {
    let fold = opened();
    let requests = [
        Request::Batch(offer("beta", 2, 1)),
        Request::Batch(offer("alpha", 1, 1)),
        push("beta", "k", NOW),
        Request::Batch(offer("alpha", 1, 2)),
        Request::Batch(Offer { lines: 0, ..offer("alpha", 1, 3) }),
        Request::Batch(offer("beta", 2, 2)),
    ];
    let plan = judged(&fold, &requests);
    assert_eq!(
        shape(&plan),
        [("acme".to_owned(), vec!["alpha 1".into(), "alpha 2".into()]), ("blue".to_owned(), vec!["beta 1".into(), "pushed".into(), "beta 2".into()])]
    );
    let acked: Vec<(ProducerId, u64)> = plan
        .after
        .iter()
        .map(|(_, reply)| if let Reply::Acked { producer, sequence, .. } = reply { (*producer, sequence.0) } else { panic!("{reply:?}") })
        .collect();
    assert_eq!(acked, [(producer(2), 1), (producer(1), 1), (producer(1), 2), (producer(1), 3), (producer(2), 2)], "the empty batch uses its number too");
    assert!(plan.now.is_empty());
    let lines: Vec<(String, String, u64)> = plan.lines.iter().map(|((tenant, cluster), lines)| (tenant.to_string(), cluster.clone(), *lines)).collect();
    assert_eq!(lines, [("acme".to_owned(), "alpha".to_owned(), 4), ("blue".to_owned(), "-".to_owned(), 3), ("blue".to_owned(), "beta".to_owned(), 4)]);
    let origins: Vec<Option<ClusterId>> = plan.draft.sections[1].batches.iter().map(|batch| batch.cluster.clone()).collect();
    assert_eq!(origins, [Some(cluster("beta")), None, Some(cluster("beta"))]);
}

#[test]
fn what_stands_already_makes_no_object() {
    let mut fold = opened();
    let first = judged(&fold, &[Request::Batch(offer("alpha", 1, 1)), push("alpha", "k", NOW)]);
    commit(&mut fold, &first);
    let again = judged(&fold, &[Request::Batch(offer("alpha", 1, 1)), push("alpha", "k", NOW), Request::Batch(offer("alpha", 1, 9))]);
    assert!(again.draft.is_empty(), "{:?}", again.draft);
    assert_eq!(again.duplicates, 2);
    assert_eq!(again.pushes, [(1, PushPlan::Repeated)]);
    assert!(again.after.is_empty());
    assert!(matches!(&again.now[..], [(_, Reply::Acked { sequence: Sequence(1), .. }), (_, Reply::Expect { sequence: Sequence(2), .. })]), "{:?}", again.now);
}

#[test]
fn push_keys_tell_repeats_by_tenant_and_for_an_hour() {
    let mut fold = opened();
    let hour = PUSH_KEY_AGE_MAX;
    let requests = [push("alpha", "k", NOW), push("alpha", "k", NOW), push("beta", "k", NOW), push("alpha", "other", NOW)];
    let first = judged(&fold, &requests);
    assert_eq!(first.pushes, [(0, PushPlan::InObject), (1, PushPlan::RepeatInObject), (2, PushPlan::InObject), (3, PushPlan::InObject)]);
    assert_eq!(first.duplicates, 1);
    commit(&mut fold, &first);
    let at = |now: Timestamp| plan(&[push("alpha", "k", now)], &fold, &tenants(1), now).pushes[0].1;
    assert_eq!(at(NOW.plus(hour - Duration::from_millis(1))), PushPlan::Repeated);
    assert_eq!(at(NOW.plus(hour)), PushPlan::InObject);
}

#[test]
fn a_push_that_waited_too_long_is_not_built_but_known_as_a_repeat() {
    let mut fold = opened();
    let old = Timestamp(NOW.0 - 300_000_000_001);
    let late = judged(&fold, &[push("alpha", "k", old)]);
    assert_eq!((late.pushes.clone(), late.draft.is_empty(), late.duplicates), (vec![(0, PushPlan::TooOld)], true, 0));
    assert_eq!(late.pushes[0].1.answer(), Err(PushRefused::TooOld));
    let in_time = judged(&fold, &[push("alpha", "k", Timestamp(NOW.0 - 300_000_000_000))]);
    assert_eq!(in_time.pushes[0].1.answer(), Ok(PushDone::Stored));
    commit(&mut fold, &in_time);
    assert_eq!(judged(&fold, &[push("alpha", "k", old)]).pushes[0].1.answer(), Ok(PushDone::Repeated));
}

#[test]
fn a_cluster_in_no_tenant_is_told_so_and_leaves_nothing() {
    let fold = opened();
    let gap = GapOffer {
        speaker: speaker("gamma"),
        producer: producer(3),
        epoch: Epoch(1),
        from: Sequence(2),
        to: Sequence(3),
        chain_previous: Chain::default(),
        chain_to: Chain::default(),
        lines: None,
        bytes: None,
        range: (NOW, NOW),
        reason: String::new(),
        source: String::new(),
        reply: mpsc::channel(1).0,
    };
    let plan = plan(&[open("gamma", Some(producer(3))), Request::Batch(offer("gamma", 3, 1)), Request::Gap(gap)], &fold, &tenants(1), NOW);
    assert!(plan.draft.is_empty() && plan.after.is_empty());
    let told: Vec<u64> = plan
        .now
        .iter()
        .map(|(_, reply)| if let Reply::Refused { sequence, why: Refusal::NoTenant, .. } = reply { sequence.0 } else { panic!("{reply:?}") })
        .collect();
    assert_eq!(told, [0, 1, 2]);
}

#[test]
fn a_newer_map_is_written_with_the_next_object() {
    let fold = opened();
    assert_eq!(fold.map_version(), 1);
    let same = judged(&fold, &[Request::Batch(offer("alpha", 1, 1))]);
    assert!(!same.draft.records.iter().any(|record| matches!(record, LaneRecord::Map(_))));
    let newer = plan(&[Request::Batch(offer("alpha", 1, 1))], &fold, &tenants(5), NOW);
    assert!(newer.draft.records.contains(&LaneRecord::Map(5)));
    assert_eq!(newer.draft.map_version, 5);
}

#[test]
fn an_open_that_is_not_of_this_lane_is_to_be_walked() {
    let fold = opened();
    let elsewhere = Some(ProducerId { lane: LaneId(8), unique: 1 });
    let plan = judged(&fold, &[Request::Batch(offer("alpha", 1, 1)), open("alpha", None), open("alpha", elsewhere)]);
    assert_eq!((plan.walks.clone(), plan.now.len(), plan.after.len()), (vec![1, 2], 0, 1), "nobody is told anything of them yet");
}

#[test]
fn lines_of_an_object_whose_answer_was_lost_are_counted_when_they_are_found() {
    let mut fold = opened();
    let requests = [Request::Batch(offer("alpha", 1, 1)), push("beta", "k", NOW)];
    let unsure = judged(&fold, &requests);
    commit(&mut fold, &unsure);
    let basis = Basis { fold: &fold, tenants: &tenants(1), clones: &Clones::default(), unsure: &unsure.taken, now: NOW };
    let found = super::plan(&requests, basis);
    assert!(found.draft.is_empty() && found.lines.is_empty() && found.duplicates == 0);
    assert_eq!(found.found.values().copied().collect::<Vec<_>>(), [2, 3]);
    assert_eq!(found.pushes[0].1.answer(), Ok(PushDone::Stored));
    assert!(matches!(&found.now[..], [(_, Reply::Acked { sequence: Sequence(1), .. })]));
}

#[test]
fn a_track_that_ends_is_answered_with_its_own_words() {
    let fold = opened();
    let other = ProducerId { lane: LANE, unique: 3 };
    let close = |producer, next| {
        let reply = mpsc::channel(1).0;
        Request::Close(CloseOffer { speaker: speaker("alpha"), producer, epoch: Epoch(1), sequence: Sequence(0), chain: Chain::default(), next, reply })
    };
    let mut fold_after = fold.clone();
    let plan = judged(&fold, &[open("alpha", Some(other)), close(producer(1), other), close(producer(1), other), close(other, producer(1))]);
    let closed = Reply::Closed { producer: producer(1), epoch: Epoch(1), sequence: Sequence(0), chain: Chain::default(), next: other };
    assert_eq!(plan.after.iter().filter(|(_, reply)| *reply == closed).count(), 2, "the repeat too");
    assert!(matches!(&plan.now[..], [(_, Reply::Refused { why: Refusal::Protocol(_), .. })]), "no ring: {:?}", plan.now);
    commit(&mut fold_after, &plan);
    assert_eq!(fold_after.producer(&producer(1)).unwrap().closed, Some(other));
    let again = judged(&fold_after, &[close(producer(1), other)]);
    assert!(again.draft.is_empty() && matches!(&again.now[..], [(_, reply)] if *reply == closed));
}

#[test]
fn a_divergence_is_marked_in_the_object_and_others_go_on() {
    let mut fold = opened();
    let first = judged(&fold, &[Request::Batch(offer("alpha", 1, 1))]);
    commit(&mut fold, &first);
    let twin = Offer { digest: BatchDigest([9; 16]), ..offer("alpha", 1, 1) };
    let plan = judged(&fold, &[Request::Batch(twin), Request::Batch(offer("alpha", 1, 2)), Request::Batch(offer("beta", 2, 1))]);
    assert_eq!(shape(&plan), [("blue".to_owned(), vec![Bytes::from("beta 1")])]);
    assert_eq!(plan.now.iter().filter(|(_, reply)| matches!(reply, Reply::Refused { why: Refusal::Diverged(_), .. })).count(), 2);
    commit(&mut fold, &plan);
    assert!(fold.producer(&producer(1)).unwrap().quarantined);
}

/// Numbers 1 to 4 of producer 1 are gone, with ten lines.
fn first_gap() -> GapOffer {
    GapOffer {
        speaker: speaker("alpha"),
        producer: producer(1),
        epoch: Epoch(1),
        from: Sequence(1),
        to: Sequence(4),
        chain_previous: Chain::default(),
        chain_to: proto_wire::digest::extend_gap(Chain::default(), 1, 4),
        lines: Some(10),
        bytes: None,
        range: (NOW, NOW),
        reason: "wal_full".to_owned(),
        source: String::new(),
        reply: mpsc::channel(1).0,
    }
}

#[test]
fn a_loss_is_counted_once_whether_its_object_was_answered_or_found() {
    let mut fold = opened();
    let requests = [Request::Gap(first_gap())];
    let counted = |losses: &[Loss]| losses.iter().map(|loss| (loss.tenant.to_string(), loss.reason.clone(), loss.lines)).collect::<Vec<_>>();
    let ten = [("acme".to_owned(), "wal_full".to_owned(), Some(10))];
    let unsure = judged(&fold, &requests);
    assert_eq!((counted(&unsure.lost), unsure.lost_found.len()), (ten.to_vec(), 0));
    commit(&mut fold, &unsure);
    let basis = Basis { fold: &fold, tenants: &tenants(1), clones: &Clones::default(), unsure: &unsure.taken, now: NOW };
    let found = super::plan(&requests, basis);
    assert_eq!((found.lost.len(), counted(&found.lost_found), found.duplicates), (0, ten.to_vec(), 0));
    assert!(matches!(&found.now[..], [(_, Reply::Acked { sequence: Sequence(4), .. })]));
    let repeated = judged(&fold, &requests);
    assert_eq!((repeated.lost.len(), repeated.lost_found.len(), repeated.duplicates), (0, 0, 1), "a repeat is no loss of its own");
}

#[test]
fn a_loss_with_a_long_text_is_shortened_to_what_a_record_holds() {
    let fold = opened();
    let gap = GapOffer { reason: "é".repeat(5_000), source: format!("/{}", "é".repeat(5_000)), ..first_gap() };
    let plan = judged(&fold, &[Request::Gap(gap)]);
    let losses: Vec<(usize, usize)> = plan
        .draft
        .records
        .iter()
        .filter_map(|record| if let LaneRecord::Loss { source, reason, .. } = record { Some((source.len(), reason.len())) } else { None })
        .collect();
    assert_eq!(losses, [(4_095, 4_096)]);
    assert!(matches!(&plan.after[..], [(_, Reply::Acked { sequence: Sequence(4), .. })]), "acked up to its end");
}
