use super::*;

#[test]
fn names_are_those_of_iana_whatever_their_case() {
    for (name, expected) in [
        ("UTF-8", Text::AsIs),
        ("us-ascii", Text::AsIs),
        ("ISO-8859-1", Text::Latin1),
        ("latin1", Text::Latin1),
        ("UTF-16", Text::Utf16),
        ("utf-16le", Text::Utf16Le),
        ("UTF-16BE", Text::Utf16Be),
        ("windows-1252", Text::Other(encoding_rs::WINDOWS_1252)),
        ("ISO-8859-15", Text::Other(encoding_rs::ISO_8859_15)),
        ("GBK", Text::Other(encoding_rs::GBK)),
        ("Shift_JIS", Text::Other(encoding_rs::SHIFT_JIS)),
        ("EUC-KR", Text::Other(encoding_rs::EUC_KR)),
        ("KOI8-R", Text::Other(encoding_rs::KOI8_R)),
    ] {
        assert_eq!(Text::named(name), Ok(expected), "{name}");
    }
    for name in ["UTF-32", "klingon", "IBM037", "replacement", "hz-gb-2312"] {
        assert!(Text::named(name).is_err(), "{name}");
    }
}

#[test]
fn what_is_no_character_becomes_a_mark_and_bytes_without_encoding_stay() {
    assert_eq!(Text::AsIs.decode(b"\xFFx").as_ref(), b"\xFFx");
    assert_eq!(Text::Latin1.decode(b"\x80\xE9").as_ref(), "\u{80}é".as_bytes());
    assert_eq!(Text::named("windows-1252").unwrap().decode(b"\x80").as_ref(), "€".as_bytes());
    assert_eq!(Text::named("shift_jis").unwrap().decode(b"\x93\xFA\x96{").as_ref(), "日本".as_bytes());
    // A lone surrogate, and an odd number of bytes.
    assert_eq!(Text::Utf16Le.decode(b"a\0\x00\xD8b\0").as_ref(), "a\u{FFFD}b".as_bytes());
    assert_eq!(Text::Utf16Be.decode(b"\0a\0").as_ref(), "a\u{FFFD}".as_bytes());
    assert_eq!(Text::Utf16.of_file(b"").decode(b"\0a").as_ref(), b"a", "without a mark the high byte is first");
}
