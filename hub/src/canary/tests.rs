use super::*;

const WAIT: Duration = Duration::from_secs(10);
/// The checker begins here; runs start a second later.
const BEGAN: i64 = 1_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(BEGAN + second)
}

fn source() -> Source {
    ("alpha".to_owned(), "one".to_owned())
}

/// Number `n` of the run that started at second 1, written at second `1 + n`.
fn line(number: u64) -> Sighting {
    let run = format!("{:016x}", at(1).nanos());
    Sighting::read(source(), &format!("canary {run} {number} {}", at(1 + i64::try_from(number).unwrap()).nanos())).expect("a canary line")
}

fn lines(numbers: &[u64]) -> Vec<Sighting> {
    numbers.iter().map(|number| line(*number)).collect()
}

/// What looks come to in all: `(second, numbers)`.
fn looked(looks: &[(i64, &[u64])]) -> Tally {
    let mut checker = Checker::new(WAIT, at(0));
    let mut sum = Tally::default();
    for (second, numbers) in looks {
        for tally in checker.look(&lines(numbers), at(*second)).into_values() {
            sum.lines += tally.lines;
            sum.missing += tally.missing;
            sum.late += tally.late;
            sum.duplicate += tally.duplicate;
            sum.out_of_order += tally.out_of_order;
            sum.latency = sum.latency.max(tally.latency);
        }
    }
    sum
}

fn tally(lines: u64, missing: u64, late: u64, duplicate: u64, out_of_order: u64, latency: u64) -> Tally {
    Tally { lines, missing, late, duplicate, out_of_order, latency: Some(Duration::from_secs(latency)) }
}

#[test]
fn all_there_is_nothing_to_tell() {
    assert_eq!(looked(&[(3, &[1]), (4, &[1, 2]), (5, &[1, 2, 3]), (60, &[])]), tally(3, 0, 0, 0, 0, 1));
}

#[test]
fn a_number_is_missing_only_when_later_ones_have_been_there_for_a_while() {
    assert_eq!(looked(&[(6, &[1, 2, 4])]), tally(3, 0, 0, 0, 0, 4));
    assert_eq!(looked(&[(6, &[1, 2, 4]), (15, &[1, 2, 4])]), tally(3, 0, 0, 0, 0, 4));
    assert_eq!(looked(&[(6, &[1, 2, 4]), (12, &[1, 2, 3, 4]), (60, &[])]), tally(4, 0, 0, 0, 0, 8), "it came in time");
    assert_eq!(looked(&[(6, &[1, 2, 4]), (16, &[1, 2, 4]), (40, &[])]), tally(3, 1, 0, 0, 0, 4), "given up once");
    assert_eq!(looked(&[(6, &[1, 2, 4]), (16, &[]), (20, &[3]), (21, &[3])]), tally(3, 1, 1, 0, 0, 4), "late");
}

#[test]
fn the_first_numbers_of_a_run_can_be_missing_too() {
    assert_eq!(looked(&[(5, &[3]), (15, &[3])]), tally(1, 2, 0, 0, 0, 1));
    // A run older than the looking begins where it was first seen.
    let mut checker = Checker::new(WAIT, at(3));
    assert_eq!(checker.look(&lines(&[3, 5]), at(7))[&source()].lines, 2);
    assert_eq!(checker.look(&[], at(17))[&source()].missing, 1, "number 4 alone");
}

#[test]
fn copies_and_disorder_are_counted_once() {
    assert_eq!(looked(&[(5, &[1, 2, 2, 3]), (6, &[1, 2, 2, 3]), (7, &[1, 2, 2, 2, 3])]), tally(3, 0, 0, 2, 0, 3));
    assert_eq!(looked(&[(5, &[1, 3, 2]), (6, &[1, 3, 2])]), tally(3, 0, 0, 0, 1, 3));
}

#[test]
fn a_look_reaches_back_to_what_is_open_and_no_farther() {
    let mut checker = Checker::new(WAIT, at(0));
    let start = checker.from(at(5));
    assert_eq!(start, at(0), "not before the looking began");
    checker.look(&lines(&[1, 2, 3]), at(5));
    checker.look(&[], at(500));
    assert_eq!(checker.from(at(500)), at(480), "all settled");
    checker.look(&lines(&[502, 504]), at(506));
    assert!(checker.from(at(600)) <= at(4), "498 numbers and one are awaited: {:?}", checker.from(at(600)));
    assert_eq!(checker.look(&[], at(600))[&source()].missing, 498 + 1);
    checker.look(&[], at(3 * 86_400));
    assert_eq!(checker.from(at(3 * 86_400)), at(3 * 86_400 - 20), "after a day nothing is awaited");
}

#[test]
fn other_lines_are_nobodys() {
    for text in [
        "",
        "canary",
        "canary 0123456789abcdef 0 5",
        "canary 0123456789abcdeg 1 5",
        "canary 0123456789abcdef 1 x",
        "canary 0123456789abcdef 1 5 6",
        "bird 0123456789abcdef 1 5",
    ] {
        assert_eq!(Sighting::read(source(), text), None, "{text:?}");
    }
    let mut checker = Checker::new(WAIT, at(0));
    let forged = Sighting { number: u64::MAX, ..line(1) };
    checker.look(&[line(1), forged], at(3));
    assert_eq!(checker.look(&[], at(60)).get(&source()).map_or(0, |tally| tally.missing), 0, "a forged number costs nothing");
}

#[test]
fn many_runs_do_not_take_all_memory() {
    let mut checker = Checker::new(WAIT, at(0));
    let runs: Vec<Sighting> = (0..RUNS_MAX + 5).map(|n| Sighting { run: format!("{n:016x}"), ..line(1) }).collect();
    checker.look(&runs, at(3));
    assert_eq!(checker.runs.len(), RUNS_MAX);
}
