use std::collections::BTreeMap;
use std::time::Duration;

use hub_segment::Kind;
use proto_model::Timestamp;

use crate::rig::{Hub, Sea, Weather, commit, grant, once, shown};

const NOW: Timestamp = Timestamp::MAX;

async fn fine() -> (std::sync::Arc<Sea>, Hub) {
    let sea = Sea::new(1, Weather::default());
    let hub = Hub::open(&sea, 1).await.unwrap();
    (sea, hub)
}

#[tokio::test(start_paused = true)]
async fn what_is_absorbed_is_shown_once_and_its_lane_objects_go() {
    let (sea, hub) = fine().await;
    let mut writer = hub.store.writer().await.unwrap();
    let mut keys = Vec::new();
    for at in 0..12 {
        let key = format!("a{at}");
        commit(&sea, &mut writer, &["acme", "blue"], &key, 5).await;
        keys.push(key);
    }
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(shown(&hub.store, "acme", NOW).await.unwrap(), once(&keys, 5));
    hub.upkeep.absorb_all(None).await.unwrap();
    let lane = writer.lane();
    for tenant in ["acme", "blue"] {
        let manifest = hub.manifest(tenant).await;
        assert_eq!(manifest.watermark(lane), 12);
        // One segment per UTC day of line time.
        let kinds: Vec<Kind> = manifest.segments.iter().map(|segment| segment.facts.kind).collect();
        assert_eq!(kinds, [Kind::Day(19_674), Kind::Day(19_675)], "today's lines and yesterday's");
        assert_eq!(shown(&hub.store, tenant, NOW).await.unwrap(), once(&keys, 5));
    }
    hub.store.follow_round().await.unwrap();
    assert_eq!(hub.store.lanes()[0].floor, 12);
    // Two snapshots above, and old enough: then they go, in order.
    let keeper = hub_store::Keeper::new(std::sync::Arc::clone(&hub.store));
    keeper.snapshot(lane, 1).await.unwrap();
    commit(&sea, &mut writer, &["acme"], "b", 5).await;
    hub.store.follow_round().await.unwrap();
    keeper.snapshot(lane, 1).await.unwrap();
    hub.upkeep.collect_lanes(&[lane]).await.unwrap();
    assert_eq!(sea.names("/log/").await.len(), 15, "too young");
    tokio::time::sleep(Duration::from_secs(5)).await;
    hub.upkeep.collect_lanes(&[lane]).await.unwrap();
    let left = sea.names("/log/").await;
    assert!(left[0].ends_with("13") && left.len() == 2, "{left:?}");
    let keys: Vec<&str> = keys.into_iter().chain(["b"]).collect();
    for reader in [&hub, &Hub::open(&sea, 2).await.unwrap()] {
        assert_eq!(shown(&reader.store, "acme", NOW).await.unwrap(), once(&keys, 5));
    }
    sea.must_be_sound();
}

#[tokio::test(start_paused = true)]
async fn small_segments_of_a_day_become_one_and_the_old_ones_are_doomed_then_deleted() {
    let (sea, hub) = fine().await;
    let mut writer = hub.store.writer().await.unwrap();
    let mut keys = Vec::new();
    for at in 0..6 {
        let key = format!("a{at}");
        commit(&sea, &mut writer, &["acme"], &key, 3).await;
        hub.upkeep.absorb_all(Some(grant("acme").tenant())).await.unwrap();
        keys.push(key);
    }
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let acme = grant("acme").tenant().clone();
    assert_eq!(hub.manifest("acme").await.segments.len(), 12);
    while hub.upkeep.merge_once(&acme).await.unwrap() {}
    let manifest = hub.manifest("acme").await;
    assert_eq!(manifest.segments.len(), 2);
    assert_eq!(shown(&hub.store, "acme", NOW).await.unwrap(), once(&keys, 3));
    let sweep = async |at: i64| {
        tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_secs(u64::try_from(at).unwrap())).await;
        hub.upkeep.sweep_tenant(&acme, Timestamp(sea.clock.now_ns())).await.unwrap();
        (hub.manifest("acme").await.doomed.len(), sea.names("/segments/").await.len())
    };
    assert_eq!(sweep(0).await, (0, 14), "a running job may still name them");
    assert_eq!(sweep(20).await, (12, 14), "doomed before they are deleted");
    assert_eq!(sweep(10).await, (12, 14));
    assert_eq!(sweep(10).await, (12, 2), "deleted a grace later");
    assert_eq!(sweep(20).await, (0, 2), "and forgotten");
    assert_eq!(shown(&hub.store, "acme", NOW).await.unwrap(), once(&keys, 3));
    sea.must_be_sound();
}

#[tokio::test(start_paused = true)]
async fn a_reader_with_an_old_manifest_reads_on_when_a_segment_is_gone() {
    let (sea, hub) = fine().await;
    let mut writer = hub.store.writer().await.unwrap();
    for at in 0..4 {
        commit(&sea, &mut writer, &["acme"], &format!("a{at}"), 3).await;
        hub.upkeep.absorb_all(None).await.unwrap();
    }
    let reader = Hub::open(&sea, 2).await.unwrap();
    assert_eq!(shown(&reader.store, "acme", NOW).await.unwrap().len(), 12);
    let acme = grant("acme").tenant().clone();
    while hub.upkeep.merge_once(&acme).await.unwrap() {}
    for wait in [21, 21] {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        hub.upkeep.sweep_tenant(&acme, Timestamp(sea.clock.now_ns())).await.unwrap();
    }
    assert_eq!(sea.names("/segments/").await.len(), 2);
    // Another hub that knows the old manifest and holds none of its blocks.
    let cold = Hub::open(&sea, 3).await.unwrap();
    assert_eq!(shown(&cold.store, "acme", NOW).await.unwrap(), once(&["a0", "a1", "a2", "a3"], 3));
    assert_eq!(shown(&reader.store, "acme", NOW).await.unwrap(), once(&["a0", "a1", "a2", "a3"], 3));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_lies_about_its_table_is_set_aside_with_a_loss_and_blocks_nobody() {
    let (sea, hub) = fine().await;
    let mut writer = hub.store.writer().await.unwrap();
    commit(&sea, &mut writer, &["acme", "blue"], "good", 3).await;
    let (body, mut rows) = crate::rig::batch("lie", 3, sea.clock.now_ns());
    rows[0].lines += 5;
    let draft = crate::rig::push(&writer, Timestamp(sea.clock.now_ns()), &[("acme", "lie".to_owned(), body.clone(), rows)]);
    let number = writer.put(draft).await.unwrap().number;
    commit(&sea, &mut writer, &["acme"], "after", 3).await;
    // A second run, as after a crash before the commit, records no second loss.
    hub.upkeep.absorb_all(None).await.unwrap();
    assert_eq!(shown(&hub.store, "acme", NOW).await.unwrap(), once(&["good", "after"], 3));
    let losses = hub.store.losses(&[grant("acme")]);
    assert_eq!(losses.len(), 1);
    assert_eq!((losses[0].reason.as_str(), losses[0].lines), ("UNSOUND_BATCH", Some(3)));
    let aside = sea.names("/aside/").await;
    assert_eq!(aside.len(), 1);
    assert_eq!(sea.read(&aside[0]).await, body);
    assert!(aside[0].contains(&format!("{number:020}")));
    assert!(hub.store.lanes()[0].floor >= 3);
    assert!(hub.store.losses(&[grant("blue")]).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_damaged_section_stops_its_tenant_for_a_while_and_nobody_else() {
    let (sea, hub) = fine().await;
    let mut writer = hub.store.writer().await.unwrap();
    commit(&sea, &mut writer, &["acme", "blue"], "a", 3).await;
    let name = sea.names("/log/00000000000000000001").await.remove(0);
    let mut bytes = sea.read(&name).await.to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1; // The last tenant is blue.
    sea.write(&name, bytes.into()).await;
    commit(&sea, &mut writer, &["acme", "blue"], "b", 3).await;
    let lane = writer.lane();
    let mut state = crate::State::default();
    let both = crate::rig::tenants(&["acme", "blue"]);
    for left in [true, true, false] {
        hub.upkeep.absorb_lane(&mut state, lane, &both, u64::MAX).await.unwrap();
        assert_eq!(hub.manifest("acme").await.watermark(lane), 2);
        assert_eq!(hub.upkeep.keeper.newest(grant("blue").tenant()).await.unwrap().unwrap().watermark(lane) == 0, left);
    }
    assert_eq!(shown(&hub.store, "blue", NOW).await.unwrap(), once(&["b"], 3));
    assert_eq!(shown(&hub.store, "acme", NOW).await.unwrap(), once(&["a", "b"], 3));
    let losses = hub.store.losses(&[grant("blue")]);
    assert_eq!((losses.len(), losses[0].reason.as_str(), losses[0].lines), (1, "DAMAGED_SECTION", Some(3)));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_loses_its_number_takes_half_and_in_the_end_all_is_absorbed_once() {
    let (sea, hub) = fine().await;
    let mut writer = hub.store.writer().await.unwrap();
    let mut keys = Vec::new();
    for at in 0..20 {
        let key = format!("a{at}");
        commit(&sea, &mut writer, &["acme"], &key, 3).await;
        keys.push(key);
    }
    let others = Hub::open(&sea, 2).await.unwrap();
    // All at once, again and again.
    for _ in 0..5 {
        let (one, two) = tokio::join!(hub.upkeep.absorb_all(None), others.upkeep.absorb_all(None));
        one.unwrap();
        two.unwrap();
    }
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(shown(&hub.store, "acme", NOW).await.unwrap(), once(&keys, 3));
    assert_eq!(shown(&others.store, "acme", NOW).await.unwrap(), once(&keys, 3));
    sea.must_be_sound();
}

#[tokio::test(start_paused = true)]
async fn the_driver_absorbs_what_is_due_and_leaves_the_rest() {
    let (sea, hub) = fine().await;
    let mut writer = hub.store.writer().await.unwrap();
    commit(&sea, &mut writer, &["acme"], "big", 800).await; // More than absorb.bytes.
    commit(&sea, &mut writer, &["blue"], "small", 1).await;
    let lane = writer.lane();
    let marks = || -> BTreeMap<&str, u64> {
        let mark = |tenant| hub.upkeep.keeper.known(grant(tenant).tenant()).map_or(0, |manifest| manifest.watermark(lane));
        ["acme", "blue"].map(|tenant| (tenant, mark(tenant))).into()
    };
    hub.upkeep.round().await;
    assert_eq!(marks(), [("acme", 1), ("blue", 0)].into());
    tokio::time::sleep(Duration::from_secs(3)).await;
    hub.upkeep.round().await;
    assert_eq!(marks()["blue"], 0, "small tenants wait longer");
    tokio::time::sleep(Duration::from_secs(2)).await;
    hub.upkeep.round().await;
    assert_eq!(marks()["blue"], 2);
}
