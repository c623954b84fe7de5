//! The metadata column: per name constant, dictionary or plain, or row by row where that is shorter.
//!
//! Parts: [`Rows`] (each line's metadata, written as in a batch), [`encode`], [`decode`]. Limits: `METADATA_MAX` pairs a line, and
//! no more bytes of rows than [`COLUMN_BYTES_MAX`], checked while they are put together. Must not do: judge texts; they are bytes here.

use std::collections::BTreeMap;

use proto_wire::limits::METADATA_MAX;
use proto_wire::varint;

use crate::SegmentFault;
use crate::limits::{COLUMN_BYTES_MAX, METADATA_DICTIONARY_MAX, METADATA_NAMES_MAX};

/// No line has any.
const NONE: u8 = 0;
/// By names.
const COLUMNS: u8 = 1;
/// By lines.
const ROWS: u8 = 2;
/// All values of a name are the same one.
const CONSTANT: u8 = 0;
/// Values once, then numbers.
const DICTIONARY: u8 = 1;
/// Lengths, then values.
const VALUES: u8 = 2;

/// After so many values it is clear whether they repeat.
const PROBE: usize = 512;

const WHAT: &str = "a block's metadata";

const fn malformed(reason: &'static str) -> SegmentFault {
    SegmentFault::Malformed { what: WHAT, reason }
}

const fn within_limit(found: usize) -> Result<(), SegmentFault> {
    if found > COLUMN_BYTES_MAX {
        return Err(SegmentFault::TooLarge { what: WHAT, found: found as u64, limit: COLUMN_BYTES_MAX as u64 });
    }
    Ok(())
}

fn cut_short() -> SegmentFault {
    SegmentFault::Short { what: WHAT }
}

/// The metadata of each line, written as in a batch. Empty throughout while no line has any.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    bytes: Vec<u8>,
    /// Where each line's ends; may be shorter than the lines, which then have none.
    ends: Vec<u32>,
}

impl Rows {
    pub(crate) fn at(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends.get(row - 1).copied().unwrap_or(0) as usize };
        self.ends.get(row).map_or(&[], |end| &self.bytes[start..*end as usize])
    }

    /// Appends the metadata of line `row`, where lines before it may have been left out.
    pub(crate) fn push(&mut self, row: usize, metadata: &[u8]) {
        if metadata.first().is_some_and(|pairs| *pairs != 0) {
            self.ends.resize(row, self.end());
            self.bytes.extend_from_slice(metadata);
            self.ends.push(self.end());
        }
    }

    fn end(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    /// Of all lines.
    pub(crate) fn all(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) const fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + 4 * self.ends.capacity()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The end of a line that was put together in `bytes`.
    fn close(&mut self) -> Result<(), SegmentFault> {
        within_limit(self.bytes.len())?;
        self.ends.push(self.end());
        Ok(())
    }
}

/// Writes one line's metadata as a batch does; pairs past `METADATA_MAX` are left out, as there.
pub(crate) fn put_row<'m>(out: &mut Vec<u8>, pairs: impl IntoIterator<Item = (&'m str, &'m str)>) {
    let mut pairs = pairs.into_iter().take(METADATA_MAX).peekable();
    if pairs.peek().is_none() {
        return;
    }
    let begin = out.len();
    let mut count = 0;
    for (name, value) in pairs {
        put_text(out, name.as_bytes());
        put_text(out, value.as_bytes());
        count += 1;
    }
    // Their number goes before them, and is known only now.
    let end = out.len();
    varint::put(out, count);
    let width = out.len() - end;
    out[begin..].rotate_right(width);
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    varint::put(out, text.len() as u64);
    out.extend_from_slice(text);
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint::take(rest)?).ok()?;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

fn take_count(rest: &mut &[u8], what: &'static str, limit: usize) -> Result<usize, SegmentFault> {
    let found = varint::take(rest).ok_or_else(cut_short)?;
    usize::try_from(found).ok().filter(|count| *count <= limit).ok_or(SegmentFault::TooLarge { what, found, limit: limit as u64 })
}

fn take_pairs(rest: &mut &[u8]) -> Result<usize, SegmentFault> {
    take_count(rest, "the metadata pairs of a line", METADATA_MAX)
}

/// Takes a number below `limit`.
fn take_number(rest: &mut &[u8], limit: usize) -> Result<u16, SegmentFault> {
    let id = varint::take(rest).and_then(|id| u16::try_from(id).ok()).filter(|id| usize::from(*id) < limit);
    id.ok_or_else(|| malformed("a name or shape has no such number"))
}

/// Names and values of some lines, put apart by name.
struct ByName<'a> {
    names: Vec<&'a [u8]>,
    shapes: BTreeMap<Vec<u16>, u16>,
    shape_of: Vec<u16>,
    values: Vec<Vec<&'a [u8]>>,
}

impl<'a> ByName<'a> {
    /// `None` when there are too many names or shapes for columns to be of use, or a row is malformed.
    fn of(rows: &'a Rows, lines: usize) -> Option<Self> {
        let mut all = Self { names: Vec::new(), shapes: BTreeMap::new(), shape_of: Vec::with_capacity(lines), values: Vec::new() };
        let mut ids = BTreeMap::new();
        let (mut shape, mut previous, mut previous_id) = (Vec::new(), Vec::new(), 0);
        for row in 0..lines {
            let mut rest = rows.at(row);
            let pairs = if rest.is_empty() { 0 } else { varint::take(&mut rest)? };
            shape.clear();
            for _ in 0..pairs {
                let name = take_text(&mut rest)?;
                // Lines that follow each other have the same names most of the time.
                let likely = previous.get(shape.len()).copied().filter(|id| all.names[usize::from(*id)] == name);
                let id = match likely {
                    Some(id) => id,
                    None => all.name(&mut ids, name)?,
                };
                all.values[usize::from(id)].push(take_text(&mut rest)?);
                shape.push(id);
            }
            if !rest.is_empty() {
                return None;
            }
            if row == 0 || shape != previous {
                previous_id = all.shape(&shape)?;
                previous.clone_from(&shape);
            }
            all.shape_of.push(previous_id);
        }
        Some(all)
    }

    fn name(&mut self, ids: &mut BTreeMap<&'a [u8], u16>, name: &'a [u8]) -> Option<u16> {
        if let Some(id) = ids.get(name) {
            return Some(*id);
        }
        let id = number(self.names.len())?;
        ids.insert(name, id);
        self.names.push(name);
        self.values.push(Vec::new());
        Some(id)
    }

    fn shape(&mut self, shape: &[u16]) -> Option<u16> {
        if let Some(id) = self.shapes.get(shape) {
            return Some(*id);
        }
        let id = number(self.shapes.len())?;
        self.shapes.insert(shape.to_vec(), id);
        Some(id)
    }

    fn put(&self, out: &mut Vec<u8>) {
        varint::put(out, self.names.len() as u64);
        self.names.iter().for_each(|name| put_text(out, name));
        let mut shapes: Vec<(&Vec<u16>, u16)> = self.shapes.iter().map(|(shape, id)| (shape, *id)).collect();
        shapes.sort_unstable_by_key(|(_, id)| *id);
        varint::put(out, shapes.len() as u64);
        for (shape, _) in &shapes {
            varint::put(out, shape.len() as u64);
            shape.iter().for_each(|name| varint::put(out, u64::from(*name)));
        }
        out.push(u8::from(shapes.len() > 1));
        if shapes.len() > 1 {
            self.shape_of.iter().for_each(|shape| varint::put(out, u64::from(*shape)));
        }
        self.values.iter().for_each(|values| put_values(out, values));
    }
}

/// The number of a name or shape, if there may be as many.
fn number(id: usize) -> Option<u16> {
    u16::try_from(id).ok().filter(|_| id < METADATA_NAMES_MAX)
}

/// Values, each once, and the number of each line's, if that is of use.
fn dictionary<'a>(values: &[&'a [u8]]) -> Option<(Vec<&'a [u8]>, Vec<usize>)> {
    let limit = METADATA_DICTIONARY_MAX.min(values.len() / 2);
    let mut ids = BTreeMap::new();
    let mut distinct = Vec::new();
    let mut numbers = Vec::with_capacity(values.len());
    for (at, value) in values.iter().enumerate() {
        let id = *ids.entry(*value).or_insert(distinct.len());
        if id == distinct.len() {
            distinct.push(*value);
        }
        numbers.push(id);
        // Ids of traces and the like show soon what they are, and looking each of many up costs more than all the rest.
        if distinct.len() > limit || (at == PROBE && distinct.len() > PROBE / 2) {
            return None;
        }
    }
    Some((distinct, numbers))
}

fn put_values(out: &mut Vec<u8>, values: &[&[u8]]) {
    if let Some(first) = values.first().filter(|first| values.iter().all(|value| value == *first)) {
        out.push(CONSTANT);
        put_text(out, first);
    } else if let Some((distinct, numbers)) = dictionary(values) {
        out.push(DICTIONARY);
        varint::put(out, distinct.len() as u64);
        distinct.iter().for_each(|value| put_text(out, value));
        numbers.iter().for_each(|id| varint::put(out, *id as u64));
    } else {
        out.push(VALUES);
        values.iter().for_each(|value| varint::put(out, value.len() as u64));
        values.iter().for_each(|value| out.extend_from_slice(value));
    }
}

/// The encoding and the column of `lines` lines.
///
/// # Errors
/// [`SegmentFault`] when a row is not written as in a batch: what cannot be read back is not written.
pub(crate) fn encode(rows: &Rows, lines: usize) -> Result<(u8, Vec<u8>), SegmentFault> {
    if rows.bytes.is_empty() {
        return Ok((NONE, Vec::new()));
    }
    let mut columns = Vec::new();
    let by_name = ByName::of(rows, lines);
    if let Some(by_name) = &by_name {
        by_name.put(&mut columns);
    }
    if by_name.is_some() && columns.len() <= rows.bytes.len() {
        return Ok((COLUMNS, columns));
    }
    let mut plain = Vec::with_capacity(rows.bytes.len() + lines);
    for row in 0..lines {
        match rows.at(row) {
            [] => plain.push(0),
            metadata => {
                let mut rest = metadata;
                skip_row(&mut rest)?;
                if !rest.is_empty() {
                    return Err(malformed("bytes follow the last pair of a line"));
                }
                plain.extend_from_slice(metadata);
            }
        }
    }
    Ok((ROWS, plain))
}

/// Goes past one line's metadata; gives the number of its pairs.
fn skip_row(rest: &mut &[u8]) -> Result<usize, SegmentFault> {
    let pairs = take_pairs(rest)?;
    for _ in 0..2 * pairs {
        take_text(rest).ok_or_else(cut_short)?;
    }
    Ok(pairs)
}

/// Back from [`encode`]: metadata of exactly `lines` lines.
pub(crate) fn decode(encoding: u8, column: &[u8], lines: usize) -> Result<Rows, SegmentFault> {
    match encoding {
        NONE if column.is_empty() => Ok(Rows::default()),
        COLUMNS => decode_columns(column, lines),
        ROWS => decode_rows(column, lines),
        NONE => Err(malformed("it holds bytes for no line")),
        _ => Err(malformed("its encoding is unknown")),
    }
}

fn decode_rows(column: &[u8], lines: usize) -> Result<Rows, SegmentFault> {
    let mut rows = Rows { bytes: Vec::with_capacity(column.len()), ends: Vec::with_capacity(lines) };
    let mut rest = column;
    for _ in 0..lines {
        let begin = rest;
        if skip_row(&mut rest)? > 0 {
            rows.bytes.extend_from_slice(&begin[..begin.len() - rest.len()]);
        }
        rows.close()?;
    }
    if rest.is_empty() { Ok(rows) } else { Err(malformed("bytes follow its last line")) }
}

/// The values of a name, taken one by one in order of lines.
enum Values<'a> {
    Constant(&'a [u8]),
    Dictionary { values: Vec<&'a [u8]>, numbers: &'a [u8] },
    Plain { lengths: &'a [u8], bytes: &'a [u8] },
}

fn skip_varints<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], SegmentFault> {
    let begin = *rest;
    for _ in 0..count {
        varint::take(rest).ok_or_else(cut_short)?;
    }
    Ok(&begin[..begin.len() - rest.len()])
}

impl<'a> Values<'a> {
    fn read(rest: &mut &'a [u8], count: usize) -> Result<Self, SegmentFault> {
        let (&encoding, tail) = rest.split_first().ok_or_else(cut_short)?;
        *rest = tail;
        match encoding {
            CONSTANT => Ok(Self::Constant(take_text(rest).ok_or_else(cut_short)?)),
            DICTIONARY => {
                let distinct = take_count(rest, "the values of a name", METADATA_DICTIONARY_MAX)?;
                let values = (0..distinct).map(|_| take_text(rest).ok_or_else(cut_short)).collect::<Result<_, _>>()?;
                Ok(Self::Dictionary { values, numbers: skip_varints(rest, count)? })
            }
            VALUES => {
                let lengths = skip_varints(rest, count)?;
                let mut sum = 0_usize;
                let mut each = lengths;
                while let Some(length) = varint::take(&mut each) {
                    sum = usize::try_from(length).ok().and_then(|length| sum.checked_add(length)).ok_or_else(cut_short)?;
                }
                let (bytes, tail) = rest.split_at_checked(sum).ok_or_else(cut_short)?;
                *rest = tail;
                Ok(Self::Plain { lengths, bytes })
            }
            _ => Err(malformed("the encoding of a name is unknown")),
        }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        match self {
            Self::Constant(value) => Some(value),
            Self::Dictionary { values, numbers } => values.get(usize::try_from(varint::take(numbers)?).ok()?).copied(),
            Self::Plain { lengths, bytes } => {
                let (value, rest) = bytes.split_at_checked(usize::try_from(varint::take(lengths)?).ok()?)?;
                *bytes = rest;
                Some(value)
            }
        }
    }
}

fn decode_columns(column: &[u8], lines: usize) -> Result<Rows, SegmentFault> {
    let mut rest = column;
    let names = take_count(&mut rest, "the names of metadata", METADATA_NAMES_MAX)?;
    let names: Vec<&[u8]> = (0..names).map(|_| take_text(&mut rest).ok_or_else(cut_short)).collect::<Result<_, _>>()?;
    let shapes = take_shapes(&mut rest, names.len())?;
    let (&many, tail) = rest.split_first().ok_or_else(cut_short)?;
    rest = tail;
    let shape_of = match many {
        0 => vec![0; lines],
        _ => (0..lines).map(|_| take_number(&mut rest, shapes.len())).collect::<Result<_, _>>()?,
    };
    let mut counts = vec![0_usize; names.len()];
    for shape in &shape_of {
        let shape = shapes.get(usize::from(*shape)).ok_or_else(|| malformed("it has no shape"))?;
        shape.iter().for_each(|name| counts[usize::from(*name)] += 1);
    }
    let mut values = counts.iter().map(|count| Values::read(&mut rest, *count)).collect::<Result<Vec<_>, _>>()?;
    if !rest.is_empty() {
        return Err(malformed("bytes follow its last name"));
    }
    let mut rows = Rows { bytes: Vec::with_capacity(column.len()), ends: Vec::with_capacity(lines) };
    for shape in &shape_of {
        let shape = &shapes[usize::from(*shape)];
        if !shape.is_empty() {
            varint::put(&mut rows.bytes, shape.len() as u64);
        }
        for name in shape {
            let value = values[usize::from(*name)].next().ok_or_else(|| malformed("a value is missing"))?;
            put_text(&mut rows.bytes, names[usize::from(*name)]);
            // Before the value is copied: a constant one is small as stored and may be asked for many times a line.
            within_limit(rows.bytes.len() + value.len())?;
            put_text(&mut rows.bytes, value);
        }
        rows.close()?;
    }
    Ok(rows)
}

fn take_shapes(rest: &mut &[u8], names: usize) -> Result<Vec<Vec<u16>>, SegmentFault> {
    let count = take_count(rest, "the shapes of metadata", METADATA_NAMES_MAX)?;
    let mut shapes = Vec::with_capacity(count);
    for _ in 0..count {
        let pairs = take_pairs(rest)?;
        shapes.push((0..pairs).map(|_| take_number(rest, names)).collect::<Result<_, _>>()?);
    }
    Ok(shapes)
}

#[cfg(test)]
mod tests;
