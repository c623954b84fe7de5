//! Manifests, footers and blocks by grant (lane rules 14, 16, 21).
//!
//! Parts: [`Store::manifest`], [`Store::footer`], [`Store::filters`], [`Store::tallies`], [`Store::block`], [`Store::outline`]; `Manifests`, the logs of all tenants as
//! far as they were read. Promises: a manifest is given only if it holds all that the view says is absorbed and noted;
//! what a manifest names and is not found makes the next one be read anew. Must not do: write.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::FutureExt as _;
use hub_segment::{Block, Footer, GramFilters, Outline, RegionEntry, Tallies};
use hub_tenant::Grant;
use proto_model::TenantId;

use super::{Store, locked};
use crate::cache::{Kept, Name};
use crate::fault::StoreFault;
use crate::head::View;
use crate::header::CommitId;
use crate::keys::Key;
use crate::lane::Shore;
use crate::limits::MANIFEST_MEMORY_MAX;
use crate::manifest::log::ManifestCell;
use crate::manifest::{Manifest, SegmentRef};
use crate::object::Size;

/// The manifest logs that were read.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    cells: BTreeMap<TenantId, Arc<ManifestCell>>,
    clock: u64,
}

impl Manifests {
    fn cell(&mut self, tenant: &TenantId) -> Arc<ManifestCell> {
        self.shed(tenant);
        self.clock += 1;
        let cell = self.cells.entry(tenant.clone()).or_insert_with(|| Arc::new(ManifestCell::new(tenant.clone())));
        cell.touch(self.clock);
        Arc::clone(cell)
    }

    /// Forgets those not used for longest while they take too much memory; they are read anew when needed.
    fn shed(&mut self, but: &TenantId) {
        let mut costs: Vec<(u64, usize, TenantId)> = self.cells.iter().map(|(tenant, cell)| (cell.cost().1, cell.cost().0, tenant.clone())).collect();
        let mut total: usize = costs.iter().map(|(_, cost, _)| cost).sum();
        costs.sort_unstable();
        for (_, cost, tenant) in costs {
            if total <= MANIFEST_MEMORY_MAX {
                return;
            }
            if tenant != *but {
                total -= cost;
                self.cells.remove(&tenant);
            }
        }
    }
}

impl Store {
    pub(crate) fn manifest_cell(&self, tenant: &TenantId) -> Arc<ManifestCell> {
        locked(&self.manifests).cell(tenant)
    }

    /// A manifest of the grant's tenant that holds all that lies at or below the floors of `view` (lane rule
    /// 14) and every delete that its lanes note (17): the one known, else the newest. An empty one for a tenant that never had one. What it does not
    /// hold is in `view.sections_after(grant, range, &manifest.watermarks)`.
    ///
    /// # Errors
    /// [`StoreFault::ManifestUnreadable`] when none that is found holds it (ask again); else the store's fault.
    pub async fn manifest(&self, grant: &Grant, view: &View) -> Result<Arc<Manifest>, StoreFault> {
        let tenant = grant.tenant();
        let (absorbed, least) = (view.absorbed(tenant), view.manifest_least(tenant));
        let holds = |manifest: &Manifest| {
            let absorbs = absorbed.iter().all(|(lane, last)| manifest.watermark(*lane) >= *last);
            cfg!(planted = "manifest_of_any_age") || (absorbs && manifest.number >= least)
        };
        let cell = self.manifest_cell(tenant);
        if let Some(known) = cell.known().filter(|known| holds(known)) {
            return Ok(known);
        }
        let nothing = || Arc::new(Manifest::genesis(tenant.clone(), CommitId::NONE));
        if absorbed.is_empty() && least == 0 {
            return Ok(nothing());
        }
        let newest = cell.follow(&self.shore).await?.unwrap_or_else(nothing);
        if holds(&newest) {
            return Ok(newest);
        }
        cell.doubt();
        let reason = "it lacks what the lanes say is absorbed, or a delete that they note".to_owned();
        Err(StoreFault::ManifestUnreadable { key: Key::manifests(tenant).to_string(), reason })
    }

    /// The footer of a segment.
    ///
    /// # Errors
    /// [`StoreFault::Foreign`] with another tenant's grant; [`StoreFault::Moved`] when it is gone (take a new view
    /// and manifest); [`StoreFault::Damaged`]; else the store's fault.
    pub async fn footer(&self, grant: &Grant, of: &SegmentRef) -> Result<Arc<Footer>, StoreFault> {
        allowed(grant, of)?;
        let load = || load_footer(Arc::clone(&self.shore), of.clone()).boxed();
        let found = self.cache.kept(Name::footer(of), load).await;
        let Kept::Footer(footer) = self.doubting(of, found)? else { return Err(misfiled()) };
        Ok(footer)
    }

    /// The filters of a segment, of which `footer` is; `None` when it has none.
    ///
    /// # Errors
    /// As [`Self::footer`].
    pub async fn filters(&self, grant: &Grant, of: &SegmentRef, footer: &Footer) -> Result<Option<Arc<GramFilters>>, StoreFault> {
        allowed(grant, of)?;
        let (Some(region), blocks) = (footer.filters, footer.blocks.len()) else { return Ok(None) };
        let read = move |bytes: &bytes::Bytes| GramFilters::read(bytes, &region, blocks).map(|filters| Kept::Filters(Arc::new(filters)));
        let load = || load_region(Arc::clone(&self.shore), of.clone(), region, read).boxed();
        let found = self.cache.kept(Name::filters(of), load).await;
        let Kept::Filters(filters) = self.doubting(of, found)? else { return Err(misfiled()) };
        Ok(Some(filters))
    }

    /// The tallies of a segment, of which `footer` is; `None` when it has none.
    ///
    /// # Errors
    /// As [`Self::footer`].
    pub async fn tallies(&self, grant: &Grant, of: &SegmentRef, footer: &Arc<Footer>) -> Result<Option<Arc<Tallies>>, StoreFault> {
        allowed(grant, of)?;
        let Some(region) = footer.tallies else { return Ok(None) };
        let footer = Arc::clone(footer);
        let read = move |bytes: &bytes::Bytes| Tallies::read(bytes, &region, &footer.blocks).map(|tallies| Kept::Tallies(Arc::new(tallies)));
        let load = || load_region(Arc::clone(&self.shore), of.clone(), region, read).boxed();
        let found = self.cache.kept(Name::tallies(of), load).await;
        let Kept::Tallies(tallies) = self.doubting(of, found)? else { return Err(misfiled()) };
        Ok(Some(tallies))
    }

    /// Block `at` of a segment, of which `footer` is.
    ///
    /// # Errors
    /// As [`Self::footer`]; [`StoreFault::Damaged`] too when the footer has no such block.
    pub async fn block(&self, grant: &Grant, of: &SegmentRef, footer: &Footer, at: usize) -> Result<Arc<Block>, StoreFault> {
        allowed(grant, of)?;
        let entry = footer.blocks.get(at).copied().ok_or_else(|| damaged(of, &"it has no such block"))?;
        let load = || load_block(Arc::clone(&self.shore), of.clone(), entry).boxed();
        let found = self.cache.kept(Name::block(of, at), load).await;
        let Kept::Block(block) = self.doubting(of, found)? else { return Err(misfiled()) };
        Ok(block)
    }

    /// Block `at` of a segment without its lines, with metadata only when that is asked for.
    ///
    /// # Errors
    /// As [`Self::block`].
    pub async fn outline(&self, grant: &Grant, of: &SegmentRef, footer: &Footer, at: usize, metadata: bool) -> Result<Arc<Outline>, StoreFault> {
        allowed(grant, of)?;
        let entry = footer.blocks.get(at).copied().ok_or_else(|| damaged(of, &"it has no such block"))?;
        let load = || load_outline(Arc::clone(&self.shore), of.clone(), entry, metadata).boxed();
        let found = self.cache.kept(Name::outline(of, at, metadata), load).await;
        let Kept::Outline(outline) = self.doubting(of, found)? else { return Err(misfiled()) };
        Ok(outline)
    }

    /// A segment that is gone was rewritten: the manifest that named it is read on from before it is used again.
    fn doubting<T>(&self, of: &SegmentRef, found: Result<T, StoreFault>) -> Result<T, StoreFault> {
        if matches!(&found, Err(StoreFault::Moved { .. })) {
            self.manifest_cell(&of.tenant).doubt();
        }
        found
    }
}

fn allowed(grant: &Grant, of: &SegmentRef) -> Result<(), StoreFault> {
    if *grant.tenant() == of.tenant { Ok(()) } else { Err(StoreFault::Foreign) }
}

fn misfiled() -> StoreFault {
    StoreFault::Draft { reason: "the cache holds something else under that name".to_owned() }
}

fn key_of(of: &SegmentRef) -> Key {
    Key::segment(&of.tenant, of.id.0)
}

fn damaged(of: &SegmentRef, reason: &dyn ToString) -> StoreFault {
    StoreFault::Damaged { key: key_of(of).to_string(), reason: reason.to_string() }
}

async fn bytes_of(shore: &Shore, of: &SegmentRef, offset: u64, length: u32) -> Result<bytes::Bytes, StoreFault> {
    let end = offset.checked_add(u64::from(length)).ok_or_else(|| damaged(of, &"it is said to lie beyond all bounds"))?;
    let key = key_of(of);
    shore.objects.get(&key, Some(offset..end), Size::Large).await?.ok_or_else(|| StoreFault::Moved { key: key.to_string() })
}

pub(crate) async fn load_footer(shore: Arc<Shore>, of: SegmentRef) -> Result<Kept, StoreFault> {
    let bytes = bytes_of(&shore, &of, of.facts.footer_offset, of.facts.footer_length).await?;
    let facts = of.facts;
    let read = shore.objects.world.workers.run(move || Footer::read(&bytes, &facts)).await;
    read.map(|footer| Kept::Footer(Arc::new(footer))).map_err(|fault| damaged(&of, &fault))
}

async fn load_region(
    shore: Arc<Shore>,
    of: SegmentRef,
    region: RegionEntry,
    read: impl FnOnce(&bytes::Bytes) -> Result<Kept, hub_segment::SegmentFault> + Send + 'static,
) -> Result<Kept, StoreFault> {
    let bytes = bytes_of(&shore, &of, region.offset, region.length).await?;
    shore.objects.world.workers.run(move || read(&bytes)).await.map_err(|fault| damaged(&of, &fault))
}

pub(crate) async fn load_block(shore: Arc<Shore>, of: SegmentRef, entry: hub_segment::BlockEntry) -> Result<Kept, StoreFault> {
    let bytes = bytes_of(&shore, &of, entry.offset, entry.length).await?;
    let opened = shore.objects.world.workers.run(move || Block::open(&bytes, &entry)).await;
    opened.map(|block| Kept::Block(Arc::new(block))).map_err(|fault| damaged(&of, &fault))
}

async fn load_outline(shore: Arc<Shore>, of: SegmentRef, entry: hub_segment::BlockEntry, metadata: bool) -> Result<Kept, StoreFault> {
    let bytes = bytes_of(&shore, &of, entry.offset, entry.length).await?;
    let open = move || if metadata { Outline::open_with_metadata(&bytes, &entry) } else { Outline::open(&bytes, &entry) };
    let opened = shore.objects.world.workers.run(open).await;
    opened.map(|outline| Kept::Outline(Arc::new(outline))).map_err(|fault| damaged(&of, &fault))
}
