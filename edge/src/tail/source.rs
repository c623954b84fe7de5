//! One file being read: its descriptor, its position, its pipeline.
//!
//! Parts: [`Source::open`] (at a position or at the beginning), [`read`] (the next lines, within a budget, to the pipeline;
//! their end), [`Source::look`] (renamed, truncated, gone?), [`Source::position`] (what the WAL must hold). Promises: the
//! position is exact after every line, the pipeline's held pieces included; a renamed file is read to its end through its
//! descriptor; bytes are handed on only while the file's first bytes are those that were known (but see
//! [`read`]). Must not do: choose when to read.

mod progress;
pub mod read;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edge_pipeline::{Program, Run};
use edge_wal::SourcePosition;
use proto_model::{Labels, Timestamp};
use proto_seam::{Disk, FileIdentity, FileState};

use super::content::{Content, Packing};
use super::rotation::{Change, HEAD_BYTES, Head, Known, Seen, judge};
use super::split::Splitter;
use super::text::Text;
use crate::discover::Found;
use progress::Progress;

/// Bytes read at once.
pub const READ_BYTES: usize = 256 * 1024;
/// A renamed file is read on for so long after its last byte: its writer may hold it open a while.
pub const DRAIN_WAIT: Duration = Duration::from_secs(5);
/// Shortest and longest wait between two looks at a silent file.
pub const LOOK_WAIT: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(500));
/// The same for a file whose directory is watched: in case that something was not told.
pub const SWEEP_WAIT: Duration = Duration::from_secs(10);
/// An archive that ends in the middle may still be written: so long without a change and it is damaged.
pub const EARLY_END_WAIT: Duration = Duration::from_secs(60);

/// Where a source is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Its path leads to it.
    Live,
    /// Its path leads elsewhere or nowhere, or it is an archive; last bytes came at this time.
    Draining(Timestamp),
}

/// What is left of a source that is not read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The file is there and was read to its end.
    Done,
    /// The file is gone.
    Gone,
}

/// One file.
pub struct Source {
    /// What it was found as.
    pub found: Found,
    content: Content,
    identity: FileIdentity,
    head: Head,
    generation: u32,
    offset: u64,
    /// The newest line boundary at which the pipeline held nothing.
    clean: u64,
    /// What lies before was read by another program.
    begun: u64,
    splitter: Splitter,
    text: Text,
    run: Run,
    life: Life,
    ended: Option<Ended>,
    /// Its position changed since the WAL was last told.
    pub dirty: bool,
    /// The last read failed: nobody waits for it meanwhile.
    pub troubled: bool,
    /// Its directory is watched: looks are rare.
    pub watched: bool,
    /// Of an archive its packed length.
    len_seen: u64,
    links: u64,
    wait: Duration,
    modified_seen_ns: i64,
    /// The newest date in a name beside it when it was begun.
    after: String,
    /// Nothing more was there at the last read: what is there next may be another beginning.
    at_end: bool,
    /// Its first bytes were not those that were known: the next look tells.
    doubtful: bool,
    /// When bytes came last.
    fed: Timestamp,
    /// When its end was met last.
    end_met: Timestamp,
    /// Since when an archive ends in the middle.
    early_end: Option<Timestamp>,
    progress: Progress,
    /// Since when it has no name.
    deleted: Option<Timestamp>,
    /// Files of one path in the order in which they bore it.
    pub rank: u64,
    /// When to look at it next.
    pub next_look: Timestamp,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// Nothing special.
    Fine,
    /// It was truncated, `unread` bytes (at least) were never read.
    Truncated {
        /// Bytes known to have been there beyond the offset.
        unread: u64,
    },
    /// Its path leads elsewhere since the last look.
    Renamed,
    /// Read to its end and not coming back.
    Finished,
    /// An archive that cannot be unpacked to its end.
    Damaged,
}

/// How a file is opened.
pub struct Opening<'a> {
    /// What it was found as.
    pub found: Found,
    /// Where it lies now: its path, or what it was renamed to.
    pub at: &'a Path,
    /// How it is packed.
    pub packing: Option<Packing>,
    /// Its characters.
    pub text: Text,
    /// What becomes of its lines.
    pub program: &'a Arc<Program>,
    /// How far it was read, if it was.
    pub position: Option<&'a SourcePosition>,
    /// That position is of a file with another inode and the same content: this one takes its place.
    pub is_copy: bool,
    /// The newest date in a name beside it when it was begun, or its own.
    pub after: String,
}

impl Source {
    /// Opens a file, continuing at the position when that is of the same file.
    /// The second value says what became of the position.
    ///
    /// # Errors
    /// What the disk says; `PermissionDenied` and `InvalidInput` mean that it must not be read.
    pub fn open(opening: Opening<'_>, disk: &dyn Disk, now: Timestamp) -> io::Result<(Self, Change)> {
        let Opening { found, at, packing, text, program, position, is_copy, after } = opening;
        let content = Content::new(disk.open_beneath(at, &found.roots)?, packing);
        let state = content.state()?;
        let first = match content.first(HEAD_BYTES) {
            // What cannot be unpacked is told when it is read.
            Err(damage) if content.is_archive() && matches!(damage.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => Vec::new(),
            first => first?,
        };
        let labels = Arc::new(found.labels.clone());
        let text = text.of_file(&first);
        let mut source = Self {
            identity: state.identity,
            head: Head::of(&first),
            generation: 0,
            offset: 0,
            clean: 0,
            begun: 0,
            splitter: Splitter::new(text),
            text,
            run: Run::new(Arc::clone(program), Arc::clone(&labels)),
            life: if content.is_archive() { Life::Draining(now) } else { Life::Live },
            content,
            ended: None,
            dirty: true,
            troubled: false,
            watched: false,
            len_seen: state.len,
            links: state.links,
            wait: LOOK_WAIT.0,
            modified_seen_ns: state.modified_ns,
            after,
            at_end: false,
            doubtful: false,
            fed: now,
            end_met: Timestamp::MIN,
            early_end: None,
            progress: Progress::default(),
            deleted: None,
            rank: 0,
            next_look: now,
            found,
        };
        let Some(position) = position else { return Ok((source, Change::Other)) };
        let identity = if is_copy { state.identity } else { position.identity };
        let known = Known { identity, head: Head { hash: position.head_hash, len: position.head_len }, offset: position.offset };
        let len = if source.content.is_archive() { u64::MAX } else { state.len };
        let change = judge(&known, &Seen { identity: state.identity, len, first: &first });
        match change {
            Change::Same => {
                source.generation = position.generation;
                source.begun = position.begun;
                source.restore(position, program, labels);
                source.dirty |= is_copy;
                source.run.read_by(now);
                source.was_behind(position.modified_ns, now);
            }
            Change::Truncated => source.generation = position.generation + 1,
            Change::Other => {}
        }
        Ok((source, change))
    }

    /// From now on its lines begin with `labels`; what the pipeline holds keeps those it has.
    pub fn relabel(&mut self, labels: Labels, program: &Arc<Program>) {
        let base = Arc::new(labels.clone());
        self.found.labels = labels;
        match self.run.held().map(|held| Run::restore(Arc::clone(program), Arc::clone(&base), &held)) {
            None => self.run = Run::new(Arc::clone(program), base),
            Some(Ok(run)) => self.run = run,
            // What it wrote itself it can read; if not, the lines it holds are worth more than the newer labels.
            Some(Err(fault)) => tracing::warn!(path = %self.found.path.display(), %fault, "a file keeps the labels it had"),
        }
    }

    fn restore(&mut self, position: &SourcePosition, program: &Arc<Program>, labels: Arc<Labels>) {
        self.dirty = position.done;
        if position.held.is_empty() {
            self.offset = position.resume;
            self.clean = position.resume;
            return;
        }
        match Run::restore(Arc::clone(program), labels, &position.held) {
            Ok(run) => {
                self.run = run;
                self.offset = position.offset;
                self.clean = position.resume;
            }
            Err(fault) => {
                // The pipeline's settings changed: what it held is still in the file.
                tracing::warn!(path = %self.found.path.display(), %fault, "held lines are read again from the file");
                self.offset = position.resume;
                self.clean = position.resume;
            }
        }
    }

    /// Whether it must be looked at before it is read on: it was read to its end, and may have been cut since.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Whether it is an archive.
    #[must_use]
    pub const fn is_archive(&self) -> bool {
        self.content.is_archive()
    }

    /// Whether it holds the memory of a decoder.
    #[must_use]
    pub fn is_unpacking(&self) -> bool {
        self.content.is_unpacking()
    }

    /// Marks it as a file that no longer bears its path.
    pub const fn drain(&mut self, now: Timestamp) {
        self.life = Life::Draining(now);
    }

    /// It is to be looked at now.
    pub const fn wake(&mut self, now: Timestamp) {
        self.next_look = now;
        self.wait = LOOK_WAIT.0;
    }

    /// Its last modification as it was seen, ns since 1970.
    #[must_use]
    pub const fn modified_ns(&self) -> i64 {
        self.modified_seen_ns
    }

    /// The newest date in a name beside it when it was begun.
    #[must_use]
    pub fn after(&self) -> &str {
        &self.after
    }

    /// Its names, as they were seen; it is flagged with more than one.
    #[must_use]
    pub const fn links(&self) -> u64 {
        self.links
    }

    /// Whether its first bytes, as far as they are known, are those of another file: a copy.
    #[must_use]
    pub fn begins_like(&self, first: &[u8]) -> bool {
        self.head.len > 0 && self.head.begins(first)
    }

    /// Its last known length, packed bytes of an archive.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len_seen
    }

    /// Whether it held nothing when it was last seen.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len_seen == 0
    }

    /// Which file it is.
    #[must_use]
    pub const fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// Bytes handed out; unpacked ones of an archive.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Disk space that only this process keeps from being free, and since when.
    #[must_use]
    pub fn kept_deleted(&self) -> Option<(u64, Timestamp)> {
        self.deleted.map(|since| (self.len_seen, since))
    }

    /// Moves it to a committed position (adoption): reading begins there.
    pub fn reposition(&mut self, offset: u64, generation: u32, program: &Arc<Program>) {
        self.offset = offset;
        self.clean = offset;
        self.generation = generation;
        self.splitter.clear();
        self.run = Run::new(Arc::clone(program), Arc::new(self.found.labels.clone()));
        self.at_end &= !self.content.is_archive();
        self.next_look = Timestamp::MIN;
        self.dirty = true;
    }

    /// The wall clock was set back to `now`: what was to happen later than it ever waits for happens now.
    pub fn set_back(&mut self, now: Timestamp) {
        self.next_look = self.next_look.min(now);
        self.fed = self.fed.min(now);
        self.end_met = self.end_met.min(now);
        self.early_end = self.early_end.map(|since| since.min(now));
        self.deleted = self.deleted.map(|since| since.min(now));
        if let Life::Draining(last) = &mut self.life {
            *last = now.min(*last);
        }
    }

    /// The wall clock was set by so much: what waits for a time waits as long as it would have.
    pub fn clock_stepped(&mut self, by_ns: i64) {
        self.run.clock_stepped(by_ns);
        let moved = |at: &mut Timestamp| *at = Timestamp(at.nanos().saturating_add(by_ns));
        moved(&mut self.fed);
        moved(&mut self.end_met);
        self.early_end.iter_mut().chain(&mut self.deleted).chain(&mut self.progress.behind_since).for_each(moved);
        if let Life::Draining(last) = &mut self.life {
            moved(last);
        }
    }

    /// Looks whether the file was truncated, renamed, or is finished; to be called when it is idle. It is finished
    /// only when files were `searched` for since its last byte: till then it may have a new name within the glob.
    ///
    /// # Errors
    /// What the disk says of its own descriptor.
    pub fn look(&mut self, disk: &dyn Disk, now: Timestamp, searched: Timestamp) -> io::Result<Looked> {
        self.next_look = now.plus(self.wait);
        self.wait = (self.wait * 2).min(LOOK_WAIT.1);
        // Its name is looked at first: a file that cannot be read must not keep its successor from being read.
        let here = disk.state(&self.found.path).is_ok_and(|there| there.identity == self.identity);
        let was_live = self.life == Life::Live;
        self.life = match (here, self.life) {
            (true, _) if !self.content.is_archive() => Life::Live,
            (_, Life::Live) => Life::Draining(now),
            (_, draining) => draining,
        };
        let state = self.content.state()?;
        self.links = state.links;
        self.deleted = if state.links == 0 { self.deleted.or(Some(now)) } else { None };
        // Another name may be written by, which no watch of this one's directory tells.
        if self.watched && self.life == Life::Live && state.links == 1 {
            self.next_look = now.plus(SWEEP_WAIT);
        }
        if self.content.is_archive() {
            return Ok(self.look_at_archive(&state, now, searched));
        }
        let touched = state.len != self.len_seen || state.modified_ns != self.modified_seen_ns;
        self.modified_seen_ns = state.modified_ns;
        // Bytes of an unfinished line were read too: a file shorter than that was cut.
        let end = self.offset + self.splitter.unfinished();
        if touched || self.doubtful || state.len < end {
            let first = self.content.first(HEAD_BYTES)?;
            let known = Known { identity: self.identity, head: self.head, offset: end };
            if judge(&known, &Seen { identity: state.identity, len: state.len, first: &first }) == Change::Truncated {
                return Ok(self.truncated(state.len, &first));
            }
            self.doubtful = false;
            self.learn_head(&first);
        }
        self.len_seen = state.len;
        self.note_behind(now);
        if was_live && self.is_draining() {
            return Ok(Looked::Renamed);
        }
        let drained = matches!(self.life, Life::Draining(last) if now.since(last) >= DRAIN_WAIT && searched > last);
        Ok(if drained && state.len <= end { Looked::Finished } else { Looked::Fine })
    }

    fn look_at_archive(&mut self, state: &FileState, now: Timestamp, searched: Timestamp) -> Looked {
        if state.len != self.len_seen || state.modified_ns != self.modified_seen_ns {
            (self.len_seen, self.modified_seen_ns) = (state.len, state.modified_ns);
            (self.at_end, self.early_end) = (false, None);
            self.content.rest();
            return Looked::Fine;
        }
        match (self.early_end, self.life) {
            (Some(since), _) if now.since(since) >= EARLY_END_WAIT => Looked::Damaged,
            (None, Life::Draining(last)) if self.at_end && now.since(last) >= DRAIN_WAIT && searched > last => Looked::Finished,
            _ => Looked::Fine,
        }
    }

    /// More first bytes than were known.
    fn learn_head(&mut self, first: &[u8]) {
        if first.len().min(HEAD_BYTES) > self.head.len as usize {
            self.head = Head::of(first);
            self.dirty = true;
        }
    }

    fn truncated(&mut self, len: u64, first: &[u8]) -> Looked {
        let unread = self.len_seen.saturating_sub(self.offset);
        self.head = Head::of(first);
        self.generation += 1;
        self.offset = 0;
        self.clean = 0;
        self.begun = 0;
        self.text = self.text.of_file(first);
        self.splitter = Splitter::new(self.text);
        self.len_seen = len;
        (self.at_end, self.doubtful) = (false, false);
        self.dirty = true;
        self.wait = LOOK_WAIT.0;
        Looked::Truncated { unread }
    }

    /// Whether its path leads elsewhere, or it is an archive: it ends.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        matches!(self.life, Life::Draining(_))
    }

    /// Whether it ends only after another search than that at `searched`.
    #[must_use]
    pub fn awaits_search(&self, searched: Timestamp) -> bool {
        matches!(self.life, Life::Draining(last) if searched <= last)
    }

    /// What the WAL must hold with the lines handed out so far.
    #[must_use]
    pub fn position(&self) -> SourcePosition {
        let is_done = self.ended == Some(Ended::Done);
        SourcePosition {
            path: self.found.path.to_string_lossy().into_owned(),
            identity: self.identity,
            head_hash: self.head.hash,
            head_len: self.head.len,
            generation: self.generation,
            offset: self.offset,
            resume: self.clean,
            held: self.run.held().unwrap_or_default(),
            gone: self.ended == Some(Ended::Gone),
            // Packed bytes do not tell how much is left of an archive; they tell whether it changed since it was done.
            size: if self.content.is_archive() && !is_done { 0 } else { self.len_seen },
            modified_ns: self.modified_seen_ns,
            after: self.after.clone(),
            done: is_done,
            begun: self.begun,
            ..SourcePosition::default()
        }
    }

    /// The path it was found at.
    #[must_use]
    pub const fn path(&self) -> &PathBuf {
        &self.found.path
    }

    /// What the pipeline dropped, failed on or cut since it was last asked.
    pub fn take_counters(&mut self) -> edge_pipeline::Counters {
        self.run.take_counters()
    }
}
