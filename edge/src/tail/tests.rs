use edge_pipeline::{Program, StageSettings};
use proptest::prelude::*;
use proto_model::Labels;
use proto_seam::{Entropy, OpenHow};
use proto_wire::{BatchView, Compression};

use super::*;
use crate::discover::files::{Listing, Pattern};
use crate::discover::{Target, discover, discover_listed};
use crate::gather::GatherSettings;
use sim_disk::SimDisk;

#[allow(dead_code, unreachable_pub, reason = "shared with the tests crate, which uses other parts")]
#[path = "../../../tests/harness/disk.rs"]
mod sim_disk;

mod due;
mod packed;
mod rows;
mod unseen;

const DIR: &str = "/logs/app";

fn jobs(globs: &[&str], stages: &str) -> Vec<Job> {
    let stages: Vec<StageSettings> = proto_boot::settings::parse_all("stages", stages).0.unwrap();
    let target = |glob: &&str| Target { labels: Labels::from_pairs([("job", "test")]), pattern: Pattern::new(glob).unwrap(), exclude: None };
    vec![Job::new("test".to_owned(), globs.iter().map(target).collect(), Program::compile(&stages).unwrap())]
}

/// An edge's reading, driven by hand on a disk in memory.
struct Rig {
    disk: SimDisk,
    /// The disk as the edge sees it.
    seen: Arc<dyn Disk>,
    jobs: Vec<Job>,
    tail: Tail,
    gather: Gather,
    now: Timestamp,
    search_every: Duration,
    next_search: Timestamp,
    lines: Vec<String>,
    /// `filename` of each line.
    names: Vec<String>,
    missed: Vec<Missed>,
    positions: BTreeMap<FileIdentity, SourcePosition>,
}

impl Rig {
    fn new(globs: &[&str]) -> Self {
        Self::with(globs, "[]")
    }

    fn with(globs: &[&str], stages: &str) -> Self {
        let disk = SimDisk::new(&Entropy::seeded(1));
        disk.make_dirs(Path::new(DIR)).unwrap();
        let jobs = jobs(globs, stages);
        let tail = Tail::new(Arc::new(disk.clone()), jobs.clone(), []);
        let gather = Gather::new(GatherSettings { bytes_max: 1 << 20, wait_max: Duration::from_secs(1), compression: Compression::None });
        let (now, search_every) = (Timestamp(1_700_000_000_000_000_000), Duration::from_secs(1));
        let (lines, names, missed, positions) = (Vec::new(), Vec::new(), Vec::new(), BTreeMap::new());
        disk.set_clock(now.nanos());
        let seen = Arc::new(disk.clone());
        Self { disk, seen, jobs, tail, gather, now, search_every, next_search: now, lines, names, missed, positions }
    }

    fn at(name: &str) -> PathBuf {
        Path::new(DIR).join(name)
    }

    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        self.disk.open(&Self::at(name), OpenHow::Append).unwrap().append(bytes.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        self.disk.rename(&Self::at(from), &Self::at(to)).unwrap();
    }

    fn remove(&self, name: &str) {
        self.disk.remove(&Self::at(name)).unwrap();
    }

    fn truncate(&self, name: &str, len: u64) {
        self.disk.open(&Self::at(name), OpenHow::Append).unwrap().set_len(len).unwrap();
    }

    fn identity(&self, name: &str) -> FileIdentity {
        self.disk.state(&Self::at(name)).unwrap().identity
    }

    /// One turn as the collector makes it; whether there is more.
    fn turn(&mut self) -> bool {
        if self.now >= self.next_search {
            if self.tail.needs_search(self.now) {
                let seen = Arc::clone(&self.seen);
                let mut listing = Listing::new(seen.as_ref());
                let found = discover_listed(&self.jobs, &mut listing, &mut |why| panic!("{why}"));
                self.tail.found(&found, self.now);
                self.tail.cover(&listing, &found, self.now);
            }
            self.next_search = self.now.plus(self.search_every);
        }
        let turn = self.tail.turn(self.now, 8 << 20, &mut self.gather);
        self.missed.extend(turn.missed);
        self.freeze();
        turn.more
    }

    /// What was gathered and the positions after it, as one WAL record holds them.
    fn freeze(&mut self) {
        let batch = self.gather.freeze().unwrap();
        let view = BatchView::parse(batch.body).unwrap();
        let payload = view.payload().unwrap();
        for (at, stream) in view.table().streams.iter().enumerate() {
            let name = stream.labels.iter().find(|label| label.name == "filename").map(|label| label.value.clone()).unwrap_or_default();
            for row in payload.rows(at) {
                self.lines.push(row.unwrap().line.iter().map(|byte| char::from(*byte)).collect());
                self.names.push(name.clone());
            }
        }
        for position in self.tail.take_positions() {
            if position.gone {
                self.positions.remove(&position.identity);
            } else {
                self.positions.insert(position.identity, position);
            }
        }
    }

    fn run(&mut self, wait: Duration) {
        let end = self.now.plus(wait);
        loop {
            while self.turn() {}
            if self.now >= end {
                return;
            }
            self.now = self.now.plus(Duration::from_millis(100));
            self.disk.set_clock(self.now.nanos());
        }
    }

    fn seconds(&mut self, seconds: u64) {
        self.run(Duration::from_secs(seconds));
    }

    /// The process ends between two WAL records and begins again on what the WAL holds.
    fn restart(&mut self) {
        self.gather.clear();
        self.tail = Tail::new(Arc::clone(&self.seen), self.jobs.clone(), self.positions.values().cloned());
        self.next_search = self.now;
    }

    fn heard(&mut self) -> Vec<String> {
        self.names.clear();
        std::mem::take(&mut self.lines)
    }

    fn reasons(&self) -> Vec<(&'static str, Option<u64>)> {
        self.missed.iter().map(|missed| (missed.reason, missed.bytes)).collect()
    }
}

fn numbered(numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

fn text(numbers: std::ops::RangeInclusive<u32>) -> String {
    numbers.map(|number| format!("line {number}\n")).collect()
}

#[test]
fn a_renamed_file_is_read_to_its_end_before_its_successor() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=3));
    rig.seconds(2);
    rig.append("a.log", text(4..=5));
    rig.rename("a.log", "a.log.1");
    rig.append("a.log", text(8..=9));
    // Its writer still has the old one open.
    rig.append("a.log.1", text(6..=7));
    rig.seconds(4);
    assert_eq!(rig.heard(), numbered(1..=9));
    rig.seconds(10);
    assert_eq!(rig.tail.sources().count(), 1, "the old one is closed");
    assert!(rig.positions[&rig.identity("a.log.1")].done, "and the WAL told that it was read to its end");
    assert_eq!(rig.heard(), [""; 0]);
    rig.remove("a.log.1");
    rig.seconds(70);
    assert_eq!(rig.positions.len(), 1, "the WAL forgets it when it is gone");
    assert_eq!(rig.reasons(), []);
}

#[test]
fn a_long_rest_of_a_renamed_file_comes_first_across_a_restart_too() {
    for globs in [&["/logs/app/*.log"][..], &["/logs/app/a.log*"]] {
        let mut rig = Rig::new(globs);
        rig.append("a.log", text(1..=3));
        rig.seconds(2);
        rig.append("a.log", text(4..=400_000));
        rig.rename("a.log", "a.log.1");
        rig.append("a.log", text(400_001..=400_003));
        rig.restart();
        rig.seconds(20);
        let heard = rig.heard();
        assert_eq!(heard.len(), 400_003, "{globs:?}");
        assert!(heard == numbered(1..=400_003), "in order, {globs:?}");
        assert_eq!(rig.reasons(), []);
    }
}

#[test]
fn a_file_renamed_within_the_glob_is_not_read_twice_however_seldom_is_searched() {
    for (search_every, rest) in [(1, ""), (20, ""), (20, "unfinished"), (1, "unfinished")] {
        let mut rig = Rig::new(&["/logs/app/*"]);
        rig.search_every = Duration::from_secs(search_every);
        rig.append("a.log", text(1..=3));
        rig.append("a.log", rest);
        rig.seconds(3);
        rig.rename("a.log", "a.log.1");
        rig.append("a.log", text(4..=6));
        rig.seconds(60);
        rig.append("a.log.1", " at last\n");
        rig.seconds(60);
        let mut expected = numbered(1..=6);
        expected.push(format!("{rest} at last"));
        assert_eq!(rig.heard(), expected, "every {search_every} s, {rest:?}");
        assert_eq!(rig.tail.sources().count(), 2);
        rig.restart();
        rig.seconds(10);
        assert_eq!(rig.heard(), [""; 0], "nor after a restart");
    }
}

#[test]
fn files_that_came_and_went_between_two_looks_are_read_and_copies_are_not() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=2));
    rig.seconds(2);
    rig.append("a.log", text(3..=4));
    rig.rename("a.log", "a.log.2");
    rig.append("a.log", text(5..=6));
    rig.rename("a.log", "a.log.1");
    rig.append("a.log", text(7..=8));
    rig.seconds(15);
    assert_eq!(rig.heard(), numbered(1..=8));
    rig.append("a.log.copy", text(7..=8));
    rig.truncate("a.log", 0);
    rig.append("a.log", text(9..=9));
    rig.seconds(15);
    assert_eq!(rig.heard(), numbered(9..=9));
}

#[test]
fn a_file_cut_in_place_begins_again_and_what_was_lost_is_counted() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=3));
    rig.seconds(2);
    rig.truncate("a.log", 0);
    rig.seconds(1);
    rig.append("a.log", text(4..=5));
    rig.seconds(2);
    assert_eq!(rig.heard(), numbered(1..=5));
    assert_eq!(rig.reasons(), [("truncated", None)]);
    assert_eq!(rig.positions[&rig.identity("a.log")].generation, 1);
    // Cut and grown past the old end between two looks: the first bytes tell.
    rig.truncate("a.log", 0);
    rig.append("a.log", text(100..=110));
    rig.seconds(2);
    assert_eq!(rig.heard(), numbered(100..=110));
    assert_eq!(rig.positions[&rig.identity("a.log")].generation, 2);
    // And while this edge was down.
    rig.truncate("a.log", 0);
    rig.append("a.log", text(7..=8));
    rig.restart();
    rig.seconds(2);
    assert_eq!(rig.heard(), numbered(7..=8));
    assert_eq!((rig.positions[&rig.identity("a.log")].generation, rig.missed.len()), (3, 3));
}

#[test]
fn a_cut_within_an_unfinished_line_does_not_glue_two_lines() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", "half of a li");
    rig.seconds(2);
    rig.truncate("a.log", 0);
    rig.seconds(2);
    rig.append("a.log", "another line, longer than that\n");
    rig.seconds(2);
    assert_eq!(rig.heard(), ["another line, longer than that"]);
    assert_eq!(rig.reasons(), [("truncated", Some(12))]);
    // Where the first bytes do not tell, the length does.
    let wide = "x".repeat(2_000);
    rig.append("b.log", format!("{wide}\nhalf of a li"));
    rig.seconds(2);
    rig.truncate("b.log", 2_001 + 4);
    rig.seconds(2);
    rig.append("b.log", "moon\n");
    rig.seconds(2);
    assert_eq!(rig.heard(), [&wide, &wide, "halfmoon"]);
}

#[test]
fn a_deleted_file_is_read_to_its_end_and_let_go() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=2));
    rig.seconds(2);
    rig.append("a.log", text(3..=3));
    rig.append("a.log", "no newline at the end");
    rig.remove("a.log");
    rig.seconds(3);
    assert_eq!(rig.heard(), numbered(1..=3), "the end may still come");
    rig.seconds(10);
    assert_eq!(rig.heard(), ["no newline at the end"]);
    assert_eq!((rig.tail.sources().count(), rig.positions.len()), (0, 0));
    assert_eq!(rig.reasons(), []);
}

#[test]
fn a_line_without_newline_is_held_until_it_has_one() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", "one\ntw");
    rig.seconds(30);
    assert_eq!(rig.heard(), ["one"]);
    assert_eq!(rig.positions[&rig.identity("a.log")].offset, 4, "the position is before it");
    rig.restart();
    rig.seconds(1);
    rig.append("a.log", "o\n");
    rig.seconds(2);
    assert_eq!(rig.heard(), ["two"]);
}

#[test]
fn line_endings_and_odd_bytes_are_kept_or_cut_as_documented() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    let bytes = b"crlf\r\nnul\0in\nbad\xFF\xFEutf8\nbare\rcr\n\n\r\nsep\xE2\x80\xA8in\n\xEF\xBB\xBFbom\n";
    rig.append("a.log", bytes);
    rig.seconds(2);
    assert_eq!(rig.heard(), ["crlf", "nul\0in", "bad\u{ff}\u{fe}utf8", "bare\rcr", "", "", "sep\u{e2}\u{80}\u{a8}in", "\u{ef}\u{bb}\u{bf}bom"]);
    assert_eq!(rig.positions[&rig.identity("a.log")].offset, bytes.len() as u64);
}

#[test]
fn a_line_of_many_mebibytes_is_cut_in_bounded_memory_and_others_go_on() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    let bytes = 24 * 1024 * 1024;
    rig.append("a.log", vec![b'x'; bytes]);
    rig.append("b.log", text(1..=1));
    rig.turn();
    assert_eq!(rig.heard(), numbered(1..=1));
    rig.seconds(2);
    assert!(rig.tail.buffer.capacity() <= 2 * source::READ_BYTES);
    rig.append("a.log", "\nafter\n");
    rig.seconds(2);
    let heard = rig.heard();
    assert_eq!(heard.len(), 2);
    assert!(heard[0].len() <= split::LINE_BYTES_MAX && heard[0].contains(&format!("[cut from {bytes} bytes]")), "{}", heard[0].len());
    assert_eq!(heard[1], "after");
}

#[test]
fn an_empty_file_is_known_and_read_when_it_grows() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", "");
    rig.seconds(3);
    assert_eq!(rig.heard(), [""; 0]);
    assert_eq!(rig.positions[&rig.identity("a.log")].offset, 0);
    rig.restart();
    rig.append("a.log", text(1..=2));
    rig.seconds(2);
    assert_eq!(rig.heard(), numbered(1..=2));
    assert_eq!(rig.reasons(), []);
}

#[test]
fn what_is_no_file_or_lies_elsewhere_is_not_read() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.disk.make_dirs(Path::new("/etc")).unwrap();
    rig.disk.put(Path::new("/etc/shadow"), b"secret\n");
    rig.disk.put_link(&Rig::at("link.log"), Path::new("/etc/shadow"));
    rig.disk.put_link(&Rig::at("loop.log"), &Rig::at("loop.log"));
    rig.disk.put_link(&Rig::at("dangling.log"), Path::new("/logs/app/nothing"));
    rig.disk.put_other(&Rig::at("fifo.log"));
    rig.disk.make_dirs(&Rig::at("dir.log")).unwrap();
    rig.append("a.log", text(1..=2));
    rig.seconds(30);
    assert_eq!(rig.heard(), numbered(1..=2));
    let refused: Vec<&Path> = rig.tail.refused().map(|(path, _)| path).collect();
    assert!(refused.contains(&Rig::at("link.log").as_path()), "{refused:?}");
    assert_eq!(rig.tail.sources().count(), 1);
}

#[test]
fn two_names_of_one_file_are_read_once() {
    let mut rig = Rig::new(&["/logs/app/*.log", "/logs/app/a.*"]);
    rig.append("a.log", text(1..=2));
    rig.disk.put_link(&Rig::at("b.log"), &Rig::at("a.log"));
    rig.seconds(3);
    rig.append("a.log", text(3..=4));
    rig.seconds(3);
    rig.restart();
    rig.append("a.log", text(5..=5));
    rig.seconds(12);
    assert_eq!(rig.heard(), numbered(1..=5));
}

#[test]
fn a_position_is_of_a_file_not_of_an_inode_or_a_path() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=3));
    rig.seconds(2);
    rig.heard();
    // Another file with the inode of the old one, as large.
    let mut stale = rig.positions[&rig.identity("a.log")].clone();
    rig.remove("a.log");
    rig.append("a.log", text(4..=6));
    stale.identity = rig.identity("a.log");
    rig.positions = BTreeMap::from([(stale.identity, stale)]);
    rig.restart();
    rig.seconds(2);
    assert_eq!(rig.heard(), numbered(4..=6));
    assert_eq!(rig.reasons(), [("truncated", None)]);
}

#[test]
fn a_file_that_vanished_while_the_edge_was_down_is_told_once() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=3));
    rig.append("b.log", text(1..=1));
    rig.seconds(2);
    rig.heard();
    rig.remove("a.log");
    rig.restart();
    rig.seconds(5);
    assert_eq!(rig.reasons(), [("vanished", None)]);
    assert_eq!((rig.positions.len(), rig.heard().len()), (1, 0));
    rig.restart();
    rig.seconds(5);
    assert_eq!(rig.missed.len(), 1);
}

#[test]
fn a_file_that_cannot_be_opened_for_a_while_goes_on_where_it_was() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=3));
    rig.seconds(2);
    rig.disk.make_unreadable(&Rig::at("a.log"), 0, 10);
    rig.restart();
    rig.append("a.log", text(4..=4));
    rig.append("b.log", text(5..=5));
    rig.seconds(35);
    assert_eq!(rig.tail.refused().count(), 1);
    assert_eq!(rig.positions.len(), 2, "the WAL still knows it");
    rig.disk.make_readable();
    rig.seconds(15);
    assert_eq!(rig.heard(), ["line 1", "line 2", "line 3", "line 5", "line 4"]);
    assert_eq!(rig.reasons(), []);
}

#[test]
fn a_renamed_file_that_cannot_be_opened_after_a_restart_is_not_given_up() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=3));
    rig.seconds(2);
    rig.append("a.log", text(4..=4));
    rig.rename("a.log", "a.log.1");
    rig.append("a.log", text(5..=5));
    rig.disk.make_unreadable(&Rig::at("a.log.1"), 0, 10);
    rig.restart();
    rig.seconds(25);
    assert_eq!(rig.heard(), ["line 1", "line 2", "line 3", "line 5"]);
    rig.disk.make_readable();
    rig.seconds(25);
    assert_eq!(rig.heard(), ["line 4"]);
    assert_eq!(rig.reasons(), []);
}

#[test]
fn a_bad_sector_stops_one_file_only() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=3));
    rig.seconds(2);
    rig.disk.make_unreadable(&Rig::at("a.log"), 21, 1_000);
    rig.append("a.log", text(4..=4));
    rig.append("b.log", text(5..=5));
    rig.seconds(2);
    assert_eq!(rig.heard(), ["line 1", "line 2", "line 3", "line 5"]);
    // Not even the file that takes its name waits for it.
    rig.rename("a.log", "a.log.1");
    rig.append("a.log", text(6..=6));
    rig.seconds(30);
    assert_eq!(rig.heard(), ["line 6"]);
    rig.disk.make_readable();
    rig.seconds(30);
    assert_eq!(rig.heard(), ["line 4"]);
    // Nor after a restart, when it is known how much of the old one is missing.
    rig.append("c.log", text(1..=300));
    rig.seconds(2);
    rig.append("c.log", text(301..=302));
    rig.rename("c.log", "c.log.1");
    rig.append("c.log", text(303..=303));
    rig.disk.make_unreadable(&Rig::at("c.log.1"), 2_000, 10_000);
    rig.heard();
    rig.restart();
    rig.seconds(15);
    assert_eq!(rig.heard(), ["line 303"]);
    rig.disk.make_readable();
    rig.seconds(15);
    assert_eq!(rig.heard(), ["line 301", "line 302"]);
}

#[test]
fn quiet_files_do_not_wait_for_a_loud_one() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("loud.log", text(1..=1_000_000));
    for quiet in 0..20 {
        rig.append(&format!("quiet{quiet}.log"), format!("quiet {quiet}\n"));
    }
    for _ in 0..2 {
        rig.turn();
    }
    assert_eq!(rig.lines.iter().filter(|line| line.starts_with("quiet")).count(), 20);
    assert!(rig.lines.len() < 500_000);
    // Later lines neither.
    for quiet in 0..20 {
        rig.append(&format!("quiet{quiet}.log"), "quiet again\n");
    }
    rig.now = rig.now.plus(Duration::from_secs(1));
    for _ in 0..4 {
        rig.turn();
    }
    assert_eq!(rig.lines.iter().filter(|line| line.starts_with("quiet")).count(), 40);
    assert!(rig.lines.len() < 500_000);
}

#[test]
fn a_full_batch_stops_the_reading_at_a_line() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=500_000));
    rig.turn();
    let (read, position) = (rig.lines.len(), rig.positions[&rig.identity("a.log")].offset);
    assert!(rig.lines.iter().map(String::len).sum::<usize>() < (1 << 20) + 20);
    assert_eq!(position as usize, text(1..=u32::try_from(read).unwrap()).len());
    rig.restart();
    rig.seconds(1);
    assert!(rig.heard() == numbered(1..=500_000));
}

#[test]
fn adoption_reads_again_from_where_the_hub_stands() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=4));
    rig.append("b.log", text(11..=12));
    rig.seconds(2);
    rig.heard();
    rig.append("a.log", "half ");
    rig.seconds(1);
    let committed = SourcePosition { offset: 14, resume: 14, generation: 3, ..rig.positions[&rig.identity("a.log")].clone() };
    let elsewhere = SourcePosition { path: "/logs/app/gone.log".to_owned(), identity: FileIdentity { device: 9, inode: 9 }, ..SourcePosition::default() };
    rig.tail.adopt(vec![committed, elsewhere]);
    rig.next_search = rig.now;
    rig.append("a.log", "a line\n");
    rig.seconds(2);
    let mut heard = rig.heard();
    heard.sort();
    assert_eq!(heard, ["half a line", "line 11", "line 12", "line 3", "line 4"]);
    assert_eq!(rig.positions[&rig.identity("a.log")].generation, 3);
    assert_eq!(rig.reasons(), [("vanished", None)]);
}

#[test]
fn labels_are_those_of_the_path_a_file_was_found_at() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=1));
    rig.append("b.log", text(2..=2));
    rig.seconds(2);
    rig.rename("a.log", "z.log");
    rig.append("z.log", text(3..=3));
    rig.seconds(3);
    assert_eq!(rig.names, ["/logs/app/a.log", "/logs/app/b.log", "/logs/app/a.log"]);
}

const MULTILINE: &str = "[{multiline: {firstline: '^line', max_wait_time: 3s}}]";
const CRI: &str = "[{cri: {}}]";

#[test]
fn what_the_pipeline_holds_is_neither_lost_nor_doubled_by_a_restart() {
    let cri = |tag: &str, content: &str| format!("2024-01-01T00:00:00.000000000Z stdout {tag} {content}\n");
    let table: [(&str, Vec<String>, Vec<&str>); 2] = [
        (
            MULTILINE,
            ["line 1\n", "  more\n", "  and more\n", "line 2\n", "  end\n"].map(str::to_owned).to_vec(),
            vec!["line 1\n  more\n  and more", "line 2\n  end"],
        ),
        (CRI, vec![cri("P", "one "), cri("P", "and "), cri("F", "one"), cri("F", "two"), cri("P", "thr"), cri("F", "ee")], vec!["one and one", "two", "three"]),
    ];
    for (stages, written, expected) in table {
        for restart_after in 0..written.len() {
            let mut rig = Rig::with(&["/logs/app/*.log"], stages);
            for (at, line) in written.iter().enumerate() {
                rig.append("a.log", line);
                rig.run(Duration::from_millis(200));
                if at == restart_after {
                    rig.restart();
                }
            }
            rig.seconds(10);
            assert_eq!(rig.heard(), expected, "{stages} after {restart_after}");
        }
    }
}

#[test]
fn held_lines_go_out_when_the_new_pipeline_would_not_hold_them() {
    let mut rig = Rig::with(&["/logs/app/*.log"], MULTILINE);
    rig.append("a.log", "line 1\nline 2\n  more\n");
    rig.run(Duration::from_millis(500));
    assert_eq!(rig.heard(), ["line 1"]);
    rig.jobs = jobs(&["/logs/app/*.log"], CRI);
    rig.restart();
    rig.seconds(5);
    assert_eq!(rig.heard(), ["line 2\n  more"]);
}

#[derive(Debug, Clone)]
enum Event {
    Write(u8, u8),
    Rotate(u8),
    Half,
    Wait(u16),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_u8..2, 1_u8..40).prop_map(|(file, lines)| Event::Write(file, lines)),
        1 => (0_u8..2).prop_map(Event::Rotate),
        1 => Just(Event::Half),
        4 => (0_u16..9_000).prop_map(Event::Wait),
        1 => Just(Event::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever is written, rotated and restarted: each line comes once, those of one path in order.
    #[test]
    fn every_line_comes_once_and_in_order(events in prop::collection::vec(event(), 1..40), in_glob in any::<bool>(), search_every in 1_u64..15) {
        let mut rig = Rig::new(&[if in_glob { "/logs/app/*" } else { "/logs/app/*.log" }]);
        rig.search_every = Duration::from_secs(search_every);
        let mut written = [0_u32; 2];
        let mut generations = [0_u32; 2];
        let mut half = false;
        rig.append("f0.log", "");
        rig.append("f1.log", "");
        rig.seconds(2);
        for event in events {
            match event {
                Event::Write(file, lines) => {
                    let at = usize::from(file);
                    for _ in 0..lines {
                        written[at] += 1;
                        let newline = if std::mem::take(&mut half) { "" } else { "\n" };
                        rig.append(&format!("f{file}.log"), format!("f{file} {}\n", written[at]).trim_end_matches('\n').to_owned() + newline);
                        if newline.is_empty() {
                            rig.run(Duration::from_millis(300));
                            rig.append(&format!("f{file}.log"), "\n");
                        }
                    }
                }
                Event::Rotate(file) => {
                    // A rotation that nobody could see has time to be seen.
                    rig.seconds(1);
                    generations[usize::from(file)] += 1;
                    rig.rename(&format!("f{file}.log"), &format!("f{file}.log.{}", generations[usize::from(file)]));
                    rig.append(&format!("f{file}.log"), "");
                    rig.seconds(1);
                }
                Event::Half => half = true,
                Event::Wait(wait) => rig.run(Duration::from_millis(wait.into())),
                Event::Restart => rig.restart(),
            }
        }
        rig.seconds(40);
        for (file, count) in written.into_iter().enumerate() {
            let prefix = format!("f{file} ");
            let heard: Vec<String> = rig.lines.iter().filter(|line| line.starts_with(&prefix)).cloned().collect();
            let expected: Vec<String> = (1..=count).map(|number| format!("{prefix}{number}")).collect();
            prop_assert_eq!(heard, expected);
        }
        prop_assert_eq!(rig.lines.len(), usize::try_from(written[0] + written[1]).unwrap());
        prop_assert!(rig.missed.is_empty(), "{:?}", rig.missed);
    }
}

#[test]
fn a_limited_rate_slows_reading_and_drops_nothing() {
    let mut rig = Rig::with(&["/logs/app/*.log"], "- limit: {rate: 100, burst: 50}");
    rig.append("a.log", text(1..=400));
    rig.seconds(1);
    let first = rig.heard().len();
    assert!((100..=200).contains(&first), "{first} lines after a second at 100 a second and a burst of 50");
    rig.restart();
    rig.seconds(4);
    assert_eq!(first + rig.heard().len(), 400, "no line is lost or told twice, be it over a restart");
    assert!(rig.missed.is_empty());
}

#[test]
fn a_limited_source_is_left_until_a_line_is_due() {
    let mut rig = Rig::with(&["/logs/app/*.log"], "- limit: {rate: 1, burst: 1}");
    rig.append("a.log", text(1..=10));
    rig.turn();
    rig.turn();
    assert!(!rig.turn(), "it is not read again and again");
    // What is due first is the question to the watch, whose longest wait comes when nothing happens.
    assert!(rig.tail.due_in(rig.now) >= Duration::from_millis(25), "{:?}", rig.tail.due_in(rig.now));
}
