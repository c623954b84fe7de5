//! How fast each edge may send while the store is slow: fair by tenant, then by edge.
//!
//! Pure. Parts: [`shares`] (max-min fair: each tenant an equal share, each edge of a tenant an equal share of
//! that, what one does not want goes to the others); [`Pace`], which decides from one [`Load`] and the
//! [`Asking`] edges of the last second whether and how much, with hysteresis. Promises: the sum of all shares
//! is at most the capacity, but for the least that every edge may always send; an edge that asks for less
//! than its fair share is not slowed. Must not do: send, or read a clock.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_model::TenantId;

use crate::limits::{PACE_LEAST, PACE_RELEASE_LOOKS, PACE_SLOW_LOOKS};
use crate::request::Speaker;

/// What the hub's way in looks like, as of one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Bytes that wait for the store.
    pub waiting: usize,
    /// Bytes that may.
    pub budget: usize,
    /// Bytes a second that edges offered of late.
    pub offered: u64,
    /// Bytes a second that the store took of late, while it had something to take.
    pub taken: u64,
    /// How long the newest object took from its start to its acks; the time so far, when one is under way.
    pub seal: Duration,
    /// Whether the lane is too far ahead of its absorption (lane rule 19).
    pub behind: bool,
}

/// What one edge sent of late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// Its tenant; `None` while it is in none.
    pub tenant: Option<TenantId>,
    /// Bytes a second.
    pub sent: u64,
    /// What it was allowed meanwhile; `None`: all it liked.
    pub allowed: Option<u64>,
}

impl Asking {
    /// What it would send if it might: an edge that uses up what it is allowed would send more.
    const fn wants(&self) -> u64 {
        match self.allowed {
            Some(allowed) if self.sent >= allowed - allowed / 8 => u64::MAX,
            // A little more than of late, so that nobody is held to a quiet second.
            _ => self.sent.saturating_add(self.sent / 4),
        }
    }
}

/// A capacity shared out max-min fair, by tenant and then by edge, in bytes a second.
#[must_use]
pub fn shares(capacity: u64, asking: &BTreeMap<Speaker, Asking>) -> BTreeMap<Speaker, u64> {
    let mut tenants: BTreeMap<&Option<TenantId>, BTreeMap<&Speaker, u64>> = BTreeMap::new();
    for (speaker, asked) in asking {
        tenants.entry(&asked.tenant).or_default().insert(speaker, asked.wants());
    }
    let wanted = tenants.iter().map(|(tenant, edges)| (*tenant, edges.values().fold(0, |sum: u64, wants| sum.saturating_add(*wants)))).collect();
    let of_tenants = max_min(capacity, &wanted);
    tenants
        .iter()
        .flat_map(|(tenant, edges)| max_min(of_tenants.get(tenant).copied().unwrap_or(0), edges))
        .map(|(speaker, share)| (speaker.clone(), share.max(PACE_LEAST)))
        .collect()
}

/// Each gets what it wants, or an equal part of what is left once those that want less have theirs.
fn max_min<K: Ord + Copy>(capacity: u64, wanted: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    let mut ascending: Vec<(K, u64)> = wanted.iter().map(|(key, wants)| (*key, *wants)).collect();
    ascending.sort_by_key(|(_, wants)| *wants);
    let (mut left, mut others) = (capacity, ascending.len() as u64);
    let mut out = BTreeMap::new();
    for (key, wants) in ascending {
        let share = wants.min(left / others.max(1));
        out.insert(key, share);
        left -= share;
        others -= 1;
    }
    out
}

/// What is to be done about the senders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nobody is slowed, and nobody was.
    Free,
    /// These are slowed to so many bytes a second.
    Slow(BTreeMap<Speaker, u64>),
    /// All are told that they are free again.
    Release,
}

/// Whether senders are slowed, and since when that was or was not needed.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    slowed: bool,
    /// Looks in a row at which the store fell behind.
    behind: u32,
    /// Looks in a row at which nothing was the matter.
    calm: u32,
    /// What the store took while it was slow, smoothed.
    capacity: u64,
}

impl Pace {
    /// Whether senders are slowed now.
    #[must_use]
    pub const fn slowed(&self) -> bool {
        self.slowed
    }

    /// Looks once; call once a second or so.
    pub fn look(&mut self, load: &Load, asking: &BTreeMap<Speaker, Asking>) -> Decision {
        let half = load.waiting >= load.budget / 2;
        // A little that waits is no sign: objects are held open for others.
        let lags = load.taken < load.offered - load.offered / 8 && load.waiting >= load.budget / 4;
        self.behind = if lags { self.behind + 1 } else { 0 };
        self.calm = if load.waiting < load.budget / 8 && !load.behind { self.calm + 1 } else { 0 };
        if half || load.behind || self.behind >= PACE_SLOW_LOOKS {
            if !self.slowed {
                self.capacity = load.taken;
            }
            self.slowed = true;
        }
        if !self.slowed {
            return Decision::Free;
        }
        if self.calm >= PACE_RELEASE_LOOKS {
            *self = Self::default();
            return Decision::Release;
        }
        self.capacity = self.next_capacity(load);
        Decision::Slow(shares(self.capacity, asking))
    }

    /// Follows what the store takes; below it while much waits, so that it gets less, above it when little waits, since a store that is given
    /// little takes little.
    fn next_capacity(&self, load: &Load) -> u64 {
        let smoothed = self.capacity / 2 + load.taken / 2;
        let (much, little) = (load.waiting >= load.budget / 2 || load.behind, load.waiting < load.budget / 8);
        let stuck = load.seal > Duration::from_secs(10);
        if stuck {
            smoothed / 2
        } else if much {
            smoothed - smoothed / 4
        } else if little {
            smoothed.max(self.capacity).saturating_add(self.capacity / 4)
        } else {
            smoothed
        }
    }
}

#[cfg(test)]
mod tests;
