use proptest::prelude::*;
use proto_model::Timestamp;

use super::*;

fn pushed() -> Vec<Pushed> {
    let record = |ns: i64, line: &str| Record { time: Timestamp(ns), line: line.to_owned().into(), metadata: vec![("trace".into(), "a".into())] };
    vec![Pushed { labels: Labels::from_pairs([("app", "x\"y"), ("b", "2")]), records: vec![record(1_700_000_000_000_000_001, "one"), record(-1, "two ü")] }]
}

#[test]
fn protobuf_round_trips() {
    assert_eq!(protobuf(&encode(&pushed()).unwrap()).unwrap(), pushed());
}

#[test]
fn json_is_read_as_documented() {
    let body =
        br#"{"more":1,"streams":[{"stream":{"app":"x\"y","b":"2"},"values":[["1700000000000000001","one",{"trace":"a"}],["-1","two \u00fc",{"trace":"a"}]]}]}"#;
    assert_eq!(json(body).unwrap(), pushed());
    assert_eq!(json(br#"{"streams":[{"stream":{},"values":[]}]}"#).unwrap().len(), 1);
}

#[test]
fn bad_json_is_refused_with_a_reason() {
    for bad in [
        r#"{"streams":[{"stream":{"a":"b"},"values":[[1,"x"]]}]}"#,
        r#"{"streams":[{"stream":{"a":"b"},"values":[["1.5","x"]]}]}"#,
        r#"{"streams":[{"stream":{"a":"b"},"values":[["NaN","x"]]}]}"#,
        r#"{"streams":[{"stream":{"a":"b"},"values":[["9223372036854775808","x"]]}]}"#,
        r#"{"streams":[{"stream":{"a":1},"values":[]}]}"#,
        r#"{"streams":[{"stream":{"a":"b"},"values":[["1","x",{"m":2}]]}]}"#,
        r#"{"streams":"#,
        "",
        "{} x",
    ] {
        assert!(matches!(json(bad.as_bytes()), Err(PushFault::Malformed(_))), "{bad}");
    }
    let deep = "[".repeat(10_000);
    assert!(json(deep.as_bytes()).is_err());
}

#[test]
fn label_texts() {
    assert_eq!(labels(r#"{ a = "b\n" , c=`d\n`, }"#).unwrap(), Labels::from_pairs([("a", "b\n"), ("c", "d\\n")]));
    assert_eq!(labels("{}").unwrap(), Labels::empty());
    assert_eq!(labels(r#"{a-b="c"}"#).unwrap_err().to_string(), "couldn't parse labels: 1:3: parse error: unexpected character inside braces: '-'");
    for bad in ["", "{", r#"{a="b"} x"#, r#"{a="b",a="c"}"#, r#"{="b"}"#, r#"{a="b}"#, r#"{a=b}"#] {
        assert!(labels(bad).is_err(), "{bad}");
    }
}

#[test]
fn ten_million_empty_entries_are_counted_not_kept() {
    let mut stream = Vec::new();
    for _ in 0..3_000_000 {
        stream.extend_from_slice(&[0x12, 0]);
    }
    let mut body = vec![0x0a];
    crate::varint::put(&mut body, stream.len() as u64);
    body.extend_from_slice(&stream);
    let body = snap::raw::Encoder::new().compress_vec(&body).unwrap();
    assert!(matches!(protobuf(&body), Err(PushFault::TooLarge { what: "entries", .. })));
}

#[test]
fn not_snappy_says_so() {
    assert_eq!(protobuf(b"hello").unwrap_err().to_string(), "snappy: corrupt input");
}

proptest! {
    #[test]
    fn arbitrary_bodies_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,60}") {
        let packed = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
        drop(protobuf(&packed));
        drop(protobuf(&bytes));
        drop(json(&bytes));
        drop(labels(&text));
    }
}
