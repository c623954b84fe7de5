//! A block that is being filled.

use crate::block::column::{Column, ENTRY_BYTES, Packer};
use crate::block::{COLUMNS, HEAD_BYTES, MAGIC, METADATA, VERSION, columns, metadata};
use crate::{BlockEntry, SegmentFault, checksum};
use proto_model::Timestamp;

/// Rows of a block, column by column, run after run.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// (first row, rows)
    runs: Vec<(usize, usize)>,
    times: Vec<i64>,
    levels: Vec<u8>,
    lengths: Vec<u32>,
    metadata: metadata::Rows,
    text: Vec<u8>,
}

impl Draft {
    /// Number of rows.
    pub(crate) const fn lines(&self) -> usize {
        self.times.len()
    }

    /// Bytes of lines, line ends and metadata.
    pub(crate) const fn bytes(&self) -> usize {
        self.text.len() + self.metadata.bytes()
    }

    /// All lines, each followed by a newline.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// All metadata, written as in a batch: values as they are.
    pub(crate) fn metadata(&self) -> &[u8] {
        self.metadata.all()
    }

    /// Times and line lengths of each run.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (&[i64], &[u32])> {
        self.runs.iter().map(|(first, rows)| (&self.times[*first..first + rows], &self.lengths[*first..first + rows]))
    }

    /// Begins a run; gives its place.
    pub(crate) fn run(&mut self) -> usize {
        self.runs.push((self.lines(), 0));
        self.runs.len() - 1
    }

    /// Adds a row to the newest run.
    pub(crate) fn row(&mut self, time: i64, level: u8, metadata: &[u8], line: &[u8]) {
        if let Some((_, rows)) = self.runs.last_mut() {
            *rows += 1;
        }
        self.metadata.push(self.times.len(), metadata);
        self.times.push(time);
        self.levels.push(level);
        self.lengths.push(u32::try_from(line.len()).unwrap_or(u32::MAX));
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
    }

    /// Appends the block to the object `out` and empties the draft.
    pub(crate) fn seal(&mut self, packer: &mut Packer, out: &mut Vec<u8>) -> Result<BlockEntry, SegmentFault> {
        const WHAT: &str = "a block";
        let begin = out.len();
        let number = |found: usize| u32::try_from(found).map_err(|_| SegmentFault::TooLarge { what: WHAT, found: found as u64, limit: u64::from(u32::MAX) });
        let (runs, lines) = (number(self.runs.len())?, number(self.lines())?);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&runs.to_le_bytes());
        out.extend_from_slice(&lines.to_le_bytes());
        out.resize(begin + HEAD_BYTES, 0);
        let (metadata_encoding, metadata) = metadata::encode(&self.metadata, self.lines())?;
        let small = [
            (columns::ENCODING, columns::encode_runs(&self.runs, &self.times)),
            (columns::ENCODING, columns::encode_times(&self.runs, &self.times)),
            (columns::ENCODING, columns::encode_levels(&self.levels)),
            (columns::ENCODING, columns::encode_lengths(&self.lengths)),
            (metadata_encoding, metadata),
        ];
        let entry = |at: usize| begin + HEAD_BYTES - (COLUMNS - at) * ENTRY_BYTES;
        for (at, (encoding, raw)) in small.iter().enumerate() {
            let before = out.len();
            // Metadata may be as large as the lines, and ids in it as good as random.
            let packing = if at == METADATA { packer.large(raw, out)? } else { packer.small(raw, out)? };
            Column { encoding: *encoding, packing, packed: out.len() - before, unpacked: raw.len() }.put(WHAT, &mut out[entry(at)..])?;
        }
        let before = out.len();
        let packing = packer.large(&self.text, out)?;
        let column = Column { encoding: columns::ENCODING, packing, packed: out.len() - before, unpacked: self.text.len() };
        column.put(WHAT, &mut out[entry(COLUMNS - 1)..])?;
        let sealed = BlockEntry {
            offset: begin as u64,
            length: number(out.len() - begin)?,
            checksum: checksum(&out[begin..]),
            runs,
            lines,
            bytes: (self.text.len() - self.lines()) as u64,
            min: Timestamp(self.times.iter().copied().min().unwrap_or(0)),
            max: Timestamp(self.times.iter().copied().max().unwrap_or(0)),
        };
        self.clear();
        Ok(sealed)
    }

    fn clear(&mut self) {
        self.runs.clear();
        self.times.clear();
        self.levels.clear();
        self.lengths.clear();
        self.metadata.clear();
        self.text.clear();
    }
}
