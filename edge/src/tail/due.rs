//! When sources are to be asked next, and whether files are to be searched for.
//!
//! Parts: [`Tail::due_in`] (a turn before that asks no source at all), [`Tail::cover`] (after a search: its directories are
//! watched from now on), [`Tail::needs_search`], [`Tail::set_back`] and [`Tail::clock_stepped`] (somebody set the clock). A search is left out once all directories of the last one were watched
//! before it began, all files that it found are read, and nothing waits for it. Limits: [`COVER_DIRS_MAX`] directories, past them
//! files are searched for as if nothing were watched; so they are where a directory cannot be watched. Promises: files are
//! searched for every [`COVERED_WAIT`] all the same. Must not do: search.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use proto_model::Timestamp;

use super::Tail;
use crate::discover::Found;
use crate::discover::files::Listing;

/// Directories that are watched for names alone: the system's watches serve other programs too (8,192 on a small machine).
pub(super) const COVER_DIRS_MAX: usize = 4_096;
/// Longest wait between two searches all the same.
const COVERED_WAIT: Duration = Duration::from_secs(60);
/// Names came or went: files are searched for at most so often for that.
const SEARCH_WAIT: Duration = Duration::from_millis(250);

impl Tail {
    /// Something changed beside the way: the next turn asks all sources, and files are searched for at the usual time.
    pub(super) const fn stir(&mut self) {
        (self.due, self.search_due, self.touched) = (Timestamp::MIN, Timestamp::MIN, true);
    }

    /// Whether any source was looked at, began, ended or changed since the last call.
    pub const fn take_touched(&mut self) -> bool {
        std::mem::replace(&mut self.touched, false)
    }

    /// When the next source wants to be looked at, or a pipeline to be ticked.
    #[must_use]
    pub fn due_in(&self, now: Timestamp) -> Duration {
        let wanted = if self.due == Timestamp::MIN { self.wanted() } else { Some(self.due) };
        wanted.into_iter().chain(self.notice.due()).min().map_or(Duration::from_secs(1), |at| at.since(now).min(Duration::from_secs(1)))
    }

    /// When the first source wants to be looked at or ticked.
    pub(super) fn wanted(&self) -> Option<Timestamp> {
        self.sources.values().map(|source| source.deadline().map_or(source.next_look, |deadline| deadline.min(source.next_look))).min()
    }

    /// Takes up where the last search looked, and what it found. To be called after [`Tail::found`].
    pub fn cover(&mut self, listing: &Listing<'_>, found: &BTreeMap<PathBuf, Found>, now: Timestamp) {
        self.looked_in = listing.looked_in().filter(|(_, there)| *there).map(|(dir, _)| dir.to_path_buf()).collect();
        let was_covered = self.notice.cover(self.disk.as_ref(), listing, now);
        let is_covered = was_covered && !self.search_wanted && self.is_settled(found);
        self.search_due = if is_covered { now.plus(COVERED_WAIT) } else { Timestamp::MIN };
    }

    /// Nothing of what was found, or was known before, waits for another search.
    fn is_settled(&self, found: &BTreeMap<PathBuf, Found>) -> bool {
        let is_refused = |file: &Found| self.refused.get(&file.path).is_some_and(|(until, _)| *until == Timestamp::MAX);
        self.known.is_empty()
            && self.waiting.is_empty()
            && self.sources.values().all(|source| source.is_draining() || found.contains_key(source.path()))
            && self.not_open(found).iter().all(is_refused)
    }

    /// Whether files must be searched for at the usual time.
    #[must_use]
    pub fn needs_search(&self, now: Timestamp) -> bool {
        // A renamed file ends only after a search that did not find it again.
        let is_awaited = || self.sources.values().any(|source| source.awaits_search(self.searched));
        self.search_wanted || now >= self.search_due || is_awaited() || self.notice.is_led_elsewhere(self.disk.as_ref())
    }

    /// Whether files should be searched for before their time: names came or went.
    #[must_use]
    pub fn wants_search(&self, now: Timestamp) -> bool {
        self.search_wanted && !self.found_many && now >= self.searched.plus(SEARCH_WAIT)
    }

    /// The wall clock was set back to `now`: nothing waits for the time that comes again.
    pub fn set_back(&mut self, now: Timestamp) {
        self.stir();
        self.searched = self.searched.min(now);
        self.jobs.iter_mut().for_each(|job| job.since = job.since.min(now));
        self.done_due = self.done_due.min(now);
        self.waiting.values_mut().for_each(|since| *since = now.min(*since));
        self.notice.set_back(now);
        self.refused.values_mut().for_each(|(until, _)| *until = now.min(*until));
        self.sources.values_mut().for_each(|source| source.set_back(now));
    }

    /// The wall clock was set forward by `by_ns` (back, if negative): what pipelines hold waits as long as it would have.
    pub fn clock_stepped(&mut self, by_ns: i64) {
        self.stir();
        self.sources.values_mut().for_each(|source| source.clock_stepped(by_ns));
    }
}
