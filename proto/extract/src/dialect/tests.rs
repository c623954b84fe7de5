//! Tests: what Go's `regexp` answers, row by row, and what cannot be accepted.

use proptest::prelude::*;

use super::*;

/// Go 1.26's own answers: the table of traps, then patterns made at random. A row holds the pattern and either the refusal or
/// the spans of whole match and groups in each haystack.
const GO: &str = include_str!("tests/go.jsonl");

fn spans(regex: &Regex, haystack: &str) -> Option<Vec<i64>> {
    let captures = regex.captures(haystack.as_bytes())?;
    let position = |at: usize| i64::try_from(at).unwrap();
    Some((0..captures.len()).flat_map(|n| captures.get(n).map_or([-1, -1], |m| [position(m.start()), position(m.end())])).collect())
}

#[test]
fn accepts_refuses_and_matches_as_go() {
    let mut rows = 0;
    for row in GO.lines() {
        rows += 1;
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let pattern = row["pattern"].as_str().unwrap();
        match (compile(pattern), row["refused"].as_str()) {
            (Err(ours), go) => assert_eq!(Some(ours.to_string().as_str()), go, "{pattern}"),
            (Ok(_), Some(go)) => panic!("{pattern}: accepted as {}, Go says {go}", translate(pattern).unwrap()),
            (Ok(regex), None) => {
                for pair in row["spans"].as_array().unwrap() {
                    let go: Vec<i64> = pair[1].as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).collect();
                    assert_eq!(spans(&regex, pair[0].as_str().unwrap()), Some(go), "{pattern} on {pair}");
                }
                for haystack in row["none"].as_array().unwrap() {
                    assert_eq!(spans(&regex, haystack.as_str().unwrap()), None, "{pattern} on {haystack}");
                }
            }
        }
    }
    assert!(rows > 400);
}

#[test]
fn the_traps_between_the_dialects() {
    let matches = |pattern: &str, haystack: &str| compile(pattern).unwrap().is_match(haystack.as_bytes());
    assert!(matches(r"^\Qa.b\E$", "a.b") && !matches(r"^\Qa.b\E$", "axb"));
    assert!(matches("^{.*}$", "{x}") && matches("^a{,3}$", "a{,3}"));
    assert!(matches("[[]", "["));
    assert!(matches("^[a&&b]+$", "a&b"));
    assert!(matches(r"\<a\>", "<a>") && !matches(r"\<a\>", "a"));
    assert!(matches(r"^\101$", "A"));
    assert!(matches(r"^[\d-z]+$", "5-z"));
    assert!(!matches(r"\d", "٣") && !matches(r"\w", "é") && !matches(r"\s", "\u{a0}") && matches(r"\bx", "éx"));
    assert!(!matches(r"\s", "\u{b}"));
    for refused in ["x{1001}", "a**", "[a--c]x{1001}"] {
        assert!(compile(refused).is_err(), "{refused}");
    }
    assert_eq!(compile("[b--a]").unwrap_err().to_string(), "error parsing regexp: invalid character class range: `b--`");
}

#[test]
fn anchored_matches_whole_values() {
    let regex = compile_anchored("a.c|d").unwrap();
    assert!(regex.is_match(b"a\nc") && regex.is_match(b"d"));
    assert!(!regex.is_match(b"xd") && !regex.is_match(b"d\n"));
    assert!(compile_anchored("a)(b").is_err());
    assert!(compile_anchored("(?-s)a.c").unwrap().is_match(b"abc") && !compile_anchored("(?-s)a.c").unwrap().is_match(b"a\nc"));
}

#[test]
fn names_are_kept_as_far_as_they_can() {
    let names = |pattern: &str| compile(pattern).unwrap().capture_names().map(|name| name.map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(names("(?P<a>x)(?P<a>y)(z)(?<b>w)"), [None, Some("a".into()), None, None, Some("b".into())]);
    assert_eq!(names("(?P<1a>x)"), [None, Some("_1a".into())]);
}

#[test]
fn large_ones_are_refused_quickly() {
    assert!(matches!(compile("(a{1000}){1000}"), Err(DialectFault::Syntax { code: DialectCode::Count, .. })));
    assert!(matches!(compile(r"(?i)[\pL]{1000}"), Err(DialectFault::Compiled { .. })));
    let alternatives = (0..10_000).map(|n| n.to_string()).collect::<Vec<_>>().join("|");
    assert!(matches!(compile(&alternatives), Err(DialectFault::Source { .. })));
    let deep = |depth: usize| "(".repeat(depth) + "a" + &")".repeat(depth);
    assert!(compile(&deep(100)).unwrap().is_match(b"a"));
    assert!(matches!(compile(&deep(101)), Err(DialectFault::Nest { max: 100 })));
    let mixed = "(?:a|b(c[d]".repeat(40) + &"))*".repeat(40);
    assert!(compile(&mixed).is_ok(), "{:?}", compile(&mixed));
}

#[test]
fn broken_bytes_are_seen_as_characters() {
    let line = b"a\xffb\xe2\x82c";
    assert!(!compile("^a.b..c$").unwrap().is_match(line));
    assert!(compile("^a.b..c$").unwrap().is_match(&seen(line)));
    assert!(matches!(seen("grün".as_bytes()), Cow::Borrowed(_)));
}

proptest! {
    #[test]
    fn whatever_is_translated_compiles(source in r"[\[\]()?*+{}|^$.\\a-dPpQEdwsbBi:<>=!,0-9é&~-]{0,24}") {
        if let Ok(translated) = translate(&source) {
            let built = RegexBuilder::new(&translated).size_limit(1 << 24).nest_limit(400).build();
            prop_assert!(built.is_ok(), "{} as {}: {:?}", source, translated, built);
        }
    }

    #[test]
    fn nothing_panics(source in ".{0,40}") {
        drop(compile(&source));
        drop(compile_anchored(&source));
    }

    #[test]
    fn quoted_text_matches_itself(text in "[^\\\\]{0,20}") {
        let regex = compile(&format!(r"^\Q{text}\E$")).unwrap();
        prop_assert!(regex.is_match(text.as_bytes()));
    }
}
