//! Sizes and times: what is read, what is refused, and that printing reads back.

use std::time::Duration;

use proptest::prelude::*;

use super::{Bytes, Span, parse_bytes, parse_span};

#[test]
fn sizes_are_read() {
    for (text, bytes) in [
        ("0", 0),
        ("1048576", 1 << 20),
        ("8MiB", 8 << 20),
        ("8 MiB", 8 << 20),
        ("256KB", 256 << 10),
        ("256kb", 256 << 10),
        ("64k", 64 << 10),
        ("10GiB", 10 << 30),
        ("1.5MiB", 3 << 19),
        ("0.5K", 512),
        ("0B", 0),
        ("7B", 7),
        ("2TB", 2 << 40),
        ("15EiB", 15 << 60),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
    }
}

#[test]
fn other_sizes_are_refused_with_a_reason() {
    for (text, reason) in [
        ("", "does not begin with a number"),
        ("MiB", "does not begin with a number"),
        ("-1", "does not begin with a number"),
        ("1..5M", "does not begin with a number"),
        ("8 mebibytes", "unit is none of"),
        ("8MiB!", "unit is none of"),
        ("8iB", "unit is none of"),
        ("0.3B", "too large or no whole number"),
        ("16EiB", "too large or no whole number"),
        ("18446744073709551616", "too large or no whole number"),
    ] {
        let fault = parse_bytes(text).expect_err(text).to_string();
        assert!(fault.contains(reason) && fault.ends_with("; write it like 8MiB or 256KB"), "{text}: {fault}");
    }
}

#[test]
fn spans_are_read() {
    for (text, nanos) in [
        ("0", 0),
        ("0s", 0),
        ("1ns", 1),
        ("250us", 250_000),
        ("250\u{b5}s", 250_000),
        ("500ms", 500_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("1h30m", 5_400_000_000_000),
        ("30d1h", 721 * 3_600_000_000_000),
        ("1w", 7 * 86_400_000_000_000),
        ("1y", 365 * 86_400_000_000_000),
    ] {
        assert_eq!(parse_span(text), Ok(Duration::from_nanos(nanos)), "{text}");
    }
}

#[test]
fn other_spans_are_refused_with_a_reason() {
    for (text, reason) in [
        ("", "empty"),
        ("-5m", "negative"),
        ("30", "unit is missing"),
        ("1h30", "unit is missing"),
        ("h", "number is missing"),
        ("1h m", "none of ns"),
        ("5 minutes", "none of ns"),
        ("5M", "none of ns"),
        ("0.1ns", "finer than a nanosecond"),
        ("293y", "longer than 292 years"),
        ("99999999999999999999999999999999y", "too long"),
    ] {
        let fault = parse_span(text).expect_err(text).to_string();
        assert!(fault.contains(reason) && fault.ends_with("; write it like 500ms, 1h30m or 30d"), "{text}: {fault}");
    }
}

#[test]
fn they_print_as_loki_prints_them() {
    for (text, printed) in
        [("721h", "30d1h"), ("168h", "1w"), ("14d", "2w"), ("8d", "8d"), ("90m", "1h30m"), ("0s", "0s"), ("1m", "1m"), ("1500us", "1ms500us")]
    {
        assert_eq!(text.parse::<Span>().expect("a span").to_string(), printed);
    }
    for (bytes, printed) in [(0, "0B"), (1000, "1000B"), (8 << 20, "8MiB"), (3 << 19, "1536KiB"), (u64::MAX, "18446744073709551615B"), (1 << 63, "8EiB")] {
        assert_eq!(Bytes(bytes).to_string(), printed);
    }
}

#[test]
fn a_long_text_is_cut_in_the_fault() {
    let fault = parse_span(&"x".repeat(10_000)).expect_err("no span").to_string();
    assert!(fault.len() < 250, "{fault}");
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(bytes: u64, nanos in 0..i64::MAX as u64) {
        prop_assert_eq!(Bytes(bytes).to_string().parse::<Bytes>(), Ok(Bytes(bytes)));
        let span = Span(Duration::from_nanos(nanos));
        prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
    }

    #[test]
    fn no_text_makes_them_panic(text in "\\PC{0,40}", numeric in "[0-9.a-zA-Z ]{0,40}") {
        for text in [text, numeric] {
            prop_assert!(parse_bytes(&text).map_or(true, |b| b.to_string().len() < 40));
            prop_assert!(parse_span(&text).map_or(true, |s| Span(s).to_string().len() < 60));
        }
    }
}
