//! What all receivers of a job share: its labels and rules, its way into the intake.
//!
//! Parts: [`Post`]. Promises: what is handed in fits a batch whatever a sender makes up: labels and structured metadata beyond the
//! limits are cut and counted, lines are kept. Must not do: know a protocol.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use edge_pipeline::Relabeling;
use edge_wal::SourcePosition;
use proto_model::{Labels, Timestamp};
use proto_seam::Clock;

use super::sender::{Callers, Sender};
use super::{Arrival, Durable, Inlet, Intake, NotTaken, relabelled};

/// Why something is turned away: the WAL has no room, or its sender must wait for a budget.
pub(crate) const NO_ROOM: &str = "no_room";
pub(crate) const TENANT_BUDGET: &str = "tenant_budget";
/// Label sets whose relabelling is remembered.
const CACHED_MAX: usize = 4_096;
/// Labels of one record.
const LABELS_MAX: usize = 64;
/// Bytes of a label's name and of its value: what Loki takes.
const LABEL_NAME_BYTES_MAX: usize = 1_024;
const LABEL_VALUE_BYTES_MAX: usize = 2_048;
/// Pairs of structured metadata of one record: what Loki takes.
const METADATA_MAX: usize = 128;
/// Their bytes.
const METADATA_BYTES_MAX: usize = 64 * 1024;

/// A job's receivers' way in.
pub(crate) struct Post {
    inlet: Inlet,
    intake: Intake,
    /// The kind of receiver, for counters.
    kind: &'static str,
    labels: Labels,
    relabel: Relabeling,
    clock: Clock,
    /// Label sets before relabelling and what they became.
    cache: Mutex<BTreeMap<Labels, Option<Arc<Labels>>>>,
    callers: Callers,
}

impl Post {
    pub(crate) fn new(inlet: Inlet, intake: Intake, kind: &'static str, labels: Labels, relabel: Relabeling, clock: Clock) -> Self {
        Self { inlet, intake, kind, labels, relabel, clock, cache: Mutex::new(BTreeMap::new()), callers: Callers::default() }
    }

    pub(crate) const fn intake(&self) -> &Intake {
        &self.intake
    }

    pub(crate) fn name(&self) -> &str {
        &self.inlet.name
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ns())
    }

    /// A sender's labels with the job's over them, relabelled; `None` when a rule drops them.
    pub(crate) fn labels(&self, mut own: Labels) -> Option<Arc<Labels>> {
        for (name, value) in self.labels.iter() {
            own.set(name, value);
        }
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache.get(&own) {
            return known.clone();
        }
        if cache.len() >= CACHED_MAX {
            cache.clear();
        }
        let made = relabelled(own.clone(), &self.relabel).map(|labels| Arc::new(self.fitting_labels(labels)));
        cache.insert(own, made.clone());
        made
    }

    fn fitting_labels(&self, labels: Labels) -> Labels {
        let fits = |name: &str, value: &str| name.len() <= LABEL_NAME_BYTES_MAX && value.len() <= LABEL_VALUE_BYTES_MAX;
        if labels.len() <= LABELS_MAX && labels.iter().all(|(name, value)| fits(name, value)) {
            return labels;
        }
        self.intake.metrics.cut.with([self.kind]).inc();
        let kept = labels.iter().filter(|(name, _)| name.len() <= LABEL_NAME_BYTES_MAX).take(LABELS_MAX);
        Labels::from_pairs(kept.map(|(name, value)| (name, start_of(value, LABEL_VALUE_BYTES_MAX))))
    }

    /// A record; metadata gets the names it is kept under.
    pub(crate) fn arrival(&self, labels: &Arc<Labels>, time: Option<Timestamp>, line: Bytes, mut metadata: Vec<(String, String)>) -> Arrival {
        if self.cut_metadata(&mut metadata) {
            self.intake.metrics.cut.with([self.kind]).inc();
        }
        proto_wire::push::normalize(&mut metadata);
        Arrival { labels: Arc::clone(labels), time, line, metadata }
    }

    fn cut_metadata(&self, metadata: &mut Vec<(String, String)>) -> bool {
        let too_many = metadata.len() > METADATA_MAX;
        metadata.truncate(METADATA_MAX);
        let mut room = METADATA_BYTES_MAX;
        let mut is_cut = too_many;
        metadata.retain_mut(|(name, value)| {
            let left = room.saturating_sub(name.len());
            if name.len() > LABEL_NAME_BYTES_MAX || left == 0 {
                is_cut = true;
                return false;
            }
            if value.len() > left {
                value.truncate(start_of(value, left).len());
                is_cut = true;
            }
            room = left - value.len();
            true
        });
        is_cut
    }

    /// Counts records that a rule dropped.
    pub(crate) fn dropped(&self, records: usize) {
        self.intake.metrics.dropped.with([self.kind, "relabel"]).add(records as u64);
    }

    /// Counts a record of which something was cut.
    pub(crate) fn cut(&self) {
        self.intake.metrics.cut.with([self.kind]).inc();
    }

    /// Counts something that could not be read.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.intake.metrics.refused.with([self.kind, reason]).inc();
        self.intake.board.refused(&self.inlet.name, reason);
    }

    /// Counts something that was turned away.
    pub(crate) fn shed(&self, reason: &'static str) {
        self.shed_many(reason, 1);
    }

    /// The same of several.
    pub(crate) fn shed_many(&self, reason: &'static str, count: u64) {
        self.intake.metrics.shed.with([self.kind, reason]).add(count);
        self.intake.board.refused(&self.inlet.name, reason);
    }

    /// One connection more or less.
    pub(crate) fn connections(&self, more: f64) {
        self.intake.metrics.connections.with([self.kind]).add(more);
    }

    fn count(&self, records: &[Arrival]) -> (u64, u64) {
        (records.len() as u64, records.iter().map(|record| record.line.len() as u64).sum())
    }

    fn taken(&self, (records, bytes): (u64, u64)) {
        self.intake.metrics.records.with([self.kind]).add(records);
        self.intake.metrics.bytes.with([self.kind]).add(bytes);
    }

    /// Who sends from `address` without a connection of its own, naming `tenant`.
    pub(crate) fn caller(&self, address: IpAddr, tenant: &str) -> Arc<Sender> {
        self.callers.caller(address, tenant)
    }

    /// Hands in, however long it takes.
    pub(crate) async fn hand_in(&self, sender: &Arc<Sender>, records: Vec<Arrival>) -> Result<Durable, NotTaken> {
        self.hand_in_with(sender, records, Vec::new()).await
    }

    /// The same with cursors of a pulled source.
    pub(crate) async fn hand_in_with(&self, sender: &Arc<Sender>, records: Vec<Arrival>, positions: Vec<SourcePosition>) -> Result<Durable, NotTaken> {
        let count = self.count(&records);
        let durable = self.intake.deliver(&self.inlet, sender, records, positions).await?;
        self.taken(count);
        Ok(durable)
    }

    /// Hands in what `address` sent if there is room at once and it need not wait; else the records are gone, and counted.
    pub(crate) fn try_hand_in(&self, address: IpAddr, records: Vec<Arrival>) -> bool {
        let (count, sender) = (self.count(&records), self.caller(address, ""));
        let reason = if sender.wait().is_some() {
            TENANT_BUDGET
        } else if self.intake.try_deliver(&self.inlet, &sender, records).is_ok() {
            self.taken(count);
            return true;
        } else {
            NO_ROOM
        };
        self.intake.metrics.shed.with([self.kind, reason]).add(count.0);
        self.intake.board.refused(&self.inlet.name, reason);
        false
    }
}

/// The first at most `bytes` bytes, whole characters.
fn start_of(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests;
