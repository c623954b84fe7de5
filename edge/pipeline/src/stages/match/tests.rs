//! Lines chosen by a selector.

use crate::testing::{lines, through};

#[test]
fn chosen_lines_go_through_the_nested_stages() {
    let yaml = r#"
- logfmt: {mapping: {app: , msg: message}}
- labels: {app: }
- match:
    selector: '{app="loki"}'
    stages:
      - output: {source: msg}
- match:
    pipeline_name: app2
    selector: '{app="poki"}'
    stages:
      - logfmt: {mapping: {msg: m}}
      - output: {source: msg}
- static_labels: {end: reached}
"#;
    let (out, _) = through(yaml, &["app=loki message=one", "app=poki m=two", "app=other message=three"]);
    assert_eq!(lines(&out), ["one", "two", "app=other message=three"]);
    assert!(out.iter().all(|record| record.labels.contains(r#"end="reached""#)));
}

#[test]
fn chosen_lines_can_be_dropped() {
    let yaml = "- match: {selector: '{job=\"test\"} |~ \".*noisy error.*\"', action: drop, drop_counter_reason: noise}\n- match: {selector: '{job=\"test\"} |= \"also\"', action: drop}\n";
    let (out, counters) = through(yaml, &["a noisy error", "fine", "this also"]);
    assert_eq!(lines(&out), ["fine"]);
    assert_eq!((counters.lines_dropped["noise"], counters.lines_dropped["match_stage"]), (1, 1));
}

#[test]
fn the_line_is_judged_as_it_is_by_then() {
    let yaml = "- cri: {}\n- match: {selector: '{stream=\"stderr\"} |= \"F\"', action: drop}\n";
    let (out, _) = through(yaml, &["2024-01-01T00:00:00Z stderr F no letter", "2024-01-01T00:00:00Z stderr F an F"]);
    assert_eq!(lines(&out), ["no letter"]);
}

#[test]
fn matches_nest() {
    let yaml = r#"
- match:
    selector: '{job="test"}'
    stages:
      - match:
          selector: '{job=~".+"} |= "a"'
          stages: [{static_labels: {inner: yes}}]
      - static_labels: {outer: yes}
"#;
    let (out, _) = through(yaml, &["a", "b"]);
    assert_eq!(out[0].labels, r#"{inner="yes", job="test", outer="yes"}"#);
    assert_eq!(out[1].labels, r#"{job="test", outer="yes"}"#);
}
