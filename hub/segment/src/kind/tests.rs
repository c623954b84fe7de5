//! The edges of days and of what is odd.

use proto_model::Timestamp;

use crate::{Kind, kind_of};

const DAY: i64 = 86_400_000_000_000;

#[test]
fn a_line_belongs_to_its_utc_day() {
    let now = Timestamp(20_000 * DAY + DAY / 2);
    assert_eq!(kind_of(now, now), Kind::Day(20_000));
    assert_eq!(kind_of(Timestamp(20_000 * DAY), now), Kind::Day(20_000), "midnight begins a day");
    assert_eq!(kind_of(Timestamp(20_000 * DAY - 1), now), Kind::Day(19_999));
    assert_eq!(kind_of(Timestamp(DAY), now), Kind::Day(1), "1970-01-02");
}

#[test]
fn early_and_far_lines_are_odd() {
    let now = Timestamp(20_000 * DAY + DAY / 2);
    for time in [DAY - 1, 0, -1, i64::MIN] {
        assert_eq!(kind_of(Timestamp(time), now), Kind::Odd, "{time}");
    }
    assert_eq!(kind_of(Timestamp(now.0 + DAY), now), Kind::Day(20_001), "24 h ahead is not too far");
    assert_eq!(kind_of(Timestamp(now.0 + DAY + 1), now), Kind::Odd);
    assert_eq!(kind_of(Timestamp::MAX, now), Kind::Odd);
    assert_eq!(kind_of(Timestamp::MAX, Timestamp::MAX), Kind::Day(106_751), "the last day there is");
}

#[test]
fn a_day_admits_its_own_lines_only_and_odd_all() {
    assert!(Kind::Day(1).admits(Timestamp(DAY)) && Kind::Day(1).admits(Timestamp(2 * DAY - 1)));
    assert!(!Kind::Day(1).admits(Timestamp(2 * DAY)) && !Kind::Day(1).admits(Timestamp(DAY - 1)));
    assert!(Kind::Odd.admits(Timestamp(0)) && Kind::Odd.admits(Timestamp(DAY)));
    assert!(!Kind::Day(0).admits(Timestamp(0)), "day 0 is odd");
}

#[test]
fn codes_come_back() {
    for kind in [Kind::Odd, Kind::Day(1), Kind::Day(20_000), Kind::Day(106_751)] {
        assert_eq!(Kind::of_code(kind.code()), Some(kind));
    }
    assert_eq!(Kind::of_code(u32::MAX), None);
}
