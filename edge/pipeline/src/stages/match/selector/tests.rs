//! Selectors: what they choose, and what is no selector.

use proptest::prelude::*;
use proto_model::Labels;

use super::Selector;

fn chooses(selector: &str, labels: &[(&str, &str)], line: &str) -> bool {
    Selector::parse(selector).unwrap().chooses(&Labels::from_pairs(labels.iter().copied()), line.as_bytes())
}

#[test]
fn labels_and_lines_are_matched_as_loki_does() {
    let bar: &[(&str, &str)] = &[("foo", "bar")];
    let bar_test: &[(&str, &str)] = &[("foo", "bar"), ("bar", "test")];
    for (selector, labels, chosen) in [
        (r#"{foo="bar"}"#, bar, true),
        (r#"{foo="bar"} |= "foo""#, bar, true),
        (r#"{foo="bar"} |~ "fo+$""#, bar, true),
        (r#"{foo="bar"} |= "bar""#, bar, false),
        (r#"{foo="bar"} |~ "bar""#, bar, false),
        (r#"{foo="bar"} != "bar""#, bar, true),
        (r#"{foo="bar"} !~ "bar""#, bar, true),
        (r#"{foo="bar"} != "foo""#, bar, false),
        (r#"{foo="bar"} |= "f" != "z" |~ "o""#, bar, true),
        (r#"{foo="bar"} |= "f" != "o""#, bar, false),
        (r#"{foo=""}"#, bar, false),
        (r#"{foo=""}"#, &[], true),
        (r#"{foo!="bar"}"#, bar, false),
        (r#"{foo="bar",bar!="test"}"#, bar, true),
        (r#"{foo="bar",bar!="test"}"#, bar_test, false),
        (r#"{foo="bar", bar=~"te.*"}"#, bar_test, true),
        (r#"{foo="bar",bar=~"te"}"#, bar_test, false),
        (r#"{foo="bar",bar!~"te.*"}"#, bar_test, false),
        ("  { foo = `bar` }  |=  `foo`  ", bar, true),
        (r#"{foo="b\x61\u0072"}"#, bar, true),
        (r#"{foo="\142ar"} !~ "\\d""#, bar, true),
    ] {
        assert_eq!(chooses(selector, labels, "foo"), chosen, "{selector}");
    }
}

#[test]
fn what_is_no_selector_is_refused_where_it_goes_wrong() {
    for (selector, column) in [
        ("", 1),
        ("foo", 1),
        ("{}", 2),
        ("{", 2),
        ("{9a=\"b\"}", 2),
        ("{a}", 3),
        ("{a=b}", 4),
        ("{a=\"b}", 4),
        ("{a=\"b\"", 7),
        ("{a=\"b\",}", 8),
        ("{a=~\"[]\"}", 5),
        ("{a=\"b\"} !~ \"[]\"", 12),
        ("{a=\"b\"} | json", 9),
        ("{a=\"b\"} |= ", 12),
        ("{a=\"b\"} |= x", 12),
        ("{a=\"\\d\"}", 5),
        ("{a=\"\\xg0\"}", 5),
        ("{a=\"\\xff\"}", 4),
        ("{a=\"\\ud800\"}", 5),
        ("{a=\"\\777\"}", 5),
        ("{\u{e9}=\"b\"}", 2),
        ("{a=\"\u{e9}\", b}", 10),
    ] {
        let fault = Selector::parse(selector).unwrap_err();
        assert_eq!(fault.column, column, "{selector}: {fault}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>(), near in "[{}a=~!|\"`\\\\x0,u ]{0,24}") {
        for text in [text, near] {
            if let Err(fault) = Selector::parse(&text) {
                prop_assert!((1..=text.chars().count() + 1).contains(&fault.column));
            }
        }
    }

    #[test]
    fn any_value_can_be_written(value in "[^`]{1,20}", line in any::<String>()) {
        let labels = Labels::from_pairs([("a", value.as_str())]);
        let quoted = format!("{{a={}}} |= {}", proto_model::labels::quoted(&value), proto_model::labels::quoted(&line));
        prop_assert!(Selector::parse(&quoted).unwrap().chooses(&labels, line.as_bytes()));
        let raw = format!("{{a=`{value}`}}");
        prop_assert!(Selector::parse(&raw).unwrap().chooses(&labels, b""));
    }
}
