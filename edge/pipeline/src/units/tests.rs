//! Durations and sizes: what Go accepts is read alike, what it refuses is refused.

use std::time::Duration;

use super::{byte_size, duration};

#[test]
fn durations_are_read_as_go_reads_them() {
    for (text, nanos) in [
        ("3s", 3_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("250ms", 250_000_000),
        ("10us", 10_000),
        ("10\u{b5}s", 10_000),
        ("0", 0),
        ("+24h", 86_400_000_000_000),
        ("1.000000001s", 1_000_000_001),
    ] {
        assert_eq!(duration(text), Some(Duration::from_nanos(nanos)), "{text}");
    }
}

#[test]
fn what_go_refuses_is_refused() {
    for text in ["", "3", "7d", "s", "1.2.3s", ".s", "-3s", "3 s", "1h x", "99999999999h", "1e3s"] {
        assert_eq!(duration(text), None, "{text}");
    }
}

#[test]
fn sizes_are_powers_of_1024() {
    for (text, bytes) in [("0", 0), ("512", 512), ("8kb", 8192), ("1MB", 1 << 20), ("2GiB", 2 << 30), ("1 KB", 1024), ("3B", 3), ("1m", 1 << 20)] {
        assert_eq!(byte_size(text), Some(bytes), "{text}");
    }
    for text in ["", "kb", "1Kb", "1.5MB", "-1", "12zz", "99999999999999999999", "18446744073709551615kb"] {
        assert_eq!(byte_size(text), None, "{text}");
    }
}
