//! Templates over extracted values.

use crate::testing::through;

/// The line that a template over the value `a` (`x Y`) and the line makes; `None` when it took the value away.
fn made(template: &str) -> Option<String> {
    let yaml = format!(
        "- regex: {{expression: '(?P<a>.*)'}}\n- template: {{source: a, template: '{template}'}}\n- drop: {{source: a, value: 'x Y', drop_counter_reason: same}}\n- output: {{source: a}}"
    );
    let (out, _) = through(&yaml, &["x Y"]);
    out.first().map(|record| record.line.clone())
}

#[test]
fn values_entry_and_functions() {
    assert_eq!(made("{{ .Value | ToUpper }}!").as_deref(), Some("X Y!"));
    assert_eq!(made("{{ .a }}-{{ .Entry }}-{{ .none }}").as_deref(), Some("x Y-x Y-<no value>"));
    assert_eq!(made("{{ .job }}").as_deref(), Some("test"), "labels are values");
    assert_eq!(made("{{ if eq .Value \"x Y\" }}yes{{ end }}").as_deref(), Some("yes"));
}

#[test]
fn an_empty_text_takes_the_value_away() {
    let yaml = "- regex: {expression: '(?P<a>.*)'}\n- template: {source: a, template: '{{ if false }}x{{ end }}'}\n- labels: {b: a}\n- template: {source: b, template: '{{ .a }}'}\n- output: {source: b}";
    let (out, _) = through(yaml, &["x"]);
    assert_eq!((out[0].line.as_str(), out[0].labels.as_str()), ("<no value>", r#"{job="test"}"#));
}

#[test]
fn a_value_can_be_made_of_nothing() {
    let yaml = "- template: {source: new, template: 'is {{ .Value }}'}\n- labels: {new: }";
    assert_eq!(through(yaml, &["x"]).0[0].labels, r#"{job="test", new="is <no value>"}"#);
}

#[test]
fn a_template_that_fails_changes_nothing_and_is_counted() {
    let yaml = "- regex: {expression: '(?P<a>.*)'}\n- template: {source: a, template: '{{ index .Value 99 }}'}\n- output: {source: a}";
    let (out, counters) = through(yaml, &["x"]);
    assert_eq!((out[0].line.as_str(), counters.parse_errors.get("template")), ("x", Some(&1)));
}

#[test]
fn a_template_that_asks_for_all_sees_what_the_stages_make() {
    let yaml =
        "- json: {expressions: {b: , a: }}\n- template: {source: out, template: '{{ range $k, $v := . }}{{ $k }}={{ $v }} {{ end }}'}\n- output: {source: out}";
    assert_eq!(through(yaml, &[r#"{"a":1,"b":null,"c":3}"#]).0[0].line, r#"Entry={"a":1,"b":null,"c":3} a=1 job=test "#);
}
