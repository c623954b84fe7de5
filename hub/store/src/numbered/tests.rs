use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;

use super::*;
use crate::metrics::StoreMetrics;
use crate::proto::PublishedMap;
use crate::rig::{Fate, Rig, world};

fn objects(rig: &Arc<Rig>, seed: u64) -> Objects {
    let store: Arc<dyn ObjectStore> = Arc::<Rig>::clone(rig);
    Objects::new(store, Path::default(), world(seed), StoreMetrics::default())
}

fn entry(version: u64) -> PublishedMap {
    PublishedMap { version, ..PublishedMap::default() }
}

#[tokio::test(start_paused = true)]
async fn a_lot_ends_at_the_first_absent_number_or_fault() {
    let read = |stands: u64, fails: u64| {
        move |number: u64| async move {
            if number == fails {
                return Err(StoreFault::Foreign);
            }
            Ok((number <= stands).then_some(number))
        }
    };
    let found = lot(3, 8, read(5, 100)).await;
    assert!(matches!((found.found.as_slice(), found.end), ([3, 4, 5], End::Absent)));
    let found = lot(3, 2, read(50, 100)).await;
    assert!(matches!((found.found.as_slice(), found.end), ([3, 4], End::Asked)));
    let found = lot(3, 8, read(50, 5)).await;
    assert!(matches!((found.found.as_slice(), found.end), ([3, 4], End::Fault(StoreFault::Foreign))));
    let found = lot(3, 8, read(4, 6)).await;
    assert!(matches!((found.found.as_slice(), found.end), ([3, 4], End::Absent)), "what lies behind a hole is not looked at");
}

#[tokio::test(start_paused = true)]
async fn appends_from_many_sides_take_one_number_each() {
    let rig = Rig::new();
    let keys = StoreKeys::none();
    rig.tell("put", "control/tenants", [Fate::AnswerLost, Fate::Refused, Fate::Late, Fate::Fine, Fate::AnswerLost]);
    let appends = (1..=4_u64).map(|version| {
        let (objects, keys) = (objects(&rig, version), keys.clone());
        async move {
            let mut log = ControlLog::<PublishedMap>::new(Key::tenant_map);
            let make = |entries: &[PublishedMap]| Ok((!entries.iter().any(|known| known.version == version)).then(|| entry(version)));
            while log.append(&objects, &keys, make).await.is_err() {}
        }
    });
    futures::future::join_all(appends).await;
    rig.land().await;
    let mut log = ControlLog::<PublishedMap>::new(Key::tenant_map);
    log.follow(&objects(&rig, 9), &keys).await.unwrap();
    let mut versions: Vec<u64> = log.entries.iter().map(|entry| entry.version).collect();
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_fault_is_kept() {
    let rig = Rig::new();
    let (objects, keys) = (objects(&rig, 1), StoreKeys::none());
    for number in 0..40 {
        create_control(&objects, &keys, &Key::tenant_map(number), &entry(number + 1)).await.unwrap();
    }
    rig.write(Key::tenant_map(30).as_str(), "damaged").await;
    let mut log = ControlLog::<PublishedMap>::new(Key::tenant_map);
    assert!(matches!(log.follow(&objects, &keys).await.unwrap_err(), StoreFault::Damaged { .. }));
    assert_eq!(log.entries.len(), 30);
}
