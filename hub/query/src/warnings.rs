//! What the caller should know beside the answer: lanes that cannot be read on, lines that were given up.
//!
//! Parts: [`of_frozen`], [`of_losses`]. Promises: a few texts at most, the rest summed in one; nothing of another
//! tenant or of another time. Must not do: fetch.

use hub_store::{Frozen, Loss};
use proto_model::{LaneId, TimeRange, Timestamp};

use crate::limits::WARNINGS_MAX;

/// One text for each lane that cannot be read on.
pub(crate) fn of_frozen(frozen: &[(LaneId, Frozen)]) -> Vec<String> {
    let text = |(lane, frozen): &(LaneId, Frozen)| {
        format!("lane {lane} cannot be read from number {} on ({}): lines written to it since are missing", frozen.number, frozen.reason)
    };
    let rest = frozen.len().saturating_sub(WARNINGS_MAX);
    let mut texts: Vec<String> = frozen.iter().take(WARNINGS_MAX).map(text).collect();
    if rest > 0 {
        texts.push(format!("{rest} more lanes cannot be read on: lines written to them since are missing"));
    }
    texts
}

/// Texts on the losses that touch any of `ranges`; the largest are told one by one.
pub(crate) fn of_losses(losses: Vec<Loss>, ranges: &[TimeRange]) -> Vec<String> {
    let several = losses.iter().any(|loss| losses.first().is_some_and(|first| first.tenant != loss.tenant));
    let touched = |loss: &Loss| ranges.iter().any(|range| range.touches(Timestamp(loss.from_ns), Timestamp(loss.to_ns)));
    let mut told: Vec<Loss> = losses.into_iter().filter(touched).collect();
    // Those of unknown size first, they may be the largest.
    told.sort_by(|a, b| (a.lines.is_some(), b.lines, a).cmp(&(b.lines.is_some(), a.lines, b)));
    let rest = told.split_off(told.len().min(WARNINGS_MAX));
    let mut texts: Vec<String> = told.iter().map(|loss| of_loss(loss, several)).collect();
    texts.extend(summed(&rest));
    texts
}

fn of_loss(loss: &Loss, several: bool) -> String {
    let Loss { cluster, edge, reason, .. } = loss;
    let source = if loss.source.is_empty() { String::new() } else { format!(" of source {}", loss.source) };
    let tenant = if several { format!(" for tenant {}", loss.tenant) } else { String::new() };
    format!("lines missing: {} of edge {cluster}/{edge}{source}{tenant} {} (reason {reason})", count(loss.lines), between(loss.from_ns, loss.to_ns))
}

/// All others in one text; `None` when there are none.
fn summed(losses: &[Loss]) -> Option<String> {
    let (from, to) = (losses.iter().map(|loss| loss.from_ns).min()?, losses.iter().map(|loss| loss.to_ns).max()?);
    let known = losses.iter().filter_map(|loss| loss.lines).fold(0, u64::saturating_add);
    let unknown = losses.iter().filter(|loss| loss.lines.is_none()).count();
    let and = if unknown > 0 { format!(" and {unknown} times an unknown number of lines") } else { String::new() };
    Some(format!("lines missing: {}{and} in {} more places {}", count(Some(known)), losses.len(), between(from, to)))
}

fn count(lines: Option<u64>) -> String {
    match lines {
        None => "an unknown number of lines".to_owned(),
        Some(1) => "1 line".to_owned(),
        Some(lines) => format!("{lines} lines"),
    }
}

fn between(from_ns: i64, to_ns: i64) -> String {
    if from_ns == to_ns { format!("at {}", clock(from_ns)) } else { format!("between {} and {}", clock(from_ns), clock(to_ns)) }
}

/// As RFC 3339 in UTC.
fn clock(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns)).map_or_else(|_| ns.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests;
