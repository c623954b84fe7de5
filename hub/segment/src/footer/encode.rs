//! A footer to bytes.

use std::collections::BTreeMap;

use proto_wire::varint;

use super::{BlockEntry, HEAD_BYTES, MAGIC, RunEntry, StreamEntry, VERSION, WHAT};
use crate::block::column::Packer;
use crate::limits::FOOTER_BYTES_MAX;
use crate::{Kind, RegionEntry, SegmentFault};

/// Appends the footer of `streams`, `blocks` and what lies behind those (filters, tallies) to `out`.
pub(crate) fn encode(
    kind: Kind,
    streams: &[StreamEntry],
    blocks: &[BlockEntry],
    regions: [Option<RegionEntry>; 2],
    packer: &mut Packer,
    out: &mut Vec<u8>,
) -> Result<(), SegmentFault> {
    let raw = plain(streams, blocks, regions);
    if raw.len() > FOOTER_BYTES_MAX {
        return Err(SegmentFault::TooLarge { what: WHAT, found: raw.len() as u64, limit: FOOTER_BYTES_MAX as u64 });
    }
    let begin = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&kind.code().to_le_bytes());
    out.extend_from_slice(&u32::try_from(raw.len()).unwrap_or(u32::MAX).to_le_bytes());
    debug_assert_eq!(out.len() - begin, HEAD_BYTES, "the head of a footer is as long as stated");
    out[begin + 10] = packer.small(&raw, out)?;
    Ok(())
}

fn plain(streams: &[StreamEntry], blocks: &[BlockEntry], regions: [Option<RegionEntry>; 2]) -> Vec<u8> {
    let mut texts = Vec::new();
    let mut numbers = BTreeMap::new();
    for (name, value) in streams.iter().flat_map(|stream| stream.labels.iter()) {
        for text in [name, value] {
            numbers.entry(text).or_insert_with(|| {
                texts.push(text);
                texts.len() - 1
            });
        }
    }
    let mut out = Vec::new();
    varint::put(&mut out, texts.len() as u64);
    for text in texts {
        varint::put(&mut out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
    varint::put(&mut out, blocks.len() as u64);
    for block in blocks {
        varint::put(&mut out, u64::from(block.length));
        out.extend_from_slice(&block.checksum);
    }
    for region in regions {
        varint::put(&mut out, region.map_or(0, |region| u64::from(region.length)));
        out.extend_from_slice(region.as_ref().map_or(&[], |region| region.checksum.as_slice()));
    }
    varint::put(&mut out, streams.len() as u64);
    let mut begin = 0;
    for stream in streams {
        varint::put(&mut out, stream.labels.len() as u64);
        for text in stream.labels.iter().flat_map(|(name, value)| [name, value]) {
            varint::put(&mut out, numbers[text] as u64);
        }
        varint::put(&mut out, stream.runs.len() as u64);
        let mut previous = begin;
        for run in &stream.runs {
            put_run(&mut out, run, previous);
            previous = run.max.0;
        }
        begin = stream.min.0;
    }
    out
}

fn put_run(out: &mut Vec<u8>, run: &RunEntry, previous: i64) {
    varint::put(out, 2 * u64::from(run.lines) + u64::from(run.at == 0));
    varint::put(out, run.bytes);
    varint::put(out, varint::zigzag(run.min.0.wrapping_sub(previous)));
    varint::put(out, run.max.0.abs_diff(run.min.0));
}
