//! Series that come, change, are shown and go.

use std::time::Duration;

use super::*;

fn described(name: &str, kind: Kind) -> Described {
    Described { name: name.to_owned(), help: "a\\b\nc".to_owned(), kind, idle: Duration::from_secs(10) }
}

fn labels(pairs: &[(&str, &str)]) -> Arc<Labels> {
    Arc::new(Labels::from_pairs(pairs.iter().copied()))
}

const SECOND: i64 = 1_000_000_000;

#[test]
fn the_text_is_prometheus_own() {
    let registry = Registry::default();
    let histogram = registry.describe(described("z_seconds", Kind::Histogram(vec![0.5, 2.0]))).unwrap();
    let counter = registry.describe(described("a_total", Kind::Counter)).unwrap();
    let gauge = registry.describe(described("unused", Kind::Gauge)).unwrap();
    assert_eq!(registry.describe(described("unused", Kind::Gauge)), Some(gauge));
    assert_eq!(registry.describe(described("unused", Kind::Counter)), None);
    registry.change(counter, &labels(&[("a", "q\"\\\n"), ("__tenant_id__", "t")]), Change::Add(1_000_000.0), Timestamp(0));
    registry.change(counter, &labels(&[]), Change::Add(2.5), Timestamp(0));
    for value in [0.5, 1.0, 100.0] {
        registry.change(histogram, &labels(&[("le", "x"), ("job", "j")]), Change::Observe(value), Timestamp(0));
    }
    let text = "\
# HELP a_total a\\\\b\\nc
# TYPE a_total counter
a_total 2.5
a_total{a=\"q\\\"\\\\\\n\"} 1e+06
# HELP z_seconds a\\\\b\\nc
# TYPE z_seconds histogram
z_seconds_bucket{job=\"j\",le=\"0.5\"} 1
z_seconds_bucket{job=\"j\",le=\"2\"} 2
z_seconds_bucket{job=\"j\",le=\"+Inf\"} 3
z_seconds_sum{job=\"j\",le=\"x\"} 101.5
z_seconds_count{job=\"j\",le=\"x\"} 3
";
    assert_eq!(registry.text(), text);
}

#[test]
fn what_is_idle_is_forgotten() {
    let registry = Registry::default();
    let counter = registry.describe(described("a", Kind::Counter)).unwrap();
    registry.change(counter, &labels(&[("n", "1")]), Change::Add(1.0), Timestamp(0));
    registry.change(counter, &labels(&[("n", "2")]), Change::Add(1.0), Timestamp(5 * SECOND));
    registry.expire(Timestamp(10 * SECOND));
    assert_eq!(registry.text().lines().count(), 4);
    registry.expire(Timestamp(11 * SECOND));
    assert!(!registry.text().contains("n=\"1\"") && registry.text().contains("n=\"2\""));
    // the clock is set back: nothing is kept longer than it would have been
    registry.expire(Timestamp(SECOND));
    registry.expire(Timestamp(12 * SECOND));
    assert_eq!(registry.text(), "");
}

#[test]
fn series_are_bounded() {
    let registry = Registry::default();
    let counter = registry.describe(described("a", Kind::Counter)).unwrap();
    for n in 0..=SERIES_MAX {
        registry.change(counter, &labels(&[("n", &n.to_string())]), Change::Add(1.0), Timestamp(0));
    }
    registry.change(counter, &labels(&[("n", "0")]), Change::Add(1.0), Timestamp(0));
    let text = registry.text();
    assert!(text.contains("a{n=\"0\"} 2\n"), "a series that is there goes on");
    assert!(text.ends_with("tributary_edge_custom_series_refused_total 1\n"));
    registry.expire(Timestamp(11 * SECOND));
    registry.change(counter, &labels(&[("n", "new")]), Change::Add(1.0), Timestamp(0));
    assert!(registry.text().contains("n=\"new\""), "those that went make room");
}
