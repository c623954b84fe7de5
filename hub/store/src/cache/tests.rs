use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use proto_model::Timestamp;

use super::*;
use crate::header::Checksum;

fn of(number: u64) -> SectionRef {
    SectionRef {
        lane: LaneId(1),
        number,
        commit: CommitId([1; 16]),
        offset: 0,
        len: 0,
        checksum: Checksum::default(),
        lines: 0,
        bytes: 0,
        min: Timestamp(0),
        max: Timestamp(0),
        batches: 0,
        table_len: 0,
        table_checksum: Checksum::default(),
        tenant: TenantId::new("acme").unwrap(),
    }
}

fn section(bytes: usize) -> Section {
    let empty = [0, 0, 0, 0].to_vec();
    let table = SectionTable::read(&empty.into(), 4).unwrap();
    Section { table: Arc::new(table), bytes: Bytes::from(vec![0; bytes]) }
}

fn cache(cost_max: usize) -> Cache {
    Cache::new(cost_max, StoreMetrics::default())
}

/// Loads a section of that size and counts it.
fn load(bytes: usize, loads: &Arc<AtomicU64>) -> Loading {
    let loads = Arc::clone(loads);
    async move {
        loads.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(Kept::Section(section(bytes)))
    }
    .boxed()
}

#[tokio::test(start_paused = true)]
async fn one_load_serves_all_who_ask_even_when_the_first_gives_up() {
    let (cache, loads) = (cache(1_000), Arc::default());
    let one = of(1);
    let impatient = tokio::time::timeout(Duration::from_millis(50), cache.section(&one, || load(10, &loads)));
    let waits = futures::future::join_all((0..20).map(|_| cache.section(&one, || load(10, &loads))));
    let (gave_up, all) = tokio::join!(impatient, waits);
    assert!(gave_up.is_err());
    assert!(all.iter().all(|section| section.as_ref().unwrap().bytes.len() == 10));
    cache.section(&of(1), || load(10, &loads)).await.unwrap();
    assert_eq!(loads.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_given_up_by_all_is_begun_anew() {
    let (cache, loads) = (cache(1_000), Arc::default());
    assert!(tokio::time::timeout(Duration::from_millis(50), cache.section(&of(1), || load(10, &loads))).await.is_err());
    cache.section(&of(1), || load(10, &loads)).await.unwrap();
    assert_eq!(loads.load(Ordering::Relaxed), 2);
    assert!(cache.shelf().loading.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_least_recently_used_goes_first_and_the_bound_holds() {
    let (cache, loads) = (cache(100), Arc::default());
    for number in 1..=3 {
        cache.section(&of(number), || load(30, &loads)).await.unwrap();
    }
    cache.section(&of(1), || load(30, &loads)).await.unwrap();
    cache.section(&of(4), || load(30, &loads)).await.unwrap();
    assert_eq!(loads.load(Ordering::Relaxed), 4);
    assert_eq!(cache.cost(), 90);
    cache.section(&of(1), || load(30, &loads)).await.unwrap();
    cache.section(&of(3), || load(30, &loads)).await.unwrap();
    assert_eq!(loads.load(Ordering::Relaxed), 4, "1 and 3 were kept");
    cache.section(&of(2), || load(30, &loads)).await.unwrap();
    assert_eq!(loads.load(Ordering::Relaxed), 5, "2 was not");
    cache.section(&of(9), || load(101, &loads)).await.unwrap();
    assert_eq!(cache.cost(), 90, "what is larger than the cache passes through");
    let shelf = cache.shelf();
    assert_eq!((shelf.entries.len(), shelf.by_use.len()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_not_kept_and_another_tenant_or_commit_is_another_entry() {
    let (cache, loads) = (cache(1_000), Arc::default());
    let gone = || StoreFault::Moved { key: "k".to_owned() };
    let failed = cache.section(&of(1), || async move { Err(gone()) }.boxed()).await;
    assert_eq!(failed.unwrap_err(), gone());
    cache.section(&of(1), || load(10, &loads)).await.unwrap();
    for other in [SectionRef { tenant: TenantId::new("blue").unwrap(), ..of(1) }, SectionRef { commit: CommitId([2; 16]), ..of(1) }] {
        cache.section(&other, || load(10, &loads)).await.unwrap();
    }
    assert_eq!(loads.load(Ordering::Relaxed), 3);
}

/// A footer of one stream.
fn footer() -> Arc<Footer> {
    let mut builder = hub_segment::SegmentBuilder::new(hub_segment::Kind::Odd);
    builder.push(&Arc::new(proto_model::Labels::from_pairs([("app", "a")])), Timestamp(1), 0, [], b"line");
    Arc::new(Footer::of_object(&builder.finish().unwrap().bytes).unwrap())
}

#[tokio::test(start_paused = true)]
async fn lines_read_in_passing_do_not_push_out_index() {
    let footer = footer();
    let cost = footer.memory_bytes();
    let (cache, loads) = (cache(40 * cost), Arc::<AtomicU64>::default());
    let ask = async |number: u128| {
        let (loads, footer) = (Arc::clone(&loads), Arc::clone(&footer));
        let load = async move {
            loads.fetch_add(1, Ordering::Relaxed);
            Ok(Kept::Footer(footer))
        };
        cache.kept(Name::Footer { tenant: TenantId::new("acme").unwrap(), id: SegmentId(number) }, || load.boxed()).await.unwrap();
    };
    for number in 0..10 {
        ask(number).await;
    }
    let passed = Arc::default();
    for number in 100..200 {
        cache.section(&of(number), || load(4 * cost, &passed)).await.unwrap();
    }
    assert!(cache.cost() <= 40 * cost && passed.load(Ordering::Relaxed) == 100);
    for number in 0..10 {
        ask(number).await;
    }
    assert_eq!(loads.load(Ordering::Relaxed), 10, "all were there still");
    // Index alone is bounded too, and leaves room for lines.
    for number in 1_000..1_200 {
        ask(number).await;
        assert!(cache.cost() <= 40 * cost);
    }
    cache.section(&of(5_000), || load(4 * cost, &passed)).await.unwrap();
    cache.section(&of(5_000), || load(4 * cost, &passed)).await.unwrap();
    assert_eq!(passed.load(Ordering::Relaxed), 101, "lines are kept beside a full index");
}
