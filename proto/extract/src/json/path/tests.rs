//! Tests: recorded answers of Loki, the grammar and its fault texts, agreement with serde_json.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::json::tests::{any_object, recorded};

fn find<'a>(line: &'a str, path: &str) -> Result<Option<Cow<'a, str>>, JsonFault> {
    lookup(line.as_bytes(), &JsonPath::parse(path).unwrap())
}

#[test]
fn finds_what_loki_finds() {
    for row in recorded("path") {
        let found = find(row["line"].as_str().unwrap(), row["arg"].as_str().unwrap()).unwrap();
        assert_eq!(found.unwrap_or_default(), row["parsed"]["value"].as_str().unwrap(), "{row}");
    }
}

#[test]
fn follows_keys_and_indexes() {
    let line = r#"{"a":{"b":[1,{"c d":"x\ty"},[true,null]],"b":"second"},"A":1.0,"e.f":{"g":"h"},"k\u00e9":7}"#;
    for (path, expected) in [
        ("a.b[0]", Some("1")),
        (r#"a.b[1]["c d"]"#, Some("x\ty")),
        (r#"["a"]["b"][2][0]"#, Some("true")),
        ("a.b[2][1]", Some("")),
        ("a.b[2]", Some("[true,null]")),
        ("a.b[3]", None),
        ("a[0]", None),
        ("a.b.c", None),
        ("A", Some("1.0")),
        ("b", None),
        (r#"["e.f"]"#, Some(r#"{"g":"h"}"#)),
        (r#"["ké"]"#, Some("7")),
        (" a . b [ 0 ] ", Some("1")),
    ] {
        assert_eq!(find(line, path).unwrap().as_deref(), expected, "{path}");
    }
    assert_eq!(lookup(line.as_bytes(), &JsonPath::of_key("e.f")).unwrap().as_deref(), Some(r#"{"g":"h"}"#));
    assert_eq!(find(r#"[[1,"a"],2]"#, "[0][1]").unwrap().as_deref(), Some("a"));
    assert_eq!(find(r#""text""#, "a"), Ok(None));
    assert_eq!(lookup(b"{\"a\":\"x\xff\"}", &JsonPath::of_key("a")).unwrap().as_deref(), Some("x "));
}

#[test]
fn lines_that_are_not_json_are_a_fault() {
    for line in ["", "text", "42", "{", r#"{"b" 1}"#, r#"{"b":[1}"#, r#"{"a":"#, r#"{"a":{"#, r#"{"b":1"#] {
        assert!(find(line, "a").is_err(), "{line}");
    }
    // What comes after the value is not read.
    assert_eq!(find(r#"{"a":1,"b"#, "a").unwrap().as_deref(), Some("1"));
}

#[test]
fn the_grammar_refuses_in_the_words_clients_know() {
    for (path, fault) in [
        ("", "syntax error: unexpected $end, expecting LSB or FIELD"),
        ("..", "syntax error: unexpected DOT, expecting LSB or FIELD"),
        ("a.", "syntax error: unexpected $end, expecting FIELD"),
        ("a.[0]", "syntax error: unexpected LSB, expecting FIELD"),
        ("a b", "syntax error: unexpected FIELD"),
        ("a[", "syntax error: unexpected $end, expecting STRING or INDEX"),
        ("a[b]", "syntax error: unexpected FIELD, expecting STRING or INDEX"),
        ("a[0", "syntax error: unexpected $end, expecting RSB"),
        (r#"["a"#, "syntax error: unexpected $end, expecting RSB"),
        ("a-b", "unexpected char -"),
        ("-a", "syntax error: unexpected $end, expecting LSB or FIELD"),
        ("a[1.5]", "cannot use float as array index"),
        ("a[1x]", "non-integer value: x"),
        ("a[99999999999999999999]", "array index 99999999999999999999 is too large"),
        ("0a", "syntax error: unexpected $end, expecting LSB or FIELD"),
    ] {
        assert_eq!(JsonPath::parse(path).unwrap_err().to_string(), fault, "{path}");
    }
}

proptest! {
    #[test]
    fn agrees_with_serde_json(object in any_object()) {
        let line = serde_json::to_string(&object).unwrap();
        for (key, value) in object.as_object().unwrap() {
            let found = lookup(line.as_bytes(), &JsonPath::of_key(key)).unwrap().unwrap().into_owned();
            let wanted = match value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
            };
            prop_assert_eq!(found, wanted.replace('\u{fffd}', " "));
        }
    }

    #[test]
    fn nothing_panics(line in prop::collection::vec(any::<u8>(), 0..64), path in "[a-c.\\[\\]\"0-9 -]{0,10}|.{0,8}") {
        if let Ok(path) = JsonPath::parse(&path) {
            drop(lookup(&line, &path));
        }
    }
}
