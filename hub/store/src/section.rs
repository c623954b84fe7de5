//! A section: one tenant's batches in a lane object, with the hub's own table in front.
//!
//! ```text
//! u32 table length | SectionTable | batch | batch | ...     each batch byte for byte as the edge made it
//! ```
//!
//! Parts: what a writer hands in ([`Draft`], [`SectionDraft`], [`BatchDraft`], [`HubRow`], [`Origin`]);
//! `pack`; what a reader gets ([`SectionTable`], [`BatchEntry`], [`TableRow`], [`Section`]). Label
//! texts and label sets stand once per section. Promises: every offset of a read table lies inside the
//! section. Must not do: look into a batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hub_tenant::Grant;
use prost::Message as _;
use proto_model::labels::LABELS_MAX;
use proto_model::{ClusterId, Labels, ProducerId, Sequence, Timestamp};
use proto_wire::edge_hub::StreamRow;

use crate::fault::StoreFault;
use crate::header::{Checksum, SectionEntry};
use crate::limits::TABLE_LABEL_BYTES_MAX;
use crate::proto;
use crate::record::{LaneRecord, producer_of, push_key_of};

/// Bytes of the table's length field.
const LENGTH_BYTES: usize = 4;

/// What a lane object is to hold.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Changes of the fold, in the order in which they apply.
    pub records: Vec<LaneRecord>,
    /// One per tenant, in any order.
    pub sections: Vec<SectionDraft>,
    /// The tenant map by which the sections were made; 0 while none was published.
    pub map_version: u64,
}

impl Draft {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.sections.is_empty()
    }

    /// Bytes of all bodies: what the size of the object is judged by.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.sections.iter().flat_map(|section| &section.batches).map(|batch| batch.body.len()).sum()
    }
}

/// One tenant's part of a draft.
#[derive(Debug, Clone)]
pub struct SectionDraft {
    /// For whom.
    pub grant: Grant,
    /// Its batches, in the order in which they are to be read.
    pub batches: Vec<BatchDraft>,
}

/// One frozen batch to be stored.
#[derive(Debug, Clone)]
pub struct BatchDraft {
    /// Where it comes from.
    pub origin: Origin,
    /// The cluster that the edge's certificate proves; `None` for a push.
    pub cluster: Option<ClusterId>,
    /// The frozen batch.
    pub body: Bytes,
    /// The hub's row for each row of the table inside the body, in its order.
    pub rows: Vec<HubRow>,
}

/// Where a batch comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// An edge.
    Producer {
        /// Which producer.
        producer: ProducerId,
        /// Its number.
        sequence: Sequence,
    },
    /// A push request.
    Push {
        /// What makes its repeat known.
        key: Vec<u8>,
    },
}

/// The hub's word on one stream of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubRow {
    /// The labels under which the stream is found.
    pub labels: Labels,
    /// Lines.
    pub lines: u64,
    /// Sum of their lengths in bytes.
    pub bytes: u64,
    /// Earliest line.
    pub min: Timestamp,
    /// Latest line.
    pub max: Timestamp,
}

impl HubRow {
    /// A stream of a batch under `labels`, which the hub chose.
    #[must_use]
    pub fn under(labels: Labels, row: &StreamRow) -> Self {
        Self { labels, lines: u64::from(row.lines), bytes: row.bytes, min: Timestamp(row.min_ns), max: Timestamp(row.max_ns) }
    }

    /// The streams of a batch under the labels they were sent with.
    pub fn as_sent(rows: &[StreamRow]) -> Vec<Self> {
        let labels = |row: &StreamRow| Labels::from_pairs(row.labels.iter().map(|pair| (pair.name.clone(), pair.value.clone())));
        rows.iter().map(|row| Self::under(labels(row), row)).collect()
    }
}

/// The table of a section, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionTable {
    /// Its batches, in order.
    pub batches: Vec<BatchEntry>,
    /// Rough bytes of memory it takes.
    cost: usize,
}

/// One batch of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchEntry {
    /// Its first byte in the section.
    pub offset: usize,
    /// Its length in bytes.
    pub length: usize,
    /// Where it comes from.
    pub origin: Origin,
    /// The cluster it comes from; `None` for a push.
    pub cluster: Option<ClusterId>,
    /// One per stream of the batch, in the order of the table inside it.
    pub rows: Vec<TableRow>,
}

/// One stream of a batch, as [`HubRow`] with labels shared by all rows that bear them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRow {
    /// The labels.
    pub labels: Arc<Labels>,
    /// Lines.
    pub lines: u64,
    /// Sum of their lengths in bytes.
    pub bytes: u64,
    /// Earliest line.
    pub min: Timestamp,
    /// Latest line.
    pub max: Timestamp,
}

/// A section with its lines.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its table.
    pub table: Arc<SectionTable>,
    /// All its bytes.
    pub bytes: Bytes,
}

impl Section {
    /// The frozen bytes of batch `at`; empty when there is none.
    #[must_use]
    pub fn batch(&self, at: usize) -> Bytes {
        self.table.batches.get(at).map_or_else(Bytes::new, |entry| self.bytes.slice(entry.offset..entry.offset + entry.length))
    }
}

impl SectionTable {
    /// Rough bytes of memory it takes.
    #[must_use]
    pub const fn cost(&self) -> usize {
        self.cost
    }

    /// Reads the table at the front of `bytes` of a section of `length` bytes.
    pub(crate) fn read(bytes: &Bytes, length: u64) -> Result<Self, String> {
        let stated = bytes.first_chunk::<LENGTH_BYTES>().ok_or("it is cut short")?;
        let front = LENGTH_BYTES + u32::from_le_bytes(*stated) as usize;
        if front > bytes.len() || front as u64 > length {
            return Err("its table is cut short".to_owned());
        }
        let message = proto::SectionTable::decode(bytes.slice(LENGTH_BYTES..front)).map_err(|fault| fault.to_string())?;
        let mut left = TABLE_LABEL_BYTES_MAX;
        let sets = message.sets.iter().map(|set| labels_of(set, &message.texts, &mut left)).collect::<Result<Vec<_>, _>>()?;
        let room = length - front as u64;
        let batches = message.batches.into_iter().map(|entry| entry_of(entry, &sets, front, room)).collect::<Result<Vec<_>, _>>()?;
        let rows: usize = batches.iter().map(|entry| entry.rows.len()).sum();
        let cost = (TABLE_LABEL_BYTES_MAX - left) + rows * size_of::<TableRow>() + batches.len() * size_of::<BatchEntry>();
        Ok(Self { batches, cost })
    }
}

/// `left` is what labels of this table may still grow to: texts stand once, sets name them often.
fn labels_of(set: &proto::LabelSet, texts: &[String], left: &mut usize) -> Result<Arc<Labels>, String> {
    let mut text = |at: u32| {
        let text = texts.get(at as usize).ok_or("a label names no text")?;
        *left = left.checked_sub(text.len() + size_of::<String>()).ok_or("its labels are too many")?;
        Ok::<_, &str>(text.clone())
    };
    let (pairs, rest) = set.pairs.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > LABELS_MAX {
        return Err(format!("a label set has {} texts", set.pairs.len()));
    }
    let pairs = pairs.iter().map(|[name, value]| Ok((text(*name)?, text(*value)?))).collect::<Result<Vec<_>, &str>>()?;
    Ok(Arc::new(Labels::from_pairs(pairs)))
}

fn entry_of(entry: proto::BatchEntry, sets: &[Arc<Labels>], front: usize, room: u64) -> Result<BatchEntry, String> {
    if entry.offset.checked_add(entry.length).is_none_or(|end| end > room) {
        return Err("a batch lies outside the section".to_owned());
    }
    let origin = if entry.producer.is_empty() {
        Origin::Push { key: push_key_of(entry.push_key)? }
    } else {
        Origin::Producer { producer: producer_of(&entry.producer)?, sequence: Sequence(entry.sequence) }
    };
    let cluster = if entry.cluster.is_empty() { None } else { Some(ClusterId::new(&entry.cluster).map_err(|fault| fault.to_string())?) };
    let rows = entry.rows.iter().map(|row| {
        let labels = sets.get(row.set as usize).cloned().ok_or("a row names no label set")?;
        Ok(TableRow { labels, lines: row.lines, bytes: row.bytes, min: Timestamp(row.min_ns), max: Timestamp(row.max_ns) })
    });
    let number = |value: u64| usize::try_from(value).map_err(|_| "a batch is too large for this machine".to_owned());
    Ok(BatchEntry { offset: front + number(entry.offset)?, length: number(entry.length)?, origin, cluster, rows: rows.collect::<Result<_, &str>>()? })
}

/// Texts and label sets of a section, each with its index.
#[derive(Default)]
struct Dictionary<'d> {
    texts: BTreeMap<&'d str, u32>,
    text_order: Vec<String>,
    sets: BTreeMap<&'d Labels, u32>,
    set_order: Vec<proto::LabelSet>,
}

impl<'d> Dictionary<'d> {
    fn text(&mut self, text: &'d str) -> u32 {
        let next = u32::try_from(self.text_order.len()).unwrap_or(u32::MAX);
        let at = *self.texts.entry(text).or_insert(next);
        if at == next {
            self.text_order.push(text.to_owned());
        }
        at
    }

    fn set(&mut self, labels: &'d Labels) -> u32 {
        if let Some(at) = self.sets.get(labels) {
            return *at;
        }
        let pairs = labels.iter().flat_map(|(name, value)| [self.text(name), self.text(value)]).collect();
        let at = u32::try_from(self.set_order.len()).unwrap_or(u32::MAX);
        self.set_order.push(proto::LabelSet { pairs });
        self.sets.insert(labels, at);
        at
    }
}

/// Lays the sections of a draft one after the other: their directory, ascending by tenant, with offsets
/// from the first byte of the first section, and their bytes (bodies are shared, not copied).
///
/// # Errors
/// [`StoreFault::Draft`] when a tenant stands twice or a section is empty.
pub(crate) fn pack(sections: &[SectionDraft]) -> Result<(Vec<SectionEntry>, Vec<Bytes>), StoreFault> {
    let mut by_tenant: Vec<&SectionDraft> = sections.iter().collect();
    by_tenant.sort_by(|a, b| a.grant.tenant().cmp(b.grant.tenant()));
    let draft = |reason: &str| StoreFault::Draft { reason: reason.to_owned() };
    if by_tenant.windows(2).any(|pair| pair[0].grant.tenant() == pair[1].grant.tenant()) {
        return Err(draft("a tenant has two sections in one object"));
    }
    let (mut directory, mut parts, mut offset) = (Vec::new(), Vec::new(), 0);
    for section in by_tenant {
        if section.batches.is_empty() {
            return Err(draft("a section holds no batch"));
        }
        let (entry, bytes) = pack_one(section, offset)?;
        offset += entry.length;
        directory.push(entry);
        parts.extend(bytes);
    }
    Ok((directory, parts))
}

fn pack_one(section: &SectionDraft, offset: u64) -> Result<(SectionEntry, Vec<Bytes>), StoreFault> {
    let table = table_bytes(section)?;
    let mut parts = vec![table.clone()];
    parts.extend(section.batches.iter().map(|batch| batch.body.clone()));
    let rows = || section.batches.iter().flat_map(|batch| &batch.rows);
    let entry = SectionEntry {
        tenant: section.grant.tenant().clone(),
        offset,
        length: parts.iter().map(|part| part.len() as u64).sum(),
        checksum: Checksum::of(parts.iter().map(AsRef::as_ref)),
        table_length: u32::try_from(table.len()).unwrap_or(u32::MAX),
        table_checksum: Checksum::of([table.as_ref()]),
        // Counts come from an edge's table: they may be lies, and must not end in an overflow.
        lines: rows().fold(0, |sum, row| sum.saturating_add(row.lines)),
        bytes: rows().fold(0, |sum, row| sum.saturating_add(row.bytes)),
        min: rows().map(|row| row.min).min().unwrap_or_default(),
        max: rows().map(|row| row.max).max().unwrap_or_default(),
        batches: u32::try_from(section.batches.len()).unwrap_or(u32::MAX),
    };
    entry.check().map_err(|reason| StoreFault::Draft { reason })?;
    Ok((entry, parts))
}

fn table_bytes(section: &SectionDraft) -> Result<Bytes, StoreFault> {
    let mut dictionary = Dictionary::default();
    let mut batches = Vec::with_capacity(section.batches.len());
    let mut offset = 0;
    for batch in &section.batches {
        let (producer, sequence, push_key) = match &batch.origin {
            Origin::Producer { producer, sequence } => (producer.to_bytes().to_vec(), sequence.0, Vec::new()),
            Origin::Push { key } => (Vec::new(), 0, key.clone()),
        };
        let rows = batch.rows.iter().map(|row| proto::HubRow {
            set: dictionary.set(&row.labels),
            lines: row.lines,
            bytes: row.bytes,
            min_ns: row.min.nanos(),
            max_ns: row.max.nanos(),
        });
        batches.push(proto::BatchEntry {
            offset,
            length: batch.body.len() as u64,
            producer,
            sequence,
            push_key,
            rows: rows.collect(),
            cluster: batch.cluster.as_ref().map(ToString::to_string).unwrap_or_default(),
        });
        offset += batch.body.len() as u64;
    }
    let table = proto::SectionTable { texts: dictionary.text_order, sets: dictionary.set_order, batches };
    let length = table.encoded_len();
    let stated =
        u32::try_from(length).map_err(|_| StoreFault::TooLarge { what: "a section table in bytes", found: length as u64, limit: u64::from(u32::MAX) })?;
    let mut out = Vec::with_capacity(LENGTH_BYTES + length);
    out.extend_from_slice(&stated.to_le_bytes());
    out.extend_from_slice(&table.encode_to_vec());
    Ok(out.into())
}

#[cfg(test)]
mod tests;
