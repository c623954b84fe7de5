//! Deletes of a tenant: taken in, listed, called off (lane rule 17).
//!
//! Parts: [`Store::delete`], [`Store::deletes`], [`Store::cancel_delete`]. A delete stands in the manifest first, then
//! a lane notes the number of that manifest: whoever asks after the answer reads the note with the lanes (rule 14), and with
//! it the manifest, on every hub. Promises: durable before it is answered, in force for every query that begins after the
//! answer; asked again after a lost answer it is one delete while nothing new arrived. Must not do: read the query, carry a delete out.

use std::sync::Arc;
use std::time::Duration;

use hub_tenant::Grant;
use proto_model::{TenantId, TimeRange};

use super::Store;
use crate::fault::{PutFault, StoreFault};
use crate::fold::Fold;
use crate::head::{LaneView, View};
use crate::keys::Key;
use crate::limits::{AMEND_WAIT_MS, COMMIT_TRIES, DELETE_QUERY_BYTES_MAX, DELETES_OPEN_MAX};
use crate::manifest::{Change, Delete, Manifest};
use crate::record::LaneRecord;
use crate::section::Draft;

impl Store {
    /// Lets the lines of `query` in `range` that are committed now count as gone; gives the delete.
    ///
    /// # Errors
    /// [`StoreFault::TooLarge`] when the query is too long or too many deletes are open; [`StoreFault::Frozen`] while a lane cannot
    /// be read to its end; else the store's fault: it may be in force or not, and asking again is right.
    pub async fn delete(self: &Arc<Self>, grant: &Grant, query: &str, range: TimeRange) -> Result<Delete, StoreFault> {
        if query.len() > DELETE_QUERY_BYTES_MAX {
            return Err(too_large("the query of a delete in bytes", query.len(), DELETE_QUERY_BYTES_MAX));
        }
        let view = self.whole_view().await?;
        let tenant = grant.tenant();
        let same = |manifest: &Manifest| {
            let last = view.last_after(tenant, |lane| manifest.watermark(lane));
            // Nothing that it would be about came since: the same asked again.
            let covers = |delete: &&Delete| delete.query == query && delete.range == range && last.iter().all(|(lane, n)| delete.heads.get(lane) >= Some(n));
            let about =
                |delete: &&Delete| manifest.segments.iter().all(|segment| delete.is_about(segment) || !range.touches(segment.facts.min, segment.facts.max));
            manifest.deletes.iter().find(|delete| covers(delete) && about(delete)).map(|delete| delete.number)
        };
        let (manifest, number) = self
            .change_manifest(tenant, |base| {
                if let Some(number) = same(base) {
                    return Ok(Err(number));
                }
                if base.deletes.len() >= DELETES_OPEN_MAX {
                    return Err(too_large("the number of open deletes of the tenant", base.deletes.len() + 1, DELETES_OPEN_MAX));
                }
                let last = view.last_after(tenant, |lane| base.watermark(lane));
                Ok(Ok(Change::Delete { query: query.to_owned(), range, last }))
            })
            .await?;
        let number = number.unwrap_or(manifest.number);
        self.note_manifest(tenant, manifest.number, &view).await?;
        let found = manifest.deletes.iter().chain(&manifest.done).find(|delete| delete.number == number);
        found.cloned().ok_or_else(|| StoreFault::Draft { reason: format!("delete {number} is not in the manifest that took it in") })
    }

    /// The manifest of the grant's tenant, read on now: its deletes and how far they are. `None`: the tenant never had one.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn deletes(&self, grant: &Grant) -> Result<Option<Arc<Manifest>>, StoreFault> {
        self.manifest_cell(grant.tenant()).follow(&self.shore).await
    }

    /// Calls a delete off; with `force` also one that took lines out already, which stay out.
    ///
    /// # Errors
    /// [`StoreFault::NoDelete`] when it is not open; [`StoreFault::DeleteBegun`]; else the store's fault.
    pub async fn cancel_delete(self: &Arc<Self>, grant: &Grant, number: u64, force: bool) -> Result<(), StoreFault> {
        let tenant = grant.tenant();
        if self.deletes(grant).await?.is_none() {
            return Err(StoreFault::NoDelete);
        }
        let view = self.whole_view().await?;
        let judge = |base: &Manifest| {
            let delete = base.deletes.iter().find(|delete| delete.number == number).ok_or(StoreFault::NoDelete)?;
            if delete.lines > 0 && !force { Err(StoreFault::DeleteBegun) } else { Ok(Ok(Change::Cancel { number, force })) }
        };
        let (manifest, _) = self.change_manifest(tenant, judge).await?;
        self.note_manifest(tenant, manifest.number, &view).await
    }

    /// All lanes, fresh as of now; a frozen one hides what is to be deleted.
    async fn whole_view(self: &Arc<Self>) -> Result<View, StoreFault> {
        let view = self.fresh(self.shore.objects.moment().wall).await?;
        match view.frozen().into_iter().next() {
            None => Ok(view),
            Some((lane, frozen)) => Err(StoreFault::Frozen { lane, number: frozen.number, reason: frozen.reason }),
        }
    }

    /// Writes what `judge` says of the newest manifest, again on a newer one when another was first. `Err(number)`: nothing
    /// is to be written, and what was asked for stands under that number.
    async fn change_manifest(
        &self,
        tenant: &TenantId,
        judge: impl Fn(&Manifest) -> Result<Result<Change, u64>, StoreFault>,
    ) -> Result<(Arc<Manifest>, Option<u64>), StoreFault> {
        let cell = self.manifest_cell(tenant);
        let mut last = StoreFault::Beaten { key: Key::manifests(tenant).to_string() };
        for attempt in 0..COMMIT_TRIES {
            if attempt > 0 {
                let wait = self.shore.objects.entropy().below(AMEND_WAIT_MS << attempt.min(4));
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            let base = cell.open(&self.shore).await?;
            let change = match judge(&base)? {
                Ok(change) => change,
                Err(number) => return Ok((base, Some(number))),
            };
            match cell.put(&self.shore, &base, &change, &self.writer_name).await {
                Ok(manifest) => return Ok((manifest, None)),
                Err(PutFault::NotWritten(fault @ (StoreFault::Draft { .. } | StoreFault::TooLarge { .. } | StoreFault::Denied { .. }))) => return Err(fault),
                Err(PutFault::NotWritten(fault)) => last = fault,
                Err(PutFault::Lost) => {}
            }
        }
        Err(last)
    }

    /// Notes in a lane that whoever reads for the tenant needs manifest `number` at least.
    pub(super) async fn note_manifest(self: &Arc<Self>, tenant: &TenantId, number: u64, view: &View) -> Result<(), StoreFault> {
        let of_view = || view.lanes().map(LaneView::lane).next();
        // Without a lane there is no line that anybody could read.
        let Some(lane) = self.own_lane().or_else(of_view) else { return Ok(()) };
        let judge = |fold: &Fold| {
            let noted = fold.manifests().get(tenant).is_some_and(|noted| *noted >= number);
            let note = || LaneRecord::Manifest { tenant: tenant.clone(), number };
            Ok((!noted).then(|| Draft { records: vec![note()], sections: Vec::new(), map_version: fold.map_version() }))
        };
        self.amend(lane, judge).await.map(drop)
    }
}

const fn too_large(what: &'static str, found: usize, limit: usize) -> StoreFault {
    StoreFault::TooLarge { what, found: found as u64, limit: limit as u64 }
}
