//! Tests: recorded answers of Loki's `pattern` stage, the rules of both kinds, bytes of all kinds.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::json::tests::{add_first, recorded};

fn extract(pattern: &str, line: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let parser = PatternParser::parse(pattern).unwrap();
    parser.extract(line.as_bytes(), &mut |name, text| found.push((name.to_owned(), String::from_utf8_lossy(text).into_owned())));
    found
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn extracts_as_loki() {
    for row in recorded("pattern") {
        let mut labels = serde_json::Map::new();
        for (name, value) in extract(row["arg"].as_str().unwrap(), row["line"].as_str().unwrap()) {
            add_first(&mut labels, &name, &value);
        }
        assert_eq!(Value::Object(labels), row["parsed"], "{row}");
    }
}

#[test]
fn captures_lie_between_texts() {
    assert_eq!(extract("<a> - <b>", "x - y - z"), pairs(&[("a", "x"), ("b", "y - z")]));
    assert_eq!(extract("[<a>] <_>: <b>", "[t] main: msg"), pairs(&[("a", "t"), ("b", "msg")]));
    assert_eq!(extract("[<a>]", "t]"), []);
    assert_eq!(extract("<a>,<b>,<c>", "1,2"), pairs(&[("a", "1"), ("b", "2")]));
    assert_eq!(extract("<_>,<b>", "1"), []);
    assert_eq!(extract("<a> x", ""), []);
    assert_eq!(extract("<a>x<b>", "x"), pairs(&[("a", ""), ("b", "")]));
    assert_eq!(extract("<1> <a> <b", "<1> t <b"), pairs(&[("a", "t")]));
    assert_eq!(extract("é<a>ü", "éxü"), pairs(&[("a", "x")]));
    assert_eq!(PatternParser::parse("<b> <_> <a>").unwrap().names().collect::<Vec<_>>(), ["b", "a"]);
}

#[test]
fn parser_patterns_name_something_once() {
    for (pattern, fault) in [
        ("<_>", "at least one capture is required"),
        ("no captures", "at least one capture is required"),
        ("<1a> x", "at least one capture is required"),
        ("<a><b>", "found consecutive capture '<a><b>': invalid expression"),
        ("<a> <_><b>", "found consecutive capture '<_><b>': invalid expression"),
        ("<a> <a>", "duplicate capture name (a): invalid expression"),
        ("", "syntax error: unexpected $end, expecting IDENTIFIER or LITERAL"),
    ] {
        assert_eq!(PatternParser::parse(pattern).unwrap_err().to_string(), fault, "{pattern}");
    }
}

#[test]
fn line_patterns() {
    for (pattern, line, matches) in [
        ("<_> bar", "foo bar", true),
        ("<_> bar", "foo bar baz", false),
        ("<_> bar <_>", "foo bar baz", true),
        ("<_> bar <_>", " bar ", false),
        ("<_>bar<_>", " bar ", true),
        ("foo <_>", "foo bar", true),
        ("foo <_>", "foo ", false),
        // The first text may stand anywhere, as in Loki.
        ("foo <_>", "a foo bar", true),
        ("text", "text", true),
        ("text", "a text", true),
        ("text", "text more", false),
        ("<_>", "x", true),
        ("<_>", "", false),
        ("", "", true),
        ("", "x", false),
    ] {
        assert_eq!(LinePattern::parse(pattern).unwrap().matches(line.as_bytes()), matches, "{pattern} on {line}");
    }
    assert_eq!(LinePattern::parse("<_> <a>").unwrap_err().to_string(), "named captures are not allowed: found '<a>'");
    assert_eq!(LinePattern::parse("<a><b>").unwrap_err().to_string(), "found consecutive capture '<a><b>': invalid expression");
}

proptest! {
    #[test]
    fn what_was_put_together_is_taken_apart(parts in prop::collection::vec("[a-z0-9]{1,6}", 1..5)) {
        let pattern = (0..parts.len()).map(|n| format!("<v{n}>")).collect::<Vec<_>>().join(" | ");
        let found = extract(&pattern, &parts.join(" | "));
        prop_assert_eq!(found.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), parts);
    }

    #[test]
    fn nothing_panics(pattern in "[<>_a-c1 ]{0,12}|.{0,8}", line in prop::collection::vec(any::<u8>(), 0..32)) {
        if let Ok(parser) = PatternParser::parse(&pattern) {
            parser.extract(&line, &mut |_, text| assert!(text.len() <= line.len()));
        }
        if let Ok(pattern) = LinePattern::parse(&pattern) {
            prop_assert!(!pattern.matches(&line) || pattern.0.is_empty() == line.is_empty());
        }
    }
}
