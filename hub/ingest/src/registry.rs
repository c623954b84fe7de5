//! Which edges are connected, and what they last said of themselves: for the admin pages and metrics.
//!
//! One map behind a lock that is held for a moment only. Bounded: an edge that is gone keeps one row, at
//! most [`ROWS_MAX`] in all (the longest unseen go first). Must not do: decide anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto_model::{Epoch, ProducerId, Sequence, TenantId, Timestamp};
use proto_wire::edge_hub::Heartbeat;

use crate::request::Speaker;

/// Rows kept.
const ROWS_MAX: usize = 10_000;

/// One edge as the hub last knew it.
#[derive(Debug, Clone)]
pub struct EdgeReport {
    /// Its proven name.
    pub speaker: Speaker,
    /// Its tenant at the time.
    pub tenant: Option<TenantId>,
    /// `quic`, `grpc`, or `none` when it is away.
    pub session: &'static str,
    /// Sessions it holds now.
    pub sessions: usize,
    /// Its producer and epoch, once opened.
    pub producer: Option<ProducerId>,
    /// See `producer`.
    pub epoch: Epoch,
    /// Newest acked sequence in this hub's sight.
    pub acked: Sequence,
    /// What it last said of itself.
    pub heartbeat: Heartbeat,
    /// When it was last heard.
    pub last_seen: Timestamp,
}

/// All edges this hub has met.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    rows: Arc<Mutex<BTreeMap<Speaker, EdgeReport>>>,
}

impl Registry {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<Speaker, EdgeReport>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session begins.
    pub fn begin(&self, speaker: &Speaker, transport: &'static str, tenant: Option<TenantId>, now: Timestamp) {
        let mut rows = self.rows();
        if rows.len() >= ROWS_MAX
            && !rows.contains_key(speaker)
            && let Some(gone) = rows.values().filter(|row| row.sessions == 0).min_by_key(|row| row.last_seen).map(|row| row.speaker.clone())
        {
            rows.remove(&gone);
        }
        let row = rows.entry(speaker.clone()).or_insert_with(|| EdgeReport {
            speaker: speaker.clone(),
            tenant: None,
            session: "none",
            sessions: 0,
            producer: None,
            epoch: Epoch(0),
            acked: Sequence(0),
            heartbeat: Heartbeat::default(),
            last_seen: now,
        });
        row.sessions += 1;
        row.session = transport;
        row.tenant = tenant;
        row.last_seen = now;
    }

    /// A session ends.
    pub fn end(&self, speaker: &Speaker, now: Timestamp) {
        if let Some(row) = self.rows().get_mut(speaker) {
            row.sessions = row.sessions.saturating_sub(1);
            row.last_seen = now;
            if row.sessions == 0 {
                row.session = "none";
            }
        }
    }

    /// Changes a row in place.
    pub fn note(&self, speaker: &Speaker, change: impl FnOnce(&mut EdgeReport)) {
        if let Some(row) = self.rows().get_mut(speaker) {
            change(row);
        }
    }

    /// All rows, in order of names.
    #[must_use]
    pub fn list(&self) -> Vec<EdgeReport> {
        self.rows().values().cloned().collect()
    }
}
