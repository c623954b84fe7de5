//! `limit`: at most so many lines a second, for all sources of a job together; more are dropped, or reading waits.
//!
//! With `drop` a line without a token is dropped and counted, by one bucket or by one for each value of `by_label_name`.
//! Without it no line is dropped: a line takes a token that is not there yet, and the run says until when its source is to be
//! left alone ([`Limit::waits_until`]). Parts: [`Limit`], `Bucket`, `ByValue` (two generations of buckets, as Promtail keeps).
//! Limits: a wait begins `OWED_MAX` (or one line) behind the rate, so that a source is not woken for every line; at most
//! twice `max_distinct_labels` buckets. Must not do: wait.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use proto_model::{Labels, Timestamp};

use crate::compile::Compiler;
use crate::draft::Draft;
use crate::fault::Place;
use crate::limits::{DISTINCT_LABELS_MIN, DROPPED_BY_LABEL_IDLE, OWED_MAX};
use crate::registry::{Change, Described, FamilyId, Kind, Registry};
use crate::settings::{LimitSettings, place};
use crate::stage::Flow;
use crate::state::State;

/// The stage; its buckets are shared by all sources of its program.
#[derive(Debug)]
pub(crate) struct Limit {
    rate: f64,
    burst: f64,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    Wait(Mutex<Bucket>),
    Drop { bucket: Mutex<Bucket>, reason: usize },
    ByLabel { name: String, buckets: Mutex<ByValue>, reason: usize, registry: Arc<Registry>, dropped: FamilyId },
}

/// Tokens: one a line.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Timestamp,
    /// Since when and until when reading waits.
    wait: Option<(Timestamp, Timestamp)>,
}

/// A bucket per label value. When the newer generation is full it becomes the older one, and what was not asked for since is gone.
#[derive(Debug)]
struct ByValue {
    newer: BTreeMap<String, Bucket>,
    older: BTreeMap<String, Bucket>,
    most: usize,
}

impl Limit {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &LimitSettings) -> Option<Self> {
        let rate = settings.rate.as_ref().map_or(0.0, |rate| rate.value);
        let burst = settings.burst.as_ref().map_or(0, |burst| burst.value);
        if rate.is_nan() || rate <= 0.0 || burst <= 0 {
            compiler.mistake(at, "limit: rate or burst is missing or not above zero", "give both, for example {rate: 100, burst: 200}");
            return None;
        }
        let by_label = settings.by_label_name.as_ref().filter(|name| !name.value.is_empty());
        if let Some(name) = by_label.filter(|_| !settings.drop) {
            compiler.mistake(place(name), "limit: by_label_name is given without drop", "add drop: true, or take by_label_name out");
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a burst of 2^53 lines is no limit")]
        let (burst, now) = (burst as f64, Timestamp::MIN);
        let bucket = Bucket { tokens: burst, filled: now, wait: None };
        let mode = match by_label {
            Some(name) => {
                let described = Described {
                    name: "logentry_dropped_lines_by_label_total".to_owned(),
                    help: "A count of all log lines dropped as a result of a pipeline stage".to_owned(),
                    kind: Kind::Counter,
                    idle: DROPPED_BY_LABEL_IDLE,
                };
                let registry = Arc::clone(compiler.registry());
                let dropped = registry.describe(described)?;
                let most = settings.max_distinct_labels.as_ref().map_or(0, |n| n.value).max(DISTINCT_LABELS_MIN);
                let buckets = Mutex::new(ByValue { newer: BTreeMap::new(), older: BTreeMap::new(), most: usize::try_from(most).unwrap_or(usize::MAX) });
                Mode::ByLabel { name: name.value.clone(), buckets, reason: compiler.reason(None, REASON), registry, dropped }
            }
            None if settings.drop => Mode::Drop { bucket: Mutex::new(bucket), reason: compiler.reason(None, REASON) },
            None => Mode::Wait(Mutex::new(bucket)),
        };
        Some(Self { rate, burst, mode })
    }

    /// Whether lines wait instead of being dropped.
    pub(crate) const fn waits(&self) -> bool {
        matches!(self.mode, Mode::Wait(_))
    }

    /// Until when the sources of this stage are to be left alone.
    pub(crate) fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        let Mode::Wait(bucket) = &self.mode else { return None };
        let (since, until) = lock(bucket).wait?;
        // a clock that was set back must not make the wait longer
        (since <= now && now < until).then_some(until)
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &Draft<'_>) -> Flow {
        let now = state.now;
        let (passes, reason) = match &self.mode {
            Mode::Wait(bucket) => {
                lock(bucket).owe(self.rate, self.burst, now);
                return Flow::Next;
            }
            Mode::Drop { bucket, reason } => (lock(bucket).take(self.rate, self.burst, now), *reason),
            Mode::ByLabel { name, buckets, reason, registry, dropped } => {
                let Some(value) = state.sets.labels(draft.labels).value(name) else { return Flow::Next };
                let passes = lock(buckets).bucket(value, self.burst).take(self.rate, self.burst, now);
                if !passes {
                    let labels = Labels::from_pairs([("label_name", name.as_str()), ("label_value", value)]);
                    registry.change(*dropped, &Arc::new(labels), Change::Add(1.0), now);
                }
                (passes, *reason)
            }
        };
        if passes {
            return Flow::Next;
        }
        state.tally.dropped[reason] += 1;
        Flow::End
    }
}

const REASON: &str = "ratelimit_drop_stage";

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bucket {
    fn fill(&mut self, rate: f64, burst: f64, now: Timestamp) {
        // the first line finds it full; a clock that was set back fills nothing
        if now > self.filled {
            self.tokens = (self.tokens + now.since(self.filled).as_secs_f64() * rate).min(burst);
        }
        self.filled = now;
    }

    /// Takes a token if there is one.
    fn take(&mut self, rate: f64, burst: f64, now: Timestamp) -> bool {
        self.fill(rate, burst, now);
        let is_there = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(is_there));
        is_there
    }

    /// Takes a token that may not be there yet.
    fn owe(&mut self, rate: f64, burst: f64, now: Timestamp) {
        self.fill(rate, burst, now);
        self.tokens -= 1.0;
        let most = (rate * OWED_MAX.as_secs_f64()).max(1.0);
        if self.tokens <= -most {
            let wait = std::time::Duration::try_from_secs_f64(-self.tokens / rate).unwrap_or(std::time::Duration::MAX);
            self.wait = Some((now, now.plus(wait)));
        }
    }
}

impl ByValue {
    fn bucket(&mut self, value: &str, burst: f64) -> &mut Bucket {
        if !self.newer.contains_key(value) {
            let known = self.older.remove(value);
            if self.newer.len() >= self.most {
                self.older = std::mem::take(&mut self.newer);
            }
            let bucket = known.unwrap_or(Bucket { tokens: burst, filled: Timestamp::MIN, wait: None });
            self.newer.insert(value.to_owned(), bucket);
        }
        // it is there by now
        self.newer.entry(value.to_owned()).or_insert(Bucket { tokens: burst, filled: Timestamp::MIN, wait: None })
    }
}

#[cfg(test)]
mod tests;
