//! The door for upkeep: all tenants' sections, manifests and segments, without grants (lane rules 12 to 16).
//!
//! Parts: [`Keeper`]: manifests ([`open`](Keeper::open), [`commit`](Keeper::commit)), lane objects
//! ([`sections`](Keeper::sections), [`raise_floor`](Keeper::raise_floor), [`collect_lane`](Keeper::collect_lane)), segments
//! ([`put_segment`](Keeper::put_segment), [`segments`](Keeper::segments)). Upkeep works for tenants that no grant
//! can be had for any more (they left the tenant map), so it names them; nothing that answers a request may hold
//! a keeper. Promises: a segment is named only if this hub was told that it stands. Must not do: decide what
//! is due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hub_segment::{Block, BlockEntry, Built, Footer};
use proto_model::{LaneId, ProducerId, TenantId, Timestamp};

use super::segments::{load_block, load_footer};
use super::{Store, locked};
use crate::cache::Kept;
use crate::fault::{PutFault, StoreFault};
use crate::fold::Fold;
use crate::fold::log::Commit;
use crate::head::LaneView;
use crate::header::{Checksum, SectionEntry};
use crate::keys::{Key, number_of, segment_of};
use crate::lane::collect::{self, Cursor};
use crate::lane::{read_header, start};
use crate::limits::{CREATE_ROUNDS, MANIFESTS_KEPT};
use crate::manifest::{Change, Manifest, SegmentId, SegmentRef};
use crate::object::{Create, Size};
use crate::record::{LaneRecord, Loss};
use crate::section::{Draft, Section, SectionTable};

/// One tenant's section as it was found in a lane object.
#[derive(Debug)]
pub struct StoredSection {
    /// Whose.
    pub tenant: TenantId,
    /// What the directory says of it.
    pub entry: SectionEntry,
    /// Its bytes, whatever they are.
    pub bytes: Bytes,
    /// The section, or [`StoreFault::Damaged`].
    pub section: Result<Section, StoreFault>,
}

/// The door for upkeep.
#[derive(Debug)]
pub struct Keeper {
    store: Arc<Store>,
    cursors: Mutex<BTreeMap<LaneId, Cursor>>,
}

impl Keeper {
    /// On a store.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, cursors: Mutex::default() }
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Tenants that have a manifest log. By a listing: new ones may be missing.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, StoreFault> {
        let names = self.store.shore.objects.list(&Key::manifest_registrations()).await?;
        Ok(names.iter().filter_map(|name| TenantId::new(name).ok()).collect())
    }

    /// The manifest as far as it is known here.
    #[must_use]
    pub fn known(&self, tenant: &TenantId) -> Option<Arc<Manifest>> {
        self.store.manifest_cell(tenant).known()
    }

    /// The newest manifest; `None` when the tenant never had one.
    ///
    /// # Errors
    /// The store's fault, or [`StoreFault::ManifestUnreadable`].
    pub async fn newest(&self, tenant: &TenantId) -> Result<Option<Arc<Manifest>>, StoreFault> {
        self.store.manifest_cell(tenant).follow(&self.store.shore).await
    }

    /// The newest manifest; begins the log of a tenant that has none.
    ///
    /// # Errors
    /// As [`Self::newest`].
    pub async fn open(&self, tenant: &TenantId) -> Result<Arc<Manifest>, StoreFault> {
        self.store.manifest_cell(tenant).open(&self.store.shore).await
    }

    /// Writes `change` onto `base` as the next number of its log.
    ///
    /// # Errors
    /// [`PutFault`]: the segments that the change brings must never be named again (they are swept): start over
    /// from the newest manifest.
    pub async fn commit(&self, base: &Manifest, change: &Change) -> Result<Arc<Manifest>, PutFault> {
        self.store.manifest_cell(&base.tenant).put(&self.store.shore, base, change, &self.store.writer_name).await
    }

    /// Stores a segment under a name of its own.
    ///
    /// # Errors
    /// The store's fault; what may have been stored is never named.
    pub async fn put_segment(&self, tenant: &TenantId, built: &Built) -> Result<SegmentRef, StoreFault> {
        let objects = &self.store.shore.objects;
        let mut last = None;
        for _ in 0..CREATE_ROUNDS {
            let id = SegmentId(objects.entropy().next_u128());
            // Any answer but success: that name is given up.
            match objects.create(&Key::segment(tenant, id.0), vec![built.bytes.clone()]).await {
                Ok(Create::Created) => return Ok(SegmentRef { id, tenant: tenant.clone(), facts: built.facts, cleaned: 0 }),
                Ok(Create::Exists) => {}
                Err(fault) if fault.is_transient() => last = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        let key = Key::segments(tenant).to_string();
        Err(last.unwrap_or(StoreFault::Unreachable { action: "create", key, reason: "every name was taken".to_owned() }))
    }

    /// The footer of a segment, from the store.
    ///
    /// # Errors
    /// As [`Store::footer`].
    pub async fn footer(&self, of: &SegmentRef) -> Result<Arc<Footer>, StoreFault> {
        let Kept::Footer(footer) = load_footer(Arc::clone(&self.store.shore), of.clone()).await? else {
            return Err(StoreFault::Draft { reason: "no footer was loaded".to_owned() });
        };
        Ok(footer)
    }

    /// A block of a segment, from the store.
    ///
    /// # Errors
    /// As [`Store::block`].
    pub async fn block(&self, of: &SegmentRef, entry: BlockEntry) -> Result<Arc<Block>, StoreFault> {
        let Kept::Block(block) = load_block(Arc::clone(&self.store.shore), of.clone(), entry).await? else {
            return Err(StoreFault::Draft { reason: "no block was loaded".to_owned() });
        };
        Ok(block)
    }

    /// The segments in a tenant's folder, each with when the store says it was written.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn segments(&self, tenant: &TenantId) -> Result<Vec<(SegmentId, Timestamp)>, StoreFault> {
        let names = self.store.shore.objects.list_dated(&Key::segments(tenant)).await?;
        Ok(names.iter().filter_map(|(name, at)| Some((SegmentId(segment_of(name)?), *at))).collect())
    }

    /// Deletes a segment that is doomed.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn delete_segment(&self, tenant: &TenantId, id: SegmentId) -> Result<(), StoreFault> {
        self.store.shore.objects.delete(&Key::segment(tenant, id.0)).await
    }

    /// Deletes manifests below the two newest, ascending, each seen to be gone before the next (lane rule 16); gives
    /// how many.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn collect_manifests(&self, tenant: &TenantId) -> Result<u64, StoreFault> {
        // A log that can be followed is registered: without that nothing of it may go.
        let Some(newest) = self.newest(tenant).await? else { return Ok(0) };
        let objects = &self.store.shore.objects;
        let names = objects.list(&Key::manifests(tenant)).await?;
        let mut gone = 0;
        for number in names.iter().filter_map(|name| number_of(name)).filter(|number| manifest_may_go(*number, newest.number)) {
            let key = Key::manifest(tenant, number);
            objects.delete(&key).await?;
            if objects.written(&key).await?.is_some() {
                break;
            }
            gone += 1;
        }
        Ok(gone)
    }

    /// The sections of `wanted` tenants in a lane object, by one request.
    ///
    /// # Errors
    /// [`StoreFault::Moved`] when the object is gone or another: what is known of the lane is old; else the store's
    /// fault. A section that is not what the directory says is a fault for itself alone.
    pub async fn sections(&self, lane: LaneId, object: &Commit, wanted: &BTreeSet<TenantId>) -> Result<Vec<StoredSection>, StoreFault> {
        let shore = &self.store.shore;
        let entries: Vec<SectionEntry> = object.sections.iter().filter(|entry| wanted.contains(&entry.tenant)).cloned().collect();
        let (Some(from), Some(to)) = (entries.iter().map(|entry| entry.offset).min(), entries.iter().map(|entry| entry.offset + entry.length).max()) else {
            return Ok(Vec::new());
        };
        let key = Key::lane_object(lane, object.number);
        let moved = || StoreFault::Moved { key: key.to_string() };
        let bytes = shore.objects.get(&key, Some(from..to), Size::Large).await?.ok_or_else(moved)?;
        let found: Vec<StoredSection> = shore.objects.world.workers.run(move || entries.into_iter().map(|entry| stored(entry, &bytes, from)).collect()).await;
        if found.iter().any(|stored| stored.section.is_err()) {
            // Damaged, or another object under its name (rule 14)?
            let header = read_header(shore, lane, object.number).await;
            if matches!(&header, Ok(None)) || header.as_ref().is_ok_and(|header| header.as_ref().is_some_and(|header| header.commit != object.commit)) {
                return Err(moved());
            }
            header?;
        }
        Ok(found)
    }

    /// Keeps the bytes of what absorption sets aside (batch `at` of a section, or all of it).
    ///
    /// # Errors
    /// The store's fault.
    pub async fn set_aside(&self, tenant: &TenantId, lane: LaneId, number: u64, at: Option<usize>, bytes: Bytes) -> Result<(), StoreFault> {
        self.store.shore.objects.write(&Key::aside(tenant, lane, number, at), bytes).await
    }

    /// Dooms all that an erased tenant has and closes its manifest for ever, `now` by the store's clock; lanes note it, so that no hub
    /// reads an older one.
    ///
    /// # Errors
    /// [`PutFault`]: another hub may have been first; the store's fault.
    pub async fn erase(&self, base: &Manifest, now: Timestamp) -> Result<(), PutFault> {
        let manifest = self.commit(base, &Change::Erase { at: now }).await?;
        self.store.note_manifest(&base.tenant, manifest.number, &self.store.view()).await.map_err(PutFault::NotWritten)
    }

    /// Deletes what absorption set aside of an erased tenant; gives how many objects that were.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn delete_aside(&self, tenant: &TenantId) -> Result<u64, StoreFault> {
        let objects = &self.store.shore.objects;
        let names = objects.list(&Key::asides(tenant)).await?;
        for name in &names {
            objects.delete(&Key::aside_named(tenant, name)).await?;
        }
        Ok(names.len() as u64)
    }

    /// The identity (`cluster/edge`) that a producer was opened for, as far as its lane is known here.
    #[must_use]
    pub fn identity_of(&self, producer: &ProducerId) -> Option<String> {
        let cell = self.store.cells().into_iter().find(|cell| cell.lane == producer.lane)?;
        cell.known()?.fold.producer(producer).map(|state| state.identity.clone())
    }

    /// Records losses in a lane, each once: one that bears the source and reason of a known one is that one.
    ///
    /// # Errors
    /// As [`Store::amend`].
    pub async fn record_losses(&self, lane: LaneId, losses: &[Loss]) -> Result<(), StoreFault> {
        let known = |fold: &Fold, loss: &Loss| fold.losses(&loss.tenant).any(|known| known.source == loss.source && known.reason == loss.reason);
        // Asked again after an answer that was lost, what is known then is this one's.
        let mut new: Vec<Loss> = Vec::new();
        let judge = |fold: &Fold| {
            let records: Vec<Loss> = losses.iter().filter(|loss| !known(fold, loss)).cloned().collect();
            new.extend(records.iter().filter(|loss| !new.contains(loss)).cloned().collect::<Vec<_>>());
            let records: Vec<LaneRecord> = records.into_iter().map(LaneRecord::from).collect();
            Ok((!records.is_empty()).then(|| Draft { records, sections: Vec::new(), map_version: fold.map_version() }))
        };
        self.store.amend(lane, judge).await?;
        self.store.count_lost(&new);
        Ok(())
    }

    /// Records the floor of a lane if the manifests have absorbed more than it says (lane rule 13); gives the floor.
    ///
    /// # Errors
    /// As [`Store::amend`], or what stands in the way of a manifest.
    pub async fn raise_floor(&self, lane: LaneId) -> Result<u64, StoreFault> {
        let view = self.store.view();
        let Some(sight) = view.lanes().find(|sight| sight.lane() == lane) else { return Ok(0) };
        // Each manifest that stands in the way is read on once: another hub may have absorbed.
        let mut read = BTreeSet::new();
        let mut blocked = self.blocker(sight, lane);
        while let Some((tenant, _)) = blocked.clone() {
            if !read.insert(tenant.clone()) {
                break;
            }
            self.newest(&tenant).await?;
            blocked = self.blocker(sight, lane);
        }
        let Some(floor) = collect::floor_of(sight, blocked.map(|(_, number)| number)) else { return Ok(sight.floor()) };
        // Those that let it rise are looked at too: one of before the bucket was put back absorbs nothing in this one.
        let erased = self.store.erased();
        for tenant in collect::passed(sight, floor).difference(&read).filter(|tenant| !erased.contains(*tenant)) {
            self.newest(tenant).await?;
        }
        let judge = |fold: &Fold| {
            let sight = LaneView::of(fold, None);
            let floor = collect::floor_of(&sight, self.blocker(&sight, lane).map(|(_, number)| number));
            Ok(floor.map(|floor| Draft { records: vec![LaneRecord::Floor(floor)], sections: Vec::new(), map_version: fold.map_version() }))
        };
        self.store.amend(lane, judge).await.map(|fold| fold.floor())
    }

    fn blocker(&self, sight: &LaneView, lane: LaneId) -> Option<(TenantId, u64)> {
        let erased = self.store.erased();
        collect::blocker(sight, |tenant| {
            // An erased tenant's watermark is infinite.
            let passes = cfg!(planted = "floor_before_manifest") || erased.contains(tenant);
            if passes { u64::MAX } else { self.known(tenant).map_or(0, |manifest| manifest.watermark(lane)) }
        })
    }

    /// Writes a snapshot of a lane whose newest is `every` numbers behind or more (lane rule 11).
    ///
    /// # Errors
    /// The store's fault; nothing depends on a snapshot.
    pub async fn snapshot(&self, lane: LaneId, every: u64) -> Result<(), StoreFault> {
        let Some(cell) = self.store.cells().into_iter().find(|cell| cell.lane == lane) else { return Ok(()) };
        start::keep_when(&self.store.shore, &cell, |head, _, kept| head >= kept.newest + every).await
    }

    /// Deletes objects of a lane that may go (lane rule 15), `now` by the store's clock; gives how many.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn collect_lane(&self, lane: LaneId, keep: Duration, now: Timestamp) -> Result<u64, StoreFault> {
        let Some(cell) = self.store.cells().into_iter().find(|cell| cell.lane == lane) else { return Ok(0) };
        let mut cursor = locked(&self.cursors).get(&lane).copied().unwrap_or_default();
        let collected = collect::collect(&self.store.shore, &cell, &mut cursor, keep, now).await;
        locked(&self.cursors).insert(lane, cursor);
        collected
    }

    /// The store's clock: when it says that an object was written just now.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn store_time(&self) -> Result<Timestamp, StoreFault> {
        let objects = &self.store.shore.objects;
        let key = Key::probe(objects.entropy().next_u128());
        objects.write(&key, Bytes::from_static(b"what time is it")).await?;
        let written = objects.written(&key).await?;
        objects.delete(&key).await?;
        written.ok_or_else(|| StoreFault::Unreachable { action: "get", key: key.to_string(), reason: "what was written is not there".to_owned() })
    }
}

/// Whether manifest `number` may go while `newest` is the newest: the two newest stay.
const fn manifest_may_go(number: u64, newest: u64) -> bool {
    number + (MANIFESTS_KEPT as u64) <= newest
}

/// The section of `entry` in `bytes`, which begin at `from` in the object.
fn stored(entry: SectionEntry, bytes: &Bytes, from: u64) -> StoredSection {
    let at = |offset: u64| usize::try_from(offset.saturating_sub(from)).unwrap_or(usize::MAX).min(bytes.len());
    let own = bytes.slice(at(entry.offset)..at(entry.offset + entry.length));
    let read = if Checksum::of([own.as_ref()]) == entry.checksum { SectionTable::read(&own, entry.length) } else { Err("its checksum is wrong".to_owned()) };
    let damaged = |reason| StoreFault::Damaged { key: "a section of a lane object".to_owned(), reason };
    let section = read.map(|table| Section { table: Arc::new(table), bytes: own.clone() }).map_err(damaged);
    StoredSection { tenant: entry.tenant.clone(), entry, bytes: own, section }
}
