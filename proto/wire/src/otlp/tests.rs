//! OTLP bodies of both forms: the same streams, by Loki's mapping; bounded, and refused with a reason.

use prost::Message as _;

use super::*;
use crate::otlp_messages::any_value::Value;
use crate::otlp_messages::{AnyValue, ArrayValue, KeyValueList, Resource as ResourceMessage};
use crate::varint;

fn any(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn text_of(text: &str) -> Option<AnyValue> {
    any(Value::StringValue(text.to_owned()))
}

fn pair(key: &str, value: Option<AnyValue>) -> KeyValue {
    KeyValue { key: key.to_owned(), value }
}

/// A field of bytes.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put(&mut out, number << 3 | 2);
    varint::put(&mut out, bytes.len() as u64);
    out.extend_from_slice(bytes);
    out
}

fn body(resource: &ResourceMessage, scope: &Scope, records: &[LogRecord]) -> Vec<u8> {
    let mut scope_logs = field(1, &scope.encode_to_vec());
    records.iter().for_each(|record| scope_logs.extend(field(2, &record.encode_to_vec())));
    let logs = [field(1, &resource.encode_to_vec()), field(2, &scope_logs), field(3, b"schema")].concat();
    field(1, &logs)
}

fn example() -> Vec<u8> {
    let inner = KeyValueList { values: vec![pair("b.c", any(Value::IntValue(7))), pair("a", any(Value::BoolValue(true)))] };
    let list = ArrayValue { values: vec![AnyValue { value: Some(Value::DoubleValue(1.5)) }, AnyValue { value: Some(Value::StringValue("<x>".to_owned())) }] };
    let resource =
        ResourceMessage { attributes: vec![pair("service.name", text_of("shop")), pair("host.name", text_of("n1")), pair("k8s.pod.name", text_of("p"))] };
    let scope = Scope { name: "lib".to_owned(), version: "2".to_owned(), attributes: vec![pair("scope.x", text_of("y"))], dropped_attributes_count: 0 };
    let record = LogRecord {
        time_unix_nano: 1_700_000_000_000_000_001,
        severity_number: 17,
        severity_text: "ERROR".to_owned(),
        body: text_of("it broke"),
        attributes: vec![pair("http", any(Value::KvlistValue(inner))), pair("list", any(Value::ArrayValue(list)))],
        dropped_attributes_count: 0,
        flags: 1,
        trace_id: vec![0xab; 16].into(),
        span_id: vec![1; 8].into(),
        observed_time_unix_nano: 1_700_000_000_000_000_009,
    };
    let bare = LogRecord { body: any(Value::KvlistValue(KeyValueList { values: vec![pair("n", any(Value::IntValue(1)))] })), ..LogRecord::default() };
    body(&resource, &scope, &[record, bare])
}

const EXAMPLE: &str = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},
  {"key":"host.name","value":{"stringValue":"n1"}},{"key":"k8s.pod.name","value":{"stringValue":"p"}}]},
  "scopeLogs":[{"scope":{"name":"lib","version":"2","attributes":[{"key":"scope.x","value":{"stringValue":"y"}}]},"logRecords":[
  {"timeUnixNano":"1700000000000000001","observedTimeUnixNano":1700000000000000009,"severityNumber":17,"severityText":"ERROR",
   "body":{"stringValue":"it broke"},"flags":1,"traceId":"ABABABABABABABABABABABABABABABAB","spanId":"0101010101010101","unknown":[{}],
   "attributes":[{"key":"http","value":{"kvlistValue":{"values":[{"key":"b.c","value":{"intValue":"7"}},{"key":"a","value":{"boolValue":true}}]}}},
   {"key":"list","value":{"arrayValue":{"values":[{"doubleValue":1.5},{"stringValue":"<x>"}]}}}]},
  {"body":{"kvlistValue":{"values":[{"key":"n","value":{"intValue":1}}]}}}]}]}]}"#;

#[test]
fn both_forms_give_the_same_by_lokis_mapping() {
    let resources = protobuf(&example(), Index::Default).unwrap();
    assert_eq!(json(EXAMPLE.as_bytes(), Index::Default).unwrap(), resources);
    let now = Timestamp(99);
    let pushed = resources.into_iter().next().unwrap().into_pushed(now, &mut 10_000).unwrap();
    assert_eq!(pushed.labels, Labels::from_pairs([("service_name", "shop"), ("k8s_pod_name", "p")]));
    let [first, second] = &pushed.records[..] else { panic!("two records") };
    assert_eq!((first.time, &first.line[..]), (Timestamp(1_700_000_000_000_000_001), &b"it broke"[..]));
    let own = [("http_b_c", "7"), ("http_a", "true"), ("list", r#"[1.5,"\u003cx\u003e"]"#), ("observed_timestamp", "1700000000000000009")];
    let more = [("severity_number", "17"), ("severity_text", "ERROR"), ("flags", "1"), ("trace_id", &"ab".repeat(16)), ("span_id", &"01".repeat(8))];
    let shared = [("host_name", "n1"), ("scope_x", "y"), ("scope_name", "lib"), ("scope_version", "2")];
    let expected: Vec<(String, String)> = own.iter().chain(&more).chain(&shared).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(first.metadata, expected);
    assert_eq!((second.time, &second.line[..]), (now, &b"{\"n\":1}"[..]));
}

#[test]
fn attributes_that_are_named_become_labels_and_no_others() {
    let names = BTreeSet::from(["host.name".to_owned(), "absent".to_owned()]);
    for resources in [protobuf(&example(), Index::Named(&names)).unwrap(), json(EXAMPLE.as_bytes(), Index::Named(&names)).unwrap()] {
        assert_eq!(resources[0].labels, Labels::from_pairs([("host_name", "n1")]));
        assert!(resources[0].metadata.contains(&("service_name".to_owned(), "shop".to_owned())));
    }
}

#[test]
fn values_become_text_as_the_collector_writes_them() {
    for (number, expected) in [(1.0, "1"), (0.1, "0.1"), (1e20, "100000000000000000000"), (1e21, "1e+21"), (1.5e-7, "1.5e-7"), (-2.5, "-2.5")] {
        assert_eq!(text(&any(Value::DoubleValue(number)).unwrap()), expected);
    }
    assert_eq!(text(&any(Value::BytesValue(vec![1, 2, 3].into())).unwrap()), "AQID");
    for (name, expected) in [("a.b-c", "a_b_c"), ("1x", "key_1x"), ("_x", "key_x"), ("__x", "__x"), ("\u{fc}", "key_")] {
        assert_eq!(crate::push::normalized(name), expected);
    }
}

#[test]
fn what_is_said_of_all_records_is_judged_before_it_is_copied() {
    let resource = Resource {
        metadata: vec![("a".to_owned(), "x".repeat(1_000))],
        scopes: vec![ScopeRecords { metadata: Vec::new(), records: vec![Record::default(); 100] }],
        ..Resource::default()
    };
    assert!(matches!(resource.clone().into_pushed(Timestamp(1), &mut 50_000), Err(PushFault::TooLarge { .. })));
    let mut room = 200_000;
    assert_eq!(resource.into_pushed(Timestamp(1), &mut room).unwrap().records.len(), 100);
    assert!(room < 100_000);
}

#[test]
fn bad_bodies_are_refused_with_a_reason() {
    for bad in [
        "",
        "[]x",
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"xyz"}]}]}]}"#,
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1.5"}]}]}]}"#,
    ] {
        assert!(matches!(json(bad.as_bytes(), Index::Default), Err(PushFault::Malformed(_))), "{bad}");
    }
    let whole = example();
    for length in 0..whole.len() {
        drop(protobuf(&whole[..length], Index::Default));
    }
    for bad in [&[0xff][..], &field(1, &[0x0a, 0x7f]), &field(1, &field(2, &field(2, &[0x0f])))] {
        assert!(matches!(protobuf(bad, Index::Default), Err(PushFault::Malformed(_))), "{bad:?}");
    }
    let many = "{".repeat(crate::limits::OTLP_OBJECTS_MAX + 1);
    assert!(matches!(json(many.as_bytes(), Index::Default), Err(PushFault::TooLarge { .. })));
    let nested = format!(
        "{}1{}",
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":"#.to_owned() + &r#"{"arrayValue":{"values":["#.repeat(200),
        "]}}".repeat(200)
    );
    assert!(json(nested.as_bytes(), Index::Default).is_err());
}
