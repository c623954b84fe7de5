//! Encodings, keys, and passwords.

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), header::HeaderValue::from_static(value))).collect()
}

#[test]
fn an_encoding_is_unpacked_within_its_bound() {
    assert_eq!(unpack("", Bytes::from_static(b"abc"), 3).unwrap().as_ref(), b"abc");
    assert!(matches!(unpack("identity", Bytes::from_static(b"abcd"), 3), Err(Refusal::TooLarge(_))));
    assert!(matches!(unpack("gzip, gzip", Bytes::from_static(b"abcd"), 3), Err(Refusal::Wrong(_))));
    assert!(matches!(unpack("deflate", Bytes::from_static(b"\xff\xff"), 3), Err(Refusal::Wrong(_))));
}

#[test]
fn keys_are_bounded_and_never_those_of_bodies() {
    assert_eq!(key_of(&headers(&[])), Ok(None));
    let given = key_of(&headers(&[("idempotency-key", "k")])).unwrap().unwrap();
    assert_ne!(given, digest(b"push", b"k"));
    for bad in ["", "a b"] {
        assert!(matches!(key_of(&headers(&[("idempotency-key", bad)])), Err(Refusal::Wrong(_))), "{bad:?}");
    }
}

#[test]
fn a_refusal_says_when_to_come_back() {
    assert_eq!(Refusal::Later("x").header(), Some((header::RETRY_AFTER, 5.into())));
    assert_eq!(Refusal::NoEntry.told().0, StatusCode::UNAUTHORIZED);
}
