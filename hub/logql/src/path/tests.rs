//! Against answers of Loki.

use super::*;

fn field(name: &str) -> PathStep {
    PathStep::Field(name.to_owned())
}

#[test]
fn reads_json_paths() {
    assert_eq!(json_path("user").unwrap(), [field("user")]);
    assert_eq!(json_path("user.tags[0].x").unwrap(), [field("user"), field("tags"), PathStep::Index(0), field("x")]);
    assert_eq!(json_path(r#"["odd key"]["b.c"][12]"#).unwrap(), [field("odd key"), field("b.c"), PathStep::Index(12)]);
    assert_eq!(json_path(r#"a["q\"\u00e9"]"#).unwrap(), [field("a"), field("q\"é")]);
}

#[test]
fn refuses_other_json_paths() {
    for (text, reason) in [
        ("..", "syntax error: unexpected DOT, expecting LSB or FIELD"),
        ("", "syntax error: unexpected $end, expecting LSB or FIELD"),
        ("a.", "syntax error: unexpected $end, expecting FIELD"),
        ("a..b", "syntax error: unexpected DOT, expecting FIELD"),
        ("a b", "syntax error: unexpected FIELD"),
        ("a[x]", "syntax error: unexpected FIELD, expecting STRING or INDEX"),
        ("a[0", "syntax error: unexpected $end, expecting RSB"),
        ("a-b", "unexpected char -"),
        ("a[99999999999999999999]", "index out of range"),
    ] {
        assert_eq!(json_path(text), Err(format!("cannot parse expression [{text}]: {reason}")));
    }
}

#[test]
fn reads_logfmt_keys() {
    assert_eq!(logfmt_key("level").unwrap(), "level");
    assert_eq!(logfmt_key("\"odd-key\"").unwrap(), "odd-key");
    for (text, reason) in [
        ("dash-key", "unexpected char -"),
        ("a b", "syntax error: unexpected KEY"),
        ("", "syntax error: unexpected $end, expecting STRING or KEY"),
        ("a.b", "unexpected char ."),
    ] {
        assert_eq!(logfmt_key(text), Err(format!("cannot parse expression [{text}]: {reason}")));
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(text: String, dense in "[a-c0-2.\\[\\]\"\\\\ -]{0,12}") {
        for text in [text, dense] {
            drop((json_path(&text), logfmt_key(&text)));
        }
    }
}
