//! Whether this process slept (lane rule 10): how long requests lay in its sockets meanwhile cannot be known.
//!
//! Parts: [`Awake`] (asked before a push is taken), [`tick`] (finds a sleep out and tells). Promises: between waking and one
//! tick after it was found out nothing is sure, so that what lay in sockets is turned away until its connections are
//! closed. Must not do: close connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use proto_model::Timestamp;
use proto_seam::World;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::limits::{TICK, TICK_LATE_MAX};

/// When the last tick was, and when the last sleep ended; clones share it.
#[derive(Debug, Clone)]
pub struct Awake {
    ticked: Arc<AtomicI64>,
    woke: Arc<AtomicI64>,
}

impl Awake {
    /// Awake at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { ticked: Arc::new(AtomicI64::new(now.0)), woke: Arc::new(AtomicI64::new(i64::MIN)) }
    }

    /// Whether what is read from a socket at `now` came when it was read, or nearly.
    #[must_use]
    pub fn is_sure(&self, now: Timestamp) -> bool {
        !Self::is_late(self.ticked.load(Ordering::Relaxed), now) && span(self.woke.load(Ordering::Relaxed), now) > TICK
    }

    /// A tick; true when it came so late that the process slept.
    fn tick(&self, now: Timestamp) -> bool {
        let slept = Self::is_late(self.ticked.load(Ordering::Relaxed), now);
        if slept {
            // First, so that no moment between the two is sure.
            self.woke.store(now.0, Ordering::Relaxed);
        }
        self.ticked.store(now.0, Ordering::Release);
        slept
    }

    fn is_late(ticked: i64, now: Timestamp) -> bool {
        now.since(Timestamp(ticked)) > TICK + TICK_LATE_MAX
    }
}

/// From `then` to `now`, whichever is earlier: a clock may be set back.
fn span(then: i64, now: Timestamp) -> Duration {
    Duration::from_nanos(now.0.abs_diff(then))
}

/// Ticks until told to stop; `woke` changes each time a sleep is found out.
pub async fn tick(world: World, awake: Awake, woke: watch::Sender<u64>, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        if awake.tick(Timestamp(world.clock.now_ns())) {
            tracing::warn!("this hub slept for more than 30 s: closing all connections");
            woke.send_modify(|count| *count += 1);
        }
    }
}

#[cfg(test)]
mod tests;
