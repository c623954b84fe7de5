//! The state of a lane at a number: all its records so far, folded (lane rule 3).
//!
//! Parts: [`Fold`], with [`check`](Fold::check) and [`apply`](Fold::apply); `log` (what stands above the
//! floor), [`producer`] (cursors), `check` (what fits), `snapshot` (a fold as bytes and back). Pure: headers
//! in, state out. Promises: the same headers give the same fold, whether read from the beginning or from
//! a snapshot of any number. Limits: `limits.rs`; push keys are kept 75 minutes and what closed producers knew
//! of their sources 24 h by the headers' times, losses 256 an edge (the oldest two become one then). Must not do: read a clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use proto_model::{ClusterId, EdgeId, LaneId, ProducerId, TenantId, Timestamp};

use crate::fault::StoreFault;
use crate::header::{CommitId, LaneHeader};
use crate::limits::{LOSSES_KEPT, PUSH_KEY_KEPT, TIDY_EVERY};
use crate::record::{LaneRecord, Loss};

mod check;
pub(crate) mod log;
pub mod producer;
pub(crate) mod snapshot;

use log::{Commit, Log};
pub use producer::{ProducerState, SourceKey};

/// Whose losses.
type LossKey = (TenantId, ClusterId, EdgeId);

/// All that a lane says up to its head.
#[derive(Debug, Clone, PartialEq)]
pub struct Fold {
    lane: LaneId,
    head: u64,
    head_commit: CommitId,
    floor: u64,
    map_version: u64,
    writer: String,
    written: Timestamp,
    owner: String,
    /// The newest number that was skipped as damaged; 0 for none.
    skipped: u64,
    log: Log,
    producers: BTreeMap<ProducerId, Arc<ProducerState>>,
    /// Closed ones that still hold more than where they stood.
    lingering: BTreeSet<ProducerId>,
    push_keys: BTreeMap<(TenantId, Vec<u8>), Timestamp>,
    losses: BTreeMap<LossKey, VecDeque<Loss>>,
    /// Per tenant the number of its last section at or below the floor.
    absorbed: Arc<BTreeMap<TenantId, u64>>,
    /// Per tenant the newest manifest that a note named.
    manifests: Arc<BTreeMap<TenantId, u64>>,
}

impl Fold {
    /// A lane that holds its genesis only, which bears `genesis`.
    #[must_use]
    pub fn genesis(lane: LaneId, genesis: CommitId) -> Self {
        Self {
            lane,
            head: 0,
            head_commit: genesis,
            floor: 0,
            map_version: 0,
            writer: String::new(),
            written: Timestamp::MIN,
            owner: String::new(),
            skipped: 0,
            log: Log::new(),
            producers: BTreeMap::new(),
            lingering: BTreeSet::new(),
            push_keys: BTreeMap::new(),
            losses: BTreeMap::new(),
            absorbed: Arc::default(),
            manifests: Arc::default(),
        }
    }

    /// The lane.
    #[must_use]
    pub const fn lane(&self) -> LaneId {
        self.lane
    }

    /// The newest number folded; 0 is the genesis.
    #[must_use]
    pub const fn head(&self) -> u64 {
        self.head
    }

    /// The commit id that the newest number bears.
    #[must_use]
    pub const fn head_commit(&self) -> CommitId {
        self.head_commit
    }

    /// The commit id of `number`, if it is the head or above the floor.
    #[must_use]
    pub fn commit_id(&self, number: u64) -> Option<CommitId> {
        if number == self.head { Some(self.head_commit) } else { self.log.commit(number).map(|commit| commit.commit) }
    }

    /// All up to this number is absorbed.
    #[must_use]
    pub const fn floor(&self) -> u64 {
        self.floor
    }

    /// The newest version of the tenant map that the lane names; 0 for none.
    #[must_use]
    pub const fn map_version(&self) -> u64 {
        self.map_version
    }

    /// The hub that wrote the newest number; empty in a new lane.
    #[must_use]
    pub fn writer(&self) -> &str {
        &self.writer
    }

    /// When the newest number was written, by its hub's clock; `MIN` in a new lane.
    #[must_use]
    pub const fn written(&self) -> Timestamp {
        self.written
    }

    /// The hub that writes the lane as its own, by name; empty while none said so.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The newest number that was skipped as damaged; `None` when none ever was.
    #[must_use]
    pub const fn skipped(&self) -> Option<u64> {
        if self.skipped == 0 { None } else { Some(self.skipped) }
    }

    /// How many objects stand above the floor, and how many bytes their sections have.
    #[must_use]
    pub const fn behind(&self) -> (u64, u64) {
        (self.head - self.floor, self.log.bytes())
    }

    /// Where a producer stands; `None` when it was never opened here.
    #[must_use]
    pub fn producer(&self, producer: &ProducerId) -> Option<&ProducerState> {
        self.producers.get(producer).map(Arc::as_ref)
    }

    /// All producers ever opened here, in order of ids.
    pub fn producers(&self) -> impl Iterator<Item = (&ProducerId, &ProducerState)> {
        self.producers.iter().map(|(id, state)| (id, state.as_ref()))
    }

    /// When a push with `key` of `tenant` was stored, while that is kept (at least an hour).
    #[must_use]
    pub fn push_key(&self, tenant: &TenantId, key: &[u8]) -> Option<Timestamp> {
        self.push_keys.get(&(tenant.clone(), key.to_vec())).copied()
    }

    /// Losses of `tenant`, by cluster and edge, oldest first.
    pub fn losses<'f>(&'f self, tenant: &'f TenantId) -> impl Iterator<Item = &'f Loss> {
        self.losses.iter().filter(move |((owner, ..), _)| owner == tenant).flat_map(|(_, kept)| kept)
    }

    /// The number of the last section of `tenant`; `None` when it never had one.
    #[must_use]
    pub fn last_section(&self, tenant: &TenantId) -> Option<u64> {
        let above = self.log.iter().filter(|commit| commit.section(tenant).is_some()).last().map(|commit| commit.number);
        above.or_else(|| self.absorbed.get(tenant).copied())
    }

    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) const fn absorbed(&self) -> &Arc<BTreeMap<TenantId, u64>> {
        &self.absorbed
    }

    /// Per tenant the number of the manifest that whoever reads for it needs at least (lane rule 17).
    pub(crate) const fn manifests(&self) -> &Arc<BTreeMap<TenantId, u64>> {
        &self.manifests
    }

    /// Whether `header` may be the next one.
    ///
    /// # Errors
    /// [`StoreFault::Chain`] with what does not fit.
    pub fn check(&self, header: &LaneHeader) -> Result<(), StoreFault> {
        check::Board::new(self).judge(header).map_err(|reason| StoreFault::Chain { lane: self.lane, number: header.number, reason })
    }

    /// Takes in the next header; on a fault nothing changed.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn apply(&mut self, header: &LaneHeader) -> Result<(), StoreFault> {
        self.check(header)?;
        self.take_in(header);
        Ok(())
    }

    /// Takes in a header that passed [`Self::check`] on this very fold.
    pub(crate) fn take_in(&mut self, header: &LaneHeader) {
        self.head = header.number;
        self.head_commit = header.commit;
        self.writer.clone_from(&header.writer);
        self.written = header.written;
        self.log.push(Commit { number: header.number, commit: header.commit, sections: header.sections.clone() });
        for record in &header.records {
            self.record(record, header);
        }
        if header.number.is_multiple_of(TIDY_EVERY) {
            self.tidy(header.written);
        }
    }

    /// The next number is damaged and counts as an empty object that bears `commit` (lane rule 20). What it said is
    /// lost: of all that may have moved in it the next record is believed, since records state absolutes.
    pub(crate) fn skip(&mut self, commit: CommitId) {
        self.head += 1;
        self.head_commit = commit;
        self.skipped = self.head;
        self.log.push(Commit { number: self.head, commit, sections: Vec::new() });
        for state in self.producers.values_mut().filter(|state| state.closed.is_none()) {
            Arc::make_mut(state).torn = true;
        }
    }

    /// Lets go of what is too old by `now`, the time of the newest header.
    fn tidy(&mut self, now: Timestamp) {
        self.push_keys.retain(|_, at| now.since(*at) <= PUSH_KEY_KEPT);
        let producers = &mut self.producers;
        self.lingering.retain(|id| {
            let settled = producers.get_mut(id).filter(|state| state.is_settled(now));
            settled.map(|state| Arc::make_mut(state).settle()).is_none()
        });
    }

    fn record(&mut self, record: &LaneRecord, header: &LaneHeader) {
        match record {
            LaneRecord::Open { producer, epoch, identity, nonce, wal_id, track, sequence, chain, positions, after } => {
                let state = self.producers.entry(*producer).or_insert_with(|| Arc::new(ProducerState::opened(identity.clone(), *after)));
                let state = Arc::make_mut(state);
                if state.identity.is_empty() {
                    state.identity.clone_from(identity);
                }
                state.torn = false;
                (state.epoch, state.nonce, state.wal_id, state.track, state.last, state.chain) = (*epoch, *nonce, *wal_id, *track, *sequence, *chain);
                state.place(positions, header.number, header.written);
            }
            LaneRecord::Advance { producer, epoch, to, chain_to, digests, positions, .. } => self.change_torn(producer, |state| {
                if std::mem::take(&mut state.torn) {
                    state.epoch = *epoch;
                }
                state.advance(*to, *chain_to, digests);
                state.place(positions, header.number, header.written);
            }),
            LaneRecord::Close { .. } if cfg!(planted = "close_ignored") => {}
            LaneRecord::Close { producer, sequence, chain, next } => {
                self.change_torn(producer, |state| (state.torn, state.last, state.chain) = (false, *sequence, *chain));
                self.close(producer, *next, header.written);
            }
            LaneRecord::Quarantine { producer, reason } => self.change(producer, |state| {
                state.quarantined = true;
                state.quarantine_reason.clone_from(reason);
            }),
            LaneRecord::Loss { tenant, cluster, edge, source, reason, from_ns, to_ns, lines, bytes } => self.lose(Loss {
                tenant: tenant.clone(),
                cluster: cluster.clone(),
                edge: edge.clone(),
                source: source.clone(),
                reason: reason.clone(),
                from_ns: *from_ns,
                to_ns: *to_ns,
                lines: *lines,
                bytes: *bytes,
            }),
            LaneRecord::PushKey { .. } if cfg!(planted = "push_key_forgotten") => {}
            LaneRecord::PushKey { tenant, key, at } => {
                let kept = self.push_keys.entry((tenant.clone(), key.clone())).or_insert(*at);
                *kept = (*kept).max(*at);
            }
            LaneRecord::Map(version) => self.map_version = self.map_version.max(*version),
            LaneRecord::Floor(floor) => self.raise_floor(*floor),
            LaneRecord::Owner(name) => self.owner.clone_from(name),
            LaneRecord::Manifest { tenant, number } => {
                let noted = Arc::make_mut(&mut self.manifests).entry(tenant.clone()).or_default();
                *noted = (*noted).max(*number);
            }
        }
    }

    fn close(&mut self, producer: &ProducerId, next: ProducerId, now: Timestamp) {
        self.change(producer, |state| state.close(next, now));
        if let Some(ended) = self.producers.get(producer).cloned().filter(|_| next != *producer) {
            // One that is opened by this end states what it takes over; one that stood before does not.
            self.change(&next, |state| state.inherit(&ended));
        }
        if self.producer(producer).is_some_and(ProducerState::lingers) {
            self.lingering.insert(*producer);
        }
    }

    fn change(&mut self, producer: &ProducerId, change: impl FnOnce(&mut ProducerState)) {
        if let Some(state) = self.producers.get_mut(producer) {
            change(Arc::make_mut(state));
        }
    }

    /// As [`Self::change`]; one whose Open stood in a skipped object is known from now on, but not whom it belongs to.
    fn change_torn(&mut self, producer: &ProducerId, change: impl FnOnce(&mut ProducerState)) {
        if self.skipped > 0 && !self.producers.contains_key(producer) {
            let state = ProducerState { torn: true, ..ProducerState::opened(String::new(), None) };
            self.producers.insert(*producer, Arc::new(state));
        }
        self.change(producer, change);
    }

    fn raise_floor(&mut self, floor: u64) {
        if floor <= self.floor {
            return;
        }
        let absorbed = Arc::make_mut(&mut self.absorbed);
        for commit in self.log.cut(floor) {
            for entry in &commit.sections {
                absorbed.insert(entry.tenant.clone(), commit.number);
            }
        }
        self.floor = floor;
    }

    fn lose(&mut self, loss: Loss) {
        let kept = self.losses.entry((loss.tenant.clone(), loss.cluster.clone(), loss.edge.clone())).or_default();
        kept.push_back(loss);
        if kept.len() > LOSSES_KEPT
            && let (Some(first), Some(second)) = (kept.pop_front(), kept.pop_front())
        {
            kept.push_front(merged(first, second));
        }
    }
}

/// Two losses as one that says no less: the range that holds both, the sum of what is known.
fn merged(first: Loss, second: Loss) -> Loss {
    let sum = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
    Loss {
        source: if first.source == second.source { first.source } else { String::new() },
        reason: if first.reason == second.reason { first.reason } else { "several".to_owned() },
        from_ns: first.from_ns.min(second.from_ns),
        to_ns: first.to_ns.max(second.to_ns),
        lines: sum(first.lines, second.lines),
        bytes: sum(first.bytes, second.bytes),
        ..second
    }
}

#[cfg(test)]
mod tests;
