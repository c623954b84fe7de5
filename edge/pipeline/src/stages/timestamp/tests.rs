//! Times from values, and what happens when there is none.

use std::sync::Arc;

use proto_model::{Labels, Timestamp};

use super::GoodTimes;
use crate::limits::GOOD_TIMES_MAX;
use crate::testing::{NOW, through};

const LINE: &str = "- regex: {expression: '^(?P<t>.*?) \\| '}\n";

fn time_of(timestamp: &str, text: &str) -> Timestamp {
    let (out, _) = through(&format!("{LINE}- timestamp: {{source: t, {timestamp}}}"), &[&format!("{text} | x")]);
    out[0].time
}

#[test]
fn named_formats_and_layouts_are_read() {
    for (timestamp, text, nanos) in [
        ("format: RFC3339Nano", "2019-01-01T01:00:00.000000001Z", 1_546_304_400_000_000_001),
        ("format: RFC3339", "2019-01-01T01:00:00+01:00", 1_546_300_800_000_000_000),
        ("format: Unix", "1562708916", 1_562_708_916_000_000_000),
        ("format: Unix", "1562708916.5", 1_562_708_916_500_000_000),
        ("format: UnixMs", "1562708916414", 1_562_708_916_414_000_000),
        ("format: UnixUs", "1562708916414123", 1_562_708_916_414_123_000),
        ("format: UnixNs", "1562708916414123451", 1_562_708_916_414_123_451),
        ("format: '2006-01-02 15:04:05.000'", "2012-11-01 22:08:41.123", 1_351_807_721_123_000_000),
        ("format: '2006-01-02 15:04:05', location: America/New_York", "2012-11-01 18:08:41", 1_351_807_721_000_000_000),
        ("format: RFC1123Z", "Thu, 01 Nov 2012 22:08:41 +0000", 1_351_807_721_000_000_000),
    ] {
        assert_eq!(time_of(timestamp, text), Timestamp(nanos), "{timestamp} {text}");
    }
}

#[test]
fn the_year_that_is_missing_is_the_present_one() {
    assert_eq!(time_of("format: 'Jan _2 15:04:05'", "Mar  9 10:11:12"), Timestamp::from_secs(1_709_979_072));
}

#[test]
fn fallbacks_are_tried_in_turn() {
    let formats = "format: UnixMs, fallback_formats: [RFC3339, '2006-01-02']";
    assert_eq!(time_of(formats, "1562708916414"), Timestamp::from_millis(1_562_708_916_414));
    assert_eq!(time_of(formats, "2019-01-01T01:00:00Z"), Timestamp::from_secs(1_546_304_400));
    assert_eq!(time_of(formats, "2019-01-01"), Timestamp::from_secs(1_546_300_800));
}

#[test]
fn a_failure_is_fudged_behind_the_last_good_time_of_the_labels() {
    let yaml = format!(
        "- regex: {{expression: '^(?P<app>\\w+) (?P<rest>.*)'}}\n- labels: {{app: }}\n- output: {{source: rest}}\n{LINE}- timestamp: {{source: t, format: Unix}}"
    );
    let (out, counters) = through(&yaml, &["a first | ", "a 100 | ", "a bad | ", "b 200 | ", "a worse | ", "b 2e9 | ", "a 50 | ", "a none | "]);
    let times: Vec<_> = out.iter().map(|record| record.time.0).collect();
    let second = 1_000_000_000;
    assert_eq!(times, [NOW.0, 100 * second, 100 * second + 1, 200 * second, 100 * second + 2, 200 * second + 1, 50 * second, 50 * second + 1]);
    assert_eq!(counters.parse_errors["timestamp"], 5);
}

#[test]
fn a_failure_can_leave_the_time_as_it_is() {
    let (out, counters) = through(&format!("{LINE}- timestamp: {{source: t, format: Unix, action_on_failure: skip}}"), &["100 | x", "bad | x", "no source"]);
    assert_eq!(out.iter().map(|record| record.time).collect::<Vec<_>>(), [Timestamp::from_secs(100), NOW, NOW]);
    assert_eq!(counters.parse_errors["timestamp"], 2);
}

#[test]
fn times_out_of_range_are_failures() {
    for text in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "NaN"] {
        let (out, counters) = through(&format!("{LINE}- timestamp: {{source: t, format: RFC3339}}"), &[&format!("{text} | x")]);
        assert_eq!(out[0].time, NOW, "{text}");
        assert_eq!(counters.parse_errors["timestamp"], 1);
    }
}

#[test]
fn only_so_many_label_sets_are_remembered() {
    let mut times = GoodTimes::default();
    let labels = |n: usize| Arc::new(Labels::from_pairs([("n", n.to_string())]));
    for n in 0..GOOD_TIMES_MAX {
        times.set(&labels(n), Timestamp(n as i64));
    }
    times.set(&labels(0), Timestamp(1000));
    times.set(&labels(GOOD_TIMES_MAX), Timestamp(1));
    assert_eq!(times.times.len(), GOOD_TIMES_MAX);
    assert_eq!(times.last(&labels(0)), Some(Timestamp(1000)), "used lately");
    assert_eq!(times.last(&labels(1)), None, "unused for longest");
    assert_eq!(times.last(&labels(GOOD_TIMES_MAX)), Some(Timestamp(1)));
}
