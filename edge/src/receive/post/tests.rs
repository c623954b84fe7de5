//! Labels before and after rules; what is too large.

use edge_pipeline::Program;
use proto_boot::Metrics;
use proto_boot::settings::parse_all;

use super::*;

fn post(rules: &str) -> Post {
    let (intake, _taken) = Intake::new(&Metrics::new());
    let inlet = Inlet { name: "j".into(), program: Program::compile(&[]).unwrap() };
    let (rules, mistakes) = parse_all::<Vec<edge_pipeline::RelabelSettings>>("r.yaml", rules);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let relabel = Relabeling::compile(&rules.unwrap()).unwrap();
    Post::new(inlet, intake, "push", Labels::from_pairs([("job", "of the job")]), relabel, Clock::simulated(1))
}

#[tokio::test]
async fn the_jobs_labels_stand_over_the_senders_and_reserved_ones_go() {
    let post = post("[{source_labels: [__tag], target_label: tag}, {source_labels: [drop], regex: me, action: drop}]");
    let made = post.labels(Labels::from_pairs([("job", "theirs"), ("__tag", "t"), ("a", "b")])).unwrap();
    assert_eq!(*made, Labels::from_pairs([("a", "b"), ("job", "of the job"), ("tag", "t")]));
    let again = post.labels(Labels::from_pairs([("job", "theirs"), ("__tag", "t"), ("a", "b")])).unwrap();
    assert!(Arc::ptr_eq(&made, &again));
    assert_eq!(post.labels(Labels::from_pairs([("drop", "me")])), None);
    for n in 0..2 * CACHED_MAX {
        drop(post.labels(Labels::from_pairs([("n", n.to_string())])));
    }
    assert!(post.cache.lock().unwrap().len() <= CACHED_MAX);
}

#[tokio::test]
async fn what_is_too_large_is_cut_at_whole_characters() {
    let post = post("[]");
    let many = (0..200).map(|n| (format!("l{n}"), "\u{e9}".repeat(2_000)));
    let labels = post.labels(Labels::from_pairs(many)).unwrap();
    assert_eq!(labels.len(), LABELS_MAX);
    assert!(labels.iter().all(|(_, value)| value.len() <= LABEL_VALUE_BYTES_MAX));
    let metadata = vec![("a.b".to_owned(), "\u{e9}".repeat(100_000)), ("later".to_owned(), "x".to_owned()), ("n".repeat(5_000), String::new())];
    let arrival = post.arrival(&labels, None, Bytes::from_static(b"line"), metadata);
    assert_eq!((arrival.metadata[0].0.as_str(), arrival.line.as_ref()), ("a_b", &b"line"[..]));
    assert!(arrival.metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= METADATA_BYTES_MAX);
    assert!(arrival.metadata.iter().all(|(name, _)| name.len() <= LABEL_NAME_BYTES_MAX));
}
