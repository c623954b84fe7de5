use std::sync::Arc;

use proto_model::Timestamp;
use proto_wire::{BatchBuilder, Compression};

use super::*;

type Line = (&'static [(&'static str, &'static str)], &'static [(&'static str, &'static str)], &'static [u8]);

fn batch(lines: &[Line]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for ((labels, metadata, line), at) in lines.iter().zip(5..) {
        let metadata: Vec<_> = metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        builder.push(&Arc::new(Labels::from_pairs(labels.iter().copied())), Timestamp(at), 3, &metadata, line);
    }
    builder.freeze(Compression::Zstd).unwrap().body
}

fn shown(portions: &Portions) -> Vec<(String, String, Vec<String>)> {
    let text = |record: &Record| format!("{} {:?} {:?}", record.time.nanos(), String::from_utf8_lossy(&record.line), record.metadata);
    let stream = |tenant: &String, pushed: &Pushed| (tenant.clone(), pushed.labels.to_string(), pushed.records.iter().map(text).collect());
    portions.iter().flat_map(|(tenant, streams)| streams.iter().map(move |pushed| stream(tenant, pushed))).collect()
}

#[test]
fn lines_go_to_the_tenant_of_the_pipeline_without_what_is_reserved() {
    let body = batch(&[
        (&[("app", "a"), ("__tenant_id__", "blue"), ("__path__", "/x")], &[("trace", "1")], b"one"),
        (&[("app", "a")], &[], b"two"),
        (&[("app", "a"), ("__tenant_id__", "blue"), ("__path__", "/x")], &[], b"three"),
        (&[("dc", "own"), ("__tenant_id__", "")], &[], b"\xff"),
    ]);
    let found = unpack(body, "acme", &Labels::from_pairs([("dc", "north")])).unwrap();
    let line = |tenant: &str, labels: &str, lines: &[&str]| (tenant.to_owned(), labels.to_owned(), lines.iter().map(|line| (*line).to_owned()).collect());
    assert_eq!(
        shown(&found),
        [
            line("acme", r#"{app="a", dc="north"}"#, &[r#"6 "two" []"#]),
            line("acme", r#"{dc="own"}"#, &["8 \"\u{fffd}\" []"]),
            line("blue", r#"{app="a", dc="north"}"#, &[r#"5 "one" [("trace", "1")]"#, r#"7 "three" []"#]),
        ]
    );
}

#[test]
fn a_stream_without_labels_gets_one_and_no_batch_is_a_fault() {
    let found = unpack(batch(&[(&[("__x", "y")], &[], b"line")]), "", &Labels::empty()).unwrap();
    assert_eq!(shown(&found)[0].1, r#"{service_name="unknown_service"}"#);
    assert!(unpack(Bytes::from_static(b"no batch"), "", &Labels::empty()).is_err());
}
