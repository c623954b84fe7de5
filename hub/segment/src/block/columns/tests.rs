//! Small columns come back, and any bytes end in a fault or in rows.

use proptest::prelude::*;

use super::*;

#[test]
fn times_are_written_in_their_largest_unit() {
    for (code, unit) in UNITS.iter().enumerate() {
        let times: Vec<i64> = (0..100).map(|at| 17 + unit * (at * at)).collect();
        let column = encode_times(&[(0, 60), (60, 40)], &times);
        assert_eq!(usize::from(column[0]), code);
        let runs = decode_runs(&encode_runs(&[(0, 60), (60, 40)], &times), 2, 100).unwrap();
        assert_eq!(decode_times(&column, &runs, 100).unwrap(), times);
    }
}

#[test]
fn times_past_the_end_of_time_are_a_fault() {
    let mut column = vec![3];
    varint::put(&mut column, u64::MAX);
    assert!(matches!(decode_times(&column, &[(0, 2, 0)], 2), Err(SegmentFault::Malformed { .. })));
    let mut column = vec![0];
    varint::put(&mut column, u64::MAX);
    assert_eq!(decode_times(&column, &[(0, 2, i64::MIN)], 2).unwrap(), [i64::MIN, i64::MAX], "all of time is one step");
}

#[test]
fn lengths_are_as_wide_as_the_longest() {
    for (longest, width) in [(0, 0), (255, 1), (256, 2), (65_536, 3), (u32::MAX, 4)] {
        let column = encode_lengths(&[0, longest]);
        assert_eq!(column.len(), 1 + 2 * width);
        assert_eq!(decode_lengths(&column, 2).unwrap(), [0, longest]);
    }
}

proptest! {
    #[test]
    fn any_bytes_end_in_a_fault_or_in_as_many_rows(bytes in prop::collection::vec(any::<u8>(), 0..60), lines in 0_usize..20, runs in 0_usize..4) {
        if let Ok(found) = decode_runs(&bytes, runs, lines) {
            prop_assert_eq!(found.iter().map(|(_, rows, _)| rows).sum::<usize>(), lines);
        }
        if let Ok(found) = decode_times(&bytes, &[(0, lines.max(1), 5)], lines.max(1)) {
            prop_assert!(found.len() == lines.max(1) && found.is_sorted());
        }
        if let Ok(found) = decode_levels(&bytes, lines) {
            prop_assert_eq!(found.len(), lines);
        }
        if let Ok(found) = decode_lengths(&bytes, lines) {
            prop_assert_eq!(found.len(), lines);
        }
    }
}
