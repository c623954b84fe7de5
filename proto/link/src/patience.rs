//! How slow an edge may be: in each span of `PATIENCE` it must bring a whole message or `PATIENCE_BYTES` of one.
//!
//! A hub may be silent as long as it likes: its keep-alives show that it lives. Time in which this side does not
//! read (its queue is full) does not count. Must not do: close anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::{Instant, timeout_at};

use crate::fault::{LinkFault, Side};
use crate::limits::{PATIENCE, PATIENCE_BYTES};

/// Counts what was heard, from wherever the bytes are seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<AtomicU64>);

impl Heard {
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Watches over the waits of one session's reading.
#[derive(Debug)]
pub(crate) struct Patience {
    heard: Heard,
    /// Start of the span, and what had been heard then; `None` for a peer that may be silent.
    span: Option<(Instant, u64)>,
}

impl Patience {
    pub(crate) fn new(peer: Side, heard: Heard) -> Self {
        let span = (peer == Side::Edge).then(|| (Instant::now(), heard.bytes()));
        Self { heard, span }
    }

    /// A whole message came, and was handed on.
    pub(crate) fn renew(&mut self) {
        if let Some(span) = &mut self.span {
            *span = (Instant::now(), self.heard.bytes());
        }
    }

    /// Waits for `next`; `None` when the peer brought too little in a whole span.
    pub(crate) async fn wait<T>(&mut self, next: impl Future<Output = T>) -> Option<T> {
        let mut next = std::pin::pin!(next);
        loop {
            let Some((since, before)) = self.span else { return Some(next.await) };
            let end = since + PATIENCE;
            // A peer that dribbles is ready at any time: the span is judged before the bytes are.
            if Instant::now() < end
                && let Ok(value) = timeout_at(end, next.as_mut()).await
            {
                return Some(value);
            }
            if self.heard.bytes() - before < PATIENCE_BYTES {
                return None;
            }
            self.renew();
        }
    }
}

/// What is said of a peer that tried this side's patience.
pub(crate) fn silent(peer: Side, address: &str) -> LinkFault {
    LinkFault::Silent { peer, address: address.to_owned(), seconds: PATIENCE.as_secs() }
}

#[cfg(test)]
mod tests;
