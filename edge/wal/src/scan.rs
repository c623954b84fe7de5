//! Reads one file's records in order, whatever happened to it.
//!
//! Parts: [`Scan`] (the walk through a file: [`Scanned`] by [`Scanned`]), [`Window`] (the part of the
//! file in memory). A bad record is skipped by searching the next marker whose whole record is sound.
//! Limits: one window and one head in memory, bodies are only checksummed; the search after one bad
//! record stops at [`SEARCH_BYTES_MAX`]. Bytes that the disk will not give are taken as zeros: damage.
//! Must not do: judge what a bad stretch means (`recover.rs` does).

use std::io;

use memchr::memmem;
use proto_seam::DiskFile;

use crate::entry::{HEADER_BYTES, Head, Header, MARKER, Seal};
use crate::limits::{SCAN_BYTES, SEARCH_BYTES_MAX};

/// A sound record and where it lies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// Where it begins.
    pub(crate) offset: u64,
    /// Its fixed part.
    pub(crate) header: Header,
    /// Its head.
    pub(crate) head: Head,
}

/// The next thing in a file.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, never stored")]
pub(crate) enum Scanned {
    /// A sound record.
    Record(Found),
    /// A bad stretch with a sound record after it.
    Bad {
        /// Where it begins.
        offset: u64,
        /// How long it is.
        len: u64,
    },
    /// A bad stretch up to the end.
    Tail {
        /// Where it begins.
        offset: u64,
        /// How long it is.
        len: u64,
    },
}

/// A walk through one file.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    window: Window<'a>,
    seal: Seal,
    at: u64,
    end: u64,
    /// The sound record that a search ended at.
    found: Option<Found>,
}

impl<'a> Scan<'a> {
    /// Over the records in bytes `start..end` of `file`.
    pub(crate) fn new(file: &'a dyn DiskFile, seal: Seal, start: u64, end: u64) -> Self {
        Self { window: Window { file, start: 0, bytes: Vec::new() }, seal, at: start.min(end), end, found: None }
    }

    /// The next thing; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Scanned> {
        if let Some(found) = self.found.take() {
            self.at = found.offset + found.header.record_len();
            return Some(Scanned::Record(found));
        }
        if self.at >= self.end {
            return None;
        }
        let mut unlimited = u64::MAX;
        if let Some(found) = self.sound_at(self.at, &mut unlimited) {
            self.at += found.header.record_len();
            return Some(Scanned::Record(found));
        }
        let offset = self.at;
        self.found = self.search(offset + 1);
        self.at = self.found.as_ref().map_or(self.end, |found| found.offset);
        let len = self.at - offset;
        Some(if self.found.is_some() { Scanned::Bad { offset, len } } else { Scanned::Tail { offset, len } })
    }

    /// The largest `synced` of the records from here on.
    pub(crate) fn synced_max(mut self) -> u64 {
        let mut synced = 0;
        while let Some(scanned) = self.next() {
            if let Scanned::Record(found) = scanned {
                synced = synced.max(found.head.synced());
            }
        }
        synced
    }

    /// Another walk, from the end of what was last given.
    pub(crate) fn rest(&self) -> Self {
        Self::new(self.window.file, self.seal, self.at, self.end)
    }

    fn search(&mut self, from: u64) -> Option<Found> {
        let finder = memmem::Finder::new(&MARKER);
        let mut budget = SEARCH_BYTES_MAX;
        let mut at = from;
        while at + HEADER_BYTES as u64 <= self.end {
            let window = self.window.at_least(at, HEADER_BYTES);
            if window.len() < HEADER_BYTES {
                return None;
            }
            let Some(hit) = finder.find(window) else {
                // The last bytes may hold the beginning of a marker.
                at += (window.len() - (MARKER.len() - 1)) as u64;
                continue;
            };
            at += hit as u64;
            if let Some(found) = self.sound_at(at, &mut budget) {
                return Some(found);
            }
            if budget == 0 {
                return None;
            }
            at += 1;
        }
        None
    }

    fn sound_at(&mut self, offset: u64, budget: &mut u64) -> Option<Found> {
        let bytes: [u8; HEADER_BYTES] = *self.window.at_least(offset, HEADER_BYTES).first_chunk()?;
        let header = Header::parse(&bytes)?;
        let end = offset + header.record_len();
        if end > self.end {
            return None;
        }
        *budget = budget.saturating_sub(header.record_len() + SCAN_BYTES as u64);
        let mut sum = self.seal.begin(&bytes);
        let mut at = offset + HEADER_BYTES as u64;
        while at < end {
            let window = self.window.at_least(at, 1);
            let part = &window[..window.len().min(usize::try_from(end - at).unwrap_or(usize::MAX))];
            if part.is_empty() {
                return None;
            }
            sum = sum.add(part);
            at += part.len() as u64;
        }
        if !header.fits(sum) {
            return None;
        }
        let head = self.window.read(offset + HEADER_BYTES as u64, header.head_len as usize);
        Some(Found { offset, header, head: Head::decode(header.kind, &head)? })
    }
}

/// The part of a file that is in memory.
#[derive(Debug)]
struct Window<'a> {
    file: &'a dyn DiskFile,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// The bytes from `offset` on: at least `least` of them (at most [`SCAN_BYTES`]), fewer at the file's end.
    fn at_least(&mut self, offset: u64, least: usize) -> &[u8] {
        let inside = offset.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok()).filter(|skip| skip + least <= self.bytes.len());
        let skip = inside.unwrap_or_else(|| {
            self.fill(offset);
            0
        });
        &self.bytes[skip..]
    }

    fn read(&mut self, offset: u64, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len);
        while out.len() < len {
            let part = self.at_least(offset + out.len() as u64, 1);
            if part.is_empty() {
                break;
            }
            let wanted = part.len().min(len - out.len());
            out.extend_from_slice(&part[..wanted]);
        }
        out
    }

    fn fill(&mut self, offset: u64) {
        self.start = offset;
        self.bytes.resize(SCAN_BYTES, 0);
        let mut filled = 0;
        while filled < SCAN_BYTES {
            match read_retrying(self.file, &mut self.bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(_) => match self.skip_unreadable(filled, offset) {
                    0 => break,
                    n => filled += n,
                },
            }
        }
        self.bytes.truncate(filled);
    }

    /// Reads up to the end of one sector, or puts zeros for it; gives how many bytes, 0 at the file's end.
    fn skip_unreadable(&mut self, filled: usize, offset: u64) -> usize {
        const SECTOR: u64 = 512;
        let at = offset + filled as u64;
        let left = self.file.state().map_or(0, |state| state.len).saturating_sub(at);
        let sector = usize::try_from(left.min(SECTOR - at % SECTOR)).unwrap_or(0).min(SCAN_BYTES - filled);
        let part = &mut self.bytes[filled..filled + sector];
        match self.file.read_at(part, at) {
            Ok(n) if n > 0 => n,
            Ok(_) | Err(_) => {
                part.fill(0);
                sector
            }
        }
    }
}

fn read_retrying(file: &dyn DiskFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buf, offset) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests;
