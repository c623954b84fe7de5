//! What a query answers: lines by stream, or samples by series, and what it took.
//!
//! Parts: [`LogAnswer`] with [`AnsweredStream`] and [`AnsweredEntry`], [`MergedStream`] (the same with
//! all labels of an entry in its stream), [`MatrixAnswer`], [`VectorAnswer`], [`Stats`]. Promises: streams
//! and series ascend by labels, entries lie in the asked direction. Must not do: print JSON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto_model::{Labels, Timestamp};

use crate::page::Cursor;

/// Name and value pairs, ascending by name; values may be empty.
pub type Pairs = Vec<(String, String)>;

/// The answer to a log query.
#[derive(Debug, Clone, Default)]
pub struct LogAnswer {
    /// By index labels: as Loki answers with `categorize-labels`.
    pub streams: Vec<AnsweredStream>,
    /// What it took.
    pub stats: Stats,
    /// What the caller should know beside the answer.
    pub warnings: Vec<String>,
    /// Where the next page begins; only in answers to requests for a page, `None` on the last.
    pub cursor: Option<Cursor>,
}

/// Lines that share their index labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredStream {
    /// The index labels that the pipeline left in place.
    pub labels: Arc<Labels>,
    /// In the asked direction.
    pub entries: Vec<AnsweredEntry>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredEntry {
    /// When it was written.
    pub time: Timestamp,
    /// What the pipeline made of it; bytes that are not UTF-8 became U+FFFD.
    pub line: String,
    /// Structured metadata, `detected_level` included.
    pub metadata: Pairs,
    /// Labels that stages made, `__error__` included.
    pub parsed: Pairs,
}

/// Lines that share all their labels: as Loki answers without `categorize-labels`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedStream {
    /// Index labels, metadata and parsed labels together.
    pub labels: Pairs,
    /// In the asked direction.
    pub entries: Vec<AnsweredEntry>,
}

/// The answer to a metric query over a range.
#[derive(Debug, Clone, Default)]
pub struct MatrixAnswer {
    /// Ascending by labels.
    pub series: Vec<Series>,
    /// What it took.
    pub stats: Stats,
    /// What the caller should know beside the answer.
    pub warnings: Vec<String>,
}

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Ascending by time.
    pub points: Vec<(Timestamp, f64)>,
}

/// The answer to a metric query at one point.
#[derive(Debug, Clone)]
pub struct VectorAnswer {
    /// The value or values.
    pub value: InstantValue,
    /// What it took.
    pub stats: Stats,
    /// What the caller should know beside the answer.
    pub warnings: Vec<String>,
}

/// What an instant query gives.
#[derive(Debug, Clone, PartialEq)]
pub enum InstantValue {
    /// A number.
    Scalar(Timestamp, f64),
    /// Ascending by labels, unless the query sorts.
    Vector(Vec<InstantSample>),
}

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct InstantSample {
    /// Its labels.
    pub labels: Labels,
    /// When.
    pub time: Timestamp,
    /// How much.
    pub value: f64,
}

/// What a query took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Bytes of lines that were unpacked and looked at.
    pub bytes: u64,
    /// Lines that were unpacked and looked at.
    pub lines: u64,
    /// Of these, the lines that passed the whole pipeline.
    pub lines_kept: u64,
    /// Bytes of structured metadata of lines that were looked at.
    pub metadata_bytes: u64,
    /// Entries answered.
    pub entries: u64,
    /// Lines counted by tables, footers or times, without being read.
    pub lines_counted: u64,
    /// Sections whose lines were read.
    pub sections: u64,
    /// Blocks of segments whose lines were read.
    pub blocks: u64,
    /// Sections, segments and blocks that could be left out by labels, time or limit.
    pub chunks_skipped: u64,
    /// The most memory that entries, samples and points took at once, in bytes.
    pub memory_bytes: u64,
    /// Time of worker threads spent on lines, all together.
    pub work_time: Duration,
    /// Time spent waiting for a turn.
    pub queue_time: Duration,
    /// Time spent on the answer.
    pub exec_time: Duration,
}

impl Stats {
    /// Adds what a part of the query took (not its times).
    pub(crate) fn add(&mut self, part: &Self) {
        self.bytes += part.bytes;
        self.lines += part.lines;
        self.lines_kept += part.lines_kept;
        self.metadata_bytes += part.metadata_bytes;
        self.entries += part.entries;
        self.lines_counted += part.lines_counted;
        self.sections += part.sections;
        self.blocks += part.blocks;
        self.chunks_skipped += part.chunks_skipped;
    }
}

impl LogAnswer {
    /// The same lines by all their labels, as Loki answers when `categorize-labels` was not asked for.
    /// Where names clash the parsed label counts, then the index label, then metadata.
    #[must_use]
    pub fn merged(self) -> Vec<MergedStream> {
        let mut streams: BTreeMap<Pairs, Vec<AnsweredEntry>> = BTreeMap::new();
        for stream in self.streams {
            for entry in stream.entries {
                streams.entry(all_labels(&stream.labels, &entry)).or_default().push(entry);
            }
        }
        streams.into_iter().map(|(labels, entries)| MergedStream { labels, entries }).collect()
    }
}

fn all_labels(labels: &Labels, entry: &AnsweredEntry) -> Pairs {
    let owned = |(name, value): &(String, String)| (name.clone(), value.clone());
    let mut all: BTreeMap<String, String> = entry.metadata.iter().map(owned).collect();
    all.extend(labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    all.extend(entry.parsed.iter().map(owned));
    all.into_iter().collect()
}
