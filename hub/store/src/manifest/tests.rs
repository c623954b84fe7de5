//! The manifest log: what is written, what counts, what a sleeper cannot do; and the codec.

use std::sync::Arc;
use std::time::Duration;

use hub_segment::{Facts, Kind};
use proto_model::TimeRange;

use super::log::ManifestCell;
use super::*;
use crate::fault::PutFault;
use crate::keys::Key;
use crate::rig::{Fate, Rig, draft, grant, hub};
use crate::store::Store;
use crate::store::keeper::Keeper;

const LANE: LaneId = LaneId(7);

fn acme() -> TenantId {
    grant("acme").tenant().clone()
}

fn segment(id: u128) -> SegmentRef {
    let facts = Facts {
        kind: Kind::Day(19_000),
        bytes: 100,
        lines: 3,
        raw_bytes: 30,
        min: Timestamp(5),
        max: Timestamp(9),
        streams: 1,
        footer_offset: 60,
        footer_length: 40,
        footer_checksum: [3; 16],
    };
    SegmentRef { id: SegmentId(id), tenant: acme(), facts, cleaned: 0 }
}

fn absorb(from: u64, to: u64) -> Change {
    Change::Absorb { lane: LANE, from, to, segments: vec![segment(u128::from(to))], deletes: Applied::default() }
}

async fn keeper(rig: &Arc<Rig>, seed: u64) -> Keeper {
    Keeper::new(hub(rig, seed).await)
}

/// Commits `count` numbers after the newest.
async fn grow(keeper: &Keeper, count: u64) -> Arc<Manifest> {
    let mut newest = keeper.open(&acme()).await.unwrap();
    for _ in 0..count {
        let at = newest.watermark(LANE);
        newest = keeper.commit(&newest, &absorb(at, at + 1)).await.unwrap();
    }
    newest
}

fn name(number: u64) -> String {
    Key::manifest(&acme(), number).to_string()
}

#[tokio::test(start_paused = true)]
async fn a_log_begins_with_a_genesis_that_is_registered_before_anything_follows() {
    let rig = Rig::new();
    let (one, two) = (keeper(&rig, 1).await, keeper(&rig, 2).await);
    assert!(one.newest(&acme()).await.unwrap().is_none());
    let tenant = acme();
    let (a, b) = tokio::join!(one.open(&tenant), two.open(&tenant));
    assert_eq!(a.unwrap().commit, b.unwrap().commit);
    assert_eq!(rig.names("control/manifests").await, ["control/manifests/acme"]);
    let newest = grow(&two, 3).await;
    assert_eq!((newest.number, newest.watermark(LANE), newest.segments.len()), (3, 3, 3));
    assert_eq!(one.newest(&acme()).await.unwrap().unwrap(), newest);
    assert_eq!(one.tenants().await.unwrap(), [acme()]);
}

#[tokio::test(start_paused = true)]
async fn a_genesis_whose_maker_died_is_registered_by_whoever_meets_it() {
    let rig = Rig::new();
    let one = keeper(&rig, 1).await;
    // The genesis stands, its registration never comes.
    rig.refuse_all("put", "control/manifests");
    one.open(&acme()).await.unwrap_err();
    rig.heal();
    let genesis = codec::decode(&rig.read(&name(0)).await, &acme(), 0, &StoreKeys::none()).unwrap();
    let two = keeper(&rig, 2).await;
    assert!(two.newest(&acme()).await.unwrap().is_none(), "what is not registered is not there");
    assert_eq!(two.open(&acme()).await.unwrap().commit, genesis.commit);
    assert_eq!(rig.names("manifest/").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn lost_answers_while_a_log_begins_leave_one_log() {
    for fate in [Fate::AnswerLost, Fate::Late, Fate::Refused] {
        for part in ["manifest/0", "control/manifests"] {
            let rig = Rig::new();
            let one = keeper(&rig, 1).await;
            rig.tell("put", part, [fate.clone()]);
            let opened = one.open(&acme()).await.unwrap();
            rig.land().await;
            let newest = grow(&one, 2).await;
            assert_eq!(newest.segments.len(), 2);
            assert_eq!(keeper(&rig, 2).await.newest(&acme()).await.unwrap().unwrap(), newest, "{fate:?} {part} {opened:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleepers_second_genesis_is_void() {
    let rig = Rig::new();
    // A sleeper that found no registration long ago: its genesis arrives after the true one was collected.
    let sleeper = keeper(&rig, 9).await;
    rig.tell("put", &name(0), [Fate::Late]);
    let asleep = sleeper.store().manifest_cell(&acme());
    rig.tell("get", "control/manifests", [Fate::Fine, Fate::Refused, Fate::Refused, Fate::Refused, Fate::Refused]);
    asleep.open(sleeper.store().shore()).await.unwrap_err();
    rig.heal();
    let awake = keeper(&rig, 1).await;
    let newest = grow(&awake, 4).await;
    assert_eq!(awake.collect_manifests(&acme()).await.unwrap(), 3);
    assert_eq!(rig.land().await, 1, "number 0 stands again");
    assert_eq!(sleeper.open(&acme()).await.unwrap(), newest);
    for other in [keeper(&rig, 2).await, keeper(&rig, 3).await] {
        assert_eq!(other.open(&acme()).await.unwrap(), newest);
    }
    // Not even when nothing else is listed.
    rig.tell("list", "manifest", std::iter::repeat_n(Fate::Absent, 10));
    let fault = keeper(&rig, 4).await.newest(&acme()).await.unwrap_err();
    assert!(matches!(fault, StoreFault::ManifestUnreadable { .. }), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn what_a_sleeper_writes_at_a_collected_number_counts_for_nobody() {
    let rig = Rig::new();
    let (sleeper, awake) = (keeper(&rig, 9).await, keeper(&rig, 1).await);
    let old = grow(&sleeper, 2).await;
    let newest = grow(&awake, 4).await;
    assert_eq!(awake.collect_manifests(&acme()).await.unwrap(), 5);
    // Number 3 was collected: the sleeper's create is answered with success.
    assert_eq!(sleeper.commit(&old, &absorb(2, 9)).await.unwrap_err(), PutFault::Lost);
    assert!(rig.names(&name(3)).await.len() == 1);
    assert_eq!(sleeper.newest(&acme()).await.unwrap().unwrap(), newest);
    assert_eq!(keeper(&rig, 2).await.newest(&acme()).await.unwrap().unwrap(), newest);
    // A follower that knows number 2 meets number 3 as its next: the second look tells.
    let follower = keeper(&rig, 3).await;
    let cell = follower.store().manifest_cell(&acme());
    let found = follow_from(&cell, &follower, old).await;
    assert_eq!(found, newest);
    // The next collection takes the garbage too.
    assert_eq!(awake.collect_manifests(&acme()).await.unwrap(), 1);
}

/// Follows as one who knows `base`.
async fn follow_from(cell: &Arc<ManifestCell>, keeper: &Keeper, base: Arc<Manifest>) -> Arc<Manifest> {
    cell.know(base);
    keeper.newest(&acme()).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_lags_is_no_place_to_start_from() {
    let rig = Rig::new();
    let awake = keeper(&rig, 1).await;
    grow(&awake, 5).await;
    // Number 3 alone is back, as a sleeper makes it; a listing shows it for the newest.
    let newest = awake.newest(&acme()).await.unwrap().unwrap();
    let mut garbage = Manifest { number: 3, commit: CommitId([9; 16]), previous: CommitId([8; 16]), ..Manifest::clone(&newest) };
    garbage.segments.clear();
    for number in 0..=3 {
        rig.delete(&name(number)).await;
    }
    rig.write(&name(3), codec::encode(&garbage, &StoreKeys::none()).unwrap()).await;
    rig.delete(&name(5)).await;
    rig.delete(&name(4)).await;
    let fault = keeper(&rig, 2).await.newest(&acme()).await.unwrap_err();
    assert!(matches!(fault, StoreFault::ManifestUnreadable { .. }), "garbage is never the state: {fault}");
}

#[tokio::test(start_paused = true)]
async fn a_number_whose_answer_was_lost_is_lost_though_it_may_stand() {
    for (fate, stands) in [(Fate::AnswerLost, true), (Fate::Late, false), (Fate::Refused, false)] {
        let rig = Rig::new();
        let one = keeper(&rig, 1).await;
        let base = grow(&one, 1).await;
        rig.tell("put", &name(2), [fate]);
        assert!(matches!(one.commit(&base, &absorb(1, 2)).await.unwrap_err(), PutFault::NotWritten(StoreFault::Unreachable { .. })));
        assert_eq!(one.newest(&acme()).await.unwrap().unwrap().number == 2, stands);
        let newest = grow(&one, 2).await;
        rig.land().await;
        assert_eq!(keeper(&rig, 2).await.newest(&acme()).await.unwrap().unwrap(), newest);
    }
}

#[tokio::test(start_paused = true)]
async fn two_that_write_one_number_end_with_one_of_them() {
    let rig = Rig::new();
    let (one, two) = (keeper(&rig, 1).await, keeper(&rig, 2).await);
    let base = grow(&one, 1).await;
    let (mine, theirs) = (absorb(1, 2), absorb(1, 3));
    let (a, b) = tokio::join!(one.commit(&base, &mine), two.commit(&base, &theirs));
    assert!(a.is_ok() != b.is_ok());
    let lost = a.as_ref().err().or(b.as_ref().err()).unwrap();
    assert!(matches!(lost, PutFault::NotWritten(StoreFault::Beaten { .. })), "{lost}");
    // Built again on the old one it is a conflict once more; on the newest it does not fit.
    one.commit(&base, &absorb(1, 4)).await.unwrap_err();
    let newest = one.newest(&acme()).await.unwrap().unwrap();
    assert!(matches!(one.commit(&newest, &absorb(1, 4)).await.unwrap_err(), PutFault::NotWritten(StoreFault::Draft { .. })));
}

#[tokio::test(start_paused = true)]
async fn manifests_go_ascending_and_each_is_seen_to_be_gone() {
    let rig = Rig::new();
    let one = keeper(&rig, 1).await;
    grow(&one, 6).await;
    rig.forget_seen();
    // Number 2 does not go: nothing after it may.
    rig.tell("get", &name(2), [Fate::Fine]);
    rig.tell("get", &name(1), [Fate::Answered(Bytes::from_static(b"still here"))]);
    assert_eq!(one.collect_manifests(&acme()).await.unwrap(), 1);
    assert!(rig.names(&name(2)).await.len() == 1);
    assert_eq!(one.collect_manifests(&acme()).await.unwrap(), 3);
    assert_eq!(rig.names("manifest/").await, [name(5), name(6)]);
    assert_eq!(keeper(&rig, 2).await.newest(&acme()).await.unwrap().unwrap().number, 6);
}

#[tokio::test(start_paused = true)]
async fn readers_share_a_reading_and_an_evicted_log_is_read_anew() {
    let rig = Rig::new();
    let one = keeper(&rig, 1).await;
    let newest = grow(&one, 3).await;
    let two = keeper(&rig, 2).await;
    rig.forget_seen();
    rig.tell("get", "control/manifests", [Fate::Slow(Duration::from_secs(1))]);
    let tenant = acme();
    let all = futures::future::join_all((0..20).map(|_| two.newest(&tenant))).await;
    assert!(all.into_iter().all(|found| found.unwrap().unwrap() == newest));
    let asked = rig.seen("get", "manifest/").len();
    assert!(asked <= 8, "{asked} requests for twenty that ask at once");
}

#[tokio::test(start_paused = true)]
async fn a_manifest_of_before_the_bucket_was_put_back_raises_no_floor() {
    let rig = Rig::new();
    let store = hub(&rig, 1).await;
    let mut writer = store.writer().await.unwrap();
    let lane = writer.lane();
    let mut edge = crate::rig::Edge::new(proto_model::ProducerId { lane, unique: 1 });
    let open = edge.open();
    let (advance, batches) = edge.next(1);
    let number = writer.put(draft("acme", vec![open, advance], batches)).await.unwrap().number;
    let keeper = Keeper::new(Arc::clone(&store));
    let base = keeper.open(&acme()).await.unwrap();
    let change = || Change::Absorb { lane, from: 0, to: number, segments: vec![segment(1)], deletes: Applied::default() };
    let newest = keeper.commit(&base, &change()).await.unwrap();
    rig.delete(Key::manifest(&acme(), newest.number).as_str()).await;
    assert_eq!(keeper.raise_floor(lane).await.unwrap(), 0, "in this bucket nothing is absorbed");
    let base = keeper.open(&acme()).await.unwrap();
    assert_eq!(base.watermark(lane), 0);
    keeper.commit(&base, &change()).await.unwrap();
    assert_eq!(keeper.raise_floor(lane).await.unwrap(), number);
}

#[tokio::test(start_paused = true)]
async fn a_view_is_answered_with_a_manifest_that_holds_what_is_absorbed_or_not_at_all() {
    let rig = Rig::new();
    let store = hub(&rig, 1).await;
    let mut writer = store.writer().await.unwrap();
    let lane = writer.lane();
    let grant = grant("acme");
    let mut edge = crate::rig::Edge::new(proto_model::ProducerId { lane, unique: 1 });
    let open = edge.open();
    let (advance, batches) = edge.next(1);
    let number = writer.put(draft("acme", vec![open, advance], batches)).await.unwrap().number;
    let view = store.view();
    // Nothing is absorbed: no manifest is asked for.
    rig.forget_seen();
    assert_eq!(store.manifest(&grant, &view).await.unwrap().number, 0);
    assert!(rig.seen("get", "manifest").is_empty());
    let keeper = Keeper::new(Arc::clone(&store));
    assert_eq!(keeper.raise_floor(lane).await.unwrap(), 0, "nothing is absorbed");
    let base = keeper.open(&acme()).await.unwrap();
    let change = Change::Absorb { lane, from: 0, to: number, segments: vec![segment(1)], deletes: Applied::default() };
    keeper.commit(&base, &change).await.unwrap();
    assert_eq!(keeper.raise_floor(lane).await.unwrap(), number);
    let reader = hub(&rig, 2).await;
    let view = reader.view();
    assert_eq!(view.absorbed(&acme()), [(lane, number)].into());
    let manifest = reader.manifest(&grant, &view).await.unwrap();
    assert_eq!(manifest.segments, [segment(1)]);
    assert!(view.sections_after(&grant, TimeRange::ALL, &manifest.watermarks).is_empty());
    // The manifest's log is gone: an answer without it would lack lines.
    let other = hub(&rig, 3).await;
    for name in rig.names("manifest/").await {
        rig.delete(&name).await;
    }
    assert!(matches!(other.manifest(&grant, &other.view()).await.unwrap_err(), StoreFault::ManifestUnreadable { .. }));
    for name in rig.names("control/manifests").await {
        rig.delete(&name).await;
    }
    assert!(matches!(hub(&rig, 4).await.manifest(&grant, &other.view()).await.unwrap_err(), StoreFault::ManifestUnreadable { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_segment_is_reached_with_its_tenants_grant_and_a_gone_one_is_moved() {
    let rig = Rig::new();
    let store: Arc<Store> = hub(&rig, 1).await;
    let of = segment(5);
    assert_eq!(store.footer(&grant("blue"), &of).await.unwrap_err(), StoreFault::Foreign);
    assert!(matches!(store.footer(&grant("acme"), &of).await.unwrap_err(), StoreFault::Moved { .. }));
    rig.write(Key::segment(&acme(), 5).as_str(), vec![0; 100]).await;
    assert!(matches!(store.footer(&grant("acme"), &of).await.unwrap_err(), StoreFault::Damaged { .. }));
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[test]
fn a_manifest_reads_back_as_it_was_written_and_bad_bytes_end_in_a_fault() {
    let keys = StoreKeys::none();
    let stamp = |at: u8| Stamp { commit: CommitId([at; 16]), writer: "hub".to_owned(), written: Timestamp(i64::from(at)) };
    let genesis = Manifest::genesis(acme(), CommitId([1; 16]));
    let one = genesis.next(&absorb(0, 5), stamp(2)).unwrap();
    let two = one.next(&Change::Sweep { doomed: vec![SegmentId(9), SegmentId(8)], at: Timestamp(3), gone: Vec::new() }, stamp(3)).unwrap();
    for manifest in [&genesis, &one, &two] {
        let bytes = codec::encode(manifest, &keys).unwrap();
        assert_eq!(codec::decode(&bytes, &acme(), manifest.number, &keys).unwrap(), *manifest);
        codec::decode(&bytes, &acme(), manifest.number + 1, &keys).unwrap_err();
        codec::decode(&bytes, grant("blue").tenant(), manifest.number, &keys).unwrap_err();
        for at in 0..bytes.len() {
            let mut bad = bytes.to_vec();
            bad[at] ^= 0x40;
            codec::decode(&bad.into(), &acme(), manifest.number, &keys).unwrap_err();
            codec::decode(&bytes.slice(..at), &acme(), manifest.number, &keys).unwrap_err();
        }
    }
}

#[test]
fn a_change_that_does_not_fit_is_refused() {
    let stamp = || Stamp { commit: CommitId([2; 16]), writer: String::new(), written: Timestamp(0) };
    let base = Manifest::genesis(acme(), CommitId([1; 16])).next(&absorb(0, 5), stamp()).unwrap();
    let merge = |inputs: &[u128], id: u128, lines: u64| {
        let mut output = segment(id);
        output.facts.lines = lines;
        base.next(&Change::Merge { inputs: inputs.iter().map(|id| SegmentId(*id)).collect(), output }, stamp())
    };
    assert_eq!(merge(&[5], 6, 3).unwrap().segments, [segment(6)]);
    merge(&[5], 6, 2).unwrap_err(); // A line less.
    merge(&[4], 6, 3).unwrap_err();
    merge(&[], 6, 0).unwrap_err();
    merge(&[5, 5], 6, 6).unwrap_err();
    base.next(&absorb(4, 6), stamp()).unwrap_err();
    base.next(&absorb(5, 5), stamp()).unwrap_err();
    let again = Change::Absorb { lane: LANE, from: 5, to: 6, segments: vec![segment(5)], deletes: Applied::default() };
    base.next(&again, stamp()).unwrap_err();
    base.next(&Change::Sweep { doomed: vec![SegmentId(5)], at: Timestamp(0), gone: Vec::new() }, stamp()).unwrap_err();
    let doomed = base.next(&Change::Sweep { doomed: vec![SegmentId(6)], at: Timestamp(0), gone: Vec::new() }, stamp()).unwrap();
    doomed.next(&absorb(5, 6), stamp()).unwrap_err();
}
