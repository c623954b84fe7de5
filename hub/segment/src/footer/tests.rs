//! Damage of a footer, lies in one, and lies about one.

use proptest::prelude::*;

use super::*;
use crate::testing::{DAY, Line, build, footer, line, noise, some_lines};

fn lines() -> Vec<(usize, Line)> {
    (0..300).map(|at| (at % 9, Line { line: noise(at as u64, 12_000), ..line(i64::try_from(at).unwrap(), "") })).collect()
}

fn bytes_of(built: &crate::Built) -> Bytes {
    let begin = usize::try_from(built.facts.footer_offset).unwrap();
    built.bytes.slice(begin..begin + built.facts.footer_length as usize)
}

#[test]
fn a_flipped_bit_anywhere_is_a_fault() {
    let built = build(Kind::Day(DAY), &lines());
    let bytes = bytes_of(&built);
    for at in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 0x10;
        assert_eq!(Footer::read(&Bytes::from(damaged), &built.facts).unwrap_err(), SegmentFault::Checksum { what: WHAT });
    }
    for length in 0..bytes.len() {
        assert_eq!(Footer::read(&bytes.slice(..length), &built.facts).unwrap_err(), SegmentFault::Short { what: WHAT });
    }
}

#[test]
fn a_flipped_bit_outside_the_blocks_is_found_without_a_manifest() {
    let built = build(Kind::Day(DAY), &lines());
    let end = usize::try_from(built.facts.footer_offset).unwrap();
    for at in (0..object::HEAD_BYTES).chain(end..built.bytes.len()) {
        let mut damaged = built.bytes.to_vec();
        damaged[at] ^= 0x01;
        assert!(Footer::of_object(&Bytes::from(damaged)).is_err(), "byte {at}");
    }
    for length in [0, 10, 47, 48, built.bytes.len() - 1] {
        assert!(Footer::of_object(&built.bytes.slice(..length)).is_err());
    }
}

#[test]
fn facts_of_another_segment_are_a_fault() {
    let built = build(Kind::Day(DAY), &lines());
    let (bytes, facts) = (bytes_of(&built), built.facts);
    let lies = [
        Facts { kind: Kind::Day(DAY + 1), ..facts },
        Facts { kind: Kind::Odd, ..facts },
        Facts { bytes: facts.bytes + 1, ..facts },
        Facts { lines: facts.lines + 1, ..facts },
        Facts { raw_bytes: facts.raw_bytes + 1, ..facts },
        Facts { min: Timestamp(facts.min.0 - 1), ..facts },
        Facts { max: Timestamp(facts.max.0 + 1), ..facts },
        Facts { streams: facts.streams + 1, ..facts },
        Facts { footer_offset: facts.footer_offset + 1, ..facts },
        Facts { footer_length: facts.footer_length + 1, ..facts },
        Facts { footer_checksum: [0; 16], ..facts },
    ];
    assert!(Footer::read(&bytes, &facts).is_ok());
    for lie in lies {
        assert!(Footer::read(&bytes, &lie).is_err(), "{lie:?}");
    }
}

/// The plain bytes of a footer.
fn plain(built: &crate::Built) -> Vec<u8> {
    let bytes = bytes_of(built);
    let length = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]) as usize;
    crate::block::column::unpack(WHAT, bytes[10], &bytes[HEAD_BYTES..], length).unwrap()
}

#[test]
fn thousands_of_small_streams_take_little() {
    let lines: Vec<(usize, Line)> = (0..5_000).map(|at| (at, line(1, "one line"))).collect();
    let built = build(Kind::Day(DAY), &lines);
    assert!(built.facts.footer_length < 5_000 * 8, "{} bytes", built.facts.footer_length);
    assert!(footer(&built).memory_bytes() > 5_000 * 200);
}

#[test]
fn a_text_named_often_cannot_ask_for_much_memory() {
    // One label of 64 KiB, named by each of 60,000 streams.
    let mut raw = Vec::new();
    proto_wire::varint::put(&mut raw, 1);
    proto_wire::varint::put(&mut raw, 65_536);
    raw.extend(vec![b'x'; 65_536]);
    proto_wire::varint::put(&mut raw, 0);
    proto_wire::varint::put(&mut raw, 60_000);
    proto_wire::varint::put(&mut raw, 256);
    raw.extend(vec![0; 100_000]);
    let fault = decode::decode(&raw, Kind::Odd, (16, true)).map(drop).unwrap_err();
    assert!(matches!(fault, SegmentFault::Malformed { .. } | SegmentFault::TooLarge { .. }), "{fault}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_lying_footer_ends_in_a_fault_or_in_a_sound_one(lines in some_lines(8, 60), changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let built = build(Kind::Day(DAY), &lines);
        let mut raw = plain(&built);
        for (at, byte) in changes {
            let at = at % raw.len();
            raw[at] = byte;
        }
        if let Ok(decode::Decoded { streams, blocks, .. }) = decode::decode(&raw, Kind::Day(DAY), (built.facts.footer_offset, true)) {
            prop_assert!(streams.is_sorted_by(|a, b| a.labels < b.labels));
            for run in streams.iter().flat_map(|stream| &stream.runs) {
                let block = &blocks[run.block as usize];
                prop_assert!(run.at < block.runs && run.min >= block.min && run.max <= block.max && run.lines <= block.lines);
            }
        }
    }

    #[test]
    fn any_bytes_are_no_footer(raw in prop::collection::vec(any::<u8>(), 0..200), has_regions: bool) {
        if let Ok(decode::Decoded { streams, blocks, .. }) = decode::decode(&raw, Kind::Odd, (16, has_regions)) {
            prop_assert!(streams.is_empty() && blocks.is_empty());
        }
    }
}
