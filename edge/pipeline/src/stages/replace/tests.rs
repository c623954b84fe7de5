//! Replacing, as the documentation of Promtail's `replace` stage shows it.

use crate::testing::{lines, mistakes, program, through};

const ACCESS: &str = r#"11.11.11.11 - frank [25/Jan/2000:14:00:01 -0500] "GET /1986.js HTTP/1.1" 200 932"#;

#[test]
fn groups_are_replaced_by_a_text() {
    let (out, _) = through("- replace: {expression: 'password (\\S+)', replace: '****'}", &["2019 password f00 level=info password bar", "none"]);
    assert_eq!(lines(&out), ["2019 password **** level=info password ****", "none"]);
}

#[test]
fn groups_are_replaced_by_what_a_template_makes_of_them() {
    let yaml = "- replace: {expression: '(?P<ip>\\d{2}\\.\\d{2}\\.\\d{2}\\.\\d{2}) - (\\S+)', replace: '{{ .Value | ToUpper }}'}";
    let (out, _) = through(yaml, &[ACCESS]);
    assert_eq!(lines(&out), [ACCESS.replace("frank", "FRANK")]);
}

#[test]
fn an_empty_text_takes_the_groups_out() {
    for replace in ["replace: ''", "replace: ", ""] {
        let (out, _) = through(&format!("- replace: {{expression: '(\\d)', {replace}}}"), &["a1b22c"]);
        assert_eq!(lines(&out), ["abc"], "{replace}");
    }
}

#[test]
fn named_groups_become_values() {
    let yaml = "- replace: {expression: '(?P<user>fr\\w+)|(?P<other>x+)', replace: '<{{ .Value }}>'}\n- labels: {user: , other: }";
    let (out, _) = through(yaml, &["a frank xx frida"]);
    assert_eq!(out[0].line, "a <frank> <xx> <frida>");
    assert_eq!(out[0].labels, r#"{job="test", user="<frank>"}"#, "those of the first match");
}

#[test]
fn a_value_is_changed_instead_of_the_line() {
    let yaml = "- logfmt: {mapping: {level: , pass: }}\n- replace: {source: pass, expression: '(.+)', replace: 'redacted {{ .level }} {{ .none }}'}\n- labels: {level: , pass: }\n";
    let (out, _) = through(yaml, &["level=info pass=secret", "level=info"]);
    assert_eq!(lines(&out), ["level=info pass=secret", "level=info"]);
    assert_eq!(out[0].labels, r#"{job="test", level="info", pass="redacted info <no value>"}"#);
    assert_eq!(out[1].labels, r#"{job="test", level="info"}"#);
}

#[test]
fn a_group_in_a_group_goes_with_it() {
    let (out, _) = through("- replace: {expression: '((a)b)(c)', replace: '[{{ .Value }}]'}", &["xabcabcx"]);
    assert_eq!(lines(&out), ["x[ab][c][ab][c]x"]);
}

#[test]
fn a_group_without_part_in_the_match_is_left_alone() {
    let (out, _) = through("- replace: {expression: '(a)|b(c)?', replace: '-'}", &["abbc"]);
    assert_eq!(lines(&out), ["-bb-"]);
}

#[test]
fn an_expression_without_groups_changes_nothing() {
    let (out, _) = through("- replace: {expression: 'a', replace: '-'}", &["aaa"]);
    assert_eq!(lines(&out), ["aaa"]);
}

#[test]
fn bytes_outside_the_groups_stay() {
    let mut run = crate::testing::run("- replace: {expression: 'k=(\\w+)', replace: '*'}", &[]);
    let mut out = Vec::new();
    run.line(b"\xff\xfek=v \xc3 k=w\x80", crate::testing::NOW, &mut |record| out.push(record.line.to_vec()));
    assert_eq!(out, [b"\xff\xfek=* \xc3 k=*\x80"]);
}

#[test]
fn a_template_that_cannot_be_read_is_a_mistake() {
    let found = mistakes("- replace:\n    expression: '(a)'\n    replace: '{{ .Value | nonsense }}'\n");
    assert_eq!((found.len(), found[0].line, found[0].column), (1, 3, 14));
    assert!(found[0].text.starts_with("replace: "), "{}", found[0].text);
}

#[test]
fn names_in_a_template_are_read() {
    let yaml = "- replace: {expression: '(a)', replace: '{{ .one }}{{ ToUpper .two }}{{ .Value }}'}";
    assert_eq!(program(yaml).slots, ["one", "two"]);
}
