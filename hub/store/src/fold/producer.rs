//! What a fold knows of one producer.
//!
//! Parts: [`ProducerState`]; [`SourceKey`]. Limits: 64 digests, 4,096 sources; a source reported gone is
//! forgotten 7 days later, the longest unheard one when there are too many. A closed producer keeps where it
//! stood, who follows it and whether it was quarantined for ever, the rest for 24 h. Must not do: judge batches.

use std::collections::{BTreeMap, VecDeque};

use proto_model::{BatchDigest, Chain, Epoch, ProducerId, Sequence, Timestamp};
use proto_wire::edge_hub::Position;

use crate::limits::{CLOSED_KEPT, DIGESTS_KEPT, GONE_KEPT, SOURCES_MAX};

/// One producer of a lane.
#[derive(Debug, Clone, PartialEq)]
pub struct ProducerState {
    /// Whom it belongs to: `cluster/edge`; empty when the object that said so was skipped (lane rule 20).
    pub identity: String,
    /// Newest epoch allotted.
    pub epoch: Epoch,
    /// Nonce of the edge process that opened it last.
    pub nonce: [u8; 16],
    /// The edge's WAL.
    pub wal_id: u64,
    /// The edge's name for it in that WAL.
    pub track: u32,
    /// The closed producer that it went on for; `None`: it began at 0.
    pub after: Option<ProducerId>,
    /// Newest durable sequence.
    pub last: Sequence,
    /// The chain there.
    pub chain: Chain,
    /// How far each source is durable.
    pub positions: BTreeMap<SourceKey, Position>,
    /// Who goes on in its place, once it is closed; itself: nobody does, for ever.
    pub closed: Option<ProducerId>,
    /// Whether nothing of it is taken any more.
    pub quarantined: bool,
    /// Why, then.
    pub quarantine_reason: String,
    /// An object that may have spoken of it was skipped, and nothing was heard of it since: it may stand further on.
    pub(super) torn: bool,
    /// When it was closed, by the header that says so.
    pub(super) closed_at: Option<Timestamp>,
    /// The newest are kept, ascending.
    pub(super) digests: VecDeque<(Sequence, BatchDigest)>,
    pub(super) notes: BTreeMap<SourceKey, SourceNote>,
}

/// What names a source: device and inode, or its path where it has neither.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceKey {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Empty for files, which may be renamed.
    pub path: String,
}

impl SourceKey {
    /// The name of the source of `position`.
    #[must_use]
    pub fn of(position: &Position) -> Self {
        let path = if position.inode == 0 { position.path.clone() } else { String::new() };
        Self { device: position.device, inode: position.inode, path }
    }
}

/// When a source was last heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SourceNote {
    /// The lane number that last reported it.
    pub(super) number: u64,
    /// When it was reported gone.
    pub(super) gone: Option<Timestamp>,
}

impl ProducerState {
    /// A producer opened for the first time.
    pub(super) fn opened(identity: String, after: Option<ProducerId>) -> Self {
        Self {
            identity,
            epoch: Epoch(0),
            nonce: [0; 16],
            wal_id: 0,
            track: 0,
            after,
            last: Sequence(0),
            chain: Chain::default(),
            positions: BTreeMap::new(),
            closed: None,
            closed_at: None,
            torn: false,
            quarantined: false,
            quarantine_reason: String::new(),
            digests: VecDeque::new(),
            notes: BTreeMap::new(),
        }
    }

    /// D of the batch `sequence`, while it is kept.
    #[must_use]
    pub fn digest_of(&self, sequence: Sequence) -> Option<BatchDigest> {
        let at = self.digests.binary_search_by_key(&sequence, |(kept, _)| *kept).ok()?;
        self.digests.get(at).map(|(_, digest)| *digest)
    }

    /// D of the newest batches that are kept, ascending by sequence; numbers of gaps are left out.
    pub fn digests(&self) -> impl Iterator<Item = (Sequence, BatchDigest)> {
        self.digests.iter().copied()
    }

    /// Moves on to `to`; `digests` are of the newest sequences up to it.
    pub(super) fn advance(&mut self, to: Sequence, chain: Chain, digests: &[BatchDigest]) {
        let first = to.0.saturating_sub(digests.len() as u64).saturating_add(1);
        self.digests.extend((first..).map(Sequence).zip(digests.iter().copied()));
        while self.digests.len() > DIGESTS_KEPT {
            self.digests.pop_front();
        }
        self.last = to;
        self.chain = chain;
    }

    /// Takes in positions reported by lane object `number`, written at `now`.
    pub(super) fn place(&mut self, positions: &[Position], number: u64, now: Timestamp) {
        for position in positions {
            let key = SourceKey::of(position);
            let before = self.notes.get(&key).and_then(|note| note.gone);
            let gone = position.gone.then(|| before.unwrap_or(now));
            self.notes.insert(key.clone(), SourceNote { number, gone });
            if !cfg!(planted = "positions_forgotten") {
                self.positions.insert(key, position.clone());
            }
        }
        let long_gone = |note: &SourceNote| note.gone.is_some_and(|gone| now.since(gone) > GONE_KEPT);
        self.forget(long_gone);
        while self.positions.len() > SOURCES_MAX {
            // Those that are gone go first, then those unheard for longest.
            let Some(oldest) = self.notes.iter().min_by_key(|(_, note)| (note.gone.is_none(), note.number)).map(|(key, _)| key.clone()) else { break };
            self.notes.remove(&oldest);
            self.positions.remove(&oldest);
        }
    }

    /// It has ended, by an object written at `now`.
    pub(super) const fn close(&mut self, next: ProducerId, now: Timestamp) {
        self.closed = Some(next);
        self.closed_at = Some(now);
    }

    /// Another ended in this one: of sources that only that one knew, what it knew stays known; of those where one of
    /// the two went on behind the other, both are one.
    pub(super) fn inherit(&mut self, ended: &Self) {
        if self.closed.is_some() || self.identity != ended.identity {
            return;
        }
        for (key, position) in &ended.positions {
            if let Some(own) = self.positions.get_mut(key).filter(|own| own.generation == position.generation) {
                if own.offset <= position.from {
                    // A later track that a new WAL ends in this one.
                    let missing = own.missing.saturating_add(position.from - own.offset);
                    *own = Position { from: own.from, missing, ..position.clone() };
                } else if own.from <= position.offset {
                    own.from = own.from.min(position.from);
                }
            }
            if self.positions.len() < SOURCES_MAX && !self.positions.contains_key(key) {
                // Of a later track: what lies before that one's part was this one's, and is nowhere.
                let before = if ended.track > self.track { position.from } else { 0 };
                let inherited = Position { from: position.from - before, missing: position.missing.saturating_add(before), ..position.clone() };
                self.positions.insert(key.clone(), inherited);
                self.notes.extend(ended.notes.get(key).map(|note| (key.clone(), *note)));
            }
        }
    }

    /// Whether it is closed but still holds what whoever opens the next one needs.
    pub(super) fn lingers(&self) -> bool {
        self.closed.is_some() && !(self.digests.is_empty() && self.positions.is_empty())
    }

    /// Whether it was closed so long before `now` that nobody needs more of it than where it stood.
    pub(super) fn is_settled(&self, now: Timestamp) -> bool {
        self.closed_at.is_some_and(|closed| now.since(closed) > CLOSED_KEPT)
    }

    /// Keeps only where it stood and who follows it.
    pub(super) fn settle(&mut self) {
        self.digests.clear();
        self.positions.clear();
        self.notes.clear();
    }

    fn forget(&mut self, which: impl Fn(&SourceNote) -> bool) {
        let positions = &mut self.positions;
        self.notes.retain(|key, note| {
            let keep = !which(note);
            if !keep {
                positions.remove(key);
            }
            keep
        });
    }
}
