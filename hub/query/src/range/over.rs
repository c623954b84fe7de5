//! The functions over a window: counts, rates, sums, extremes, deviations, quantiles, first and last.
//!
//! Parts: [`values`] (one series at all steps), [`absent`], and a function per kind. Promises: a step whose
//! window is empty has no value; order of samples is by time, then arrival. Must not do: group series.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Collected, RangePlan, RangeSeries};
use hub_logql::RangeOp;

/// The value at each step whose window holds a line.
pub(crate) fn values(plan: &RangePlan, collected: Collected) -> Vec<(u32, f64)> {
    match collected {
        Collected::Sums(changes) => sums(plan, &changes),
        Collected::Samples(samples) => windows(plan, samples),
    }
}

#[expect(clippy::cast_precision_loss, reason = "samples are floats")]
fn seconds(plan: &RangePlan) -> f64 {
    plan.range_ns as f64 / 1e9
}

fn steps(plan: &RangePlan) -> std::ops::Range<u32> {
    0..u32::try_from(plan.steps.count).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "samples are floats")]
fn sums(plan: &RangePlan, changes: &BTreeMap<u32, (i64, i64)>) -> Vec<(u32, f64)> {
    let scale = if matches!(plan.op, RangeOp::Rate | RangeOp::BytesRate) { seconds(plan) } else { 1.0 };
    let (mut lines, mut amount) = (0, 0);
    let mut points = Vec::new();
    for step in steps(plan) {
        if let Some(change) = changes.get(&step) {
            lines += change.0;
            amount += change.1;
        }
        if lines > 0 {
            points.push((step, amount as f64 / scale));
        }
    }
    points
}

/// 1 at every step whose window holds no line of any series.
pub(crate) fn absent(plan: &RangePlan, collected: &[Collected]) -> RangeSeries {
    let mut present = vec![false; plan.steps.count];
    for series in collected {
        let Collected::Sums(changes) = series else { continue };
        let mut lines = 0;
        for (step, present) in steps(plan).zip(&mut present) {
            lines += changes.get(&step).map_or(0, |change| change.0);
            *present |= lines > 0;
        }
    }
    let points: Vec<_> = steps(plan).zip(present).filter(|(_, present)| !present).map(|(step, _)| (step, 1.0)).collect();
    if points.is_empty() { Vec::new() } else { vec![(Arc::new(plan.absent.clone()), points)] }
}

fn windows(plan: &RangePlan, mut samples: Vec<(i64, f64)>) -> Vec<(u32, f64)> {
    samples.sort_by_key(|(time, _)| *time);
    let (mut from, mut to) = (0, 0);
    let mut points = Vec::new();
    for step in steps(plan) {
        let last = plan.steps.time(step as usize).nanos().saturating_sub(plan.offset_ns);
        let before = last.saturating_sub(plan.range_ns);
        while samples.get(to).is_some_and(|(time, _)| *time <= last) {
            to += 1;
        }
        while samples.get(from).is_some_and(|(time, _)| *time <= before) {
            from += 1;
        }
        if from < to {
            points.push((step, value(plan, &samples[from..to])));
        }
    }
    points
}

/// The value of a window that is not empty.
fn value(plan: &RangePlan, window: &[(i64, f64)]) -> f64 {
    let all = || window.iter().map(|(_, value)| *value);
    #[expect(clippy::cast_precision_loss, reason = "a window holds fewer samples than a float counts exactly")]
    let count = window.len() as f64;
    match plan.op {
        RangeOp::SumOverTime => all().sum(),
        RangeOp::Rate => all().sum::<f64>() / seconds(plan),
        RangeOp::RateCounter => rate_counter(window, seconds(plan)),
        RangeOp::AvgOverTime => mean(all()),
        RangeOp::MinOverTime => all().fold(f64::NAN, |least, value| if value < least || least.is_nan() { value } else { least }),
        RangeOp::MaxOverTime => all().fold(f64::NAN, |most, value| if value > most || most.is_nan() { value } else { most }),
        RangeOp::StdvarOverTime => variance(all()),
        RangeOp::StddevOverTime => variance(all()).sqrt(),
        RangeOp::QuantileOverTime => quantile(plan.param, all().collect()),
        RangeOp::FirstOverTime => window[0].1,
        RangeOp::LastOverTime => window[window.len() - 1].1,
        RangeOp::CountOverTime | RangeOp::BytesRate | RangeOp::BytesOverTime | RangeOp::AbsentOverTime => count,
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut count) = (0.0, 0.0);
    for value in values {
        count += 1.0;
        // An infinite mean stays what it is, but for NaN and the other infinity.
        if f64::is_infinite(mean) && (f64::is_finite(value) || value == mean) {
            continue;
        }
        mean += value / count - mean / count;
    }
    mean
}

/// Of the whole population, by Welford's way.
pub(crate) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut sum, mut count) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        sum += delta * (value - mean);
    }
    sum / count
}

/// Between the two nearest ranks, in proportion.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "ranks lie within the window")]
fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    // NaN sorts first, as in Prometheus.
    values.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let count = values.len() as f64;
    let rank = q * (count - 1.0);
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(count - 1.0);
    let weight = rank - lower;
    values[lower as usize] * (1.0 - weight) + values[upper as usize] * weight
}

/// The rise of a counter per second, resets taken as a start from 0, extended to the window as Loki does it:
/// its times are in nanoseconds where the extension reckons in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "samples are floats")]
fn rate_counter(window: &[(i64, f64)], seconds: f64) -> f64 {
    let [first, .., last] = window else { return 0.0 };
    let mut rise = last.1 - first.1;
    let mut before = 0.0;
    for (_, value) in window {
        if *value < before {
            rise += before;
        }
        before = *value;
    }
    let sampled = (last.0 - first.0) as f64 / 1_000.0;
    let between = sampled / (window.len() - 1) as f64;
    let mut to_start = seconds;
    if rise > 0.0 && first.1 >= 0.0 {
        to_start = to_start.min(sampled * (first.1 / rise));
    }
    let extended = if to_start < between * 1.1 { sampled + to_start } else { sampled + between / 2.0 };
    rise * (extended / sampled) / seconds
}
