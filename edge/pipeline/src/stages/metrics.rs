//! `metrics`: counters, gauges and histograms made of extracted values, one series for each label set.
//!
//! A metric takes the value of its source (its own name, if none is given); a counter with `match_all` takes every line, with
//! `count_entry_bytes` the line's length. With `value` only lines whose source has that text count. Texts are read as numbers
//! or as durations in seconds; what is neither, and what would make a counter fall, is counted and changes nothing.
//! Parts: [`Metrics`], `Metric`. Must not do: keep series; the registry does.

use std::str;
use std::sync::Arc;

use proto_extract::quantity;
use proto_model::labels::is_label_name;

use crate::compile::Compiler;
use crate::draft::{Draft, SlotId};
use crate::fault::Place;
use crate::limits::{BUCKETS_MAX, METRIC_IDLE_DEFAULT, METRIC_IDLE_MIN};
use crate::registry::{Change, Described, FamilyId, Kind, Registry};
use crate::settings::{MetricSettings, Named, Text, place};
use crate::stage::Flow;
use crate::state::{Reader, State};
use crate::units;

const BUCKETS_DEFAULT: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const PREFIX_DEFAULT: &str = "promtail_custom_";

/// The stage.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    metrics: Vec<Metric>,
}

#[derive(Debug)]
struct Metric {
    family: FamilyId,
    of: Of,
    /// The text its source must have.
    value: Option<String>,
    action: Action,
}

/// What a metric is made of.
#[derive(Debug, Clone, Copy)]
enum Of {
    Source(SlotId),
    EveryLine,
    LineBytes,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    /// By 1 or -1.
    Step(f64),
    /// By the value, times 1 or -1.
    Add(f64),
    /// By the value, which must not be below zero.
    Raise,
    Set,
    Observe,
}

/// The value a metric takes: its source, or what bears its own name.
pub(crate) fn source_of<'s>(name: &'s Text, settings: &'s MetricSettings) -> &'s str {
    settings.source.as_ref().map_or(&name.value, |text| &text.value)
}

impl Metrics {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &Named<MetricSettings>) -> Option<Self> {
        if settings.0.is_empty() {
            compiler.mistake(
                at,
                "metrics: no metric is given",
                "give at least one, for example lines_total: {type: Counter, config: {match_all: true, action: inc}}",
            );
            return None;
        }
        let metrics: Vec<_> = settings.0.iter().map(|(name, metric)| Metric::compile(compiler, name, metric)).collect();
        let metrics: Option<Vec<_>> = metrics.into_iter().collect();
        Some(Self { registry: Arc::clone(compiler.registry()), metrics: metrics? })
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        for metric in &self.metrics {
            match metric.change(draft) {
                None => {}
                Some(Ok(change)) => self.registry.change(metric.family, state.sets.labels(draft.labels), change, state.now),
                Some(Err(())) => state.tally.error(Reader::Metrics),
            }
        }
        Flow::Next
    }
}

impl Metric {
    fn compile(compiler: &mut Compiler<'_>, name: &Text, settings: &MetricSettings) -> Option<Self> {
        let at = place(name);
        let prefix = settings.prefix.as_ref().map(|text| text.value.as_str()).filter(|text| !text.is_empty()).unwrap_or(PREFIX_DEFAULT);
        let full = format!("{prefix}{}", name.value);
        if !is_label_name(&full.replace(':', "_")) {
            compiler.mistake(at, format!("metrics: {full:?} is no name for a metric"), "use letters, digits, _ and :, and no digit at the beginning");
            return None;
        }
        let (kind, action) = kind_and_action(compiler, at, settings)?;
        let idle = match &settings.max_idle_duration {
            None => METRIC_IDLE_DEFAULT,
            Some(text) => units::duration(&text.value).filter(|idle| *idle >= METRIC_IDLE_MIN).or_else(|| {
                compiler.mistake(
                    place(text),
                    format!("metrics: max_idle_duration {:?} is not a duration of 1s or more", text.value),
                    "write it as Go does, for example 10m",
                );
                None
            })?,
        };
        let of = of(compiler, at, name, settings, &kind)?;
        let help = settings.description.as_ref().map(|text| text.value.clone()).unwrap_or_default();
        let registry = Arc::clone(compiler.registry());
        let Some(family) = registry.describe(Described { name: full.clone(), help, kind, idle }) else {
            compiler.mistake(at, format!("metrics: there is a metric {full} of another type already"), "give one of them another name or prefix");
            return None;
        };
        Some(Self { family, of, value: settings.config.value.as_ref().map(|text| text.value.clone()), action })
    }

    /// What a line does to it; `None` when nothing, an error when its value is no number.
    fn change(&self, draft: &Draft<'_>) -> Option<Result<Change, ()>> {
        let text = match self.of {
            Of::EveryLine => None,
            #[expect(clippy::cast_precision_loss, reason = "lines are shorter than 2^53 bytes")]
            Of::LineBytes => return Some(Ok(Change::Add(draft.text().len() as f64))),
            Of::Source(id) if draft.parts.slots.is_present(id) => draft.parts.slots.text(id),
            Of::Source(_) => return None,
        };
        if let Some(wanted) = &self.value
            && text != Some(wanted.as_bytes())
        {
            return None;
        }
        if let Action::Step(by) = self.action {
            return Some(Ok(Change::Add(by)));
        }
        let Some(number) = text.and_then(number) else { return Some(Err(())) };
        Some(match self.action {
            Action::Raise if number < 0.0 || number.is_nan() => Err(()),
            Action::Raise => Ok(Change::Add(number)),
            Action::Add(sign) | Action::Step(sign) => Ok(Change::Add(sign * number)),
            Action::Set => Ok(Change::Set(number)),
            Action::Observe => Ok(Change::Observe(number)),
        })
    }
}

/// A number, a duration in seconds, or 1 and 0 for the booleans of JSON.
fn number(text: &[u8]) -> Option<f64> {
    let text = str::from_utf8(text).ok()?;
    if let Ok(number) = quantity::float(text) {
        return Some(number);
    }
    match text {
        "true" => Some(1.0),
        "false" => Some(0.0),
        _ => quantity::duration_ns(text).ok().map(quantity::seconds),
    }
}

fn kind_and_action(compiler: &mut Compiler<'_>, at: Place, settings: &MetricSettings) -> Option<(Kind, Action)> {
    let kind = settings.kind.as_ref().map(|text| text.value.to_lowercase()).unwrap_or_default();
    let (word_at, word) = settings.config.action.as_ref().map_or((at, String::new()), |text| (place(text), text.value.to_lowercase()));
    let (kind, action, words) = match (kind.as_str(), word.as_str()) {
        ("counter", "inc") => (Kind::Counter, Some(Action::Step(1.0)), ""),
        ("counter", "add") => (Kind::Counter, Some(Action::Raise), ""),
        ("counter", _) => (Kind::Counter, None, "inc or add"),
        ("gauge", "set") => (Kind::Gauge, Some(Action::Set), ""),
        ("gauge", "inc") => (Kind::Gauge, Some(Action::Step(1.0)), ""),
        ("gauge", "dec") => (Kind::Gauge, Some(Action::Step(-1.0)), ""),
        ("gauge", "add") => (Kind::Gauge, Some(Action::Add(1.0)), ""),
        ("gauge", "sub") => (Kind::Gauge, Some(Action::Add(-1.0)), ""),
        ("gauge", _) => (Kind::Gauge, None, "set, inc, dec, add or sub"),
        ("histogram", _) => (Kind::Histogram(buckets(compiler, at, settings)?), Some(Action::Observe), ""),
        (other, _) => {
            compiler.mistake(settings.kind.as_ref().map_or(at, place), format!("metrics: type {other:?} is unknown"), "write Counter, Gauge or Histogram");
            return None;
        }
    };
    if action.is_none() {
        compiler.mistake(word_at, format!("metrics: action {word:?} is unknown"), format!("write {words} as config.action"));
    }
    Some((kind, action?))
}

fn buckets(compiler: &mut Compiler<'_>, at: Place, settings: &MetricSettings) -> Option<Vec<f64>> {
    let Some(written) = settings.config.buckets.as_ref().filter(|written| !written.value.is_empty()) else { return Some(BUCKETS_DEFAULT.to_vec()) };
    let mut bounds = written.value.clone();
    if bounds.last().is_some_and(|last| *last == f64::INFINITY) {
        bounds.pop();
    }
    let rises = bounds.windows(2).all(|pair| matches!(pair, [a, b] if a < b)) && bounds.iter().all(|bound| bound.is_finite());
    if !rises || bounds.len() > BUCKETS_MAX {
        compiler.mistake(at, format!("metrics: buckets do not rise, or are more than {BUCKETS_MAX}"), "write each bound once, the smallest first");
        return None;
    }
    Some(bounds)
}

fn of(compiler: &mut Compiler<'_>, at: Place, name: &Text, settings: &MetricSettings, kind: &Kind) -> Option<Of> {
    let config = &settings.config;
    let is_add = config.action.as_ref().is_some_and(|text| text.value.eq_ignore_ascii_case("add"));
    let wrong = match (*kind == Kind::Counter, config.match_all, config.count_entry_bytes) {
        (false, _, _) => None,
        (true, true, _) if config.value.is_some() => Some(("match_all is given with a value", "remove one of them")),
        (true, false, true) => Some(("count_entry_bytes is given without match_all", "add match_all: true")),
        (true, true, true) if !is_add => Some(("count_entry_bytes is given without action add", "write action: add")),
        (true, _, _) => None,
    };
    if let Some((text, fix)) = wrong {
        compiler.mistake(at, format!("metrics: {text}"), fix);
        return None;
    }
    if *kind == Kind::Counter && config.match_all {
        return Some(if config.count_entry_bytes { Of::LineBytes } else { Of::EveryLine });
    }
    let slot = compiler.slot(source_of(name, settings));
    if slot.is_none() {
        compiler.mistake(at, "metrics: source is empty", "name an extracted value, or remove source");
    }
    slot.map(Of::Source)
}

#[cfg(test)]
mod tests;
