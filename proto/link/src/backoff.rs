//! How long to wait before trying again: pure, endless. Must not do: count failures or wait.

use std::time::Duration;

use proto_seam::Entropy;

use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX};

/// How waits grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait after the first failure; it doubles with each that follows.
    pub first: Duration,
    /// Longest wait of all.
    pub max: Duration,
    /// How much of a wait is by chance, of a hundred.
    pub jitter: u32,
}

/// Before a hub is dialled again: anything from 0.1 s up to a bound that doubles from 2 s to 30 s. Nearly the whole of it is by chance, so
/// that a thousand edges which lost the same hub come back spread evenly.
pub const DIAL: Backoff = Backoff { first: BACKOFF_FIRST, max: BACKOFF_MAX, jitter: 95 };

impl Backoff {
    /// The wait after `failures` in a row.
    #[must_use]
    pub fn wait(&self, failures: u32, entropy: &Entropy) -> Duration {
        let longest = self.first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(self.max);
        let by_chance = longest.saturating_mul(self.jitter.min(100)) / 100;
        longest - Duration::from_millis(entropy.below(u64::try_from(by_chance.as_millis()).unwrap_or(u64::MAX).saturating_add(1)))
    }
}

#[cfg(test)]
mod tests;
