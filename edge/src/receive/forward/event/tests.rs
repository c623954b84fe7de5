//! Any message is read or refused, never more than was sent.

use proptest::prelude::*;

use super::*;

fn all(message: &[u8]) -> Result<Vec<Event>, String> {
    let Some(mut events) = Events::read(&Bytes::copy_from_slice(message), 10_000)? else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    while let Some(event) = events.next(Some("log"))? {
        out.push(event);
    }
    Ok(out)
}

#[test]
fn a_record_without_the_key_is_the_line_as_json() {
    let events = all(b"\x93\xa1t\x01\x82\xa1a\x01\xa3log\xc3").unwrap();
    assert_eq!(events, [Event { time: Some(Timestamp(1_000_000_000)), line: Bytes::from_static(br#"{"a":1,"log":true}"#), metadata: Vec::new() }]);
    let events = all(b"\x93\xa1t\xc0\xa4text").unwrap();
    assert_eq!((events[0].line.as_ref(), events[0].time), (&br#""text""#[..], None), "a record that is no map");
    let events = all(b"\x93\xa1t\x00\x82\xa3log\xa3x\r\n\xa1b\x91\x07").unwrap();
    assert_eq!(events, [Event { time: None, line: Bytes::from_static(b"x"), metadata: vec![("b".to_owned(), "[7]".to_owned())] }]);
}

proptest! {
    #[test]
    fn any_message_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..150), head in prop::sample::select(vec![&b""[..], b"\x93\xa1t", b"\x92\xa1t\x9f", b"\x92\xa1t\xc4\x60"])) {
        let message = [head, &bytes].concat();
        if let Ok(events) = all(&message) {
            prop_assert!(events.len() <= message.len());
        }
    }
}
