//! A value as the line.

use crate::testing::{lines, through};

#[test]
fn a_value_becomes_the_line() {
    let (out, _) = through("- logfmt: {mapping: {message: msg}}\n- output: {source: message}\n", &["msg=hello level=info", "level=info"]);
    assert_eq!(lines(&out), ["hello", "level=info"], "without the value the line stays");
}

#[test]
fn an_empty_value_makes_an_empty_line() {
    let (out, _) = through("- logfmt: {mapping: {message: msg}}\n- output: {source: message}\n", &["msg= level=info"]);
    assert_eq!(lines(&out), [""]);
}

#[test]
fn values_outlive_the_line_they_came_from() {
    let yaml = "- regex: {expression: '^(?P<a>\\w+) (?P<b>\\w+)$'}\n- output: {source: a}\n- regex: {expression: '^(?P<c>..)'}\n- output: {source: b}\n- labels: {c: }\n";
    let (out, _) = through(yaml, &["first second"]);
    assert_eq!((out[0].line.as_str(), out[0].labels.as_str()), ("second", r#"{c="fi", job="test"}"#));
}
