//! How far a source has come, for people: what was taken from it since it was opened, and since when bytes of it wait.
//!
//! Pure. Parts: [`Progress`]; [`Source::behind`], [`Source::lines`], [`Source::behind_for`], [`Source::take_uncounted`]. Bytes wait since they were
//! noticed; those that were there when it was opened, since it was last written to before. Must not do: decide when to read.

use std::time::Duration;

use proto_model::Timestamp;

use super::Source;
use super::read::LineCount;

/// What a source counts of itself.
#[derive(Debug, Default)]
pub(super) struct Progress {
    total: LineCount,
    /// What of it was asked for already.
    counted: LineCount,
    /// Its tenant's budget is used up until then.
    pub(super) held_until: Option<Timestamp>,
    /// Since when something is there that was not read.
    pub(super) behind_since: Option<Timestamp>,
}

impl Progress {
    pub(super) const fn add(&mut self, count: LineCount) {
        self.total.add(count);
    }
}

impl Source {
    /// Looks whether something waits to be read at `now`.
    pub(super) fn note_behind(&mut self, now: Timestamp) {
        let is_behind = self.unread() > 0;
        self.progress.behind_since = is_behind.then(|| self.progress.behind_since.map_or(now, |since| since.min(now)));
    }

    /// What waits already was written at about `modified_ns`, when this source was last seen, or later.
    pub(super) fn was_behind(&mut self, modified_ns: i64, now: Timestamp) {
        self.note_behind(if modified_ns > 0 { now.min(Timestamp(modified_ns)) } else { now });
    }

    /// Bytes of it that were not read yet, by its last known length; packed bytes of an archive.
    #[must_use]
    pub fn behind(&self) -> u64 {
        match (self.content.is_archive(), self.at_end) {
            (false, _) => self.len_seen.saturating_sub(self.offset),
            (true, true) => 0,
            (true, false) => self.len_seen.saturating_sub(self.content.packed_at()).max(1),
        }
    }

    /// Bytes that are in the file and were never read, by its last known length; those of an unfinished line were.
    #[must_use]
    pub fn unread(&self) -> u64 {
        if self.content.is_archive() { self.behind() } else { self.len_seen.saturating_sub(self.offset + self.splitter.unfinished()) }
    }

    /// Lines taken from it since it was opened.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.progress.total.lines
    }

    /// How long at most the oldest of its unread bytes has waited at `now`; zero when all is read.
    #[must_use]
    pub fn behind_for(&self, now: Timestamp) -> Duration {
        if self.unread() == 0 { Duration::ZERO } else { self.progress.behind_since.map_or(Duration::ZERO, |since| now.since(since)) }
    }

    /// What was taken from it since the last call.
    pub fn take_uncounted(&mut self) -> LineCount {
        let total = self.progress.total;
        let before = std::mem::replace(&mut self.progress.counted, total);
        LineCount { lines: total.lines - before.lines, bytes: total.bytes - before.bytes, cut: total.cut - before.cut }
    }
}
