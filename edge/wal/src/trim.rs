//! Deletes files that the hub has, whole and oldest first.
//!
//! Parts: [`outside_grace`] (pure: which of them go), [`Wal::trim`], [`Wal::remove_clear`] (for room:
//! without grace). Promises: a file with an unacked entry stays; before a file goes, what was acked of it
//! is durable, so that a restart does not take it for lost (on a full disk only such files go).
//! Must not do: give anything up (`quota.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use proto_model::Timestamp;

use crate::fault::WalFault;
use crate::file;
use crate::index::{Clear, FileFact};
use crate::wal::{Wal, locked};

/// The clear files that the grace does not keep: it keeps the newest, up to `grace_bytes` and `grace_age`.
fn outside_grace(files: &BTreeMap<u32, FileFact>, clear: &BTreeMap<u32, Clear>, grace_bytes: u64, grace_age: Duration, now: Timestamp) -> BTreeSet<u32> {
    let mut kept = 0_u64;
    let mut out = BTreeSet::new();
    for (number, clear) in clear.iter().rev() {
        let file = files.get(number).copied().unwrap_or_default();
        let is_young = file.clear_since.is_none_or(|since| now.since(since) < grace_age);
        kept = if clear.holds_acked { kept.saturating_add(file.bytes) } else { kept };
        if !clear.holds_acked || !is_young || kept > grace_bytes {
            out.insert(*number);
        }
    }
    out
}

/// The files of `chosen` that no kept file needs to know its own end, or how its entries are numbered now.
fn with_those_before(files: &BTreeMap<u32, FileFact>, rebased_in: &BTreeSet<u32>, chosen: &BTreeSet<u32>) -> BTreeSet<u32> {
    let mut out = BTreeSet::new();
    for number in chosen {
        let before = number - 1;
        let ends = out.contains(&before) || files.get(&before).is_none_or(|before| !before.needs_next);
        if ends && (!rebased_in.contains(number) || files.range(..number).all(|(older, _)| out.contains(older))) {
            out.insert(*number);
        }
    }
    out
}

impl Wal {
    /// Deletes the files that the hub has and the grace does not keep; gives the bytes freed.
    /// Call it after acks and every few seconds.
    ///
    /// # Errors
    /// [`WalFault::Io`], [`WalFault::DiskFull`] when acks could not be made durable first.
    pub fn trim(&mut self, now: Timestamp) -> Result<u64, WalFault> {
        let going = {
            let mut index = locked(&self.shared);
            let clear = index.clear_files();
            for (number, file) in &mut index.files {
                file.clear_since = clear.get(number).map(|_| file.clear_since.unwrap_or(now));
            }
            outside_grace(&index.files, &clear, self.settings.grace_bytes, self.settings.grace_age, now)
        };
        self.remove(&going)
    }

    /// Deletes clear files, oldest first and whatever the grace says, until `need` bytes are free; gives the bytes freed.
    pub(crate) fn remove_clear(&mut self, need: u64) -> Result<u64, WalFault> {
        if need == 0 {
            return Ok(0);
        }
        let going = {
            let index = locked(&self.shared);
            let mut left = need;
            let mut going = BTreeSet::new();
            for number in index.clear_files().into_keys() {
                if left > 0 {
                    left = left.saturating_sub(index.files.get(&number).map_or(0, |file| file.bytes));
                    going.insert(number);
                }
            }
            going
        };
        self.remove(&going)
    }

    fn remove(&mut self, chosen: &BTreeSet<u32>) -> Result<u64, WalFault> {
        let going = &{
            let index = locked(&self.shared);
            with_those_before(&index.files, &index.rebased_in, chosen)
        };
        if going.is_empty() {
            return Ok(0);
        }
        let is_unwritten = {
            let index = locked(&self.shared);
            !self.pending.is_empty() || index.clear_files().iter().any(|(number, clear)| going.contains(number) && !clear.is_durable)
        };
        let written = if is_unwritten { self.write_acks() } else { Ok(()) };
        if let Err(fault @ (WalFault::Io { .. } | WalFault::Unwritable { .. })) = written {
            return Err(fault);
        }
        let clear = locked(&self.shared).clear_files();
        let mut removed = BTreeSet::new();
        let mut fault = None;
        for number in going.iter().filter(|number| clear.get(number).is_some_and(|clear| clear.is_durable)) {
            if fault.is_some() && locked(&self.shared).rebased_in.contains(number) {
                break; // An older file is still there, and cannot be read without this one.
            }
            let path = self.settings.dir.join(file::name(u64::from(*number)));
            match self.disk.remove(&path) {
                Ok(()) => drop(removed.insert(*number)),
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => drop(removed.insert(*number)),
                Err(other) => fault = Some(WalFault::io("removing", &path, other)),
            }
        }
        let freed = {
            let mut index = locked(&self.shared);
            let freed = removed.iter().filter_map(|number| index.files.get(number)).map(|file| file.bytes).sum();
            index.forget_files(&removed);
            freed
        };
        self.reader.close();
        fault.map_or(written.map(|()| freed), Err)
    }
}

#[cfg(test)]
mod tests;
