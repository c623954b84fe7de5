//! One file being read: its descriptor, its position, its pipeline.
//!
//! Parts: [`Source::open`] (at a position or at the beginning), [`Source::read`] (the next lines, within a
//! budget, to the pipeline), [`Source::look`] (renamed, truncated, gone?), [`Source::position`] (what the WAL
//! must hold). Promises: the position is exact after every line, the pipeline's held pieces included; a
//! renamed file is read to its end through its descriptor. Must not do: choose when to read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edge_pipeline::{Program, Run};
use edge_wal::SourcePosition;
use proto_model::{Labels, Timestamp};
use proto_seam::{Disk, DiskFile, FileIdentity};

use super::rotation::{Change, HEAD_BYTES, Head, Known, Seen, judge};
use super::split::{Line, Splitter};
use crate::discover::Found;
use crate::gather::Gather;

/// Bytes read at once.
pub const READ_BYTES: usize = 256 * 1024;
/// A renamed file is read on for so long after its last byte: its writer may hold it open a while.
pub const DRAIN_WAIT: Duration = Duration::from_secs(5);
/// Shortest and longest wait between two looks at a silent file.
pub const LOOK_WAIT: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(500));

/// Where a source is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Its path leads to it.
    Live,
    /// Its path leads elsewhere or nowhere; last bytes came at this time.
    Draining(Timestamp),
}

/// One file.
pub struct Source {
    /// What it was found as.
    pub found: Found,
    file: Box<dyn DiskFile>,
    identity: FileIdentity,
    head: Head,
    generation: u32,
    offset: u64,
    /// The newest line boundary at which the pipeline held nothing.
    clean: u64,
    splitter: Splitter,
    run: Run,
    life: Life,
    gone: bool,
    /// Its position changed since the WAL was last told.
    pub dirty: bool,
    /// The last read failed: nobody waits for it meanwhile.
    pub troubled: bool,
    len_seen: u64,
    wait: Duration,
    modified_seen_ns: i64,
    /// Nothing more was there at the last read: what is there next may be another beginning.
    at_end: bool,
    /// Files of one path in the order in which they bore it.
    pub rank: u64,
    /// When to look at it next.
    pub next_look: Timestamp,
}

/// What one read did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadEnd {
    /// The budget or the batch is used up: more is there.
    More,
    /// Nothing more for now.
    Idle,
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
}

/// The first bytes of a file, at most [`HEAD_BYTES`].
///
/// # Errors
/// What the disk says.
pub fn read_head(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let mut first = vec![0; HEAD_BYTES];
    let mut len = 0;
    while len < first.len() {
        match file.read_at(&mut first[len..], len as u64)? {
            0 => break,
            n => len += n,
        }
    }
    first.truncate(len);
    Ok(first)
}

impl Source {
    /// Opens `found` where it lies now (`at`: its path, or what it was renamed to), continuing at `position` when that
    /// is of the same file.
    /// The second value says what became of the position.
    ///
    /// # Errors
    /// What the disk says; `PermissionDenied` and `InvalidInput` mean that it must not be read.
    pub fn open(
        found: Found,
        at: &Path,
        position: Option<&SourcePosition>,
        program: &Arc<Program>,
        disk: &dyn Disk,
        now: Timestamp,
    ) -> io::Result<(Self, Change)> {
        let file = disk.open_beneath(at, &found.roots)?;
        let state = file.state()?;
        let first = read_head(file.as_ref())?;
        let labels = Arc::new(found.labels.clone());
        let mut source = Self {
            file,
            identity: state.identity,
            head: Head::of(&first),
            generation: 0,
            offset: 0,
            clean: 0,
            splitter: Splitter::default(),
            run: Run::new(Arc::clone(program), Arc::clone(&labels)),
            life: Life::Live,
            gone: false,
            dirty: true,
            troubled: false,
            len_seen: state.len,
            wait: LOOK_WAIT.0,
            modified_seen_ns: state.modified_ns,
            at_end: false,
            rank: 0,
            next_look: now,
            found,
        };
        let Some(position) = position else { return Ok((source, Change::Other)) };
        let known = Known { identity: position.identity, head: Head { hash: position.head_hash, len: position.head_len }, offset: position.offset };
        let change = judge(&known, &Seen { identity: state.identity, len: state.len, first: &first });
        match change {
            Change::Same => {
                source.generation = position.generation;
                source.restore(position, program, labels);
                source.run.read_by(now);
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
        self.dirty = false;
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

    /// Marks it as a file that no longer bears its path.
    pub const fn drain(&mut self, now: Timestamp) {
        self.life = Life::Draining(now);
    }

    /// Its last modification as it was seen, ns since 1970.
    #[must_use]
    pub const fn modified_ns(&self) -> i64 {
        self.modified_seen_ns
    }

    /// Whether its first bytes, as far as they are known, are those of another file: a copy.
    #[must_use]
    pub fn begins_like(&self, first: &[u8]) -> bool {
        self.head.len > 0 && self.head.begins(first)
    }

    /// Which file it is.
    #[must_use]
    pub const fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// Bytes of it that were not read yet, by its last known length.
    #[must_use]
    pub const fn behind(&self) -> u64 {
        self.len_seen.saturating_sub(self.offset)
    }

    /// Bytes that are in the file and were never read, by its last known length; those of an unfinished line were.
    #[must_use]
    pub const fn unread(&self) -> u64 {
        self.len_seen.saturating_sub(self.offset + self.splitter.unfinished())
    }

    /// Moves it to a committed position (adoption): reading begins there.
    pub fn reposition(&mut self, offset: u64, generation: u32, program: &Arc<Program>) {
        self.offset = offset;
        self.clean = offset;
        self.generation = generation;
        self.splitter.clear();
        self.run = Run::new(Arc::clone(program), Arc::new(self.found.labels.clone()));
        self.dirty = true;
    }

    /// Reads up to `READ_BYTES` and sends complete lines through the pipeline into `gather`, until that is full.
    ///
    /// # Errors
    /// What the disk says; the position stays before what could not be read.
    pub fn read(&mut self, buffer: &mut Vec<u8>, now: Timestamp, gather: &mut Gather) -> io::Result<(ReadEnd, LineCount)> {
        if self.is_limited(now) {
            return Ok((ReadEnd::Idle, LineCount::default()));
        }
        buffer.resize(READ_BYTES, 0);
        let at = self.offset + self.splitter.unfinished();
        let got = self.file.read_at(buffer, at)?;
        self.troubled = false;
        let mut count = LineCount::default();
        self.at_end = got == 0;
        if got == 0 {
            return Ok((ReadEnd::Idle, count));
        }
        self.len_seen = self.len_seen.max(at + got as u64);
        if let Life::Draining(last) = &mut self.life {
            *last = now;
        }
        let Self { offset, clean, run, splitter, .. } = self;
        splitter.feed(&buffer[..got], &mut |line| {
            *offset += line.consumed;
            count.line(&line);
            run.line(line.bytes, now, &mut |out| gather.push(out.labels, out.time, out.metadata, out.line, now));
            if !run.is_holding() {
                *clean = *offset;
            }
            !gather.is_stopped() && run.wait_until(now).is_none()
        });
        self.dirty |= count.lines > 0;
        self.wait = LOOK_WAIT.0;
        self.is_limited(now);
        Ok((ReadEnd::More, count))
    }

    /// Whether a stage limits the rate of lines and none is due yet: then the next look is when one is, at the latest at the usual time.
    fn is_limited(&mut self, now: Timestamp) -> bool {
        let Some(until) = self.run.wait_until(now) else { return false };
        self.next_look = until.min(now.plus(LOOK_WAIT.1));
        true
    }

    /// The wall clock was set back to `now`: what was to happen later than it ever waits for happens now.
    pub fn set_back(&mut self, now: Timestamp) {
        self.next_look = self.next_look.min(now);
        if let Life::Draining(last) = &mut self.life {
            *last = now.min(*last);
        }
    }

    /// The wall clock was set by so much: what the pipeline holds waits as long as it would have.
    pub fn clock_stepped(&mut self, by_ns: i64) {
        self.run.clock_stepped(by_ns);
    }

    /// Lets the pipeline flush what is due.
    pub fn tick(&mut self, now: Timestamp, gather: &mut Gather) {
        if self.run.deadline().is_some_and(|deadline| deadline <= now) {
            self.run.tick(now, &mut |out| gather.push(out.labels, out.time, out.metadata, out.line, now));
            self.settle();
        }
    }

    /// The pipeline let go of something: the position says so.
    fn settle(&mut self) {
        if !self.run.is_holding() {
            self.clean = self.offset;
        }
        self.dirty = true;
    }

    /// When the pipeline wants to be ticked.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.run.deadline()
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
            (true, _) => Life::Live,
            (false, Life::Live) => Life::Draining(now),
            (false, draining) => draining,
        };
        let state = self.file.state()?;
        let touched = state.len != self.len_seen || state.modified_ns != self.modified_seen_ns;
        self.modified_seen_ns = state.modified_ns;
        // Bytes of an unfinished line were read too: a file shorter than that was cut.
        let end = self.offset + self.splitter.unfinished();
        let first = if touched || state.len < end { read_head(self.file.as_ref())? } else { Vec::new() };
        let known = Known { identity: self.identity, head: self.head, offset: end };
        if !first.is_empty() || state.len < end {
            if judge(&known, &Seen { identity: state.identity, len: state.len, first: &first }) == Change::Truncated {
                return Ok(self.truncated(state.len, &first));
            }
            if first.len() > self.head.len as usize {
                self.head = Head::of(&first);
                self.dirty = true;
            }
        }
        self.len_seen = state.len;
        if was_live && self.is_draining() {
            return Ok(Looked::Renamed);
        }
        let drained = matches!(self.life, Life::Draining(last) if now.since(last) >= DRAIN_WAIT && searched > last);
        Ok(if drained && state.len <= end { Looked::Finished } else { Looked::Fine })
    }

    fn truncated(&mut self, len: u64, first: &[u8]) -> Looked {
        let unread = self.len_seen.saturating_sub(self.offset);
        self.head = Head::of(first);
        self.generation += 1;
        self.offset = 0;
        self.clean = 0;
        self.splitter.clear();
        self.len_seen = len;
        self.at_end = false;
        self.dirty = true;
        self.wait = LOOK_WAIT.0;
        Looked::Truncated { unread }
    }

    /// The file will bring no more: its unfinished line and what the pipeline holds go out.
    pub fn finish(&mut self, now: Timestamp, gather: &mut Gather) -> LineCount {
        let mut count = LineCount::default();
        let Self { offset, run, splitter, .. } = self;
        splitter.finish(&mut |line| {
            *offset += line.consumed;
            count.line(&line);
            run.line(line.bytes, now, &mut |out| gather.push(out.labels, out.time, out.metadata, out.line, now));
            true
        });
        run.finish(now, &mut |out| gather.push(out.labels, out.time, out.metadata, out.line, now));
        self.gone = true;
        self.settle();
        count
    }

    /// Whether its path leads elsewhere.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        matches!(self.life, Life::Draining(_))
    }

    /// What the WAL must hold with the lines handed out so far.
    #[must_use]
    pub fn position(&self) -> SourcePosition {
        let held = self.run.held().unwrap_or_default();
        SourcePosition {
            path: self.found.path.to_string_lossy().into_owned(),
            identity: self.identity,
            head_hash: self.head.hash,
            head_len: self.head.len,
            generation: self.generation,
            offset: self.offset,
            resume: self.clean,
            held,
            gone: self.gone,
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

/// Lines and bytes taken from files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineCount {
    /// Lines.
    pub lines: u64,
    /// Bytes, line endings included.
    pub bytes: u64,
    /// Lines that were cut.
    pub cut: u64,
}

impl LineCount {
    const fn line(&mut self, line: &Line<'_>) {
        self.lines += 1;
        self.bytes += line.consumed;
        self.cut += line.cut_from.is_some() as u64;
    }

    /// Adds another count.
    pub const fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.bytes += other.bytes;
        self.cut += other.cut;
    }
}
