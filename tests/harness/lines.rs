//! Writers of numbered lines, and the reckoning: every line exactly once, byte for byte, in order.
//!
//! A line is `<file> <number> <padding>`; its CRI head carries a time that rises by some microseconds every
//! [`SAME_TIME`] lines: the order asked for is the order written, and among lines of one time it is the arrival's.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::ask::Answered;

/// Where written time begins: it must lie in the past of any machine that runs this, within 30 days.
#[must_use]
pub fn time_base_ns() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is after 1970");
    i64::try_from(now.as_nanos()).expect("the year is before 2262") - 6 * 3_600 * 1_000_000_000
}

/// So many lines in a row share a time stamp, so that their order is not the clock's doing.
pub const SAME_TIME: u64 = 4;

/// Writes numbered CRI lines into one file.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    name: String,
    base_ns: i64,
    step_ns: i64,
    same_time: u64,
    /// Lines written so far.
    pub written: u64,
}

impl Writer {
    /// Appends to `path`; lines carry `name`, times begin at `base_ns`.
    ///
    /// # Panics
    /// When the file cannot be opened.
    #[must_use]
    pub fn new(path: &Path, name: &str, base_ns: i64) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path).expect("a log file can be opened");
        Self { path: path.to_path_buf(), file, name: name.to_owned(), base_ns, step_ns: 1_000, same_time: SAME_TIME, written: 0 }
    }

    /// The same with a time of its own for each line: where an edge moves between hubs in mid-stream, lines of one
    /// time lie in several lanes, and only time orders lanes.
    #[must_use]
    pub fn distinct(self) -> Self {
        Self { same_time: 1, ..self }
    }

    /// The same with `step_ns` between two lines' times instead of one microsecond.
    #[must_use]
    pub fn stepping(self, step_ns: i64) -> Self {
        Self { step_ns, ..self }
    }

    /// The word its lines begin with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The message of line `number`.
    #[must_use]
    pub fn message(name: &str, number: u64) -> String {
        let padding = "abcdefghijklmnopqrstuvwxyz ".repeat(1 + usize::try_from(number % 5).unwrap_or(0));
        format!("{name} {number} \"quoted\" \\ {padding}ü")
    }

    /// Writes `count` more lines in one go.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn write(&mut self, count: u64) {
        let mut text = String::new();
        for _ in 0..count {
            self.written += 1;
            let ns = self.base_ns + i64::try_from(self.written / self.same_time * self.same_time).expect("few lines") * self.step_ns;
            let secs = ns.div_euclid(1_000_000_000);
            text.push_str(&format!("{}.{:09}Z stdout F {}\n", date(secs), ns.rem_euclid(1_000_000_000), Self::message(&self.name, self.written)));
        }
        self.file.write_all(text.as_bytes()).expect("a log file can be written");
    }

    /// Renames the file to `to` and goes on in a new one of the old name, as logrotate does.
    ///
    /// # Panics
    /// When the files cannot be renamed or made.
    pub fn rotate(&mut self, to: &Path) {
        std::fs::rename(&self.path, to).expect("a log file can be renamed");
        self.file = OpenOptions::new().create(true).append(true).open(&self.path).expect("a log file can be opened");
    }

    /// Copies the file to `to` and empties it, as logrotate's copytruncate does.
    ///
    /// # Panics
    /// When the files cannot be copied or cut.
    pub fn copy_truncate(&mut self, to: &Path) {
        std::fs::copy(&self.path, to).expect("a log file can be copied");
        self.file.set_len(0).expect("a log file can be cut");
    }
}

/// RFC 3339 of whole seconds since 1970 in UTC, without the `Z`.
///
/// # Panics
/// For times that no calendar has.
#[must_use]
pub fn date(secs: i64) -> String {
    let at = jiff::Timestamp::from_second(secs).expect("a year of four digits");
    at.to_string().trim_end_matches('Z').to_owned()
}

/// What became of the lines of some writers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reckoning {
    /// Lines found exactly once.
    pub once: u64,
    /// Lines not found: name and number, the first 20.
    pub missing: Vec<(String, u64)>,
    /// How many are missing in all.
    pub missing_count: u64,
    /// Lines found more than once, beyond the first.
    pub repeated: u64,
    /// Lines out of order within their stream.
    pub disordered: u64,
    /// Lines that nobody wrote, or whose bytes differ.
    pub foreign: Vec<String>,
}

impl Reckoning {
    /// Nothing missing, repeated, out of order or foreign.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.missing_count == 0 && self.repeated == 0 && self.disordered == 0 && self.foreign.is_empty()
    }
}

/// Compares what was answered with what was written: `written` = name -> number of lines.
#[must_use]
pub fn reckon(streams: &BTreeMap<String, Vec<Answered>>, written: &BTreeMap<String, u64>) -> Reckoning {
    reckon_part(streams, &written.iter().map(|(name, count)| (name.clone(), (1, *count + 1))).collect())
}

/// Compares what was answered with a part of what was written: `expected` = name -> first number and the one after the last.
///
/// # Panics
/// When a part holds more lines than memory.
#[must_use]
pub fn reckon_part(streams: &BTreeMap<String, Vec<Answered>>, expected: &BTreeMap<String, (u64, u64)>) -> Reckoning {
    let counts = |(first, end): (u64, u64)| vec![0_u32; usize::try_from(end.saturating_sub(first)).expect("few lines")];
    let mut seen: BTreeMap<&str, Vec<u32>> = expected.iter().map(|(name, part)| (name.as_str(), counts(*part))).collect();
    let mut out = Reckoning::default();
    for rows in streams.values() {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for row in rows {
            let mut words = row.line.splitn(3, ' ');
            let (name, number) = (words.next().unwrap_or_default(), words.next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0));
            let slot = seen.get_mut(name).and_then(|counts| counts.get_mut(usize::try_from(number.checked_sub(expected.get(name)?.0)?).ok()?));
            match slot {
                Some(count) if row.line == Writer::message(name, number) => *count += 1,
                _ => {
                    out.foreign.push(row.line.chars().take(120).collect());
                    continue;
                }
            }
            if last.insert(name, number).is_some_and(|before| before > number) {
                out.disordered += 1;
            }
        }
    }
    for (name, counts) in seen {
        for (at, count) in counts.into_iter().enumerate() {
            match count {
                0 => {
                    out.missing_count += 1;
                    if out.missing.len() < 20 {
                        out.missing.push((name.to_owned(), at as u64 + expected.get(name).map_or(0, |part| part.0)));
                    }
                }
                1 => out.once += 1,
                more => {
                    out.once += 1;
                    out.repeated += u64::from(more) - 1;
                }
            }
        }
    }
    out
}
