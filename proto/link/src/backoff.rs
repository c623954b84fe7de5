//! How long to wait before dialling again: pure, endless. Must not do: count attempts or wait.

use std::time::Duration;

use proto_seam::Entropy;

use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX, BACKOFF_MIN};

/// The wait after `attempts` failures in a row: anything from 0.1 s up to a bound that doubles from 2 s to 30 s. The whole of it
/// is by chance, so that a thousand edges which lost the same hub come back spread evenly.
#[must_use]
pub fn wait(attempts: u32, entropy: &Entropy) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let longest = BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    let spread_ms = u64::try_from((longest - BACKOFF_MIN).as_millis()).unwrap_or(u64::MAX);
    BACKOFF_MIN + Duration::from_millis(entropy.below(spread_ms + 1))
}

#[cfg(test)]
mod tests;
