//! What waits to be absorbed, since when, and whether it is due (lane rules 12 and 19). Pure.
//!
//! Parts: [`Amount`] and [`waiting`] (of one lane, by tenant); [`Ages`] (since when this hub has seen it wait);
//! [`is_due`]; [`is_mine`] (which of several hubs begins). Must not do: read a clock.

use std::collections::BTreeMap;
use std::time::Duration;

use hub_store::LaneView;
use proto_model::{LaneId, TenantId};
use tokio::time::Instant;

use crate::UpkeepSettings;
use crate::limits::SMALL_SHARE;

/// What waits of one tenant in one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount {
    /// Number of its first section that is not absorbed.
    pub(crate) first: u64,
    /// Number of the last.
    pub(crate) last: u64,
    /// Bytes of lines, as the directory states them.
    pub(crate) raw: u64,
}

/// What waits in a lane, up to `upto`, above each tenant's watermark.
pub(crate) fn waiting(view: &LaneView, upto: u64, watermark: impl Fn(&TenantId) -> u64) -> BTreeMap<TenantId, Amount> {
    let mut found: BTreeMap<TenantId, Amount> = BTreeMap::new();
    let mut marks: BTreeMap<&TenantId, u64> = BTreeMap::new();
    for object in view.objects_after(view.floor()).take_while(|object| object.number <= upto) {
        for section in &object.sections {
            let mark = *marks.entry(&section.tenant).or_insert_with(|| watermark(&section.tenant));
            if object.number <= mark {
                continue;
            }
            if let Some(amount) = found.get_mut(&section.tenant) {
                amount.last = object.number;
                amount.raw = amount.raw.saturating_add(section.bytes);
            } else {
                found.insert(section.tenant.clone(), Amount { first: object.number, last: object.number, raw: section.bytes });
            }
        }
    }
    found
}

/// Since when the first waiting section of each tenant and lane is known to wait.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    since: BTreeMap<(LaneId, TenantId), (u64, Instant)>,
}

impl Ages {
    /// Takes in what waits in a lane now.
    pub(crate) fn note(&mut self, lane: LaneId, waiting: &BTreeMap<TenantId, Amount>, now: Instant) {
        self.since.retain(|(of, tenant), (first, _)| *of != lane || waiting.get(tenant).is_some_and(|amount| amount.first == *first));
        for (tenant, amount) in waiting {
            self.since.entry((lane, tenant.clone())).or_insert((amount.first, now));
        }
    }

    /// How long it waits.
    pub(crate) fn age(&self, lane: LaneId, tenant: &TenantId, now: Instant) -> Duration {
        self.since.get(&(lane, tenant.clone())).map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(*since))
    }
}

/// Whether what waits is to be absorbed now; `late` is how much longer than due it waits here.
pub(crate) fn is_due(amount: &Amount, age: Duration, late: Duration, settings: &UpkeepSettings) -> bool {
    let small = amount.raw < settings.absorb_bytes / SMALL_SHARE;
    let after = if small { settings.absorb_after_small.max(settings.absorb_after) } else { settings.absorb_after };
    let much = amount.raw >= settings.absorb_bytes && age >= late;
    much || age >= after + late
}

/// Whether a job belongs to the hub `me`: of all that are alive, the one that the job's key falls to.
pub(crate) fn is_mine<'n>(key: &str, me: &'n str, alive: impl Iterator<Item = &'n str>) -> bool {
    let weight = |name: &str| mixed(name.bytes().chain([0]).chain(key.bytes()));
    let mine = (weight(me), me);
    alive.map(|name| (weight(name), name)).all(|other| other <= mine)
}

/// A number from bytes in which every byte counts (FNV-1a, stirred once more at the end).
fn mixed(bytes: impl Iterator<Item = u8>) -> u64 {
    let sum = bytes.fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let stirred = (sum ^ (sum >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    stirred ^ (stirred >> 33)
}

#[cfg(test)]
mod tests;
