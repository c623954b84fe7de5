//! Where rows come from: the sections of lanes and the segments of manifests, opened, and what one scan takes.
//!
//! Parts: [`Piece`] (a section or a segment that may hold lines of the query, and whose it is), [`Part`] (the
//! chosen rows of one section, or of one block of a segment), [`Lines`] (their bytes), [`Needs`]
//! (how much of them). Promises: a part knows the
//! earliest and latest line it can give. Must not do: fetch.

use std::sync::Arc;

use hub_segment::{Block, Footer, Outline};
use hub_store::{Section, SectionRef, SegmentRef};
use proto_model::Timestamp;

use crate::deletion::Deletion;
use crate::merge::Place;
use crate::plan::{ChosenBatch, Origin, bounds_of, bytes_of};

/// A section or a segment that may hold lines of the query.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Which of the query's grants reads it.
    pub(crate) grant: usize,
    /// The tenant to be named in labels, when the query has several.
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) source: Source,
    /// Deletes that are about it.
    pub(crate) deletions: Vec<Arc<Deletion>>,
}

/// One of the two forms in which a tenant's lines lie in the store.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Not absorbed yet.
    Section(SectionRef),
    /// Absorbed.
    Segment {
        /// Its place in its tenant's manifest.
        rank: usize,
        segment: SegmentRef,
    },
}

/// What one scan reads.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) piece: Arc<Piece>,
    /// Of a segment.
    pub(crate) footer: Option<Arc<Footer>>,
    /// Never empty; of a segment one block.
    pub(crate) chosen: Vec<ChosenBatch>,
    /// Earliest line of the chosen rows.
    pub(crate) min: Timestamp,
    /// Latest line of the chosen rows.
    pub(crate) max: Timestamp,
}

/// The bytes of a part.
#[derive(Debug)]
pub(crate) enum Lines {
    Section(Section),
    Block(Arc<Block>),
    /// All of a block but the lines, and but the metadata where rows are only counted.
    Outline(Arc<Outline>, Needs),
}

/// What of rows a sink must see: less is unpacked for less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Times and lengths.
    Counts,
    /// Labels and metadata too.
    Rows,
    /// All.
    Lines,
}

impl Piece {
    /// What its rows are judged by.
    pub(crate) fn origin(&self) -> Origin<'_> {
        Origin { tenant: self.tenant.as_deref(), deletions: &self.deletions }
    }

    /// Earliest and latest line.
    pub(crate) const fn bounds(&self) -> (Timestamp, Timestamp) {
        match &self.source {
            Source::Section(section) => (section.min, section.max),
            Source::Segment { segment, .. } => (segment.facts.min, segment.facts.max),
        }
    }

    /// Where its lines stand among those of equal time.
    pub(crate) const fn place(&self) -> Place {
        match &self.source {
            Source::Section(section) => Place::Section(section.lane, section.number),
            Source::Segment { rank, .. } => Place::Segment(*rank),
        }
    }

    /// Its name in texts for people.
    pub(crate) fn name(&self) -> String {
        match &self.source {
            Source::Section(section) => format!("a batch of lane {}, number {}", section.lane, section.number),
            Source::Segment { segment, .. } => format!("a block of segment {}", segment.id),
        }
    }
}

impl Part {
    /// The part with these rows of `piece`; `None` when there are none.
    pub(crate) fn of(piece: &Arc<Piece>, footer: Option<Arc<Footer>>, chosen: Vec<ChosenBatch>) -> Option<Self> {
        let (min, max) = bounds_of(&chosen)?;
        Some(Self { piece: Arc::clone(piece), footer, chosen, min, max })
    }

    /// Sum of the lengths of its lines, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        bytes_of(&self.chosen)
    }
}
