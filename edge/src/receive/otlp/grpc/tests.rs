//! The frame around a message.

use super::*;

#[test]
fn one_message_is_taken_and_nothing_else() {
    let of = |bytes: &[u8]| message(&Bytes::copy_from_slice(bytes));
    assert_eq!(of(b"\0\0\0\0\x02ab"), Ok((false, Bytes::from_static(b"ab"))));
    assert_eq!(of(b"\x01\0\0\0\0"), Ok((true, Bytes::new())));
    for bad in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x02a", b"\0\0\0\0\x02abc", b"\x02\0\0\0\0", b"\0\xff\xff\xff\xffa"] {
        assert!(matches!(of(bad), Err(Refusal::Wrong(_))), "{bad:?}");
    }
    assert_eq!(percent_encoded("a b%\u{e9}\n"), "a b%25%C3%A9%0A");
}
