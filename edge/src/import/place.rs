//! An entry of a positions file to the file it is of, which may have been renamed since.
//!
//! Parts: [`Placer`], [`Placed`], [`Doubt`]. An entry says a path and an offset, no inode: the file is the one that bore the
//! path when the positions were written. That is the oldest of those beside the path that were written to since then, or the
//! one there now; and one whose length is the offset was read to its end. A packed file's entry counts lines. Promises: an
//! offset that cannot be of the file, by its length or because no line begins there, is a [`Doubt`]. Must not do: write.

use std::io;
use std::path::Path;

use edge_wal::SourcePosition;
use proto_seam::{Disk, DiskFile, FileKind, FileState, OpenHow};

use super::WhenDoubtful;
use super::parse::Entry;
use crate::discover::{Job, Owner, owner};
use crate::settings::Origin;
use crate::tail::content::{Content, Got, Packing};
use crate::tail::rotation::{HEAD_BYTES, Head};
use crate::tail::siblings::{Dirs, Sibling, Stamp, is_packed, newest_date};

/// Before the name in the key of a cursor.
const CURSOR: &str = "cursor-";
/// How far back the beginning of the last line is looked for.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// What packs a file may keep whole seconds of its time.
const PACKED_SLACK_NS: i64 = 1_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;
/// Time zones differ by multiples of this.
const ZONE_STEP_NS: i64 = 15 * 60 * SECOND_NS;

/// What became of an entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Placed {
    /// A file goes on there.
    File(Box<SourcePosition>),
    /// A source that is pulled goes on there; with what is to be told.
    Cursor(Box<SourcePosition>, Option<String>),
    /// Nothing, and why.
    Skipped(String),
}

/// An entry that cannot be true.
#[derive(Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Why.
    pub why: String,
}

impl From<String> for Doubt {
    fn from(why: String) -> Self {
        Self { why }
    }
}

/// Finds files of entries.
pub struct Placer<'a> {
    jobs: &'a [Job],
    disk: &'a dyn Disk,
    dirs: Dirs<'a>,
    /// When the positions were written.
    saved_ns: i64,
}

impl<'a> Placer<'a> {
    /// For positions that were written at `saved_ns`.
    #[must_use]
    pub fn new(jobs: &'a [Job], disk: &'a dyn Disk, saved_ns: i64) -> Self {
        Self { jobs, disk, dirs: Dirs::new(disk), saved_ns }
    }

    /// Where reading goes on.
    ///
    /// # Errors
    /// Why the entry cannot be true.
    pub fn place(&mut self, entry: &Entry) -> Result<Placed, Doubt> {
        if entry.is_twice {
            return Err("its key is there more than once".to_owned().into());
        }
        if let Some(name) = entry.path.strip_prefix(CURSOR) {
            return self.cursor(name, &entry.value);
        }
        if !entry.path.starts_with('/') {
            return Ok(Placed::Skipped("it is no absolute path".to_owned()));
        }
        let number = number(&entry.value)?;
        let path = Path::new(&entry.path);
        match self.packing(path) {
            Some(packing) => self.archive(path, packing, number),
            None => self.plain(path, number),
        }
    }

    /// Where reading goes on after a doubt, as the settings say; nowhere = from the beginning.
    pub fn decided(&self, entry: &Entry, how: WhenDoubtful) -> Placed {
        let path = Path::new(&entry.path);
        let state = self.disk.state(path).ok().filter(|state| state.kind == FileKind::File);
        let at_end = |state: &FileState| how == WhenDoubtful::End || (how == WhenDoubtful::Time && state.modified_ns <= self.saved_ns);
        let Some(state) = state.filter(at_end) else { return Placed::Skipped("it is read from its beginning".to_owned()) };
        let packing = self.packing(path);
        let end = match packing {
            None => self.disk.open(path, OpenHow::Read).map(|file| line_start(file.as_ref(), state.len).unwrap_or(state.len)).unwrap_or(state.len),
            Some(packing) => match self.disk.open(path, OpenHow::Read).map(|file| skip(file, packing, None)) {
                Ok(Ok(Skipped { bytes, .. })) => bytes,
                Ok(Err(_)) | Err(_) => return Placed::Skipped("it is read from its beginning".to_owned()),
            },
        };
        let head = self.head(path, packing).unwrap_or_default();
        Placed::File(Box::new(position(path, &state, head, end, String::new())))
    }

    fn cursor(&self, name: &str, value: &str) -> Result<Placed, Doubt> {
        let is_job = self.jobs.iter().any(|job| job.name == name && matches!(*job.origin, Origin::Journal(_)));
        let is_journals = value.split(';').any(|part| part.starts_with("i=") || part.starts_with("s="));
        let cursor = |path: String, held: Vec<u8>| Box::new(SourcePosition { path, offset: 1, resume: 1, held, ..SourcePosition::default() });
        if is_job || is_journals {
            if !is_journals {
                return Err(format!("{value:?} is no cursor of a journal").into());
            }
            let told = (!is_job).then(|| format!("no job of these settings is called {name:?}; its journal cursor waits for one that is"));
            return Ok(Placed::Cursor(cursor(format!("journal:{name}"), value.as_bytes().to_vec()), told));
        }
        let is_container = (12..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_hexdigit());
        if !is_container {
            return Ok(Placed::Skipped("its cursor is of a source that is not read here".to_owned()));
        }
        let nanos = i64::try_from(number(value)?).ok().and_then(|seconds| seconds.checked_mul(SECOND_NS));
        let Some(nanos) = nanos else { return Err(format!("{value} seconds is no time").into()) };
        let told = format!("the container {name} goes on at a whole second: lines of up to one second may come twice");
        // The end of the path says that it is of no job yet: the first that follows the container takes it over.
        Ok(Placed::Cursor(cursor(format!("docker:{name}/imported"), docker_cursor(nanos)), Some(told)))
    }

    /// How the file of an entry that counts lines is packed.
    fn packing(&self, path: &Path) -> Option<Packing> {
        let by_name = Packing::of_name(path).filter(|_| is_packed(path))?;
        match owner(self.jobs, path) {
            Owner::Target(found) => self.jobs[found.job].reading.archives.map(|archives| archives.packing.unwrap_or(by_name)),
            Owner::Awaited | Owner::Open | Owner::Nobody => Some(by_name),
        }
    }

    fn head(&self, path: &Path, packing: Option<Packing>) -> io::Result<Head> {
        Ok(Head::of(&Content::new(self.disk.open(path, OpenHow::Read)?, packing).first(HEAD_BYTES)?))
    }

    fn plain(&mut self, path: &Path, offset: u64) -> Result<Placed, Doubt> {
        let state = match self.disk.state(path) {
            Ok(state) if state.kind == FileKind::File => Some(state),
            Ok(_) => return Ok(Placed::Skipped("it is no regular file".to_owned())),
            Err(gone) if matches!(gone.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
            Err(fault) => return Err(format!("its file cannot be looked at: {fault}").into()),
        };
        let siblings = self.dirs.siblings(path).map_err(|fault| format!("its folder cannot be read: {fault}"))?;
        let zone = zone_ns(&siblings);
        let is_since = |sibling: &&Sibling| {
            let slack = if sibling.packing.is_some() { PACKED_SLACK_NS } else { 0 };
            ended_ns(sibling, zone).saturating_add(slack) > self.saved_ns
        };
        let newest = siblings.last();
        let was_read_whole = |sibling: &&Sibling| {
            let is_new = state.as_ref().is_none_or(|state| state.modified_ns > self.saved_ns || state.len < offset);
            offset > 0 && sibling.packing.is_none() && sibling.len == offset && is_new
        };
        if let Some(sibling) = siblings.iter().find(is_since).or_else(|| newest.filter(was_read_whole)) {
            return self.renamed(path, sibling, offset);
        }
        match (state, newest) {
            (Some(state), _) if state.len >= offset => self.here(path, &state, offset, newest_date(&siblings)),
            (Some(state), None) => Err(past_end(offset, state.len).into()),
            (Some(state), Some(sibling)) if sibling.packing.is_none() && sibling.len < offset => Err(past_end(offset, state.len.max(sibling.len)).into()),
            (_, Some(sibling)) => self.renamed(path, sibling, offset),
            (None, None) => Ok(Placed::Skipped("its file is gone".to_owned())),
        }
    }

    fn here(&self, path: &Path, state: &FileState, offset: u64, after: String) -> Result<Placed, Doubt> {
        let file = self.disk.open(path, OpenHow::Read).map_err(|fault| format!("its file cannot be read: {fault}"))?;
        self.check_line(path, file.as_ref(), offset)?;
        let head = self.head(path, None).map_err(|fault| format!("its file cannot be read: {fault}"))?;
        Ok(Placed::File(Box::new(position(path, state, head, offset, after))))
    }

    /// A line must begin at the offset: where none does, the file was cut and has grown again.
    fn check_line(&self, path: &Path, file: &dyn DiskFile, offset: u64) -> Result<(), Doubt> {
        let has_wide_characters =
            matches!(owner(self.jobs, path), Owner::Target(found) if self.jobs[found.job].reading.text != crate::tail::text::Text::default());
        if offset == 0 || has_wide_characters {
            return Ok(());
        }
        let mut before = [0];
        let got = file.read_at(&mut before, offset - 1).map_err(|fault| format!("its file cannot be read: {fault}"))?;
        if got == 1 && before[0] != b'\n' {
            return Err(format!("no line begins at {offset} in its file, which is not the one that was read, or was cut since").into());
        }
        Ok(())
    }

    /// A file that bore the path when the positions were written.
    fn renamed(&self, path: &Path, sibling: &Sibling, offset: u64) -> Result<Placed, Doubt> {
        let at = sibling.at.display();
        let cannot = |fault: io::Error| format!("its file, now {at}, cannot be read: {fault}");
        let file = self.disk.open(&sibling.at, OpenHow::Read).map_err(cannot)?;
        let state = file.state().map_err(cannot)?;
        match sibling.packing {
            None if state.len < offset => return Err(format!("{}, now {at}", past_end(offset, state.len)).into()),
            None => self.check_line(path, file.as_ref(), offset)?,
            Some(packing) => {
                let mut content = Content::new(file, Some(packing));
                let mut byte = [0];
                while content.read_at(&mut byte, offset).map_err(cannot)? == Got::Skipping {}
            }
        }
        let after = if let Stamp::Dated(date) = &sibling.stamp { date.clone() } else { String::new() };
        let head = self.head(&sibling.at, sibling.packing).map_err(cannot)?;
        let mut found = position(path, &state, head, offset, after);
        if sibling.packing.is_some() {
            found.size = 0;
        }
        Ok(Placed::File(Box::new(found)))
    }

    /// A packed file, of which `lines` lines were read.
    fn archive(&self, path: &Path, packing: Packing, lines: u64) -> Result<Placed, Doubt> {
        let cannot = |fault: io::Error| format!("its file cannot be read: {fault}");
        let state = match self.disk.state(path) {
            Ok(state) if state.kind == FileKind::File => state,
            Ok(_) => return Ok(Placed::Skipped("it is no regular file".to_owned())),
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(Placed::Skipped("its file is gone".to_owned())),
            Err(fault) => return Err(cannot(fault).into()),
        };
        let file = self.disk.open(path, OpenHow::Read).map_err(cannot)?;
        let skipped = skip(file, packing, Some(lines)).map_err(cannot)?;
        if skipped.lines < lines {
            return Err(format!("{lines} lines were read of its file, which holds {}", skipped.lines).into());
        }
        let head = self.head(path, Some(packing)).map_err(cannot)?;
        let found = SourcePosition { size: 0, ..position(path, &state, head, skipped.bytes, String::new()) };
        Ok(Placed::File(Box::new(found)))
    }
}

fn position(path: &Path, state: &FileState, head: Head, offset: u64, after: String) -> SourcePosition {
    SourcePosition {
        path: path.to_string_lossy().into_owned(),
        identity: state.identity,
        head_hash: head.hash,
        head_len: head.len,
        offset,
        resume: offset,
        size: state.len,
        modified_ns: state.modified_ns,
        after,
        begun: offset,
        ..SourcePosition::default()
    }
}

/// What the reader of containers keeps of both streams (`receive::docker::cursor`): one line read just before `nanos`.
fn docker_cursor(nanos: i64) -> Vec<u8> {
    let side = [nanos.saturating_sub(1).to_le_bytes().as_slice(), 1_u32.to_le_bytes().as_slice(), 0_u64.to_le_bytes().as_slice()].concat();
    [[1].as_slice(), &side, &side].concat()
}

fn past_end(offset: u64, len: u64) -> String {
    format!("{offset} lies past the end of its file, which has {len} bytes")
}

fn number(written: &str) -> Result<u64, Doubt> {
    written
        .trim()
        .parse()
        .map_err(|_| Doubt { why: if written.trim_start().starts_with('-') { format!("{written} is negative") } else { format!("{written:?} is no number") } })
}

/// How far a packed file was unpacked.
struct Skipped {
    lines: u64,
    bytes: u64,
}

/// Unpacks past so many lines; `None` = all of them. A last line without its end counts.
fn skip(file: Box<dyn DiskFile>, packing: Packing, lines: Option<u64>) -> io::Result<Skipped> {
    let mut content = Content::new(file, Some(packing));
    let (mut buffer, mut done, mut is_unended) = (vec![0; READ_BYTES], Skipped { lines: 0, bytes: 0 }, false);
    while lines.is_none_or(|lines| done.lines < lines) {
        let got = match content.read_at(&mut buffer, done.bytes)? {
            Got::Skipping => continue,
            Got::Bytes(0) => {
                done.lines += u64::from(is_unended);
                break;
            }
            Got::Bytes(got) => got,
        };
        let mut at = 0;
        while lines.is_none_or(|lines| done.lines < lines) {
            let Some(end) = memchr::memchr(b'\n', &buffer[at..got]) else { break };
            (at, done.lines) = (at + end + 1, done.lines + 1);
        }
        let is_all = lines.is_some_and(|lines| done.lines >= lines);
        is_unended = !is_all && at < got;
        done.bytes += if is_all { at } else { got } as u64;
    }
    Ok(done)
}

/// Where the last line that has no end yet begins.
fn line_start(file: &dyn DiskFile, len: u64) -> io::Result<u64> {
    let from = len.saturating_sub(LINE_BYTES_MAX);
    let mut tail = vec![0; usize::try_from(len - from).unwrap_or(0)];
    let got = file.read_at(&mut tail, from)?;
    Ok(memchr::memrchr(b'\n', &tail[..got]).map_or(if from == 0 { 0 } else { len }, |end| from + end as u64 + 1))
}

/// When a file ceased to bear its path. The kubelet packs a file at the rotation after its own: its name then tells, not its time.
fn ended_ns(sibling: &Sibling, zone_ns: i64) -> i64 {
    let by_name = match (&sibling.stamp, sibling.packing) {
        (Stamp::Dated(date), Some(_)) => stamp_ns(date).map(|stamp| stamp.saturating_sub(zone_ns)),
        (Stamp::Dated(_) | Stamp::Numbered(_), _) => None,
    };
    by_name.map_or(sibling.modified_ns, |stamp| stamp.min(sibling.modified_ns))
}

/// The zone of the dates in names: a file that is not packed was written to until it was renamed.
fn zone_ns(siblings: &[Sibling]) -> i64 {
    let plain = siblings.iter().rev().find_map(|sibling| match &sibling.stamp {
        Stamp::Dated(date) if sibling.packing.is_none() => stamp_ns(date).map(|stamp| stamp.saturating_sub(sibling.modified_ns)),
        Stamp::Dated(_) | Stamp::Numbered(_) => None,
    });
    plain.map_or(0, |ahead| ahead.saturating_add(ZONE_STEP_NS / 2).div_euclid(ZONE_STEP_NS).saturating_mul(ZONE_STEP_NS))
}

/// Fourteen digits, year to second, as if they were UTC.
fn stamp_ns(date: &str) -> Option<i64> {
    let part = |from: usize, to: usize| date.get(from..to)?.parse::<i8>().ok();
    if date.len() != 14 {
        return None;
    }
    let at = jiff::civil::DateTime::new(date.get(..4)?.parse().ok()?, part(4, 6)?, part(6, 8)?, part(8, 10)?, part(10, 12)?, part(12, 14)?, 0).ok()?;
    i64::try_from(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_nanosecond()).ok()
}
