//! Named groups, as the documentation of Promtail's `regex` stage shows them.

use crate::testing::{lines, through};

const ACCESS: &str = r#"11.11.11.11 - frank [25/Jan/2000:14:00:01 -0500] "GET /1986.js HTTP/1.1" 200 932 "-" "Mozilla/5.0 (Windows; U)""#;

#[test]
fn groups_become_values() {
    let yaml = r#"
- regex:
    expression: '^(?P<ip>\S+) (?P<identd>\S+) (?P<user>\S+) \[(?P<timestamp>[\w:/]+\s[+\-]\d{4})\] "(?P<action>\S+)\s?(?P<path>\S+)?\s?(?P<protocol>\S+)?" (?P<status>\d{3}|-) (?P<size>\d+|-)'
- labels: {ip: , user: , action: , status: , path: }
"#;
    let (out, _) = through(yaml, &[ACCESS]);
    assert_eq!(out[0].labels, r#"{action="GET", ip="11.11.11.11", job="test", path="/1986.js", status="200", user="frank"}"#);
    assert_eq!(out[0].line, ACCESS);
}

#[test]
fn a_source_is_read_instead_of_the_line() {
    let yaml = "
- regex: {expression: '^time=(?P<time>\\S+) (?P<rest>.*)$'}
- regex: {source: time, expression: '^(?P<year>\\d+)'}
- labels: {year: }
- output: {source: rest}
";
    let (out, _) = through(yaml, &["time=2012-11-01 the rest"]);
    assert_eq!((out[0].labels.as_str(), out[0].line.as_str()), (r#"{job="test", year="2012"}"#, "the rest"));
}

#[test]
fn a_source_that_is_written_to_may_be_read_too() {
    let yaml = "- regex: {expression: '(?P<a>.+)'}\n- regex: {source: a, expression: '^(?P<a>.)(?P<b>.)'}\n- labels: {a: , b: }\n";
    let (out, _) = through(yaml, &["xyz"]);
    assert_eq!(out[0].labels, r#"{a="x", b="y", job="test"}"#);
}

#[test]
fn without_a_match_nothing_changes() {
    let yaml = "- static_labels: {a: before}\n- regex: {expression: '^(?P<a>\\d+)$'}\n- labels: {a: }\n";
    let (out, counters) = through(yaml, &["no digits"]);
    assert_eq!(out[0].labels, r#"{a="before", job="test"}"#);
    assert!(counters.is_empty());
}

#[test]
fn a_group_without_part_in_the_match_is_empty() {
    let yaml = "- static_labels: {b: before}\n- regex: {expression: '(?P<a>x)|(?P<b>y)'}\n- labels: {a: , b: }\n";
    let (out, _) = through(yaml, &["x"]);
    assert_eq!(out[0].labels, r#"{a="x", job="test"}"#, "an empty value takes the label away");
}

#[test]
fn a_missing_source_changes_nothing() {
    let (out, _) = through("- regex: {source: none, expression: '(?P<a>.)'}\n- labels: {a: }\n", &["x"]);
    assert_eq!(out[0].labels, r#"{job="test"}"#);
}

#[test]
fn bytes_that_are_no_text_stay_as_they_are() {
    let yaml = "- regex: {expression: '^<(?P<body>.*)>$'}\n- output: {source: body}\n";
    let mut run = crate::testing::run(yaml, &[]);
    let mut out = Vec::new();
    run.line(b"<a\xff\xc3\x28b>", crate::testing::NOW, &mut |record| out.push(record.line.to_vec()));
    assert_eq!(out, [b"a\xff\xc3\x28b"]);
}

#[test]
fn the_dialect_is_go_s() {
    let (out, _) = through("- regex: {expression: '^(?P<digits>\\d+)'}\n- output: {source: digits}\n", &["12\u{663}4"]);
    assert_eq!(lines(&out), ["12"], "an Arabic digit is no \\d in Go");
}

#[test]
fn a_source_that_reads_as_before_gives_what_it_gave() {
    let yaml = "
- regex: {expression: '^(?P<path>\\S+) (?P<rest>.*)$'}
- regex: {source: path, expression: '^/(?P<app>[a-z]+)(?P<number>\\d+)?'}
- labels: {app: , number: }
- output: {source: rest}
";
    let long = format!("/{} x", "z".repeat(5_000));
    let lines = ["/a1 x", "/a1 x", "/b2 x", "-no x", "-no x", "/a x", "/a x", &long, &long, "/a1 x"];
    let (out, _) = through(yaml, &lines);
    let labels: Vec<&str> = out.iter().map(|out| out.labels.as_str()).collect();
    let (a1, b2, none, a) = (r#"{app="a", job="test", number="1"}"#, r#"{app="b", job="test", number="2"}"#, r#"{job="test"}"#, r#"{app="a", job="test"}"#);
    assert_eq!(labels[..7], [a1, a1, b2, none, none, a, a]);
    assert_eq!((labels[7], labels[9]), (labels[8], a1));
}
