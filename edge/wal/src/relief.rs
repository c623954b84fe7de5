//! Room on a full disk, out of what the hub has: the grace gives way before reading stops.
//!
//! Parts: [`Wal::relieve`], [`Wal::keep_reserve`]. A file goes only when a newer one tells of its acks and positions, and a newer
//! one cannot be begun on a full disk: so a file `reserve` keeps the room for it. Limits: it holds twice the opening of the file
//! that is written, `limits::RESERVE_BYTES` at least, less in a small WAL. Must not do: give up what the hub or a sink lacks.

use proto_seam::OpenHow;

use crate::limits::RESERVE_BYTES;
use crate::wal::{Wal, locked};

/// The file that keeps room for the opening of the next one.
const RESERVE: &str = "reserve";

impl Wal {
    /// Deletes what hub and sinks have until about `need` bytes are free, whatever the grace says; false when nothing could be freed.
    pub(crate) fn relieve(&mut self, need: u64) -> bool {
        if self.frees(need) {
            return true;
        }
        let opening = self.opening(self.number_next).len() as u64;
        if locked(&self.shared).bytes_done() <= need + opening {
            return false;
        }
        let path = self.settings.dir.join(RESERVE);
        self.reserve = if self.disk.remove(&path).is_ok() { 0 } else { self.reserve };
        self.close_file();
        // Its checkpoint makes the acks durable, so that the files before it may go.
        let freed = self.current.is_none() && self.begin_file().is_ok() && self.frees(need + opening);
        self.keep_reserve();
        freed
    }

    fn frees(&mut self, need: u64) -> bool {
        let before = locked(&self.shared).bytes();
        // It may free something and fail then: acks that could not be written keep files.
        drop(self.remove_clear(need));
        locked(&self.shared).bytes() < before
    }

    /// Sees to it that the reserve is there and large enough, if the disk has room for it.
    pub(crate) fn keep_reserve(&mut self) {
        let opening = self.current.as_ref().map_or(0, |current| current.opening);
        let wanted = RESERVE_BYTES.min(self.settings.max_bytes / 64).max(2 * opening);
        if self.reserve >= wanted {
            return;
        }
        let path = self.settings.dir.join(RESERVE);
        drop(self.disk.remove(&path));
        let zeros = vec![0; usize::try_from(wanted).unwrap_or(0)];
        let made = self.disk.open(&path, OpenHow::CreateNew).and_then(|mut file| file.append(&zeros));
        self.reserve = if made.is_ok() { wanted } else { 0 };
        if made.is_err() {
            drop(self.disk.remove(&path));
        }
    }

    /// How large the reserve is that an earlier process left.
    pub(crate) fn find_reserve(&mut self) {
        let found = self.disk.open(&self.settings.dir.join(RESERVE), OpenHow::Read).and_then(|file| file.state());
        self.reserve = found.map_or(0, |state| state.len);
    }
}

#[cfg(test)]
mod tests;
