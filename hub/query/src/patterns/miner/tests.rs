//! Lines to patterns: what becomes one, what stays apart, what is promised of any lines.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proto_extract::pattern::LinePattern;

use super::{CLUSTERS_MAX, Miner};

fn mined(lines: &[&str]) -> Vec<(String, u64)> {
    let mut miner = Miner::default();
    lines.iter().for_each(|line| miner.add("", 0, 1, line.as_bytes()));
    miner.patterns().into_iter().map(|mined| (mined.pattern, mined.counts.values().sum())).collect()
}

fn one(lines: &[&str]) -> String {
    let found = mined(lines);
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap().0
}

#[test]
fn words_that_differ_become_holes() {
    assert_eq!(one(&["user alice logged in from 10.0.0.1:80", "user bob logged in from 10.0.0.2:81"]), "user <_> logged in from <_>");
    assert_eq!(one(&["took 12ms", "took 7ms"]), "took <_>");
    assert_eq!(
        one(&[r#"1.2.3.4 - eve [03/Nov/2026] "GET /a HTTP/1.1" 200 8"#, r#"1.2.3.5 - eve [04/Nov/2026] "GET /b HTTP/1.1" 500 9"#]),
        r#"<_> - eve [<_>] "GET <_> HTTP/1.1" <_> <_>"#
    );
}

#[test]
fn values_of_keys_do_not_part_but_texts_do() {
    assert_eq!(one(&["level=info method=GET path=/a user=alice", "level=info method=PUT path=/b user=bob"]), "level=info method=<_> path=<_> user=<_>");
    let found = mined(&[
        r#"{"status":200,"msg":"connection accepted from client","ok":true}"#,
        r#"{"status":500,"msg":"connection accepted from peer","ok":true}"#,
        r#"{"status": 7, "msg":"x"}"#,
        r#"{"status":404,"msg":"cache was not found","ok":true}"#,
    ]);
    let patterns: Vec<&str> = found.iter().map(|(pattern, _)| pattern.as_str()).collect();
    assert_eq!(patterns[0], r#"{"status":<_>,"msg":"connection accepted from <_>","ok":true}"#);
    assert!(patterns.contains(&r#"{"status":404,"msg":"cache was not found","ok":true}"#), "{patterns:?}");
    assert_eq!(patterns.len(), 3);
}

#[test]
fn levels_stay_apart() {
    let mut miner = Miner::default();
    miner.add("info", 0, 1, b"hello 1");
    miner.add("error", 60, 2, b"hello 2");
    miner.add("info", 60, 1, b"hello 3");
    let found: Vec<_> = miner.patterns().into_iter().map(|mined| (mined.level, mined.pattern, mined.counts)).collect();
    assert_eq!(
        found,
        [("error".to_owned(), "hello 2".to_owned(), BTreeMap::from([(60, 2)])), ("info".to_owned(), "hello <_>".to_owned(), BTreeMap::from([(0, 1), (60, 1)])),]
    );
}

#[test]
fn odd_lines_have_patterns_too() {
    assert_eq!(mined(&["", "x"]), [("x".to_owned(), 1)], "empty lines have none");
    assert_eq!(one(&["say <_> and <name>"]), "say <_> and <_>");
    let long = "word ".repeat(5_000);
    let found = one(&[&long]);
    assert!(found.len() < 5_000 && found.ends_with("<_>"), "{}", found.len());
    let mut miner = Miner::default();
    miner.add("", 0, 1, b"broken \xff\xfe end");
    assert_eq!(miner.patterns()[0].pattern, "broken <_> end");
}

#[test]
fn memory_is_bounded_and_no_line_is_lost() {
    let mut miner = Miner::default();
    let letters = |n: u64| (0..6).map(|at| char::from(b'a' + u8::try_from((n >> (at * 4)) & 15).unwrap())).collect::<String>();
    for n in 0..20_000_u64 {
        miner.add("", 0, 1, format!("{}: {} {{{}", letters(n), letters(n * 31), "[".repeat((n % 3_000) as usize)).as_bytes());
    }
    let found = miner.patterns();
    assert!(found.len() <= CLUSTERS_MAX + 1, "{}", found.len());
    assert_eq!(found.iter().flat_map(|mined| mined.counts.values()).sum::<u64>(), 20_000);
    assert!(found.iter().any(|mined| mined.pattern == "<_>"));
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[a-c]{1,3}".prop_map(String::into_bytes),
        "[ \"=,:;|{}\\[\\]()<>_]{1,3}".prop_map(String::into_bytes),
        "[0-9.:]{1,4}".prop_map(String::into_bytes),
        Just(b" ".to_vec()),
        Just(b"\"key\": \"".to_vec()),
        Just(b"key=".to_vec()),
        Just(vec![0xff, 0x00]),
        Just("\u{e9}\u{fffd}".as_bytes().to_vec()),
    ];
    proptest::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Whatever the lines: each is found by `|>` with some pattern of the answer, and the counts add up, also when they were mined apart.
    #[test]
    fn every_line_has_its_pattern(lines in proptest::collection::vec(line(), 1..40), cut in 0_usize..40) {
        let (mut whole, mut first, mut second) = (Miner::default(), Miner::default(), Miner::default());
        for (at, line) in lines.iter().enumerate() {
            whole.add("", 0, 1, line);
            if at < cut { first.add("", 0, 1, line) } else { second.add("", 0, 1, line) }
        }
        first.merge(second);
        for miner in [whole, first] {
            let found = miner.patterns();
            prop_assert_eq!(found.iter().flat_map(|mined| mined.counts.values()).sum::<u64>(), lines.len() as u64);
            let patterns: Vec<LinePattern> = found.iter().map(|mined| LinePattern::parse(&mined.pattern).unwrap()).collect();
            for line in &lines {
                prop_assert!(patterns.iter().any(|pattern| pattern.matches(line)), "{:?} in {:?}", String::from_utf8_lossy(line), found);
            }
        }
    }
}
