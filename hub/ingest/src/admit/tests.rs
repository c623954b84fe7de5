use std::sync::Arc;

use proto_model::Timestamp;
use proto_wire::limits::STREAMS_MAX;
use proto_wire::{BatchBuilder, Compression};

use super::*;
use crate::rig::{cluster, frozen};

/// Label names and values.
type Pairs<'a> = &'a [(&'a str, &'a str)];

fn row(labels: &[(&str, &str)]) -> StreamRow {
    let labels = labels.iter().map(|(name, value)| Pair { name: (*name).to_owned(), value: (*value).to_owned() }).collect();
    StreamRow { labels, lines: 3, bytes: 30, min_ns: 5, max_ns: 9, ..StreamRow::default() }
}

fn of_edge(labels: &[(&str, &str)]) -> (String, u64) {
    let (rows, dropped) = hub_rows(&[row(labels)], Some(&cluster("alpha")), &["service".to_owned(), "app".to_owned()]);
    (rows[0].labels.to_string(), dropped)
}

#[test]
fn the_cluster_is_the_proven_one_and_reserved_labels_never_come_from_an_edge() {
    let table: [(Pairs<'_>, &str, u64); 9] = [
        (&[("app", "web")], r#"{app="web", cluster="alpha", service_name="web"}"#, 0),
        (&[("app", "web"), ("cluster", "beta")], r#"{app="web", cluster="alpha", service_name="web"}"#, 1),
        (&[("app", "web"), ("tenant", "blue")], r#"{app="web", cluster="alpha", service_name="web"}"#, 1),
        (&[("__name__", "x"), ("__tenant_id__", "y"), ("app", "web")], r#"{app="web", cluster="alpha", service_name="web"}"#, 2),
        (&[("", "x"), ("a b", "x"), ("9a", "x"), ("ä", "x")], r#"{cluster="alpha", service_name="unknown_service"}"#, 4),
        (&[], r#"{cluster="alpha", service_name="unknown_service"}"#, 0),
        (&[("service", "pay"), ("app", "web")], r#"{app="web", cluster="alpha", service="pay", service_name="pay"}"#, 0),
        (&[("service_name", "own"), ("app", "web")], r#"{app="web", cluster="alpha", service_name="own"}"#, 0),
        (&[("app", "")], r#"{cluster="alpha", service_name="unknown_service"}"#, 0),
    ];
    for (labels, expected, dropped) in table {
        assert_eq!(of_edge(labels), (expected.to_owned(), dropped), "{labels:?}");
    }
}

#[test]
fn a_push_may_name_its_own_cluster_but_no_inner_label() {
    let (rows, dropped) = hub_rows(&[row(&[("cluster", "mine"), ("tenant", "t"), ("__inner", "x")])], None, &["app".to_owned()]);
    assert_eq!((rows[0].labels.to_string().as_str(), dropped), (r#"{cluster="mine", service_name="unknown_service", tenant="t"}"#, 1));
    let (rows, _) = hub_rows(&[row(&[("app", "web")])], None, &[]);
    assert_eq!(rows[0].labels.to_string(), r#"{app="web"}"#, "an empty list turns the search off");
}

#[test]
fn counts_and_times_are_those_of_the_edges_row() {
    let (rows, _) = hub_rows(&[row(&[("app", "a")]), row(&[("app", "b")])], Some(&cluster("alpha")), &[]);
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[1].lines, rows[1].bytes, rows[1].min, rows[1].max), (3, 30, Timestamp(5), Timestamp(9)));
}

#[test]
fn ten_thousand_labels_are_cut_to_what_a_stream_may_have() {
    let many: Vec<(String, String)> = (0..10_000).map(|at| (format!("l{at}"), "v".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (rows, dropped) = hub_rows(&[row(&many)], Some(&cluster("alpha")), &["app".to_owned()]);
    assert_eq!(rows[0].labels.len(), EDGE_LABELS_MAX + 2, "and cluster and service_name");
    assert_eq!(usize::try_from(dropped).unwrap(), 10_000 - EDGE_LABELS_MAX);
    let long = "v".repeat(EDGE_LABEL_VALUE_BYTES_MAX + 1);
    assert_eq!(of_edge(&[("long", &long), ("fits", &long[1..])]).1, 1);
}

#[test]
fn a_sound_batch_is_admitted_whatever_its_size() {
    for lines in [&[][..], &["one"], &["one", "two", "three"]] {
        let batch = frozen(&[("app", "web")], lines);
        let admitted = check(&batch.body, &batch.digest, &cluster("alpha"), &["app".to_owned()]).unwrap();
        assert_eq!(admitted.lines, lines.len() as u64);
        assert_eq!(admitted.rows.len(), usize::from(!lines.is_empty()));
    }
}

#[test]
fn one_flipped_bit_anywhere_is_a_damaged_batch() {
    let batch = frozen(&[("app", "web")], &["one", "two"]);
    for at in 0..batch.body.len() {
        let mut bytes = batch.body.to_vec();
        bytes[at] ^= 1;
        let flipped = check(&bytes.into(), &batch.digest, &cluster("alpha"), &[]);
        assert!(matches!(flipped, Err(NotAdmitted::Corrupt(_))), "at {at}: {flipped:?}");
    }
    let other = BatchDigest([1; 16]);
    assert!(matches!(check(&batch.body, &other, &cluster("alpha"), &[]), Err(NotAdmitted::Corrupt(_))));
}

#[test]
fn bytes_that_are_no_batch_are_refused_even_under_their_own_digest() {
    let sound = frozen(&[("app", "web")], &["one"]).body;
    let mut newer = sound.to_vec();
    newer[4] = 0xFF;
    let bombs: [Vec<u8>; 6] = [Vec::new(), b"TRB1".to_vec(), vec![0; 100], vec![0xFF; 5_000], sound[..sound.len() - 1].to_vec(), newer];
    for bytes in bombs {
        let body = Bytes::from(bytes);
        let refused = check(&body, &digest::of_batch(&body), &cluster("alpha"), &[]);
        assert!(refused.is_err(), "{body:?}");
    }
}

#[test]
fn too_many_streams_are_too_large_not_damaged() {
    let mut builder = BatchBuilder::new();
    for at in 0..=STREAMS_MAX {
        builder.push(&Arc::new(Labels::from_pairs([("l", at.to_string())])), Timestamp(0), 0, &[], b"x");
    }
    // The edge's own packing already refuses it; a batch made by other means is refused here.
    if let Ok(batch) = builder.freeze(Compression::None) {
        assert!(matches!(check(&batch.body, &batch.digest, &cluster("alpha"), &[]), Err(NotAdmitted::TooLarge(_))));
    }
}
