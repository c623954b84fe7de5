//! The next lines of a source, and its last.
//!
//! Parts: [`Source::read`], [`Source::tick`] (what waits too long goes out), [`Source::finish`]. After each read the first
//! bytes are compared with those that were known: a file that was emptied and has grown past the old offset is not taken
//! for its continuation. Limits: one that begins with the same bytes as before (up to 1,024) is; of a file that was cut
//! before its bytes were compared nothing is handed on. Must not do: look at names.

use std::io;
use std::time::Duration;

use proto_model::Timestamp;

use super::super::content::Got;
use super::super::rotation::HEAD_BYTES;
use super::super::split::Line;
use super::{Ended, LOOK_WAIT, Life, READ_BYTES, Source};
use crate::gather::Gather;

/// A last line without newline goes out after so long without a byte: its writer may be dead.
pub const PARTIAL_WAIT: Duration = Duration::from_secs(300);
/// A line of which so much was passed over is no line (a file with holes): its file is read slowly from then on.
const SKIPPED_FAST_MAX: u64 = 64 * 1024 * 1024;
/// The wait between two reads then: about 25 MB a second.
const SKIPPED_WAIT: Duration = Duration::from_millis(10);

/// What one read did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadEnd {
    /// The budget or the batch is used up: more is there.
    More,
    /// Nothing more for now.
    Idle,
    /// An archive that cannot be unpacked any further.
    Damaged,
}

impl Source {
    /// Reads up to `READ_BYTES` and sends complete lines through the pipeline into `gather`, until that is full.
    ///
    /// # Errors
    /// What the disk says; the position stays before what could not be read.
    pub fn read(&mut self, buffer: &mut Vec<u8>, now: Timestamp, gather: &mut Gather) -> io::Result<(ReadEnd, LineCount)> {
        let mut count = LineCount::default();
        if self.is_limited(now) {
            return Ok((ReadEnd::Idle, count));
        }
        buffer.resize(READ_BYTES, 0);
        let at = self.offset + self.splitter.unfinished();
        let got = match self.content.read_at(buffer, at) {
            Ok(Got::Bytes(got)) => got,
            Ok(Got::Skipping) => return Ok((ReadEnd::More, count)),
            Err(fault) => return self.not_read(fault, now).map(|end| (end, count)),
        };
        self.troubled = false;
        self.at_end = got == 0;
        if got == 0 {
            self.end_met = now;
            self.note_behind(now);
            if self.content.is_archive() {
                self.content.rest();
            }
            return Ok((ReadEnd::Idle, count));
        }
        if !self.content.is_archive() && !self.is_still_itself(at, &buffer[..got])? {
            return Ok((ReadEnd::More, count));
        }
        self.fed = now;
        if let Life::Draining(last) = &mut self.life {
            *last = now;
        }
        // What others sent is not held against this one.
        gather.take_held();
        let Self { offset, clean, run, splitter, .. } = self;
        splitter.feed(&buffer[..got], &mut |line| {
            *offset += line.consumed;
            count.line(&line);
            run.line(line.bytes, now, &mut |out| gather.push(out.labels, out.time, out.metadata, out.line, now));
            if !run.is_holding() {
                *clean = *offset;
            }
            !gather.is_stopped() && run.wait_until(now).is_none() && !gather.is_held()
        });
        self.progress.held_until = gather.take_held();
        self.dirty |= count.lines > 0;
        self.progress.add(count);
        self.note_behind(now);
        self.wait = LOOK_WAIT.0;
        if self.splitter.skipped() > SKIPPED_FAST_MAX {
            self.next_look = now.plus(SKIPPED_WAIT);
        }
        self.is_limited(now);
        Ok((ReadEnd::More, count))
    }

    /// Whether a stage limits the rate of lines, or its tenant's budget is used up, and none is due yet: then the next look is when one is, at the latest at the usual time.
    fn is_limited(&mut self, now: Timestamp) -> bool {
        let held = self.progress.held_until.filter(|until| *until > now);
        let Some(until) = self.run.wait_until(now).into_iter().chain(held).max() else { return false };
        self.next_look = until.min(now.plus(LOOK_WAIT.1));
        true
    }

    fn not_read(&mut self, fault: io::Error, now: Timestamp) -> io::Result<ReadEnd> {
        if !self.content.is_archive() {
            return Err(fault);
        }
        // It may still be written.
        if fault.kind() == io::ErrorKind::UnexpectedEof {
            self.at_end = true;
            self.early_end.get_or_insert(now);
            return Ok(ReadEnd::Idle);
        }
        if fault.kind() == io::ErrorKind::InvalidData {
            tracing::warn!(path = %self.found.path.display(), offset = self.offset, %fault, "an archive cannot be unpacked any further");
            return Ok(ReadEnd::Damaged);
        }
        Err(fault)
    }

    /// Whether `bytes`, just read at `at`, are of the file that was known: its first bytes are still the same. Otherwise
    /// the next look tells, and nothing of it is to be handed on.
    fn is_still_itself(&mut self, at: u64, bytes: &[u8]) -> io::Result<bool> {
        let end = at + bytes.len() as u64;
        let first = if at == 0 && bytes.len() >= HEAD_BYTES { bytes[..HEAD_BYTES].to_vec() } else { self.content.first(HEAD_BYTES)? };
        if self.head.begins(&first) {
            self.learn_head(&first);
            // More may be there: how much, others want to know.
            let len = if bytes.len() == READ_BYTES { self.content.state()?.len } else { end };
            self.len_seen = self.len_seen.max(len).max(end);
            return Ok(true);
        }
        // A file that is too short for these bytes now was cut after they were read.
        if self.content.state()?.len < end {
            return Ok(true);
        }
        (self.at_end, self.doubtful) = (true, true);
        Ok(false)
    }

    /// Lets the pipeline flush what is due, and a last line without newline that has waited long enough.
    pub fn tick(&mut self, now: Timestamp, gather: &mut Gather) -> LineCount {
        let mut count = LineCount::default();
        if let Some(due) = self.partial_due().filter(|due| *due <= now) {
            if self.end_met >= due {
                count = self.finish_line(now, gather);
                self.settle();
            } else {
                // Its rest may have come while nobody looked: it is read once more first.
                (self.at_end, self.next_look) = (false, now);
            }
        }
        if self.run.deadline().is_some_and(|deadline| deadline <= now) {
            self.run.tick(now, &mut |out| gather.push(out.labels, out.time, out.metadata, out.line, now));
            self.settle();
        }
        count
    }

    /// The pipeline let go of something: the position says so.
    fn settle(&mut self) {
        if !self.run.is_holding() {
            self.clean = self.offset;
        }
        self.dirty = true;
    }

    fn partial_due(&self) -> Option<Timestamp> {
        let unfinished = self.splitter.unfinished();
        let is_whole = !self.text.is_wide() || unfinished.is_multiple_of(2);
        (unfinished > 0 && is_whole && self.at_end && self.life == Life::Live).then(|| self.fed.plus(PARTIAL_WAIT))
    }

    /// When the pipeline wants to be ticked, or a last line without newline goes out.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.run.deadline().into_iter().chain(self.partial_due()).min()
    }

    fn finish_line(&mut self, now: Timestamp, gather: &mut Gather) -> LineCount {
        let mut count = LineCount::default();
        let Self { offset, run, splitter, .. } = self;
        splitter.finish(&mut |line| {
            *offset += line.consumed;
            count.line(&line);
            run.line(line.bytes, now, &mut |out| gather.push(out.labels, out.time, out.metadata, out.line, now));
            true
        });
        self.progress.add(count);
        count
    }

    /// The file will bring no more: its unfinished line and what the pipeline holds go out.
    pub fn finish(&mut self, now: Timestamp, gather: &mut Gather) -> LineCount {
        let count = self.finish_line(now, gather);
        self.run.finish(now, &mut |out| gather.push(out.labels, out.time, out.metadata, out.line, now));
        self.ended = Some(if self.links == 0 { Ended::Gone } else { Ended::Done });
        self.settle();
        count
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
