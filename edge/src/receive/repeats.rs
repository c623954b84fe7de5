//! Requests that are repeats: a sender that did not hear the answer sends again, and is told the same without a second copy.
//!
//! Parts: [`Repeats`] (keys of the last hour, at most [`KEYS_MAX`]), [`Claim`] (a request under way). A key is an `Idempotency-Key`, or the
//! digest of a body whose records have times. Known in memory alone: after a restart a repeat is stored a second time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Keys that are remembered.
pub(crate) const KEYS_MAX: usize = 16_384;
/// For so long.
pub(crate) const KEPT: Duration = Duration::from_secs(3_600);

/// What names a request.
pub(crate) type Key = [u8; 32];

/// How a request under way stands; the last word is the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    UnderWay,
    Taken,
    Given,
}

/// The requests of the last hour.
#[derive(Debug, Clone, Default)]
pub(crate) struct Repeats(Arc<Mutex<Books>>);

#[derive(Debug, Default)]
struct Books {
    known: BTreeMap<Key, watch::Receiver<Stand>>,
    /// In order of arrival; a key that was given up and claimed again stands there twice.
    order: VecDeque<(Instant, Key)>,
}

/// A request that is the first with its key. Dropped: it was given up, and a repeat is taken as new.
#[derive(Debug)]
pub(crate) struct Claim {
    stand: watch::Sender<Stand>,
    key: Key,
    repeats: Repeats,
}

impl Repeats {
    /// The claim on a key, or `None` when it was taken before. Waits while another request with it is under way.
    pub(crate) async fn claim(&self, key: Key) -> Option<Claim> {
        loop {
            let mut other = match self.enter(key) {
                Ok(claim) => return Some(claim),
                Err(other) => other,
            };
            let ended = other.wait_for(|stand| *stand != Stand::UnderWay).await.map(|stand| *stand);
            if matches!(ended, Ok(Stand::Taken)) {
                return None;
            }
            // It was given up: whoever comes first now is the first.
            tokio::task::yield_now().await;
        }
    }

    fn enter(&self, key: Key) -> Result<Claim, watch::Receiver<Stand>> {
        let now = Instant::now();
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while books.order.front().is_some_and(|(at, _)| now.duration_since(*at) >= KEPT) || books.order.len() >= KEYS_MAX {
            let Some((_, old)) = books.order.pop_front() else { break };
            books.known.remove(&old);
        }
        if let Some(known) = books.known.get(&key).filter(|known| *known.borrow() != Stand::Given) {
            return Err(known.clone());
        }
        let (stand, told) = watch::channel(Stand::UnderWay);
        books.known.insert(key, told);
        books.order.push_back((now, key));
        Ok(Claim { stand, key, repeats: self.clone() })
    }
}

impl Claim {
    /// It is durable.
    pub(crate) fn taken(self) {
        self.stand.send_replace(Stand::Taken);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if *self.stand.borrow() == Stand::UnderWay {
            let mut books = self.repeats.0.lock().unwrap_or_else(PoisonError::into_inner);
            books.known.remove(&self.key);
            drop(books);
            self.stand.send_replace(Stand::Given);
        }
    }
}

#[cfg(test)]
mod tests;
