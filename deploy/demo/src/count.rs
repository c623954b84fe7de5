//! Counts the whole lines that stand in a folder's `*.log` files, whoever wrote them, and the times they bear.
//!
//! Parts: [`Counter`] (files by identity, each read on from where it was), [`Tally`] (pure: bytes in, lines and times
//! out). A piece of a line (CRI tag `P`) is no line; a line in no CRI form bears the time at which it is read. Limits:
//! a rotated file is followed while it is open here. Must not do: write.

use std::collections::BTreeMap;
use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use jiff::Timestamp;
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::fault::DemoFault;

/// Width of a span of time that one query covers; the default `max_query_length` is 30 d 1 h.
pub(crate) const WINDOW_NS: i128 = 30 * 86_400 * 1_000_000_000;

/// First and last time of lines, nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// First.
    pub(crate) first: i128,
    /// Last.
    pub(crate) last: i128,
}

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Whole lines.
    pub(crate) lines: u64,
    /// Their times, by window.
    pub(crate) windows: BTreeMap<i128, Times>,
}

impl Tally {
    /// Counts the lines of `bytes`, which end in a newline; a line without a time was written between `since` and `now`.
    fn add(&mut self, bytes: &[u8], since: i128, now: i128) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut words = line.splitn(4, |byte| *byte == b' ');
            let (time, stream, tags) = (words.next(), words.next(), words.next());
            let time = time.and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse::<Timestamp>().ok());
            let is_cri = matches!(stream, Some(b"stdout" | b"stderr"));
            match time.filter(|_| is_cri) {
                Some(_) if tags.is_some_and(|tags| tags.split(|byte| *byte == b':').next() == Some(b"P")) => continue,
                Some(time) => self.at(time.as_nanosecond()),
                None => {
                    self.at(since);
                    self.at(now);
                }
            }
            self.lines += 1;
        }
    }

    fn at(&mut self, ns: i128) {
        let times = self.windows.entry(ns.div_euclid(WINDOW_NS)).or_insert(Times { first: ns, last: ns });
        *times = Times { first: times.first.min(ns), last: times.last.max(ns) };
    }
}

#[derive(Debug)]
struct Reading {
    file: File,
    /// Bytes counted: the next line begins here.
    offset: u64,
}

/// Files of one folder.
#[derive(Debug)]
pub(crate) struct Counter {
    logs: PathBuf,
    readings: BTreeMap<(u64, u64), Reading>,
    looked: i128,
    /// What was counted so far.
    pub(crate) tally: Tally,
}

impl Counter {
    /// Of the files in `logs`.
    pub(crate) fn new(logs: PathBuf) -> Self {
        Self { logs, readings: BTreeMap::new(), looked: Timestamp::now().as_nanosecond(), tally: Tally::default() }
    }

    /// Counts what came since the last look.
    pub(crate) async fn look(&mut self) -> Result<(), DemoFault> {
        let logs = self.logs.clone();
        self.find().await.map_err(DemoFault::file("look into", &logs))?;
        let (since, now) = (self.looked, Timestamp::now().as_nanosecond());
        for reading in self.readings.values_mut() {
            read_on(reading, &mut self.tally, since, now).await.map_err(DemoFault::file("read the files in", &logs))?;
        }
        self.looked = now;
        Ok(())
    }

    /// The spans of time that hold all lines counted; the present one lasts until now, since the edge gives a line in
    /// no CRI form the time at which it reads it.
    pub(crate) fn windows(&self) -> Vec<Times> {
        let now = Timestamp::now().as_nanosecond();
        let until = |(window, times): (&i128, &Times)| {
            if *window == now.div_euclid(WINDOW_NS) { Times { first: times.first, last: times.last.max(now) } } else { *times }
        };
        self.tally.windows.iter().map(until).collect()
    }

    async fn find(&mut self) -> io::Result<()> {
        let mut entries = fs::read_dir(&self.logs).await?;
        while let Some(entry) = entries.next_entry().await? {
            if entry.path().extension().is_none_or(|extension| extension != "log") {
                continue;
            }
            let Ok(file) = File::open(entry.path()).await else { continue };
            let found = file.metadata().await?;
            if found.is_file() {
                self.readings.entry((found.dev(), found.ino())).or_insert(Reading { file, offset: 0 });
            }
        }
        Ok(())
    }
}

async fn read_on(reading: &mut Reading, tally: &mut Tally, since: i128, now: i128) -> io::Result<()> {
    let length = reading.file.metadata().await?.len();
    if length < reading.offset {
        reading.offset = 0;
    }
    if length == reading.offset {
        return Ok(());
    }
    reading.file.seek(SeekFrom::Start(reading.offset)).await?;
    let mut bytes = Vec::new();
    (&mut reading.file).take(length - reading.offset).read_to_end(&mut bytes).await?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    tally.add(&bytes[..whole], since, now);
    reading.offset += whole as u64;
    Ok(())
}

#[cfg(test)]
mod tests;
