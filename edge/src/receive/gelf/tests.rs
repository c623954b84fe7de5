//! Times and damaged messages.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn times_are_read_to_the_nanosecond() {
    let cases = [
        (json!(1_700_000_000), Some(1_700_000_000_000_000_000)),
        (json!("1700000000.123456789"), Some(1_700_000_000_123_456_789)),
        (json!(1_700_000_000.5), Some(1_700_000_000_500_000_000)),
        (json!("1.7e9"), Some(1_700_000_000_000_000_000)),
        (json!(0), None),
        (json!("x"), None),
        (json!(1e300), None),
        (json!("99999999999999999999"), None),
        (json!(null), None),
    ];
    for (written, expected) in cases {
        assert_eq!(time(&written), expected.map(Timestamp), "{written}");
    }
}

proptest! {
    #[test]
    fn any_datagram_is_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200), head in prop::sample::select(vec![&b""[..], b"\x1f\x8b\x08", b"\x78\x9c", b"{\"a\":"])) {
        drop(unpacked(&[head, &bytes].concat()).and_then(|json| read(&json)));
    }
}
