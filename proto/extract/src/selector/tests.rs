//! Tests: matchers with absent labels and fast ways, line filters with broken bytes, agreement of the fast ways with the slow one.

use proptest::prelude::*;

use super::*;

fn matches(op: MatchOp, value: &str, label: Option<&str>) -> bool {
    CompiledMatcher::new("a", op, value).unwrap().matches(label)
}

#[test]
fn matchers_take_an_absent_label_for_an_empty_one() {
    assert!(matches(MatchOp::Equal, "", None) && matches(MatchOp::Equal, "x", Some("x")) && !matches(MatchOp::Equal, "x", None));
    assert!(matches(MatchOp::NotEqual, "x", None) && !matches(MatchOp::NotEqual, "", None));
    assert!(matches(MatchOp::Regex, ".*", None) && !matches(MatchOp::Regex, ".+", None) && matches(MatchOp::Regex, ".+", Some("x")));
    assert!(matches(MatchOp::NotRegex, ".+", None) && !matches(MatchOp::NotRegex, ".*", Some("x")));
    assert!(matches(MatchOp::Regex, "prod|", None) && matches(MatchOp::Regex, "prod|", Some("prod")) && !matches(MatchOp::Regex, "prod|", Some("production")));
}

#[test]
fn regex_matchers_are_anchored_and_cross_lines() {
    assert!(matches(MatchOp::Regex, "a.c", Some("a\nc")) && !matches(MatchOp::Regex, "a.c", Some("xabc")));
    assert!(matches(MatchOp::Regex, "(?i)ERROR|warn", Some("error")) && matches(MatchOp::Regex, "x{2}", Some("xx")));
    assert!(matches(MatchOp::Regex, ".*", Some("a\nb")) && matches(MatchOp::Regex, ".+", Some("a\nb")));
    assert!(CompiledMatcher::new("a", MatchOp::Regex, "a|(").is_err());
    assert!(CompiledMatcher::new("a", MatchOp::Equal, "a|(").is_ok());
}

#[test]
fn few_known_values_are_named() {
    let words = |op, value| CompiledMatcher::new("a", op, value).unwrap().words().map(<[String]>::to_vec);
    assert_eq!(words(MatchOp::Regex, "a|b|"), Some(vec!["a".into(), "b".into(), String::new()]));
    assert_eq!(words(MatchOp::Equal, "a|b"), Some(vec!["a|b".into()]));
    assert_eq!(words(MatchOp::NotEqual, "a"), None);
    assert_eq!(words(MatchOp::Regex, "a.b"), None);
    assert!(CompiledMatcher::new("a", MatchOp::NotEqual, "x").unwrap().matches_empty());
}

#[test]
fn line_filters() {
    let passes = |op, text: &str, line: &[u8]| LineTest::new(op, text).unwrap().passes(line);
    assert!(passes(LineOp::Contains, "err", b"an error") && !passes(LineOp::NotContains, "err", b"an error"));
    assert!(passes(LineOp::Contains, "", b"") && !passes(LineOp::NotContains, "", b"x"));
    assert!(passes(LineOp::Match, "e.{2}or", b"an error") && passes(LineOp::NotMatch, "^error", b"an error"));
    assert!(passes(LineOp::Match, ".*", b"") && passes(LineOp::Match, "plain", b"a plain line"));
    assert!(passes(LineOp::Match, "a.b", b"a\xffb") && passes(LineOp::Contains, "b", b"a\xffb"));
    assert!(passes(LineOp::Pattern, "<_> b <_>", b"a b c") && passes(LineOp::NotPattern, "<_> b", b"a b c"));
    for (op, text) in [(LineOp::Match, "("), (LineOp::Pattern, "<a>"), (LineOp::Pattern, "<_><_>")] {
        assert!(LineTest::new(op, text).is_err(), "{text}");
    }
}

#[test]
fn required_bytes_are_those_of_every_passing_line() {
    let required = |op, text: &str| LineTest::new(op, text).unwrap().required().map(<[u8]>::to_vec);
    assert_eq!(required(LineOp::Contains, "abc"), Some(b"abc".to_vec()));
    assert_eq!(required(LineOp::Match, "abc"), Some(b"abc".to_vec()));
    assert_eq!(required(LineOp::NotContains, "abc"), None);
    assert_eq!(required(LineOp::Match, "a.c"), None);
    let test = LineTest::new(LineOp::NotMatch, "x").unwrap();
    assert_eq!((test.op(), test.text(), test.op().as_str()), (LineOp::NotMatch, "x", "!~"));
}

proptest! {
    #[test]
    fn the_fast_ways_agree_with_the_expression(source in "[ab|.*+?é]{0,5}", value in "[ab\\né]{0,4}") {
        if let Ok(regex) = dialect::compile_anchored(&source) {
            prop_assert_eq!(matches(MatchOp::Regex, &source, Some(&value)), regex.is_match(value.as_bytes()), "{}", source);
            let line = LineTest::new(LineOp::Match, source.as_str()).unwrap().passes(value.as_bytes());
            prop_assert_eq!(line, dialect::compile(&source).unwrap().is_match(value.as_bytes()));
        }
    }

    #[test]
    fn a_filter_and_its_opposite_never_agree(text in "[a-c<>_ ]{0,6}", line in prop::collection::vec(any::<u8>(), 0..24)) {
        for (one, other) in [(LineOp::Contains, LineOp::NotContains), (LineOp::Match, LineOp::NotMatch), (LineOp::Pattern, LineOp::NotPattern)] {
            if let (Ok(one), Ok(other)) = (LineTest::new(one, text.as_str()), LineTest::new(other, text.as_str())) {
                prop_assert_ne!(one.passes(&line), other.passes(&line));
            }
        }
    }
}
