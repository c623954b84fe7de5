//! Metadata comes back, in the form that suits it, and any bytes end in a fault or in rows.

use proptest::prelude::*;

use super::*;

fn rows(lines: &[Vec<(&str, &str)>]) -> Rows {
    let mut rows = Rows::default();
    for (at, pairs) in lines.iter().enumerate() {
        let mut bytes = Vec::new();
        put_row(&mut bytes, pairs.iter().copied());
        rows.push(at, &bytes);
    }
    rows
}

/// Encodes, decodes, compares; gives encoding and column.
fn round(lines: &[Vec<(&str, &str)>]) -> (u8, Vec<u8>) {
    let rows = rows(lines);
    let (encoding, column) = encode(&rows, lines.len()).unwrap();
    let back = decode(encoding, &column, lines.len()).unwrap();
    for at in 0..lines.len() {
        assert_eq!(back.at(at), rows.at(at), "line {at}");
    }
    (encoding, column)
}

#[test]
fn none_takes_nothing() {
    assert_eq!(round(&[vec![], vec![], vec![]]), (NONE, vec![]));
}

#[test]
fn constants_are_written_once() {
    let (encoding, column) = round(&vec![vec![("pod", "checkout-7"), ("node", "n1")]; 1_000]);
    assert_eq!(encoding, COLUMNS);
    assert!(column.len() < 50, "{} bytes", column.len());
}

#[test]
fn few_values_become_a_dictionary() {
    let values = ["one of a few long values", "another of a few long values"];
    let lines: Vec<_> = (0..1_000).map(|at| vec![("name", values[at % 2])]).collect();
    let (encoding, column) = round(&lines);
    assert_eq!(encoding, COLUMNS);
    assert!(column.len() < 1_100, "{} bytes", column.len());
}

#[test]
fn many_values_are_plain_and_names_written_once() {
    let ids: Vec<String> = (0..1_000).map(|at| format!("{at:032x}")).collect();
    let lines: Vec<_> = ids.iter().map(|id| vec![("a_long_name_of_a_trace_id", id.as_str())]).collect();
    let (encoding, column) = round(&lines);
    assert_eq!(encoding, COLUMNS);
    assert!(column.len() < 33_100, "{} bytes", column.len());
}

#[test]
fn order_repeats_and_gaps_are_kept() {
    round(&[vec![], vec![("b", "1"), ("a", "2")], vec![("a", "2"), ("b", "1")], vec![("a", ""), ("a", "x"), ("a", "")], vec![], vec![("", "")]]);
}

#[test]
fn too_many_names_are_written_by_rows() {
    let names: Vec<String> = (0..METADATA_NAMES_MAX + 1).map(|at| format!("name-{at}")).collect();
    let lines: Vec<_> = names.iter().map(|name| vec![(name.as_str(), "v")]).collect();
    assert_eq!(round(&lines).0, ROWS);
}

#[test]
fn pairs_past_the_limit_are_left_out() {
    let names: Vec<String> = (0..METADATA_MAX + 1).map(|at| at.to_string()).collect();
    let mut bytes = Vec::new();
    put_row(&mut bytes, names.iter().map(|name| (name.as_str(), "")));
    assert_eq!(varint::take(&mut bytes.as_slice()), Some(METADATA_MAX as u64));
}

#[test]
fn a_small_column_cannot_ask_for_much_memory() {
    // A name whose one value is 1 MiB long, 1,024 times a line.
    let mut column = vec![1, 1, b'n', 1];
    varint::put(&mut column, METADATA_MAX as u64);
    column.extend(vec![0; METADATA_MAX]);
    column.push(0);
    column.push(CONSTANT);
    put_text(&mut column, &vec![b'v'; 1024 * 1024]);
    assert!(matches!(decode(COLUMNS, &column, 1), Err(SegmentFault::TooLarge { .. })));
    assert!(decode(COLUMNS, &[255, 255, 255, 255, 15], 1).is_err(), "a count without names");
}

#[test]
fn what_cannot_be_read_back_is_not_written() {
    for bad in [&[1][..], &[1, 0], &[1, 0, 0, 7], &[1, 0, 200, 1, 0], &[255, 255, 3]] {
        let mut rows = Rows::default();
        rows.push(3, bad);
        assert!(encode(&rows, 4).is_err(), "{bad:?}");
    }
}

fn a_line() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec(("[a-c]{0,2}", prop_oneof![Just("same".to_owned()), "[a-z]{0,9}"]), 0..5)
}

proptest! {
    #[test]
    fn metadata_comes_back(lines in prop::collection::vec(a_line(), 0..40)) {
        let lines: Vec<Vec<(&str, &str)>> = lines.iter().map(|pairs| pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()).collect();
        round(&lines);
    }

    #[test]
    fn a_changed_column_ends_in_a_fault_or_in_rows(lines in prop::collection::vec(a_line(), 1..20), changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4), encoding in 0_u8..4) {
        let lines: Vec<Vec<(&str, &str)>> = lines.iter().map(|pairs| pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()).collect();
        let (_, mut column) = encode(&rows(&lines), lines.len()).unwrap();
        for (at, byte) in changes {
            if !column.is_empty() {
                let at = at % column.len();
                column[at] = byte;
            }
        }
        if let Ok(rows) = decode(encoding, &column, lines.len()) {
            for at in 0..lines.len() {
                let mut rest = rows.at(at);
                let pairs = if rest.is_empty() { 0 } else { varint::take(&mut rest).unwrap() };
                for _ in 0..2 * pairs {
                    prop_assert!(take_text(&mut rest).is_some(), "a row is sound");
                }
                prop_assert!(rest.is_empty());
            }
        }
    }
}
