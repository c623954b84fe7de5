//! Times, sizes and numbers: both ways, against what Prometheus, Go and Loki print.

use super::*;
use proptest::prelude::*;

#[test]
fn ranges_are_read_as_prometheus_does() {
    for (text, nanos) in [("5m", 5 * MINUTE), ("1h30m", 90 * MINUTE), ("1y2w3d4h5m6s7ms", 382 * DAY + 4 * HOUR + 5 * MINUTE + 6 * SECOND + 7 * MS), ("0", 0)] {
        assert_eq!(parse_prometheus(text), Ok(nanos), "{text}");
    }
    for (text, reason) in [
        ("", "empty duration string"),
        ("5", "not a valid duration string: \"5\""),
        ("-5m", "not a valid duration string: \"-5m\""),
        (" 5m ", "not a valid duration string: \" 5m \""),
        ("5m1h", "not a valid duration string: \"5m1h\""),
        ("1m1m", "not a valid duration string: \"1m1m\""),
        ("1ns", "unknown unit \"ns\" in duration \"1ns\""),
        ("1.5h", "unknown unit \".\" in duration \"1.5h\""),
        ("300y", "duration out of range"),
        ("99999999999999999999s", "duration out of range"),
    ] {
        assert_eq!(parse_prometheus(text), Err(reason.to_owned()), "{text}");
    }
}

#[test]
fn ranges_are_printed_as_prometheus_does() {
    for (text, printed) in
        [("90m", "1h30m"), ("25h", "1d1h"), ("14d", "2w"), ("15d", "15d"), ("365d", "1y"), ("1y2w", "379d"), ("0s", "0s"), ("1500ms", "1s500ms")]
    {
        assert_eq!(print_prometheus(parse_prometheus(text).unwrap()), printed);
    }
    assert_eq!(print_prometheus(-HOUR), "-1h");
}

#[test]
fn durations_are_read_as_go_does_or_with_days() {
    for (text, nanos) in [
        ("5m", 5 * MINUTE),
        ("-1h1.5m", -(HOUR + 90 * SECOND)),
        (".5s", SECOND / 2),
        ("5.s", 5 * SECOND),
        ("1500us", 1_500_000),
        ("3µs", 3_000),
        ("3μs", 3_000),
        ("7ns", 7),
        ("1m1m", 2 * MINUTE),
        ("1d12h", 36 * HOUR),
        ("0s", 0),
    ] {
        assert_eq!(parse_duration(text), Some(nanos), "{text}");
    }
    for text in ["", "-", "5", "-0", "0", ".s", "1.5d", "1h1d", "5x", "1.2.3s", "10000000h", "99999999999999999999999s", "s"] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}

#[test]
fn sizes_keep_their_value() {
    for (number, suffix, bytes, printed) in [
        ("10", "KB", 10_000, "10kB"),
        ("1", "MB", 1_000_000, "1.0MB"),
        ("2.5", "GB", 2_500_000_000, "2.5GB"),
        ("1", "KiB", 1024, "1KiB"),
        ("1.5", "KiB", 1536, "1536B"),
        ("1.5", "KB", 1500, "1.5kB"),
        ("1.5", "B", 1, "1B"),
        ("5", "k", 5000, "5.0kB"),
        ("5", "Mi", 5 << 20, "5MiB"),
        ("1234", "B", 1234, "1234B"),
        ("999999", "B", 999_999, "999999B"),
        ("0", "B", 0, "0B"),
        ("15", "EB", 15_000_000_000_000_000_000, "15EB"),
    ] {
        assert_eq!(parse_bytes(number, suffix), Some(bytes), "{number}{suffix}");
        assert_eq!(print_bytes(bytes), printed);
    }
    for (number, suffix) in [("1", "ZB"), ("1", "i"), ("1", "iB"), ("1", "kk"), ("20", "EB"), ("1", "BB"), ("x", "B")] {
        assert_eq!(parse_bytes(number, suffix), None, "{number}{suffix}");
    }
}

#[test]
fn numbers_are_printed_as_go_does() {
    for (value, short, decimal) in [
        (5.0, "5", "5"),
        (-5.5, "-5.5", "-5.5"),
        (1e5, "100000", "100000"),
        (1e6, "1e+06", "1000000"),
        (1_234_567.0, "1.234567e+06", "1234567"),
        (1e-4, "0.0001", "0.0001"),
        (1e-5, "1e-05", "0.00001"),
        (1e21, "1e+21", "1000000000000000000000"),
        (1e100, "1e+100", &format!("1{}", "0".repeat(100))),
        (f64::INFINITY, "+Inf", "+Inf"),
        (f64::NEG_INFINITY, "-Inf", "-Inf"),
        (f64::NAN, "NaN", "NaN"),
    ] {
        assert_eq!((print_number(value).as_str(), print_decimal(value).as_str()), (short, decimal));
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(nanos in (i64::MIN + 1)..i64::MAX, small in -5_000_000_000_i64..5_000_000_000, bytes: u64) {
        prop_assert_eq!(parse_duration(&print_go(nanos)), Some(nanos));
        prop_assert_eq!(parse_duration(&print_go(small)), Some(small));
        let ms = nanos.unsigned_abs() as i64 / MS * MS;
        prop_assert_eq!(parse_prometheus(&print_prometheus(ms)), Ok(ms));
        for bytes in [bytes, bytes >> 20, bytes >> 40] {
            let text = print_bytes(bytes);
            let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap();
            prop_assert_eq!(parse_bytes(&text[..at], &text[at..]), Some(bytes));
        }
    }

    #[test]
    fn no_text_makes_them_panic(text: String, digits in "[0-9.]{0,30}", unit in "[a-zA-Zµ]{0,4}") {
        for text in [text, format!("{digits}{unit}")] {
            drop((parse_prometheus(&text), parse_duration(&text)));
        }
        prop_assert!(parse_bytes(&digits, &unit).is_none_or(|_| !digits.is_empty()));
    }
}
