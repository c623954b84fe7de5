//! Tests: what Go's `time` package answers, row by row; years, names, limits; the fast path against the layout.

use proptest::prelude::*;

use super::*;

/// Go 1.26's own answers: layout, value and zone with the nanoseconds read (absent where Go refuses), and a time as printed.
const GO: &str = include_str!("tests/go.jsonl");

fn zone(name: &str) -> TimeZone {
    if name.is_empty() { TimeZone::UTC } else { TimeZone::get(name).unwrap() }
}

/// 2026-11-22T12:00:00Z.
const NOW: Timestamp = Timestamp(1_795_348_800_000_000_000);

fn read(layout: &str, value: &str) -> Result<i64, TimeFault> {
    Layout::parse(layout)?.read(value, None, NOW).map(Timestamp::nanos)
}

#[test]
fn reads_and_prints_as_go() {
    let (mut read, mut refused) = (0, 0);
    for row in GO.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let text = |name: &str| row[name].as_str().unwrap();
        let layout = Layout::parse(text("layout")).unwrap();
        let place = zone(text("zone"));
        let location = (!text("zone").is_empty()).then_some(&place);
        let ours = layout.read(text("value"), location, NOW).map(Timestamp::nanos);
        match row["read"].as_i64() {
            Some(go) => {
                read += 1;
                assert_eq!(ours, Ok(go), "{row}");
            }
            // Go takes a sign for a digit in a fraction; that is a slip of its own.
            None => {
                refused += 1;
                assert!(ours.is_err(), "{row} read as {ours:?}");
            }
        }
        assert_eq!(layout.print(Timestamp(row["at"].as_i64().unwrap()), &place), text("print"), "{row}");
    }
    assert!(read > 150 && refused > 50, "{read} read, {refused} refused");
}

#[test]
fn unix_times() {
    assert_eq!(read("Unix", "1795348800"), Ok(1_795_348_800_000_000_000));
    assert_eq!(read("Unix", "1795348800.25"), Ok(1_795_348_800_250_000_000));
    assert_eq!(read("Unix", "1795348800.0000000019"), Ok(1_795_348_800_000_000_001));
    assert_eq!(read("Unix", "-1.5"), Ok(-1_500_000_000));
    assert_eq!(read("UnixMs", "1795348800001"), Ok(1_795_348_800_001_000_000));
    assert_eq!(read("UnixUs", "1795348800000001"), Ok(1_795_348_800_000_001_000));
    assert_eq!(read("UnixNs", "-1"), Ok(-1));
    for (layout, value) in
        [("Unix", ""), ("Unix", "1."), ("Unix", ".5"), ("Unix", "1.5.5"), ("Unix", "1e9"), ("UnixMs", "1.5"), ("UnixNs", "x"), ("Unix", "1.-5")]
    {
        assert!(matches!(read(layout, value), Err(TimeFault::Value { .. })), "{layout} {value}");
    }
    assert!(matches!(read("Unix", "99999999999"), Err(TimeFault::Range(_))));
    assert!(matches!(read("UnixMs", "9223372036854775807"), Err(TimeFault::Range(_))));
}

#[test]
fn a_layout_without_a_year_takes_the_one_that_is_near() {
    let layout = Layout::parse("Jan _2 15:04:05").unwrap();
    let at = |text: &str| rfc3339_nano(text.as_bytes()).unwrap();
    let read = |value: &str, now: &str| layout.read(value, None, at(now)).unwrap();
    assert_eq!(read("Nov 22 10:00:00", "2026-11-22T12:00:00Z"), at("2026-11-22T10:00:00Z"));
    assert_eq!(read("Dec 31 23:59:59", "2027-01-01T00:00:05Z"), at("2026-12-31T23:59:59Z"));
    assert_eq!(read("Jan  1 00:00:01", "2026-12-31T23:59:58Z"), at("2027-01-01T00:00:01Z"));
    assert_eq!(read("Feb 29 00:00:00", "2026-03-01T00:00:00Z"), at("2026-03-01T00:00:00Z"));
    // Whose year: that of the place where the line was written.
    let sydney = zone("Australia/Sydney");
    assert_eq!(layout.read("Jan  1 00:00:01", Some(&sydney), at("2026-12-31T13:30:00Z")).unwrap(), at("2026-12-31T13:00:01Z"));
    assert_eq!(Layout::parse("02 Jan 06").unwrap().read("03 Feb 25", None, NOW).unwrap(), at("2025-02-03T00:00:00Z"));
}

#[test]
fn a_layout_must_name_a_part() {
    for text in ["", "abc", "Month", "iso"] {
        assert!(matches!(Layout::parse(text), Err(TimeFault::Layout(_))), "{text}");
    }
    assert_eq!(Layout::parse("RFC3339").unwrap().source(), "RFC3339");
    assert_eq!(Layout::parse("UnixMs").unwrap().print(Timestamp(1_500_000), &TimeZone::UTC), "1");
}

#[test]
fn faults_say_what_and_where() {
    let fault = Layout::parse("2006-01-02 15:04").unwrap().read("2026-13-02 10:00", None, NOW).unwrap_err();
    assert_eq!(fault.to_string(), r#"time "2026-13-02 10:00" does not fit layout "2006-01-02 15:04" at "13-02 10:00": month out of range"#);
    assert!(matches!(read("2006", "9999"), Err(TimeFault::Range(_))));
    assert!(matches!(read("2006", "1600"), Err(TimeFault::Range(_))));
}

#[test]
fn the_fast_path_refuses_what_is_not_rfc3339() {
    for text in [
        "",
        "2026-11-22",
        "2026-11-22T10:11:12",
        "2026-11-22 10:11:12Z",
        "2026-11-22t10:11:12Z",
        "2026-11-22T10:11:12z",
        "2026-11-22T10:11:12.Z",
        "2026-11-22T10:11:12.5",
        "2026-11-22T10:11:12+0100",
        "2026-11-22T10:11:12+01:0",
        "2026-11-22T10:11:12+25:00",
        "2026-11-22T10:11:12+01:61",
        "2026-11-22T10:11:12Zx",
        "2026-02-29T10:11:12Z",
        "2026-00-22T10:11:12Z",
        "2026-13-22T10:11:12Z",
        "2026-11-31T10:11:12Z",
        "2026-11-00T10:11:12Z",
        "2026-11-22T24:11:12Z",
        "2026-11-22T10:60:12Z",
        "2026-11-22T10:11:60Z",
        "202x-11-22T10:11:12Z",
        "2026-11-22T10:11:/2Z",
        "1677-01-01T00:00:00Z",
        "2263-01-01T00:00:00Z",
        "2026-11-22T10:11:12.12x456789Z",
    ] {
        assert_eq!(rfc3339_nano(text.as_bytes()), None, "{text}");
    }
    assert_eq!(rfc3339_nano(b"1970-01-01T00:00:00Z"), Some(Timestamp(0)));
    assert_eq!(rfc3339_nano(b"2024-02-29T23:59:59.000000001-00:30"), Some(Timestamp(1_709_252_999_000_000_001)));
    assert_eq!(rfc3339_nano(b"2026-11-22T12:00:00.1234567899999Z"), Some(Timestamp(NOW.nanos() + 123_456_789)));
}

#[test]
fn nine_digits() {
    for (text, number) in [(b"000000000", 0), (b"123456789", 123_456_789), (b"999999999", 999_999_999), (b"100000001", 100_000_001)] {
        assert_eq!(rfc3339::digits_nine(*text), Some(number));
    }
    for at in 0..9 {
        for wrong in [b'/', b':', b' ', 0, 0x80, 0xff] {
            let mut text = *b"123456789";
            text[at] = wrong;
            assert_eq!(rfc3339::digits_nine(text), None, "{at} {wrong}");
        }
    }
}

proptest! {
    /// Whatever came before, a recent minute reads what the plain reader reads.
    #[test]
    fn a_recent_minute_reads_the_same(times in prop::collection::vec("(20[0-2][0-9]-0[0-9]-[0-3][0-9]T1[0-9]:[0-9]{2}:|2024-03-10T12:0[12]:)[0-6][0-9:/](\\.[0-9/]{9}|\\.[0-9]{1,10}|)(Z|\\+01:00|z|)", 1..8)) {
        let mut recent = RecentMinute::default();
        for time in times {
            prop_assert_eq!(recent.read(time.as_bytes()), rfc3339_nano(time.as_bytes()), "{}", time);
        }
    }


    #[test]
    fn what_is_printed_is_read(at in -9_000_000_000_000_000_000..9_000_000_000_000_000_000_i64, place in prop::sample::select(vec!["", "Europe/Zurich", "Asia/Kolkata"])) {
        let place = zone(place);
        for name in ["RFC3339Nano", "2006-01-02 15:04:05.000000000 -0700", "Monday, January 2 2006, 3:04:05.999999999 pm -07:00:00"] {
            let layout = Layout::parse(name).unwrap();
            let text = layout.print(Timestamp(at), &place);
            let read = layout.read(&text, None, NOW).unwrap();
            // Offsets with seconds, of long ago, are cut to minutes by most layouts.
            prop_assert!((read.nanos() - at).abs() < 60_000_000_000, "{}: {}", name, text);
            if at > 0 {
                prop_assert_eq!(read, Timestamp(at));
            }
        }
    }

    #[test]
    fn the_fast_path_agrees_with_the_layout(at in i64::MIN / 1_000..i64::MAX / 1_000, scale in 0..4_u32, place in prop::sample::select(vec!["", "Europe/Zurich"])) {
        let at = at.saturating_mul(10_i64.pow(scale));
        let layout = Layout::parse("RFC3339Nano").unwrap();
        let text = layout.print(Timestamp(at), &zone(place));
        let fast = rfc3339_nano(text.as_bytes());
        if fast.is_some() {
            prop_assert_eq!(fast, layout.read(&text, None, NOW).ok());
        } else {
            prop_assert!(at.abs() > 9_000_000_000_000_000_000, "{}", text);
        }
    }

    #[test]
    fn the_fast_path_agrees_on_damaged_times(text in "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,11})?(Z|[+-][0-2][0-9]:[0-6][0-9])") {
        let slow = read("RFC3339Nano", &text).ok().map(Timestamp);
        prop_assert_eq!(rfc3339_nano(text.as_bytes()), slow);
    }

    #[test]
    fn nothing_panics(layout in "[JMa-z_0-9:.,TZ +-]{0,24}|.{0,12}", value in ".{0,24}", at in any::<i64>()) {
        if let Ok(layout) = Layout::parse(&layout) {
            drop(layout.read(&value, None, Timestamp(at)));
            drop(layout.print(Timestamp(at), &TimeZone::UTC));
        }
        prop_assert_ne!(rfc3339_nano(value.as_bytes()), Some(Timestamp::MIN));
    }

    #[test]
    fn days_and_dates_are_inverse(days in -200_000..200_000_i64) {
        let date = civil::Civil::of_days(days);
        prop_assert_eq!(civil::days(date.year, date.month, date.day), days);
        prop_assert!(date.day <= civil::days_in_month(date.year, date.month));
        let next = civil::Civil::of_days(days + 1);
        prop_assert_eq!((date.weekday + 1) % 7, next.weekday);
    }
}
