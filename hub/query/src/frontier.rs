//! What a log query looks at next: the newest (or oldest) there is first, so that a limit is filled early.
//!
//! Parts: [`Look`] (a piece to be opened, or a part to be scanned), [`Frontier`] (those not yet begun, by the time
//! of their first line in the asked direction). Promises: what is given rises in that order; ties are broken by
//! arrival, so that a query repeats. Must not do: fetch.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use proto_model::Timestamp;

use crate::merge::{Cut, Place};
use crate::request::Direction;
use crate::source::{Part, Piece};

/// Something to be looked at.
#[derive(Debug)]
pub(crate) enum Look {
    /// Its table or footer says what of it is chosen.
    Open(Arc<Piece>),
    /// Its lines are read.
    Scan(Part),
}

/// Smaller is looked at earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Forward(Timestamp, Place, usize, usize),
    Backward(Reverse<(Timestamp, Place, usize, usize)>),
}

/// All that is not begun yet.
#[derive(Debug)]
pub(crate) struct Frontier {
    direction: Direction,
    waiting: BTreeMap<Turn, Look>,
}

impl Look {
    fn bounds(&self) -> (Timestamp, Timestamp) {
        match self {
            Self::Open(piece) => piece.bounds(),
            Self::Scan(part) => (part.min, part.max),
        }
    }

    /// Place, tenant, and batch from 1; 0 for a piece that is not opened.
    fn order(&self) -> (Place, usize, usize) {
        match self {
            Self::Open(piece) => (piece.place(), piece.grant, 0),
            Self::Scan(part) => (part.piece.place(), part.piece.grant, part.chosen.first().map_or(1, |batch| batch.at + 1)),
        }
    }
}

impl Frontier {
    pub(crate) const fn new(direction: Direction) -> Self {
        Self { direction, waiting: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, look: Look) {
        let ((min, max), (place, tenant, batch)) = (look.bounds(), look.order());
        let turn = match self.direction {
            Direction::Forward => Turn::Forward(min, place, tenant, batch),
            Direction::Backward => Turn::Backward(Reverse((max, place, tenant, batch))),
        };
        self.waiting.insert(turn, look);
    }

    /// The next that may hold a wanted line. Where it may not, neither may any after it: all are given up, and
    /// their number is added to `skipped`.
    pub(crate) fn next(&mut self, cut: &Cut, skipped: &mut u64) -> Option<Look> {
        let (_, look) = self.waiting.pop_first()?;
        let (min, max) = look.bounds();
        if cut.wants(min, max) {
            return Some(look);
        }
        *skipped += 1 + self.waiting.len() as u64;
        self.waiting.clear();
        None
    }
}

#[cfg(test)]
mod tests;
