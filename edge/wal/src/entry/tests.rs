use proptest::prelude::*;

use super::*;

const SEAL: fn() -> Seal = || Seal::new(WalId(7), 3);

fn record(head: &mut Head, track: u32, sequence: u64, body: &[u8], synced: u64) -> Bytes {
    let bytes = head.encode(synced);
    let mut out = encode(SEAL(), head.kind(), track, sequence, &bytes, body);
    out.extend_from_slice(body);
    Bytes::from(out)
}

fn heads() -> impl Strategy<Value = Head> {
    let position = (".{0,40}", any::<u64>(), any::<u64>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..50))
        .prop_map(|(path, inode, offset, gone, held)| pb::Position { path, inode, offset, gone, held: held.into(), ..pb::Position::default() });
    let positions = prop::collection::vec(position, 0..4);
    prop_oneof![
        (any::<u64>(), any::<i64>(), positions.clone()).prop_map(|(lines, min_ns, positions)| Head::Batch(pb::BatchHead {
            lines,
            min_ns,
            positions,
            digest: Bytes::from_static(&[4; 16]),
            ..pb::BatchHead::default()
        })),
        (any::<u64>(), any::<Option<u64>>(), ".{0,20}").prop_map(|(to, lines, reason)| Head::Gap(pb::GapHead { to, lines, reason, ..pb::GapHead::default() })),
        (any::<u32>(), positions).prop_map(|(part, positions)| Head::Checkpoint(pb::CheckpointHead { part, positions, ..pb::CheckpointHead::default() })),
        any::<u64>().prop_map(|sequence| Head::control(pb::control_head::Kind::Acked(pb::Acked { sequence, chain: Bytes::new() }))),
    ]
}

proptest! {
    #[test]
    fn a_record_comes_back_as_it_went(mut head in heads(), track in any::<u32>(), sequence in any::<u64>(), body in prop::collection::vec(any::<u8>(), 0..200), synced in any::<u64>()) {
        let body = if head.kind() == Kind::Batch { body } else { Vec::new() };
        let bytes = record(&mut head, track, sequence, &body, synced);
        let (header, back, rest) = decode(SEAL(), &bytes).unwrap();
        prop_assert_eq!((header.track, header.sequence, header.record_len()), (track, sequence, bytes.len() as u64));
        prop_assert_eq!((back.synced(), &back, &rest[..]), (synced, &head, &body[..]));
        prop_assert_eq!(head.len() + HEADER_BYTES + body.len(), bytes.len());
    }

    #[test]
    fn any_flipped_bit_is_seen(mut head in heads(), body in prop::collection::vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>(), bit in 0..8) {
        let body = if head.kind() == Kind::Batch { body } else { Vec::new() };
        let mut bytes = record(&mut head, 1, 2, &body, 0).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(decode(SEAL(), &Bytes::from(bytes)).is_none());
    }

    #[test]
    fn any_bytes_at_all_are_no_record(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(SEAL(), &Bytes::from(bytes)).is_none());
    }
}

#[test]
fn a_record_of_another_wal_or_file_does_not_fit() {
    let mut head = Head::Gap(pb::GapHead { to: 5, ..pb::GapHead::default() });
    let bytes = record(&mut head, 1, 5, &[], 0);
    assert!(decode(SEAL(), &bytes).is_some());
    assert!(decode(Seal::new(WalId(8), 3), &bytes).is_none());
    assert!(decode(Seal::new(WalId(7), 4), &bytes).is_none());
}

#[test]
fn headers_that_no_record_has_are_refused_before_anything_is_read() {
    let sound: [u8; HEADER_BYTES] = *encode(SEAL(), Kind::Batch, 1, 1, b"head", b"body").first_chunk().unwrap();
    assert!(Header::parse(&sound).is_some());
    let with = |at: usize, bytes: &[u8]| {
        let mut header = sound;
        header[at..at + bytes.len()].copy_from_slice(bytes);
        Header::parse(&header)
    };
    assert!(with(0, b"\xA7WAX").is_none(), "another marker");
    assert!(with(12, &[0]).is_none() && with(12, &[5]).is_none(), "another kind");
    assert!(with(12, &[3]).is_none(), "a body where none may be");
    assert!(with(14, &[1]).is_none(), "bytes that must be zero");
    assert!(with(28, &u32::MAX.to_le_bytes()).is_none(), "a head longer than the record");
    assert!(with(4, &u32::MAX.to_le_bytes()).is_none(), "a body above the limit");
    let far = u32::try_from(HEAD_BYTES_MAX + 1).unwrap().to_le_bytes();
    let mut header = sound;
    header[4..8].copy_from_slice(&far);
    header[28..32].copy_from_slice(&far);
    assert!(Header::parse(&header).is_none(), "a head above the limit");
}
