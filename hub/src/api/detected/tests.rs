use hub_query::FieldType;

use super::*;

#[test]
fn shapes_are_lokis() {
    assert_eq!(labels_json(&[]), "{}");
    assert_eq!(labels_json(&[DetectedLabel { label: "app".to_owned(), cardinality: 2 }]), r#"{"detectedLabels":[{"label":"app","cardinality":2}]}"#);
    let field = |parsers, json_path| DetectedField { label: "f".to_owned(), kind: FieldType::Duration, cardinality: 3, parsers, json_path };
    assert_eq!(fields_json(&[], 10), "{}");
    assert_eq!(
        fields_json(&[field(vec![], vec![]), field(vec!["json", "logfmt"], vec!["a".to_owned(), "b c".to_owned()])], 10),
        r#"{"fields":[{"label":"f","type":"duration","cardinality":3,"parsers":null},{"label":"f","type":"duration","cardinality":3,"parsers":["json","logfmt"],"jsonPath":["a","b c"]}],"limit":10}"#
    );
    assert_eq!(values_json(&[], 10), "{}");
    assert_eq!(values_json(&["a\"b".to_owned()], 10), r#"{"values":["a\"b"],"limit":10}"#);
}
