//! Tests: recorded answers of Loki's own stages, agreement with serde_json, broken lines, depth.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// What Loki 3.7 parsed out of lines of our own, by stage (`json`, `path`, `logfmt`, `strict`, `keep`, `pattern`): the line, the argument of the stage,
/// the labels parsed and the error details. The tests of `logfmt` and `pattern` read it too.
pub(crate) const LOKI: &str = include_str!("tests/loki.jsonl");

/// The rows of one stage.
pub(crate) fn recorded(stage: &str) -> Vec<Value> {
    let rows: Vec<Value> = LOKI.lines().map(|row| serde_json::from_str(row).unwrap()).filter(|row: &Value| row["stage"] == stage).collect();
    assert!(!rows.is_empty(), "{stage}");
    rows
}

/// Keeps the first of equal names, as callers do.
pub(crate) fn add_first(labels: &mut serde_json::Map<String, Value>, name: &str, value: &str) {
    if !labels.contains_key(name) {
        labels.insert(name.to_owned(), value.into());
    }
}

fn fields(line: &[u8]) -> (Vec<(String, String)>, Result<(), JsonFault>) {
    let mut fields = Vec::new();
    let read = flatten(line, &mut |name, value| fields.push((name.to_owned(), value.to_owned())));
    (fields, read)
}

fn whole(line: &str) -> Vec<(String, String)> {
    let (fields, read) = fields(line.as_bytes());
    assert_eq!(read, Ok(()), "{line}");
    fields
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn flattens_as_loki() {
    for row in recorded("json") {
        let mut labels = serde_json::Map::new();
        let read = flatten(row["line"].as_str().unwrap().as_bytes(), &mut |name, value| add_first(&mut labels, name, value));
        assert_eq!(Value::Object(labels), row["parsed"], "{row}");
        assert_eq!(read.err().map(|fault| fault.to_string()).as_deref(), row["fault"].as_str(), "{row}");
    }
}

#[test]
fn names_and_values() {
    assert_eq!(
        whole(r#"{"a":{"b":{"c":1.50}},"list":[1,{"x":2}],"n":null,"t":true,"f":false,"e":"","d":{}}"#),
        pairs(&[("a_b_c", "1.50"), ("t", "true"), ("f", "false"), ("e", "")])
    );
    assert_eq!(whole(r#"{"1a":{"2b":"x"},"a-b":1,"k\u00e9y":2,"é":3}"#), pairs(&[("_1a_2b", "x"), ("a_b", "1"), ("k_y", "2"), ("_", "3")]));
    assert_eq!(whole(r#"{"":1," ":{"":{"a":2},"b":3},"x":{"":4}}"#), pairs(&[("a", "2"), ("b", "3"), ("x", "4")]));
    assert_eq!(whole(r#"{"a":"q\"\\\/\b\f\n\r\té\ud83d\ude42"}"#), pairs(&[("a", "q\"\\/\u{8}\u{c}\n\r\té🙂")]));
    // A half surrogate or an unknown escape makes a value empty.
    assert_eq!(whole(r#"{"a":"x\ud83d","b":"\x","c":"y"}"#), pairs(&[("a", ""), ("b", ""), ("c", "y")]));
    assert_eq!(whole(" \n{ \"a\" :\t1 , } trailing"), pairs(&[("a", "1")]));
    assert_eq!(whole(r#"{"a":{"x":1},"a_x":2}"#), pairs(&[("a_x", "1"), ("a_x", "2")]));
}

#[test]
fn bytes_outside_utf8_become_spaces() {
    let (found, read) = fields(b"{\"a\":\"x\xff\xe2\x82y\",\"\xffb\":1,\"c\":\"\\n\xff\"}");
    assert_eq!((found, read), (pairs(&[("a", "x   y"), ("_b", "1"), ("c", "\n ")]), Ok(())));
    assert_eq!(whole("{\"a\":\"\u{fffd}\"}"), pairs(&[("a", " ")]));
}

#[test]
fn broken_lines_give_what_came_before() {
    for (line, expected, fault) in [
        ("", &[][..], JsonFault::Object),
        ("[1]", &[], JsonFault::Object),
        ("{", &[], JsonFault::Malformed),
        (r#"{"a":1"#, &[("a", "1")], JsonFault::Array),
        (r#"{"a":1,"#, &[("a", "1")], JsonFault::Array),
        (r#"{"a":1 "b":2}"#, &[("a", "1")], JsonFault::Object),
        (r#"{"a":1,"b":}"#, &[("a", "1")], JsonFault::Value),
        (r#"{"a":"x"#, &[], JsonFault::String),
        (r#"{"a":[1,2}"#, &[], JsonFault::Array),
        (r#"{"a":{"b":1,"c":2"#, &[], JsonFault::Object),
        (r#"{"a":{"b":1,"c":x}}"#, &[("a_b", "1")], JsonFault::Value),
        (r#"{"a":1,"b"}"#, &[("a", "1")], JsonFault::Malformed),
        (r#"{"a":1,"b\x":2}"#, &[("a", "1")], JsonFault::Escape),
        (r#"{"a":nul}"#, &[], JsonFault::Value),
    ] {
        assert_eq!(fields(line.as_bytes()), (pairs(expected), Err(fault)), "{line}");
    }
}

#[test]
fn deep_lines_are_a_fault_and_no_overflow() {
    let nested = |levels: usize| r#"{"a":"#.repeat(levels) + "1" + &"}".repeat(levels);
    // The top object counts as level 0.
    assert_eq!(fields(nested(JSON_DEPTH_MAX + 1).as_bytes()).1, Ok(()));
    assert_eq!(fields(nested(JSON_DEPTH_MAX + 2).as_bytes()).1, Err(JsonFault::Depth { max: JSON_DEPTH_MAX }));
    assert_eq!(fields(nested(10_000).as_bytes()).1, Err(JsonFault::Depth { max: JSON_DEPTH_MAX }));
    let brackets = format!(r#"{{"a":{}{},"b":1}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(whole(&brackets), pairs(&[("b", "1")]));
    let open = r#"{"a":"#.repeat(10_000);
    assert_eq!(fields(open.as_bytes()).1, Err(JsonFault::Object));
}

/// What [`flatten`] should give for a value without odd names.
fn expected(value: &Value, name: &str, out: &mut Vec<(String, String)>) {
    let Value::Object(members) = value else { return };
    for (key, value) in members {
        let mut path = name.to_owned();
        text::push_name(&mut path, key);
        match value {
            Value::Object(_) => expected(value, &path, out),
            Value::String(text) => out.push((path, text.replace('\u{fffd}', " "))),
            Value::Number(number) => out.push((path, number.to_string())),
            Value::Bool(truth) => out.push((path, truth.to_string())),
            Value::Null | Value::Array(_) => {}
        }
    }
    out.retain(|(name, _)| !name.is_empty());
}

pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Quarters: serde_json reads other fractions back a little off.
        (-1e9..1e9).prop_map(|number: f64| Value::from((number * 4.0).round() / 4.0)),
        "[ -~]{0,12}|\\PC{0,6}|.{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let key = "[a-z]{1,8}|[0-9a-zA-Z._ -]{0,6}|\\PC{0,3}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..5).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

pub(crate) fn any_object() -> impl Strategy<Value = Value> {
    prop::collection::vec(("[a-z]{1,6}|\\PC{0,4}", any_value()), 0..6).prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #[test]
    fn agrees_with_serde_json(object in any_object(), pretty in any::<bool>()) {
        let line = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) }.unwrap();
        let mut wanted = Vec::new();
        expected(&object, "", &mut wanted);
        prop_assert_eq!(fields(line.as_bytes()), (wanted, Ok(())));
    }

    #[test]
    fn nothing_panics_on_bytes(line in prop::collection::vec(any::<u8>(), 0..64)) {
        drop(fields(&line));
    }

    #[test]
    fn nothing_panics_on_damaged_json(object in any_object(), cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let mut line = serde_json::to_vec(&object).unwrap();
        for (at, byte) in cuts {
            let at = at.index(line.len());
            if byte % 2 == 0 { line[at] = byte } else { line.truncate(at + 1) }
        }
        // The string at the end may be half a character.
        let (fields, read) = fields(&line);
        prop_assert!(fields.iter().all(|(name, _)| text::is_clean_name(name.as_bytes())), "{:?} {:?}", fields, read);
    }
}

#[test]
fn paths_name_the_keys_as_written() {
    let mut found = Vec::new();
    paths(br#"{"a":{"b.c":{"d":1}},"1x":"y","z":[1],"e":{"f":2},"\u0041":true}"#, &mut |name, keys| found.push((name.to_owned(), keys.join("/")))).unwrap();
    let found: Vec<(&str, &str)> = found.iter().map(|(name, keys)| (name.as_str(), keys.as_str())).collect();
    assert_eq!(found, [("a_b_c_d", "a/b.c/d"), ("_1x", "1x"), ("e_f", "e/f"), ("A", "A")]);
}
