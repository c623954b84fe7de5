//! What Go's parsers say about the same texts.

use super::{bytes, duration_ns, float};

#[test]
fn floats_are_read_as_go_reads_them() {
    for (text, value) in [("1", 1.0), ("-1.5e3", -1500.0), (".5", 0.5), ("5.", 5.0), ("0x1p4", 16.0), ("-0x1.8p1", -3.0)] {
        assert_eq!(float(text), Ok(value), "{text}");
    }
    assert_eq!(float("+Inf"), Ok(f64::INFINITY));
    assert!(float("nan").unwrap().is_nan());
    assert_eq!(float("label"), Err("strconv.ParseFloat: parsing \"label\": invalid syntax".to_owned()));
    assert_eq!(float("1e999"), Err("strconv.ParseFloat: parsing \"1e999\": value out of range".to_owned()));
    for text in ["", "0x4bf", "1_0", " 1", "5KB"] {
        assert!(float(text).is_err(), "{text}");
    }
}

#[test]
fn durations_are_read_as_go_reads_them() {
    for (text, value) in
        [("1s", 1_000_000_000), ("1h2m", 3_720_000_000_000), ("1.5ms", 1_500_000), ("219µs", 219_000), ("-2s", -2_000_000_000), ("0", 0), (".5s", 500_000_000)]
    {
        assert_eq!(duration_ns(text), Ok(value), "{text}");
    }
    assert_eq!(duration_ns("oops"), Err("time: invalid duration \"oops\"".to_owned()));
    assert_eq!(duration_ns("5"), Err("time: missing unit in duration \"5\"".to_owned()));
    assert_eq!(duration_ns("1d"), Err("time: unknown unit \"d\" in duration \"1d\"".to_owned()));
    assert!(duration_ns("").is_err());
    assert!(duration_ns("9999999h").is_err());
}

#[test]
fn sizes_are_read_in_any_case_and_base() {
    for (text, value) in
        [("512", 512), ("6MiB", 6 << 20), ("49.5KB", 49_500), ("2.5 GB", 2_500_000_000), ("33kB", 33_000), ("1b", 1), ("1,000", 1_000), ("2Ki", 2_048)]
    {
        assert_eq!(bytes(text), Ok(value), "{text}");
    }
    for text in ["", "many", "5ZB", "-1KB", "99999999EB"] {
        assert!(bytes(text).is_err(), "{text}");
    }
}
