//! Who sends to the edge, or is read by it, and until when it is to wait.
//!
//! Parts: [`Sender`] (a connection, a pulled source, or a caller), [`Callers`] (those that come without a connection of their own, known by
//! their address and the tenant they name). Where a tenant's budget is used up, or a `limit` stage wants no more, the one waits whose lines did
//! it: it is not read on, or told when to come back. What it had handed in until then is taken, and owed for. Promises: nobody waits for another.
//! Limits: [`CALLERS_MAX`] callers have a wait of their own, what comes after shares one. Must not do: judge budgets.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::http::digest;
use super::repeats::Key;

/// Callers of a job with a wait of their own.
const CALLERS_MAX: usize = 4_096;

/// One who sends.
#[derive(Debug, Default)]
pub struct Sender(Mutex<Option<Instant>>);

impl Sender {
    /// It is to wait so long from now on, or longer if it was told so before.
    pub(super) fn hold(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = held.map_or(Some(until), |before| Some(before.max(until)));
    }

    fn until(&self) -> Option<Instant> {
        let held = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.filter(|until| *until > Instant::now())
    }

    /// How long it has yet to wait; `None` = it need not.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.until().map(|until| until - Instant::now())
    }

    /// Waits until it need not wait.
    pub async fn ready(&self) {
        while let Some(until) = self.until() {
            tokio::time::sleep_until(until).await;
        }
    }

    /// The same, or until the end: what was read by then is handed in all the same.
    pub(super) async fn ready_or(&self, stop: &CancellationToken) {
        tokio::select! {
            biased;
            () = self.ready() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// The callers of a job.
#[derive(Debug, Default)]
pub(super) struct Callers(Mutex<BTreeMap<Key, Arc<Sender>>>);

impl Callers {
    /// The one at `address` that names `tenant`.
    pub(super) fn caller(&self, address: IpAddr, tenant: &str) -> Arc<Sender> {
        let mut key = digest(address.to_canonical().to_string().as_bytes(), tenant.as_bytes());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(&key) && known.len() >= CALLERS_MAX {
            known.retain(|_, caller| caller.until().is_some() || Arc::strong_count(caller) > 1);
            if known.len() >= CALLERS_MAX {
                key = Key::default();
            }
        }
        Arc::clone(known.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests;
