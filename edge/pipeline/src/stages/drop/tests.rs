//! Dropping: every condition must hold, and every dropped line is counted.

use std::time::Duration;

use crate::testing::{NOW, lines, through};

#[test]
fn the_line_is_judged_without_a_source() {
    let (out, counters) = through("- drop: {expression: '.*debug.*'}", &["level=debug x", "level=info x"]);
    assert_eq!(lines(&out), ["level=info x"]);
    assert_eq!(counters.lines_dropped["drop_stage"], 1);
}

#[test]
fn length_alone() {
    let (out, _) = through("- drop: {longer_than: 8b}", &["12345678", "123456789"]);
    assert_eq!(lines(&out), ["12345678"]);
}

#[test]
fn age_alone() {
    let yaml = "- regex: {expression: '^(?P<t>\\d+)'}\n- timestamp: {source: t, format: UnixNs}\n- drop: {older_than: 24h, drop_counter_reason: too_old}\n";
    let limit = NOW.minus(Duration::from_secs(86_400)).nanos();
    let (old, young) = ((limit - 1).to_string(), limit.to_string());
    let (out, counters) = through(yaml, &[&old, &young]);
    assert_eq!(lines(&out), [young]);
    assert_eq!(counters.lines_dropped["too_old"], 1);
}

#[test]
fn values_are_judged_by_being_there_being_equal_or_matching() {
    let values = "- logfmt: {mapping: {level: , app: , gone: }}\n";
    let given = ["level=error app=foo", "level=info app=foo", "level=info", "app=foo", "none="];
    for (drop, kept) in [
        ("source: level", vec![3, 4]),
        ("source: [level, app]", vec![2, 3, 4]),
        ("source: level, value: error", vec![1, 2, 3, 4]),
        ("source: level, value: err", vec![0, 1, 2, 3, 4]),
        ("source: level, expression: 'err|warn'", vec![1, 2, 3, 4]),
        ("source: [level, app], value: error;foo", vec![1, 2, 3, 4]),
        ("source: [level, app], separator: '#', expression: '^(error|info)#foo$'", vec![2, 3, 4]),
        ("source: [level, app], expression: '^info$'", vec![0, 1, 3, 4]),
        ("source: gone, value: ''", vec![]),
        ("source: level, longer_than: 18", vec![1, 2, 3, 4]),
    ] {
        let (out, _) = through(&format!("{values}- drop: {{{drop}}}"), &given);
        let wanted: Vec<_> = kept.into_iter().map(|n: usize| given[n]).collect();
        assert_eq!(lines(&out), wanted, "{drop}");
    }
}

#[test]
fn all_conditions_must_hold() {
    let (out, _) = through("- drop: {longer_than: 5, expression: x}", &["x", "xxxxxx", "yyyyyy"]);
    assert_eq!(lines(&out), ["x", "yyyyyy"]);
}

#[test]
fn labels_can_be_judged() {
    let (out, counters) = through("- drop: {source: job, value: test}", &["a", "b"]);
    assert_eq!(out, []);
    assert_eq!(counters.lines_dropped["drop_stage"], 2);
}

#[test]
fn a_broken_byte_is_any_character() {
    let mut run = crate::testing::run("- drop: {expression: '^a.b$'}", &[]);
    run.line(b"a\xffb", NOW, &mut |_| panic!("the line matches"));
    assert_eq!(run.take_counters().lines_dropped["drop_stage"], 1);
}
