//! What stands above the floor: for each number its commit id and its sections.
//!
//! Parts: [`Commit`]; [`Log`], cheap to clone (pieces of [`LOG_PIECE`] numbers are shared), so that a
//! view of it can be held while it grows. Promises: numbers are dense from floor + 1 to the head. Must
//! not do: hold anything about producers.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto_model::TenantId;

use crate::header::{CommitId, SectionEntry};
use crate::limits::LOG_PIECE;

/// One lane object above the floor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its number.
    pub number: u64,
    /// The commit id it bears.
    pub commit: CommitId,
    /// Its sections, ascending by tenant.
    pub sections: Vec<SectionEntry>,
}

impl Commit {
    /// The section of `tenant`, if it has one.
    #[must_use]
    pub fn section(&self, tenant: &TenantId) -> Option<&SectionEntry> {
        let at = self.sections.binary_search_by(|entry| entry.tenant.cmp(tenant)).ok()?;
        self.sections.get(at)
    }

    fn bytes(&self) -> u64 {
        self.sections.iter().map(|entry| entry.length).sum()
    }
}

/// All lane objects above the floor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Log {
    /// By number / [`LOG_PIECE`].
    pieces: BTreeMap<u64, Arc<Vec<Arc<Commit>>>>,
    /// Of all sections.
    bytes: u64,
}

impl Log {
    /// Nothing.
    pub(crate) const fn new() -> Self {
        Self { pieces: BTreeMap::new(), bytes: 0 }
    }

    /// Bytes of all sections.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds the object after the newest.
    pub(crate) fn push(&mut self, commit: Commit) {
        self.bytes = self.bytes.saturating_add(commit.bytes());
        let piece = self.pieces.entry(commit.number / LOG_PIECE).or_default();
        Arc::make_mut(piece).push(Arc::new(commit));
    }

    /// The object `number`, if it is above the floor.
    pub(crate) fn commit(&self, number: u64) -> Option<&Commit> {
        let piece = self.pieces.get(&(number / LOG_PIECE))?;
        let at = piece.binary_search_by_key(&number, |commit| commit.number).ok()?;
        piece.get(at).map(Arc::as_ref)
    }

    /// All objects, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Commit> {
        self.pieces.values().flat_map(|piece| piece.iter().map(Arc::as_ref))
    }

    /// All objects above `number`, ascending.
    pub(crate) fn iter_after(&self, number: u64) -> impl Iterator<Item = &Commit> {
        let from = number.saturating_add(1);
        self.pieces.range(from / LOG_PIECE..).flat_map(|(_, piece)| piece.iter().map(Arc::as_ref)).skip_while(move |commit| commit.number < from)
    }

    /// Takes out all up to `floor` and gives them, ascending.
    pub(crate) fn cut(&mut self, floor: u64) -> Vec<Arc<Commit>> {
        let mut gone = Vec::new();
        while let Some(mut entry) = self.pieces.first_entry() {
            let piece = Arc::make_mut(entry.get_mut());
            let keep_from = piece.partition_point(|commit| commit.number <= floor);
            gone.extend(piece.drain(..keep_from));
            if !piece.is_empty() {
                break;
            }
            entry.remove();
        }
        self.bytes = self.bytes.saturating_sub(gone.iter().map(|commit| commit.bytes()).sum());
        gone
    }
}
