//! Points and ranges of time in nanoseconds since 1970-01-01T00:00:00Z.
//!
//! Parts: [`Timestamp`], [`TimeRange`]. Promises: arithmetic saturates, so no input can overflow.
//! Limits: years 1677 to 2262. Must not do: read a clock.

use std::fmt;

/// Nanoseconds since the Unix epoch; negative before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The earliest representable point.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest representable point.
    pub const MAX: Self = Self(i64::MAX);

    /// From whole seconds, saturating.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// From milliseconds, saturating.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Later by `span`, saturating.
    #[must_use]
    pub fn plus(self, span: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// Earlier by `span`, saturating.
    #[must_use]
    pub fn minus(self, span: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// `[start, end)`: start included, end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// First point inside.
    pub start: Timestamp,
    /// First point after it.
    pub end: Timestamp,
}

impl TimeRange {
    /// All of time (but for the very last nanosecond).
    pub const ALL: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };

    /// Whether `at` lies inside.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// Whether any point of the closed interval `[min, max]` lies inside.
    #[must_use]
    pub fn touches(&self, min: Timestamp, max: Timestamp) -> bool {
        min < self.end && self.start <= max
    }
}
