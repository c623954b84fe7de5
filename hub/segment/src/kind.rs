//! Which segment a line belongs to: one UTC day of line time, or the odd ones.
//!
//! Parts: [`Kind`], [`kind_of`]. Pure: `now` is given.

use std::fmt;
use std::time::Duration;

use proto_model::Timestamp;

const DAY_NS: i64 = 86_400_000_000_000;
/// How far ahead of the hub a line may be before it is odd.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Lines of one UTC day, counted from 1970-01-01; at least 1.
    Day(i32),
    /// Lines before 1970-01-02, or more than 24 h ahead of the hub when they were absorbed.
    Odd,
}

/// The kind of segment for a line of time `time`, absorbed at `now`.
#[must_use]
pub fn kind_of(time: Timestamp, now: Timestamp) -> Kind {
    match day_of(time) {
        Some(day) if time <= now.plus(AHEAD_MAX) => Kind::Day(day),
        Some(_) | None => Kind::Odd,
    }
}

/// The UTC day of `time`; `None` before 1970-01-02.
fn day_of(time: Timestamp) -> Option<i32> {
    i32::try_from(time.nanos().div_euclid(DAY_NS)).ok().filter(|day| *day >= 1)
}

impl Kind {
    /// Whether a line of time `time` may lie in a segment of this kind: in an odd one any may, since "ahead" was judged at absorption.
    #[must_use]
    pub fn admits(self, time: Timestamp) -> bool {
        match self {
            Self::Day(day) => day_of(time) == Some(day),
            Self::Odd => true,
        }
    }

    /// 0 for odd ones, else the day.
    pub(crate) const fn code(self) -> u32 {
        match self {
            Self::Day(day) => day.unsigned_abs(),
            Self::Odd => 0,
        }
    }

    /// Back from [`Self::code`].
    pub(crate) fn of_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::Odd),
            day => i32::try_from(day).ok().map(Self::Day),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => write!(f, "day {day}"),
            Self::Odd => f.write_str("odd lines"),
        }
    }
}

#[cfg(test)]
mod tests;
