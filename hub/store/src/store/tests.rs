use std::time::Duration;

use proto_model::{Epoch, Sequence, TimeRange, Timestamp};

use super::*;
use crate::fold::Fold;
use crate::head::SectionRef;
use crate::lane::writer::LaneWriter;
use crate::limits::FOLLOW_EVERY;
use crate::record::LaneRecord;
use crate::rig::{Edge, Fate, Rig, counts, draft, grant, hub, row, shown, world};
use crate::section::{BatchDraft, Draft, Origin, SectionDraft};

/// A hub with one object of two tenants.
async fn two_tenants(rig: &Arc<Rig>) -> (Arc<Store>, LaneWriter) {
    let store = hub(rig, 1).await;
    let mut writer = store.writer().await.unwrap();
    let mut edge = Edge::new(ProducerId { lane: writer.lane(), unique: 1 });
    let open = edge.open();
    let (advance, batches) = edge.next(4);
    let part = |tenant: &str, from: usize| SectionDraft { grant: grant(tenant), batches: batches[from..from + 2].to_vec() };
    let sections = vec![part("blue", 2), part("acme", 0)];
    writer.put(Draft { records: vec![open, advance], sections, map_version: 0 }).await.unwrap();
    (store, writer)
}

fn only(store: &Store, tenant: &str) -> SectionRef {
    let found = store.view().sections(&grant(tenant), TimeRange::ALL);
    assert_eq!(found.len(), 1);
    found[0].clone()
}

fn log_name(of: &SectionRef) -> String {
    Key::lane_object(of.lane, of.number).to_string()
}

#[tokio::test(start_paused = true)]
async fn a_section_is_reached_with_its_tenants_grant_only() {
    let rig = Rig::new();
    let (store, _writer) = two_tenants(&rig).await;
    let (acme, blue) = (grant("acme"), grant("blue"));
    let (of_acme, of_blue) = (only(&store, "acme"), only(&store, "blue"));
    assert_eq!(store.section(&acme, &of_blue).await.unwrap_err(), StoreFault::Foreign);
    assert_eq!(store.table(&blue, &of_acme).await.unwrap_err(), StoreFault::Foreign);
    let sequences = |table: &crate::section::SectionTable| table.batches.iter().map(|entry| entry.origin.clone()).collect::<Vec<_>>();
    let origin = |sequence| Origin::Producer { producer: ProducerId { lane: of_acme.lane, unique: 1 }, sequence: Sequence(sequence) };
    // Also once everything lies in the cache.
    for _ in 0..2 {
        assert_eq!(sequences(&store.section(&acme, &of_acme).await.unwrap().table), [origin(1), origin(2)]);
        assert_eq!(sequences(&store.table(&blue, &of_blue).await.unwrap()), [origin(3), origin(4)]);
        assert_eq!(store.table(&acme, &of_blue).await.unwrap_err(), StoreFault::Foreign);
    }
    assert_eq!((of_acme.lines, of_acme.bytes, of_acme.min, of_acme.max, of_acme.batches), (2, 20, Timestamp(100), Timestamp(209), 2));
}

#[tokio::test(start_paused = true)]
async fn a_table_is_read_without_the_lines_and_everything_only_once() {
    let rig = Rig::new();
    let store = hub(&rig, 1).await;
    let mut writer = store.writer().await.unwrap();
    let mut edge = Edge::new(ProducerId { lane: writer.lane(), unique: 1 });
    let open = edge.open();
    let (advance, mut batches) = edge.next(1);
    batches[0].body = Bytes::from(vec![1; 1_000_000]);
    writer.put(draft("acme", vec![open, advance], batches)).await.unwrap();
    let (acme, of) = (grant("acme"), only(&store, "acme"));
    let read = || store.metrics().read_bytes.get();
    let before = read();
    assert_eq!(store.table(&acme, &of).await.unwrap().batches[0].length, 1_000_000);
    assert!(read() - before < 1_000, "{} bytes", read() - before);
    rig.forget_seen();
    let (one, two) = tokio::join!(store.section(&acme, &of), store.section(&acme, &of));
    assert_eq!((one.unwrap().batch(0).len(), two.unwrap().batch(0).len()), (1_000_000, 1_000_000));
    store.section(&acme, &of).await.unwrap();
    store.table(&acme, &of).await.unwrap();
    assert_eq!(rig.seen("get", "/log/").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_section_is_a_fault_for_itself_alone() {
    let rig = Rig::new();
    let (store, _writer) = two_tenants(&rig).await;
    let (of_acme, of_blue) = (only(&store, "acme"), only(&store, "blue"));
    let name = log_name(&of_acme);
    let good = rig.read(&name).await;
    let cut = good.slice(..usize::try_from(of_blue.offset + 9).unwrap());
    let mut flipped = good.to_vec();
    flipped[usize::try_from(of_blue.offset + of_blue.len - 1).unwrap()] ^= 1;
    // Swapped: the other tenant's bytes where these belong.
    let mut swapped = good.to_vec();
    let (from, to) = (usize::try_from(of_acme.offset).unwrap(), usize::try_from(of_blue.offset).unwrap());
    let length = usize::try_from(of_acme.len.min(of_blue.len)).unwrap();
    swapped.copy_within(from..from + length, to);
    for bad in [cut, flipped.into(), swapped.into(), good.slice(..from)] {
        rig.write(&name, bad.clone()).await;
        let fault = store.section(&grant("blue"), &of_blue).await.unwrap_err();
        assert!(matches!(fault, StoreFault::Damaged { .. }), "{fault}");
        assert!(!fault.to_string().contains("acme"));
        if bad.len() > to {
            assert_eq!(hub(&rig, 2).await.section(&grant("acme"), &of_acme).await.unwrap().table.batches.len(), 2);
        }
    }
    assert_eq!(store.metrics().sections_damaged.get(), 4);
    rig.write(&name, good).await;
    assert_eq!(store.section(&grant("blue"), &of_blue).await.unwrap().table.batches.len(), 2, "a fault is not kept");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_or_another_is_moved_not_damaged() {
    let rig = Rig::new();
    let (store, writer) = two_tenants(&rig).await;
    let of = only(&store, "acme");
    let name = log_name(&of);
    // Of a sleeper: the same number, well formed, of other bytes.
    let other = Rig::new();
    let (elsewhere, _theirs) = two_tenants(&other).await;
    let mut foreign = crate::header::LaneHeader {
        lane: writer.lane(),
        number: of.number,
        commit: crate::header::CommitId([3; 16]),
        previous: crate::header::CommitId([4; 16]),
        writer: String::new(),
        written: Timestamp(0),
        map_version: 0,
        records: Vec::new(),
        sections: Vec::new(),
    };
    let sealed = foreign.seal(&StoreKeys::none()).unwrap();
    rig.write(&name, sealed).await;
    assert!(matches!(store.section(&grant("acme"), &of).await.unwrap_err(), StoreFault::Moved { .. }));
    assert!(matches!(store.table(&grant("acme"), &of).await.unwrap_err(), StoreFault::Moved { .. }));
    rig.delete(&name).await;
    assert!(matches!(store.section(&grant("acme"), &of).await.unwrap_err(), StoreFault::Moved { .. }));
    drop(elsewhere);
    rig.refuse_all("get", &name);
    assert!(matches!(store.section(&grant("acme"), &of).await.unwrap_err(), StoreFault::Unreachable { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_view_finds_sections_by_time_and_after_heads() {
    let rig = Rig::new();
    let store = hub(&rig, 1).await;
    let mut writer = store.writer().await.unwrap();
    let push = |number: u8, at: i64| {
        let key = vec![number];
        let record = LaneRecord::PushKey { tenant: grant("acme").tenant().clone(), key: key.clone(), at: Timestamp(at) };
        draft("acme", vec![record], vec![BatchDraft { origin: Origin::Push { key }, cluster: None, body: Bytes::new(), rows: vec![row("a", 1, at)] }])
    };
    let mut numbers = Vec::new();
    for (number, at) in [(0, 0), (1, 100), (2, 50), (3, 200)] {
        numbers.push(writer.put(push(number, at)).await.unwrap().number);
    }
    let view = store.view();
    let found = |start, end| {
        let range = TimeRange { start: Timestamp(start), end: Timestamp(end) };
        view.sections(&grant("acme"), range).iter().map(|section| section.number).collect::<Vec<_>>()
    };
    // Each holds one line from `at` to `at + 9`; the end is excluded.
    assert_eq!(found(9, 50), [numbers[0]]);
    assert_eq!(found(9, 51), [numbers[0], numbers[2]]);
    assert_eq!(found(10, 50), [0_u64; 0]);
    assert_eq!(found(i64::MIN, i64::MAX), numbers);
    let heads = [(writer.lane(), numbers[1])].into();
    let new = view.sections_after(&grant("acme"), TimeRange::ALL, &heads);
    assert_eq!(new.iter().map(|section| section.number).collect::<Vec<_>>(), numbers[2..]);
    assert!(view.sections_after(&grant("acme"), TimeRange::ALL, &view.heads()).is_empty());
    // A view does not change.
    writer.put(push(4, 0)).await.unwrap();
    assert_eq!(found(i64::MIN, i64::MAX), numbers);
    assert_eq!(store.view().version(), view.version() + 1);
}

#[tokio::test(start_paused = true)]
async fn run_follows_every_second_backs_off_and_stops_when_told() {
    let rig = Rig::new();
    let (store, mut writer) = two_tenants(&rig).await;
    let reader = hub(&rig, 2).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn({
        let (reader, stop) = (Arc::clone(&reader), stop.clone());
        async move { reader.run(stop).await }
    });
    let mut edge = Edge::new(ProducerId { lane: writer.lane(), unique: 9 });
    writer.put(draft("acme", vec![edge.open()], Vec::new())).await.unwrap();
    let (advance, batches) = edge.next(1);
    writer.put(draft("acme", vec![advance], batches)).await.unwrap();
    tokio::time::sleep(FOLLOW_EVERY).await;
    assert_eq!(reader.view().heads(), store.view().heads());
    rig.refuse_all("get", "");
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.forget_seen();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let tries = rig.seen("get", "").len();
    assert!((20..200).contains(&tries), "{tries} requests in a minute without a store");
    rig.heal();
    let (advance, batches) = edge.next(1);
    writer.put(draft("acme", vec![advance], batches)).await.unwrap();
    tokio::time::sleep(crate::limits::FOLLOW_BACKOFF_MAX + FOLLOW_EVERY).await;
    assert_eq!(reader.view().heads(), store.view().heads());
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(1), running).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_new_hub_on_the_bucket_knows_all_and_goes_on() {
    let rig = Rig::new();
    let (store, mut writer) = two_tenants(&rig).await;
    let producer = ProducerId { lane: writer.lane(), unique: 1 };
    let loss = |tenant: &str, lines| LaneRecord::Loss {
        tenant: grant(tenant).tenant().clone(),
        cluster: ClusterId::new("alpha").unwrap(),
        edge: EdgeId::new("one").unwrap(),
        source: "/x".to_owned(),
        reason: "rotated".to_owned(),
        from_ns: 1,
        to_ns: 2,
        lines,
        bytes: None,
    };
    writer.put(draft("acme", vec![loss("acme", Some(3)), loss("blue", None)], Vec::new())).await.unwrap();
    let second = hub(&rig, 2).await;
    let (ours, theirs): (Vec<Fold>, Vec<Fold>) = (folds(&store), folds(&second));
    assert_eq!(ours, theirs);
    assert_eq!(second.losses(&[grant("acme")]).iter().map(|loss| loss.lines).collect::<Vec<_>>(), [Some(3)]);
    assert_eq!(second.losses(&[grant("blue"), grant("acme")]).len(), 2);
    assert_eq!((counts(&store, "acme").await, shown(&store, "blue").await), (counts(&second, "acme").await, shown(&second, "blue").await));
    let mut other = second.writer_of(writer.lane()).await.unwrap();
    let state = other.fold().producer(&producer).unwrap();
    let mut edge = Edge { producer, epoch: Epoch(state.epoch.0 + 1), last: state.last, chain: state.chain };
    let open = edge.open();
    let (advance, batches) = edge.next(1);
    other.put(draft("acme", vec![open, advance], batches)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    let report = &second.lanes()[0];
    assert_eq!((report.lane, report.head, report.floor, report.writer.as_str(), report.idle_s), (writer.lane(), 3, 0, "hub-2", 7));
}

fn folds(store: &Store) -> Vec<Fold> {
    store.cells().iter().map(|cell| Fold::clone(&cell.known().unwrap().fold)).collect()
}

#[tokio::test(start_paused = true)]
async fn with_keys_everything_is_signed_and_a_hub_without_them_does_not_start() {
    let rig = Rig::new();
    let keys = StoreKeys::parse(&format!("7 {}", "5c".repeat(32))).unwrap();
    let open = |keys: &StoreKeys, seed| {
        let objects: Arc<dyn ObjectStore> = Arc::<Rig>::clone(&rig);
        Store::open(StoreSettings { keys: keys.clone(), ..StoreSettings::new(objects, Path::from("some/prefix")) }, world(seed))
    };
    let store = open(&keys, 1).await.unwrap();
    let mut writer = store.writer().await.unwrap();
    let edge = Edge::new(ProducerId { lane: writer.lane(), unique: 1 });
    writer.put(draft("acme", vec![edge.open()], Vec::new())).await.unwrap();
    assert!(rig.names("").await.iter().all(|name| name.starts_with("some/prefix/")));
    assert!(matches!(open(&StoreKeys::none(), 2).await.unwrap_err(), StoreFault::Damaged { .. }));
    let wrong = StoreKeys::parse(&format!("7 {}", "5d".repeat(32))).unwrap();
    assert!(matches!(open(&wrong, 3).await.unwrap_err(), StoreFault::Damaged { .. }));
    let turned = StoreKeys::parse(&format!("8 {}\n7 {}", "5d".repeat(32), "5c".repeat(32))).unwrap();
    assert_eq!(open(&turned, 4).await.unwrap().lanes()[0].head, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_opened_again_in_the_same_world_draws_new_ids() {
    let rig = Rig::new();
    let world = world(1);
    let open = || {
        let objects: Arc<dyn ObjectStore> = Arc::<Rig>::clone(&rig);
        Store::open(StoreSettings::new(objects, Path::default()), world.clone())
    };
    rig.tell("get", "control/lanes", std::iter::repeat_n(Fate::Refused, 4));
    open().await.unwrap_err();
    open().await.unwrap();
    let probes: BTreeSet<String> = rig.seen("put", "control/probe").into_iter().map(|seen| seen.name).collect();
    assert_eq!(probes.len(), 2);
}
