//! The metrics that stages make: names that the configuration gives, a series per label set, forgotten when idle.
//!
//! Parts: [`Registry`] (one for all programs of a configuration; [`Registry::text`] is what a page shows), [`Change`] (what a
//! stage does to a series), [`Described`] (what a stage says of its metric). Limits: `SERIES_MAX` series in all; one more is
//! refused and counted. Promises: names are asked for in order, a lock is held for one change.
//! Must not do: read the clock; lines and [`Registry::expire`] bring the time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto_extract::gofloat::format_g;
use proto_model::{Labels, Timestamp};

use crate::limits::{EXPIRE_EVERY, SERIES_MAX};

/// All metrics of a configuration's stages.
#[derive(Default)]
pub struct Registry(Mutex<Families>);

#[derive(Default)]
struct Families {
    families: Vec<Family>,
    series: usize,
    /// Changes given up because there were `SERIES_MAX` series.
    refused: u64,
    expired_at: Timestamp,
}

/// What a stage says of its metric.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: Kind,
    /// A series that was not changed for so long is forgotten.
    pub(crate) idle: Duration,
}

/// The type of a metric.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    /// With the upper bounds of its buckets, rising, without infinity.
    Histogram(Vec<f64>),
}

/// A metric by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FamilyId(usize);

/// What happens to a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change {
    Add(f64),
    Set(f64),
    Observe(f64),
}

struct Family {
    described: Described,
    series: BTreeMap<Arc<Labels>, Series>,
}

struct Series {
    changed: Timestamp,
    /// The value; of a histogram the sum.
    value: f64,
    /// Of a histogram: observations by bucket, the last without bound.
    counts: Vec<u64>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Families> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a metric known, or finds the one of that name. `None` when there is one of another type.
    pub(crate) fn describe(&self, described: Described) -> Option<FamilyId> {
        let mut state = self.lock();
        let known = state.families.iter().position(|family| family.described.name == described.name);
        let Some(at) = known else {
            state.families.push(Family { described, series: BTreeMap::new() });
            return Some(FamilyId(state.families.len() - 1));
        };
        let family = &mut state.families[at].described;
        if family.kind != described.kind {
            return None;
        }
        family.idle = family.idle.max(described.idle);
        Some(FamilyId(at))
    }

    /// Changes the series of `labels`; reserved labels do not count.
    pub(crate) fn change(&self, id: FamilyId, labels: &Arc<Labels>, change: Change, now: Timestamp) {
        let cleaned;
        let labels = if labels.iter().any(|(name, _)| name.starts_with("__")) {
            let mut own = Labels::clone(labels);
            own.retain(|name, _| !name.starts_with("__"));
            cleaned = Arc::new(own);
            &cleaned
        } else {
            labels
        };
        let mut state = self.lock();
        let state = &mut *state;
        let Some(family) = state.families.get_mut(id.0) else { return };
        if let Some(series) = family.series.get_mut(labels) {
            return series.apply(change, &family.described.kind, now);
        }
        if state.series >= SERIES_MAX {
            state.refused += 1;
            return;
        }
        state.series += 1;
        let mut series = Series::new(&family.described.kind, now);
        series.apply(change, &family.described.kind, now);
        family.series.insert(Arc::clone(labels), series);
    }

    /// Forgets the series that were not changed for as long as their metric says; to be called now and then.
    pub fn expire(&self, now: Timestamp) {
        let mut state = self.lock();
        // a clock that was set back starts the wait anew
        if now >= state.expired_at && now.since(state.expired_at) < EXPIRE_EVERY {
            return;
        }
        state.expired_at = now;
        for family in &mut state.families {
            let idle = family.described.idle;
            family.series.retain(|_, series| {
                series.changed = series.changed.min(now);
                now.since(series.changed) <= idle
            });
        }
        state.series = state.families.iter().map(|family| family.series.len()).sum();
    }

    /// All series as Prometheus' text format has them, by name; empty when no stage makes any.
    #[must_use]
    pub fn text(&self) -> String {
        let state = self.lock();
        let mut out = String::new();
        let mut families: Vec<&Family> = state.families.iter().filter(|family| !family.series.is_empty()).collect();
        families.sort_by(|a, b| a.described.name.cmp(&b.described.name));
        for family in families {
            family.write(&mut out);
        }
        if state.refused > 0 {
            push(&mut out, format_args!("# HELP {REFUSED} Changes of metrics of stages given up: there are too many series\n# TYPE {REFUSED} counter\n"));
            push(&mut out, format_args!("{REFUSED} {}\n", state.refused));
        }
        out
    }
}

const REFUSED: &str = "tributary_edge_custom_series_refused_total";

/// Appends; writing to a string cannot fail.
fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok());
}

impl Series {
    fn new(kind: &Kind, now: Timestamp) -> Self {
        let counts = match kind {
            Kind::Counter | Kind::Gauge => Vec::new(),
            Kind::Histogram(bounds) => vec![0; bounds.len() + 1],
        };
        Self { changed: now, value: 0.0, counts }
    }

    fn apply(&mut self, change: Change, kind: &Kind, now: Timestamp) {
        self.changed = now;
        match change {
            Change::Add(by) => self.value += by,
            Change::Set(value) => self.value = value,
            Change::Observe(value) => {
                self.value += value;
                let bounds: &[f64] = if let Kind::Histogram(bounds) = kind { bounds } else { &[] };
                let bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
                if let Some(count) = self.counts.get_mut(bucket) {
                    *count += 1;
                }
            }
        }
    }
}

impl Family {
    fn write(&self, out: &mut String) {
        let Described { name, help, kind, .. } = &self.described;
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        push(out, format_args!("# HELP {name} {}\n# TYPE {name} {word}\n", help.replace('\\', "\\\\").replace('\n', "\\n")));
        for (labels, series) in &self.series {
            let Kind::Histogram(bounds) = kind else {
                push(out, format_args!("{name}{} {}\n", braced(labels, None), format_g(series.value)));
                continue;
            };
            let mut total = 0;
            for (at, count) in series.counts.iter().enumerate() {
                total += count;
                let bound = bounds.get(at).map_or_else(|| "+Inf".to_owned(), |bound| format_g(*bound));
                push(out, format_args!("{name}_bucket{} {total}\n", braced(labels, Some(&bound))));
            }
            push(out, format_args!("{name}_sum{0} {1}\n{name}_count{0} {total}\n", braced(labels, None), format_g(series.value)));
        }
    }
}

fn braced(labels: &Labels, bound: Option<&str>) -> String {
    let mut out = String::new();
    // a label `le` would be taken for a bucket's bound
    let own = labels.iter().filter(|(name, _)| bound.is_none() || *name != "le");
    for (name, value) in own.chain(bound.map(|bound| ("le", bound))) {
        out.push(if out.is_empty() { '{' } else { ',' });
        push(&mut out, format_args!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")));
    }
    if !out.is_empty() {
        out.push('}');
    }
    out
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("series", &self.lock().series).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
