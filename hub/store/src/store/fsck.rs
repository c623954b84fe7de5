//! What `tributary-hub fsck` looks at, and how an operator gives up a damaged lane object (lane rule 20).
//!
//! Parts: [`Keeper::examine`] (lanes, snapshots, sections that are not absorbed, manifests, segments),
//! [`Keeper::give_up`], [`Damage`]. Promises: looking changes nothing unless `repair` is asked for, and that writes only
//! what can be derived again (snapshots); a lane object is given up only where its lane is frozen by it, for ever, with a
//! loss recorded for each tenant that wrote in that lane. Must not do: guess what damaged bytes said.

use std::collections::BTreeSet;

use proto_model::{ClusterId, EdgeId, LaneId, TenantId, Timestamp};

use super::keeper::Keeper;
use crate::fault::StoreFault;
use crate::fold::log::Commit;
use crate::fold::{Fold, snapshot};
use crate::keys::{Key, lane_object_of};
use crate::lane::{LaneCell, read_header, skip, start};
use crate::manifest::SegmentRef;
use crate::object::Size;
use crate::record::Loss;

/// How closely the store is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Examination {
    /// Every block of every segment too: that reads the whole store.
    pub blocks: bool,
    /// Damaged snapshots are deleted, and lanes with a damaged header behind their head get a new snapshot.
    pub repair: bool,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Its key, without the prefix.
    pub key: String,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub fix: &'static str,
    /// Nothing depends on it any more.
    pub mended: bool,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Examined {
    /// Lanes.
    pub lanes: u64,
    /// Lane objects that are not absorbed.
    pub objects: u64,
    /// Snapshots of lanes.
    pub snapshots: u64,
    /// Tenants with a manifest.
    pub tenants: u64,
    /// Segments.
    pub segments: u64,
    /// Blocks of segments.
    pub blocks: u64,
    /// What is damaged.
    pub damaged: u64,
    /// Of those, how many were mended.
    pub mended: u64,
}

/// Why an object was not given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GiveUpFault {
    /// It is not in the way of anything.
    #[error("{0}")]
    Unfit(String),
    /// The store's fault: it is not known whether it was; do it again.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Where damage is told.
type Tell<'t> = &'t mut (dyn FnMut(Damage) + Send);

const BRING_BACK: &str = "bring the object back from the bucket's versions or a backup";
const FROZEN: &str = "bring the object back from the bucket's versions or a backup, or give up what it held with fsck --skip-object KEY";
const BEHIND: &str = "nothing needs it once two snapshots are behind it; fsck --repair writes one";
const SNAPSHOT: &str = "hubs pass over it for an older one; fsck --repair deletes it";

/// The reason, where the fault speaks of an object that is not as it was written; other faults are the store's.
fn damage_of(fault: StoreFault) -> Result<String, StoreFault> {
    if let StoreFault::Damaged { reason, .. } | StoreFault::ManifestUnreadable { reason, .. } = fault {
        return Ok(reason);
    }
    if matches!(fault, StoreFault::Moved { .. }) {
        return Ok("it is gone".to_owned());
    }
    if matches!(fault, StoreFault::Version { .. } | StoreFault::Chain { .. }) { Ok(fault.to_string()) } else { Err(fault) }
}

impl Keeper {
    /// Looks at everything that a hub may have to read, and tells what is damaged.
    ///
    /// # Errors
    /// The store's fault: then not all was looked at.
    pub async fn examine(&self, how: Examination, tell: Tell<'_>) -> Result<Examined, StoreFault> {
        let mut examined = Examined::default();
        let mut told = |damage: Damage| {
            examined_damage(&mut examined, &damage);
            tell(damage);
        };
        let mut counts = Examined::default();
        for cell in self.store().cells() {
            counts.lanes += 1;
            self.examine_snapshots(&cell, how, &mut counts, &mut told).await?;
            self.examine_lane(&cell, how, &mut counts, &mut told).await?;
        }
        for tenant in self.tenants().await? {
            counts.tenants += 1;
            self.examine_tenant(&tenant, how, &mut counts, &mut told).await?;
        }
        Ok(Examined { damaged: examined.damaged, mended: examined.mended, ..counts })
    }

    async fn examine_snapshots(&self, cell: &LaneCell, how: Examination, counts: &mut Examined, tell: Tell<'_>) -> Result<(), StoreFault> {
        let shore = self.store().shore();
        for number in start::listed(shore, cell.lane).await? {
            let key = Key::snapshot(cell.lane, number);
            let Some(bytes) = shore.objects.get(&key, None, Size::Large).await? else { continue };
            counts.snapshots += 1;
            let (lane, keys) = (cell.lane, shore.keys.clone());
            let Err(fault) = shore.objects.world.workers.run(move || snapshot::decode(&bytes, lane, number, &keys)).await else { continue };
            let reason = damage_of(fault)?;
            if how.repair {
                shore.objects.delete(&key).await?;
            }
            tell(Damage { key: key.to_string(), reason, fix: SNAPSHOT, mended: how.repair });
        }
        Ok(())
    }

    async fn examine_lane(&self, cell: &LaneCell, how: Examination, counts: &mut Examined, tell: Tell<'_>) -> Result<(), StoreFault> {
        if let Some(frozen) = cell.frozen() {
            tell(Damage { key: Key::lane_object(cell.lane, frozen.number).to_string(), reason: frozen.reason, fix: FROZEN, mended: false });
        }
        let Some(known) = cell.known() else { return Ok(()) };
        let mut behind = Vec::new();
        for commit in known.fold.log().iter() {
            counts.objects += 1;
            if let Some(reason) = self.header_damage(cell.lane, commit).await? {
                behind.push((Key::lane_object(cell.lane, commit.number).to_string(), reason));
            }
            self.examine_sections(cell.lane, commit, tell).await?;
        }
        let mended = how.repair && !behind.is_empty() && cell.frozen().is_none();
        if mended {
            self.snapshot(cell.lane, 1).await?;
        }
        behind.into_iter().for_each(|(key, reason)| tell(Damage { key, reason, fix: BEHIND, mended }));
        Ok(())
    }

    /// What is wrong with the header of an object that was folded; nothing with one that was given up.
    async fn header_damage(&self, lane: LaneId, commit: &Commit) -> Result<Option<String>, StoreFault> {
        let shore = self.store().shore();
        let reason = match read_header(shore, lane, commit.number).await {
            Ok(Some(header)) if header.commit == commit.commit => return Ok(None),
            Ok(Some(_)) => "it is another object than the one that was followed".to_owned(),
            Ok(None) => "it is gone".to_owned(),
            Err(fault) => damage_of(fault)?,
        };
        let given_up = skip::skipped(shore, lane, commit.number).await? == Some(commit.commit);
        Ok((!given_up).then_some(reason))
    }

    async fn examine_sections(&self, lane: LaneId, commit: &Commit, tell: Tell<'_>) -> Result<(), StoreFault> {
        let wanted: BTreeSet<TenantId> = commit.sections.iter().map(|entry| entry.tenant.clone()).collect();
        let key = Key::lane_object(lane, commit.number).to_string();
        let told = |tenant: &str, reason: String| Damage { key: key.clone(), reason: format!("section of {tenant}: {reason}"), fix: BRING_BACK, mended: false };
        match self.sections(lane, commit, &wanted).await {
            Ok(found) => {
                for stored in found {
                    if let Err(fault) = stored.section {
                        tell(told(stored.tenant.as_str(), damage_of(fault)?));
                    }
                }
            }
            Err(fault) => tell(told("all tenants", damage_of(fault)?)),
        }
        Ok(())
    }

    async fn examine_tenant(&self, tenant: &TenantId, how: Examination, counts: &mut Examined, tell: Tell<'_>) -> Result<(), StoreFault> {
        let manifest = match self.newest(tenant).await {
            Ok(Some(manifest)) => manifest,
            Ok(None) => return Ok(()),
            Err(fault) => {
                tell(Damage { key: Key::manifests(tenant).to_string(), reason: damage_of(fault)?, fix: BRING_BACK, mended: false });
                return Ok(());
            }
        };
        for segment in &manifest.segments {
            counts.segments += 1;
            if let Err(fault) = self.examine_segment(segment, how, counts).await {
                let reason = damage_of(fault)?;
                // A merge may have put another in its place since.
                let is_named = self.newest(tenant).await?.is_some_and(|newest| newest.names(segment.id));
                if is_named {
                    tell(Damage { key: segment.key(), reason, fix: BRING_BACK, mended: false });
                }
            }
        }
        Ok(())
    }

    async fn examine_segment(&self, segment: &SegmentRef, how: Examination, counts: &mut Examined) -> Result<(), StoreFault> {
        let footer = self.footer(segment).await?;
        if how.blocks {
            for block in &footer.blocks {
                self.block(segment, *block).await?;
                counts.blocks += 1;
            }
        }
        Ok(())
    }

    /// Gives up the lane object `key`, by which its lane is frozen: it counts as empty from now on, for all hubs; a loss is
    /// recorded for each tenant that wrote in the lane. Gives how many tenants that are.
    ///
    /// # Errors
    /// [`GiveUpFault`]; doing it again is well.
    pub async fn give_up(&self, key: &str) -> Result<usize, GiveUpFault> {
        let unfit = |why: String| GiveUpFault::Unfit(format!("{key} is not given up: {why}"));
        let (lane, number) = lane_object_of(key).ok_or_else(|| unfit("it is no key of a lane object (lanes/LANE/log/NUMBER)".to_owned()))?;
        let cell = self.store().cells().into_iter().find(|cell| cell.lane == lane).ok_or_else(|| unfit(format!("there is no lane {lane}")))?;
        let shore = self.store().shore();
        cell.follow(shore).await?;
        let before = cell.known().ok_or_else(|| unfit(format!("lane {lane} is being read anew")))?.fold;
        let passed = before.skipped().is_some_and(|skipped| skipped >= number) && skip::skipped(shore, lane, number).await?.is_some();
        if !passed {
            let frozen = cell.frozen().ok_or_else(|| unfit(format!("lane {lane} is not frozen")))?;
            if frozen.number != number {
                return Err(unfit(format!("lane {lane} is frozen at number {}, not there", frozen.number)));
            }
            skip::give_up(shore, lane, number, self.store().writer_name()).await?;
            cell.follow(shore).await?;
        }
        let losses = losses_of(&before, key, shore.objects.moment().wall);
        // A further damaged object may follow: then the losses are recorded when that one is given up as well.
        match self.record_losses(lane, &losses).await {
            Ok(()) | Err(StoreFault::Frozen { .. }) => Ok(losses.len()),
            Err(fault) => Err(fault.into()),
        }
    }
}

const fn examined_damage(examined: &mut Examined, damage: &Damage) {
    examined.damaged += 1;
    examined.mended += damage.mended as u64;
}

/// A loss of unknown size for each tenant that wrote in the lane, over the times of its lines there as far as they are
/// known, up to `now`.
fn losses_of(fold: &Fold, key: &str, now: Timestamp) -> Vec<Loss> {
    let (Ok(cluster), Ok(edge)) = (ClusterId::new("unknown"), EdgeId::new("unknown")) else { return Vec::new() };
    let above = fold.log().iter().flat_map(|commit| commit.sections.iter().map(|entry| &entry.tenant));
    let tenants: BTreeSet<&TenantId> = above.chain(fold.absorbed().keys()).collect();
    let earliest = |tenant: &TenantId| fold.log().iter().filter_map(|commit| commit.section(tenant)).map(|entry| entry.min.nanos()).min();
    let loss = |tenant: &TenantId| Loss {
        tenant: tenant.clone(),
        cluster: cluster.clone(),
        edge: edge.clone(),
        source: key.to_owned(),
        reason: "SKIPPED_OBJECT".to_owned(),
        from_ns: earliest(tenant).unwrap_or_else(|| fold.written().nanos()),
        to_ns: now.nanos(),
        lines: None,
        bytes: None,
    };
    tenants.into_iter().map(loss).collect()
}

#[cfg(test)]
mod tests;
