//! What Promtail's YAML means, and which of its forms are refused where.

use super::{OneOrMany, RelabelSettings, StageKind, StageSettings};
use crate::fault::Place;
use crate::testing::stages;

#[test]
fn entries_know_where_they_stand() {
    let stages = stages("- cri: {}\n- json:\n    expressions:\n      level:\n- docker:\n");
    let places: Vec<_> = stages.iter().map(|entry| entry.at).collect();
    assert_eq!(places, [Place { line: 1, column: 3 }, Place { line: 2, column: 3 }, Place { line: 5, column: 3 }]);
    assert!(matches!(stages[0].stage, StageKind::Cri(_)));
    assert!(matches!(stages[2].stage, StageKind::Docker));
}

#[test]
fn values_know_where_they_stand() {
    let stages = stages("- regex:\n    expression: '(?P<a>.)'\n    source: b\n");
    let StageKind::Regex(regex) = &stages[0].stage else { panic!("not a regex stage") };
    let expression = regex.expression.as_ref().unwrap();
    assert_eq!((expression.value.as_str(), expression.referenced.line(), expression.referenced.column()), ("(?P<a>.)", 2, 17));
}

#[test]
fn pairs_keep_their_order_and_absent_values() {
    let stages = stages("- labels:\n    zone:\n    app: name\n    empty: ''\n");
    let StageKind::Labels(pairs) = &stages[0].stage else { panic!("not a labels stage") };
    let pairs: Vec<_> = pairs.0.iter().map(|(name, source)| (name.value.as_str(), source.as_ref().map(|text| text.value.as_str()))).collect();
    assert_eq!(pairs, [("zone", None), ("app", Some("name")), ("empty", Some(""))]);
}

#[test]
fn numbers_and_words_are_taken_as_texts() {
    let stages = stages("- drop:\n    source: [level, 5]\n    value: 10\n- static_labels:\n    version: 1.0\n    on: true\n");
    let StageKind::Drop(drop) = &stages[0].stage else { panic!("not a drop stage") };
    let OneOrMany(sources) = &drop.source.as_ref().unwrap().value;
    assert_eq!(sources, &["level", "5"]);
    assert_eq!(drop.value.as_ref().unwrap().value, "10");
    let StageKind::StaticLabels(pairs) = &stages[1].stage else { panic!("not a static_labels stage") };
    let values: Vec<_> = pairs.0.iter().filter_map(|(_, value)| value.as_ref()).map(|text| text.value.as_str()).collect();
    assert_eq!(values, ["1.0", "true"], "a version keeps its zero");
}

#[test]
fn one_source_may_stand_alone() {
    let stages = stages("- drop: {source: level}\n");
    let StageKind::Drop(drop) = &stages[0].stage else { panic!("not a drop stage") };
    assert_eq!(drop.source.as_ref().unwrap().value.0, ["level"]);
}

#[test]
fn what_is_no_stage_is_kept_for_the_compiler() {
    let stages = stages("- nonsense: {a: 1}\n- geoip: {db: /x}\n- docker\n- {cri: {}, json: {}}\n- {}\n");
    assert!(matches!(&stages[0].stage, StageKind::Unknown(name) if name == "nonsense"));
    assert!(matches!(&stages[1].stage, StageKind::GeoIp(settings) if settings.db.is_some()));
    assert!(matches!(&stages[2].stage, StageKind::NotAMap(text) if text == "docker"));
    assert!(matches!(&stages[3].stage, StageKind::NotOneKey(names) if names == &["cri", "json"]));
    assert!(matches!(&stages[4].stage, StageKind::NotOneKey(names) if names.is_empty()));
}

#[test]
fn an_unknown_field_is_refused_at_its_line() {
    let refused = [
        ("- cri:\n    max_partial_lines: 3\n    nonsense: 1\n", 3),
        ("- match:\n    selector: '{a=\"b\"}'\n    stages:\n      - json:\n          expresions: {}\n", 5),
        ("- docker:\n    field: 1\n", 2),
        ("- regex: [a]\n", 1),
        ("- docker:\n- [a]\n", 2),
        ("- regex:\n    source: a\n    source: b\n", 3),
    ];
    for (yaml, line) in refused {
        let fault = serde_saphyr::from_str::<Vec<StageSettings>>(yaml).unwrap_err();
        assert_eq!(fault.location().map(|at| at.line()), Some(line), "{yaml}: {fault}");
    }
}

#[test]
fn relabelling_rules_are_read() {
    let rules: Vec<RelabelSettings> =
        serde_saphyr::from_str("- source_labels: [a, b]\n  target_label: c\n- action: drop\n  regex: x\n  source_labels:\n    - z\n").unwrap();
    assert_eq!(rules[1].at, Place { line: 3, column: 3 });
    assert_eq!(rules[0].rule.source_labels.as_ref().unwrap().len(), 2);
    assert!(serde_saphyr::from_str::<Vec<RelabelSettings>>("- regexp: x\n").is_err());
}
