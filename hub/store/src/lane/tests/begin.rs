//! Rule 11: snapshots, and where a lane's state starts from.

use super::*;
use crate::lane::{collect, start};
use crate::limits::{SNAPSHOT_EVERY, SNAPSHOTS_KEPT};
use crate::rig::{Fate, hub, shown};

/// A lane of `count` numbers.
async fn lane(rig: &Arc<Rig>, count: u64) -> (Arc<Store>, LaneWriter, Edge) {
    let one = hub(rig, 1).await;
    let mut writer = one.writer().await.unwrap();
    let mut edge = opened(&mut writer, 1).await;
    for _ in 1..count {
        commit(&mut writer, &mut edge).await;
    }
    (one, writer, edge)
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_written_every_256_numbers_and_two_are_kept() {
    let rig = Rig::new();
    let (one, mut writer, mut edge) = lane(&rig, SNAPSHOT_EVERY - 1).await;
    one.keep_snapshots().await.unwrap();
    assert!(rig.names("/snap/").await.is_empty());
    for round in 1..=4_usize {
        commit(&mut writer, &mut edge).await;
        one.keep_snapshots().await.unwrap();
        assert_eq!(rig.names("/snap/").await.len(), round.min(SNAPSHOTS_KEPT));
        assert_eq!(one.lanes()[0].snapshot, writer.fold().head());
        for _ in 1..SNAPSHOT_EVERY {
            commit(&mut writer, &mut edge).await;
        }
    }
    // Whoever finds the newest far behind writes one, but not a second of the same.
    let two = hub(&rig, 2).await;
    two.keep_snapshots().await.unwrap();
    rig.forget_seen();
    commit(&mut writer, &mut edge).await;
    two.follow_round().await.unwrap();
    two.keep_snapshots().await.unwrap();
    one.keep_snapshots().await.unwrap();
    assert_eq!(rig.seen("put", "/snap/").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_from_a_snapshot_reads_only_what_came_after_it() {
    let rig = Rig::new();
    let (one, mut writer, mut edge) = lane(&rig, 300).await;
    one.keep_snapshots().await.unwrap();
    for _ in 0..5 {
        commit(&mut writer, &mut edge).await;
    }
    rig.forget_seen();
    let two = hub(&rig, 2).await;
    let headers = rig.seen("get", "/log/").len();
    assert!(headers < 50, "{headers} headers were read");
    assert_eq!(*two.only_cell().known().unwrap().fold, *one.only_cell().known().unwrap().fold);
    assert_eq!(shown(&two, "acme").await.len(), 304);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_snapshot_is_passed_over_for_the_one_before_it_then_for_the_genesis() {
    let rig = Rig::new();
    let (one, mut writer, mut edge) = lane(&rig, 10).await;
    snapshot_now(&rig, &one).await;
    commit(&mut writer, &mut edge).await;
    let newest = snapshot_now(&rig, &one).await;
    let name = Key::snapshot(writer.lane(), newest).to_string();
    let mut bad = rig.read(&name).await.to_vec();
    bad[100] ^= 4;
    rig.write(&name, bad).await;
    assert_eq!(hub(&rig, 2).await.lanes()[0].snapshot, 10);
    rig.write(&Key::snapshot(writer.lane(), 10).to_string(), "").await;
    let three = hub(&rig, 3).await;
    assert_eq!((three.lanes()[0].snapshot, three.lanes()[0].head), (0, 11));
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_lags_is_asked_again_and_an_old_snapshot_is_not_taken_for_the_state() {
    let rig = Rig::new();
    let (one, mut writer, mut edge) = lane(&rig, 10).await;
    for _ in 0..5 {
        commit(&mut writer, &mut edge).await;
    }
    snapshot_now(&rig, &one).await;
    collect(&rig, 0, 12).await;
    // The first listing shows nothing: the genesis is looked at, and is gone.
    rig.tell("list", "/snap", [Fate::Absent]);
    let two = hub(&rig, 2).await;
    assert_eq!(two.lanes()[0].head, 15);
    assert_eq!(two.metrics().lane_restarts.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_without_its_lane_object_is_refused_never_guessed_from() {
    let rig = Rig::new();
    let (one, writer, _) = lane(&rig, 10).await;
    let newest = snapshot_now(&rig, &one).await;
    rig.delete(Key::lane_object(writer.lane(), newest).as_str()).await;
    let fault =
        Store::open(crate::store::StoreSettings::new(Arc::<Rig>::clone(&rig), object_store::path::Path::default()), crate::rig::world(2)).await.unwrap_err();
    assert!(matches!(fault, StoreFault::LaneUnreadable { .. }), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn a_hub_of_before_the_bucket_was_put_back_writes_no_snapshot_and_collects_nothing() {
    let rig = Rig::new();
    let (one, mut writer, mut edge) = lane(&rig, SNAPSHOT_EVERY - 2).await;
    writer.put(draft("acme", vec![crate::record::LaneRecord::Floor(200)], Vec::new())).await.unwrap();
    commit(&mut writer, &mut edge).await;
    let head = writer.fold().head();
    assert_eq!((head, writer.fold().floor()), (SNAPSHOT_EVERY, 200));
    // Its newest numbers are gone, and it has not looked since.
    for number in head - 5..=head {
        rig.delete(Key::lane_object(writer.lane(), number).as_str()).await;
    }
    one.keep_snapshots().await.unwrap();
    assert_eq!(rig.names("/snap/").await, [""; 0], "nobody could start from it");
    let snapshot = |number: u64| Key::snapshot(writer.lane(), number).to_string();
    for number in [150, 180] {
        rig.write(&snapshot(number), "").await;
    }
    let late = Timestamp::from_secs(4_000_000_000);
    let gone = collect::collect(one.shore(), &one.only_cell(), &mut collect::Cursor::default(), std::time::Duration::ZERO, late).await;
    assert_eq!(gone.unwrap(), 0, "its floor is of another time");
}

#[tokio::test(start_paused = true)]
async fn foreign_names_among_the_snapshots_are_passed_over() {
    let rig = Rig::new();
    let (one, writer, _) = lane(&rig, 10).await;
    snapshot_now(&rig, &one).await;
    let folder = Key::snapshots(writer.lane()).to_string();
    for foreign in ["zzz", "99999999999999999999", "00000000000000000011.tmp", "00000000000000000012/x"] {
        rig.write(&format!("{folder}/{foreign}"), "x").await;
    }
    assert_eq!(hub(&rig, 2).await.lanes()[0].snapshot, 10);
}

#[test]
fn snapshots_of_an_ever_longer_lane_stay_a_fixed_share_of_the_work() {
    let due = |head, floor, newest: u64| start::is_due(256, head, floor, Kept { newest, before: newest.saturating_sub(256) });
    assert!(!due(255, 0, 0) && due(256, 0, 0));
    assert!(due(16_384, 0, 16_384 - 256), "rule 11 to the letter up to 16,384 above the floor");
    assert!(!start::is_due(256, 64_000 + 256, 0, Kept { newest: 64_000, before: 63_000 }) && due(65_100, 0, 64_000));
    assert!(due(64_000 + 256, 60_000, 64_000));
    let (mut kept, mut written) = (Kept::default(), 0_u64);
    for head in 0..1_000_000 {
        if start::is_due(256, head, 0, kept) {
            kept = Kept { newest: head, before: kept.newest };
            written += head;
        }
    }
    assert!(written < 70 * 1_000_000, "{written} entries were written in all");
}

/// Nothing between the two snapshots could be collected until the lane has grown as much again: an idle one never does.
#[test]
fn a_lane_that_grew_while_no_snapshot_could_be_written_has_two_near_its_head_soon() {
    let far = Kept { newest: 79, before: 17 };
    assert!(start::is_due(4, 80, 80, far), "the older one lies far back");
    assert!(!start::is_due(4, 79, 79, far), "there is one of this head");
    assert!(!start::is_due(4, 81, 80, Kept { newest: 80, before: 79 }));
    assert!(!start::is_due(4, 81, 80, Kept { newest: 80, before: 76 }));
    assert!(start::is_due(256, 1_000, 900, Kept { newest: 990, before: 0 }), "a first one alone lets nothing go");
}
