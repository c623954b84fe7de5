//! Tests: the grammar and what it refuses, values as Promtail gives them on, whole-line validity, several at once.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::json::tests::any_object;
use crate::limits::JSON_DEPTH_MAX;

fn search(expression: &str, line: &str) -> Result<Option<String>, ExtractFault> {
    Jmes::parse(expression).unwrap().search(line.as_bytes())
}

fn found(expression: &str, line: &str) -> Option<String> {
    search(expression, line).unwrap()
}

const LINE: &str =
    r#"{"a":{"b":[10,{"c d":"x\ty"},null,[1,2]],"n":null},"t":true,"odd-key":"o","num":1.0,"big":1000000,"e":1e6,"s":"plain","u":"\ud83d\ude42 \ud83d"}"#;

#[test]
fn expressions_name_one_place() {
    for (expression, value) in [
        ("s", Some("plain")),
        ("a.b[0]", Some("10")),
        (r#"a.b[1]."c d""#, Some("x\ty")),
        (r#""odd-key""#, Some("o")),
        (r#""odd\u002dkey""#, Some("o")),
        (" a . b [ -1 ] [ 1 ] ", Some("2")),
        ("a.b[-4]", Some("10")),
        ("a.b[-5]", None),
        ("a.b[4]", None),
        ("a.b[2]", None),
        ("a.n", None),
        ("a.n.x", None),
        ("a[0]", None),
        ("s.x", None),
        ("missing", None),
        ("t", Some("true")),
        ("a.b.c", None),
    ] {
        assert_eq!(found(expression, LINE).as_deref(), value, "{expression}");
    }
}

#[test]
fn values_are_printed_as_promtail_does() {
    for (expression, value) in [
        ("num", "1"),
        ("big", "1000000"),
        ("e", "1000000"),
        ("u", "🙂 \u{fffd}"),
        ("a.b", r#"[10,{"c d":"x\ty"},null,[1,2]]"#),
        ("a", r#"{"b":[10,{"c d":"x\ty"},null,[1,2]],"n":null}"#),
    ] {
        assert_eq!(found(expression, LINE).as_deref(), Some(value), "{expression}");
    }
    // Keys sorted, the last of equal ones, no white space, Go's escapes and numbers.
    let line = r#"{ "o" : { "z" : 1.50 , "a" : "<\u0001\u2028&\"é" , "z" : 2e0 , "m" : [ 1e21 , 1e-7, 0.000001, -0.0 ] , "e" : {} , "l" : [ ] } }"#;
    assert_eq!(found("o", line).as_deref(), Some("{\"a\":\"\\u003c\\u0001\\u2028\\u0026\\\"é\",\"e\":{},\"l\":[],\"m\":[1e+21,1e-07,0.000001,-0],\"z\":2}"));
    assert_eq!(found("n", r#"{"n":12345678901234567890}"#).as_deref(), Some("12345678901234567000"));
}

#[test]
fn of_equal_keys_the_last_counts() {
    assert_eq!(found("a", r#"{"a":1,"a":2}"#).as_deref(), Some("2"));
    assert_eq!(found("a.b", r#"{"a":{"b":1},"a":{"c":2}}"#), None);
    assert_eq!(found("a.b", r#"{"a":{"b":1},"a":3}"#), None);
}

#[test]
fn the_whole_line_must_be_an_object() {
    let deep = |levels: usize| r#"{"a":"#.repeat(levels) + "1" + &"}".repeat(levels);
    assert_eq!(found("b", &deep(JSON_DEPTH_MAX)), None);
    assert!(matches!(search("b", &deep(JSON_DEPTH_MAX + 1)), Err(ExtractFault::Json(JsonFault::Depth { .. }))));
    assert!(matches!(search("b", &deep(10_000)), Err(ExtractFault::Json(JsonFault::Depth { .. }))));
    for line in [
        "",
        "null",
        "[1]",
        "text",
        "{",
        r#"{"a":1"#,
        r#"{"a":1} x"#,
        r#"{"a":1,}"#,
        r#"{,}"#,
        r#"{"a" 1}"#,
        r#"{"a":01}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":1e}"#,
        r#"{"a":+1}"#,
        r#"{"a":nul}"#,
        r#"{"a":"\x"}"#,
        "{\"a\":\"\t\"}",
        r#"{"a":[1,]}"#,
        r#"{"a":[1}"#,
        r#"{a:1}"#,
        r#"{"b":1e999}"#,
        "{\"a\":\"x}",
    ] {
        assert!(search("b", line).is_err(), "{line}");
    }
    assert_eq!(found("a", "\n{ } ").as_deref(), None);
    assert_eq!(Jmes::parse("a").unwrap().search(b"{\"a\":\"x\xff\"}").unwrap().as_deref(), Some("x\u{fffd}"));
}

#[test]
fn what_is_no_expression_is_refused_at_its_place() {
    for (expression, part) in [
        ("", "column 1: a key is wanted; the expression is empty"),
        ("a[\"b\"]", "column 3: an index is wanted"),
        ("a-b", "column 2: a key with a dash is quoted"),
        ("a.", "column 3: a key is wanted"),
        ("a b", "column 3: the end is wanted"),
        ("a[1", "column 4: ] is wanted"),
        ("a[", "column 3: an index is wanted"),
        ("a[1-]", "column 4: a key with a dash"),
        ("\"a", "column 1: the quoted key has no end"),
        (r#""\x""#, "column 1: the quoted key has an escape"),
        ("`1", "column 1: the literal has no end"),
        ("0a", "column 1: a key is wanted"),
        ("a[::0]", "column 7: a slice goes on"),
        ("none(a)", "column 6: there is no function none"),
        ("length(a, b)", "column 13: length takes another number"),
        ("a.#", "column 3: unexpected '#'"),
    ] {
        let fault = Jmes::parse(expression).unwrap_err().to_string();
        assert!(fault.contains(part), "{expression}: {fault}");
    }
    assert!(Jmes::parse(&format!("{}a{}", "(".repeat(60), ")".repeat(60))).is_err());
    assert!(Jmes::parse(&"a.".repeat(600)).is_err());
}

#[test]
fn a_place_is_walked_to_and_more_than_one_is_decoded() {
    for (expression, is_place) in [("a", true), (r#" a . "b" [-1]"#, true), ("[0]", true), ("a[*]", false), ("a|b", false), ("@", false), ("length(a)", false)]
    {
        assert_eq!(Jmes::parse(expression).unwrap().tree.is_none(), is_place, "{expression}");
    }
    let expressions: Vec<(&str, Jmes)> = ["a.b[*].\"c d\" | [0]", "s", "length(a.b)"].map(|text| (text, Jmes::parse(text).unwrap())).into();
    let mut found = Vec::new();
    search_each(&expressions, LINE.as_bytes(), &mut |_, value| found.push(value)).unwrap();
    assert_eq!(found, [Some("x\ty".to_owned()), Some("plain".to_owned()), Some("4".to_owned())]);
    assert!(search("length(a)", "[1]").is_err(), "the line must be an object");
}

#[test]
fn an_expression_that_copies_too_much_gives_nothing() {
    let doubling = vec!["[@,@]"; 40].join(" | ");
    assert_eq!(found(&doubling, r#"{"a":1}"#), None);
}

#[test]
fn many_are_found_in_one_walk() {
    let expressions: Vec<(&str, Jmes)> = [("whole", "a"), ("part", "a.b[1]"), ("inner", r#"a.b[1]."c d""#), ("none", "zzz"), ("s", "s")]
        .map(|(name, text)| (name, Jmes::parse(text).unwrap()))
        .into();
    let mut all = Vec::new();
    search_each(&expressions, LINE.as_bytes(), &mut |name, value| all.push((name.to_owned(), value))).unwrap();
    assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["whole", "part", "inner", "none", "s"]);
    assert_eq!(all[2].1.as_deref(), Some("x\ty"));
    assert_eq!(all[1].1.as_deref(), Some(r#"{"c d":"x\ty"}"#));
    assert_eq!(all[3].1, None);
    let mut some = Vec::new();
    search_many(&expressions, LINE.as_bytes(), &mut |name, _| some.push(name.to_owned())).unwrap();
    assert_eq!(some, ["whole", "part", "inner", "s"]);

    let many: Vec<(String, Jmes)> = (0..150).map(|n| (format!("k{n}"), Jmes::parse(&format!("k{n}")).unwrap())).collect();
    let line = serde_json::to_string(&(0..150).map(|n| (format!("k{n}"), Value::from(n))).collect::<serde_json::Map<_, _>>()).unwrap();
    let mut count = 0;
    search_many(&many, line.as_bytes(), &mut |name, value| {
        assert_eq!(name, format!("k{value}"));
        count += 1;
    })
    .unwrap();
    assert_eq!(count, 150);
}

/// The text a value should have.
fn expected(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(crate::gofloat::format_f(number.as_f64().unwrap())),
        // Compared as values: the text differs in the order of keys and in escapes.
        Value::Array(_) | Value::Object(_) => Some(sorted(value).to_string()),
    }
}

/// Numbers as floats, keys sorted.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let ordered: std::collections::BTreeMap<_, _> = members.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            Value::Object(ordered.into_iter().collect())
        }
        Value::Array(elements) => elements.iter().map(sorted).collect(),
        Value::Number(number) => number.as_f64().into(),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

proptest! {
    #[test]
    fn agrees_with_serde_json(object in any_object(), pretty in any::<bool>()) {
        let line = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) }.unwrap();
        for (key, value) in object.as_object().unwrap() {
            let quoted = Jmes::parse(&serde_json::to_string(key).unwrap()).unwrap();
            let ours = quoted.search(line.as_bytes()).unwrap();
            let same = if value.is_array() || value.is_object() { ours.map(|text| sorted(&serde_json::from_str(&text).unwrap()).to_string()) } else { ours };
            prop_assert_eq!(same, expected(value), "{} in {}", key, line);
        }
    }

    #[test]
    fn whole_lines_are_those_serde_json_takes(object in any_object(), at in any::<prop::sample::Index>(), byte in prop::sample::select(b"{}[]\",:\\x01-.e t".to_vec())) {
        let mut line = serde_json::to_string(&object).unwrap().into_bytes();
        let at = at.index(line.len());
        if line[at].is_ascii() { line[at] = byte }
        let text = String::from_utf8_lossy(&line).into_owned();
        let theirs = serde_json::from_str::<serde_json::Map<String, Value>>(&text).is_ok();
        let ours = Jmes::parse("nothing_has_this_name").unwrap().search(text.as_bytes()).is_ok();
        // Half surrogates and numbers beyond a float are a matter of what is searched.
        prop_assert!(theirs == ours || text.contains("\\u") || text.contains('e'), "{}", text);
    }

    #[test]
    fn nothing_panics(expression in "[a-c.\\[\\]\"0-9 -]{0,10}|.{0,8}", line in prop::collection::vec(any::<u8>(), 0..48)) {
        if let Ok(jmes) = Jmes::parse(&expression) {
            drop(jmes.search(&line));
        }
    }
}
