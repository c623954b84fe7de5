//! A tenant's manifest: which segments it has, and up to where each lane is in them (lane rules 12, 14, 16).
//!
//! Parts: [`SegmentRef`], [`Manifest`] (the whole state as of a number), [`Change`] (what a job does to it)
//! with [`Manifest::next`]; [`delete`] (what counts as gone); `codec` (to bytes and back), `log` (how it is followed, written and collected).
//! Pure here. Promises: what `next` gives names each segment once and none that is doomed, moves no
//! watermark backwards, and takes away only what the change says. Format and rules: `docs/formats/manifest.md`.
//! Must not do: ask the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use hub_segment::Facts;
use proto_model::{LaneId, TenantId, TimeRange, Timestamp};

use crate::fault::StoreFault;
use crate::header::CommitId;
use crate::keys::{Key, segment_of};
use crate::mac::StoreKeys;

mod codec;
pub mod delete;
pub(crate) mod log;

pub use delete::{Applied, Delete};

/// A segment's name: 128 random bits, used once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u128);

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A segment as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRef {
    /// Its name.
    pub id: SegmentId,
    /// Whose.
    pub tenant: TenantId,
    /// What is known without reading it.
    pub facts: Facts,
    /// Deletes up to this number do not concern it: they were applied when it was made.
    pub cleaned: u64,
}

impl SegmentRef {
    /// The key of its object, without the prefix.
    #[must_use]
    pub fn key(&self) -> String {
        Key::segment(&self.tenant, self.id.0).to_string()
    }

    /// The tenant and segment that a key names; `None` when it is no segment's.
    #[must_use]
    pub fn parse_key(key: &str) -> Option<(TenantId, SegmentId)> {
        let (tenant, last) = key.strip_prefix("tenants/")?.split_once("/segments/")?;
        Some((TenantId::new(tenant).ok()?, SegmentId(segment_of(last)?)))
    }
}

/// A segment that no job may name any more (lane rule 16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doomed {
    /// Which.
    pub id: SegmentId,
    /// Since when, by the store's clock.
    pub at: Timestamp,
}

/// A tenant's whole state as of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Whose.
    pub tenant: TenantId,
    /// Its number; 0 is empty.
    pub number: u64,
    /// The id of the PUT that made it.
    pub commit: CommitId,
    /// The id that `number - 1` bears.
    pub previous: CommitId,
    /// The hub that wrote it.
    pub writer: String,
    /// When, by its clock.
    pub written: Timestamp,
    /// In manifest order: of equal times the lines of an earlier one come first (lane rule 18).
    pub segments: Vec<SegmentRef>,
    /// Per lane the number up to which the tenant's sections are in the segments.
    pub watermarks: BTreeMap<LaneId, u64>,
    /// Ascending by id.
    pub doomed: Vec<Doomed>,
    /// Those that are not carried out yet, ascending by number.
    pub deletes: Vec<Delete>,
    /// The newest of those that were, the oldest first; without heads.
    pub done: Vec<Delete>,
    /// Lines that deletes took out, or kept out, of segments so far.
    pub deleted_lines: u64,
    /// The tenant was erased: nothing is named any more, for ever.
    pub erased: bool,
}

/// What a job does to a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// All the tenant's sections of a lane in `(from, to]` became segments (lane rule 12).
    Absorb {
        /// The lane.
        lane: LaneId,
        /// The watermark on which the job was built.
        from: u64,
        /// The new one.
        to: u64,
        /// What it made, in order.
        segments: Vec<SegmentRef>,
        /// What it left out.
        deletes: Applied,
    },
    /// Neighbours of one kind became one segment, which takes the place of the first (lane rule 18).
    Merge {
        /// Which, in manifest order.
        inputs: Vec<SegmentId>,
        /// What it made.
        output: SegmentRef,
    },
    /// Segments that nothing names may not be named any more; and doomed ones that are deleted are forgotten.
    Sweep {
        /// Newly doomed.
        doomed: Vec<SegmentId>,
        /// As of when, by the store's clock.
        at: Timestamp,
        /// Deleted.
        gone: Vec<SegmentId>,
    },
    /// Lines count as gone from now on (lane rule 17).
    Delete {
        /// Which: a selector with filters.
        query: String,
        /// Of which time.
        range: TimeRange,
        /// Per lane the tenant's last section that it is about.
        last: BTreeMap<LaneId, u64>,
    },
    /// A delete is called off.
    Cancel {
        /// Which.
        number: u64,
        /// Although it took lines out already; they stay out.
        force: bool,
    },
    /// Segments were gone through for deletes.
    Strike {
        /// Those that held lines that were meant, and what is left of each.
        replaced: Vec<(SegmentId, Option<SegmentRef>)>,
        /// Those that held none.
        clean: Vec<SegmentId>,
        /// What was left out.
        deletes: Applied,
    },
    /// The tenant was erased (lane rule 13): its segments are doomed, and nothing is named ever again.
    Erase {
        /// As of when, by the store's clock.
        at: Timestamp,
    },
}

/// Who writes a number, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// A new one for every PUT.
    pub commit: CommitId,
    /// The hub.
    pub writer: String,
    /// By its clock.
    pub written: Timestamp,
}

impl Manifest {
    /// Number 0, which bears `commit`: no segments, nothing absorbed.
    #[must_use]
    pub const fn genesis(tenant: TenantId, commit: CommitId) -> Self {
        Self {
            tenant,
            number: 0,
            commit,
            previous: CommitId::NONE,
            writer: String::new(),
            written: Timestamp::MIN,
            segments: Vec::new(),
            watermarks: BTreeMap::new(),
            doomed: Vec::new(),
            deletes: Vec::new(),
            done: Vec::new(),
            deleted_lines: 0,
            erased: false,
        }
    }

    /// The manifest in `bytes`, which were found as `number` of `tenant`.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`] or [`StoreFault::Version`].
    pub fn read(bytes: &Bytes, tenant: &TenantId, number: u64, keys: &StoreKeys) -> Result<Self, StoreFault> {
        codec::decode(bytes, tenant, number, keys)
    }

    /// Up to which number of `lane` all is in the segments; 0 for nothing.
    #[must_use]
    pub fn watermark(&self, lane: LaneId) -> u64 {
        self.watermarks.get(&lane).copied().unwrap_or(0)
    }

    /// Whether `id` is named.
    #[must_use]
    pub fn names(&self, id: SegmentId) -> bool {
        self.segments.iter().any(|segment| segment.id == id)
    }

    /// Whether `id` is doomed.
    #[must_use]
    pub fn dooms(&self, id: SegmentId) -> bool {
        self.doomed.iter().any(|doomed| doomed.id == id)
    }

    /// Rough bytes of memory it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let deletes: usize = self.deletes.iter().chain(&self.done).map(Delete::memory_bytes).sum();
        size_of::<Self>() + self.segments.len() * size_of::<SegmentRef>() + self.doomed.len() * size_of::<Doomed>() + self.watermarks.len() * 32 + deletes
    }

    /// The next number after `change`.
    ///
    /// # Errors
    /// Why the change does not fit this state.
    pub fn next(&self, change: &Change, stamp: Stamp) -> Result<Self, String> {
        let Stamp { commit, writer, written } = stamp;
        let mut next = Self { number: self.number + 1, commit, previous: self.commit, writer, written, ..self.clone() };
        if self.erased && !matches!(change, Change::Sweep { .. }) {
            return Err("the tenant was erased".to_owned());
        }
        match change {
            Change::Absorb { lane, from, to, segments, deletes } => {
                let cleaned = next.applied(deletes)?;
                next.absorb(*lane, (*from, *to), segments, cleaned)?;
            }
            Change::Merge { inputs, output } => next.merge(inputs, output)?,
            Change::Sweep { doomed, at, gone } => next.sweep(doomed, *at, gone),
            Change::Delete { query, range, last } => next.take_in(query, *range, last)?,
            Change::Cancel { number, force } => next.call_off(*number, *force)?,
            Change::Strike { replaced, clean, deletes } => next.strike(replaced, clean, deletes)?,
            Change::Erase { at } => next.erase(*at),
        }
        next.settle();
        next.check()?;
        Ok(next)
    }

    fn absorb(&mut self, lane: LaneId, (from, to): (u64, u64), segments: &[SegmentRef], cleaned: u64) -> Result<(), String> {
        let stands = self.watermark(lane);
        if stands != from || to <= from {
            return Err(format!("{from} to {to} of lane {lane} is absorbed on watermark {stands}"));
        }
        self.watermarks.insert(lane, to);
        self.segments.extend(segments.iter().map(|segment| SegmentRef { cleaned, ..segment.clone() }));
        Ok(())
    }

    fn merge(&mut self, inputs: &[SegmentId], output: &SegmentRef) -> Result<(), String> {
        let taken: BTreeSet<SegmentId> = inputs.iter().copied().collect();
        let found: Vec<&SegmentRef> = self.segments.iter().filter(|segment| taken.contains(&segment.id)).collect();
        if found.len() != inputs.len() || found.is_empty() || !found.iter().map(|segment| segment.id).eq(inputs.iter().copied()) {
            return Err("segments that are not named, or not in this order, were merged".to_owned());
        }
        let lines: u64 = found.iter().map(|segment| segment.facts.lines).sum();
        if lines != output.facts.lines || found.iter().any(|segment| segment.facts.kind != output.facts.kind) {
            return Err(format!("{lines} lines were merged into {}, or of several kinds", output.facts.lines));
        }
        if !self.may_join(&found) {
            return Err("segments were merged of which a delete is about some and not about others".to_owned());
        }
        let cleaned = found.iter().map(|segment| segment.cleaned).min().unwrap_or(0);
        let first = inputs[0];
        self.segments = std::mem::take(&mut self.segments)
            .into_iter()
            .filter_map(|segment| match segment.id {
                id if id == first => Some(SegmentRef { cleaned, ..output.clone() }),
                id if taken.contains(&id) => None,
                _ => Some(segment),
            })
            .collect();
        Ok(())
    }

    fn sweep(&mut self, doomed: &[SegmentId], at: Timestamp, gone: &[SegmentId]) {
        self.doomed.retain(|known| !gone.contains(&known.id));
        self.doomed.extend(doomed.iter().map(|id| Doomed { id: *id, at }));
        self.doomed.sort_by_key(|known| known.id);
    }

    fn erase(&mut self, at: Timestamp) {
        let named: Vec<SegmentId> = std::mem::take(&mut self.segments).into_iter().map(|segment| segment.id).collect();
        self.sweep(&named, at, &[]);
        // What was asked for may name what was to be forgotten.
        (self.deletes, self.done, self.erased) = (Vec::new(), Vec::new(), true);
    }

    /// That it does not contradict itself; the reason when it does.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut named = BTreeSet::new();
        if let Some(twice) = self.segments.iter().find(|segment| !named.insert(segment.id)) {
            return Err(format!("segment {} is named twice", twice.id));
        }
        if let Some(both) = self.doomed.iter().find(|doomed| named.contains(&doomed.id)) {
            return Err(format!("segment {} is named and doomed", both.id));
        }
        if !self.doomed.is_sorted_by(|a, b| a.id < b.id) {
            return Err("the doomed are not in ascending order".to_owned());
        }
        if self.segments.iter().any(|segment| segment.tenant != self.tenant) {
            return Err("a segment belongs to another tenant".to_owned());
        }
        let fits = |facts: &Facts| facts.footer_offset.checked_add(u64::from(facts.footer_length)).is_some_and(|end| end <= facts.bytes);
        if self.segments.iter().any(|segment| !fits(&segment.facts)) {
            return Err("the footer of a segment lies outside it".to_owned());
        }
        if self.number == 0 && (!self.segments.is_empty() || !self.watermarks.is_empty() || self.previous != CommitId::NONE) {
            return Err("number 0 is not empty".to_owned());
        }
        self.check_deletes()
    }
}

#[cfg(test)]
mod tests;
