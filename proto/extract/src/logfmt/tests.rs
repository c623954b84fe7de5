//! Tests: recorded answers of Loki's `logfmt` stage, wrong pairs, escapes, bytes of all kinds.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::json::tests::{add_first, recorded};

type Found = (Vec<(String, String)>, Result<(), LogfmtFault>);

fn found(line: &[u8], strict: bool, keep_empty: bool) -> Found {
    let mut pairs = Vec::new();
    let read = scan(line, strict, keep_empty, &mut |name, value| pairs.push((name.to_owned(), value.to_owned())));
    (pairs, read)
}

fn pairs_of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn reads_as_loki() {
    for (stage, strict, keep_empty) in [("logfmt", false, false), ("strict", true, false), ("keep", true, true)] {
        for row in recorded(stage) {
            let mut labels = serde_json::Map::new();
            let read = scan(row["line"].as_str().unwrap().as_bytes(), strict, keep_empty, &mut |name, value| add_first(&mut labels, name, value));
            assert_eq!(Value::Object(labels), row["parsed"], "{row}");
            assert_eq!(read.err().map(|fault| fault.to_string()).as_deref(), row["fault"].as_str(), "{row}");
        }
    }
}

#[test]
fn pairs_words_and_quotes() {
    let line = br#"a=1 b="two words" bare c= d="" e="q\"\\\n\t\u00e9\ud83d\ude42\'" 1x=y x.y=z a=2"#;
    let (all, read) = found(line, true, true);
    assert_eq!(read, Ok(()));
    assert_eq!(
        all,
        pairs_of(&[("a", "1"), ("b", "two words"), ("bare", ""), ("c", ""), ("d", ""), ("e", "q\"\\\n\té🙂'"), ("_1x", "y"), ("x_y", "z"), ("a", "2")])
    );
    let (filled, _) = found(line, true, false);
    assert_eq!(filled, pairs_of(&[("a", "1"), ("b", "two words"), ("e", "q\"\\\n\té🙂'"), ("_1x", "y"), ("x_y", "z"), ("a", "2")]));
    assert_eq!(found(b"a=1\tb=2\nc=3", true, false).0, pairs_of(&[("a", "1"), ("b", "2"), ("c", "3")]));
    assert_eq!(found(b"", true, true), (vec![], Ok(())));
}

#[test]
fn wrong_pairs_are_skipped_or_end_the_line() {
    for (line, strict, loose, fault) in [
        (&b"a=1 =x b=2"[..], &[("a", "1")][..], &[("a", "1"), ("b", "2")][..], "pos 5 : unexpected '='"),
        (b"a==1 b=2", &[], &[("b", "2")], "pos 3 : unexpected '='"),
        (b"a=x=y b=2", &[], &[("b", "2")], "pos 4 : unexpected '='"),
        (b"a=x\"y b=2", &[], &[("b", "2")], "pos 4 : unexpected '\"'"),
        (b"\"a\"=1 b=2", &[], &[("b", "2")], "pos 1 : unexpected '\"'"),
        (b"b=2 a=\"x", &[("b", "2")], &[("b", "2")], "pos 9 : unterminated quoted value"),
        (b"a=\"\\x\" b=2", &[], &[("b", "2")], "pos 7 : invalid quoted value"),
        (b"a=\"\\n\x01\" b=2", &[], &[("b", "2")], "pos 8 : invalid quoted value"),
        (b"a\xff=1 b=2", &[], &[("b", "2")], "pos 3 : invalid key"),
    ] {
        let text = String::from_utf8_lossy(line);
        let (pairs, read) = found(line, true, false);
        assert_eq!((pairs, read.unwrap_err().to_string()), (pairs_of(strict), format!("logfmt syntax error at {fault}")), "{text}");
        assert_eq!(found(line, false, false), (pairs_of(loose), Ok(())), "{text}");
    }
}

#[test]
fn bytes_outside_utf8_become_spaces_in_values() {
    assert_eq!(found(b"a=x\xff\xe2\x82 b=\"\\n\xff\" c=\"\\ud83d\"", true, true), (pairs_of(&[("a", "x   "), ("b", "\n "), ("c", " ")]), Ok(())));
}

#[test]
fn keys_as_written() {
    let mut keys = Vec::new();
    pairs("x.y=1 1a=2 ünï=3 b".as_bytes(), true, &mut |key, value| keys.push(format!("{key}:{value}"))).unwrap();
    assert_eq!(keys, ["x.y:1", "1a:2", "ünï:3", "b:"]);
}

proptest! {
    #[test]
    fn what_is_written_is_read(pairs in prop::collection::vec(("[a-z_][a-z0-9_]{0,8}", "[ -!#-\\[\\]-~]{0,12}"), 0..8)) {
        let line = pairs.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect::<Vec<_>>().join(" ");
        prop_assert_eq!(found(line.as_bytes(), true, true), (pairs, Ok(())));
    }

    #[test]
    fn bytes_never_panic_and_names_are_clean(line in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'='), Just(b'"'), Just(b' '), Just(b'\\'), b'a'..=b'z'], 0..64)) {
        let (strict, fault) = found(&line, true, true);
        let (loose, read) = found(&line, false, true);
        prop_assert_eq!(read, Ok(()));
        prop_assert!(loose.starts_with(&strict));
        prop_assert!(fault.is_err() || loose == strict);
        prop_assert!(loose.iter().all(|(name, _)| text::is_clean_name(name.as_bytes())));
    }
}
