//! Seeded container logs in the layout of a Kubernetes node: 84 containers, up to 128 streams, six hours.
//!
//! Parts: [`write`] (all files), [`Corpus`] and [`Container`] (what is in them, to check answers by), [`lines`] (the
//! messages). Promises: the same seed and begin give the same bytes. Bytes count messages: no CRI prefix, no line end.

mod lines;

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};

use lines::{Kind, Lines};

/// In a few messages, and nowhere else.
pub(crate) const NEEDLE: &str = "needle4f1d9c7be2a803d5";
/// In no message.
pub(crate) const ABSENT: &str = "needle9b06e2d47fa15c38";
/// Hours that the times cover.
pub(crate) const HOURS: u64 = 6;
/// Containers, before rounding for each app.
const CONTAINERS: u64 = 83;
/// Files written at the same time.
const THREADS: usize = 3;

/// An app: its share of bytes and of containers, and whether errors go to stderr.
struct App {
    namespace: &'static str,
    name: &'static str,
    kind: Kind,
    bytes: u64,
    containers: u64,
    has_stderr: bool,
}

const fn app(names: (&'static str, &'static str), kind: Kind, shares: (u64, u64), has_stderr: bool) -> App {
    App { namespace: names.0, name: names.1, kind, bytes: shares.0, containers: shares.1, has_stderr }
}

const APPS: [App; 10] = [
    app(("shop", "checkout"), Kind::Json, (12, 8), true),
    app(("shop", "cart"), Kind::Json, (7, 6), false),
    app(("shop", "catalog"), Kind::Logfmt, (6, 6), false),
    app(("shop", "payments"), Kind::Java, (8, 6), true),
    app(("shop", "web"), Kind::Nginx, (9, 6), true),
    app(("platform", "gateway"), Kind::Json, (8, 6), false),
    app(("platform", "auth"), Kind::Logfmt, (6, 5), true),
    app(("platform", "ingress"), Kind::Nginx, (8, 5), true),
    app(("platform", "search"), Kind::Java, (4, 4), false),
    app(("kube-system", "proxy"), Kind::Klog, (2, 5), false),
];

/// What a file, or all of them, hold.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Lines.
    pub(crate) lines: u64,
    /// Bytes of messages.
    pub(crate) bytes: u64,
    /// Lines with [`NEEDLE`].
    pub(crate) needles: u64,
    /// JSON lines of level `error`.
    pub(crate) json_errors: u64,
    /// Lines that match `time(d)? ?out`.
    pub(crate) timeouts: u64,
    /// Streams.
    pub(crate) streams: u64,
}

impl Counts {
    const fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.bytes += other.bytes;
        self.needles += other.needles;
        self.json_errors += other.json_errors;
        self.timeouts += other.timeouts;
        self.streams += other.streams;
    }
}

/// A container: one file, one stream or two.
pub(crate) struct Container {
    app: &'static App,
    /// Unique.
    pub(crate) pod: String,
    bytes: u64,
    id: u64,
    needles: u64,
    /// Lines on stdout.
    pub(crate) stdout_lines: u64,
    counts: Counts,
}

impl Corpus {
    /// Counts of the apps that `wanted` chooses, by namespace and name.
    pub(crate) fn counts_of(&self, wanted: impl Fn(&str, &str) -> bool) -> Counts {
        let mut all = Counts::default();
        let chosen = self.containers.iter().filter(|container| wanted(container.app.namespace, container.app.name));
        chosen.for_each(|container| all.add(container.counts));
        all
    }
}

/// All of it.
pub(crate) struct Corpus {
    /// Of all files.
    pub(crate) counts: Counts,
    /// The containers.
    pub(crate) containers: Vec<Container>,
    /// First time, nanoseconds.
    pub(crate) begin_ns: u64,
    /// After the last time.
    pub(crate) end_ns: u64,
}

/// What is wanted.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// Message bytes.
    pub(crate) bytes: u64,
    /// Seed.
    pub(crate) seed: u64,
    /// First time, nanoseconds.
    pub(crate) begin_ns: u64,
}

/// Writes the files below `dir`, as `<namespace>_<pod>_<uid>/<container>/0.log`.
pub(crate) fn write(dir: &Path, wanted: Wanted) -> Result<Corpus> {
    let containers = plan(wanted);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(container) = containers.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let written = write_one(dir, container, wanted);
                    done.lock().expect("no writer panics").push((container.id, written));
                }
            });
        }
    });
    let mut written = done.into_inner().expect("no writer panics");
    written.sort_by_key(|(id, _)| *id);
    let end_ns = wanted.begin_ns + HOURS * 3_600_000_000_000;
    let mut corpus = Corpus { counts: Counts::default(), containers, begin_ns: wanted.begin_ns, end_ns };
    for (container, (_, counted)) in corpus.containers.iter_mut().zip(written) {
        (container.counts, container.stdout_lines) = counted?;
        corpus.counts.add(container.counts);
    }
    Ok(corpus)
}

/// Containers of an app differ in size, as one over the root of their rank.
fn plan(wanted: Wanted) -> Vec<Container> {
    let (all_bytes, all_containers) = APPS.iter().fold((0, 0), |(bytes, containers), app| (bytes + app.bytes, containers + app.containers));
    let mut containers = Vec::new();
    for app in &APPS {
        let count = (CONTAINERS * app.containers + all_containers / 2) / all_containers;
        let weight = |rank: u64| 1.0 / ((rank + 1) as f64).sqrt();
        let sum: f64 = (0..count).map(weight).sum();
        for rank in 0..count {
            let id = containers.len() as u64;
            let bytes = (wanted.bytes as f64 * app.bytes as f64 / all_bytes as f64 * weight(rank) / sum) as u64;
            let pod = format!("{}-{:08x}-{rank}", app.name, lines::mixed(wanted.seed ^ (id << 32)) as u32);
            // Five needles, whatever the size: each in the largest container of an app, half way through.
            let needles = u64::from(rank == 0 && matches!(app.name, "checkout" | "web" | "gateway" | "search" | "auth"));
            containers.push(Container { app, pod, bytes, id, needles, stdout_lines: 0, counts: Counts::default() });
        }
    }
    containers
}

fn write_one(dir: &Path, container: &Container, wanted: Wanted) -> Result<(Counts, u64)> {
    let App { namespace, name, kind, has_stderr, .. } = container.app;
    let folder = dir.join(format!("{namespace}_{}_{:016x}", container.pod, lines::mixed(container.id))).join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("0.log");
    let mut file = BufWriter::with_capacity(1 << 20, fs::File::create(&path).with_context(|| format!("cannot create {}", path.display()))?);
    let mut lines = Lines::new(*kind, name, lines::mixed(wanted.seed.wrapping_mul(1_000_003) ^ container.id));
    let (mut counts, mut stdout_lines, mut ns) = (Counts::default(), 0, wanted.begin_ns);
    // The last 100 us are left free: a record's own lines lie 1 us apart.
    let span = HOURS * 3_600_000_000_000 - 100_000;
    let mut needles = container.needles;
    while counts.bytes < container.bytes {
        let due = wanted.begin_ns + (u128::from(span) * u128::from(counts.bytes) / u128::from(container.bytes.max(1))) as u64;
        ns = due.max(ns + 1);
        let is_needle = needles > 0 && counts.bytes * 2 >= container.bytes;
        let record = lines.next(ns, is_needle.then_some(NEEDLE));
        let stream = if record.is_error && *has_stderr { "stderr" } else { "stdout" };
        counts.json_errors += u64::from(record.is_error && *kind == Kind::Json);
        for message in record.text.split('\n') {
            writeln!(file, "{}.{:09}Z {stream} F {message}", record.second, ns % 1_000_000_000)?;
            counts.lines += 1;
            counts.bytes += message.len() as u64;
            counts.timeouts += u64::from(is_timeout(message));
            stdout_lines += u64::from(stream == "stdout");
            ns += u64::from(ns % 1_000_000_000 < 999_900_000);
        }
        if is_needle {
            (counts.needles, needles) = (counts.needles + 1, needles - 1);
        }
    }
    file.flush().with_context(|| format!("cannot write {}", path.display()))?;
    counts.streams = u64::from(stdout_lines > 0) + u64::from(stdout_lines < counts.lines);
    Ok((counts, stdout_lines))
}

/// `time(d)? ?out`, by hand.
fn is_timeout(message: &str) -> bool {
    memchr::memmem::find_iter(message.as_bytes(), "time").any(|at| {
        let rest = &message[at + "time".len()..];
        let rest = rest.strip_prefix('d').unwrap_or(rest);
        rest.strip_prefix(' ').unwrap_or(rest).starts_with("out")
    })
}

/// The messages of a file: what follows the CRI prefix, each ended by a line feed.
pub(crate) fn messages(path: &Path) -> Result<Vec<u8>> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        // Time, stream and tag, each with a space.
        let prefix = memchr::memchr_iter(b' ', line).nth(2).map_or(0, |at| at + 1);
        out.extend_from_slice(&line[prefix..]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
