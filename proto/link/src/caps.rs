//! Counted seats: sessions in all and of one identity, handshakes in all and of one address.
//!
//! Promises: a seat is given back when it is dropped, whatever ended its connection; an identity that comes once more
//! than it may takes the seat of its oldest session, which may be what a killed process left behind. Must not do: wait.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::limits::{HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX, SESSIONS_MAX, SESSIONS_PER_IDENTITY_MAX};

/// The sessions of a hub, over all its listeners: give the same to each.
#[derive(Debug, Clone)]
pub struct Caps(Arc<Seats<String>>);

impl Caps {
    /// With the limits of [`crate::limits`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(SESSIONS_MAX, SESSIONS_PER_IDENTITY_MAX)
    }

    /// With `total` sessions, and `each` of one identity.
    #[must_use]
    pub fn with_limits(total: usize, each: usize) -> Self {
        Self(Arc::new(Seats::new(total, each)))
    }

    /// Sessions that stand now.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.0.taken()
    }

    pub(crate) fn enter(&self, identity: String) -> Result<Seat<String>, String> {
        Seats::enter(&self.0, identity, WhenKeyFull::Replace)
            .map_err(|(Full::All | Full::Key)| format!("the hub has {} sessions, as many as it takes", self.0.total))
    }
}

impl Default for Caps {
    fn default() -> Self {
        Self::new()
    }
}

/// The handshakes in flight on one listener.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Seats<IpAddr>>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Seats::new(HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX)))
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.0.taken()
    }

    pub(crate) fn enter(&self, address: IpAddr) -> Result<Seat<IpAddr>, String> {
        Seats::enter(&self.0, address, WhenKeyFull::Refuse).map_err(|full| match full {
            Full::All => format!("{} handshakes are in flight, as many as the hub takes", self.0.total),
            Full::Key => format!("{} handshakes from its address are in flight, as many as it may have", self.0.each),
        })
    }
}

/// Seats, so many in all and so many of one key.
#[derive(Debug)]
pub(crate) struct Seats<K> {
    total: usize,
    each: usize,
    held: Mutex<Held<K>>,
}

#[derive(Debug)]
struct Held<K> {
    all: usize,
    next: u64,
    /// By key its seats, oldest first: number, and how its holder is told to go.
    keys: BTreeMap<K, VecDeque<(u64, Arc<Notify>)>>,
}

enum Full {
    All,
    Key,
}

/// What is done when a key has as many seats as it may have.
#[derive(Clone, Copy, PartialEq)]
enum WhenKeyFull {
    Refuse,
    /// The oldest is told to go, and counts for its key no longer.
    Replace,
}

impl<K: Ord + Clone> Seats<K> {
    const fn new(total: usize, each: usize) -> Self {
        Self { total, each, held: Mutex::new(Held { all: 0, next: 0, keys: BTreeMap::new() }) }
    }

    fn taken(&self) -> usize {
        self.lock().all
    }

    fn enter(seats: &Arc<Self>, key: K, when: WhenKeyFull) -> Result<Seat<K>, Full> {
        let mut held = seats.lock();
        if held.all >= seats.total {
            return Err(Full::All);
        }
        let number = held.next;
        let of_key = held.keys.entry(key.clone()).or_default();
        if of_key.len() >= seats.each {
            if when == WhenKeyFull::Refuse {
                return Err(Full::Key);
            }
            if let Some((_, oldest)) = of_key.pop_front() {
                oldest.notify_one();
            }
        }
        let told = Arc::new(Notify::new());
        of_key.push_back((number, Arc::clone(&told)));
        held.all += 1;
        held.next += 1;
        drop(held);
        Ok(Seat { seats: Arc::clone(seats), key, number, told })
    }

    fn leave(&self, key: &K, number: u64) {
        let mut held = self.lock();
        held.all = held.all.saturating_sub(1);
        if let Some(of_key) = held.keys.get_mut(key) {
            of_key.retain(|(held, _)| *held != number);
            if of_key.is_empty() {
                held.keys.remove(key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held<K>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One seat.
#[derive(Debug)]
pub(crate) struct Seat<K: Ord + Clone> {
    seats: Arc<Seats<K>>,
    key: K,
    number: u64,
    told: Arc<Notify>,
}

impl<K: Ord + Clone> Seat<K> {
    /// Ends when a newer session of its key took this seat.
    pub(crate) async fn replaced(&self) {
        self.told.notified().await;
    }
}

impl<K: Ord + Clone> Drop for Seat<K> {
    fn drop(&mut self) {
        self.seats.leave(&self.key, self.number);
    }
}

#[cfg(test)]
mod tests;
