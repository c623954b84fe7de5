use std::collections::BTreeMap;
use std::time::Duration;

use hub_store::{Delete, Keeper, StoreFault};
use proto_model::{TimeRange, Timestamp};

use crate::rig::{Hub, Sea, Weather, batch, commit, grant, once, push, shown, tenants};

const NOW: Timestamp = Timestamp::MAX;
const ALWAYS: TimeRange = TimeRange { start: Timestamp(0), end: Timestamp::MAX };

async fn two() -> (std::sync::Arc<Sea>, Hub, Hub) {
    let sea = Sea::new(1, Weather::default());
    let (one, two) = (Hub::open(&sea, 1).await.unwrap(), Hub::open(&sea, 2).await.unwrap());
    (sea, one, two)
}

/// `all` without the lines of stream `app` (every third is of db).
fn without(mut all: BTreeMap<String, usize>, keys: &[&str], app: &str) -> BTreeMap<String, usize> {
    all.retain(|line, _| {
        let (key, at) = line.split_once('-').unwrap();
        !(keys.contains(&key) && (at.parse::<usize>().unwrap() % 3 == 2) == (app == "db"))
    });
    all
}

/// A view of this very moment counts as fresh.
async fn tick() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn deleted(hub: &Hub, query: &str, range: TimeRange) -> Delete {
    tick().await;
    hub.store.delete(&grant("acme"), query, range).await.unwrap()
}

async fn both(one: &Hub, two: &Hub, expected: &BTreeMap<String, usize>) {
    tick().await;
    for hub in [one, two] {
        assert_eq!(shown(&hub.store, "acme", NOW).await.unwrap(), *expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_is_in_force_on_every_hub_at_once_and_new_lines_are_new() {
    let (sea, one, two) = two().await;
    let mut writer = one.store.writer().await.unwrap();
    commit(&sea, &mut writer, &["acme", "blue"], "a", 6).await;
    one.upkeep.absorb_all(None).await.unwrap();
    commit(&sea, &mut writer, &["acme", "blue"], "b", 6).await;
    both(&one, &two, &once(&["a", "b"], 6)).await;
    // Of a segment and of a section, on the hub that has cached the manifest before.
    let delete = deleted(&one, r#"{app="web"}"#, ALWAYS).await;
    assert_eq!((delete.heads.len(), delete.pieces), (1, 3), "two segments and a lane");
    let expected = without(once(&["a", "b"], 6), &["a", "b"], "web");
    both(&one, &two, &expected).await;
    tick().await;
    assert_eq!(shown(&two.store, "blue", NOW).await.unwrap(), once(&["a", "b"], 6), "another tenant's lines stay");
    // What comes later is not meant, before and after it is absorbed.
    commit(&sea, &mut writer, &["acme"], "c", 6).await;
    let expected: BTreeMap<_, _> = expected.into_iter().chain(once(&["c"], 6)).collect();
    both(&one, &two, &expected).await;
    two.store.follow_round().await.unwrap();
    two.upkeep.absorb_all(Some(grant("acme").tenant())).await.unwrap();
    both(&one, &two, &expected).await;
    let manifest = two.manifest("acme").await;
    assert!(manifest.deletes.is_empty() && manifest.done.len() == 1, "it is carried out: {manifest:?}");
    assert_eq!((manifest.deleted_lines, manifest.done[0].lines), (8, 8));
    assert_eq!(manifest.segments.iter().map(|segment| segment.facts.lines).sum::<u64>(), 10);
    sea.must_be_sound();
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_is_meant_whole_goes_and_lines_are_taken_by_filter_and_time() {
    let (sea, one, two) = two().await;
    let mut writer = one.store.writer().await.unwrap();
    commit(&sea, &mut writer, &["acme"], "a", 6).await;
    one.upkeep.absorb_all(None).await.unwrap();
    assert_eq!(one.manifest("acme").await.segments.len(), 2, "web of today, db of yesterday");
    deleted(&one, r#"{app="db"}"#, ALWAYS).await;
    one.upkeep.rewrite_all(None).await.unwrap();
    let manifest = one.manifest("acme").await;
    assert_eq!((manifest.segments.len(), manifest.deletes.len(), manifest.deleted_lines), (1, 0, 2));
    // By the line alone; a time that no line lies in takes nothing, and is over at once.
    let elsewhere = TimeRange { start: Timestamp(0), end: Timestamp(1) };
    assert!(deleted(&one, r#"{app="web"}"#, elsewhere).await.done.is_some());
    deleted(&one, r#"{app="web"} |= "a-3""#, ALWAYS).await;
    let mut expected = without(once(&["a"], 6), &["a"], "db");
    expected.remove("a-3");
    both(&one, &two, &expected).await;
    one.upkeep.rewrite_all(None).await.unwrap();
    both(&one, &two, &expected).await;
    // A stream that is not there costs no rewriting.
    let before = one.manifest("acme").await.segments.clone();
    deleted(&one, r#"{app="other"}"#, ALWAYS).await;
    one.upkeep.rewrite_all(None).await.unwrap();
    let after = one.manifest("acme").await;
    assert_eq!((after.segments[0].id, after.deletes.len()), (before[0].id, 0));
    sea.must_be_sound();
}

#[tokio::test(start_paused = true)]
async fn a_delete_stays_until_its_lanes_are_absorbed_and_jobs_that_did_not_know_it_lose() {
    let (sea, one, two) = two().await;
    let acme = grant("acme");
    let (mut first, mut second) = (one.store.writer().await.unwrap(), two.store.writer().await.unwrap());
    commit(&sea, &mut first, &["acme"], "a", 6).await;
    commit(&sea, &mut second, &["acme"], "b", 6).await;
    let delete = deleted(&one, r#"{app="web"}"#, ALWAYS).await;
    assert_eq!(delete.heads.len(), 2);
    let expected = without(once(&["a", "b"], 6), &["a", "b"], "web");
    // One lane is absorbed: it stays for the other.
    let mut state = one.upkeep.state.lock().await;
    one.upkeep.absorb_lane(&mut state, first.lane(), &tenants(&["acme"]), u64::MAX).await.unwrap();
    drop(state);
    assert_eq!(one.manifest("acme").await.deletes.len(), 1);
    both(&one, &two, &expected).await;
    // A hub that does not know of a second one yet builds what the other has in mind: its number is lost, nothing comes back.
    let keeper = Keeper::new(std::sync::Arc::clone(&two.store));
    keeper.newest(acme.tenant()).await.unwrap();
    deleted(&one, r#"{app="db"}"#, ALWAYS).await;
    let mut state = two.upkeep.state.lock().await;
    let known = keeper.known(acme.tenant()).unwrap();
    assert_eq!(known.deletes.len(), 1);
    let lost = two.upkeep.absorb_lane(&mut state, second.lane(), &tenants(&["acme"]), u64::MAX).await;
    drop(state);
    // It read the log on when it looked for its watermark; whether or not, no line is back.
    both(&one, &two, &BTreeMap::new()).await;
    assert!(lost.is_ok() || lost == Err(crate::absorb::Setback::Lost));
    for hub in [&one, &two] {
        hub.upkeep.absorb_all(None).await.unwrap();
    }
    both(&one, &two, &BTreeMap::new()).await;
    let manifest = one.manifest("acme").await;
    assert!(manifest.deletes.is_empty() && manifest.segments.is_empty());
    sea.must_be_sound();
}

#[tokio::test(start_paused = true)]
async fn merging_waits_for_rewriting_and_brings_nothing_back() {
    let (sea, one, two) = two().await;
    let acme = grant("acme");
    let mut writer = one.store.writer().await.unwrap();
    for key in ["a", "b", "c"] {
        commit(&sea, &mut writer, &["acme"], key, 6).await;
        one.upkeep.absorb_all(None).await.unwrap();
    }
    deleted(&one, r#"{app="web"}"#, ALWAYS).await;
    for key in ["d", "e"] {
        commit(&sea, &mut writer, &["acme"], key, 6).await;
        // Absorbed while the delete is open: not a line of it is meant.
        let mut state = one.upkeep.state.lock().await;
        one.store.follow_round().await.unwrap();
        assert!(one.upkeep.absorb_lane(&mut state, writer.lane(), &tenants(&["acme"]), u64::MAX).await.unwrap());
    }
    let expected = without(once(&["a", "b", "c", "d", "e"], 6), &["a", "b", "c"], "web");
    assert!(!one.upkeep.merge_once(acme.tenant()).await.unwrap(), "old and new ones of a day must not mix");
    both(&one, &two, &expected).await;
    one.upkeep.rewrite_all(None).await.unwrap();
    assert_eq!(one.manifest("acme").await.deletes.len(), 0);
    while one.upkeep.merge_once(acme.tenant()).await.unwrap() {}
    both(&one, &two, &expected).await;
    assert!(one.manifest("acme").await.segments.len() <= 4);
    sea.must_be_sound();
}

#[tokio::test(start_paused = true)]
async fn a_rewriting_that_dies_is_done_again_and_leaves_its_output_to_the_sweep() {
    let (sea, one, two) = two().await;
    let acme = grant("acme");
    let mut writer = one.store.writer().await.unwrap();
    commit(&sea, &mut writer, &["acme"], "a", 6).await;
    one.upkeep.absorb_all(None).await.unwrap();
    deleted(&one, r#"{app="web"} |= "a-1""#, ALWAYS).await;
    // The output stands; the hub dies before it names it.
    let manifest = one.manifest("acme").await;
    let segment = manifest.segments.iter().find(|segment| manifest.of_segment(segment).next().is_some()).unwrap();
    let keeper = Keeper::new(std::sync::Arc::clone(&one.store));
    let built = one.upkeep.merged(std::slice::from_ref(segment)).await.unwrap();
    keeper.put_segment(acme.tenant(), &built).await.unwrap();
    drop((one, writer));
    two.upkeep.rewrite_all(None).await.unwrap();
    let third = Hub::open(&sea, 3).await.unwrap();
    let mut expected = once(&["a"], 6);
    expected.remove("a-1");
    both(&two, &third, &expected).await;
    for wait in [21, 21] {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        two.upkeep.sweep_tenant(acme.tenant(), Timestamp(sea.clock.now_ns())).await.unwrap();
    }
    assert_eq!(sea.names("/segments/").await.len(), 2, "the old one and the one that nobody named are gone");
    both(&two, &third, &expected).await;
    sea.must_be_sound();
}

#[tokio::test(start_paused = true)]
async fn a_delete_is_called_off_while_it_took_nothing_and_is_asked_twice_once() {
    let (sea, one, two) = two().await;
    let acme = grant("acme");
    let mut writer = one.store.writer().await.unwrap();
    assert_eq!(two.store.cancel_delete(&acme, 1, false).await.unwrap_err(), StoreFault::NoDelete);
    commit(&sea, &mut writer, &["acme"], "a", 6).await;
    one.upkeep.absorb_all(None).await.unwrap();
    let delete = deleted(&one, r#"{app="web"}"#, ALWAYS).await;
    assert_eq!(deleted(&two, r#"{app="web"}"#, ALWAYS).await.number, delete.number, "asked again, it is the same");
    both(&one, &two, &without(once(&["a"], 6), &["a"], "web")).await;
    tick().await;
    two.store.cancel_delete(&acme, delete.number, false).await.unwrap();
    both(&one, &two, &once(&["a"], 6)).await;
    // Two kinds of segments: one is rewritten, then only force helps.
    let delete = deleted(&one, r#"{app=~"web|db"} |~ "a-[015]""#, ALWAYS).await;
    assert!(one.upkeep.rewrite_once(acme.tenant()).await.unwrap());
    assert_eq!(two.store.cancel_delete(&acme, delete.number, false).await.unwrap_err(), StoreFault::DeleteBegun);
    two.store.cancel_delete(&acme, delete.number, true).await.unwrap();
    tick().await;
    let left = shown(&one.store, "acme", NOW).await.unwrap();
    assert_eq!(left, shown(&two.store, "acme", NOW).await.unwrap());
    assert!(left.len() < 6 && left.len() > 3, "what was taken out stays out, the rest is back: {left:?}");
    sea.must_be_sound();
}

#[tokio::test(start_paused = true)]
async fn an_erased_tenant_holds_nothing_back_and_is_swept_away() {
    let (sea, one, two) = two().await;
    let (acme, blue) = (grant("acme"), grant("blue"));
    let mut writer = one.store.writer().await.unwrap();
    commit(&sea, &mut writer, &["acme", "blue"], "a", 6).await;
    one.upkeep.absorb_all(None).await.unwrap();
    // Set aside: bytes of the tenant that no segment holds.
    let (body, mut rows) = batch("lie", 3, sea.clock.now_ns());
    rows[0].lines += 1;
    writer.follow().await.unwrap();
    writer.put(push(&writer, Timestamp(sea.clock.now_ns()), &[("acme", "lie".to_owned(), body, rows)])).await.unwrap();
    one.upkeep.absorb_all(None).await.unwrap();
    assert_eq!(sea.names("/aside/").await.len(), 1);
    commit(&sea, &mut writer, &["acme", "blue"], "b", 6).await;
    one.store.follow_round().await.unwrap();
    one.upkeep.absorb_all(Some(blue.tenant())).await.unwrap();
    let floor = |hub: &Hub| hub.store.lanes()[0].floor;
    let before = floor(&one);
    one.store.erase(tenants(&["acme"]));
    sea.oracle.lock().unwrap().erased = tenants(&["acme"]);
    assert!(one.upkeep.waiting(writer.lane(), u64::MAX).is_empty(), "nothing of it is absorbed any more");
    one.upkeep.absorb_all(None).await.unwrap();
    one.store.follow_round().await.unwrap();
    assert!(floor(&one) > before, "its sections hold no floor back");
    tokio::time::sleep(Duration::from_secs(4)).await;
    one.upkeep.round().await;
    let manifest = one.manifest("acme").await;
    assert!(manifest.erased && manifest.segments.is_empty() && manifest.doomed.len() == 2);
    // A hub that has not met the new map yet has nothing to show of it either, but for what no floor passed.
    two.store.follow_round().await.unwrap();
    assert!(two.manifest("acme").await.segments.is_empty());
    let keeper = Keeper::new(std::sync::Arc::clone(&two.store));
    let stale = keeper
        .commit(&manifest, &hub_store::Change::Absorb { lane: writer.lane(), from: 0, to: 9, segments: Vec::new(), deletes: hub_store::Applied::default() })
        .await;
    assert!(stale.unwrap_err().to_string().contains("was erased"));
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_secs(8)).await;
        one.upkeep.round().await;
    }
    let left: Vec<String> = sea.names("tenants/acme/").await;
    assert!(left.iter().all(|name| name.contains("/manifest/")) && left.len() <= 8, "{left:?}");
    tick().await;
    assert_eq!(shown(&two.store, "blue", NOW).await.unwrap(), once(&["a", "b"], 6));
    sea.must_be_sound();
    drop(acme);
}
