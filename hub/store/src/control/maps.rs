//! Published tenant maps: a log of ever higher versions (lane rule 9).
//!
//! Parts: [`TenantMaps`]. Promises: a version means one map for ever; the newest is read, not listed.
//! Versions may leave numbers out, so a map lies under its place in the log, not its version. Must not
//! do: parse a map.

use bytes::Bytes;

use crate::fault::StoreFault;
use crate::numbered::ControlLog;
use crate::proto::PublishedMap;
use crate::store::Store;

/// One published map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantMap {
    /// Its version, from 1.
    pub version: u64,
    /// The map as it was published.
    pub body: Bytes,
}

/// Reads and publishes tenant maps.
#[derive(Debug, Clone, Copy)]
pub struct TenantMaps<'s> {
    pub(crate) store: &'s Store,
}

impl TenantMaps<'_> {
    /// The map in force; `None` before the first. Asks the store each time.
    ///
    /// # Errors
    /// The store's fault, or [`StoreFault::Damaged`].
    pub async fn newest(&self) -> Result<Option<TenantMap>, StoreFault> {
        let log = self.followed().await?;
        Ok(log.entries.last().map(|entry| TenantMap { version: entry.version, body: entry.body.clone() }))
    }

    /// The map of `version`; `None` when there is none.
    ///
    /// # Errors
    /// As [`Self::newest`].
    pub async fn get(&self, version: u64) -> Result<Option<TenantMap>, StoreFault> {
        let log = self.followed().await?;
        let Some(at) = log.entries.iter().position(|entry| entry.version == version) else { return Ok(None) };
        let shore = self.store.shore();
        let key = crate::keys::Key::tenant_map(at as u64);
        let entry: Option<PublishedMap> = crate::numbered::read_control(&shore.objects, &shore.keys, &key).await?;
        Ok(entry.map(|entry| TenantMap { version: entry.version, body: entry.body }))
    }

    /// Publishes a map; publishing the newest again is well.
    ///
    /// # Errors
    /// [`StoreFault::OldMap`] when a newer version is in force, [`StoreFault::MapTaken`] when another map
    /// bears this version, [`StoreFault::Draft`] for version 0; else the store's fault, and it is not known
    /// whether it was published.
    pub async fn publish(&self, version: u64, body: Bytes) -> Result<(), StoreFault> {
        if version == 0 {
            return Err(StoreFault::Draft { reason: "a tenant map has version 0, which means none".to_owned() });
        }
        let shore = self.store.shore();
        let entry = PublishedMap { version, body, written_ns: shore.objects.moment().wall.nanos() };
        let mut log = self.store.map_log();
        let appended = log
            .append(&shore.objects, &shore.keys, |entries| match entries.last() {
                Some(newest) if newest.version > version => Err(StoreFault::OldMap { have: version, newest: newest.version }),
                Some(newest) if newest.version == version && newest.body == entry.body => Ok(None),
                Some(newest) if newest.version == version => Err(StoreFault::MapTaken { version }),
                Some(_) | None => Ok(Some(entry.clone())),
            })
            .await;
        self.keep(log);
        appended
    }

    async fn followed(&self) -> Result<ControlLog<PublishedMap>, StoreFault> {
        let shore = self.store.shore();
        let mut log = self.store.map_log();
        let followed = log.follow(&shore.objects, &shore.keys).await;
        self.keep(log.clone());
        followed.map(|()| log)
    }

    /// Remembers how far the log goes, and the text of its newest map only.
    fn keep(&self, mut log: ControlLog<PublishedMap>) {
        let older = log.entries.len().saturating_sub(1);
        for entry in &mut log.entries[..older] {
            entry.body = Bytes::new();
        }
        self.store.keep_map_log(log);
    }
}
