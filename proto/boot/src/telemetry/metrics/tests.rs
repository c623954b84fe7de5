//! The exposition, byte for byte, and the promises about names and labels.

use std::time::Duration;

use super::{Metrics, SECONDS};
use crate::limits::SERIES_PER_METRIC_MAX;

#[test]
fn the_text_is_what_prometheus_reads() {
    let metrics = Metrics::new();
    let lines = metrics.counters("tributary_hub_lines_committed_total", "Lines that stand in the store", ["tenant", "cluster"]);
    metrics.counter("tributary_hub_batches_duplicate_total", "Batches met twice").add(3);
    metrics.gauge("tributary_edge_wal_bytes", "Bytes in the WAL").set_whole(10 << 30);
    metrics.gauges("tributary_hub_lane_head", "Newest number of a lane", ["lane"]).with(["00ff"]).set(17.0);
    metrics.histogram("tributary_hub_seal_seconds", "Length of a seal", &[0.1, 1.0]).observe_span(Duration::from_millis(500));
    lines.with(["blue", "beta"]).inc();
    lines.with(["acme", "alpha"]).add(41);
    lines.with(["acme", "alpha"]).inc();
    let expected = "\
# HELP tributary_hub_lines_committed_total Lines that stand in the store.
# TYPE tributary_hub_lines_committed_total counter
tributary_hub_lines_committed_total{tenant=\"acme\",cluster=\"alpha\"} 42
tributary_hub_lines_committed_total{tenant=\"blue\",cluster=\"beta\"} 1
# HELP tributary_hub_batches_duplicate_total Batches met twice.
# TYPE tributary_hub_batches_duplicate_total counter
tributary_hub_batches_duplicate_total 3
# HELP tributary_edge_wal_bytes Bytes in the WAL.
# TYPE tributary_edge_wal_bytes gauge
tributary_edge_wal_bytes 10737418240.0
# HELP tributary_hub_lane_head Newest number of a lane.
# TYPE tributary_hub_lane_head gauge
tributary_hub_lane_head{lane=\"00ff\"} 17.0
# HELP tributary_hub_seal_seconds Length of a seal.
# TYPE tributary_hub_seal_seconds histogram
tributary_hub_seal_seconds_sum 0.5
tributary_hub_seal_seconds_count 1
tributary_hub_seal_seconds_bucket{le=\"0.1\"} 0
tributary_hub_seal_seconds_bucket{le=\"1.0\"} 1
tributary_hub_seal_seconds_bucket{le=\"+Inf\"} 1
";
    assert_eq!(metrics.text(), expected);
}

#[test]
fn a_name_means_one_metric() {
    let metrics = Metrics::new();
    metrics.counter("a_total", "A").inc();
    assert_eq!(metrics.clone().counter("a_total", "A").value(), 1);
    let labelled = metrics.counters("b_total", "B", ["reason"]);
    labelled.with(["x"]).inc();
    assert_eq!(metrics.counters("b_total", "B", ["reason"]).with(["x"]).value(), 1);
    assert_eq!(metrics.text().matches("# TYPE a_total").count(), 1);
}

#[test]
#[should_panic(expected = "registered twice, as two different things")]
fn a_name_cannot_mean_two_things() {
    let metrics = Metrics::new();
    let counter = metrics.counter("a_total", "A");
    counter.inc();
    let _labelled = metrics.counters("a_total", "A", ["reason"]);
}

#[test]
fn label_values_are_escaped() {
    let metrics = Metrics::new();
    metrics.counters("a_total", "A", ["reason"]).with(["x\"y\\z\nfake_total 1"]).inc();
    assert!(metrics.text().contains(r#"a_total{reason="x\"y\\z\nfake_total 1"} 1"#), "{}", metrics.text());
}

#[test]
fn label_sets_are_bounded_and_can_be_forgotten() {
    let metrics = Metrics::new();
    let gauges = metrics.gauges("g", "G", ["name", "more"]);
    for i in 0..SERIES_PER_METRIC_MAX + 10 {
        gauges.with([&i.to_string(), "x"]).add(1.0);
    }
    assert_eq!(gauges.with(["_other", "_other"]).value(), 10.0);
    let rows = metrics.text().lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(rows, SERIES_PER_METRIC_MAX + 1);
    gauges.remove(["1", "x"]);
    assert!(!metrics.text().contains("g{name=\"1\","));
}

#[test]
fn labelled_histograms_share_their_buckets() {
    let metrics = Metrics::new();
    let histograms = metrics.histograms("h_seconds", "H", ["route"], &SECONDS);
    histograms.with(["query"]).observe(0.3);
    assert!(metrics.text().contains("h_seconds_bucket{le=\"0.5\",route=\"query\"} 1"), "{}", metrics.text());
    assert!(metrics.text().contains("h_seconds_bucket{le=\"0.25\",route=\"query\"} 0"), "{}", metrics.text());
}

#[test]
fn metrics_of_the_library_itself_are_taken_in() {
    let metrics = Metrics::new();
    let raw = prometheus_client::metrics::counter::Counter::<u64>::default();
    raw.inc_by(2);
    metrics.register_with(|registry| registry.register("tributary_hub_store_read_bytes", "Bytes", raw.clone()));
    let expected =
        "# HELP tributary_hub_store_read_bytes_total Bytes.\n# TYPE tributary_hub_store_read_bytes_total counter\ntributary_hub_store_read_bytes_total 2\n";
    assert_eq!(metrics.text(), expected);
}
