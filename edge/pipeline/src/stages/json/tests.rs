//! JSON places, as the documentation of Promtail's `json` stage shows them.

use crate::testing::{lines, mistakes, through};

#[test]
fn places_become_values() {
    let yaml = "
- json: {expressions: {output: log, stream: stream, timestamp: time}}
- labels: {stream: , timestamp: }
- output: {source: output}
";
    let (out, counters) = through(yaml, &[r#"{"log":"log message\n","stream":"stderr","time":"2019-04-30T02:12:41.8443515Z"}"#]);
    assert_eq!(lines(&out), ["log message\n"]);
    assert_eq!(out[0].labels, r#"{job="test", stream="stderr", timestamp="2019-04-30T02:12:41.8443515Z"}"#);
    assert!(counters.is_empty());
}

#[test]
fn a_value_may_be_json_again() {
    let yaml = "
- json: {expressions: {output: log, extra: }}
- json: {source: extra, expressions: {user: }}
- labels: {user: , extra: }
";
    let (out, _) = through(yaml, &[r#"{"log":"x","extra":"{\"user\":\"marco\"}"}"#]);
    assert_eq!(out[0].labels, r#"{extra="{\"user\":\"marco\"}", job="test", user="marco"}"#);
}

#[test]
fn each_kind_of_value_has_its_text() {
    let yaml = "- json: {expressions: {a: n, b: t, c: o, d: l, e: o.deep, f: 'l[0]', g: '\"grpc.code\"', h: big}}\n- labels: {a: , b: , c: , d: , e: , f: , g: , h: }\n";
    let (out, _) = through(yaml, &[r#"{"n":1.50,"t":true,"o":{"z":1,"deep":"x"},"l":["p",2],"grpc.code":"OK","big":1e6}"#]);
    assert_eq!(out[0].labels, r#"{a="1.5", b="true", c="{\"deep\":\"x\",\"z\":1}", d="[\"p\",2]", e="x", f="p", g="OK", h="1000000", job="test"}"#);
}

#[test]
fn null_and_nothing_forget_an_earlier_value() {
    let yaml = "- json: {expressions: {a: x, b: y, c: z}}\n- json: {expressions: {a: n, b: none, c: z}}\n- labels: {a: , b: , c: }\n- drop: {source: [a, b]}\n";
    let (out, counters) = through(yaml, &[r#"{"x":"1","y":"2","z":"3","n":null}"#]);
    assert_eq!(out, [], "null is there, though no text");
    assert_eq!(counters.lines_dropped["drop_stage"], 1);
    let (out, _) = through(&yaml.replace("- drop: {source: [a, b]}\n", ""), &[r#"{"x":"1","y":"2","z":"3","n":null}"#]);
    assert_eq!(out[0].labels, r#"{c="3", job="test"}"#);
}

#[test]
fn a_line_that_is_no_object_is_counted_and_passes() {
    let broken = ["not json", r#"{"a":1"#, "[1]", "", r#"{"a":1} x"#, "5"];
    let (out, counters) = through("- static_labels: {a: before}\n- json: {expressions: {a: }}\n- labels: {a: }\n", &broken);
    assert_eq!(lines(&out), broken);
    assert!(out.iter().all(|record| record.labels == r#"{a="before", job="test"}"#));
    assert_eq!(counters.parse_errors["json"], broken.len() as u64);
}

#[test]
fn a_line_that_is_no_object_can_be_dropped() {
    for read in ["", "- labels: {a: }\n"] {
        let (out, counters) = through(&format!("- json: {{expressions: {{a: , b: }}, drop_malformed: true}}\n{read}"), &["not json", r#"{"a":"x"}"#, "{"]);
        assert_eq!(lines(&out), [r#"{"a":"x"}"#]);
        assert_eq!((counters.lines_dropped["json_malformed"], counters.parse_errors["json"]), (2, 2));
    }
    let (out, _) = through("- json: {source: none, expressions: {a: }, drop_malformed: true}\n", &["x"]);
    assert_eq!(lines(&out), ["x"], "a missing source is no malformed line");
}

#[test]
fn an_expression_that_cannot_be_read_is_a_mistake() {
    let found = mistakes("- json:\n    expressions:\n      a: 'x['\n      b: ok\n      c: 'length('\n");
    assert_eq!(found.iter().map(|m| (m.line, m.column)).collect::<Vec<_>>(), [(3, 10), (5, 10)]);
    assert!(found[0].text.starts_with("json: "), "{}", found[0].text);
}

#[test]
fn without_a_name_read_by_anyone_there_is_no_step() {
    assert!(crate::testing::program("- json: {expressions: {a: }}").ops.is_empty());
}
