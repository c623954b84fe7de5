//! Sections by grant, from the cache or the store (lane rules 14 and 21).
//!
//! Parts: [`Store::view`], [`Store::changes`], [`Store::table`], [`Store::section`], [`Store::sections_absorbed`]. Promises: what is given
//! bears the checksum that a followed header names; another object under the same name is told apart from
//! damage. Must not do: judge freshness.

use std::sync::Arc;

use futures::future::FutureExt as _;
use hub_tenant::Grant;
use proto_model::LaneId;
use tokio::sync::watch;

use super::Store;
use crate::cache::Kept;
use crate::fault::StoreFault;
use crate::fold::log::Commit;
use crate::head::{SectionRef, View};
use crate::header::{Checksum, CommitId};
use crate::keys::Key;
use crate::lane::{Shore, read_header};
use crate::object::Size;
use crate::section::{Section, SectionTable};

impl Store {
    /// What can be read now, however old.
    #[must_use]
    pub fn view(&self) -> View {
        self.shore.head.view()
    }

    /// Rises when the view changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shore.head.changes()
    }

    /// The table of a section.
    ///
    /// # Errors
    /// [`StoreFault::Foreign`] with another tenant's grant; [`StoreFault::Moved`] when the object is gone
    /// or another (take a new view); [`StoreFault::Damaged`] for this section only; else the store's fault.
    pub async fn table(&self, grant: &Grant, of: &SectionRef) -> Result<Arc<SectionTable>, StoreFault> {
        allowed(grant, of)?;
        let load = || Self::load(Arc::clone(&self.shore), of.clone(), false).boxed();
        self.cache.table(of, load).await
    }

    /// A whole section.
    ///
    /// # Errors
    /// As [`Self::table`].
    pub async fn section(&self, grant: &Grant, of: &SectionRef) -> Result<Section, StoreFault> {
        allowed(grant, of)?;
        let load = || Self::load(Arc::clone(&self.shore), of.clone(), true).boxed();
        self.cache.section(of, load).await
    }

    /// The grant's sections in the lane objects above `after` up to `floor`, which are absorbed and no longer in views but
    /// stay in the store for a while: for whoever must see each section as it came.
    ///
    /// # Errors
    /// [`StoreFault::Moved`] when one is gone; else the store's fault.
    pub async fn sections_absorbed(&self, grant: &Grant, lane: LaneId, after: u64, floor: u64) -> Result<Vec<SectionRef>, StoreFault> {
        let mut found = Vec::new();
        let mut before: Option<CommitId> = None;
        for number in after + 1..=floor.saturating_add(1) {
            let moved = || StoreFault::Moved { key: Key::lane_object(lane, number).to_string() };
            let header = match read_header(&self.shore, lane, number).await? {
                Some(header) => header,
                // The head itself may be absorbed.
                None if number > floor => break,
                None => return Err(moved()),
            };
            // An object that was collected may stand again under a sleeper's id: its successor does not name it then.
            if before.is_some_and(|before| before != header.previous) {
                return Err(moved());
            }
            before = Some(header.commit);
            if number <= floor {
                let commit = Commit { number, commit: header.commit, sections: header.sections };
                found.extend(commit.section(grant.tenant()).map(|entry| SectionRef::of(lane, &commit, entry)));
            }
        }
        Ok(found)
    }

    async fn load(shore: Arc<Shore>, of: SectionRef, whole: bool) -> Result<Kept, StoreFault> {
        let key = Key::lane_object(of.lane, of.number);
        let (length, checksum) = if whole { (of.len, of.checksum) } else { (u64::from(of.table_len), of.table_checksum) };
        let moved = || StoreFault::Moved { key: key.to_string() };
        let bytes = shore.objects.get(&key, Some(of.offset..of.offset + length), Size::Large).await?.ok_or_else(moved)?;
        let (found, section_len) = (bytes.clone(), of.len);
        let checked = move || {
            if Checksum::of([found.as_ref()]) != checksum {
                return Err("its checksum is wrong".to_owned());
            }
            SectionTable::read(&found, section_len).map(Arc::new)
        };
        match shore.objects.world.workers.run(checked).await {
            Ok(table) if whole => Ok(Kept::Section(Section { table, bytes })),
            Ok(table) => Ok(Kept::Table(table)),
            Err(reason) => {
                // Damaged, or another object under its name (rule 14)?
                let header = read_header(&shore, of.lane, of.number).await;
                if matches!(&header, Ok(None)) || header.as_ref().is_ok_and(|header| header.as_ref().is_some_and(|header| header.commit != of.commit)) {
                    return Err(moved());
                }
                header?;
                shore.objects.metrics.sections_damaged.inc();
                Err(StoreFault::Damaged { key: key.to_string(), reason: format!("a section of it is not what its header says: {reason}") })
            }
        }
    }
}

fn allowed(grant: &Grant, of: &SectionRef) -> Result<(), StoreFault> {
    if *grant.tenant() == of.tenant { Ok(()) } else { Err(StoreFault::Foreign) }
}
