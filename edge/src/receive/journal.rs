//! `journal`: entries of systemd's journal, read from its files.
//!
//! Parts: [`start`], `Puller` (reads, hands in, waits), [`reader`] (all files as one sequence), [`mod@file`] and [`object`] (one file, its bytes),
//! [`cursor`] (where reading stands), [`entry`] (an entry to labels and line), [`command`] and [`export`] (`journalctl` where a file needs
//! it). Promises: the cursor is durable with the records, so a restart repeats and loses nothing; a cursor wins over `max_age`; what
//! journald removed before it was read is told and counted; without room nothing is read. Must not do: block the runtime: files are read on workers.

mod command;
mod cursor;
mod entry;
mod export;
mod file;
mod object;
mod reader;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edge_pipeline::Relabeling;
use proto_model::Timestamp;
use proto_seam::World;
use tokio_util::sync::CancellationToken;

use super::post::Post;
use super::pulled::Pull;
use super::start::{Running, Shared};
use crate::settings::pulled::JournalSettings;
use crate::status::Status;
use cursor::Cursor;
use entry::Shape;
use reader::{Counts, Filled, Reader, Root};

/// Where journald keeps its files, on disk and in memory.
const ROOTS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];
/// Files in memory lie beneath.
const RUNTIME: &str = "/run";
/// Between two looks whether something was written.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A cursor behind entries of which nothing was kept is written so often.
const CURSOR_EVERY: Duration = Duration::from_secs(10);
/// After something failed that may be better later.
const PAUSE: Duration = Duration::from_secs(1);

/// What a job wants of a journal.
#[derive(Debug, Clone)]
struct Wanted {
    json: bool,
    max_age: Duration,
    /// Empty = where journald keeps it.
    path: PathBuf,
    matches: String,
    rules: Relabeling,
}

impl Wanted {
    fn shape(&self) -> Option<Shape> {
        // The settings were checked: see `check_matches`.
        Shape::new(self.json, &self.matches, self.rules.clone()).ok()
    }

    fn roots(&self) -> Vec<Root> {
        let root = |dir: &Path| Root { dir: dir.to_path_buf(), is_runtime: dir.starts_with(RUNTIME) };
        if self.path.as_os_str().is_empty() { ROOTS.iter().map(|dir| root(Path::new(dir))).collect() } else { vec![root(&self.path)] }
    }

    /// Microseconds since 1970 before which no entry is wanted.
    fn since(&self, now: Timestamp) -> u64 {
        u64::try_from(now.minus(self.max_age).nanos() / 1_000).unwrap_or(0).max(1)
    }
}

/// What is wrong with `journal.matches`: the word that is no `FIELD=value`.
///
/// # Errors
/// That word.
pub fn check_matches(matches: &str) -> Result<(), String> {
    Shape::new(false, matches, Relabeling::default()).map(drop)
}

/// Starts reading for a job.
pub(super) fn start(shared: &Shared, post: Post, settings: &JournalSettings, rules: &Relabeling, stop: CancellationToken) -> Running {
    let job = post.name().to_owned();
    let wanted = Wanted {
        json: settings.json,
        max_age: settings.max_age.0,
        path: settings.path.clone(),
        matches: settings.matches.as_ref().map(|written| written.value.clone()).unwrap_or_default(),
        rules: rules.clone(),
    };
    let puller = Puller { world: shared.world.clone(), status: shared.status.clone(), post: Arc::new(post), wanted, stop };
    Running { job, kind: "journal", address: None, task: tokio::spawn(puller.run()) }
}

/// One job's reading.
struct Puller {
    world: World,
    status: Status,
    post: Arc<Post>,
    wanted: Wanted,
    stop: CancellationToken,
}

/// Why reading by one way ended.
enum End {
    /// The edge ends, or reads something else from now on.
    Stopped,
    /// Something was not taken: reading goes on at the cursor that is durable.
    NotTaken,
    /// A file needs `journalctl`.
    NeedsCommand,
}

impl Puller {
    async fn run(self) {
        let mut pull = Pull::new(Arc::clone(&self.post), format!("journal:{}", self.post.name()));
        let (mut by_command, mut has_command) = (false, true);
        loop {
            let end = if by_command { self.by_command(&mut pull).await } else { self.by_files(&mut pull, has_command).await };
            match end {
                End::Stopped => return,
                End::NotTaken if self.pause(PAUSE).await => return,
                End::NotTaken => {}
                End::NeedsCommand => {
                    has_command = command::is_there().await;
                    by_command = has_command;
                    if !has_command {
                        tracing::error!(job = self.post.name(), "journalctl is not there: files of the journal that need it are skipped and counted");
                    }
                }
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.world.clock.now_ns())
    }

    /// Waits; whether reading must end.
    async fn pause(&self, wait: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(wait) => false,
        }
    }

    fn known(&self, pull: &Pull) -> Option<Cursor> {
        let held = pull.cursor()?;
        let cursor = Cursor::parse(held);
        if cursor.is_none() {
            tracing::error!(job = self.post.name(), "the journal's cursor in the WAL cannot be read: reading begins by max_age");
            self.status.lost("journal_cursor", None);
        }
        cursor
    }

    async fn by_files(&self, pull: &mut Pull, has_command: bool) -> End {
        let Some(shape) = self.wanted.shape() else { return End::Stopped };
        let (disk, roots, since) = (Arc::clone(&self.world.disk), self.wanted.roots(), self.wanted.since(self.now()));
        let mut reader = Reader::new(disk, roots, Arc::clone(&self.post), shape, self.known(pull), since);
        if !has_command {
            reader.skip_unknown();
        }
        let mut passed = 0;
        let mut written = self.now();
        loop {
            if self.stop.is_cancelled() || self.unless_stopped(pull.sender().ready()).await.is_none() {
                return End::Stopped;
            }
            let now = self.now();
            let (back, filled) = self
                .world
                .workers
                .run(move || {
                    let filled = reader.fill(now);
                    (reader, filled)
                })
                .await;
            reader = back;
            let Filled { records, passed: more, counts, is_all } = match filled {
                Ok(filled) => filled,
                Err(why) => {
                    tracing::warn!(job = self.post.name(), %why, "the journal is read by journalctl");
                    return End::NeedsCommand;
                }
            };
            self.count(&counts);
            passed += more;
            let is_due = passed > 0 && (now < written || now.since(written) >= CURSOR_EVERY);
            if !records.is_empty() || is_due {
                let handed_in = self.unless_stopped(pull.hand_in(records, reader.cursor().to_bytes(), passed)).await;
                (passed, written) = (0, now);
                match handed_in {
                    None => return End::Stopped,
                    Some(Err(_)) => return End::NotTaken,
                    Some(Ok(())) => {}
                }
            }
            if is_all && let Some(end) = self.rest(pull).await {
                return end;
            }
        }
    }

    /// Waits for news, and for what is under way.
    async fn rest(&self, pull: &mut Pull) -> Option<End> {
        let looked = tokio::time::sleep(LOOK_EVERY);
        tokio::pin!(looked);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Some(End::Stopped),
                settled = pull.settle_first() => {
                    if settled.is_err() {
                        return Some(End::NotTaken);
                    }
                }
                () = &mut looked => return None,
            }
        }
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            done = work => Some(done),
        }
    }

    fn count(&self, counts: &Counts) {
        if *counts == Counts::default() {
            return;
        }
        let metrics = &self.post.intake().metrics;
        metrics.journal_lines.add(counts.lines);
        let errors = [("no_message", counts.no_message), ("empty_labels", counts.empty_labels), ("damaged_entry", counts.damaged_entries)];
        for (error, count) in errors.into_iter().chain([("damaged_file", counts.damaged_files)]).filter(|(_, count)| *count > 0) {
            metrics.journal_errors.with([error]).add(count);
        }
        if counts.damaged_entries > 0 {
            self.status.lost("journal_damaged", Some(counts.damaged_entries));
        }
        for at in 0..counts.gone {
            self.status.lost("journal_gone", Some(counts.gone_entries).filter(|entries| at == 0 && *entries > 0));
        }
    }
}

#[cfg(test)]
mod tests;
