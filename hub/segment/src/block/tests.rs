//! Damage of a block, lies in one, and lies about one.

use proptest::prelude::*;

use super::*;
use crate::testing::{DAY, Line, block_bytes, build, footer, line, some_lines};
use crate::{Kind, SegmentFault};

fn lines() -> Vec<(usize, Line)> {
    let mut lines: Vec<(usize, Line)> = (0..60).map(|at| (at % 3, line(i64::try_from(at).unwrap(), &format!("level=info msg=\"line {at}\"")))).collect();
    for (at, (_, line)) in lines.iter_mut().enumerate() {
        line.level = u8::try_from(at % 4).unwrap();
        line.metadata = vec![("trace".to_owned(), format!("{:08x}", at * 7_919)), ("pod".to_owned(), "a".to_owned())];
    }
    lines
}

#[test]
fn a_flipped_bit_anywhere_is_a_fault() {
    let built = build(Kind::Day(DAY), &lines());
    let footer = footer(&built);
    let bytes = block_bytes(&built.bytes, &footer, 0);
    for at in 0..bytes.len() {
        for bit in [0, 3, 7] {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1 << bit;
            let damaged = Bytes::from(damaged);
            assert_eq!(Block::open(&damaged, &footer.blocks[0]).unwrap_err(), SegmentFault::Checksum { what: WHAT }, "byte {at}");
            assert!(Outline::open(&damaged, &footer.blocks[0]).is_err());
        }
    }
    for length in 0..bytes.len() {
        assert_eq!(Block::open(&bytes.slice(..length), &footer.blocks[0]).unwrap_err(), SegmentFault::Short { what: WHAT });
    }
}

#[test]
fn an_entry_that_speaks_of_another_block_is_a_fault() {
    let built = build(Kind::Day(DAY), &lines());
    let footer = footer(&built);
    let (bytes, entry) = (block_bytes(&built.bytes, &footer, 0), footer.blocks[0]);
    let lies = [
        BlockEntry { lines: entry.lines + 1, ..entry },
        BlockEntry { runs: entry.runs + 1, ..entry },
        BlockEntry { bytes: entry.bytes + 1, ..entry },
        BlockEntry { min: Timestamp(entry.min.0 - 1), ..entry },
        BlockEntry { max: Timestamp(entry.max.0 + 1), ..entry },
        BlockEntry { length: entry.length - 1, ..entry },
    ];
    assert!(Block::open(&bytes, &entry).is_ok());
    for lie in lies {
        assert!(Block::open(&bytes, &lie).is_err(), "{lie:?}");
    }
}

/// Opens bytes whose checksum is made to fit.
fn open_as_is(bytes: Vec<u8>, entry: &BlockEntry) -> Result<Block, SegmentFault> {
    let entry = BlockEntry { checksum: checksum(&bytes), length: u32::try_from(bytes.len()).unwrap(), ..*entry };
    Block::open(&Bytes::from(bytes), &entry)
}

#[test]
fn a_newer_version_and_an_unknown_encoding_are_told() {
    let built = build(Kind::Day(DAY), &lines());
    let footer = footer(&built);
    let bytes = block_bytes(&built.bytes, &footer, 0).to_vec();
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        open_as_is(bytes, &footer.blocks[0]).unwrap_err()
    };
    assert_eq!(with(0, b'X'), SegmentFault::Magic { what: WHAT });
    assert_eq!(with(4, 2), SegmentFault::Version { what: WHAT, found: 2, known: 1 });
    for column in 0..COLUMNS {
        assert!(matches!(with(16 + ENTRY_BYTES * column, 9), SegmentFault::Malformed { .. }), "encoding of column {column}");
        assert!(matches!(with(17 + ENTRY_BYTES * column, 9), SegmentFault::Malformed { .. }), "packing of column {column}");
        assert!(matches!(with(16 + ENTRY_BYTES * column + 11, 0x7f), SegmentFault::TooLarge { .. }), "size of column {column}");
        open_as_is(bytes[..bytes.len() - 1].to_vec(), &footer.blocks[0]).unwrap_err();
    }
}

#[test]
fn there_is_no_run_past_the_last() {
    let built = build(Kind::Day(DAY), &lines());
    let block = crate::testing::block(&built.bytes, &footer(&built), 0);
    assert_eq!(block.runs(), 3);
    assert!(block.text(3).is_empty() && block.rows(3).next().is_none() && block.row(3, 0).is_none() && block.row(0, 20).is_none());
    assert!(block.outline().times(3).is_empty());
    assert!(block.memory_bytes() > block.text(0).len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_lying_block_ends_in_a_fault_or_in_rows(lines in some_lines(3, 40), changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        prop_assume!(!lines.is_empty());
        let built = build(Kind::Day(DAY), &lines);
        let footer = footer(&built);
        let mut bytes = block_bytes(&built.bytes, &footer, 0).to_vec();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if let Ok(block) = open_as_is(bytes, &footer.blocks[0]) {
            let mut rows = 0;
            for row in (0..block.runs()).flat_map(|at| block.rows(at)) {
                prop_assert!(row.unwrap().metadata().count() <= 4);
                rows += 1;
            }
            prop_assert_eq!(rows, lines.len());
        }
    }
}
