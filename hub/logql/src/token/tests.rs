//! What the text is cut into, and where.

use super::*;

fn toks(text: &str) -> Vec<Tok> {
    tokens(text).unwrap().into_iter().map(|token| token.tok).collect()
}

fn one(text: &str) -> Tok {
    let mut toks = toks(text);
    assert!(toks.len() == 2 || matches!(toks[..], [Tok::Broken(_)]), "{text}: {toks:?}");
    toks.remove(0)
}

fn broken(text: &str) -> Tok {
    Tok::Broken(text.to_owned())
}

#[test]
fn the_longest_punctuation_wins() {
    use Tok::Sym;
    assert_eq!(toks("|= | = == =~ !~ !> |> >="), [Sym("|="), Sym("|"), Sym("="), Sym("=="), Sym("=~"), Sym("!~"), Sym("!>"), Sym("|>"), Sym(">="), Tok::End]);
    assert_eq!(toks("|=="), [Sym("|="), Sym("="), Tok::End]);
    assert_eq!(toks("! ~ @ ;"), [Tok::Stray, Tok::Stray, Tok::Stray, Tok::Stray, Tok::End]);
}

#[test]
fn functions_are_functions_only_where_called() {
    for called in ["rate (", "RATE(", "sum by (", "Sum BY(", "sum without(", "sum # why\n (", "ip("] {
        assert!(matches!(toks(called)[0], Tok::Function(_)), "{called}");
    }
    for name in ["rate", "rate=", "sum by app (", "ip", "bytes >", "foo(", "sum bypass("] {
        assert!(matches!(toks(name)[0], Tok::Identifier(_)), "{name}");
    }
    assert_eq!(one("JSON"), Tok::Sym("json"));
    assert_eq!(one("größe_1"), Tok::Identifier("größe_1".to_owned()));
}

#[test]
fn numbers_take_their_unit_along() {
    assert_eq!(one("5m"), Tok::Duration(300_000_000_000));
    assert_eq!(one("-1.5h"), Tok::Duration(-5_400_000_000_000));
    assert_eq!(one("5KB"), Tok::Bytes(5000));
    assert_eq!(one("5EB"), Tok::Bytes(5_000_000_000_000_000_000));
    assert_eq!(one("[1h]"), Tok::Range(3_600_000_000_000));
    for (text, value) in [("5", 5.0), ("5.", 5.0), (".5", 0.5), ("1e3", 1000.0), ("1E-3", 0.001), ("1_000", 1000.0), ("0x1F", 31.0), ("007", 7.0)] {
        assert_eq!(one(text), Tok::Number(text.to_owned(), value), "{text}");
    }
    assert_eq!(toks("-0"), [Tok::Sym("-"), Tok::Number("0".to_owned(), 0.0), Tok::End]);
    assert_eq!(toks("1sy"), [Tok::Number("1".to_owned(), 1.0), Tok::Identifier("sy".to_owned()), Tok::End]);
    assert_eq!(one("1__0"), broken("'_' must separate successive digits"));
    assert_eq!(one("1_"), broken("'_' must separate successive digits"));
    assert_eq!(one("1e"), broken("exponent has no digits"));
    assert_eq!(one("0xfffffffffffffffff"), broken("invalid number"));
    assert_eq!(one("1e999"), broken("unable to parse float: strconv.ParseFloat: parsing \"1e999\": value out of range"));
    assert_eq!(one("[5m"), broken("missing closing ']' in duration"));
    assert_eq!(one("[$__auto]"), broken("not a valid duration string: \"$__auto\""));
}

#[test]
fn flags_are_whole_words() {
    assert_eq!(toks("--strict --keep-empty"), [Tok::Strict, Tok::KeepEmpty, Tok::End]);
    assert_eq!(toks("--stricter")[..2], [Tok::Sym("-"), Tok::Sym("-")]);
    assert_eq!(toks("--strict--strict")[..2], [Tok::Sym("-"), Tok::Sym("-")]);
}

#[test]
fn strings_are_unquoted_as_go_does() {
    for (text, value) in [
        (r#""a\"b\\c\n\t\x41\101\u00e9\U0001f600""#, "a\"b\\c\n\tAAé😀"),
        (r#""\xc3\xa9""#, "é"),
        (r#""\ud800""#, "\u{fffd}"),
        ("`a\\n\r\nb`", "a\\n\nb"),
        ("\"\"", ""),
    ] {
        assert_eq!(one(text), Tok::String(value.to_owned()), "{text}");
    }
    for (text, reason) in [
        ("\"abc", "literal not terminated"),
        ("\"abc\ndef\"", "literal not terminated"),
        ("\"abc\\\"", "literal not terminated"),
        ("`abc", "literal not terminated"),
        (r#""\q""#, "invalid char escape"),
        (r#""\x4""#, "invalid char escape"),
        (r#""\777""#, "invalid char escape"),
        (r#""\U00110000""#, "invalid char escape"),
        (r#""\'""#, "invalid char escape"),
        ("\"a\0\"", "invalid character NUL"),
        ("`\0`", "invalid character NUL"),
        (r#""\xff""#, "string is not valid utf-8"),
    ] {
        assert_eq!(one(text), broken(reason), "{text}");
    }
}

#[test]
fn blanks_and_comments_are_gone_over() {
    assert_eq!(toks("\u{feff} a # b\n//c\n/* d \n */ e"), [Tok::Identifier("a".to_owned()), Tok::Identifier("e".to_owned()), Tok::End]);
    assert_eq!(toks("a /* b"), [Tok::Identifier("a".to_owned()), broken("comment not terminated")]);
}

#[test]
fn places_count_characters_from_one() {
    let places: Vec<_> = tokens("é \"日本\n\" x").unwrap().iter().map(|t| (t.line, t.col)).collect();
    assert_eq!(places, [(1, 1), (1, 3)]);
    let places: Vec<_> = tokens("\"日本\" x\n  | `a\nb` y").unwrap().iter().map(|t| (t.line, t.col)).collect();
    assert_eq!(places, [(1, 1), (1, 6), (2, 3), (2, 5), (3, 4), (3, 5)]);
}
