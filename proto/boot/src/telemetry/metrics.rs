//! Counters, gauges and histograms under fixed names and label names.
//!
//! Parts: [`Metrics`], the registry; [`Counter`], [`Gauge`], [`Histogram`] and their labelled kin
//! [`Counters`], [`Gauges`], [`Histograms`].
//! Promises: a name given here is the name that is read (`..._total` of a counter included); a metric
//! registered twice is the same metric; label sets come out in order; label values are escaped.
//! Limits: [`SERIES_PER_METRIC_MAX`] label sets a metric, what comes after counts under `_other`.
//! Must not do: take label names or metric names from outside.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Write};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder, text};
use prometheus_client::metrics::{MetricType, TypedMetric, counter, gauge, histogram};
use prometheus_client::registry::Registry;

use crate::limits::SERIES_PER_METRIC_MAX;

/// Buckets for the length of a piece of work in seconds: 1 ms to 60 s.
pub const SECONDS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// What the label values of the sets beyond the limit are.
const OTHER: &str = "_other";

type RawGauge = gauge::Gauge<f64, AtomicU64>;

/// All metrics of a process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    registered: Arc<Mutex<Registered>>,
}

#[derive(Debug, Default)]
struct Registered {
    registry: Registry,
    /// By name: its type, label names, and itself behind `Any`.
    known: BTreeMap<&'static str, Known>,
}

#[derive(Debug)]
struct Known {
    kind: &'static str,
    labels: Vec<&'static str>,
    metric: Box<dyn std::any::Any + Send>,
}

/// Counts up.
#[derive(Clone, Debug)]
pub struct Counter(counter::Counter);

/// Goes up and down.
#[derive(Clone, Debug)]
pub struct Gauge(RawGauge);

/// Counts observations by size.
#[derive(Clone, Debug)]
pub struct Histogram(histogram::Histogram);

/// Counters told apart by `N` labels.
#[derive(Clone, Debug)]
pub struct Counters<const N: usize>(Series<counter::Counter, N>);

/// Gauges told apart by `N` labels.
#[derive(Clone, Debug)]
pub struct Gauges<const N: usize>(Series<RawGauge, N>);

/// Histograms told apart by `N` labels.
#[derive(Clone, Debug)]
pub struct Histograms<const N: usize>(Series<histogram::Histogram, N>);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.0.inc();
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.inc_by(more);
    }

    /// Its present value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.get()
    }
}

impl Gauge {
    /// Becomes `value`.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Becomes a whole number (exact below 2^53).
    #[expect(clippy::cast_precision_loss, reason = "gauges are read as floats anyway")]
    pub fn set_whole(&self, value: u64) {
        self.0.set(value as f64);
    }

    /// Goes up by `more`, or down where it is negative.
    pub fn add(&self, more: f64) {
        self.0.inc_by(more);
    }

    /// Its present value.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.0.get()
    }
}

impl Histogram {
    /// Counts one observation.
    pub fn observe(&self, value: f64) {
        self.0.observe(value);
    }

    /// Counts one length of time, in seconds.
    pub fn observe_span(&self, span: std::time::Duration) {
        self.0.observe(span.as_secs_f64());
    }
}

impl<const N: usize> Counters<N> {
    /// The counter of these label values; made at 0 when it is new.
    #[must_use]
    pub fn with(&self, values: [&str; N]) -> Counter {
        Counter(self.0.with(values))
    }

    /// Forgets the counter of these label values.
    pub fn remove(&self, values: [&str; N]) {
        self.0.remove(values);
    }
}

impl<const N: usize> Gauges<N> {
    /// The gauge of these label values; made at 0 when it is new.
    #[must_use]
    pub fn with(&self, values: [&str; N]) -> Gauge {
        Gauge(self.0.with(values))
    }

    /// Forgets the gauge of these label values.
    pub fn remove(&self, values: [&str; N]) {
        self.0.remove(values);
    }
}

impl<const N: usize> Histograms<N> {
    /// The histogram of these label values.
    #[must_use]
    pub fn with(&self, values: [&str; N]) -> Histogram {
        Histogram(self.0.with(values))
    }

    /// Forgets the histogram of these label values.
    pub fn remove(&self, values: [&str; N]) {
        self.0.remove(values);
    }
}

impl Metrics {
    /// No metrics yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The counter `name`, which ends in `_total`.
    ///
    /// # Panics
    /// When `name` does not end in `_total`, or is registered already as something else.
    #[must_use]
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        Counter(self.register(name, help, &[], counter::Counter::default))
    }

    /// The gauge `name`.
    ///
    /// # Panics
    /// When `name` is registered already as something else.
    #[must_use]
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        Gauge(self.register(name, help, &[], RawGauge::default))
    }

    /// The histogram `name` with these upper bounds ([`SECONDS`] for times).
    ///
    /// # Panics
    /// When `name` is registered already as something else.
    #[must_use]
    pub fn histogram(&self, name: &'static str, help: &'static str, buckets: &[f64]) -> Histogram {
        Histogram(self.register(name, help, &[], || histogram::Histogram::new(buckets.iter().copied())))
    }

    /// The counters `name`, one for each set of label values.
    ///
    /// # Panics
    /// When `name` does not end in `_total`, or is registered already as something else.
    #[must_use]
    pub fn counters<const N: usize>(&self, name: &'static str, help: &'static str, labels: [&'static str; N]) -> Counters<N> {
        Counters(self.register(name, help, &labels, || Series::new(labels, counter::Counter::default)))
    }

    /// The gauges `name`, one for each set of label values.
    ///
    /// # Panics
    /// When `name` is registered already as something else.
    #[must_use]
    pub fn gauges<const N: usize>(&self, name: &'static str, help: &'static str, labels: [&'static str; N]) -> Gauges<N> {
        Gauges(self.register(name, help, &labels, || Series::new(labels, RawGauge::default)))
    }

    /// The histograms `name`, one for each set of label values.
    ///
    /// # Panics
    /// When `name` is registered already as something else.
    #[must_use]
    pub fn histograms<const N: usize>(&self, name: &'static str, help: &'static str, labels: [&'static str; N], buckets: &[f64]) -> Histograms<N> {
        let buckets = buckets.to_vec();
        Histograms(self.register(name, help, &labels, || Series::new(labels, move || histogram::Histogram::new(buckets.iter().copied()))))
    }

    /// All metrics as Prometheus reads them (text format 0.0.4).
    #[must_use]
    pub fn text(&self) -> String {
        let registered = self.lock();
        let mut open = String::new();
        // Writing to a string cannot fail, and the encoder has no errors of its own.
        if text::encode_registry(&mut open, &registered.registry).is_err() {
            open.clear();
        }
        prometheus(&open)
    }

    /// Adds metrics that another part made with prometheus-client itself, such as `StoreMetrics::register`.
    /// Counters get `_total` appended to their name, as that library does.
    pub fn register_with(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.lock().registry);
    }

    fn register<M>(&self, name: &'static str, help: &'static str, labels: &[&'static str], make: impl FnOnce() -> M) -> M
    where
        M: EncodeMetric + TypedMetric + Clone + Debug + Send + Sync + 'static,
    {
        let mut registered = self.lock();
        let kind = M::TYPE.as_str();
        if let Some(known) = registered.known.get(name) {
            assert!(known.kind == kind && known.labels == labels, "metric {name} is registered twice, as two different things");
            return known.metric.downcast_ref::<M>().expect("type and labels are the same").clone();
        }
        let metric = make();
        let bare = if kind == MetricType::Counter.as_str() { name.strip_suffix("_total").expect("the name of a counter ends in _total") } else { name };
        registered.registry.register(bare, help, metric.clone());
        registered.known.insert(name, Known { kind, labels: labels.to_vec(), metric: Box::new(metric.clone()) });
        metric
    }

    fn lock(&self) -> MutexGuard<'_, Registered> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// OpenMetrics to Prometheus' older text format: they differ in a counter's comments, which name it without `_total` in the former.
fn prometheus(open: &str) -> String {
    let mut out = String::with_capacity(open.len() + open.len() / 8);
    let mut lines = open.lines().peekable();
    while let Some(line) = lines.next() {
        let help = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '));
        let counter =
            help.filter(|(name, _)| lines.peek().is_some_and(|next| next.strip_prefix("# TYPE ").and_then(|rest| rest.strip_prefix(name)) == Some(" counter")));
        if let Some((name, text)) = counter {
            out.push_str(&format!("# HELP {name}_total {text}\n# TYPE {name}_total counter\n"));
            lines.next();
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Metrics of one name, by label values.
#[derive(Clone)]
struct Series<M, const N: usize> {
    labels: [&'static str; N],
    make: Arc<dyn Fn() -> M + Send + Sync>,
    rows: Arc<Mutex<BTreeMap<[String; N], M>>>,
}

impl<M: Clone, const N: usize> Series<M, N> {
    fn new(labels: [&'static str; N], make: impl Fn() -> M + Send + Sync + 'static) -> Self {
        Self { labels, make: Arc::new(make), rows: Arc::default() }
    }

    fn with(&self, values: [&str; N]) -> M {
        let mut key = values.map(str::to_owned);
        let mut rows = self.rows();
        if rows.len() >= SERIES_PER_METRIC_MAX && !rows.contains_key(&key) {
            key = [OTHER; N].map(str::to_owned);
        }
        rows.entry(key).or_insert_with(|| (self.make)()).clone()
    }

    fn remove(&self, values: [&str; N]) {
        self.rows().remove(&values.map(str::to_owned));
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<[String; N], M>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M, const N: usize> Debug for Series<M, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Series").field("labels", &self.labels).finish_non_exhaustive()
    }
}

impl<M: TypedMetric, const N: usize> TypedMetric for Series<M, N> {
    const TYPE: MetricType = M::TYPE;
}

impl<M: EncodeMetric + TypedMetric + Clone, const N: usize> EncodeMetric for Series<M, N> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (values, metric) in self.rows().iter() {
            metric.encode(encoder.encode_family(&Row { labels: &self.labels, values })?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

struct Row<'a, const N: usize> {
    labels: &'a [&'static str; N],
    values: &'a [String; N],
}

impl<const N: usize> EncodeLabelSet for Row<'_, N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (name, value) in self.labels.iter().zip(self.values) {
            let mut label = encoder.encode_label();
            let mut key = label.encode_label_key()?;
            key.write_str(name)?;
            let mut text = key.encode_label_value()?;
            text.write_str(value)?;
            text.finish()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
