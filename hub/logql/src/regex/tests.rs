//! Against answers of Go.

use super::*;

fn fault(source: &str) -> String {
    facts(source).expect_err(source)
}

/// Answers of Go 1.26's `regexp.Compile`.
#[test]
fn refuses_what_go_refuses_in_its_words() {
    for (source, reason) in [
        ("(", "missing closing ): `(`"),
        ("a(b", "missing closing ): `a(b`"),
        (")", "unexpected ): `)`"),
        ("a)b", "unexpected ): `a)b`"),
        ("[a", "missing closing ]: `[a`"),
        ("x[]a", "missing closing ]: `[]a`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a|*?b", "missing argument to repetition operator: `*?`"),
        ("(?i)*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a+?{2}", "invalid nested repetition operator: `+?{2}`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{3,2}", "invalid repeat count: `{3,2}`"),
        ("a{999999999999}", "invalid repeat count: `{999999999999}`"),
        ("(a{1000}){1000}", "invalid repeat count: `{1000}`"),
        ("((a{10}b){11}c{5}){10}", "invalid repeat count: `{10}`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        ("\\pX", "invalid character class range: `\\pX`"),
        ("[a-\\d]", "invalid escape sequence: `\\d`"),
        ("\\q", "invalid escape sequence: `\\q`"),
        ("\\8", "invalid escape sequence: `\\8`"),
        ("\\1", "invalid escape sequence: `\\1`"),
        ("\\Z", "invalid escape sequence: `\\Z`"),
        ("\\x{110000}", "invalid escape sequence: `\\x{110000`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("(?=x)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?", "invalid or unsupported Perl syntax: `(?`"),
        ("(?i-)a", "invalid or unsupported Perl syntax: `(?i-)`"),
        ("(?P<a-b>x)", "invalid named capture: `(?P<a-b>`"),
        ("(?P<a", "invalid named capture: `(?P<a`"),
        ("(?<=x)", "invalid named capture: `(?<=x)`"),
    ] {
        assert_eq!(fault(source), format!("error parsing regexp: {reason}"), "{source}");
    }
}

#[test]
fn takes_what_go_takes() {
    for source in [
        "{\"key\"",
        "a{,5}",
        "a{",
        "{}",
        "a{01}",
        "]",
        "[]a]",
        "[^]a]",
        "[a-]",
        "[-a]",
        "[[:^digit:]x]",
        "[\\d-z]",
        "[[a]b]",
        "a&&b",
        "\\<a",
        "\\x{41}\\012\\pL\\p{^Greek}",
        "\\Qa(b\\E+",
        "(?i)a(?-i:b)(?s-U:c)",
        "a(?i)*",
        "(?P<1>x)(?<n>y)",
        "(a{10}){100}",
        "(?:)",
        "|",
        "()*",
        "\\A\\z\\b\\B",
        "\\-",
    ] {
        assert!(facts(source).is_ok(), "{source}: {:?}", facts(source));
    }
}

#[test]
fn knows_what_matches_the_empty_text() {
    for source in ["", ".*", "a?", "a|", "(a|b*)", "^$", "x{0,3}", "a{0}", "()", "\\B", "(?i)x?", "\\Q\\E", "(a*)+"] {
        assert!(facts(source).unwrap().takes_empty, "{source}");
    }
    for source in [".+", "a", "a|b", "^a$", "[a-z]*y", "\\b", "(a?)b", "\\Qab\\E?", "a{1,}", ".", "[^a]"] {
        assert!(!facts(source).unwrap().takes_empty, "{source}");
    }
}

#[test]
fn gives_the_names_of_groups() {
    assert_eq!(facts("(?P<a>x)(y)(?:z)(?<b_1>(?P<a>))").unwrap().names, ["a", "b_1", "a"]);
}

#[test]
fn bounds_its_work() {
    assert!(fault(&"a".repeat(REGEX_BYTES_MAX + 1)).contains("too large"));
    assert!(fault(&format!("{}a", "(".repeat(2000))).contains("nests too deeply"));
    assert!(facts(&format!("{}a{}", "(".repeat(REGEX_NESTING_MAX), ")".repeat(REGEX_NESTING_MAX))).is_ok());
}

/// As Loki prints them: in double quotes, or else in backquotes.
#[test]
fn tells_plain_expressions_from_others() {
    for source in ["a", "ab|cd", "a.*", ".*a", ".*ë.*", ".+", ".*", "", "a|", "(?i)foo|bar", "a\\.b", "warn|err.*"] {
        assert!(is_plain(source), "{source}");
    }
    for source in ["a|b", "ab|ac", "a.+", "a.b", "a.*b", "[a-c]", "^a", "a$", "a+", "\\d", "4..", "(?s).*", ".*us.er.*"] {
        assert!(!is_plain(source), "{source}");
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(source: String, dense in "[()\\[\\]{}|*+?\\\\^$.:<>P=!a0-9,xpQE-]{0,40}") {
        drop([(facts(&source), is_plain(&source)), (facts(&dense), is_plain(&dense))]);
    }
}
