use super::*;

#[test]
fn a_line_looks_as_in_promtails_dry_run() {
    let labels = Labels::from_pairs([("job", "a"), ("b", "c")]);
    for (nanos, time) in [
        (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456789+0000"),
        (1_700_000_000_120_000_000, "2023-11-14T22:13:20.12+0000"),
        (1_700_000_000_000_000_000, "2023-11-14T22:13:20+0000"),
        (-1, "1969-12-31T23:59:59.999999999+0000"),
    ] {
        let shown = String::from_utf8(line(&labels, Timestamp(nanos), b"text")).unwrap();
        assert_eq!(shown, format!("{time}\t{{b=\"c\", job=\"a\"}}\ttext\n"));
    }
}
