//! When a search for files is left out, on real directories with the system's own notices, and on simulated ones.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "real directories are what is tested")]

use std::fs;
use std::io::Write;

use proto_seam::disk::real::RealDisk;

use super::*;

/// A search once a second, if it is needed.
struct Searching {
    dir: tempfile::TempDir,
    tail: Tail,
    gather: Gather,
    now: Timestamp,
    searches: usize,
    lines: u64,
}

impl Searching {
    fn new(glob: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pattern = format!("{}/{glob}", dir.path().display());
        let tail = Tail::new(Arc::new(RealDisk::new()), jobs(&[&pattern], "[]"), []);
        let gather = Gather::new(GatherSettings { bytes_max: 1 << 20, wait_max: Duration::from_secs(1), compression: Compression::None });
        Self { dir, tail, gather, now: Timestamp(1_700_000_000_000_000_000), searches: 0, lines: 0 }
    }

    fn write(&self, name: &str) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::options().create(true).append(true).open(path).unwrap().write_all(b"a line\n").unwrap();
    }

    /// So many seconds of it; how many searches that took.
    fn seconds(&mut self, seconds: usize) -> usize {
        let before = self.searches;
        for _ in 0..seconds {
            if self.tail.needs_search(self.now) {
                self.searches += 1;
                let disk = RealDisk::new();
                let mut listing = Listing::new(&disk);
                let found = discover_listed(self.tail.jobs(), &mut listing, &mut |why| panic!("{why}"));
                self.tail.found(&found, self.now);
                self.tail.cover(&listing, &found, self.now);
            }
            for _ in 0..10 {
                self.lines += self.tail.turn(self.now, 8 << 20, &mut self.gather).count.lines;
                drop(self.gather.freeze().unwrap());
                self.now = self.now.plus(Duration::from_millis(100));
            }
        }
        self.searches - before
    }
}

#[test]
fn files_are_not_searched_for_where_nothing_came() {
    let mut searching = Searching::new("*/*/0.log");
    searching.write("pod-a/app/0.log");
    searching.write("pod-b/app/0.log");
    assert_eq!(searching.seconds(2), 2, "the first search finds what to watch, the second that nothing came before");
    assert_eq!(searching.lines, 2);
    assert_eq!(searching.seconds(50), 0);
    assert_eq!(searching.seconds(20), 1, "once a minute all the same");
    searching.write("pod-a/app/0.log");
    assert_eq!((searching.seconds(3), searching.lines), (0, 3), "what is written is told");
    // A directory with a file in it: both are found within two searches, and are watched from then on.
    searching.write("pod-c/app/0.log");
    assert!((1..=4).contains(&searching.seconds(5)));
    assert_eq!(searching.lines, 4);
    assert_eq!(searching.seconds(10), 0);
    searching.write("pod-c/other/0.log");
    assert!(searching.seconds(5) >= 1);
    assert_eq!(searching.lines, 5);
}

#[test]
fn a_directory_that_is_not_there_yet_is_noticed_when_it_comes() {
    let mut searching = Searching::new("later/deep/*.log");
    searching.seconds(3);
    assert_eq!(searching.seconds(10), 0);
    searching.write("later/deep/a.log");
    assert!(searching.seconds(5) >= 1);
    assert_eq!(searching.lines, 1);
}

#[test]
fn a_link_that_leads_elsewhere_is_followed() {
    let mut searching = Searching::new("now/*.log");
    searching.write("one/a.log");
    searching.write("two/b.log");
    let link = searching.dir.path().join("now");
    std::os::unix::fs::symlink(searching.dir.path().join("one"), &link).unwrap();
    searching.seconds(3);
    assert_eq!((searching.lines, searching.seconds(5)), (1, 0));
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(searching.dir.path().join("two"), &link).unwrap();
    assert!(searching.seconds(8) >= 1);
    assert_eq!(searching.lines, 2);
}

#[test]
fn a_file_that_cannot_be_read_yet_is_searched_for_again() {
    let mut searching = Searching::new("*.log");
    std::os::unix::fs::symlink(searching.dir.path().join("target"), searching.dir.path().join("a.log")).unwrap();
    assert_eq!(searching.seconds(5), 5, "a link that leads nowhere");
    searching.write("target");
    searching.seconds(2);
    assert_eq!(searching.lines, 1);
    assert_eq!(searching.seconds(5), 0);
}

#[test]
fn a_renamed_file_ends_after_a_search() {
    let mut searching = Searching::new("*.log");
    searching.write("a.log");
    searching.seconds(3);
    fs::rename(searching.dir.path().join("a.log"), searching.dir.path().join("a.log.1")).unwrap();
    searching.seconds(12);
    assert_eq!(searching.tail.sources().count(), 0);
    assert_eq!(searching.seconds(5), 0);
}

#[test]
fn where_a_directory_cannot_be_watched_files_are_searched_for() {
    let mut rig = Rig::new(&["/logs/app/*/*.log"]);
    rig.disk.limit_watches(1);
    rig.restart();
    rig.append("a.log", "");
    rig.disk.make_dirs(Path::new("/logs/app/x")).unwrap();
    rig.append("x/a.log", "line 1\n");
    rig.seconds(3);
    assert!(rig.tail.needs_search(rig.now));
    rig.disk.forget_watches();
    rig.append("x/b.log", "line 2\n");
    rig.disk.forget_watches();
    rig.seconds(2);
    assert_eq!(rig.heard().len(), 2);
}
