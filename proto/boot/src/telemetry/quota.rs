//! How often one place of the program may warn: an outage of hours must not fill the disk with one sentence.
//!
//! Parts: [`Quotas`], pure but for its lock. Promises: the first [`LOG_WARNINGS_MAX`] of a minute are told, the others are
//! counted, and the next that is told says how many were left out. Memory grows with the places that warn, never with
//! what they say. Must not do: read a clock, judge by content.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proto_model::Timestamp;
use tracing::{Level, Metadata};

use crate::limits::LOG_WARNINGS_MAX;

const SPAN: Duration = Duration::from_secs(60);

/// A place of the program: file and line.
type Place = (Option<&'static str>, Option<u32>);

#[derive(Debug, Clone, Copy)]
struct Heard {
    since: Timestamp,
    told: u32,
    left_out: u64,
}

/// What was warned of lately, by place.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    heard: Mutex<BTreeMap<Place, Heard>>,
}

impl Quotas {
    /// Whether an event of `place` is told at `now`: then how many before it were not.
    pub(super) fn take(&self, place: &'static Metadata<'static>, now: Timestamp) -> Option<u64> {
        if *place.level() > Level::WARN {
            return Some(0);
        }
        self.take_of((place.file(), place.line()), now)
    }

    fn take_of(&self, place: Place, now: Timestamp) -> Option<u64> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let one = heard.entry(place).or_insert(Heard { since: now, told: 0, left_out: 0 });
        // A clock that was set back begins a new minute too.
        if now < one.since || now.since(one.since) >= SPAN {
            (one.since, one.told) = (now, 0);
        }
        if one.told >= LOG_WARNINGS_MAX {
            one.left_out += 1;
            return None;
        }
        one.told += 1;
        Some(std::mem::take(&mut one.left_out))
    }
}

#[cfg(test)]
mod tests;
