use bytes::Bytes;
use hub_store::{CommitId, LaneHeader};
use proto_model::{BatchDigest, Chain, ClusterId, EdgeId, Epoch, LaneId, TrackId};
use tokio::sync::{mpsc, oneshot};

use super::*;
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

fn open(name: &str) -> Request {
    let (reply, _) = mpsc::channel(1);
    Request::Open(Open { speaker: speaker(name), track: TrackId(1), producer: None, nonce: [0; 16], wal_id: 1, acked: (Sequence(0), Chain::default()), reply })
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
        room: Room { permit: None },
        reply,
    }
}

fn push(name: &str, key: &str, arrived: Timestamp) -> Request {
    let grant = tenants(1).identify(&cluster(name)).unwrap();
    let (reply, _) = oneshot::channel();
    let (key, body) = (key.as_bytes().to_vec(), Bytes::from_static(b"pushed"));
    Request::Push(Push { grant, key, arrived, rows: Vec::new(), body, lines: 3, room: Room { permit: None }, reply })
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
    let firsts = BTreeMap::from([(0, producer(1)), (1, producer(2))]);
    let opening = plan(&[open("alpha"), open("beta")], &firsts, &fold, &tenants(1), NOW);
    assert_eq!(opening.after.len(), 2);
    commit(&mut fold, &opening);
    fold
}

fn judged(fold: &Fold, requests: &[Request]) -> Plan {
    plan(requests, &BTreeMap::new(), fold, &tenants(1), NOW)
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
    let at = |now: Timestamp| plan(&[push("alpha", "k", now)], &BTreeMap::new(), &fold, &tenants(1), now).pushes[0].1;
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
    let firsts = BTreeMap::from([(0, producer(3))]);
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
    let plan = plan(&[open("gamma"), Request::Batch(offer("gamma", 3, 1)), Request::Gap(gap)], &firsts, &fold, &tenants(1), NOW);
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
    let newer = plan(&[Request::Batch(offer("alpha", 1, 1))], &BTreeMap::new(), &fold, &tenants(5), NOW);
    assert!(newer.draft.records.contains(&LaneRecord::Map(5)));
    assert_eq!(newer.draft.map_version, 5);
}

#[test]
fn an_open_without_a_producer_to_open_is_denied() {
    let fold = opened();
    let plan = judged(&fold, &[open("alpha")]);
    assert!(matches!(&plan.now[..], [(_, Reply::Refused { why: Refusal::Denied, .. })]));
    assert!(plan.draft.is_empty());
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

#[test]
fn a_loss_with_a_long_text_is_shortened_to_what_a_record_holds() {
    let fold = opened();
    let gap = GapOffer {
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
        reason: "é".repeat(5_000),
        source: format!("/{}", "é".repeat(5_000)),
        reply: mpsc::channel(1).0,
    };
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

fn sized(bytes: usize) -> Request {
    Request::Batch(Offer { body: Bytes::from(vec![0; bytes]), ..offer("alpha", 1, 1) })
}

fn sizes(requests: &[Request]) -> Vec<usize> {
    requests.iter().map(|request| if let Request::Batch(offer) = request { offer.body.len() } else { 0 }).collect()
}

#[test]
fn an_object_is_due_by_size_age_or_an_opening() {
    let linger = Duration::from_millis(200);
    let mut waiting = Waiting::default();
    assert!(waiting.is_empty());
    waiting.add(sized(10), NOW);
    assert_eq!(waiting.due_in(NOW, linger, 100), linger);
    waiting.add(sized(10), NOW.plus(Duration::from_millis(150)));
    assert_eq!(waiting.due_in(NOW.plus(Duration::from_millis(150)), linger, 100), Duration::from_millis(50), "the oldest counts");
    assert_eq!(waiting.due_in(NOW.plus(Duration::from_secs(9)), linger, 100), Duration::ZERO);
    assert_eq!(waiting.due_in(NOW, linger, 20), Duration::ZERO, "full");
    waiting.add(open("alpha"), NOW);
    assert_eq!(waiting.due_in(NOW, linger, 100), Duration::ZERO, "a session waits for its opening");
}

#[test]
fn an_object_takes_what_fits_in_order_and_one_request_at_least() {
    let mut waiting = Waiting::default();
    for bytes in [60, 30, 20, 500, 0, 5] {
        waiting.add(sized(bytes), NOW);
    }
    assert_eq!(sizes(&waiting.take(100)), [60, 30]);
    assert_eq!(sizes(&waiting.take(100)), [20]);
    assert_eq!(sizes(&waiting.take(100)), [500], "larger than an object: alone");
    assert_eq!(sizes(&waiting.take(100)), [0, 5]);
    assert!(waiting.is_empty() && waiting.take(100).is_empty());
    waiting.add(sized(1), NOW.plus(Duration::from_secs(60)));
    assert_eq!(waiting.due_in(NOW.plus(Duration::from_secs(60)), Duration::from_secs(1), 2), Duration::from_secs(1), "age and size begin anew");
}
