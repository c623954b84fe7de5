//! Relabelling by table: Prometheus' own cases, the rules of its documentation, every refusal.

use proto_model::Labels;

use super::Relabeling;
use crate::settings::RelabelSettings;

/// The labels after the rules; `None` when the source is not wanted.
fn relabel(yaml: &str, labels: &[(&str, &str)]) -> Option<String> {
    let rules: Vec<RelabelSettings> = serde_saphyr::from_str(yaml).unwrap();
    let mut labels = Labels::from_pairs(labels.iter().copied());
    Relabeling::compile(&rules).unwrap().apply(&mut labels).then(|| labels.to_string())
}

fn check(labels: &[(&str, &str)], cases: &[(&str, Option<&str>)]) {
    for (rules, wanted) in cases {
        assert_eq!(relabel(rules, labels).as_deref(), *wanted, "{rules}");
    }
}

#[test]
fn replace() {
    check(
        &[("a", "foo"), ("b", "bar"), ("c", "baz")],
        &[
            ("[{source_labels: [a], regex: 'f(.*)', target_label: d, replacement: 'ch${1}-ch${1}'}]", Some(r#"{a="foo", b="bar", c="baz", d="choo-choo"}"#)),
            ("[{source_labels: [a, b], regex: 'f(.*);(.*)r', target_label: a, replacement: 'b${1}${2}m'}]", Some(r#"{a="boobam", b="bar", c="baz"}"#)),
            ("[{source_labels: [a], target_label: d}]", Some(r#"{a="foo", b="bar", c="baz", d="foo"}"#)),
            ("[{source_labels: [a], regex: '.*x.*', target_label: d, replacement: no}]", Some(r#"{a="foo", b="bar", c="baz"}"#)),
            ("[{source_labels: [a], regex: 'oo', target_label: d, replacement: 'anchored'}]", Some(r#"{a="foo", b="bar", c="baz"}"#)),
            ("[{source_labels: [a, b, none], separator: '-', target_label: d}]", Some(r#"{a="foo", b="bar", c="baz", d="foo-bar-"}"#)),
            ("[{source_labels: [a, b], separator: '', target_label: d}]", Some(r#"{a="foo", b="bar", c="baz", d="foobar"}"#)),
            ("[{target_label: d, replacement: fixed}]", Some(r#"{a="foo", b="bar", c="baz", d="fixed"}"#)),
            ("[{source_labels: [none], target_label: a}]", Some(r#"{b="bar", c="baz"}"#)),
            ("[{source_labels: [a], target_label: a, replacement: ''}]", Some(r#"{b="bar", c="baz"}"#)),
            (
                "[{source_labels: [a], regex: '(?P<word>.*)', target_label: '${word}_x', replacement: '$word/$$1'}]",
                Some(r#"{a="foo", b="bar", c="baz", foo_x="foo/$1"}"#),
            ),
            ("[{source_labels: [a], regex: '(.)(.*)', target_label: d, replacement: '$2$1x${1}x$3$'}]", Some(r#"{a="foo", b="bar", c="baz", d="oofx$"}"#)),
        ],
    );
}

#[test]
fn a_target_that_is_no_name_by_then_changes_nothing() {
    check(&[("a", "9-"), ("b", "x")], &[("[{source_labels: [a], target_label: '$1', replacement: no}]", Some(r#"{a="9-", b="x"}"#))]);
}

#[test]
fn keep_and_drop() {
    check(
        &[("a", "foo"), ("b", "bar"), ("e", "")],
        &[
            ("[{source_labels: [a], regex: '.*o.*', action: drop}, {source_labels: [a], target_label: d}]", None),
            ("[{source_labels: [b], regex: '.*o.*', action: drop}]", Some(r#"{a="foo", b="bar"}"#)),
            ("[{source_labels: [a], regex: no-match, action: drop}]", Some(r#"{a="foo", b="bar"}"#)),
            ("[{source_labels: [a], regex: 'f|o', action: drop}]", Some(r#"{a="foo", b="bar"}"#)),
            ("[{source_labels: [a], regex: no-match, action: keep}]", None),
            ("[{source_labels: [a], regex: 'f.*', action: KEEP}]", Some(r#"{a="foo", b="bar"}"#)),
            ("[{source_labels: [none], regex: '', action: drop}]", None),
            ("[{source_labels: [none], regex: '.+', action: keep}]", None),
            ("[{action: drop, source_labels: [a], regex: 'f\\woo?'}]", None),
        ],
    );
}

#[test]
fn keepequal_and_dropequal() {
    check(
        &[("port", "8080"), ("annotated", "8080"), ("other", "9090")],
        &[
            ("[{source_labels: [port], target_label: annotated, action: keepequal}]", Some(r#"{annotated="8080", other="9090", port="8080"}"#)),
            ("[{source_labels: [port], target_label: other, action: keepequal}]", None),
            ("[{source_labels: [port], target_label: annotated, action: dropequal}]", None),
            ("[{source_labels: [port], target_label: other, action: dropequal}]", Some(r#"{annotated="8080", other="9090", port="8080"}"#)),
            ("[{source_labels: [none], target_label: absent, action: keepequal}]", Some(r#"{annotated="8080", other="9090", port="8080"}"#)),
        ],
    );
}

#[test]
fn hashmod_is_prometheus_own() {
    check(
        &[("a", "foo"), ("b", "bar"), ("c", "baz")],
        &[
            ("[{source_labels: [c], target_label: d, action: hashmod, modulus: 1000}]", Some(r#"{a="foo", b="bar", c="baz", d="976"}"#)),
            ("[{source_labels: [c], target_label: d, action: hashmod, modulus: 1}]", Some(r#"{a="foo", b="bar", c="baz", d="0"}"#)),
        ],
    );
    check(&[("a", "foo\nbar")], &[("[{source_labels: [a], target_label: b, action: hashmod, modulus: 1000}]", Some("{a=\"foo\\nbar\", b=\"734\"}"))]);
}

#[test]
fn labels_by_name() {
    check(
        &[("__meta_my_bar", "aaa"), ("__meta_my_baz", "bbb"), ("__meta_other", "ccc")],
        &[
            (
                "[{regex: '__meta_(my.*)', action: labelmap}]",
                Some(r#"{__meta_my_bar="aaa", __meta_my_baz="bbb", __meta_other="ccc", my_bar="aaa", my_baz="bbb"}"#),
            ),
            (
                "[{regex: '__meta_my_(.)(.*)', replacement: 'x_${2}_$1', action: labelmap}]",
                Some(r#"{__meta_my_bar="aaa", __meta_my_baz="bbb", __meta_other="ccc", x_ar_b="aaa", x_az_b="bbb"}"#),
            ),
            ("[{regex: '__meta_my_.*', action: labeldrop}]", Some(r#"{__meta_other="ccc"}"#)),
            ("[{regex: 'meta', action: labeldrop}]", Some(r#"{__meta_my_bar="aaa", __meta_my_baz="bbb", __meta_other="ccc"}"#)),
            ("[{regex: '__meta_my_.*', action: labelkeep}]", Some(r#"{__meta_my_bar="aaa", __meta_my_baz="bbb"}"#)),
        ],
    );
}

#[test]
fn a_mapped_name_that_is_none_is_left_out() {
    check(&[("meta_9x", "v"), ("meta_", "w")], &[("[{regex: 'meta_(.*)', action: labelmap}]", Some(r#"{meta_="w", meta_9x="v"}"#))]);
}

#[test]
fn letters() {
    check(
        &[("foo", "bAr123Foo")],
        &[
            (
                "[{source_labels: [foo], action: uppercase, target_label: up}, {source_labels: [foo], action: LowerCase, target_label: low}]",
                Some(r#"{foo="bAr123Foo", low="bar123foo", up="BAR123FOO"}"#),
            ),
            ("[{source_labels: [none], action: lowercase, target_label: foo}]", Some("{}")),
        ],
    );
}

#[test]
fn the_rules_of_the_usual_chart() {
    let yaml = r"
- source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name, __meta_kubernetes_pod_label_app, __tmp_controller_name, __meta_kubernetes_pod_name]
  regex: ^;*([^;]+)(;.*)?$
  action: replace
  target_label: app
- action: replace
  replacement: $1
  separator: /
  source_labels: [namespace, app]
  target_label: job
- action: replace
  replacement: /var/log/pods/*$1/*.log
  separator: /
  source_labels: [__meta_kubernetes_pod_uid, __meta_kubernetes_pod_container_name]
  target_label: __path__
- regex: __meta_kubernetes_pod_label_(.+)
  action: labelmap
- regex: '__meta_.*'
  action: labeldrop
";
    let labels = [
        ("__meta_kubernetes_pod_label_app", "web"),
        ("__meta_kubernetes_pod_name", "web-1"),
        ("__meta_kubernetes_pod_uid", "u-1"),
        ("__meta_kubernetes_pod_container_name", "nginx"),
        ("namespace", "prod"),
    ];
    assert_eq!(relabel(yaml, &labels).as_deref(), Some(r#"{__path__="/var/log/pods/*u-1/nginx/*.log", app="web", job="prod/web", namespace="prod"}"#));
}

#[test]
fn what_prometheus_refuses_is_refused() {
    for (yaml, text) in [
        ("[{action: nonsense}]", "1:11 relabel: action \"nonsense\" is unknown"),
        ("[{source_labels: [a]}]", "1:2 relabel: replace needs a target_label"),
        ("[{target_label: a-b}]", "1:17 relabel: target_label \"a-b\" is no label name"),
        ("[{target_label: 'a${1'}]", "1:17 relabel: target_label \"a${1\" is no label name"),
        ("[{target_label: 'a$1', action: lowercase}]", "1:17 relabel: target_label \"a$1\" is no label name"),
        ("[{action: hashmod, target_label: a}]", "1:2 relabel: hashmod needs a modulus"),
        ("[{action: hashmod, target_label: a, modulus: 0}]", "1:2 relabel: hashmod needs a modulus"),
        ("[{action: labelmap, replacement: 'a b'}]", "1:34 relabel: replacement \"a b\" makes no label names"),
        ("[{action: lowercase, target_label: a, replacement: b}]", "1:52 relabel: lowercase takes no replacement"),
        ("[{action: keepequal, target_label: a, regex: b}]", "1:46 relabel: keepequal takes no regex"),
        ("[{action: labeldrop, regex: a, source_labels: [b]}]", "1:48 relabel: labeldrop takes no source_labels"),
        ("[{action: labelkeep, regex: a, target_label: b}]", "1:46 relabel: labelkeep takes no target_label"),
        ("[{target_label: a, regex: '('}]", "1:27 relabel: error parsing regexp: missing closing ): `(`"),
    ] {
        let rules: Vec<RelabelSettings> = serde_saphyr::from_str(yaml).unwrap();
        let mistakes = Relabeling::compile(&rules).unwrap_err();
        let found: Vec<_> = mistakes.iter().map(|m| format!("{}:{} {}", m.line, m.column, m.text)).collect();
        assert_eq!(found, [text], "{yaml}");
        assert!(!mistakes[0].fix.is_empty());
    }
}

#[test]
fn all_rules_are_looked_at() {
    let rules: Vec<RelabelSettings> = serde_saphyr::from_str("- action: x\n- target_label: ok\n- regex: '['\n  target_label: y\n").unwrap();
    let lines: Vec<_> = Relabeling::compile(&rules).unwrap_err().iter().map(|m| m.line).collect();
    assert_eq!(lines, [1, 3]);
}

#[test]
fn defaults_may_be_written_out() {
    check(
        &[("a", "1"), ("b", "1")],
        &[("[{action: keepequal, source_labels: [a], target_label: b, separator: ';', regex: '(.*)', replacement: $1}]", Some(r#"{a="1", b="1"}"#))],
    );
}
