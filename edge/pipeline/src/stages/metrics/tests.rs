//! Metrics of lines.

use crate::testing::{NOW, run};

fn text(yaml: &str, lines: &[&str]) -> String {
    let mut run = run(yaml, &[("job", "j")]);
    for line in lines {
        run.line(line.as_bytes(), NOW, &mut |_| {});
    }
    run.program().registry().text().lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn counters() {
    let yaml = "
- regex: {expression: '(?P<word>\\w+) (?P<size>\\S+)'}
- metrics:
    lines: {type: Counter, description: all lines, config: {match_all: true, action: inc}}
    bytes: {type: counter, prefix: my_, config: {match_all: true, count_entry_bytes: true, action: ADD}}
    ok: {type: Counter, source: word, config: {value: ok, action: inc}}
    size: {type: Counter, config: {action: add}}
    never: {type: Counter, source: absent, config: {action: inc}}
";
    assert_eq!(
        text(yaml, &["ok 1.5s", "no 3", "ok -1", "ok x", "none"]),
        "my_bytes{job=\"j\"} 24\npromtail_custom_lines{job=\"j\"} 5\npromtail_custom_ok{job=\"j\"} 3\npromtail_custom_size{job=\"j\"} 4.5\n"
    );
}

#[test]
fn gauges_and_histograms() {
    let yaml = "
- json: {expressions: {v: }}
- metrics:
    a_set: {type: Gauge, source: v, config: {action: set}}
    b_sub: {type: Gauge, source: v, config: {action: sub}}
    c_dec: {type: Gauge, source: v, config: {action: dec}}
    d: {type: Histogram, source: v, config: {buckets: [1, 10]}}
";
    let expected = "promtail_custom_a_set{job=\"j\"} 0.5\npromtail_custom_b_sub{job=\"j\"} -21.5\npromtail_custom_c_dec{job=\"j\"} -4\n\
        promtail_custom_d_bucket{job=\"j\",le=\"1\"} 2\npromtail_custom_d_bucket{job=\"j\",le=\"10\"} 2\npromtail_custom_d_bucket{job=\"j\",le=\"+Inf\"} 3\n\
        promtail_custom_d_sum{job=\"j\"} 21.5\npromtail_custom_d_count{job=\"j\"} 3\n";
    assert_eq!(text(yaml, &[r#"{"v":20}"#, r#"{"v":true}"#, r#"{"v":null}"#, r#"{"v":"500ms"}"#]), expected);
}

#[test]
fn values_that_are_no_numbers_are_counted() {
    let mut run = run("- regex: {expression: '(?P<v>.*)'}\n- metrics: {v: {type: Counter, config: {action: add}}}", &[]);
    for line in ["x", "-1", "NaN", "2"] {
        run.line(line.as_bytes(), NOW, &mut |_| {});
    }
    assert_eq!(run.take_counters().parse_errors.get("metrics"), Some(&3));
    assert!(run.program().registry().text().ends_with("promtail_custom_v 2\n"));
}

#[test]
fn a_name_has_one_type() {
    let found = crate::testing::mistakes("- metrics: {a: {type: Counter, config: {action: inc}}}\n- metrics: {a: {type: Gauge, config: {action: inc}}}");
    assert!(found[0].text.contains("of another type") && found[0].line == 2, "{found:?}");
}
