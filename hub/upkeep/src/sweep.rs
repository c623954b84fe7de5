//! Segments that nothing names: doomed first, deleted an hour later (lane rule 16).
//!
//! Parts: [`Sweep`] and [`plan`] (pure); the job. Promises: an id is doomed in the manifest before its object is
//! deleted, so a sleeping job that would name it loses its number. Must not do: trust a listing for anything but
//! what exists.

use std::collections::BTreeSet;

use hub_store::{Change, Manifest, SegmentId};
use proto_model::{TenantId, Timestamp};

use crate::absorb::Setback;
use crate::{Upkeep, UpkeepFault, UpkeepSettings};

/// What a sweep does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sweep {
    /// To be doomed now.
    pub(crate) doom: Vec<SegmentId>,
    /// Doomed long ago: to be deleted now.
    pub(crate) delete: Vec<SegmentId>,
    /// Doomed long ago and gone: not to be spoken of any more.
    pub(crate) gone: Vec<SegmentId>,
}

/// What is to be done about a tenant's folder, `now` by the store's clock.
pub(crate) fn plan(manifest: &Manifest, listed: &[(SegmentId, Timestamp)], now: Timestamp, settings: &UpkeepSettings) -> Sweep {
    let named: BTreeSet<SegmentId> = manifest.segments.iter().map(|segment| segment.id).collect();
    let doomed: BTreeSet<SegmentId> = manifest.doomed.iter().map(|doomed| doomed.id).collect();
    let there: BTreeSet<SegmentId> = listed.iter().map(|(id, _)| *id).collect();
    let unnamed = listed.iter().filter(|(id, _)| !named.contains(id) && !doomed.contains(id));
    let old = unnamed.filter(|(_, written)| now.since(*written) >= settings.doom_age);
    if cfg!(planted = "sweep_without_doom") {
        return Sweep { delete: old.map(|(id, _)| *id).collect(), ..Sweep::default() };
    }
    let over = manifest.doomed.iter().filter(|doomed| now.since(doomed.at) >= settings.doom_grace);
    let (delete, over): (Vec<SegmentId>, Vec<SegmentId>) = over.map(|doomed| doomed.id).partition(|id| there.contains(id));
    let forgotten = |id: &SegmentId| manifest.doomed.iter().any(|doomed| doomed.id == *id && now.since(doomed.at) >= settings.doom_grace * 2);
    Sweep { doom: old.map(|(id, _)| *id).collect(), delete, gone: over.into_iter().filter(forgotten).collect() }
}

impl Upkeep {
    /// Dooms what an erased tenant has, `now` by the store's clock; sweeps delete it. Whether there was anything to do.
    pub(crate) async fn erase_tenant(&self, tenant: &TenantId, now: Timestamp) -> Result<bool, Setback> {
        let Some(manifest) = self.keeper.newest(tenant).await.map_err(UpkeepFault::from)? else { return Ok(false) };
        if manifest.erased {
            return Ok(false);
        }
        self.keeper.erase(&manifest, now).await.map_err(Setback::of)?;
        tracing::info!(%tenant, segments = manifest.segments.len(), "a tenant was erased: its segments are deleted after the grace");
        Ok(true)
    }

    /// Sweeps a tenant's folder, `now` by the store's clock.
    pub(crate) async fn sweep_tenant(&self, tenant: &TenantId, now: Timestamp) -> Result<(), Setback> {
        let Some(manifest) = self.keeper.newest(tenant).await.map_err(UpkeepFault::from)? else { return Ok(()) };
        if manifest.erased {
            self.keeper.delete_aside(tenant).await.map_err(UpkeepFault::from)?;
        }
        let listed = self.keeper.segments(tenant).await.map_err(UpkeepFault::from)?;
        let Sweep { doom, delete, gone } = plan(&manifest, &listed, now, &self.settings);
        for id in &delete {
            self.keeper.delete_segment(tenant, *id).await.map_err(UpkeepFault::from)?;
            self.metrics.swept_segments.inc();
        }
        if !doom.is_empty() || !gone.is_empty() {
            self.keeper.commit(&manifest, &Change::Sweep { doomed: doom, at: now, gone }).await.map_err(Setback::of)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
