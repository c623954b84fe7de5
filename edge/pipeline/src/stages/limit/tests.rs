//! Rates of lines: dropped, dropped by label, waited with.

use proto_model::Timestamp;

use crate::testing::{NOW, run};

const MS: i64 = 1_000_000;

/// How many of `lines` pass at each of the times (ms after the first).
fn passed(yaml: &str, labels: &[(&str, &str)], lines: &[&str], at_ms: &[i64]) -> Vec<usize> {
    let mut run = run(yaml, labels);
    let round = |at: &i64| {
        let mut count = 0;
        for line in lines {
            run.line(line.as_bytes(), Timestamp(NOW.0 + at * MS), &mut |_| count += 1);
        }
        count
    };
    at_ms.iter().map(round).collect()
}

#[test]
fn lines_beyond_the_burst_are_dropped() {
    let yaml = "- limit: {rate: 2, burst: 3, drop: true}";
    assert_eq!(passed(yaml, &[], &["a"; 5], &[0, 400, 1000, 1001, 10_000]), [3, 0, 2, 0, 3]);
    let mut run = run(yaml, &[]);
    for _ in 0..5 {
        run.line(b"a", NOW, &mut |_| {});
    }
    assert_eq!(run.take_counters().lines_dropped.get("ratelimit_drop_stage"), Some(&2));
    assert_eq!(run.wait_until(NOW), None, "what drops never waits");
}

#[test]
fn a_clock_that_is_set_back_gives_nothing() {
    assert_eq!(passed("- limit: {rate: 1, burst: 1, drop: true}", &[], &["a", "b"], &[0, -5000, -4000]), [1, 0, 1]);
}

#[test]
fn each_value_of_a_label_has_its_own_limit() {
    let yaml = "- regex: {expression: '(?P<user>.)'}\n- labels: {user: }\n- limit: {rate: 1, burst: 2, drop: true, by_label_name: user}";
    let mut source = run(yaml, &[]);
    let mut out = String::new();
    for line in ["a", "a", "a", "b", "b", "b", "a"] {
        source.line(line.as_bytes(), NOW, &mut |record| out.push_str(std::str::from_utf8(record.line).unwrap()));
    }
    assert_eq!(out, "aabb");
    let text = source.program().registry().text();
    assert!(text.contains("logentry_dropped_lines_by_label_total{label_name=\"user\",label_value=\"a\"} 2\n"), "{text}");
    let yaml = "- limit: {rate: 1, burst: 1, drop: true, by_label_name: user}";
    assert_eq!(passed(yaml, &[("job", "x")], &["a"; 9], &[0]), [9], "lines without the label are not limited");
}

#[test]
fn values_are_forgotten_by_generation() {
    let mut buckets = super::ByValue { newer: std::collections::BTreeMap::new(), older: std::collections::BTreeMap::new(), most: 2 };
    for name in ["a", "b", "c", "a", "d", "e"] {
        buckets.bucket(name, 5.0).tokens -= 1.0;
    }
    assert_eq!(buckets.bucket("a", 5.0).tokens, 3.0, "it was asked for since the last change");
    assert_eq!(buckets.bucket("b", 5.0).tokens, 5.0);
    assert!(buckets.newer.len() + buckets.older.len() <= 4);
}

#[test]
fn without_drop_every_line_passes_and_the_source_waits() {
    let mut source = run("- limit: {rate: 1000, burst: 10}", &[]);
    let mut now = NOW;
    let mut count = 0;
    // a reader that heeds the wait: lines as fast as it may, for two seconds
    while now.0 < NOW.0 + 2_000 * MS {
        if let Some(until) = source.wait_until(now) {
            assert!(until > now && until.0 - now.0 <= 25 * MS, "a wait is short");
            now = until;
            continue;
        }
        source.line(b"x", now, &mut |_| count += 1);
    }
    assert!((2_000..=2_040).contains(&count), "{count} lines in two seconds at 1000 a second");
    assert_eq!(source.wait_until(Timestamp(NOW.0 - 1)), None, "a clock that was set back ends a wait");
}

#[test]
fn sources_of_a_job_share_a_limit() {
    let program = crate::testing::program("- limit: {rate: 1, burst: 1}");
    let labels = std::sync::Arc::new(proto_model::Labels::empty());
    let mut one = crate::Run::new(std::sync::Arc::clone(&program), std::sync::Arc::clone(&labels));
    let other = crate::Run::new(program, labels);
    for _ in 0..2 {
        one.line(b"x", NOW, &mut |_| {});
    }
    assert!(other.wait_until(NOW).is_some());
}
