use std::collections::VecDeque;

use proto_model::{BatchDigest, Chain};
use proto_wire::BatchView;

use super::*;
use crate::bed::{self, NOW, TRACK, batch, disk, open_with, position, settings};
use crate::sim_disk::SimDisk;
use crate::{Committed, Room, WalSettings, WhenFull};

const SINK: SinkId = SinkId(7);
const OTHER: SinkId = SinkId(8);
/// Looks, and takes nothing.
const NOBODY: SinkId = SinkId(9);

fn small() -> WalSettings {
    WalSettings { grace_bytes: 0, ..settings() }
}

fn write(wal: &mut Wal, track: TrackId, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        wal.append_batch(track, &batch(n, 20_000), &[position(1, n)], NOW).unwrap();
        wal.sync().unwrap();
    }
}

/// Batches 1 to 10 in four files, a sink that has none of them.
fn filled(settings: WalSettings) -> (SimDisk, Wal, WalReader) {
    let disk = disk(1);
    let (mut wal, _) = open_with(&disk, settings).unwrap();
    let reader = wal.reader();
    reader.add_sink(SINK, Cursor::default());
    write(&mut wal, TRACK, 1..=10);
    (disk, wal, reader)
}

fn number(entry: &SinkEntry) -> u64 {
    let payload = BatchView::parse(entry.body.clone()).unwrap().payload().unwrap();
    let line = payload.rows(0).next().unwrap().unwrap().line.to_vec();
    String::from_utf8(line).unwrap().strip_prefix("line ").unwrap().parse().unwrap()
}

/// What is there for `id` from `after` on, with where it lies: handed to it.
fn rest(reader: &WalReader, id: SinkId, after: Cursor) -> Vec<(u64, Cursor)> {
    let mut out = Vec::new();
    let mut at = after;
    while let Some(entry) = reader.next_for(id, at).unwrap() {
        assert!(entry.at > at);
        at = entry.at;
        out.push((number(&entry), at));
    }
    out
}

fn numbers(reader: &WalReader, id: SinkId) -> Vec<u64> {
    rest(reader, NOBODY, reader.sink_passed(id)).into_iter().map(|(number, _)| number).collect()
}

fn pass(reader: &WalReader, id: SinkId, numbers: usize) {
    let (_, at) = rest(reader, NOBODY, reader.sink_passed(id))[numbers - 1];
    reader.passed(id, at);
}

fn files(disk: &SimDisk) -> usize {
    disk.paths().iter().filter(|path| path.extension().is_some_and(|ext| ext == "wal")).count()
}

fn lost(reader: &WalReader, id: SinkId) -> Vec<(String, u64)> {
    reader.take_sink_lost(id).into_iter().map(|lost| (lost.reason, lost.lines)).collect()
}

#[test]
fn a_sink_gets_what_is_durable_over_all_tracks_in_the_order_of_writing() {
    let (_, mut wal, reader) = filled(small());
    let track = wal.new_track().unwrap();
    write(&mut wal, track, 11..=13);
    wal.append_batch(track, &batch(14, 20_000), &[], NOW).unwrap();
    assert_eq!(numbers(&reader, SINK), (1..=13).collect::<Vec<_>>(), "14 is not durable yet");
    wal.sync().unwrap();
    assert_eq!(numbers(&reader, SINK), (1..=14).collect::<Vec<_>>());
    pass(&reader, SINK, 11);
    assert_eq!(numbers(&reader, SINK), [12, 13, 14]);
    let usage = reader.sink_usage(SINK);
    assert_eq!((usage.lag_lines, usage.oldest), (6, Some(NOW)));
    assert!((60_000..70_000).contains(&usage.lag_bytes), "{usage:?}");
    reader.passed(SINK, Cursor::default());
    assert_eq!(reader.sink_usage(SINK), usage, "a cursor never goes back");
}

#[test]
fn a_file_stays_until_hub_and_sink_are_through_it() {
    let (disk, mut wal, reader) = filled(small());
    wal.acked(TRACK, Sequence(10)).unwrap();
    assert_eq!((wal.trim(NOW).unwrap(), files(&disk)), (0, 3), "the sink has nothing yet");
    pass(&reader, SINK, 5);
    assert!(wal.trim(NOW).unwrap() > 0);
    assert_eq!((numbers(&reader, SINK), files(&disk)), (vec![6, 7, 8, 9, 10], 2));
    drop((wal, reader));
    // A restart knows what it keeps for the sink again as soon as the sink is there.
    let (mut wal, _) = open_with(&disk, small()).unwrap();
    let reader = wal.reader();
    reader.add_sink(SINK, Cursor::default());
    wal.trim(NOW).unwrap();
    assert_eq!(numbers(&reader, SINK).last(), Some(&10));
    reader.remove_sink(SINK);
    wal.trim(NOW).unwrap();
    assert_eq!(files(&disk), 1, "who is gone keeps nothing");
}

#[test]
fn a_sink_is_cut_forward_for_what_it_alone_keeps() {
    let (_, mut wal, reader) = filled(small());
    reader.cut_sinks(50_000);
    assert_eq!((numbers(&reader, SINK).len(), lost(&reader, SINK)), (10, vec![]), "the hub needs all of it too");
    wal.acked(TRACK, Sequence(6)).unwrap();
    reader.cut_sinks(50_000);
    assert_eq!(numbers(&reader, SINK), [5, 6, 7, 8, 9, 10], "two batches of 20,000 bytes that the hub has are kept for it");
    assert_eq!(lost(&reader, SINK), [("sink_lag".to_owned(), 8)]);
    reader.cut_sinks(50_000);
    assert_eq!(lost(&reader, SINK), []);
    // Another sink that is further on counts like the hub.
    reader.add_sink(OTHER, Cursor::default());
    pass(&reader, OTHER, 10);
    reader.cut_sinks(50_000);
    assert_eq!((numbers(&reader, SINK), numbers(&reader, OTHER)), (vec![9, 10], vec![]));
    assert_eq!(lost(&reader, SINK), [("sink_lag".to_owned(), 8)]);
}

#[test]
fn without_a_hub_all_sinks_together_acknowledge() {
    let (disk, mut wal, reader) = filled(small());
    reader.add_sink(OTHER, Cursor::default());
    pass(&reader, SINK, 9);
    wal.ack_passed().unwrap();
    assert_eq!(wal.tracks()[0].acked, Sequence(0));
    pass(&reader, OTHER, 4);
    wal.ack_passed().unwrap();
    assert_eq!(wal.tracks()[0].acked, Sequence(4));
    pass(&reader, OTHER, 6);
    pass(&reader, SINK, 1);
    wal.ack_passed().unwrap();
    wal.trim(NOW).unwrap();
    assert_eq!((wal.tracks()[0].acked, wal.usage().unacked_bytes, files(&disk)), (Sequence(10), 0, 1));
    reader.remove_sink(SINK);
    reader.remove_sink(OTHER);
    write(&mut wal, TRACK, 11..=11);
    wal.ack_passed().unwrap();
    assert_eq!(wal.tracks()[0].acked, Sequence(10), "nobody read it");
}

#[test]
fn a_hub_that_comes_later_has_a_track_of_its_own() {
    let (_, mut wal, reader) = filled(small());
    wal.begin_for_hub().unwrap();
    assert!(!wal.tracks()[0].closed, "nothing was given away yet: the hub gets it all");
    pass(&reader, SINK, 4);
    wal.ack_passed().unwrap();
    wal.begin_for_hub().unwrap();
    assert!(wal.tracks()[0].closed);
    let track = wal.new_track().unwrap();
    write(&mut wal, track, 11..=12);
    assert_eq!(numbers(&reader, SINK), (5..=12).collect::<Vec<_>>(), "the sink has yet to get what lies in the old one");
    wal.trim(NOW).unwrap();
    assert_eq!(numbers(&reader, SINK), (5..=12).collect::<Vec<_>>());
}

#[test]
fn what_is_given_up_is_lost_to_those_who_have_yet_to_get_it() {
    let (_, mut wal, reader) = filled(WalSettings { max_bytes: 260_000, when_full: WhenFull::DropOldest, ..small() });
    pass(&reader, SINK, 1);
    assert_eq!(number(&reader.next_for(SINK, Cursor::default()).unwrap().unwrap()), 2, "the first that it has not; what a sink reads does not count as sent");
    while wal.has_room(60_000) != Room::Yes {
        assert!(!wal.drop_oldest(60_000, NOW).unwrap().is_empty());
    }
    let left = numbers(&reader, SINK);
    assert!(left.len() < 9 && left.last() == Some(&10), "{left:?}");
    let gone = 9 - left.len() as u64;
    assert_eq!(lost(&reader, SINK), [("wal_full".to_owned(), 2 * (gone - 1))], "two lines a batch, but for the one that it has and the one it was handed");
}

#[test]
fn a_damaged_batch_is_passed_over_and_counted_once_for_each() {
    let (disk, mut wal, reader) = filled(small());
    reader.add_sink(OTHER, Cursor::default());
    wal.acked(TRACK, Sequence(2)).unwrap();
    let all = rest(&reader, NOBODY, Cursor::default());
    for (_, at) in [all[1], all[4]] {
        let path = disk
            .paths()
            .into_iter()
            .find(|path| path.to_string_lossy().contains(&format!("{:08}.wal", at.file)))
            .unwrap_or_else(|| panic!("{:?}", disk.paths()));
        assert!(disk.flip(&path, u64::from(at.offset) + 3_000));
    }
    let handed = |id| rest(&reader, id, Cursor::default()).into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    assert_eq!(handed(SINK), [1, 3, 4, 6, 7, 8, 9, 10]);
    assert_eq!(lost(&reader, SINK), [("wal_damaged".to_owned(), 4)]);
    assert_eq!(handed(OTHER), [1, 3, 4, 6, 7, 8, 9, 10]);
    assert_eq!(lost(&reader, OTHER), [("wal_damaged".to_owned(), 4)], "the hub has 2, nobody can have 5");
    assert_eq!(wal.usage().damaged_reads, 1);
}

#[test]
fn another_numbering_moves_no_cursor() {
    let (_, mut wal, reader) = filled(small());
    wal.bind(TRACK, bed::producer(1)).unwrap();
    wal.acked(TRACK, Sequence(4)).unwrap();
    pass(&reader, SINK, 2);
    let digests: VecDeque<BatchDigest> = (5..=6).map(|n| batch(n, 20_000).digest).collect();
    wal.carry_over(TRACK, bed::producer(2), &Committed { last: Sequence(6), digests }).unwrap();
    assert_eq!(numbers(&reader, SINK), [7, 8, 9, 10]);
    assert_eq!(lost(&reader, SINK), [("wal_voided".to_owned(), 8)], "3 to 6 are with the hub and cannot be found here any more");
    write(&mut wal, TRACK, 11..=12);
    assert_eq!(numbers(&reader, SINK), [7, 8, 9, 10, 11, 12]);
    pass(&reader, SINK, 5);
    wal.adopt(TRACK, bed::producer(3), Sequence(900), Chain::default(), &[]).unwrap();
    assert_eq!((numbers(&reader, SINK), lost(&reader, SINK)), (vec![], vec![("wal_voided".to_owned(), 2)]));
    write(&mut wal, TRACK, 13..=13);
    assert_eq!(numbers(&reader, SINK), [13], "whatever its number is");
}

#[test]
fn gaps_between_batches_do_not_hide_what_comes_after() {
    let (disk, mut wal, _) = filled(small());
    for n in [2, 3, 4, 7, 10] {
        wal.set_aside(TRACK, Sequence(n), "corrupt").unwrap();
    }
    let reader = wal.reader();
    let all = rest(&reader, SINK, Cursor::default());
    assert_eq!(all.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 5, 6, 8, 9]);
    for (at, (_, cursor)) in all.iter().enumerate() {
        assert_eq!(rest(&reader, SINK, *cursor), all[at + 1..]);
    }
    drop((wal, reader));
    let (wal, _) = open_with(&disk, small()).unwrap();
    assert_eq!(rest(&wal.reader(), SINK, all[1].1), all[2..], "so after a restart");
}

#[test]
fn what_was_handed_to_a_sink_is_its_own_to_count() {
    let (_, mut wal, reader) = filled(small());
    wal.acked(TRACK, Sequence(10)).unwrap();
    let first = reader.next_for(SINK, Cursor::default()).unwrap().unwrap();
    let second = reader.next_for(SINK, first.at).unwrap().unwrap();
    assert_eq!((number(&second), second.lines), (2, 2));
    reader.cut_sinks(100_000);
    assert_eq!(numbers(&reader, SINK), [7, 8, 9, 10]);
    assert_eq!(lost(&reader, SINK), [("sink_lag".to_owned(), 8)], "3 to 6: 1 and 2 are in its hands");
    assert_eq!(number(&reader.next_for(SINK, second.at).unwrap().unwrap()), 7, "it goes on where it was moved to");
    assert_eq!(reader.batches_after(reader.sink_passed(SINK)).len(), 4);
}
