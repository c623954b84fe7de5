//! Writing a lane (rules 4, 5, 6, and 1 and 9 for maps).
//!
//! Parts: [`LaneWriter`]; [`Committed`]. Promises: `put` answers `Ok` only for an object
//! that was created by this very request and whose predecessor was seen to stand afterwards; by then it
//! is in the fold and visible. Every PUT bears a new commit id and is sent once; this hub has no other in
//! flight in the lane. Must not do: judge batches; the caller judged them on [`LaneWriter::fold`], and `put`
//! builds on exactly that fold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_model::{LaneId, ProducerId, Sequence};

use super::{Known, LaneCell, Shore, look};
use crate::fault::{PutFault, StoreFault};
use crate::fold::Fold;
use crate::head::Frozen;
use crate::header::{CommitId, LaneHeader};
use crate::keys::Key;
use crate::limits::{AMEND_TRIES, AMEND_WAIT_MS, OBJECT_SLACK_BYTES};
use crate::object::Create;
use crate::record::LaneRecord;
use crate::section::{self, Draft, Origin, SectionDraft};
use crate::store::{OwnTurn, Store};

/// An object that stands, durable and visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its number.
    pub number: u64,
    /// Its commit id.
    pub commit: CommitId,
}

/// A writer of one lane. Several may live; what one of them writes, the others follow before they write.
#[derive(Debug)]
pub struct LaneWriter {
    store: Arc<Store>,
    cell: Arc<LaneCell>,
    known: Known,
    /// Of the writer of this hub's own lane.
    _own: Option<OwnTurn>,
}

impl LaneWriter {
    pub(crate) async fn open(store: Arc<Store>, cell: Arc<LaneCell>, own: Option<OwnTurn>) -> Result<Self, StoreFault> {
        let mut writer = Self { _own: own, ..Self::unread(store, cell) };
        writer.follow().await?;
        Ok(writer)
    }

    /// One that has to follow before it can write.
    pub(crate) fn unread(store: Arc<Store>, cell: Arc<LaneCell>) -> Self {
        let nothing = Known { fold: Arc::new(Fold::genesis(cell.lane, cell.genesis)), generation: 0 };
        Self { store, cell, known: nothing, _own: None }
    }

    /// The lane.
    #[must_use]
    pub fn lane(&self) -> LaneId {
        self.cell.lane
    }

    /// The fold on which the next `put` builds; changes by `put`, `refresh`, `follow` and `restart` only.
    #[must_use]
    pub fn fold(&self) -> &Fold {
        &self.known.fold
    }

    /// Takes in what this hub learned of the lane since, by amendments, other writers or following, without a request:
    /// to be called before judging, or what an amendment has just opened is not found.
    pub fn refresh(&mut self) {
        if let Some(known) = self.cell.known() {
            self.known = known;
        }
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

    /// Judges the lane read to its end and writes what that gives, until it stands or there is nothing to do (rules 5, 6).
    pub(crate) async fn amend(mut self, mut judge: impl FnMut(&Fold) -> Result<Option<Draft>, StoreFault>) -> Result<Arc<Fold>, StoreFault> {
        let cell = Arc::clone(&self.cell);
        // Held from the reading on, so that a busy writer of this hub does not win each time.
        let _turn = cell.turn.lock().await;
        let mut last = None;
        let mut map_least = 0;
        for attempt in 0..AMEND_TRIES {
            if attempt > 0 {
                let wait = self.shore().objects.entropy().below(AMEND_WAIT_MS << attempt.min(4));
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            self.follow().await?;
            self.not_frozen()?;
            let Some(mut draft) = judge(self.fold())? else { return Ok(self.known.fold) };
            if draft.sections.is_empty() {
                // The map matters to sections alone.
                draft.map_version = draft.map_version.max(self.fold().map_version()).max(map_least);
            }
            let fault = match self.put_in_turn(draft).await {
                Ok(_) => return Ok(self.known.fold),
                Err(PutFault::Lost) => continue,
                Err(PutFault::NotWritten(fault)) => fault,
            };
            if let StoreFault::OldMap { newest, .. } = fault
                && newest > map_least
            {
                map_least = newest;
            } else if !fault.is_conflict() && !fault.is_transient() {
                return Err(fault);
            }
            last = Some(fault);
        }
        let lane = self.cell.lane;
        Err(last.unwrap_or_else(|| StoreFault::LaneUnreadable { lane, reason: "it moved on each time it was written to".to_owned() }))
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
        let cell = Arc::clone(&self.cell);
        let _turn = cell.turn.lock().await;
        self.put_in_turn(draft).await
    }

    /// As [`Self::put`], for who holds the turn.
    async fn put_in_turn(&mut self, draft: Draft) -> Result<Committed, PutFault> {
        self.still_current()?;
        let (header, parts) = self.build(draft).await.map_err(PutFault::NotWritten)?;
        let Committed { number, commit } = Committed { number: header.number, commit: header.commit };
        let answer = self.shore().objects.create(&Key::lane_object(self.cell.lane, number), parts).await;
        let answer = if cfg!(planted = "retry_at_another_number") { answer.or(Ok(Create::Created)) } else { answer };
        match answer.map_err(PutFault::NotWritten)? {
            Create::Created => {}
            Create::Exists if cfg!(planted = "conflict_is_created") => {}
            Create::Exists => return Err(PutFault::NotWritten(StoreFault::Taken { lane: self.cell.lane, number })),
        }
        if !cfg!(planted = "lane_rule_6") && !look(self.shore(), self.cell.lane, number - 1, header.previous).await.map_err(PutFault::NotWritten)? {
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
        self.not_frozen().map_err(PutFault::NotWritten)?;
        let known = self.cell.known().filter(|known| known.generation == self.known.generation).ok_or(PutFault::Lost)?;
        if known.fold.head() == self.known.fold.head() {
            Ok(())
        } else {
            // A follower or another writer of this hub met an object:  the create would be refused.
            Err(PutFault::NotWritten(StoreFault::Taken { lane, number: self.known.fold.head() + 1 }))
        }
    }

    fn not_frozen(&self) -> Result<(), StoreFault> {
        let frozen = |frozen: Frozen| Err(StoreFault::Frozen { lane: self.cell.lane, number: frozen.number, reason: frozen.reason });
        self.cell.frozen().map_or(Ok(()), frozen)
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
        if self.store.own_lane() == Some(self.cell.lane) && fold.owner() != self.store.writer_name() {
            draft.records.push(LaneRecord::Owner(self.store.writer_name().to_owned()));
        }
        let in_force = draft.records.iter().fold(fold.map_version(), |newest, record| match record {
            LaneRecord::Map(version) => newest.max(*version),
            LaneRecord::Open { .. } | LaneRecord::Advance { .. } | LaneRecord::Close { .. } | LaneRecord::Quarantine { .. } => newest,
            LaneRecord::Loss { .. } | LaneRecord::PushKey { .. } | LaneRecord::Floor(_) | LaneRecord::Owner(_) | LaneRecord::Manifest { .. } => newest,
        });
        if cfg!(planted = "old_map") {
            draft.map_version = in_force;
        }
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
