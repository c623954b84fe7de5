use proptest::prelude::*;

use super::Escapes::{Answer, Go, Jsoniter, Log};
use super::*;

fn written(text: &str, escapes: Escapes) -> String {
    let mut out = String::new();
    string(&mut out, text, escapes);
    out
}

#[test]
fn each_rule_escapes_its_own() {
    // Text; then what stands between the quotes by the rules Answer, Go, Jsoniter, Log.
    let table = [
        ("", ["", "", "", ""]),
        ("plain ü \u{1f600}", ["plain ü \u{1f600}"; 4]),
        ("a\"b\\c/", [r#"a\"b\\c/"#; 4]),
        ("\n\r\t", [r"\n\r\t"; 4]),
        ("\u{8}\u{c}", [r"\u0008\u000c", r"\b\f", r"\u0008\u000c", r"\u0008\u000c"]),
        ("\0\u{1b}\u{1f}", [r"\u0000\u001b\u001f"; 4]),
        ("<a>&", ["<a>&", r"\u003ca\u003e\u0026", r"\u003ca\u003e\u0026", "<a>&"]),
        ("\u{7f}", [r"\u007f", "\u{7f}", "\u{7f}", r"\u007f"]),
        ("\u{85}\u{9f}\u{a0}", ["\u{85}\u{9f}\u{a0}", "\u{85}\u{9f}\u{a0}", "\u{85}\u{9f}\u{a0}", "\\u0085\\u009f\u{a0}"]),
        ("\u{2027}\u{2028}\u{2029}", ["\u{2027}\\u2028\\u2029"; 4]),
        ("\u{202a}\u{202e}\u{202f}", ["\u{202a}\u{202e}\u{202f}", "\u{202a}\u{202e}\u{202f}", "\u{202a}\u{202e}\u{202f}", "\\u202a\\u202e\u{202f}"]),
        ("\u{200d}\u{200e}\u{200f}", ["\u{200d}\u{200e}\u{200f}", "\u{200d}\u{200e}\u{200f}", "\u{200d}\u{200e}\u{200f}", "\u{200d}\\u200e\\u200f"]),
        ("\u{2066}\u{2069}\u{206a}", ["\u{2066}\u{2069}\u{206a}", "\u{2066}\u{2069}\u{206a}", "\u{2066}\u{2069}\u{206a}", "\\u2066\\u2069\u{206a}"]),
        ("ends\n", [r"ends\n"; 4]),
    ];
    for (text, expected) in table {
        for (escapes, expected) in [Answer, Go, Jsoniter, Log].into_iter().zip(expected) {
            assert_eq!(written(text, escapes), format!("\"{expected}\""), "{text:?} by {escapes:?}");
        }
    }
}

#[test]
fn the_plain_rule_escapes_what_must_be() {
    assert_eq!(written("\0\u{8}\n\"\\", Escapes::Plain), r#""\u0000\u0008\n\"\\""#);
    assert_eq!(written("<&>\u{7f}\u{2028}\u{202e}", Escapes::Plain), "\"<&>\u{7f}\u{2028}\u{202e}\"");
}

#[test]
fn it_is_appended() {
    let mut out = "{\"a\":".to_owned();
    string(&mut out, "b", Answer);
    escaped(&mut out, "c\"", Go);
    assert_eq!(out, r#"{"a":"b"c\""#);
}

proptest! {
    #[test]
    fn every_rule_reads_back(text in "(?s).{0,40}|[\u{0}-\u{2f}\u{7f}-\u{a0}\u{2000}-\u{2070}\\\\]{0,40}") {
        for escapes in [Answer, Go, Jsoniter, Log] {
            let json = written(&text, escapes);
            prop_assert_eq!(&serde_json::from_str::<String>(&json).unwrap(), &text, "{} by {:?}", json, escapes);
        }
    }
}
