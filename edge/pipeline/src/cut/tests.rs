//! The mark stands after whole characters and names the true length.

use super::{mark, whole_chars};
use crate::limits::CUT_MARK_BYTES_MAX;

#[test]
fn the_mark_fits_its_room() {
    let mut line = Vec::new();
    mark(&mut line, u64::MAX);
    assert_eq!(line.len(), CUT_MARK_BYTES_MAX);
    assert_eq!(String::from_utf8(line).unwrap(), "\u{2026}[cut from 18446744073709551615 bytes]");
}

#[test]
fn a_character_is_never_halved() {
    let text = "a\u{e9}\u{20ac}\u{1f600}".as_bytes();
    for (cut, kept) in [(0, 0), (1, 1), (2, 1), (3, 3), (4, 3), (5, 3), (6, 6), (7, 6), (8, 6), (9, 6), (10, 10)] {
        assert_eq!(whole_chars(&text[..cut]), kept, "cut at {cut}");
    }
}

#[test]
fn bytes_that_are_no_text_stay() {
    for bytes in [&b"\xff\xff\xff"[..], b"\x80\x80\x80\x80", b"ab\xff", b"\xc0"] {
        assert_eq!(whole_chars(bytes), bytes.len());
    }
}
