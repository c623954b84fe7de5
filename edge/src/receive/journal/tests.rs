mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge_pipeline::{Program, Relabeling};
use proptest::prelude::*;
use proto_boot::Metrics;
use proto_model::{Labels, Timestamp};
use proto_seam::{Clock, Disk as _, disk::real::RealDisk};

use super::cursor::Cursor;
use super::entry::Shape;
use super::reader::{Counts, Reader, Root, Unreadable};
use crate::receive::post::Post;
use crate::receive::{Inlet, Intake};
use writer::{Journal, Packing};

/// Microseconds since 1970 at which the first entry was written.
const T0: u64 = 1_700_000_000_000_000;
const NOW: i64 = 1_700_000_000 * 1_000_000_000;

fn post() -> Arc<Post> {
    let (intake, _) = Intake::new(&Metrics::new());
    let inlet = Inlet { name: "j".into(), program: Program::compile(&[]).unwrap() };
    Arc::new(Post::new(inlet, intake, "journal", Labels::from_pairs([("job", "j")]), Relabeling::default(), Clock::simulated(NOW)))
}

struct Bed {
    dir: tempfile::TempDir,
    reader: Option<Reader>,
    counts: Counts,
    /// Seconds since the start.
    now: i64,
}

impl Bed {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), reader: None, counts: Counts::default(), now: 0 }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Begins to read: at a cursor, else at `since`.
    fn begin(&mut self, cursor: Option<&[u8]>, since: u64) {
        let disk = self.dir.path().join("disk");
        let root = |dir: &Path, is_runtime| Root { dir: dir.to_path_buf(), is_runtime };
        let roots = vec![root(self.dir.path(), false), root(&disk, false), root(&self.dir.path().join("run"), true)];
        let cursor = cursor.map(|bytes| Cursor::parse(bytes).expect("a cursor of ours"));
        let shape = Shape::new(false, "", Relabeling::default()).unwrap();
        self.reader = Some(Reader::new(Arc::new(RealDisk::new()), roots, post(), shape, cursor, since));
    }

    fn cursor(&self) -> Vec<u8> {
        self.reader.as_ref().unwrap().cursor().to_bytes()
    }

    fn once(&mut self) -> Result<(Vec<String>, bool), Unreadable> {
        self.now += 2;
        let filled = self.reader.as_mut().unwrap().fill(Timestamp(NOW + self.now * 1_000_000_000))?;
        let counts = &filled.counts;
        self.counts.lines += counts.lines;
        self.counts.damaged_entries += counts.damaged_entries;
        self.counts.damaged_files += counts.damaged_files;
        self.counts.gone += counts.gone;
        self.counts.gone_entries += counts.gone_entries;
        self.counts.no_message += counts.no_message;
        Ok((filled.records.iter().map(|record| String::from_utf8_lossy(&record.line).into_owned()).collect(), filled.is_all))
    }

    /// All that is there, and what comes with one more round.
    fn all(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut rounds = 0;
        while rounds < 2 {
            let (more, is_all) = self.once().unwrap();
            lines.extend(more);
            rounds += usize::from(is_all);
        }
        lines
    }
}

/// Entries `from..to`, each with its number as message.
fn write(journal: &mut Journal, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        let message = format!("line {number}");
        journal.entry(number, T0 + number * 1_000, number * 1_000, &[("MESSAGE", message.as_bytes()), ("_SYSTEMD_UNIT", b"a.service"), ("PRIORITY", b"6")]);
    }
}

fn lines(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("line {number}")).collect()
}

#[test]
fn entries_are_read_in_order_and_as_they_are_written() {
    for compact in [false, true] {
        let mut bed = Bed::new();
        let mut journal = if compact { Journal::new(1, 9).compact() } else { Journal::new(1, 9) };
        write(&mut journal, 1..=100);
        journal.save(&bed.path("system.journal"));
        bed.begin(None, 1);
        assert_eq!(bed.all(), lines(1..=100));
        for number in 101..130 {
            write(&mut journal, [number]);
            journal.save(&bed.path("system.journal"));
            assert_eq!(bed.all(), lines([number]));
        }
        assert_eq!(bed.all(), lines([]));
        assert_eq!(bed.counts.damaged_entries + bed.counts.damaged_files, 0);
    }
}

#[test]
fn files_are_merged_and_a_file_found_late_is_read_whole() {
    let mut bed = Bed::new();
    let (mut system, mut user) = (Journal::new(1, 9), Journal::new(2, 9));
    write(&mut system, (1..200).filter(|n| n % 3 != 0));
    write(&mut user, (1..200).filter(|n| n % 3 == 0));
    system.save(&bed.path("system.journal"));
    user.save(&bed.path("user-1000.journal"));
    bed.begin(None, 1);
    assert_eq!(bed.all(), lines(1..200));
    // 200 goes to a new file, 201 to one that is read at once: the cursor in between knows neither more nor less.
    let mut other = Journal::new(3, 9);
    write(&mut other, [200]);
    write(&mut system, [201]);
    system.save(&bed.path("system.journal"));
    let cursor = {
        let reader = bed.reader.as_mut().unwrap();
        let filled = reader.fill(Timestamp(NOW + bed.now * 1_000_000_000)).unwrap();
        assert_eq!(filled.records.len(), 1);
        bed.cursor()
    };
    other.save(&bed.path("user-1001.journal"));
    bed.begin(Some(&cursor), 1);
    assert_eq!(bed.all(), lines([200]));
}

#[test]
fn a_restart_anywhere_repeats_and_loses_nothing_though_files_are_rotated_and_removed() {
    let mut bed = Bed::new();
    let mut files: Vec<(String, Journal)> = Vec::new();
    let mut got = Vec::new();
    let mut number = 1;
    for file in 0..6u8 {
        let mut journal = if file % 2 == 0 { Journal::new(file + 1, 9) } else { Journal::new(file + 1, 9).compact().packed(Packing::Zstd) };
        let active = bed.path("system.journal");
        for step in 0..4 {
            write(&mut journal, number..number + 25 + step);
            number += 25 + step;
            journal.save(&active);
            let cursor = bed.reader.as_ref().map(|_| bed.cursor());
            bed.begin(cursor.as_deref(), 1);
            // A part, without the rest of the round; then again from the cursor.
            if step % 2 == 0 {
                got.extend(bed.once().unwrap().0);
            } else {
                got.extend(bed.all());
            }
        }
        journal.archive();
        journal.save(&active);
        let name = format!("system@{file}.journal");
        RealDisk::new().rename(&active, &bed.path(&name)).unwrap();
        files.push((name, journal));
        if file >= 2 {
            got.extend(bed.all());
            RealDisk::new().remove(&bed.path(&files[usize::from(file) - 2].0)).unwrap();
        }
    }
    got.extend(bed.all());
    assert_eq!(got, lines(1..number));
    assert_eq!(bed.counts.gone, 0);
    assert!(bed.cursor().len() < 600, "{}", String::from_utf8_lossy(&bed.cursor()));
}

#[test]
fn a_file_that_is_removed_while_it_is_open_is_read_to_its_end() {
    let mut bed = Bed::new();
    let mut journal = Journal::new(1, 9);
    for number in 1..=3 {
        journal.entry(number, T0 + number, number, &[("MESSAGE", &vec![b'0' + u8::try_from(number).unwrap(); 200_000])]);
    }
    journal.save(&bed.path("a.journal"));
    bed.begin(None, 1);
    let (first, is_all) = bed.once().unwrap();
    assert!(!is_all && first.len() == 2, "{}", first.len());
    RealDisk::new().remove(&bed.path("a.journal")).unwrap();
    assert_eq!(bed.all().len(), 1);
}

#[test]
fn entries_that_were_removed_unread_are_told_and_reading_goes_on_behind() {
    let mut bed = Bed::new();
    let (mut old, mut middle, mut new) = (Journal::new(1, 9), Journal::new(2, 9), Journal::new(3, 9));
    write(&mut old, 1..=10);
    old.save(&bed.path("old.journal"));
    bed.begin(None, 1);
    assert_eq!(bed.all(), lines(1..=10));
    let cursor = bed.cursor();
    write(&mut middle, 11..=20);
    write(&mut new, 21..=30);
    RealDisk::new().remove(&bed.path("old.journal")).unwrap();
    new.save(&bed.path("new.journal"));
    bed.begin(Some(&cursor), 1);
    assert_eq!(bed.all(), lines(21..=30));
    assert_eq!((bed.counts.gone, bed.counts.gone_entries), (1, 10));
    // With the file in between nothing is missing.
    middle.save(&bed.path("middle.journal"));
    bed.begin(Some(&cursor), 1);
    assert_eq!(bed.all(), lines(11..=30));
    assert_eq!(bed.counts.gone, 1);
}

#[test]
fn entries_that_come_and_go_between_two_looks_are_told() {
    let mut bed = Bed::new();
    let (mut first, mut third) = (Journal::new(1, 9), Journal::new(3, 9));
    write(&mut first, 1..=10);
    first.save(&bed.path("system.journal"));
    bed.begin(None, 1);
    assert_eq!(bed.all(), lines(1..=10));
    // It grew, was archived and removed, as was a second file that nobody saw.
    write(&mut first, 11..=15);
    first.archive();
    first.save(&bed.path("system.journal"));
    RealDisk::new().remove(&bed.path("system.journal")).unwrap();
    write(&mut third, 41..=50);
    third.save(&bed.path("system.journal"));
    assert_eq!(bed.all(), lines((11..=15).chain(41..=50)));
    assert_eq!((bed.counts.gone, bed.counts.gone_entries), (1, 25));
}

#[test]
fn the_age_bounds_what_is_read_first_and_not_what_a_cursor_knows() {
    let mut bed = Bed::new();
    let mut journal = Journal::new(1, 9);
    write(&mut journal, 1..=100);
    journal.save(&bed.path("a.journal"));
    bed.begin(None, T0 + 60 * 1_000);
    assert_eq!(bed.once().unwrap().0, lines(60..=100));
    let cursor = bed.cursor();
    write(&mut journal, 101..=110);
    journal.save(&bed.path("a.journal"));
    bed.begin(Some(&cursor), u64::MAX >> 10);
    assert_eq!(bed.all(), lines(101..=110));
    // A cursor of another reader is one entry.
    let theirs = String::from_utf8(cursor).unwrap().lines().next().unwrap().to_owned();
    bed.begin(Some(theirs.as_bytes()), 1);
    assert_eq!(bed.all(), lines(101..=110));
}

#[test]
fn what_journald_moves_from_memory_to_disk_is_not_read_twice() {
    let mut bed = Bed::new();
    std::fs::create_dir_all(bed.path("run")).unwrap();
    let mut memory = Journal::new(1, 8);
    write(&mut memory, 1..=50);
    memory.save(&bed.path("run/system.journal"));
    bed.begin(None, 1);
    assert_eq!(bed.all(), lines(1..=50));
    // Copies have the same boot and time, and numbers of their own.
    let mut disk = Journal::new(2, 9);
    for number in 1..=60u64 {
        disk.entry(1_000 + number, T0 + number * 1_000, number * 1_000, &[("MESSAGE", format!("line {number}").as_bytes())]);
    }
    disk.save(&bed.path("system.journal"));
    RealDisk::new().remove(&bed.path("run/system.journal")).unwrap();
    assert_eq!(bed.all(), lines(51..=60));
    let cursor = bed.cursor();
    bed.begin(Some(&cursor), 1);
    assert_eq!(bed.all(), lines([]));
}

#[test]
fn packed_and_huge_fields_are_read_up_to_a_bound() {
    for packing in [Packing::None, Packing::Lz4, Packing::Zstd] {
        let mut bed = Bed::new();
        let mut journal = Journal::new(1, 9).packed(packing);
        let (long, huge) = ("y".repeat(10_000), "z".repeat(3 << 20));
        journal.entry(1, T0, 1, &[("MESSAGE", long.as_bytes())]);
        journal.entry(2, T0 + 1, 2, &[("MESSAGE", huge.as_bytes())]);
        journal.entry(3, T0 + 2, 3, &[("MESSAGE", b"last")]);
        journal.save(&bed.path("a.journal"));
        bed.begin(None, 1);
        let all = bed.all();
        assert_eq!(all[0], long);
        assert!(all[1].starts_with("zzzz") && all[1].len() < 300_000 && all[1].contains("…[cut"), "{packing:?}: {}", all[1].len());
        assert_eq!(all[2], "last");
    }
}

#[test]
fn damage_costs_what_is_damaged_and_is_counted() {
    let mut bed = Bed::new();
    let mut sound = Journal::new(1, 9);
    write(&mut sound, 1..=20);
    let mut broken = sound.clone();
    let at = broken.places[6];
    broken.bytes[at..at + 16].fill(0);
    broken.save(&bed.path("a.journal"));
    let mut other = Journal::new(2, 7);
    write(&mut other, [1]);
    other.bytes[..8].copy_from_slice(b"NOTAFILE");
    other.save(&bed.path("b.journal"));
    bed.begin(None, 1);
    assert_eq!(bed.all(), lines((1..=20).filter(|n| *n != 7)));
    assert_eq!((bed.counts.damaged_entries, bed.counts.damaged_files), (1, 2));
    // Cut short: what is there is read, the rest is counted.
    let mut bed = Bed::new();
    sound.bytes.truncate(sound.places[15]);
    sound.save(&bed.path("a.journal"));
    bed.begin(None, 1);
    assert_eq!(bed.all(), lines(1..=15));
    assert_eq!(bed.counts.damaged_entries, 5);
}

#[test]
fn a_file_with_unknown_flags_needs_another_reader_or_is_skipped() {
    let mut bed = Bed::new();
    let mut journal = Journal::new(1, 9);
    write(&mut journal, 1..=3);
    journal.flag(1);
    journal.save(&bed.path("a.journal"));
    bed.begin(None, 1);
    assert!(bed.once().unwrap_err().to_string().contains("flags 0x1"));
    bed.begin(None, 1);
    bed.reader.as_mut().unwrap().skip_unknown();
    assert_eq!(bed.all(), lines([]));
    assert_eq!(bed.counts.damaged_files, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    /// Any damage ends in a bounded time and memory, and what is read are whole entries.
    #[test]
    fn damaged_files_never_stop_reading(at in prop::collection::vec((0usize..1_000_000, any::<u8>()), 1..40), compact: bool) {
        let mut bed = Bed::new();
        let mut journal = if compact { Journal::new(1, 9).compact() } else { Journal::new(1, 9) }.packed(Packing::Lz4);
        write(&mut journal, 1..=60);
        for (place, byte) in at {
            let place = place % journal.bytes.len();
            journal.bytes[place] = byte;
        }
        journal.save(&bed.path("a.journal"));
        bed.begin(None, 1);
        let mut rounds = 0;
        for _ in 0..50 {
            match bed.once() {
                Ok((more, is_all)) => {
                    prop_assert!(more.len() <= 70);
                    rounds += usize::from(is_all);
                    if rounds == 2 { break }
                }
                Err(_) => return Ok(()),
            }
        }
        prop_assert!(rounds == 2, "reading does not come to an end");
    }
}

/// For a pause that is no more than a turn of the runtime.
const TURN: Duration = Duration::from_millis(5);

mod pull;
