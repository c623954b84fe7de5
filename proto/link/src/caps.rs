//! Counted seats: sessions in all and of one identity, handshakes in all and of one address.
//!
//! Promises: a seat is given back when it is dropped, whatever ended its connection. Must not do: wait.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
        Seats::enter(&self.0, identity).map_err(|full| match full {
            Full::All => format!("the hub has {} sessions, as many as it takes", self.0.total),
            Full::Key => format!("this identity has {} sessions, as many as it may have", self.0.each),
        })
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
        Seats::enter(&self.0, address).map_err(|full| match full {
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
    keys: BTreeMap<K, usize>,
}

enum Full {
    All,
    Key,
}

impl<K: Ord + Clone> Seats<K> {
    const fn new(total: usize, each: usize) -> Self {
        Self { total, each, held: Mutex::new(Held { all: 0, keys: BTreeMap::new() }) }
    }

    fn taken(&self) -> usize {
        self.lock().all
    }

    fn enter(seats: &Arc<Self>, key: K) -> Result<Seat<K>, Full> {
        let mut held = seats.lock();
        if held.all >= seats.total {
            return Err(Full::All);
        }
        let of_key = held.keys.get(&key).copied().unwrap_or(0);
        if of_key >= seats.each {
            return Err(Full::Key);
        }
        held.all += 1;
        held.keys.insert(key.clone(), of_key + 1);
        drop(held);
        Ok(Seat { seats: Arc::clone(seats), key })
    }

    fn leave(&self, key: &K) {
        let mut held = self.lock();
        held.all = held.all.saturating_sub(1);
        match held.keys.get_mut(key) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
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
}

impl<K: Ord + Clone> Drop for Seat<K> {
    fn drop(&mut self) {
        self.seats.leave(&self.key);
    }
}

#[cfg(test)]
mod tests;
