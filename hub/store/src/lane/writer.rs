//! Writing a lane (rules 4, 5, 6, and 1 and 9 for maps).
//!
//! Parts: [`LaneWriter`], one per process; [`Committed`]. Promises: `put` answers `Ok` only for an object
//! that was created by this very request and whose predecessor was seen to stand afterwards; by then it
//! is in the fold and visible. Every PUT bears a new commit id and is sent once. Must not do: judge
//! batches; the caller judged them on [`LaneWriter::fold`], and `put` builds on exactly that fold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proto_model::{LaneId, ProducerId, Sequence};

use super::{Known, LaneCell, Shore, look};
use crate::fault::{PutFault, StoreFault};
use crate::fold::Fold;
use crate::header::{CommitId, LaneHeader};
use crate::keys::Key;
use crate::limits::OBJECT_SLACK_BYTES;
use crate::object::Create;
use crate::record::LaneRecord;
use crate::section::{self, Draft, Origin, SectionDraft};
use crate::store::{Store, WriterTurn};

/// An object that stands, durable and visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its number.
    pub number: u64,
    /// Its commit id.
    pub commit: CommitId,
}

/// The one writer of a process.
#[derive(Debug)]
pub struct LaneWriter {
    store: Arc<Store>,
    cell: Arc<LaneCell>,
    known: Known,
    _turn: WriterTurn,
}

impl LaneWriter {
    pub(crate) async fn open(store: Arc<Store>, cell: Arc<LaneCell>, turn: WriterTurn) -> Result<Self, StoreFault> {
        let nothing = Known { fold: Arc::new(Fold::genesis(cell.lane, cell.genesis)), generation: 0 };
        let mut writer = Self { store, cell, known: nothing, _turn: turn };
        writer.follow().await?;
        Ok(writer)
    }

    /// The lane.
    #[must_use]
    pub fn lane(&self) -> LaneId {
        self.cell.lane
    }

    /// The fold on which the next `put` builds; changes by `put`, `follow` and `restart` only.
    #[must_use]
    pub fn fold(&self) -> &Fold {
        &self.known.fold
    }

    /// Reads the lane to its end (rule 7), so that all can be judged again.
    ///
    /// # Errors
    /// The store's fault: then the fold is what it was.
    pub async fn follow(&mut self) -> Result<(), StoreFault> {
        self.cell.follow(self.shore()).await?;
        // Between the two another follower may have found the lane lost: then it is read again.
        let lane = self.cell.lane;
        let reason = "it is being read anew".to_owned();
        self.known = self.cell.known().ok_or(StoreFault::LaneUnreadable { lane, reason })?;
        Ok(())
    }

    /// Drops the lane's state and reads it anew (rule 11): after [`PutFault::Lost`].
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub async fn restart(&mut self) -> Result<(), StoreFault> {
        self.cell.lose(self.shore(), self.known.generation);
        self.follow().await
    }

    fn shore(&self) -> &Shore {
        self.store.shore()
    }

    /// Writes the next number, built on [`Self::fold`].
    ///
    /// # Errors
    /// [`PutFault`]: nothing of the draft may be acknowledged; follow (or restart), and judge again.
    pub async fn put(&mut self, draft: Draft) -> Result<Committed, PutFault> {
        self.still_current()?;
        let (header, parts) = self.build(draft).await.map_err(PutFault::NotWritten)?;
        let Committed { number, commit } = Committed { number: header.number, commit: header.commit };
        let answer = self.shore().objects.create(&Key::lane_object(self.cell.lane, number), parts).await;
        match answer.map_err(PutFault::NotWritten)? {
            Create::Created => {}
            Create::Exists => return Err(PutFault::NotWritten(StoreFault::Taken { lane: self.cell.lane, number })),
        }
        if !look(self.shore(), self.cell.lane, number - 1, header.previous).await.map_err(PutFault::NotWritten)? {
            // This number was collected while we slept, and created again into the void.
            self.cell.lose(self.shore(), self.known.generation);
            return Err(PutFault::Lost);
        }
        let nothing = Known { fold: Arc::new(Fold::genesis(self.cell.lane, self.cell.genesis)), generation: self.known.generation };
        let held = std::mem::replace(&mut self.known, nothing);
        if !self.cell.enter_own(self.store.shore(), held, &header) {
            return Err(PutFault::Lost);
        }
        self.known = self.cell.known().ok_or(PutFault::Lost)?;
        Ok(Committed { number, commit })
    }

    /// That the fold the caller judged on is still all that is known of the lane.
    fn still_current(&self) -> Result<(), PutFault> {
        let lane = self.cell.lane;
        if let Some(frozen) = self.cell.frozen() {
            return Err(PutFault::NotWritten(StoreFault::Frozen { lane, number: frozen.number, reason: frozen.reason }));
        }
        let known = self.cell.known().filter(|known| known.generation == self.known.generation).ok_or(PutFault::Lost)?;
        if known.fold.head() == self.known.fold.head() {
            Ok(())
        } else {
            // A follower met somebody else's object: the create would be refused.
            Err(PutFault::NotWritten(StoreFault::Taken { lane, number: self.known.fold.head() + 1 }))
        }
    }

    async fn build(&self, mut draft: Draft) -> Result<(LaneHeader, Vec<Bytes>), StoreFault> {
        let limit = self.store.lane_object_max().saturating_add(OBJECT_SLACK_BYTES);
        if draft.bytes() > limit {
            return Err(StoreFault::TooLarge { what: "a lane object in bytes", found: draft.bytes() as u64, limit: limit as u64 });
        }
        let fold = self.fold();
        if fold.head() == 0 {
            // Whoever writes number 1 reads the newest map just before and puts it first (rule 1).
            let newest = self.store.tenant_maps().newest().await?.map_or(0, |map| map.version);
            draft.records.insert(0, LaneRecord::Map(newest));
        }
        let in_force = draft.records.iter().fold(fold.map_version(), |newest, record| match record {
            LaneRecord::Map(version) => newest.max(*version),
            LaneRecord::Open { .. } | LaneRecord::Advance { .. } | LaneRecord::Close { .. } | LaneRecord::Quarantine { .. } => newest,
            LaneRecord::Loss { .. } | LaneRecord::PushKey { .. } | LaneRecord::Floor(_) => newest,
        });
        if draft.map_version < in_force {
            return Err(StoreFault::OldMap { have: draft.map_version, newest: in_force });
        }
        covered(&draft).map_err(|reason| StoreFault::Draft { reason })?;
        let objects = &self.shore().objects;
        let header = LaneHeader {
            lane: self.cell.lane,
            number: fold.head() + 1,
            commit: CommitId(objects.entropy().next_u128().to_be_bytes()),
            previous: fold.head_commit(),
            writer: self.store.writer_name().to_owned(),
            written: objects.moment().wall,
            map_version: draft.map_version,
            records: draft.records,
            sections: Vec::new(),
        };
        fold.check(&header).map_err(|fault| StoreFault::Draft { reason: fault.to_string() })?;
        let (keys, sections) = (self.shore().keys.clone(), draft.sections);
        objects.world.workers.run(move || assemble(header, &sections, &keys)).await
    }
}

fn assemble(mut header: LaneHeader, sections: &[SectionDraft], keys: &crate::mac::StoreKeys) -> Result<(LaneHeader, Vec<Bytes>), StoreFault> {
    let (directory, mut parts) = section::pack(sections)?;
    header.sections = directory;
    parts.insert(0, header.seal(keys)?);
    Ok((header, parts))
}

/// That every batch stands in the draft once, together with the record that makes its repeat known:
/// data and cursor in one object are the only commit point (rule 3).
fn covered(draft: &Draft) -> Result<(), String> {
    let mut advanced: BTreeMap<ProducerId, Vec<(Sequence, Sequence)>> = BTreeMap::new();
    let mut pushed = BTreeSet::new();
    for record in &draft.records {
        if let LaneRecord::Advance { producer, from, to, .. } = record {
            advanced.entry(*producer).or_default().push((*from, *to));
        }
        if let LaneRecord::PushKey { tenant, key, .. } = record {
            pushed.insert((tenant, key));
        }
    }
    let mut seen = BTreeSet::new();
    for section in &draft.sections {
        for batch in &section.batches {
            match &batch.origin {
                Origin::Producer { producer, sequence } => {
                    let covers = |(from, to): &(Sequence, Sequence)| from <= sequence && sequence <= to;
                    if !advanced.get(producer).is_some_and(|ranges| ranges.iter().any(covers)) {
                        return Err(format!("batch {} of {producer} has no advance", sequence.0));
                    }
                    if !seen.insert((*producer, *sequence)) {
                        return Err(format!("batch {} of {producer} stands twice", sequence.0));
                    }
                }
                Origin::Push { key } if !pushed.contains(&(section.grant.tenant(), key)) => return Err("a push has no key record".to_owned()),
                Origin::Push { .. } => {}
            }
        }
    }
    Ok(())
}
