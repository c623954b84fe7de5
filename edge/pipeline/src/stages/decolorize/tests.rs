//! Terminal control sequences.

use proptest::prelude::*;

use crate::testing::{lines, through};

#[test]
fn sequences_are_taken_out() {
    for (given, wanted) in [
        ("\x1b[0;32mgreen\x1b[0m", "green"),
        ("\x1b[1 qcursor\x1b[m", "cursor"),
        ("a\x1b[1;31;4mb\x1b[Kc\x1b[?25ld", "abcd"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\u{9b}31mred\u{9b}m", "red"),
        ("\x1bcreset \x1b(Bascii", "reset ascii"),
        ("no colour", "no colour"),
        ("", ""),
    ] {
        let (out, _) = through("- decolorize: {}", &[given]);
        assert_eq!(lines(&out), [wanted], "{given:?}");
    }
}

#[test]
fn a_sequence_without_end_stays() {
    for given in ["\x1b", "\x1b[", "\x1b[31", "\x1b]0;title", "a\u{9b}", "\x1b[\n", "\x1b[2019-11-12T14"] {
        let (out, _) = through("- decolorize:", &[given]);
        assert_eq!(lines(&out), [given]);
    }
}

#[test]
fn a_line_made_by_a_stage_is_cleaned_too() {
    let (out, _) = through("- regex: {expression: 'x(?P<a>.*)'}\n- output: {source: a}\n- decolorize: {}\n", &["x\x1b[1mbold\x1b[0m"]);
    assert_eq!(lines(&out), ["bold"]);
}

proptest! {
    #[test]
    fn text_without_sequences_is_untouched(line in "[^\u{1b}\u{9b}]{0,60}", tail in "[\u{1b}\\[0-9;m\u{9b}\\]a-c]{0,12}") {
        let (out, _) = through("- decolorize: {}", &[&line]);
        prop_assert_eq!(lines(&out), [line.as_str()]);
        let (out, _) = through("- decolorize: {}", &[&tail]);
        prop_assert!(out[0].line.len() <= tail.len());
    }
}
