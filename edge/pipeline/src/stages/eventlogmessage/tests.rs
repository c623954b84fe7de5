//! Messages of Windows events.

use crate::testing::through;

/// The labels after the message of one line.
fn labels(stage: &str, names: &str, message: &str) -> String {
    let yaml = format!("- regex: {{expression: '(?s)(?P<message>.*)'}}\n- eventlogmessage: {{{stage}}}\n- labels: {{{names}}}");
    through(&yaml, &[message]).0[0].labels.clone()
}

#[test]
fn keys_become_values() {
    let message = "Message type:\r\nOverwritten: new \r\nno colon\r\nImage: C:\\Users\\a:b\r\nUser  Name:x";
    assert_eq!(labels("", "Overwritten: , Image: , User__Name: ", message), r#"{Image="C:\\Users\\a:b", Overwritten="new", User__Name="x", job="test"}"#);
    assert_eq!(labels("drop_invalid_labels: true", "Image: , User__Name: ", message), r#"{Image="C:\\Users\\a:b", job="test"}"#);
}

#[test]
fn a_key_that_is_there_gets_another_name() {
    assert_eq!(labels("", "a: , a_extracted: ", "a: 1\r\na: 2"), r#"{a="1", a_extracted="2", job="test"}"#);
    assert_eq!(labels("", "a_extracted: ", "a: 1\r\na: 2"), r#"{a_extracted="2", job="test"}"#, "also when only the second is read");
    assert_eq!(labels("overwrite_existing: true", "a: , a_extracted: ", "a: 1\r\na: 2"), r#"{a="2", job="test"}"#);
}

#[test]
fn another_source_and_a_null_one() {
    let yaml = "- json: {expressions: {m: }}\n- eventlogmessage: {source: m}\n- labels: {a: }";
    assert_eq!(through(yaml, &[r#"{"m":"a: 1"}"#]).0[0].labels, r#"{a="1", job="test"}"#);
    let (out, counters) = through(yaml, &[r#"{"m":null}"#]);
    assert_eq!((out.len(), counters.parse_errors.get("eventlogmessage")), (1, Some(&1)));
}
