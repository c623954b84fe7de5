//! Values of every kind, in pieces; any bytes.

use proptest::prelude::*;

use super::*;

fn json(bytes: &[u8]) -> Result<String, String> {
    let mut out = String::new();
    Reader::new(bytes).json(&mut out).map(|()| out)
}

#[test]
fn every_kind_has_a_form_in_json() {
    let cases: [(&[u8], &str); 24] = [
        (b"\xc0", "null"),
        (b"\xc2", "false"),
        (b"\xc3", "true"),
        (b"\x07", "7"),
        (b"\xff", "-1"),
        (b"\xcc\xff", "255"),
        (b"\xcd\x01\x00", "256"),
        (b"\xce\x00\x01\x00\x00", "65536"),
        (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
        (b"\xd0\x80", "-128"),
        (b"\xd1\x80\x00", "-32768"),
        (b"\xd2\x80\x00\x00\x00", "-2147483648"),
        (b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808"),
        (b"\xca\x3f\xc0\x00\x00", "1.5"),
        (b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "null"),
        (b"\xa2\"\n", r#""\"\n""#),
        (b"\xd9\x01\xff", "\"\u{fffd}\""),
        (b"\xda\x00\x01x", r#""x""#),
        (b"\xc4\x02\x00\xff", r#""AP8=""#),
        (b"\xd4\x05\x00", r#""AA==""#),
        (b"\xc7\x01\x05\x00", r#""AA==""#),
        (b"\x92\x01\x90", "[1,[]]"),
        (b"\xdc\x00\x01\x80", "[{}]"),
        (b"\xde\x00\x02\xa1a\x01\x05\x02", r#"{"a":1,"5":2}"#),
    ];
    for (bytes, expected) in cases {
        assert_eq!(json(bytes).as_deref(), Ok(expected), "{bytes:x?}");
        assert_eq!(Scan::default().step(bytes, 100), Ok(Some(bytes.len())), "{bytes:x?}");
        for cut in 0..bytes.len() {
            assert_eq!(Scan::default().step(&bytes[..cut], 100), Ok(None), "{bytes:x?}");
            json(&bytes[..cut]).unwrap_err();
        }
    }
    json(&[0x91; 100]).unwrap_err();
    json(b"\xc1").unwrap_err();
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut scan = Scan::default();
        let mut found = Ok(None);
        for end in 0..=bytes.len() {
            found = scan.step(&bytes[..end], 1_000);
            if !matches!(found, Ok(None)) {
                break;
            }
        }
        prop_assert_eq!(&found, &Scan::default().step(&bytes, 1_000));
        if let Ok(text) = json(&bytes) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            prop_assert!(matches!(found, Ok(Some(_))));
        }
    }
}
