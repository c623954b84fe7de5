//! Pieces of lines that a runtime cut, held until the last one comes; for `cri` and `docker`.
//!
//! Pieces are joined per stream of one source, never per label set: two containers, or stdout and stderr,
//! cannot mix. Parts: [`Partials`] (all of a source, for one stage), [`Partial`] (one line under way),
//! [`Piece`], [`Bounds`], [`Joined`]. Limits: `PARTIAL_STREAMS_MAX` streams; the bytes of all held lines are bounded by the
//! caller, who says how many more may be kept; what is beyond is counted and named in the mark of the cut.
//! Must not do: read a runtime's format.

use std::sync::Arc;

use proto_model::{Labels, Timestamp};

use crate::cut;
use crate::limits::PARTIAL_WAIT_MAX;

/// One line under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partial {
    /// The runtime's name of the stream.
    pub(crate) stream: Vec<u8>,
    /// What is kept of it.
    pub(crate) text: Vec<u8>,
    /// Bytes of all pieces, kept or not.
    pub(crate) total: u64,
    /// When the first piece was read.
    pub(crate) since: Timestamp,
    /// The runtime's time of the newest piece.
    pub(crate) time: Timestamp,
    /// The labels of the newest piece.
    pub(crate) labels: Arc<Labels>,
}

/// A piece that is not the last.
pub(crate) struct Piece<'a> {
    pub(crate) stream: &'a [u8],
    pub(crate) text: &'a [u8],
    pub(crate) time: Timestamp,
    pub(crate) labels: &'a Arc<Labels>,
}

/// What a stage allows.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// Bytes of a joined line, without the mark of a cut.
    pub(crate) longest: usize,
    /// Streams with a line under way.
    pub(crate) streams_max: usize,
}

/// All pieces joined.
pub(crate) struct Joined {
    pub(crate) text: Vec<u8>,
    /// Bytes that were held for it.
    pub(crate) freed: usize,
    /// Whether the middle is missing and the mark stands at the end.
    pub(crate) is_cut: bool,
}

/// The lines under way of one source in one stage, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Partials {
    /// The stage behind the one that holds them.
    pub(crate) next: usize,
    pub(crate) held: Vec<Partial>,
}

impl Partials {
    pub(crate) fn find(&self, stream: &[u8]) -> Option<&Partial> {
        self.held.iter().find(|partial| partial.stream == stream)
    }

    /// Adds a piece, read at `now`, to its line, but no more than `room` bytes; returns the bytes now held in addition.
    pub(crate) fn add(&mut self, piece: &Piece<'_>, now: Timestamp, room: usize) -> usize {
        let at = self.held.iter().position(|partial| partial.stream == piece.stream).unwrap_or_else(|| {
            self.held.push(Partial {
                stream: piece.stream.to_vec(),
                text: Vec::new(),
                total: 0,
                since: now,
                time: piece.time,
                labels: Arc::clone(piece.labels),
            });
            self.held.len() - 1
        });
        let partial = &mut self.held[at];
        partial.time = piece.time;
        if !Arc::ptr_eq(&partial.labels, piece.labels) {
            partial.labels = Arc::clone(piece.labels);
        }
        partial.push(piece.text, room)
    }

    /// Takes the line of `stream`, if one is under way, and adds its last piece, of which the line may hold
    /// `longest` bytes in all.
    pub(crate) fn complete(&mut self, stream: &[u8], last: &[u8], longest: usize) -> Option<Joined> {
        let at = self.held.iter().position(|partial| partial.stream == stream)?;
        let mut partial = self.held.remove(at);
        let freed = partial.text.len();
        partial.push(last, longest.saturating_sub(freed));
        Some(partial.joined(freed))
    }

    /// Takes the oldest line that waits since before `now` - `PARTIAL_WAIT_MAX`.
    pub(crate) fn expired(&mut self, now: Timestamp) -> Option<Partial> {
        let at = self.held.iter().position(|partial| partial.deadline() <= now)?;
        Some(self.held.remove(at))
    }

    /// Takes the oldest line.
    pub(crate) fn oldest(&mut self) -> Option<Partial> {
        (!self.held.is_empty()).then(|| self.held.remove(0))
    }
}

impl Partial {
    /// When it is sent without its end.
    pub(crate) fn deadline(&self) -> Timestamp {
        self.since.plus(PARTIAL_WAIT_MAX)
    }

    /// Appends what fits in `room`; nothing more once something is missing. Returns the bytes appended.
    fn push(&mut self, piece: &[u8], room: usize) -> usize {
        let whole = self.total == self.text.len() as u64;
        self.total = self.total.saturating_add(piece.len() as u64);
        let kept = if whole { piece.len().min(room) } else { 0 };
        self.text.extend_from_slice(&piece[..kept]);
        kept
    }

    /// The line as far as it came.
    pub(crate) fn joined(self, freed: usize) -> Joined {
        let Self { mut text, total, .. } = self;
        let is_cut = total > text.len() as u64;
        if is_cut {
            cut::mark(&mut text, total);
        }
        Joined { text, freed, is_cut }
    }
}

#[cfg(test)]
mod tests;
