//! Wall time, real or given. Must not do: timers (use `tokio::time`).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Tells the wall time in nanoseconds since 1970.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's clock.
    Real,
    /// Tokio's (pausable) clock counted from `start_ns`, plus a skew that a test may change at any time.
    Simulated {
        /// Wall time at `origin`.
        start_ns: i64,
        /// Tokio's time when the clock was made.
        origin: tokio::time::Instant,
        /// Added to every answer.
        skew_ns: Arc<AtomicI64>,
    },
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub const fn real() -> Self {
        Self::Real
    }

    /// A clock that follows tokio's time from `start_ns` on; call inside a runtime.
    #[must_use]
    pub fn simulated(start_ns: i64) -> Self {
        Self::Simulated { start_ns, origin: tokio::time::Instant::now(), skew_ns: Arc::new(AtomicI64::new(0)) }
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn now_ns(&self) -> i64 {
        match self {
            Self::Real => match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
                Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
                Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
            },
            Self::Simulated { start_ns, origin, skew_ns } => {
                start_ns.saturating_add(i64::try_from(origin.elapsed().as_nanos()).unwrap_or(i64::MAX)).saturating_add(skew_ns.load(Ordering::Relaxed))
            }
        }
    }
}
