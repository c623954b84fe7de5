//! What one source's run remembers between lines, and what its stages may touch.
//!
//! Parts: [`State`], [`Ready`] (a record that a stage lets go, to be sent through the stages behind it),
//! [`Tally`] (counters by number). Limits: what is held back stays below `LINE_BYTES_MAX` bytes; blocks are
//! sent early to make room, the oldest first. Must not do: send anything itself; the run does.

use std::sync::Arc;

use proto_extract::gotime::RecentMinute;
use proto_model::{Labels, Timestamp};

use crate::counters::Counters;
use crate::draft::Slots;
use crate::label_sets::LabelSets;
use crate::limits::LINE_BYTES_MAX;
use crate::partials::{Bounds, Partial, Partials, Piece};
use crate::program::Program;
use crate::stages::multiline::Blocks;
use crate::stages::regex::Matched;
use crate::stages::sampling::Sampler;
use crate::stages::timestamp::GoodTimes;

/// The state of one source.
pub(crate) struct State {
    /// When the line under way was read.
    pub(crate) now: Timestamp,
    pub(crate) sets: LabelSets,
    /// Of the times that a runtime wrote before the lines.
    pub(crate) minute: RecentMinute,
    /// Per `cri` and `docker` stage.
    pub(crate) partials: Vec<Partials>,
    /// Per `multiline` stage.
    pub(crate) blocks: Vec<Blocks>,
    /// Per `timestamp` stage that fudges.
    pub(crate) good_times: Vec<GoodTimes>,
    /// Per regular expression with groups.
    pub(crate) matched: Vec<Matched>,
    /// Per `sampling` stage.
    pub(crate) samplers: Vec<Sampler>,
    /// Records let go, to be sent before the line under way goes on.
    pub(crate) ready: Vec<Ready>,
    /// Bytes of all partial lines and blocks.
    pub(crate) held: usize,
    pub(crate) tally: Tally,
}

/// A record that was held back and goes on now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ready {
    /// The stage it goes on at.
    pub(crate) next: usize,
    pub(crate) time: Timestamp,
    pub(crate) labels: Arc<Labels>,
    pub(crate) text: Vec<u8>,
    pub(crate) metadata: Vec<(String, String)>,
    pub(crate) values: Values,
}

/// Where the extracted values of a [`Ready`] come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Values {
    /// Kept with it.
    Kept(Slots),
    /// Made anew from the labels and from what the holding stage knows of this stream.
    Stream(Vec<u8>),
}

impl State {
    pub(crate) fn new(program: &Program, labels: Arc<Labels>) -> Self {
        let samplers = (0..program.samplers).map(|index| Sampler::new(program.seed, index, &labels)).collect();
        Self {
            now: Timestamp::default(),
            samplers,
            sets: LabelSets::new(labels),
            minute: RecentMinute::default(),
            partials: program.partial_stages().map(|next| Partials { next, held: Vec::new() }).collect(),
            blocks: program.block_stages().map(Blocks::new).collect(),
            good_times: (0..program.time_stages).map(|_| GoodTimes::default()).collect(),
            matched: program.expressions.iter().map(Matched::new).collect(),
            ready: Vec::new(),
            held: 0,
            tally: Tally::new(program.reasons.len()),
        }
    }

    /// Bytes that may be held in addition, after blocks were let go so that, if possible, `need` fit.
    pub(crate) fn room(&mut self, need: usize) -> usize {
        while self.held + need > LINE_BYTES_MAX && self.release_oldest_block(None) {}
        LINE_BYTES_MAX.saturating_sub(self.held)
    }

    /// Lets the block go that waits longest, but for `spared` (stage, block). False when there is none.
    pub(crate) fn release_oldest_block(&mut self, spared: Option<(usize, usize)>) -> bool {
        let candidates =
            self.blocks.iter().enumerate().flat_map(|(stage, blocks)| blocks.streams.iter().enumerate().map(move |(n, block)| ((stage, n), block)));
        let oldest = candidates.filter(|(at, block)| block.lines > 0 && Some(*at) != spared).min_by_key(|(_, block)| block.last);
        let Some(((stage, n), _)) = oldest else { return false };
        self.blocks[stage].release(n, &mut self.held, &mut self.ready);
        true
    }

    /// Holds a piece of a line in partial stage `stage`.
    pub(crate) fn hold(&mut self, stage: usize, bounds: &Bounds, piece: &Piece<'_>) {
        let partials = &mut self.partials[stage];
        let kept = partials.find(piece.stream).map(|partial| partial.text.len());
        if kept.is_none() && partials.held.len() >= bounds.streams_max {
            let next = partials.next;
            if let Some(oldest) = partials.oldest() {
                self.release_partial(next, oldest);
            }
        }
        let left = bounds.longest.saturating_sub(kept.unwrap_or(0));
        let room = self.room(piece.text.len().min(left)).min(left);
        self.held += self.partials[stage].add(piece, self.now, room);
    }

    /// The pieces of `stream` with the last one, `None` when there were none before it.
    pub(crate) fn complete(&mut self, stage: usize, bounds: &Bounds, stream: &[u8], last: &[u8]) -> Option<Vec<u8>> {
        let joined = self.partials[stage].complete(stream, last, bounds.longest)?;
        self.held -= joined.freed;
        self.tally.truncated += u64::from(joined.is_cut);
        Some(joined.text)
    }

    /// Lets a partial line go without its end.
    pub(crate) fn release_partial(&mut self, next: usize, partial: Partial) {
        let (time, labels, stream) = (partial.time, Arc::clone(&partial.labels), partial.stream.clone());
        let held = partial.text.len();
        let joined = partial.joined(held);
        self.held -= joined.freed;
        self.tally.unfinished += 1;
        self.tally.truncated += u64::from(joined.is_cut);
        self.ready.push(Ready { next, time, labels, text: joined.text, metadata: Vec::new(), values: Values::Stream(stream) });
    }

    /// The times that held lines wait from.
    pub(crate) fn each_wait(&mut self, mut act: impl FnMut(&mut Timestamp)) {
        let partials = self.partials.iter_mut().flat_map(|stage| &mut stage.held).map(|partial| &mut partial.since);
        let blocks = self.blocks.iter_mut().flat_map(|stage| &mut stage.streams).map(|block| &mut block.last);
        partials.chain(blocks).for_each(&mut act);
    }

    /// What [`Self::held`] must be.
    pub(crate) fn held_bytes(&self) -> usize {
        let partials: usize = self.partials.iter().flat_map(|p| &p.held).map(|p| p.text.len()).sum();
        let blocks: usize = self.blocks.iter().flat_map(|b| &b.streams).map(crate::stages::multiline::Block::cost).sum();
        partials + blocks
    }
}

/// The stages that can fail to read a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    Cri,
    Docker,
    Json,
    Logfmt,
    Labels,
    Timestamp,
    Replace,
    Template,
    Metrics,
    GeoIp,
    EventLogMessage,
}

impl Reader {
    const ALL: [Self; 11] = [
        Self::Cri,
        Self::Docker,
        Self::Json,
        Self::Logfmt,
        Self::Labels,
        Self::Timestamp,
        Self::Replace,
        Self::Template,
        Self::Metrics,
        Self::GeoIp,
        Self::EventLogMessage,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Cri => "cri",
            Self::Docker => "docker",
            Self::Json => "json",
            Self::Logfmt => "logfmt",
            Self::Labels => "labels",
            Self::Timestamp => "timestamp",
            Self::Replace => "replace",
            Self::Template => "template",
            Self::Metrics => "metrics",
            Self::GeoIp => "geoip",
            Self::EventLogMessage => "eventlogmessage",
        }
    }
}

/// Counts since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By number of the program's drop reason.
    pub(crate) dropped: Vec<u64>,
    errors: [u64; Reader::ALL.len()],
    pub(crate) truncated: u64,
    pub(crate) unfinished: u64,
    pub(crate) rehomed: u64,
}

impl Tally {
    fn new(reasons: usize) -> Self {
        Self { dropped: vec![0; reasons], ..Self::default() }
    }

    pub(crate) fn error(&mut self, reader: Reader) {
        self.errors[reader as usize] += 1;
    }

    /// The counts by name; all are zero afterwards.
    pub(crate) fn take(&mut self, reasons: &[String]) -> Counters {
        let taken = std::mem::replace(self, Self::new(reasons.len()));
        let dropped = reasons.iter().cloned().zip(taken.dropped);
        let errors = Reader::ALL.map(Reader::name).into_iter().zip(taken.errors);
        Counters {
            lines_dropped: dropped.filter(|(_, n)| *n > 0).collect(),
            parse_errors: errors.filter(|(_, n)| *n > 0).collect(),
            lines_truncated: taken.truncated,
            partials_unfinished: taken.unfinished,
            lines_rehomed: taken.rehomed,
        }
    }
}
