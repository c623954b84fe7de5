//! The world of a simulation: its trace, its clocks, what a host is started with, which faults have fired.
//!
//! Parts: [`Trace`] (a running hash of everything that happened, with its lines when asked for); [`Fired`] (faults
//! counted by kind); [`Wall`] (a host's clock, whose skew a test changes); [`Machine`] (a sound disk with the sources
//! beside the failing one with all else); [`world_of`]. Promises: nothing here asks
//! the machine for time or chance. Must not do: decide when a fault happens.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto_seam::{Clock, DirEntry, Disk, DiskFile, DiskLock, DiskWatch, Entropy, FileState, OpenHow, Workers, World};

/// Wall time when a simulation begins: 2026-01-01T00:00:00Z, ns since 1970.
pub const START_NS: i64 = 1_767_225_600_000_000_000;

/// Locks memory for a moment, whatever a failed test left.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happened, as one number; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    state: Arc<Mutex<Traced>>,
    /// Simulated time in ms, as of the present step.
    now_ms: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Traced {
    hash: u64,
    events: u64,
    lines: Option<Vec<String>>,
}

impl Default for Traced {
    fn default() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, events: 0, lines: None }
    }
}

impl Trace {
    /// Keeps the lines too.
    pub fn keep_lines(&self) {
        locked(&self.state).lines = Some(Vec::new());
    }

    /// Sets the time that events bear.
    pub fn set_now(&self, elapsed: Duration) {
        self.now_ms.store(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Simulated time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_millis(self.now_ms.load(Ordering::Relaxed))
    }

    /// Notes one event.
    pub fn note(&self, event: &str) {
        let line = format!("{:>8} {event}", self.now_ms.load(Ordering::Relaxed));
        let mut state = locked(&self.state);
        for byte in line.bytes() {
            // FNV-1a: short, and any change of any event shows.
            state.hash = (state.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        state.events += 1;
        if let Some(lines) = &mut state.lines {
            lines.push(line);
        }
    }

    /// The hash of all events so far, and how many there were.
    #[must_use]
    pub fn digest(&self) -> (u64, u64) {
        let state = locked(&self.state);
        (state.hash, state.events)
    }

    /// The lines kept, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        locked(&self.state).lines.clone().unwrap_or_default()
    }
}

/// Faults by kind, how often each has fired; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Fired(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Fired {
    /// One more of `kind`.
    pub fn add(&self, kind: &'static str) {
        *locked(&self.0).entry(kind).or_default() += 1;
    }

    /// All kinds so far.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        locked(&self.0).clone()
    }
}

/// The wall clock of one host.
#[derive(Debug, Clone, Default)]
pub struct Wall {
    skew_ns: Arc<AtomicI64>,
}

impl Wall {
    /// Moves it by `ns` from now on.
    pub fn shift(&self, ns: i64) {
        self.skew_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Its present distance from true time, in ns.
    #[must_use]
    pub fn skew_ns(&self) -> i64 {
        self.skew_ns.load(Ordering::Relaxed)
    }

    /// The clock for a host that starts `elapsed` after the beginning. Call inside the host's runtime.
    #[must_use]
    pub fn clock(&self, elapsed: Duration) -> Clock {
        let start_ns = START_NS.saturating_add(i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX));
        Clock::Simulated { start_ns, origin: tokio::time::Instant::now(), skew_ns: Arc::clone(&self.skew_ns) }
    }
}

/// What a host is started with. Call inside the host's runtime.
#[must_use]
pub fn world_of(wall: &Wall, elapsed: Duration, entropy: Entropy, disk: Arc<dyn Disk>) -> World {
    World { clock: wall.clock(elapsed), entropy, disk, workers: Workers::Inline }
}

/// The disks of an edge's machine: sources below `sources_dir` on a sound one, everything else on another.
#[derive(Debug)]
pub struct Machine {
    /// Where sources lie.
    pub sources_dir: PathBuf,
    /// The disk with them.
    pub sources: Arc<dyn Disk>,
    /// The other one.
    pub own: Arc<dyn Disk>,
}

impl Machine {
    fn of(&self, path: &Path) -> &dyn Disk {
        if path.starts_with(&self.sources_dir) { self.sources.as_ref() } else { self.own.as_ref() }
    }
}

impl Disk for Machine {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Box<dyn DiskFile>> {
        self.of(path).open(path, how)
    }

    fn open_beneath(&self, path: &Path, roots: &[PathBuf]) -> io::Result<Box<dyn DiskFile>> {
        self.of(path).open_beneath(path, roots)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.of(dir).list(dir)
    }

    fn state(&self, path: &Path) -> io::Result<FileState> {
        self.of(path).state(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.of(path).remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.of(from).rename(from, to)
    }

    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        self.of(dir).make_dirs(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.of(dir).sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.of(path).lock(path)
    }

    fn real_place(&self, path: &Path) -> io::Result<PathBuf> {
        self.of(path).real_place(path)
    }

    fn watch(&self) -> io::Result<Box<dyn DiskWatch>> {
        self.sources.watch()
    }

    fn open_files_max(&self) -> Option<u64> {
        self.sources.open_files_max()
    }
}
