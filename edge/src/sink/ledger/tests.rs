use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn at(n: u32) -> Cursor {
    Cursor { file: 1, offset: n }
}

fn ms(n: i64) -> Timestamp {
    Timestamp(n * 1_000_000)
}

/// Lines of each tenant, one stream each.
fn portions(of: &[(&str, &[&str])]) -> Portions {
    let record = |line: &&str| Record { time: Timestamp(0), line: Bytes::copy_from_slice(line.as_bytes()), metadata: Vec::new() };
    of.iter()
        .map(|(tenant, lines)| ((*tenant).to_owned(), vec![Pushed { labels: Labels::from_pairs([("app", "a")]), records: lines.iter().map(record).collect() }]))
        .collect()
}

fn lines(parcel: &Parcel) -> Vec<String> {
    parcel.streams.iter().flat_map(|stream| stream.records.iter()).map(|record| String::from_utf8(record.line.to_vec()).unwrap()).collect()
}

/// A next request that is taken at once.
fn take(ledger: &mut Ledger) -> (Vec<String>, Option<Cursor>) {
    let parcel = ledger.next(8).unwrap();
    let lines = lines(&parcel);
    (lines, ledger.done(&parcel.split().0))
}

#[test]
fn requests_hold_so_many_bytes_and_wait_so_long() {
    let mut ledger = Ledger::new(6, Duration::from_millis(200));
    assert_eq!(ledger.add(at(1), portions(&[("", &["aa", "bb"])]), ms(0)), None);
    ledger.seal(ms(199));
    assert_eq!((ledger.next(8), ledger.due_in(ms(199))), (None, Some(Duration::from_millis(1))));
    assert_eq!(ledger.add(at(2), portions(&[("", &["cc", "dd", "longer than a request"])]), ms(100)), None);
    assert_eq!(take(&mut ledger), (vec!["aa".into(), "bb".into(), "cc".into()], Some(at(1))), "2 is delivered in part");
    assert_eq!(take(&mut ledger), (vec!["dd".into()], None), "a line never shares a request that would be too long");
    assert_eq!(ledger.next(8), None, "the last waits for more");
    ledger.seal(ms(300));
    assert_eq!(take(&mut ledger), (vec!["longer than a request".into()], Some(at(2))));
    assert_eq!((ledger.due_in(ms(300)), ledger.bytes, ledger.lanes.len()), (None, 0, 0), "nothing is left of it");
}

#[test]
fn a_tenant_has_one_request_on_its_way_and_tenants_take_turns() {
    let mut ledger = Ledger::new(2, Duration::ZERO);
    ledger.add(at(1), portions(&[("a", &["a1", "a2"]), ("b", &["b1", "b2"]), ("c", &["c1"])]), ms(0));
    ledger.seal(ms(0));
    let (a1, b1) = (ledger.next(2).unwrap(), ledger.next(2).unwrap());
    assert_eq!((lines(&a1), lines(&b1), ledger.next(2)), (vec!["a1".to_owned()], vec!["b1".to_owned()], None), "two at once, not more");
    assert_eq!(ledger.done(&a1.split().0), None);
    let c1 = ledger.next(2).unwrap();
    assert_eq!(lines(&c1), ["c1"], "whose turn it is");
    ledger.done(&c1.split().0);
    let a2 = ledger.next(2).unwrap();
    assert_eq!((lines(&a2), ledger.next(8)), (vec!["a2".to_owned()], None), "b waits for its first");
    assert_eq!(ledger.done(&a2.split().0), None);
    assert_eq!(ledger.done(&b1.split().0), None);
    assert_eq!(take(&mut ledger), (vec!["b2".into()], Some(at(1))));
}

#[test]
fn batches_without_lines_move_the_cursor_and_wait_for_those_before() {
    let mut ledger = Ledger::new(100, Duration::ZERO);
    assert_eq!(ledger.add(at(1), Portions::new(), ms(0)), Some(at(1)));
    assert_eq!(ledger.add(at(2), portions(&[("", &["x"])]), ms(0)), None);
    assert_eq!(ledger.add(at(3), Portions::new(), ms(0)), None);
    ledger.seal(ms(0));
    assert_eq!(take(&mut ledger).1, Some(at(3)));
}

#[test]
fn a_stuck_tenant_stops_reading_at_the_bound_and_lines_go_out_before() {
    let mut ledger = Ledger::new(1 << 20, Duration::from_secs(60));
    let line = "x".repeat(100_000);
    let mut n = 0;
    while ledger.has_room() {
        n += 1;
        ledger.add(at(n), portions(&[("stuck", &[&line]), ("good", &["y"])]), ms(0));
    }
    assert!((80..90).contains(&n), "{n}");
    ledger.seal(ms(0));
    let stuck = ledger.next(8).filter(|parcel| parcel.tenant == "good").map(|good| ledger.done(&good.split().0));
    assert_eq!(stuck, Some(None), "the good tenant's lines leave though the wait is not over");
}

proptest! {
    #[test]
    fn every_line_leaves_once_in_order_and_the_cursor_never_passes_one(
        batches in proptest::collection::vec(proptest::collection::vec((0_usize..3, 0_usize..6), 0..4), 1..20),
        size in 1_u64..40,
        picks in proptest::collection::vec(0_usize..8, 200),
    ) {
        const TENANTS: [&str; 3] = ["", "a", "b"];
        let mut ledger = Ledger::new(size, Duration::ZERO);
        let mut delivered: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let mut written: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let mut last_of_batch: Vec<Vec<u64>> = Vec::new();
        let (mut number, mut flying, mut passed, mut picks) = (0, Vec::new(), 0, picks.into_iter().cycle());
        let mut batches = batches.into_iter();
        let mut land = |ledger: &mut Ledger, flying: &mut Vec<Parcel>, pick: usize, last_of_batch: &[Vec<u64>]| {
            let parcel = flying.remove(pick % flying.len());
            let own = delivered.entry(parcel.tenant.clone()).or_default();
            own.extend(lines(&parcel).iter().map(|line| line.trim_end_matches('.').parse::<u64>().unwrap()));
            if let Some(moved) = ledger.done(&parcel.split().0) {
                let all: Vec<u64> = delivered.values().flatten().copied().collect();
                assert!(moved.offset > passed);
                passed = moved.offset;
                for batch in &last_of_batch[..passed as usize] {
                    assert!(batch.iter().all(|line| all.contains(line)), "the cursor is behind what is not delivered");
                }
            }
        };
        loop {
            let batch = batches.next();
            let is_last = batch.is_none();
            if let Some(batch) = batch {
                let mut of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
                let mut numbers = Vec::new();
                for (tenant, dots) in batch {
                    number += 1;
                    numbers.push(number);
                    of.entry(TENANTS[tenant]).or_default().push(format!("{number}{}", ".".repeat(dots)));
                    written.entry(TENANTS[tenant].to_owned()).or_default().push(number);
                }
                last_of_batch.push(numbers);
                let texts: Vec<(&str, Vec<&str>)> = of.iter().map(|(tenant, lines)| (*tenant, lines.iter().map(String::as_str).collect())).collect();
                let slices: Vec<(&str, &[&str])> = texts.iter().map(|(tenant, lines)| (*tenant, lines.as_slice())).collect();
                if let Some(moved) = ledger.add(at(u32::try_from(last_of_batch.len()).unwrap()), portions(&slices), ms(0)) {
                    prop_assert!(last_of_batch[moved.offset as usize - 1].is_empty());
                }
            }
            if picks.next().unwrap() % 2 == 0 || is_last {
                ledger.seal(ms(1));
            }
            while let Some(parcel) = ledger.next(2) {
                prop_assert!(flying.iter().all(|other: &Parcel| other.tenant != parcel.tenant));
                flying.push(parcel);
            }
            if !flying.is_empty() {
                land(&mut ledger, &mut flying, picks.next().unwrap(), &last_of_batch);
            } else if is_last {
                break;
            }
        }
        prop_assert_eq!(&delivered, &written);
        prop_assert_eq!((ledger.bytes, ledger.entries.len()), (0, 0));
    }
}

#[test]
fn what_is_cut_is_counted_to_the_line_and_what_is_on_its_way_arrives() {
    let mut ledger = Ledger::new(4, Duration::ZERO);
    ledger.add(at(1), portions(&[("a", &["a1", "a2"]), ("b", &["b1"])]), ms(0));
    ledger.add(at(2), portions(&[("a", &["a3", "a4", "a5"])]), ms(0));
    ledger.add(at(3), portions(&[("a", &["a6", "a7"]), ("b", &["b2"])]), ms(0));
    let first = ledger.next(8).unwrap();
    assert_eq!(lines(&first), ["a1", "a2"]);
    // a3 and a4 are lost; a5 shares a request with a6, b1 with b2.
    assert_eq!(ledger.cut(at(2)), 2);
    assert_eq!(ledger.left_behind(|_| true), 4, "a1 and a2 on their way, a5 and b1 behind them");
    assert_eq!(ledger.left_behind(|_| false), 7);
    assert_eq!(ledger.done(&first.split().0), None, "batch 3 is not delivered");
    ledger.seal(ms(1));
    assert_eq!(take(&mut ledger), (vec!["b1".into(), "b2".into()], None));
    assert_eq!(take(&mut ledger), (vec!["a5".into(), "a6".into()], None));
    assert_eq!(take(&mut ledger), (vec!["a7".into()], Some(at(3))));
    assert_eq!((ledger.cut(at(9)), ledger.left_behind(|_| false), ledger.bytes, ledger.lanes.len()), (0, 0, 0, 0));
    // Beyond all that was read.
    ledger.add(at(10), portions(&[("a", &["a8"])]), ms(0));
    assert_eq!((ledger.cut(at(20)), ledger.bytes, ledger.entries.len()), (1, 0, 0));
    ledger.add(at(21), portions(&[("a", &["a9"])]), ms(0));
    ledger.seal(ms(1));
    assert_eq!(take(&mut ledger), (vec!["a9".into()], Some(at(21))));
}
