use hub_store::StoreSettings;
use object_store::memory::InMemory;
use object_store::path::Path;
use proto_model::{Chain, Epoch, LaneId, Sequence};
use proto_seam::disk::real::RealDisk;
use proto_seam::{Clock, Workers, World};

use super::*;

async fn store() -> Arc<Store> {
    let world = World { clock: Clock::real(), entropy: Entropy::seeded(1), disk: Arc::new(RealDisk::new()), workers: Workers::Inline };
    Store::open(StoreSettings::new(Arc::new(InMemory::new()), Path::default()), world).await.unwrap()
}

fn open(producer: ProducerId, edge: &str) -> LaneRecord {
    LaneRecord::Open {
        producer,
        epoch: Epoch(1),
        identity: format!("alpha/{edge}"),
        nonce: [0; 16],
        wal_id: 1,
        track: 1,
        sequence: Sequence(0),
        chain: Chain::default(),
        positions: Vec::new(),
        after: None,
    }
}

/// Producers 1 and 2 of alpha stand open in a lane, 2 is quarantined.
async fn two(store: &Arc<Store>) -> (ProducerId, ProducerId) {
    let mut writer = store.writer().await.unwrap();
    let of = |unique| ProducerId { lane: writer.lane(), unique };
    let (one, two) = (of(1), of(2));
    let records = vec![open(one, "one"), open(two, "two"), LaneRecord::Quarantine { producer: two, reason: "twins".to_owned() }];
    writer.put(Draft { records, ..Draft::default() }).await.unwrap();
    (one, two)
}

fn tenants() -> Tenants {
    Tenants::parse("tenants.yaml", "version: 1\ntenants: {acme: {clusters: [alpha]}, blue: {clusters: [beta]}}\n").unwrap()
}

async fn states(store: &Arc<Store>) -> Vec<(String, &'static str, bool)> {
    let rows = list(store, &tenants(), Some(&TenantId::new("acme").unwrap())).await.unwrap();
    rows.into_iter().map(|row| (row.identity, row.state, row.next.is_some())).collect()
}

fn unfit(done: &Result<(), ProducerFault>) -> bool {
    matches!(done, Err(ProducerFault::Unfit(_)))
}

#[tokio::test]
async fn a_quarantined_producer_is_released_once() {
    let store = store().await;
    let (_, two) = two(&store).await;
    let entropy = Entropy::seeded(2);
    assert_eq!(states(&store).await, [("alpha/one".to_owned(), "open", false), ("alpha/two".to_owned(), "quarantined", false)]);
    act(&store, &entropy, two, Action::Release).await.unwrap();
    let next = store.fold_of(two.lane).await.unwrap().producer(&two).unwrap().closed.unwrap();
    assert!(next != two && next.lane == two.lane);
    act(&store, &entropy, two, Action::Release).await.unwrap();
    assert_eq!(store.fold_of(two.lane).await.unwrap().producer(&two).unwrap().closed, Some(next), "asked again: the same");
    assert_eq!(states(&store).await[1], ("alpha/two".to_owned(), "released", true));
    assert!(unfit(&act(&store, &entropy, two, Action::Retire).await), "it went on");
    assert!(list(&store, &tenants(), Some(&TenantId::new("blue").unwrap())).await.unwrap().is_empty());
}

/// Its edge may hold a WAL that was put back and contradicts what is stored: the hub cannot know, the operator does.
#[tokio::test]
async fn an_open_producer_that_is_released_is_continued_where_it_stood() {
    let store = store().await;
    let (one, _) = two(&store).await;
    let entropy = Entropy::seeded(2);
    act(&store, &entropy, one, Action::Release).await.unwrap();
    let state = store.fold_of(one.lane).await.unwrap().producer(&one).cloned().unwrap();
    let next = state.closed.unwrap();
    assert!(next != one && next.lane == one.lane && !state.quarantined, "{state:?}");
    act(&store, &entropy, one, Action::Release).await.unwrap();
    assert_eq!(store.fold_of(one.lane).await.unwrap().producer(&one).unwrap().closed, Some(next), "asked again: the same");
    // Its edge came and opened the one after it.
    let mut continued = open(next, "one");
    if let LaneRecord::Open { after, .. } = &mut continued {
        *after = Some(one);
    }
    store.amend(one.lane, |_| Ok(Some(Draft { records: vec![continued.clone()], ..Draft::default() }))).await.unwrap();
    act(&store, &entropy, one, Action::Release).await.unwrap();
    assert_eq!(store.fold_of(one.lane).await.unwrap().producer(&one).unwrap().closed, Some(next), "and later too");
    assert!(unfit(&act(&store, &entropy, one, Action::Retire).await), "it went on");
}

/// What a hub moved into its own lane, and a track that its edge drained, were not released: nothing is answered as if they had been.
#[tokio::test]
async fn one_that_moved_on_by_itself_is_not_released() {
    let store = store().await;
    let (one, two) = two(&store).await;
    let three = ProducerId { unique: 3, ..one };
    let close = |producer, next| LaneRecord::Close { producer, sequence: Sequence(0), chain: Chain::default(), next };
    let records = vec![open(three, "one"), close(three, one), close(one, ProducerId { lane: LaneId(77), unique: 9 })];
    store.amend(one.lane, |_| Ok(Some(Draft { records: records.clone(), ..Draft::default() }))).await.unwrap();
    let entropy = Entropy::seeded(2);
    for moved in [three, one] {
        assert!(unfit(&act(&store, &entropy, moved, Action::Release).await), "{moved}");
    }
    act(&store, &entropy, two, Action::Release).await.unwrap();
}

#[tokio::test]
async fn retiring_is_for_ever_and_what_is_unknown_is_said() {
    let store = store().await;
    let (one, two) = two(&store).await;
    let entropy = Entropy::seeded(2);
    for producer in [one, two, one] {
        act(&store, &entropy, producer, Action::Retire).await.unwrap();
    }
    assert_eq!(states(&store).await, [("alpha/one".to_owned(), "retired", false), ("alpha/two".to_owned(), "retired", false)]);
    assert!(unfit(&act(&store, &entropy, two, Action::Release).await));
    for stranger in [ProducerId { unique: 77, ..one }, ProducerId { lane: LaneId(77), ..one }] {
        assert!(matches!(act(&store, &entropy, stranger, Action::Retire).await, Err(ProducerFault::Unknown(_))));
    }
}
