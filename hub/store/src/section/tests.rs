use proptest::prelude::*;
use proto_model::LaneId;

use super::*;
use crate::rig::{Edge, grant, row};

fn batch(body: &[u8], rows: Vec<HubRow>) -> BatchDraft {
    let origin = Origin::Producer { producer: ProducerId { lane: LaneId(1), unique: 2 }, sequence: Sequence(3) };
    BatchDraft { origin, cluster: Some(ClusterId::new("alpha").unwrap()), body: Bytes::copy_from_slice(body), rows }
}

/// The bytes of each section, cut as the directory says.
fn packed(sections: &[SectionDraft]) -> (Vec<SectionEntry>, Vec<Bytes>) {
    let (directory, parts) = pack(sections).unwrap();
    let whole: Bytes = parts.concat().into();
    let cut =
        directory.iter().map(|entry| whole.slice(usize::try_from(entry.offset).unwrap()..usize::try_from(entry.offset + entry.length).unwrap())).collect();
    (directory, cut)
}

fn hub_row() -> impl Strategy<Value = HubRow> {
    (prop::collection::vec(("[a-c]{1,2}", "[x-z]{1,3}"), 0..4), 0_u64..9, 0_u64..99, -50_i64..50).prop_map(|(pairs, lines, bytes, at)| HubRow {
        labels: Labels::from_pairs(pairs),
        lines,
        bytes,
        min: Timestamp(at),
        max: Timestamp(at + 7),
    })
}

proptest! {
    #[test]
    fn a_section_comes_back(batches in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..50), prop::collection::vec(hub_row(), 0..6), any::<bool>()), 1..6)) {
        let drafts: Vec<BatchDraft> = batches.iter().map(|(body, rows, push)| {
            let draft = batch(body, rows.clone());
            if *push { BatchDraft { origin: Origin::Push { key: body.clone() }, cluster: None, ..draft } } else { draft }
        }).collect();
        let (directory, cut) = packed(&[SectionDraft { grant: grant("acme"), batches: drafts.clone() }]);
        let entry = &directory[0];
        let table = SectionTable::read(&cut[0], entry.length).unwrap();
        // The table can be read from the table's bytes alone.
        prop_assert_eq!(&SectionTable::read(&cut[0].slice(..entry.table_length as usize), entry.length).unwrap(), &table);
        prop_assert_eq!(Checksum::of([&cut[0][..entry.table_length as usize]]), entry.table_checksum);
        prop_assert_eq!(Checksum::of([cut[0].as_ref()]), entry.checksum);
        let section = Section { table: Arc::new(table), bytes: cut[0].clone() };
        for (at, draft) in drafts.iter().enumerate() {
            let read = &section.table.batches[at];
            prop_assert_eq!(section.batch(at), draft.body.clone());
            prop_assert_eq!((&read.origin, &read.cluster), (&draft.origin, &draft.cluster));
            let rows: Vec<HubRow> = read.rows.iter().map(|row| HubRow { labels: Labels::clone(&row.labels), lines: row.lines, bytes: row.bytes, min: row.min, max: row.max }).collect();
            prop_assert_eq!(&rows, &draft.rows);
        }
        prop_assert_eq!(section.batch(drafts.len()), Bytes::new());
        prop_assert_eq!(entry.lines, drafts.iter().flat_map(|draft| &draft.rows).map(|row| row.lines).sum::<u64>());
        prop_assert_eq!(entry.batches as usize, drafts.len());
    }

    #[test]
    fn arbitrary_tables_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), honest in any::<bool>(), length in 0_u64..200) {
        let mut whole = if honest { u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec() } else { Vec::new() };
        whole.extend_from_slice(&bytes);
        if let Ok(table) = SectionTable::read(&whole.into(), length) {
            prop_assert!(table.batches.iter().all(|entry| (entry.offset + entry.length) as u64 <= length));
        }
    }
}

#[test]
fn sections_lie_in_the_order_of_tenants_whatever_the_draft_says() {
    let mut edge = Edge::new(ProducerId { lane: LaneId(1), unique: 1 });
    let (_, batches) = edge.next(2);
    let section = |tenant: &str| SectionDraft { grant: grant(tenant), batches: batches.clone() };
    let (directory, cut) = packed(&[section("blue"), section("acme"), section("zoo")]);
    assert_eq!(directory.iter().map(|entry| entry.tenant.as_str()).collect::<Vec<_>>(), ["acme", "blue", "zoo"]);
    assert_eq!(directory[1].offset, directory[0].length);
    assert_eq!(cut[0], cut[1]);
    assert!(matches!(pack(&[section("acme"), section("acme")]), Err(StoreFault::Draft { .. })));
    assert!(matches!(pack(&[SectionDraft { grant: grant("acme"), batches: Vec::new() }]), Err(StoreFault::Draft { .. })));
}

#[test]
fn labels_that_recur_stand_once() {
    let rows = |count: usize| (0..count).map(|_| row("a-rather-long-service-name", 1, 0)).collect::<Vec<_>>();
    let size = |count| packed(&[SectionDraft { grant: grant("acme"), batches: vec![batch(b"", rows(count))] }]).0[0].length;
    assert!(size(101) - size(1) < 100 * 30, "{} and {}", size(1), size(101));
}

#[test]
fn counts_that_lie_do_not_overflow() {
    let lie = HubRow { lines: u64::MAX, bytes: u64::MAX, ..row("a", 1, 0) };
    let (directory, _) = packed(&[SectionDraft { grant: grant("acme"), batches: vec![batch(b"x", vec![lie.clone(), lie])] }]);
    assert_eq!((directory[0].lines, directory[0].bytes), (u64::MAX, u64::MAX));
}

#[test]
fn a_table_that_unfolds_beyond_its_limit_is_refused() {
    let long = "x".repeat(1 << 20);
    let sets = vec![proto::LabelSet { pairs: (0..400).collect::<Vec<u32>>().iter().map(|_| 0).collect() }; 2];
    let message = proto::SectionTable { texts: vec![long], sets, batches: Vec::new() }.encode_to_vec();
    let mut bytes = u32::try_from(message.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(&message);
    let length = bytes.len() as u64;
    assert!(SectionTable::read(&bytes.into(), length).unwrap_err().contains("labels"));
}
