use edge_pipeline::Relabeling;

use super::{Field, Refusal, Shape};
use crate::settings::EdgeSettings;

fn rules(yaml: &str) -> Relabeling {
    let text = format!("scrape_configs: [{{job_name: t, journal: {{}}, relabel_configs: {yaml}}}]\n");
    let (parsed, mistakes) = proto_boot::settings::parse_all::<EdgeSettings>("e.yaml", &text);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    Relabeling::compile(&parsed.unwrap().scrape_configs[0].relabel_configs).unwrap()
}

fn fields(pairs: &[(&str, &str)]) -> Vec<Field> {
    pairs.iter().map(|(name, value)| Field { name: (*name).to_owned(), value: value.as_bytes().to_vec() }).collect()
}

const UNIT: &str = "[{source_labels: [__journal__systemd_unit], target_label: unit}, {source_labels: [__journal_priority_keyword], target_label: level}]";

#[test]
fn labels_that_a_rule_looks_at_are_made_and_no_others() {
    let mut shape = Shape::new(false, "", rules(UNIT)).unwrap();
    let all = fields(&[("MESSAGE", "hello"), ("_SYSTEMD_UNIT", "a.service"), ("PRIORITY", "3"), ("_PID", "1")]);
    let taken = shape.take(all.iter()).unwrap();
    assert_eq!(taken.labels.to_string(), r#"{__journal__systemd_unit="a.service", __journal_priority_keyword="error"}"#);
    assert_eq!(taken.line.as_ref(), b"hello");
    let mut mapped = Shape::new(false, "", rules("[{action: labelmap, regex: __journal__(.+)}]")).unwrap();
    assert_eq!(mapped.take(all.iter()).unwrap().labels.to_string(), r#"{__journal__pid="1", __journal__systemd_unit="a.service"}"#);
    let odd = fields(&[("MESSAGE", "x"), ("PRIORITY", "12")]);
    assert_eq!(shape.take(odd.iter()).unwrap().labels.to_string(), r#"{__journal_priority_keyword="12"}"#);
}

#[test]
fn an_entry_must_have_each_field_that_is_named_with_one_of_its_values() {
    let mut shape = Shape::new(false, "_TRANSPORT=kernel PRIORITY=3 PRIORITY=4", rules("[]")).unwrap();
    let with = |priority| fields(&[("MESSAGE", "m"), ("_TRANSPORT", "kernel"), ("PRIORITY", priority)]);
    assert!(shape.take(with("3").iter()).is_ok());
    assert!(shape.take(with("4").iter()).is_ok());
    assert_eq!(shape.take(with("5").iter()), Err(Refusal::NotWanted));
    assert_eq!(shape.take(fields(&[("MESSAGE", "m"), ("PRIORITY", "3")]).iter()), Err(Refusal::NotWanted));
    for wrong in ["a", "lower=1", "=x"] {
        assert_eq!(Shape::new(false, wrong, rules("[]")).err().as_deref(), Some(wrong));
    }
}

#[test]
fn as_json_names_are_sorted_and_the_last_of_two_counts() {
    let mut shape = Shape::new(true, "", rules("[]")).unwrap();
    let all = fields(&[("B", "1 < 2"), ("A", "x"), ("B", "say \"so\"")]);
    assert_eq!(shape.take(all.iter()).unwrap().line.as_ref(), br#"{"A":"x","B":"say \"so\""}"#);
    let mut plain = Shape::new(false, "", rules("[]")).unwrap();
    assert_eq!(plain.take(all.iter()), Err(Refusal::NoMessage));
}
