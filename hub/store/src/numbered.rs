//! Objects under numbers: reading the next ones, and appending to logs that are never collected.
//!
//! Parts: [`lot`] (the next numbers up to the first that is absent, for lanes and for control logs alike);
//! [`ControlLog`] (a log below `control/`: followed from the beginning, appended by create-if-absent).
//! Promises: what is appended is appended once, at one number; a lost answer is cleared up by following,
//! since such a log is never collected. Must not do: lanes (they are collected, so they need the second
//! look of rule 7: `lane.rs`).

use std::future::Future;

use bytes::Bytes;
use futures::StreamExt as _;
use prost::Message;

use crate::fault::StoreFault;
use crate::frame::{self, Kind};
use crate::keys::Key;
use crate::limits::{CONTROL_BYTES_MAX, CREATE_ROUNDS, FOLLOW_AT_ONCE};
use crate::mac::StoreKeys;
use crate::object::{Create, Objects, Size};

/// How a lot ended.
#[derive(Debug)]
pub(crate) enum End {
    /// At a number that is absent.
    Absent,
    /// At the last number asked for: there may be more.
    Asked,
    /// At a number that could not be read.
    Fault(StoreFault),
}

/// Numbers that stand one after the other.
#[derive(Debug)]
pub(crate) struct Lot<T> {
    pub(crate) found: Vec<T>,
    pub(crate) end: End,
}

/// Reads `first`, `first + 1`, ... (`count` of them at once) up to the first that is absent.
pub(crate) async fn lot<T, F: Future<Output = Result<Option<T>, StoreFault>>>(first: u64, count: u64, read: impl Fn(u64) -> F) -> Lot<T> {
    let at_once = usize::try_from(count).unwrap_or(1).max(1);
    let mut answers = futures::stream::iter((first..first.saturating_add(count)).map(read)).buffered(at_once);
    let mut found = Vec::new();
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(Some(value)) => found.push(value),
            Ok(None) => return Lot { found, end: End::Absent },
            Err(fault) => return Lot { found, end: End::Fault(fault) },
        }
    }
    Lot { found, end: End::Asked }
}

/// The count of the next lot: one while nothing is new, then ever more.
pub(crate) const fn more(count: u64) -> u64 {
    if count >= FOLLOW_AT_ONCE / 4 { FOLLOW_AT_ONCE } else { count * 4 }
}

/// Writes a control object: once, under a name that may be taken.
pub(crate) async fn create_control(objects: &Objects, keys: &StoreKeys, key: &Key, message: &impl Message) -> Result<Create, StoreFault> {
    objects.create(key, vec![frame::seal(Kind::Control, key, &message.encode_to_vec(), keys)?]).await
}

/// Reads a control object; `None` when it is absent.
pub(crate) async fn read_control<M: Message + Default>(objects: &Objects, keys: &StoreKeys, key: &Key) -> Result<Option<M>, StoreFault> {
    let Some(bytes) = objects.get(key, Some(0..CONTROL_BYTES_MAX), Size::Small).await? else { return Ok(None) };
    open_control(&bytes, key, keys).map(Some)
}

fn open_control<M: Message + Default>(bytes: &Bytes, key: &Key, keys: &StoreKeys) -> Result<M, StoreFault> {
    let header = frame::open(Kind::Control, key, bytes, keys)?;
    M::decode(header).map_err(|fault| StoreFault::Damaged { key: key.to_string(), reason: fault.to_string() })
}

/// A log below `control/`, as far as it was followed.
#[derive(Debug, Clone)]
pub(crate) struct ControlLog<M> {
    key: fn(u64) -> Key,
    /// Its entries from number 0 on.
    pub(crate) entries: Vec<M>,
}

impl<M: Message + Default + Clone> ControlLog<M> {
    pub(crate) const fn new(key: fn(u64) -> Key) -> Self {
        Self { key, entries: Vec::new() }
    }

    /// Reads on to the first number that is absent.
    ///
    /// # Errors
    /// The store's fault, or [`StoreFault::Damaged`]; what was read before it is kept.
    pub(crate) async fn follow(&mut self, objects: &Objects, keys: &StoreKeys) -> Result<(), StoreFault> {
        let mut count = 1;
        loop {
            let next = self.entries.len() as u64;
            let key = self.key;
            let lot = lot(next, count, |number| async move { read_control::<M>(objects, keys, &key(number)).await }).await;
            self.entries.extend(lot.found);
            match lot.end {
                End::Absent => return Ok(()),
                End::Asked => count = more(count),
                End::Fault(fault) => return Err(fault),
            }
        }
    }

    /// Tries to append what `make` gives for the log followed to its end; `make` gives `None` once the
    /// log says that nothing is to be appended (any more, or after a lost answer: already).
    ///
    /// # Errors
    /// The store's fault: then it is not known whether it was appended.
    pub(crate) async fn append(&mut self, objects: &Objects, keys: &StoreKeys, make: impl Fn(&[M]) -> Result<Option<M>, StoreFault>) -> Result<(), StoreFault> {
        let mut unanswered = None;
        for _ in 0..CREATE_ROUNDS {
            self.follow(objects, keys).await?;
            let Some(entry) = make(&self.entries)? else { return Ok(()) };
            let key = (self.key)(self.entries.len() as u64);
            match create_control(objects, keys, &key, &entry).await {
                Ok(Create::Created) => {
                    self.entries.push(entry);
                    return Ok(());
                }
                Ok(Create::Exists) => {}
                Err(fault) if fault.is_transient() => unanswered = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        let key = (self.key)(self.entries.len() as u64).to_string();
        Err(unanswered.unwrap_or(StoreFault::Unreachable { action: "create", key, reason: "others were faster each time".to_owned() }))
    }
}

#[cfg(test)]
mod tests;
