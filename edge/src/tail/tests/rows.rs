//! Rows of the catalogue of bad input (`docs/bad-input.md`) that need a real disk.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "files that no simulated disk has")]

use std::fs::{self, File};
use std::io::Write;
use std::time::Instant;

use proto_seam::disk::real::RealDisk;

use super::*;

/// An edge's reading on a real disk.
struct Real {
    dir: tempfile::TempDir,
    tail: Tail,
    gather: Gather,
    now: Timestamp,
    lines: Vec<String>,
    names: Vec<String>,
    missed: Vec<Missed>,
}

impl Real {
    fn new(glob: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pattern = format!("{}/{glob}", dir.path().display());
        let tail = Tail::new(Arc::new(RealDisk::new()), jobs(&[&pattern], "[]"), []);
        let gather = Gather::new(GatherSettings { bytes_max: 1 << 20, wait_max: Duration::from_secs(1), compression: Compression::None });
        Self { dir, tail, gather, now: Timestamp(1_700_000_000_000_000_000), lines: Vec::new(), names: Vec::new(), missed: Vec::new() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        File::options().create(true).append(true).open(self.at(name)).unwrap().write_all(bytes.as_ref()).unwrap();
    }

    fn search(&mut self) {
        let found = discover(self.tail.jobs(), &RealDisk::new(), &mut |why| panic!("{why}"));
        self.tail.found(&found, self.now);
    }

    /// So many turns, a tenth of a second apart.
    fn turns(&mut self, count: usize) {
        for _ in 0..count {
            let turn = self.tail.turn(self.now, 8 << 20, &mut self.gather);
            self.missed.extend(turn.missed);
            let view = BatchView::parse(self.gather.freeze().unwrap().body).unwrap();
            let payload = view.payload().unwrap();
            for (at, stream) in view.table().streams.iter().enumerate() {
                for row in payload.rows(at) {
                    self.lines.push(String::from_utf8_lossy(row.unwrap().line).into_owned());
                    self.names.extend(stream.labels.iter().find(|label| label.name == "filename").map(|label| label.value.clone()));
                }
            }
            drop(self.tail.take_positions());
            self.now = self.now.plus(Duration::from_millis(100));
        }
    }
}

#[test]
fn row_14_what_is_no_file_is_passed_over_without_waiting() {
    let mut real = Real::new("*.log");
    let fifo = std::process::Command::new("mkfifo").arg(real.at("fifo.log")).status().unwrap();
    assert!(fifo.success());
    let _socket = std::os::unix::net::UnixListener::bind(real.at("socket.log")).unwrap();
    fs::create_dir(real.at("dir.log")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", real.at("zero.log")).unwrap();
    std::os::unix::fs::symlink(real.at("fifo.log"), real.at("link.log")).unwrap();
    std::os::unix::fs::symlink("/proc/self/environ", real.at("environ.log")).unwrap();
    real.append("a.log", "line 1\n");
    let began = Instant::now();
    real.search();
    real.turns(20);
    assert_eq!(real.lines, ["line 1"]);
    assert!(began.elapsed() < Duration::from_secs(5), "nobody waited for a writer");
    let refused: Vec<&Path> = real.tail.refused().map(|(path, _)| path).collect();
    for name in ["zero.log", "link.log", "environ.log"] {
        assert!(refused.contains(&real.at(name).as_path()), "{name}: {refused:?}");
    }
}

#[test]
fn row_15_a_hard_link_is_read_once_and_flagged() {
    let mut real = Real::new("*.log");
    real.append("outside", "line 1\n");
    fs::hard_link(real.at("outside"), real.at("a.log")).unwrap();
    fs::hard_link(real.at("outside"), real.at("b.log")).unwrap();
    real.search();
    real.turns(5);
    real.append("outside", "line 2\n");
    real.turns(20);
    assert_eq!(real.lines, ["line 1", "line 2"], "whichever of its names it is written by");
    let links: Vec<u64> = real.tail.sources().map(Source::links).collect();
    assert_eq!(links, [3]);
}

#[test]
fn row_16_a_hundred_thousand_files_and_a_storm_of_names() {
    let mut real = Real::new("*.log");
    for number in 0..100_000 {
        File::create(real.at(&format!("{number:06}.log"))).unwrap();
    }
    real.search();
    let open = real.tail.sources().count();
    assert!((100..=SOURCES_MAX).contains(&open), "{open}");
    assert_eq!(real.tail.refused().count(), 100_000 - open, "those that are not read are listed");
    assert_eq!(real.tail.watches().0, 1, "one watch");
    // A quiet file among them is heard while names come and go.
    for round in 0..50 {
        for number in 0..200 {
            real.append(&format!("x{round}-{number}.log"), "");
            fs::remove_file(real.at(&format!("x{round}-{number}.log"))).unwrap();
        }
        if round == 25 {
            real.append("000050.log", "here\n");
        }
        real.turns(1);
    }
    real.turns(10);
    assert_eq!(real.lines, ["here"]);
    assert_eq!(real.tail.sources().count(), open);
}

#[test]
fn row_17_odd_names_are_labels_as_they_are_or_left_out() {
    use std::os::unix::ffi::OsStrExt;
    let mut real = Real::new("**/*.log");
    let long = format!("{}.log", "n".repeat(251));
    let odd = ["new\nline.log", "\u{1b}[31mred.log", "..\\.log", "quote\".log", &long, "ünï.log"];
    for name in odd {
        real.append(name, "line\n");
    }
    let bad = real.dir.path().join(std::ffi::OsStr::from_bytes(b"bad\xFF.log"));
    fs::write(bad, "never\n").unwrap();
    real.search();
    real.turns(10);
    let mut names = real.names.clone();
    names.sort();
    let mut expected: Vec<String> = odd.iter().map(|name| real.at(name).to_str().unwrap().to_owned()).collect();
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn row_25_a_file_with_holes_of_a_tebibyte_costs_little_and_others_go_on() {
    let mut real = Real::new("*.log");
    File::create(real.at("holes.log")).unwrap().set_len(1 << 40).unwrap();
    real.append("a.log", "line 1\n");
    real.search();
    real.turns(1);
    assert_eq!(real.lines, ["line 1"]);
    // Once it is clear that this is no line, it is read slowly: one read, then a wait, however often it is asked.
    real.turns(300);
    let behind = |real: &Real| real.tail.sources().map(Source::behind).max().unwrap();
    let before = behind(&real);
    for _ in 0..100 {
        let turn = real.tail.turn(real.now, 8 << 20, &mut real.gather);
        assert_eq!(turn.count.lines, 0);
    }
    let pending: u64 = real.tail.sources().map(Source::unread).max().unwrap();
    assert!(before - pending <= 80 << 20, "{} bytes", before - pending);
    let began = Instant::now();
    real.append("a.log", "line 2\n");
    real.turns(100);
    assert_eq!(real.lines, ["line 1", "line 2"]);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(real.tail.buffer.capacity() <= 2 * source::READ_BYTES);
}

#[test]
fn a_watched_file_that_is_silent_costs_no_system_call() {
    let mut real = Real::new("*.log");
    for number in 0..500 {
        real.append(&format!("{number}.log"), "line\n");
    }
    real.search();
    real.turns(20);
    assert_eq!(real.lines.len(), 500);
    assert_eq!(real.tail.watches(), (1, 0));
    assert!(real.tail.sources().all(|source| source.watched && source.next_look > real.now.plus(Duration::from_secs(5))));
    real.append("7.log", "more\n");
    real.turns(10);
    assert_eq!(real.lines.len(), 501, "and it is heard at once");
}
