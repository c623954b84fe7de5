use proptest::prelude::*;
use prost::Message as _;
use proto_model::{BatchDigest, Chain, ClusterId, EdgeId, Epoch, ProducerId, Sequence};
use proto_wire::edge_hub::Position;

use super::*;

fn producer() -> impl Strategy<Value = ProducerId> {
    (any::<u64>(), any::<u128>()).prop_map(|(lane, unique)| ProducerId { lane: LaneId(lane), unique })
}

fn position() -> impl Strategy<Value = Position> {
    ("[a-z/]{0,8}", any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(path, inode, offset, gone)| Position {
        path,
        device: 1,
        inode,
        head: 2,
        head_len: 3,
        generation: 4,
        offset,
        gone,
        from: offset / 2,
        missing: inode % 3,
    })
}

fn tenant() -> impl Strategy<Value = TenantId> {
    "[a-z][a-z0-9-]{0,8}".prop_map(|text| TenantId::new(&text).unwrap())
}

fn record() -> impl Strategy<Value = LaneRecord> {
    let id = || any::<[u8; 16]>();
    prop_oneof![
        (producer(), any::<(u64, u64, u32, u64)>(), ".{0,20}", id(), id(), prop::collection::vec(position(), 0..4), prop::option::of(producer())).prop_map(
            |(producer, (epoch, wal_id, track, sequence), identity, nonce, chain, positions, after)| LaneRecord::Open {
                producer,
                epoch: Epoch(epoch),
                identity,
                nonce,
                wal_id,
                track,
                sequence: Sequence(sequence),
                chain: Chain(chain),
                positions,
                after,
            }
        ),
        (producer(), any::<u64>(), any::<u64>(), any::<u64>(), id(), prop::collection::vec(id(), 0..4), prop::collection::vec(position(), 0..4)).prop_map(
            |(producer, epoch, from, to, chain, digests, positions)| LaneRecord::Advance {
                producer,
                epoch: Epoch(epoch),
                from: Sequence(from),
                to: Sequence(to),
                chain_to: Chain(chain),
                digests: digests.into_iter().map(BatchDigest).collect(),
                positions,
            }
        ),
        (producer(), any::<u64>(), id(), producer()).prop_map(|(producer, sequence, chain, next)| LaneRecord::Close {
            producer,
            sequence: Sequence(sequence),
            chain: Chain(chain),
            next
        }),
        (producer(), ".{0,20}").prop_map(|(producer, reason)| LaneRecord::Quarantine { producer, reason }),
        (tenant(), ".{0,9}", ".{0,9}", any::<i64>(), any::<i64>(), any::<Option<u64>>(), any::<Option<u64>>()).prop_map(
            |(tenant, source, reason, from_ns, to_ns, lines, bytes)| LaneRecord::Loss {
                tenant,
                cluster: ClusterId::new("alpha").unwrap(),
                edge: EdgeId::new("one").unwrap(),
                source,
                reason,
                from_ns,
                to_ns,
                lines,
                bytes,
            }
        ),
        (tenant(), prop::collection::vec(any::<u8>(), 0..40), any::<i64>()).prop_map(|(tenant, key, at)| LaneRecord::PushKey {
            tenant,
            key,
            at: Timestamp(at)
        }),
        any::<u64>().prop_map(LaneRecord::Map),
        any::<u64>().prop_map(LaneRecord::Floor),
        ".{0,20}".prop_map(LaneRecord::Owner),
        any::<u64>().prop_map(|number| LaneRecord::Manifest { tenant: TenantId::new("acme").unwrap(), number }),
    ]
}

fn sections() -> impl Strategy<Value = Vec<SectionEntry>> {
    prop::collection::btree_map(tenant(), (0_u64..1000, 4_u32..100, any::<u64>(), any::<i64>(), any::<[u8; 16]>()), 0..4).prop_map(|map| {
        let entry = |(tenant, (offset, table, lines, min, sum))| SectionEntry {
            tenant,
            offset,
            length: u64::from(table) + 50,
            checksum: Checksum(sum),
            table_length: table,
            table_checksum: Checksum(sum),
            lines,
            bytes: lines,
            min: Timestamp(min),
            max: Timestamp(min),
            batches: 1,
        };
        map.into_iter().map(entry).collect()
    })
}

prop_compose! {
    fn header()(
        lane in any::<u64>(), number in any::<u64>(), commit in any::<[u8; 16]>(), previous in any::<[u8; 16]>(), written in any::<i64>(),
        map_version in any::<u64>(), records in prop::collection::vec(record(), 0..6), sections in sections(),
    ) -> LaneHeader {
        let (commit, previous) = (CommitId(commit), CommitId(previous));
        LaneHeader { lane: LaneId(lane), number, commit, previous, writer: "hub".to_owned(), written: Timestamp(written), map_version, records, sections }
    }
}

proptest! {
    #[test]
    fn a_header_comes_back(mut header in header(), with_key in any::<bool>()) {
        let keys = if with_key { StoreKeys::parse(&format!("3 {}", "ab".repeat(32))).unwrap() } else { StoreKeys::none() };
        let relative: Vec<u64> = header.sections.iter().map(|entry| entry.offset).collect();
        let mut sealed = header.seal(&keys).unwrap().to_vec();
        let front = sealed.len() as u64;
        let absolute: Vec<u64> = header.sections.iter().map(|entry| entry.offset - front).collect();
        prop_assert_eq!(relative, absolute);
        sealed.extend_from_slice(b"sections");
        prop_assert_eq!(LaneHeader::open(&sealed.into(), header.lane, header.number, &keys).unwrap(), header);
    }

    #[test]
    fn arbitrary_headers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let sealed = frame::seal(Kind::Lane, &Key::lane_object(LaneId(1), 1), &bytes, &StoreKeys::none()).unwrap();
        drop(LaneHeader::open(&sealed, LaneId(1), 1, &StoreKeys::none()));
    }

    #[test]
    fn a_header_with_a_changed_byte_inside_never_panics(header in header(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let key = Key::lane_object(header.lane, header.number);
        let mut bytes = header.to_proto().encode_to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let sealed = frame::seal(Kind::Lane, &key, &bytes, &StoreKeys::none()).unwrap();
        drop(LaneHeader::open(&sealed, header.lane, header.number, &StoreKeys::none()));
    }
}

fn plain() -> LaneHeader {
    LaneHeader {
        lane: LaneId(1),
        number: 4,
        commit: CommitId([1; 16]),
        previous: CommitId([2; 16]),
        writer: "hub".to_owned(),
        written: Timestamp(3),
        map_version: 0,
        records: Vec::new(),
        sections: Vec::new(),
    }
}

#[test]
fn a_header_that_says_it_is_another_is_refused() {
    let bytes = plain().to_proto().encode_to_vec();
    let sealed = frame::seal(Kind::Lane, &Key::lane_object(LaneId(1), 5), &bytes, &StoreKeys::none()).unwrap();
    let fault = LaneHeader::open(&sealed, LaneId(1), 5, &StoreKeys::none()).unwrap_err();
    assert!(fault.to_string().contains("number 4"), "{fault}");
}

#[test]
fn a_record_of_an_unknown_kind_is_refused() {
    let mut message = plain().to_proto();
    message.records.push(proto::Record { kind: None });
    let sealed = frame::seal(Kind::Lane, &Key::lane_object(LaneId(1), 4), &message.encode_to_vec(), &StoreKeys::none()).unwrap();
    let fault = LaneHeader::open(&sealed, LaneId(1), 4, &StoreKeys::none()).unwrap_err();
    assert!(fault.to_string().contains("upgrade"), "{fault}");
}

#[test]
fn sections_out_of_order_or_of_impossible_size_are_refused() {
    let entry = |tenant: &str, length, table_length| proto::SectionEntry {
        tenant: tenant.to_owned(),
        length,
        table_length,
        checksum: vec![0; 16],
        table_checksum: vec![0; 16],
        ..proto::SectionEntry::default()
    };
    let refused = |sections: Vec<proto::SectionEntry>| {
        let message = proto::LaneHeader { sections, ..plain().to_proto() };
        let sealed = frame::seal(Kind::Lane, &Key::lane_object(LaneId(1), 4), &message.encode_to_vec(), &StoreKeys::none()).unwrap();
        LaneHeader::open(&sealed, LaneId(1), 4, &StoreKeys::none()).is_err()
    };
    assert!(!refused(vec![entry("acme", 9, 4), entry("blue", 9, 9)]));
    assert!(refused(vec![entry("blue", 9, 4), entry("acme", 9, 4)]));
    assert!(refused(vec![entry("acme", 9, 4), entry("acme", 9, 4)]));
    assert!(refused(vec![entry("acme", u64::MAX, 4)]));
    assert!(refused(vec![entry("acme", 9, 10)]));
    assert!(refused(vec![entry("acme", 9, 3)]));
    assert!(refused(vec![entry("../acme", 9, 4)]));
    assert!(refused(vec![proto::SectionEntry { offset: u64::MAX, ..entry("acme", 9, 4) }]));
}

#[test]
fn what_would_not_read_back_is_not_written() {
    let reason = "x".repeat(crate::limits::TEXT_BYTES_MAX + 1);
    let producer = ProducerId { lane: LaneId(1), unique: 1 };
    let mut header = LaneHeader { records: vec![LaneRecord::Quarantine { producer, reason }], ..plain() };
    assert!(matches!(header.seal(&StoreKeys::none()), Err(StoreFault::Draft { .. })));
}

/// A header with a record of every kind, as this format version wrote it.
fn golden() -> LaneHeader {
    let producer = ProducerId { lane: LaneId(0x0102_0304_0506_0708), unique: 9 };
    let (tenant, cluster, edge) = (TenantId::new("acme").unwrap(), ClusterId::new("alpha").unwrap(), EdgeId::new("node-1").unwrap());
    let path = "/var/log/pods/a/0.log".to_owned();
    let position = Position { path, device: 1, inode: 2, head: 3, head_len: 4, generation: 5, offset: 6, gone: true, ..Position::default() };
    let (from, to) = (Sequence(1), Sequence(2));
    let (chain_to, digests) = (Chain([2; 16]), vec![BatchDigest([3; 16]), BatchDigest([4; 16])]);
    let loss = LaneRecord::Loss {
        tenant: tenant.clone(),
        cluster,
        edge,
        source: "/var/log/x".to_owned(),
        reason: "wal_full".to_owned(),
        from_ns: -1,
        to_ns: 1,
        lines: Some(7),
        bytes: None,
    };
    let identity = "alpha/node-1".to_owned();
    let chain = Chain([1; 16]);
    LaneHeader {
        lane: producer.lane,
        number: 42,
        commit: CommitId([0xaa; 16]),
        previous: CommitId([0xbb; 16]),
        writer: "hub-0".to_owned(),
        written: Timestamp(1_700_000_000_000_000_000),
        map_version: 3,
        records: vec![
            LaneRecord::Open {
                producer,
                epoch: Epoch(1),
                identity,
                nonce: [5; 16],
                wal_id: 6,
                track: 7,
                sequence: Sequence(8),
                chain: Chain([9; 16]),
                positions: vec![position.clone()],
                after: Some(ProducerId { lane: LaneId(2), unique: 3 }),
            },
            LaneRecord::Advance { producer, epoch: Epoch(1), from, to, chain_to, digests, positions: vec![position] },
            LaneRecord::Close { producer, sequence: to, chain, next: ProducerId { lane: LaneId(1), unique: 10 } },
            LaneRecord::Quarantine { producer, reason: "diverged".to_owned() },
            loss,
            LaneRecord::PushKey { tenant: tenant.clone(), key: b"key".to_vec(), at: Timestamp(8) },
            LaneRecord::Map(3),
            LaneRecord::Floor(41),
            LaneRecord::Owner("hub-0".to_owned()),
        ],
        sections: vec![SectionEntry {
            tenant,
            offset: 0,
            length: 100,
            checksum: Checksum([6; 16]),
            table_length: 40,
            table_checksum: Checksum([7; 16]),
            lines: 11,
            bytes: 12,
            min: Timestamp(13),
            max: Timestamp(14),
            batches: 1,
        }],
    }
}

#[test]
fn an_object_of_format_version_1_still_reads_as_it_was_written() {
    let keys = StoreKeys::parse(&format!("3 {}", "ab".repeat(32))).unwrap();
    let stored = Bytes::from_static(include_bytes!("../../golden/lane-1.bin"));
    let mut header = golden();
    let written = header.seal(&keys).unwrap();
    assert_eq!(LaneHeader::open(&stored, header.lane, header.number, &keys).unwrap(), header);
    assert_eq!(written, stored, "the same header gives the same bytes");
}
