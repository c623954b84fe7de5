//! How far a container's log was read, to the line: the times of a log repeat and its two streams overtake each other.
//!
//! Pure. Parts: [`Cursor`] (kept in the WAL beside the lines), [`Resume`] (which lines that come again were taken). Each stream has the
//! time of its last line in nanoseconds and how many lines of that very nanosecond were taken, since the times of one stream never go
//! back while the daemon's clock does not; the log is asked for from the earlier of the two, at most [`DISORDER_MAX`] before the later.
//! Must not do: I/O.

use std::time::Duration;

use proto_model::Timestamp;

use super::lines::{Boundary, Line, Stream};

/// A line may stand in the log so long after one of the other stream with a later time.
const DISORDER_MAX: Duration = Duration::from_secs(10);
const VERSION: u8 = 1;
const SIDE_BYTES: usize = 20;

/// See the module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    sides: [Option<Seen>; 2],
}

/// The last line of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    time: Timestamp,
    /// Lines of this nanosecond that were taken, it included.
    count: u32,
    /// Its bytes, when it ended without a newline; else 0.
    open_bytes: u64,
}

impl Cursor {
    /// From the bytes that a WAL kept; `None` = they are not understood.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        if version != VERSION || rest.len() != SIDE_BYTES * 2 {
            return None;
        }
        let mut sides = [None; 2];
        for (side, bytes) in sides.iter_mut().zip(rest.chunks_exact(SIDE_BYTES)) {
            let time = i64::from_le_bytes(bytes[..8].try_into().ok()?);
            let count = u32::from_le_bytes(bytes[8..12].try_into().ok()?);
            let open_bytes = u64::from_le_bytes(bytes[12..].try_into().ok()?);
            *side = (count > 0).then_some(Seen { time: Timestamp(time), count, open_bytes });
        }
        Some(Self { sides })
    }

    /// As a WAL keeps it.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for side in self.sides {
            let Seen { time, count, open_bytes } = side.unwrap_or(Seen { time: Timestamp(0), count: 0, open_bytes: 0 });
            out.extend_from_slice(&time.nanos().to_le_bytes());
            out.extend_from_slice(&count.to_le_bytes());
            out.extend_from_slice(&open_bytes.to_le_bytes());
        }
        out
    }

    /// A line was taken.
    pub(super) fn advance(&mut self, line: &Line) {
        let Some(time) = line.time else { return };
        let side = &mut self.sides[line.stream.index()];
        let before = side.filter(|seen| seen.time == time).map_or(0, |seen| seen.count);
        *side = Some(Seen { time, count: before.saturating_add(1), open_bytes: line.open_bytes });
    }

    /// The time of the last line that was taken.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.sides.iter().flatten().map(|seen| seen.time).max()
    }

    /// From when the log must be asked for; `None` = from its beginning.
    pub(super) fn since(&self) -> Option<Timestamp> {
        let times = || self.sides.iter().flatten().map(|seen| seen.time);
        let bound = times().max()?.minus(DISORDER_MAX);
        // A stream that never wrote so far may have begun just before the other's last line.
        let is_alone = self.sides.iter().any(Option::is_none);
        times().min().filter(|_| !is_alone).map(|earlier| earlier.max(bound)).or(Some(bound))
    }

    /// Where a terminal's last line ended without a newline.
    pub(super) fn boundary(&self) -> Option<Boundary> {
        let seen = self.sides[Stream::Out.index()].filter(|seen| seen.open_bytes > 0)?;
        Some(Boundary { time: seen.time, nth: seen.count, bytes: seen.open_bytes })
    }
}

/// Passes over the lines that come again.
#[derive(Debug)]
pub(super) struct Resume {
    sides: [Option<Seen>; 2],
    /// Lines of the last nanosecond that came again.
    again: [u32; 2],
}

impl Resume {
    pub(super) const fn new(cursor: &Cursor) -> Self {
        Self { sides: cursor.sides, again: [0; 2] }
    }

    /// Whether a line was taken before.
    pub(super) fn is_taken(&mut self, line: &Line) -> bool {
        let at = line.stream.index();
        let (Some(seen), Some(time)) = (self.sides[at], line.time) else { return false };
        if time < seen.time {
            return true;
        }
        if time == seen.time && self.again[at] < seen.count {
            self.again[at] += 1;
            return true;
        }
        // The first that is new: from here on times decide nothing, the clock may have been set back.
        self.sides[at] = None;
        false
    }
}

#[cfg(test)]
mod tests;
