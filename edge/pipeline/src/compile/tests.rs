//! Every mistake at once, each with its place and a way out.

use super::reads;
use crate::limits::DEPTH_MAX;
use crate::program::Program;
use crate::stage::Op;
use crate::testing::{lines, mistakes, program, stages, through};

/// `LINE:COLUMN TEXT` of each mistake.
fn texts(yaml: &str) -> Vec<String> {
    let mistakes = mistakes(yaml);
    assert!(mistakes.iter().all(|m| !m.fix.is_empty()), "a mistake without a remedy: {mistakes:?}");
    mistakes.iter().map(|m| format!("{}:{} {}", m.line, m.column, m.text)).collect()
}

#[test]
fn all_mistakes_come_in_the_order_of_the_file() {
    let yaml = "\
- regex:
    expression: '(?P<a>'
- nonsense: {}
- timestamp:
    source: t
    format: nothing
    location: Middle/Earth
    action_on_failure: guess
- match:
    selector: '{a=}'
    stages:
      - output: {}
      - metrics: {}
";
    let found = texts(yaml);
    assert_eq!(found[0], "2:17 regex: error parsing regexp: missing closing ): `(?P<a>`");
    assert_eq!(found[1], "3:3 stage `nonsense` does not exist");
    assert!(found[2].starts_with("6:13 timestamp: time layout \"nothing\" names no part of a time"), "{}", found[2]);
    assert_eq!(found[3], "7:15 timestamp: location \"Middle/Earth\" is no IANA time zone");
    assert_eq!(found[4], "8:24 timestamp: action_on_failure \"guess\" is unknown");
    assert_eq!(found[5], "10:15 match: selector \"{a=}\": column 4: a string in quotes is expected");
    assert_eq!(found[6], "12:9 output: source is missing");
    assert_eq!(found[7], "13:9 metrics: no metric is given");
    assert_eq!(found.len(), 8);
}

#[test]
fn a_wrong_stage_of_promtails_rarer_ones_says_so() {
    let mut wrong = Vec::new();
    for (yaml, text) in [
        ("- template: {}", "1:3 template: source is missing"),
        ("- template: {source: a, template: '{{.a'}", "1:35 template: template: pipeline_template:1: unclosed action"),
        ("- template: {source: a, template: '{{env \"HOME\"}}'}", "1:35 template: template: pipeline_template:1: function \"env\" not defined"),
        ("- metrics:", "1:3 metrics: no metric is given"),
        ("- metrics: {m: {type: Meter}}", "1:23 metrics: type \"meter\" is unknown"),
        ("- metrics: {m: {type: Counter}}", "1:13 metrics: action \"\" is unknown"),
        ("- metrics: {m: {type: Counter, config: {action: set}}}", "1:49 metrics: action \"set\" is unknown"),
        ("- metrics: {m: {type: Gauge, config: {action: divide}}}", "1:47 metrics: action \"divide\" is unknown"),
        ("- metrics: {m-x: {type: Counter, config: {action: inc}}}", "1:13 metrics: \"promtail_custom_m-x\" is no name for a metric"),
        (
            "- metrics: {m: {type: Counter, max_idle_duration: 10ms, config: {action: inc}}}",
            "1:51 metrics: max_idle_duration \"10ms\" is not a duration of 1s or more",
        ),
        ("- metrics: {m: {type: Counter, config: {action: inc, match_all: true, value: x}}}", "1:13 metrics: match_all is given with a value"),
        ("- metrics: {m: {type: Counter, config: {action: add, count_entry_bytes: true}}}", "1:13 metrics: count_entry_bytes is given without match_all"),
        (
            "- metrics: {m: {type: Counter, config: {action: inc, match_all: true, count_entry_bytes: true}}}",
            "1:13 metrics: count_entry_bytes is given without action add",
        ),
        ("- metrics: {m: {type: Histogram, config: {buckets: [1, 1]}}}", "1:13 metrics: buckets do not rise, or are more than 200"),
        ("- limit: {}", "1:3 limit: rate or burst is missing or not above zero"),
        ("- limit: {rate: 0, burst: 1}", "1:3 limit: rate or burst is missing or not above zero"),
        ("- limit: {rate: 1, burst: 1, by_label_name: pod}", "1:45 limit: by_label_name is given without drop"),
        ("- sampling: {rate: 1.5}", "1:3 sampling: rate 1.5 is not between 0 and 1"),
        ("- geoip: {source: a, db_type: city}", "1:3 geoip: db is missing"),
        ("- geoip: {source: a, db_type: town, db: /x}", "1:31 geoip: db_type \"town\" is unknown"),
        ("- geoip: {source: a, db_type: city, db: /x}", "1:41 geoip: database \"/x\" cannot be used: it was not read"),
        ("- eventlogmessage: {source: a-b}", "1:29 eventlogmessage: source \"a-b\" is no label name"),
    ] {
        if texts(yaml).first().map(String::as_str) != Some(text) {
            wrong.push(format!("{yaml}\n  {:?}", texts(yaml)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_required_is_asked_for() {
    for (yaml, text) in [
        ("- json:", "1:3 json: expressions is missing"),
        ("- logfmt: {}", "1:3 logfmt: mapping is missing"),
        ("- regex: {}", "1:3 regex: expression is missing"),
        ("- regex: {expression: '(?P<a>b)', source: ''}", "1:43 regex: source is empty"),
        ("- replace: {replace: x}", "1:3 replace: expression is missing"),
        ("- labels:", "1:3 labels: no name is given"),
        ("- labels: {a-b: }", "1:12 labels: \"a-b\" is no label name"),
        ("- static_labels: {9: x}", "1:19 static_labels: \"9\" is no label name"),
        ("- labeldrop: []", "1:3 labeldrop: no label is listed"),
        ("- labelallow:", "1:3 labelallow: no label is listed"),
        ("- structured_metadata: {}", "1:3 structured_metadata: no name is given"),
        ("- timestamp: {format: Unix}", "1:3 timestamp: source is missing"),
        ("- timestamp: {source: t}", "1:3 timestamp: format is missing"),
        ("- output: {source: ''}", "1:3 output: source is missing"),
        ("- match: {stages: [{docker: }]}", "1:3 match: selector is missing"),
        ("- match: {selector: '{a=\"b\"}'}", "1:3 match: no stages are given"),
        ("- match: {selector: '{a=\"b\"}', action: drop, stages: [{docker: }]}", "1:3 match: stages are given for lines that are dropped"),
        ("- match: {selector: '{a=\"b\"}', action: leave}", "1:40 match: action \"leave\" is unknown"),
        ("- drop: {}", "1:3 drop: no condition is given"),
        ("- drop: {value: x, longer_than: 1}", "1:17 drop: value is given without a source"),
        ("- drop: {source: a, value: x, expression: y}", "1:28 drop: value and expression are both given"),
        ("- drop: {older_than: 7d}", "1:22 drop: older_than \"7d\" is not a duration"),
        ("- drop: {longer_than: 1.5MB}", "1:23 drop: longer_than \"1.5MB\" is not a size"),
        ("- multiline: {max_lines: 3}", "1:3 multiline: firstline is missing"),
        ("- multiline: {firstline: a, max_wait_time: 3}", "1:44 multiline: max_wait_time \"3\" is not a duration"),
        ("- tenant: {}", "1:3 tenant: not exactly one of label, source and value is given"),
        ("- tenant: {value: a, label: b}", "1:3 tenant: not exactly one of label, source and value is given"),
        ("- cri: {max_partial_line_size: big}", "1:32 cri: max_partial_line_size \"big\" is not a size"),
        ("- docker", "1:3 stage \"docker\" is not a map"),
        ("- {cri: {}, json: {}}", "1:3 one stage has 2 keys: cri, json"),
    ] {
        assert_eq!(texts(yaml), [text.to_owned()], "{yaml}");
    }
}

#[test]
fn nesting_has_an_end() {
    let nested = |depth: usize| (0..depth).fold("decolorize: {}".to_owned(), |inner, _| format!("pipeline: [{{{inner}}}]"));
    assert!(Program::compile(&stages(&format!("- {}", nested(DEPTH_MAX)))).is_ok());
    let column = 3 + 12 * DEPTH_MAX - 1;
    assert_eq!(texts(&format!("- {}", nested(DEPTH_MAX + 1))), [format!("1:{column} stages nest deeper than {DEPTH_MAX}")]);
}

#[test]
fn only_what_is_read_is_extracted() {
    let yaml = "- cri: {}\n- regex: {expression: '(?P<a>.)(?P<b>.)'}\n- labels: {x: b}\n- match: {selector: '{x=\"1\"}', stages: [{output: {source: c}}]}\n";
    assert_eq!(program(yaml).slots, ["b", "c"]);
    let names = reads::names(&stages("- drop: {source: [p, q]}\n- tenant: {source: r}\n- structured_metadata: {s: , t: u}\n"));
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["p", "q", "r", "s", "u"]);
}

#[test]
fn a_cri_pipeline_is_one_step() {
    assert!(matches!(program("- cri: {}").ops.as_slice(), [Op::Cri(_)]));
    let unread = program("- cri: {}\n- regex: {expression: '(?P<a>.)'}");
    assert!(matches!(unread.ops.as_slice(), [Op::Cri(_)]), "groups that nobody reads are not looked for");
}

#[test]
fn no_stages_pass_every_line() {
    let (out, counters) = through("[]", &["a", "", "\u{e9}"]);
    assert_eq!(lines(&out), ["a", "", "\u{e9}"]);
    assert!(out.iter().all(|record| record.time == crate::testing::NOW && record.labels == r#"{job="test"}"#));
    assert!(counters.is_empty());
}
