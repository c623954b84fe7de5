//! Tallies: minutes as windows see them, sums as the footer says, bad bytes refused.

use super::*;
use crate::testing::{DAY_NS, build, footer, line};
use crate::{Built, Footer, Kind};

fn region(built: &Built, entry: &RegionEntry) -> Bytes {
    let begin = usize::try_from(entry.offset).unwrap();
    built.bytes.slice(begin..begin + entry.length as usize)
}

fn tallied(lines: &[(usize, crate::testing::Line)]) -> (Footer, Built, Tallies) {
    let built = build(Kind::Day(crate::testing::DAY), lines);
    let footer = footer(&built);
    let entry = footer.tallies.unwrap();
    let tallies = Tallies::read(&region(&built, &entry), &entry, &footer.blocks).unwrap();
    (footer, built, tallies)
}

#[test]
fn a_line_at_the_end_of_a_minute_belongs_to_it() {
    let mut lines = Vec::new();
    for second in 0..=180 {
        lines.push((0, line(second * 1_000_000_000, "12345")));
    }
    let (footer, _, tallies) = tallied(&lines);
    let of: Vec<_> = tallies.of(0, footer.streams[0].runs[0].at as usize).iter().map(|tally| (tally.end_ns - DAY_NS, tally.lines, tally.bytes)).collect();
    // The first line stands at the end of the minute before.
    assert_eq!(of, [(0, 1, 5), (MINUTE_NS, 60, 300), (2 * MINUTE_NS, 60, 300), (3 * MINUTE_NS, 60, 300)]);
}

#[test]
fn the_tallies_of_every_run_add_up_and_a_thin_stream_has_none() {
    let mut lines: Vec<_> = (0..60_000).map(|at| (1 + at % 3, line(at as i64 * 20_000_000, &"x".repeat(90 + at % 50)))).collect();
    lines.extend((0..20).map(|at| (0, line(at * 600_000_000_000, "seldom"))));
    let (footer, built, tallies) = tallied(&lines);
    assert!(footer.blocks.len() > 2, "{} blocks", footer.blocks.len());
    for (at, stream) in footer.streams.iter().enumerate() {
        for run in &stream.runs {
            let of = tallies.of(run.block as usize, run.at as usize);
            if at == 0 {
                assert!(of.is_empty(), "20 lines over 200 minutes");
                continue;
            }
            assert_eq!(of.iter().map(|tally| tally.lines).sum::<u64>(), u64::from(run.lines));
            assert_eq!(of.iter().map(|tally| tally.bytes).sum::<u64>(), run.bytes);
            assert!(of.is_sorted_by_key(|tally| tally.end_ns));
            assert!(of.first().is_some_and(|tally| run.min.0 <= tally.end_ns) && of.last().is_some_and(|tally| run.max.0 <= tally.end_ns));
        }
    }
    assert!(tallies.of(footer.blocks.len(), 0).is_empty() && tallies.of(0, usize::MAX).is_empty());
    assert_eq!(built.facts.lines, 60_020);
}

#[test]
fn damaged_tallies_are_refused() {
    let lines: Vec<_> = (0..200).map(|at| (0, line(at * 1_000_000_000, "text"))).collect();
    let (footer, built, _) = tallied(&lines);
    let entry = footer.tallies.unwrap();
    let bytes = region(&built, &entry);
    assert!(Tallies::read(&bytes.slice(1..), &entry, &footer.blocks).is_err());
    for at in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut broken = bytes.to_vec();
            broken[at] ^= bit;
            let broken = Bytes::from(broken);
            assert!(matches!(Tallies::read(&broken, &entry, &footer.blocks), Err(SegmentFault::Checksum { .. })));
            // With a true checksum it is read or refused; no panic, no great memory.
            let sealed = RegionEntry { checksum: checksum(&broken), ..entry };
            if let Ok(read) = Tallies::read(&broken, &sealed, &footer.blocks) {
                assert!(read.memory_bytes() < 1 << 20);
            }
        }
    }
    for length in 0..bytes.len() {
        let cut = bytes.slice(..length);
        let sealed = RegionEntry { length: u32::try_from(length).unwrap(), checksum: checksum(&cut), ..entry };
        assert!(Tallies::read(&cut, &sealed, &footer.blocks).is_err());
    }
}
