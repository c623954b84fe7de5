//! Rotation that packs, archives that a job names, and watched directories, on a disk in memory.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::content::Packing;
use super::super::reading::{Archives, Reading};
use super::super::text::Text;
use super::*;

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// As the kubelet does it: packed beside it under another name, renamed, the plain one removed.
pub(super) fn pack(rig: &Rig, name: &str) {
    let bytes = rig.disk.contents(&Rig::at(name)).unwrap();
    rig.append(&format!("{name}.tmp"), gzip(&bytes));
    if name.starts_with("x.log") {
        // As gzip and logrotate do.
        let modified_ns = rig.disk.state(&Rig::at(name)).unwrap().modified_ns;
        rig.disk.set_modified(&Rig::at(&format!("{name}.tmp")), modified_ns);
    }
    rig.rename(&format!("{name}.tmp"), &format!("{name}.gz"));
    rig.remove(name);
}

/// One rotation of the kubelet: older ones packed, the newest renamed, the oldest removed when there are more than `kept`.
pub(super) fn rotate(rig: &Rig, stamp: &str, kept: usize) {
    let names = |rig: &Rig| -> Vec<String> {
        let names = rig.disk.paths().into_iter().filter_map(|path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
        names.filter(|name| name.starts_with("0.log.")).collect()
    };
    let all = names(rig);
    for old in &all[..all.len().saturating_sub(kept)] {
        rig.remove(old);
    }
    for name in names(rig).iter().filter(|name| !name.ends_with(".gz")) {
        pack(rig, name);
    }
    rig.rename("0.log", &format!("0.log.{stamp}"));
    rig.append("0.log", "");
}

#[test]
fn an_edge_that_was_away_goes_on_in_the_packed_sibling_and_reads_those_after_it() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("0.log", text(1..=5));
    rotate(&rig, "20260101-000000", 9);
    rig.append("0.log", text(6..=9));
    rotate(&rig, "20260101-000010", 9);
    rig.append("0.log", text(10..=12));
    rig.seconds(3);
    // What was rotated before it was first seen is nobody's promise.
    assert_eq!(rig.heard(), numbered(10..=12));
    // Away.
    rig.append("0.log", text(13..=20));
    rotate(&rig, "20260101-000020", 9);
    rig.append("0.log", text(21..=30));
    rotate(&rig, "20260101-000030", 9);
    rig.append("0.log", text(31..=40));
    rotate(&rig, "20260101-000040", 9);
    rig.append("0.log", text(41..=42));
    rig.restart();
    rig.seconds(20);
    assert_eq!(rig.heard(), numbered(13..=42));
    assert_eq!(rig.reasons(), []);
    // Nothing is read again: neither after a further rotation nor after a restart.
    rotate(&rig, "20260101-000050", 9);
    rig.append("0.log", text(43..=43));
    rig.seconds(20);
    rig.restart();
    rig.seconds(20);
    assert_eq!(rig.heard(), numbered(43..=43));
    assert_eq!(rig.reasons(), []);
}

#[test]
fn a_restart_in_the_middle_of_a_packed_sibling_goes_on_at_the_unpacked_offset() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("0.log", text(1..=3));
    rig.seconds(2);
    rig.append("0.log", text(4..=400_000));
    rotate(&rig, "20260101-000000", 9);
    rig.append("0.log", text(400_001..=400_003));
    rotate(&rig, "20260101-000010", 9);
    rig.append("0.log", text(400_004..=400_004));
    rig.restart();
    for _ in 0..3 {
        rig.turn();
    }
    assert!(rig.lines.len() > 100 && rig.lines.len() < 400_000, "{}", rig.lines.len());
    rig.restart();
    rig.seconds(20);
    assert_eq!(rig.reasons(), []);
    let heard = rig.heard();
    let odd = heard.iter().zip(numbered(1..=400_004)).find(|(heard, expected)| *heard != expected);
    assert_eq!((heard.len(), odd), (400_004, None));
}

#[test]
fn a_file_packed_while_it_is_read_is_read_through_its_descriptor_and_not_again() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("0.log", text(1..=3));
    rig.seconds(2);
    for round in 0..6_u32 {
        rig.append("0.log", text(4 + round..=4 + round));
        rotate(&rig, &format!("20260101-00000{round}"), 2);
        rig.run(Duration::from_millis(u64::from(round) * 400));
    }
    rig.seconds(20);
    rig.restart();
    rig.seconds(20);
    assert_eq!(rig.heard(), numbered(1..=9));
    assert_eq!(rig.reasons(), []);
}

#[test]
fn what_a_vanished_file_took_with_it_is_counted_and_its_successors_are_read() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("0.log", text(1..=3));
    rig.seconds(2);
    rig.heard();
    // Seen, not read: the batch is full.
    rig.append("0.log", text(4..=1_000_000));
    rig.now = rig.now.plus(Duration::from_secs(1));
    rig.turn();
    let (read, known) = (rig.heard().len(), rig.positions[&rig.identity("0.log")].clone());
    assert!(known.size > known.offset);
    rotate(&rig, "20260101-000000", 9);
    rig.append("0.log", text(1_000_001..=1_000_002));
    rotate(&rig, "20260101-000010", 1);
    rig.append("0.log", text(1_000_003..=1_000_004));
    rotate(&rig, "20260101-000020", 1);
    rig.append("0.log", text(1_000_005..=1_000_005));
    rig.restart();
    rig.seconds(20);
    // The first one was removed, packed or not.
    assert_eq!(rig.heard(), numbered(1_000_001..=1_000_005), "{:?}", rig.disk.paths());
    assert_eq!(rig.reasons(), [("vanished", Some(known.size - known.offset))]);
    let gone = text(1..=1_000_000).len() as u64 - text(1..=u32::try_from(read + 3).unwrap()).len() as u64;
    assert_eq!(known.size - known.offset, gone, "to the byte");
    rig.restart();
    rig.seconds(5);
    assert_eq!((rig.missed.len(), rig.heard().len()), (1, 0), "told once");
}

#[test]
fn a_rename_that_is_undone_reads_nothing_again() {
    for wait in [0, 1, 20] {
        let mut rig = Rig::new(&["/logs/app/*.log"]);
        rig.append("0.log", text(1..=3));
        rig.seconds(2);
        rig.rename("0.log", "0.log.20260101-000000");
        rig.seconds(wait);
        if wait == 20 {
            assert_eq!(rig.tail.sources().count(), 0, "read to its end");
        }
        // The runtime did not reopen: the kubelet takes the rename back.
        rig.rename("0.log.20260101-000000", "0.log");
        rig.append("0.log", text(4..=5));
        rig.seconds(5);
        rig.restart();
        rig.append("0.log", text(6..=6));
        rig.seconds(5);
        assert_eq!(rig.heard(), numbered(1..=6), "after {wait} s");
        assert_eq!(rig.reasons(), []);
    }
}

#[test]
fn logrotates_names_are_followed_too() {
    // delaycompress: the newest stays plain.
    let shift = |rig: &Rig, upto: u32| {
        for number in (1..=upto).rev() {
            for ending in ["", ".gz"] {
                let (from, to) = (format!("x.log.{number}{ending}"), format!("x.log.{}{ending}", number + 1));
                if rig.disk.contents(&Rig::at(&from)).is_some() {
                    rig.rename(&from, &to);
                }
            }
        }
        if rig.disk.contents(&Rig::at("x.log.2")).is_some() {
            pack(rig, "x.log.2");
        }
        rig.rename("x.log", "x.log.1");
        rig.append("x.log", "");
    };
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("x.log", text(1..=2));
    shift(&rig, 0);
    rig.append("x.log", text(3..=4));
    rig.seconds(2);
    for (at, round) in (1..5).enumerate() {
        rig.append("x.log", text(5 + round * 2..=6 + round * 2));
        shift(&rig, 1 + u32::try_from(at).unwrap());
    }
    rig.append("x.log", text(15..=16));
    rig.restart();
    rig.seconds(30);
    let mut expected = numbered(3..=4);
    expected.extend(numbered(7..=16));
    assert_eq!(rig.heard(), expected, "{:?}", rig.disk.paths());
    assert_eq!(rig.reasons(), []);
}

#[test]
fn files_of_others_beside_a_path_are_left_alone() {
    let mut rig = Rig::new(&["/logs/app/a.log"]);
    rig.append("a.log", text(1..=2));
    rig.seconds(2);
    rig.append("a.log.err", "not mine\n");
    rig.append("a.log-notes", "nor this\n");
    rig.append("a.logger", "nor this\n");
    rig.rename("a.log", "a.log.1");
    rig.append("a.log", text(3..=3));
    rig.append("a.log.err", "not mine\n");
    rig.seconds(20);
    assert_eq!(rig.heard(), numbered(1..=3));
}

fn archive_rig(globs: &[&str], initial_delay: u64) -> Rig {
    let mut rig = Rig::new(globs);
    let archives = Archives { initial_delay: Duration::from_secs(initial_delay), packing: Some(Packing::Gzip) };
    rig.jobs[0].reading = Reading { archives: Some(archives), ..Reading::default() };
    rig.restart();
    rig
}

#[test]
fn archives_that_a_job_names_are_read_once_after_their_delay() {
    let mut rig = archive_rig(&["/logs/app/*"], 10);
    rig.append("one.gz", gzip(text(1..=5).as_bytes()));
    rig.append("plain.log", "plain\n");
    rig.append("other.zst", "no");
    rig.seconds(8);
    assert_eq!(rig.heard(), ["plain"]);
    rig.seconds(10);
    assert_eq!(rig.heard(), numbered(1..=5));
    assert!(rig.tail.refused().any(|(path, why)| path.ends_with("other.zst") && why.contains("gz, z and bz2")));
    rig.seconds(100);
    assert_eq!(rig.tail.sources().count(), 1, "closed");
    assert!(rig.positions[&rig.identity("one.gz")].done);
    rig.restart();
    rig.seconds(100);
    assert_eq!(rig.heard(), [""; 0], "not again");
    // A further member is the rest of the text.
    rig.append("one.gz", gzip(text(6..=7).as_bytes()));
    rig.seconds(100);
    assert_eq!(rig.heard(), numbered(6..=7));
    rig.remove("one.gz");
    rig.seconds(100);
    assert_eq!((rig.positions.len(), rig.reasons().len()), (1, 0));
}

#[test]
fn a_damaged_archive_is_told_and_one_that_grows_is_waited_for() {
    let mut rig = archive_rig(&["/logs/app/*.gz"], 0);
    let whole = gzip(text(1..=50_000).as_bytes());
    let mut bad = whole.clone();
    let middle = bad.len() / 2;
    bad[middle..middle + 20].iter_mut().for_each(|byte| *byte ^= 0x5A);
    rig.append("bad.gz", &bad);
    rig.append("no.gz", "no archive\n");
    rig.append("slow.gz", &whole[..middle]);
    rig.seconds(10);
    rig.append("slow.gz", &whole[middle..]);
    rig.seconds(100);
    let lines = rig.heard();
    assert!(lines.len() > 50_000 && lines.len() < 100_000, "{}", lines.len());
    assert_eq!(rig.reasons(), [("damaged", None), ("damaged", None)]);
    rig.append("cut.gz", &whole[..middle]);
    rig.seconds(100);
    assert_eq!(rig.reasons().len(), 3, "it ends in the middle for good");
    rig.heard();
    rig.restart();
    rig.seconds(100);
    assert_eq!((rig.reasons().len(), rig.heard().len()), (3, 0), "told once");
}

#[test]
fn thousands_of_archives_take_turns() {
    let mut rig = archive_rig(&["/logs/app/*.gz"], 0);
    for number in 1..=200 {
        rig.append(&format!("{number:03}.gz"), gzip(text(number..=number).as_bytes()));
    }
    let mut most = 0;
    for _ in 0..4_000 {
        rig.turn();
        most = most.max(rig.tail.sources().count());
        rig.now = rig.now.plus(Duration::from_millis(100));
    }
    let mut heard = rig.heard();
    heard.sort_by_key(|line| line.len());
    assert_eq!(heard.len(), 200);
    assert!(most <= 2 * UNPACKING_MAX, "{most}");
}

#[test]
fn encodings_are_decoded_line_by_line_and_positions_count_the_files_bytes() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.jobs[0].reading = Reading { text: Text::Utf16, ..Reading::default() };
    rig.restart();
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    rig.append("a.log", wide("\u{FEFF}line 1\r\nline 2\nhalf"));
    rig.seconds(2);
    assert_eq!(rig.heard(), numbered(1..=2));
    assert_eq!(rig.positions[&rig.identity("a.log")].offset, 32);
    rig.restart();
    rig.append("a.log", wide(" a line\n"));
    rig.seconds(2);
    assert_eq!(rig.heard(), ["half a line"]);
}

#[test]
fn a_last_line_without_newline_goes_out_after_a_while_and_its_rest_is_another() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", "one\nlast words");
    rig.seconds(290);
    assert_eq!(rig.heard(), ["one"]);
    rig.seconds(20);
    assert_eq!(rig.heard(), ["last words"]);
    rig.restart();
    rig.append("a.log", " and more\n");
    rig.seconds(2);
    assert_eq!(rig.heard(), [" and more"], "nothing twice");
}

#[test]
fn a_file_that_was_cut_and_has_grown_past_the_offset_is_not_read_on() {
    // While a backlog is read: the end is far, nobody looks.
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=500_000));
    rig.turn();
    let read = rig.heard().len();
    assert!(read < 500_000);
    rig.truncate("a.log", 0);
    rig.append("a.log", text(600_000..=1_400_000));
    rig.seconds(5);
    assert!(rig.heard() == numbered(600_000..=1_400_000), "nothing of the new file is taken for the old one's rest");
    let missing = text(1..=500_000).len() as u64 - text(1..=u32::try_from(read).unwrap()).len() as u64;
    assert_eq!(rig.reasons(), [("truncated", Some(missing))]);
    // Before the first look at it.
    rig.append("b.log", text(1..=3));
    rig.next_search = rig.now;
    let found = discover(&rig.jobs, &rig.disk, &mut |why| panic!("{why}"));
    rig.tail.found(&found, rig.now);
    rig.truncate("b.log", 0);
    rig.append("b.log", text(40..=60));
    rig.seconds(2);
    assert_eq!(rig.heard(), numbered(40..=60));
    assert_eq!(rig.reasons()[1..], [("truncated", Some(text(1..=3).len() as u64))]);
}

#[test]
fn deleted_files_are_kept_within_a_bound_and_what_is_let_go_is_counted() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=3));
    rig.seconds(1);
    rig.append("a.log", text(4..=9));
    rig.remove("a.log");
    // Nothing can be read: the WAL is full. Files are looked at all the same.
    let mut missed = Vec::new();
    for _ in 0..3_700 {
        rig.now = rig.now.plus(Duration::from_secs(1));
        let found = discover(&rig.jobs, &rig.disk, &mut |why| panic!("{why}"));
        rig.tail.found(&found, rig.now);
        missed.extend(rig.tail.look_around(rig.now, &mut rig.gather).missed);
    }
    assert_eq!(missed.iter().map(|missed| (missed.reason, missed.bytes)).collect::<Vec<_>>(), [("given_up", Some(text(4..=9).len() as u64))]);
    assert_eq!(rig.tail.sources().count(), 0);
}

#[test]
fn files_that_take_a_name_while_nothing_can_be_read_are_not_missed() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("0.log", text(1..=3));
    rig.seconds(1);
    for round in 0..5_u32 {
        rig.append("0.log", text(4 + round..=4 + round));
        rotate(&rig, &format!("20260101-00000{round}"), 1);
        rig.now = rig.now.plus(Duration::from_secs(10));
        let looked = rig.tail.look_around(rig.now, &mut rig.gather);
        assert_eq!(looked.missed, []);
    }
    rig.seconds(20);
    assert_eq!(rig.heard(), numbered(1..=8), "the kubelet removed most of them meanwhile: {:?}", rig.disk.paths());
}

#[test]
fn silent_files_in_watched_directories_are_left_alone_until_something_is_told() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.search_every = Duration::from_secs(1_000);
    rig.append("a.log", text(1..=1));
    rig.seconds(2);
    assert_eq!(rig.tail.watches(), (1, 0));
    assert!(rig.tail.sources().all(|source| source.watched));
    rig.append("a.log", text(2..=2));
    rig.run(Duration::from_millis(600));
    assert_eq!(rig.heard(), numbered(1..=2));
    // A rename is told too, and a new name makes a search worth while.
    rig.rename("a.log", "a.log.1");
    rig.append("a.log", text(3..=3));
    rig.append("b.log", text(4..=4));
    rig.run(Duration::from_millis(800));
    assert_eq!(rig.heard(), numbered(3..=3));
    assert!(rig.tail.wants_search(rig.now));
    rig.next_search = rig.now;
    rig.run(Duration::from_millis(600));
    assert_eq!(rig.heard(), numbered(4..=4));
    // What is not told is found all the same, later.
    rig.append("b.log", text(5..=5));
    rig.disk.forget_watches();
    rig.seconds(2);
    assert_eq!(rig.heard(), [""; 0]);
    rig.seconds(10);
    assert_eq!(rig.heard(), numbered(5..=5));
    // A queue that overflowed says so.
    rig.append("b.log", text(6..=6));
    rig.disk.overflow_watches();
    rig.seconds(1);
    assert_eq!(rig.heard(), numbered(6..=6));
    assert!(rig.tail.wants_search(rig.now));
}

#[test]
fn without_watches_files_are_looked_at_by_time() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.disk.limit_watches(0);
    rig.restart();
    rig.append("a.log", text(1..=1));
    rig.seconds(2);
    rig.append("a.log", text(2..=2));
    rig.run(Duration::from_millis(600));
    assert_eq!(rig.heard(), numbered(1..=2));
    assert_eq!(rig.tail.watches(), (0, 1));
}

#[test]
fn a_stale_handle_is_opened_anew_at_its_position() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("a.log", text(1..=3));
    rig.append("b.log", text(4..=4));
    rig.seconds(2);
    rig.disk.make_stale(&Rig::at("a.log"));
    rig.append("a.log", text(5..=5));
    rig.append("b.log", text(6..=6));
    rig.seconds(30);
    let mut heard = rig.heard();
    heard.sort();
    assert_eq!(heard, numbered(1..=6));
    assert_eq!(rig.reasons(), []);
}

#[test]
fn an_inode_that_is_given_anew_is_another_file() {
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("0.log", text(1..=3));
    rig.seconds(2);
    rotate(&rig, "20260101-000000", 9);
    rig.seconds(20);
    // Read to its end under its new name; its inode goes to the next file that is rotated while nobody looks.
    let done = rig.positions[&rig.identity("0.log.20260101-000000")].clone();
    assert!(done.done);
    rig.remove("0.log.20260101-000000");
    rig.append("0.log", text(4..=5));
    rotate(&rig, "20260101-000010", 9);
    rig.append("0.log", text(6..=7));
    rotate(&rig, "20260101-000020", 9);
    rig.append("0.log", text(8..=9));
    let reused = rig.identity("0.log.20260101-000020");
    rig.positions.remove(&done.identity);
    rig.positions.insert(reused, SourcePosition { identity: reused, ..done });
    rig.restart();
    rig.seconds(20);
    assert_eq!(rig.heard(), numbered(1..=9));
    assert_eq!(rig.reasons(), []);
    // The same of one that was not read to its end: the file of its path has its inode.
    rig.append("0.log", text(10..=12));
    let live = rig.positions[&rig.identity("0.log")].clone();
    rotate(&rig, "20260101-000030", 9);
    rig.append("0.log", text(13..=14));
    rotate(&rig, "20260101-000040", 9);
    rig.append("0.log", text(15..=15));
    let reused = rig.identity("0.log");
    rig.positions.remove(&live.identity);
    rig.positions.insert(reused, SourcePosition { identity: reused, ..live });
    rig.restart();
    rig.seconds(20);
    assert_eq!(rig.heard(), numbered(10..=15));
    assert_eq!(rig.reasons(), []);
}

#[test]
fn a_million_equal_lines_of_one_time_are_all_kept() {
    let mut rig = Rig::with(&["/logs/app/*.log"], CRI);
    rig.append("a.log", "2024-01-01T00:00:00.000000001Z stdout F x\n".repeat(1_000_000));
    rig.seconds(20);
    let heard = rig.heard();
    assert_eq!((heard.len(), heard.iter().filter(|line| *line != "x").count()), (1_000_000, 0));
}

#[test]
fn files_that_begin_alike_are_told_apart_by_their_length() {
    let banner = "=".repeat(2_000);
    let file = |numbers: std::ops::RangeInclusive<u32>| format!("{banner}\n{}", text(numbers));
    let mut rig = Rig::new(&["/logs/app/*.log"]);
    rig.append("0.log", file(1..=3));
    rig.seconds(2);
    rotate(&rig, "20260101-000000", 9);
    rig.append("0.log", file(4..=8));
    rig.seconds(20);
    // Three more while nobody looks; the first, read to its end, is packed meanwhile.
    for round in 1..=3_u32 {
        rotate(&rig, &format!("20260101-0000{round}0"), 9);
        rig.append("0.log", file(8 + round * 10..=8 + round * 10 + round));
    }
    rig.restart();
    rig.seconds(130);
    let heard: Vec<String> = rig.heard().into_iter().filter(|line| line.starts_with("line")).collect();
    let mut expected = numbered(1..=8);
    expected.extend((1..=3_u32).flat_map(|round| numbered(8 + round * 10..=8 + round * 10 + round)));
    assert_eq!(heard, expected);
    assert_eq!(rig.reasons(), []);
}
