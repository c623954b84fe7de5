//! The canary: known lines that go the way of all lines, so that the hub can tell what became of them.
//!
//! Pure: [`Canary::due`] gives the next line when it is time. A line is `canary RUN NUMBER NS`: `RUN` = 16 hex
//! digits that name this start of the edge (when it was, in nanoseconds, the low 16 bits random), `NUMBER` from 1
//! without gaps, `NS` when it was written. Its stream is `{job="tributary-canary", edge="NAME"}`. Promises: times
//! rise within a run; a number is given once; what was given and did not reach the WAL is told by
//! [`Canary::begin_anew`] and is not taken for a loss. Must not do: write (the collector gathers it like any line).

use std::sync::Arc;
use std::time::Duration;

use proto_model::{Labels, Timestamp};

/// Value of the label `job`.
pub const JOB: &str = "tributary-canary";
/// More often is load, not a look.
pub const EVERY_MIN: Duration = Duration::from_millis(100);

/// `canary`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryParts {
    /// Between two lines.
    pub every: Duration,
    /// Value of the label `edge`.
    pub edge: String,
}

/// Known lines, one after another.
#[derive(Debug)]
pub struct Canary {
    every: Duration,
    labels: Arc<Labels>,
    chance: u16,
    run: String,
    number: u64,
    last: Timestamp,
    next: Timestamp,
}

impl Canary {
    /// Begins a run at `now`; `chance` is random.
    #[must_use]
    pub fn new(parts: &CanaryParts, chance: u16, now: Timestamp) -> Self {
        let labels = Arc::new(Labels::from_pairs([("job", JOB), ("edge", parts.edge.as_str())]));
        let mut canary = Self { every: parts.every, labels, chance, run: String::new(), number: 0, last: now, next: now };
        canary.begin_anew();
        canary
    }

    /// Begins another run, at once: lines of this one are lost before they reached the WAL, and that is no loss.
    pub fn begin_anew(&mut self) {
        self.run = format!("{:016x}", (self.last.nanos() & !0xffff) | i64::from(self.chance));
        self.chance = self.chance.wrapping_add(1);
        self.number = 0;
        self.next = Timestamp::MIN;
    }

    /// The stream of its lines.
    #[must_use]
    pub const fn labels(&self) -> &Arc<Labels> {
        &self.labels
    }

    /// The next line and its time, if it is time; a clock that was set back does not silence it.
    pub fn due(&mut self, now: Timestamp) -> Option<(Timestamp, String)> {
        let set_back = now.plus(self.every) < self.next;
        if now < self.next && !set_back {
            return None;
        }
        self.next = now.plus(self.every);
        self.number += 1;
        let time = now.max(Timestamp(self.last.nanos().saturating_add(1)));
        self.last = time;
        Some((time, format!("canary {} {} {}", self.run, self.number, time.nanos())))
    }

    /// How long until the next.
    #[must_use]
    pub fn due_in(&self, now: Timestamp) -> Duration {
        self.next.since(now)
    }
}

#[cfg(test)]
mod tests;
