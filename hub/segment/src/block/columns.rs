//! The small columns of a block and back: runs, times, levels, lengths.
//!
//! Parts: an `encode_` and a `decode_` function for each (`docs/formats/segment.md`, "Block"). Promises: a decoded column has exactly the
//! rows it was asked for. Must not do: pack; that is `column.rs`.

use proto_wire::varint;

use crate::SegmentFault;

/// The one encoding of these columns so far.
pub(crate) const ENCODING: u8 = 0;
/// Nanoseconds of the units that times may be written in.
const UNITS: [i64; 4] = [1, 1_000, 1_000_000, 1_000_000_000];

const fn malformed(what: &'static str, reason: &'static str) -> SegmentFault {
    SegmentFault::Malformed { what, reason }
}

/// Lines and first times of runs. `runs` are (first row, rows).
pub(crate) fn encode_runs(runs: &[(usize, usize)], times: &[i64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 * runs.len());
    let mut previous = 0;
    for (first, rows) in runs {
        varint::put(&mut out, *rows as u64);
        varint::put(&mut out, varint::zigzag(times[*first].wrapping_sub(previous)));
        previous = times[*first];
    }
    out
}

/// Back from [`encode_runs`]: (first row, rows, first time) of exactly `runs` runs of at least a row each, `lines` rows in all.
pub(crate) fn decode_runs(column: &[u8], runs: usize, lines: usize) -> Result<Vec<(usize, usize, i64)>, SegmentFault> {
    const WHAT: &str = "the runs of a block";
    let mut out = Vec::with_capacity(runs);
    let (mut rest, mut at, mut previous) = (column, 0_usize, 0_i64);
    for _ in 0..runs {
        let rows = varint::take(&mut rest).and_then(|rows| usize::try_from(rows).ok()).ok_or(SegmentFault::Short { what: WHAT })?;
        let first = varint::unzigzag(varint::take(&mut rest).ok_or(SegmentFault::Short { what: WHAT })?);
        if rows == 0 || rows > lines - at {
            return Err(malformed(WHAT, "a run is empty or too long"));
        }
        previous = previous.wrapping_add(first);
        out.push((at, rows, previous));
        at += rows;
    }
    if at == lines && rest.is_empty() { Ok(out) } else { Err(malformed(WHAT, "they do not fit the lines of the block")) }
}

/// Differences of times within each run.
pub(crate) fn encode_times(runs: &[(usize, usize)], times: &[i64]) -> Vec<u8> {
    let steps = || runs.iter().flat_map(|(first, rows)| times[*first..*first + *rows].windows(2)).map(|pair| pair[1].abs_diff(pair[0]));
    let code = UNITS.iter().rposition(|unit| steps().all(|step| step % unit.unsigned_abs() == 0)).unwrap_or(0);
    let unit = UNITS[code].unsigned_abs();
    let mut out = Vec::with_capacity(5 * times.len() + 1);
    out.push(u8::try_from(code).unwrap_or(0));
    steps().for_each(|step| varint::put(&mut out, step / unit));
    out
}

/// Back from [`encode_times`]; each run ascends.
pub(crate) fn decode_times(column: &[u8], runs: &[(usize, usize, i64)], lines: usize) -> Result<Vec<i64>, SegmentFault> {
    const WHAT: &str = "the times of a block";
    let (&code, mut rest) = column.split_first().ok_or(SegmentFault::Short { what: WHAT })?;
    let unit = UNITS.get(usize::from(code)).ok_or_else(|| malformed(WHAT, "their unit is unknown"))?;
    let mut out = Vec::with_capacity(lines);
    for (_, rows, first) in runs {
        let mut time = *first;
        out.push(time);
        for _ in 1..*rows {
            let step = varint::take(&mut rest).ok_or(SegmentFault::Short { what: WHAT })?;
            let next = step.checked_mul(unit.unsigned_abs()).and_then(|step| time.checked_add_unsigned(step));
            time = next.ok_or_else(|| malformed(WHAT, "a time is past the end of time"))?;
            out.push(time);
        }
    }
    if rest.is_empty() { Ok(out) } else { Err(malformed(WHAT, "bytes follow the last")) }
}

/// Runs of equal level codes.
pub(crate) fn encode_levels(levels: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for run in levels.chunk_by(|a, b| a == b) {
        out.push(run[0]);
        varint::put(&mut out, run.len() as u64);
    }
    out
}

/// Back from [`encode_levels`].
pub(crate) fn decode_levels(column: &[u8], lines: usize) -> Result<Vec<u8>, SegmentFault> {
    const WHAT: &str = "the levels of a block";
    let mut out = Vec::with_capacity(lines);
    let mut rest = column;
    while let Some((&code, tail)) = rest.split_first() {
        rest = tail;
        let run = varint::take(&mut rest).and_then(|run| usize::try_from(run).ok()).ok_or(SegmentFault::Short { what: WHAT })?;
        if run > lines - out.len() {
            return Err(malformed(WHAT, "they are more than the lines"));
        }
        out.resize(out.len() + run, code);
    }
    if out.len() == lines { Ok(out) } else { Err(SegmentFault::Short { what: WHAT }) }
}

/// Planes of bytes, low ones first: the low bytes of lengths are noise, the high ones nearly always equal.
pub(crate) fn encode_lengths(lengths: &[u32]) -> Vec<u8> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let width = 4 - longest.leading_zeros() / 8;
    let mut out = Vec::with_capacity(1 + lengths.len() * width as usize);
    out.push(u8::try_from(width).unwrap_or(4));
    for plane in 0..width as usize {
        out.extend(lengths.iter().map(|length| length.to_le_bytes()[plane]));
    }
    out
}

/// Back from [`encode_lengths`].
pub(crate) fn decode_lengths(column: &[u8], lines: usize) -> Result<Vec<u32>, SegmentFault> {
    const WHAT: &str = "the line lengths of a block";
    let (&width, planes) = column.split_first().ok_or(SegmentFault::Short { what: WHAT })?;
    if width > 4 || planes.len() != usize::from(width) * lines {
        return Err(malformed(WHAT, "they do not fit the lines of the block"));
    }
    let mut out = vec![0_u32; lines];
    for (plane, bytes) in planes.chunks_exact(lines.max(1)).enumerate() {
        for (length, byte) in out.iter_mut().zip(bytes) {
            *length |= u32::from(*byte) << (8 * plane);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
