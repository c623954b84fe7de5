//! How long to wait before dialling again: pure, endless. Must not do: count attempts or wait.

use std::time::Duration;

use proto_seam::Entropy;

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN};

/// The wait after `attempts` failures in a row: doubles from 1 s up to 30 s, of which a random half is taken off, so that edges which
/// lost the same hub do not come back at the same moment; never below 0.5 s.
#[must_use]
pub fn wait(attempts: u32, entropy: &Entropy) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let longest = BACKOFF_MIN.saturating_mul(2).saturating_mul(1 << doublings).min(BACKOFF_MAX);
    let half_ms = u64::try_from(longest.as_millis() / 2).unwrap_or(u64::MAX);
    longest / 2 + Duration::from_millis(entropy.below(half_ms + 1))
}

#[cfg(test)]
mod tests;
