//! Which track sends next, how much of an old backlog is in flight, how fast bytes go.
//!
//! Pure, three parts: [`Share`] (live or backlog, by a deficit in bytes), [`Drain`] (so few bytes of the backlog are under
//! way that a live batch behind them is not late), [`Pace`] (bandwidth limit and the hub's Slow). Promises: while both have
//! work the backlog gets its share and no more, give or take one batch; neither starves; the one that is alone gets
//! all. Must not do: know tracks or wait.

use std::time::Duration;

use proto_model::Timestamp;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The newest track: what is read now.
    Live,
    /// Older tracks.
    Backlog,
}

/// Largest share of a backlog, per mille: live lines always move.
pub const SHARE_MILLE_MAX: u32 = 950;
/// Bytes that count for a message without a body, so that a flood of gaps counts for something.
pub const MESSAGE_BYTES_MIN: u64 = 256;
/// Most that one side may be ahead of its share: a few large batches.
const CREDIT_MAX: i64 = 16 * 1024 * 1024;

/// Live or backlog, by bytes.
#[derive(Debug, Clone)]
pub struct Share {
    backlog_mille: i64,
    /// Bytes times 1,000 that the backlog may send although the live track has work.
    credit: i64,
}

impl Share {
    /// With the backlog's share per mille, at most [`SHARE_MILLE_MAX`].
    #[must_use]
    pub fn new(backlog_mille: u32) -> Self {
        Self { backlog_mille: i64::from(backlog_mille.min(SHARE_MILLE_MAX)), credit: 0 }
    }

    /// Whose turn it is among those that have work; live comes first.
    #[must_use]
    pub const fn turn(&self, live: bool, backlog: bool) -> Option<Turn> {
        match (live, backlog) {
            (true, true) if self.credit > 0 => Some(Turn::Backlog),
            (true, _) => Some(Turn::Live),
            (false, true) => Some(Turn::Backlog),
            (false, false) => None,
        }
    }

    /// `bytes` were sent; they count when the other side had work too.
    pub fn sent(&mut self, turn: Turn, bytes: u64, other_waits: bool) {
        if !other_waits {
            return;
        }
        let bytes = i64::try_from(bytes).unwrap_or(CREDIT_MAX).min(CREDIT_MAX);
        let change = match turn {
            Turn::Live => bytes * self.backlog_mille,
            Turn::Backlog => -bytes * (1_000 - self.backlog_mille),
        };
        self.credit = (self.credit + change).clamp(-CREDIT_MAX * 1_000, CREDIT_MAX * 1_000);
    }
}

/// An ack of a backlog batch that takes so much longer than the shortest means that too much is under way.
const ACK_GOAL: Duration = Duration::from_millis(1_500);
/// Fewest and most bytes of a backlog under way.
const DRAIN_BYTES: (u64, u64) = (256 * 1024, 64 * 1024 * 1024);

/// How many bytes of the backlog may be under way: as many as are acked within [`ACK_GOAL`] of the
/// shortest time to an ack.
#[derive(Debug, Clone)]
pub struct Drain {
    room: u64,
    /// The shortest time to an ack in this session: a store that needs long is no queue.
    least: Option<Duration>,
    shrunk: Timestamp,
}

impl Default for Drain {
    fn default() -> Self {
        Self { room: 4 * DRAIN_BYTES.0, least: None, shrunk: Timestamp::MIN }
    }
}

impl Drain {
    /// Whether one more batch may go when so many bytes are under way.
    #[must_use]
    pub const fn has_room(&self, in_flight: u64) -> bool {
        in_flight == 0 || in_flight < self.room
    }

    /// `bytes` were acked at `now`, `took` after the newest of them was sent.
    pub fn acked(&mut self, bytes: u64, took: Duration, now: Timestamp) {
        let least = self.least.map_or(took, |least| least.min(took));
        self.least = Some(least);
        let goal = least + ACK_GOAL;
        if took > goal {
            // What is under way was sent before the last change: once per round is enough.
            if self.shrunk == Timestamp::MIN || now.since(self.shrunk) > took {
                self.room = (self.room / 2).max(DRAIN_BYTES.0);
                self.shrunk = now;
            }
        } else if took < least + ACK_GOAL / 2 {
            self.room = self.room.saturating_add(bytes).min(DRAIN_BYTES.1);
        }
    }
}

/// How fast bytes may go: the least of the setting and the hub's word.
#[derive(Debug, Clone)]
pub struct Pace {
    bandwidth: u64,
    /// Bytes a second, and until when.
    slow: Option<(u64, Timestamp)>,
    /// Bytes sent ahead of the rate, times 10^9.
    debt: u128,
    at: Timestamp,
}

const NANOS: u128 = 1_000_000_000;

impl Pace {
    /// With a limit in bytes a second; 0 = none.
    #[must_use]
    pub const fn new(bandwidth: u64) -> Self {
        Self { bandwidth, slow: None, debt: 0, at: Timestamp::MIN }
    }

    /// A new session: what an earlier hub asked for is over.
    pub const fn session_began(&mut self) {
        self.slow = None;
    }

    /// The hub asks for at most `bytes_per_second` for `span`; 0 = no longer.
    pub fn slow(&mut self, bytes_per_second: u64, span: Duration, now: Timestamp) {
        self.settle(now);
        self.slow = (bytes_per_second > 0 && !span.is_zero()).then(|| (bytes_per_second, now.plus(span)));
    }

    /// The rate at `at`; `None` = no limit.
    fn rate(&self, at: Timestamp) -> Option<u64> {
        let slow = self.slow.filter(|(_, until)| at < *until).map(|(rate, _)| rate);
        [Some(self.bandwidth).filter(|rate| *rate > 0), slow].into_iter().flatten().min()
    }

    /// Pays the debt off up to `now`.
    fn settle(&mut self, now: Timestamp) {
        let turn = self.slow.map(|(_, until)| until).filter(|until| *until > self.at && *until < now);
        for to in [turn, Some(now)].into_iter().flatten() {
            let paid = self.rate(self.at).map_or(u128::MAX, |rate| u128::from(rate) * to.since(self.at).as_nanos());
            self.debt = self.debt.saturating_sub(paid);
            self.at = self.at.max(to);
        }
        self.slow = self.slow.filter(|(_, until)| now < *until);
    }

    /// How long to wait before the next message; at most until the rate changes.
    pub fn wait(&mut self, now: Timestamp) -> Duration {
        self.settle(now);
        let Some(rate) = self.rate(now).filter(|_| self.debt > 0) else { return Duration::ZERO };
        let whole = Duration::from_nanos(u64::try_from(self.debt.div_ceil(u128::from(rate))).unwrap_or(u64::MAX));
        self.slow.map_or(whole, |(_, until)| whole.min(until.since(now)))
    }

    /// `bytes` were sent.
    pub fn sent(&mut self, bytes: u64, now: Timestamp) {
        self.settle(now);
        if self.rate(now).is_some() {
            self.debt += u128::from(bytes) * NANOS;
        }
    }
}

#[cfg(test)]
mod tests;
