mod model;

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;
use proto_model::{Chain, Sequence, Timestamp};
use proto_wire::{FrozenBatch, digest};

use super::*;
use crate::bed::{self, NOW, TRACK, batch, disk, open, open_with, position};
use crate::sim_disk::SimDisk;
use crate::{Loss, WalFault, inspect};

/// The records of a WAL, as `inspect` tells them.
fn records(disk: &SimDisk) -> (Vec<crate::Inspected>, crate::Summary) {
    let mut out = Vec::new();
    let summary = inspect(&bed::settings().dir, disk, &mut |record| out.push(record)).unwrap();
    (out, summary)
}

/// Flips one bit of the byte at `offset` of `file` in a copy of `disk` and says what is left.
fn check_flip(original: &SimDisk, seed: u64, file: &Path, offset: u64, batches: &[FrozenBatch], hit: Option<&crate::Inspected>) {
    let copy = disk(seed);
    copy.make_dirs(&bed::settings().dir).unwrap();
    for path in original.paths().iter().filter(|path| path.extension().is_some_and(|ext| ext == "wal")) {
        copy.put(path, &original.contents(path).unwrap());
    }
    assert!(copy.flip(file, offset));
    let (wal, recovered) = open(&copy);
    let count = batches.len() as u64;
    let lost = hit.filter(|hit| hit.kind == crate::InspectedKind::Batch).map(|hit| hit.sequence);
    let expected = match lost {
        // Nothing sound follows: it cannot be told from a torn tail.
        Some(last) if last == count => {
            assert!(recovered.torn_bytes > 0 && recovered.lost.is_empty(), "{recovered:?}");
            count - 1
        }
        Some(sequence) => {
            assert_eq!(
                recovered.lost.iter().map(|lost| (lost.from.0, lost.to.0, lost.reason.as_str())).collect::<Vec<_>>(),
                [(sequence, sequence, reason::WAL_DAMAGED)]
            );
            assert_eq!(recovered.bad_records, 1);
            count
        }
        None => {
            assert!(recovered.lost.is_empty(), "{recovered:?} after {hit:?}");
            count
        }
    };
    assert_eq!(recovered.tracks[0].next.0, expected + 1);
    assert_eq!(recovered.tracks[0].producer, Some(bed::producer(3)));
    for (sequence, frozen) in (1..=expected).zip(batches) {
        match wal.read(TRACK, Sequence(sequence)).unwrap().unwrap() {
            Entry::Batch { body, .. } => assert_eq!(body, frozen.body),
            Entry::Gap { from, to, .. } => assert_eq!((Some(from.0), Some(to.0)), (lost, lost)),
        }
    }
    let told: BTreeMap<u64, u64> = recovered.positions.iter().map(|p| (p.identity.inode, p.offset)).collect();
    let due: BTreeMap<u64, u64> = (1..=expected).map(|n| (n % 3 + 1, n)).collect();
    assert_eq!(told, due, "no source is set back by one damaged record");
}

/// A WAL of `count` batches of `bytes`, each synced by itself.
fn filled(count: u64, bytes: usize) -> (SimDisk, Vec<FrozenBatch>) {
    let disk = disk(11);
    let (mut wal, _) = open(&disk);
    wal.bind(TRACK, bed::producer(3)).unwrap();
    let batches: Vec<FrozenBatch> = (1..=count).map(|n| batch(n, bytes)).collect();
    for (n, frozen) in (1..).zip(&batches) {
        wal.append_batch(TRACK, frozen, &[position(n % 3 + 1, n)], NOW).unwrap();
        wal.sync().unwrap();
    }
    (disk, batches)
}

fn hit_by<'a>(records: &'a [crate::Inspected], name: &str, offset: u64) -> Option<&'a crate::Inspected> {
    records.iter().find(|record| record.file == name && (record.offset..record.offset + record.bytes).contains(&offset))
}

#[test]
fn any_flipped_byte_of_a_small_wal_costs_one_record_at_most() {
    let (disk, batches) = filled(4, 20);
    let (records, summary) = records(&disk);
    assert_eq!((summary.bad, summary.torn_bytes, summary.lines), (0, 0, 8));
    let name = file::name(1);
    let path = bed::settings().dir.join(&name);
    let len = disk.contents(&path).unwrap().len() as u64;
    assert!(len > 1_000);
    for offset in 0..len {
        check_flip(&disk, offset, &path, offset, &batches, hit_by(&records, &name, offset));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_flipped_byte_of_several_files_costs_one_record_at_most(seed in any::<u64>(), at in any::<prop::sample::Index>()) {
        let (disk, batches) = filled(20, 9_000);
        let (records, _) = records(&disk);
        let files: Vec<PathBuf> = disk.paths().into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "wal")).collect();
        prop_assert!(files.len() >= 3);
        let lens: Vec<u64> = files.iter().map(|path| disk.contents(path).unwrap().len() as u64).collect();
        let mut offset = at.index(usize::try_from(lens.iter().sum::<u64>()).unwrap()) as u64;
        let mut which = 0;
        while offset >= lens[which] {
            offset -= lens[which];
            which += 1;
        }
        let name = files[which].file_name().unwrap().to_str().unwrap();
        check_flip(&disk, seed, &files[which], offset, &batches, hit_by(&records, name, offset));
    }
}

/// What an opening finds, and tells as lost, once the last byte of the batch `sequence` of `track` is another.
fn found_without(disk: &SimDisk, track: TrackId, sequence: u64) -> (Recovered, Vec<(TrackId, u64, u64, String)>) {
    let (records, _) = records(disk);
    let batch = records.iter().find(|record| (record.track, record.sequence) == (track.0, sequence)).unwrap();
    assert!(disk.flip(&bed::settings().dir.join(&batch.file), batch.offset + batch.bytes - 1));
    let (_, recovered) = open(disk);
    let lost = recovered.lost.iter().map(|lost| (lost.track, lost.from.0, lost.to.0, lost.reason.clone())).collect();
    (recovered, lost)
}

/// No later batch of its track would show that it is missing, though what follows tells where its source stands.
#[test]
fn the_last_batch_of_a_track_is_missed_when_it_is_damaged() {
    for (restarts, by_track) in [(false, true), (true, true), (false, false), (true, false)] {
        let disk = disk(7);
        let (mut wal, _) = open(&disk);
        wal.bind(TRACK, bed::producer(3)).unwrap();
        for n in 1..=3 {
            wal.append_batch(TRACK, &batch(n, 20), &[position(1, n)], NOW).unwrap();
            wal.sync().unwrap();
        }
        if restarts {
            drop(wal);
            wal = open(&disk).0;
        }
        if by_track {
            let track = wal.new_track().unwrap();
            wal.bind(track, bed::producer(4)).unwrap();
            wal.append_batch(track, &batch(9, 20), &[position(1, 4)], NOW).unwrap();
        } else {
            wal.append_positions(&[position(1, 4)]).unwrap();
        }
        wal.sync().unwrap();
        drop(wal);
        let (recovered, lost) = found_without(&disk, TRACK, 3);
        assert_eq!(lost, [(TRACK, 3, 3, reason::WAL_DAMAGED.to_owned())], "restarts: {restarts}, by a track: {by_track}");
        assert_eq!((recovered.tracks[0].next.0, recovered.positions[0].offset), (4, 4));
    }
}

#[test]
fn the_first_batch_of_a_track_is_missed_when_it_is_damaged() {
    let disk = disk(7);
    let (mut wal, _) = open(&disk);
    wal.bind(TRACK, bed::producer(3)).unwrap();
    let track = wal.new_track().unwrap();
    for n in 1..=2 {
        wal.append_batch(track, &batch(n, 20), &[position(1, n)], NOW).unwrap();
        wal.sync().unwrap();
    }
    drop(wal);
    let (recovered, lost) = found_without(&disk, track, 1);
    assert_eq!(lost, [(track, 1, 1, reason::WAL_DAMAGED.to_owned())]);
    assert_eq!((recovered.tracks[1].acked.0, recovered.tracks[1].next.0), (0, 3), "nothing says that the hub has it");
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let disk = disk(1);
    let (mut wal, first) = open(&disk);
    assert_eq!((first.tracks.len(), first.tracks[0].next, first.tracks[0].oldest), (1, Sequence(1), Sequence(1)));
    wal.bind(TRACK, bed::producer(1)).unwrap();
    let one = batch(1, 10);
    assert_eq!(wal.append_batch(TRACK, &one, &[position(1, 5)], NOW).unwrap(), Sequence(1));
    assert_eq!((wal.durable(TRACK), wal.read(TRACK, Sequence(1)).unwrap()), (Sequence(0), None), "not before it is durable");
    wal.sync().unwrap();
    wal.acked(TRACK, Sequence(1)).unwrap();
    drop(wal);
    let (mut wal, again) = open(&disk);
    assert_eq!(again.wal_id, first.wal_id);
    assert_eq!((again.tracks[0].producer, again.tracks[0].next), (Some(bed::producer(1)), Sequence(2)));
    assert_eq!(again.tracks[0].acked, Sequence(0), "acks are written with the next sync");
    assert_eq!(again.positions, [bed::told(1, 5)]);
    let two = batch(2, 10);
    assert_eq!(wal.append_batch(TRACK, &two, &[], NOW).unwrap(), Sequence(2));
    wal.acked(TRACK, Sequence(1)).unwrap();
    wal.sync().unwrap();
    drop(wal);
    let (wal, third) = open(&disk);
    let chain = digest::extend(Chain::default(), one.digest);
    assert_eq!((third.tracks[0].acked, third.tracks[0].acked_chain), (Sequence(1), chain));
    assert_eq!(wal.chain_at(TRACK, Sequence(2)), Some(digest::extend(chain, two.digest)));
    assert_eq!(wal.chain_at(TRACK, Sequence(3)), None);
}

#[test]
fn a_torn_tail_is_cut_and_counted() {
    let (disk, _) = filled(3, 100);
    let path = bed::settings().dir.join(file::name(1));
    let whole = disk.contents(&path).unwrap();
    disk.put(&path, &whole[..whole.len() - 30]);
    assert_eq!(records(&disk).1.bad, 0);
    assert!(records(&disk).1.torn_bytes > 30);
    let (mut wal, recovered) = open(&disk);
    assert_eq!((recovered.tracks[0].next, recovered.bad_records), (Sequence(3), 0));
    assert!(recovered.torn_bytes > 30);
    wal.append_batch(TRACK, &batch(9, 1), &[], NOW).unwrap();
    wal.sync().unwrap();
    drop(wal);
    let (_, again) = open(&disk);
    assert_eq!((again.tracks[0].next, again.torn_bytes, again.bad_records), (Sequence(4), 0, 0));
}

#[test]
fn what_was_never_durable_is_torn_and_not_damage() {
    for begun in [None, Some(&b""[..]), Some(&[0; 64][..])] {
        let disk = disk(5);
        let (mut wal, _) = open(&disk);
        let mut ends = Vec::new();
        for n in 1..=4 {
            wal.append_batch(TRACK, &batch(n, 2_000), &[position(1, n)], NOW).unwrap();
            ends.push(wal.usage().bytes);
            if n == 2 {
                wal.sync().unwrap();
            }
        }
        drop(wal);
        // The power went: of two records that nobody had synced, the second reached the disk.
        assert!(disk.flip(&bed::settings().dir.join(file::name(1)), ends[1] + 100));
        if let Some(bytes) = begun {
            disk.put(&bed::settings().dir.join(file::name(2)), bytes);
        }
        let (_, recovered) = open(&disk);
        let told = (recovered.tracks[0].next.0, recovered.bad_records, recovered.lost.len(), recovered.positions[0].offset);
        assert_eq!(told, (3, 0, 0, 2), "the lines are read again from the source");
        assert_eq!(recovered.torn_bytes, ends[3] - ends[1] + begun.map_or(0, |bytes| bytes.len() as u64));
    }
}

#[test]
fn what_lies_behind_the_end_that_the_next_file_names_is_void() {
    let (disk, _) = filled(12, 9_000);
    let before = open(&disk).1;
    disk.kill();
    let path = bed::settings().dir.join(file::name(1));
    let mut bytes = disk.contents(&path).unwrap();
    bytes.extend_from_slice(&bytes.clone()[64..]);
    bytes.extend_from_slice(b"and what a failed sync left");
    disk.put(&path, &bytes);
    assert_eq!(records(&disk).1.bad, 0);
    let (wal, recovered) = open(&disk);
    assert_eq!(recovered, before);
    assert!(locked(&wal.shared).files[&1].needs_next, "only the next file tells");
}

#[test]
fn a_file_of_another_version_is_refused_and_not_touched() {
    let (disk, _) = filled(3, 100);
    let path = bed::settings().dir.join(file::name(1));
    let mut newer = disk.contents(&path).unwrap();
    newer[8] = 2;
    let sum = crc32c::crc32c(&newer[..60]);
    newer[60..64].copy_from_slice(&sum.to_le_bytes());
    disk.put(&path, &newer);
    let paths = disk.paths();
    let fault = open_with(&disk, bed::settings()).unwrap_err();
    assert!(matches!(fault, WalFault::Newer { found: 2, known: 1, .. }) && fault.is_refusal(), "{fault}");
    assert!(matches!(inspect(&bed::settings().dir, &disk, &mut |_| ()), Err(WalFault::Newer { .. })));
    assert_eq!((disk.contents(&path).unwrap(), disk.paths()), (newer, paths));
}

#[test]
fn files_of_two_wals_and_files_of_none_are_refused() {
    let (disk, _) = filled(3, 100);
    let other = bed::disk(99);
    let (_, recovered) = Wal::open(bed::settings(), Arc::new(other.clone()), &Entropy::seeded(1234), NOW).unwrap();
    let foreign = bed::settings().dir.join(file::name(2));
    let mut bytes = other.contents(&bed::settings().dir.join(file::name(1))).unwrap();
    bytes[24] = 2;
    let sum = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&sum.to_le_bytes());
    disk.put(&foreign, &bytes);
    let fault = open_with(&disk, bed::settings()).unwrap_err();
    assert!(matches!(fault, WalFault::Foreign { found, .. } if found == recovered.wal_id), "{fault}");
    disk.put(&foreign, &[b'x'; 5_000]);
    let fault = open_with(&disk, bed::settings()).unwrap_err();
    assert!(matches!(fault, WalFault::NotWal { .. }) && fault.is_refusal(), "{fault}");
    assert_eq!(disk.contents(&foreign).unwrap(), [b'x'; 5_000]);
    disk.remove(&foreign).unwrap();
    let names_alike = bed::settings().dir.join("1.wal");
    disk.put(&names_alike, b"not ours");
    assert!(open_with(&disk, bed::settings()).is_ok());
    assert_eq!(disk.contents(&names_alike).unwrap(), b"not ours");
}

#[test]
fn a_second_opener_is_locked_out() {
    let disk = disk(1);
    let (wal, _) = open(&disk);
    let fault = open_with(&disk, bed::settings()).unwrap_err();
    assert!(matches!(fault, WalFault::Locked { .. }) && fault.is_refusal(), "{fault}");
    assert!(fault.to_string().contains("/state/wal/LOCK"));
    drop(wal);
    assert!(open_with(&disk, bed::settings()).is_ok());
}

#[test]
fn a_directory_that_cannot_be_is_named_with_the_reason() {
    let disk = disk(1);
    disk.make_dirs(Path::new("/state")).unwrap();
    disk.put(Path::new("/state/wal"), b"a file");
    let fault = open_with(&disk, bed::settings()).unwrap_err();
    assert!(matches!(fault, WalFault::Unwritable { .. }) && !fault.is_refusal());
    assert!(fault.to_string().contains("/state/wal cannot be used: not a directory"), "{fault}");
}

#[test]
fn a_full_disk_at_start_is_a_state_not_a_fault() {
    let (disk, batches) = filled(3, 100);
    disk.set_full(Some(0));
    let (mut wal, recovered) = open(&disk);
    assert!(wal.usage().stalled);
    assert_eq!(recovered.tracks[0].next, Sequence(4));
    assert!(matches!(wal.read(TRACK, Sequence(2)).unwrap().unwrap(), Entry::Batch { body, .. } if body == batches[1].body));
    assert!(matches!(wal.append_batch(TRACK, &batch(4, 10), &[], NOW), Err(WalFault::DiskFull { .. })));
    wal.acked(TRACK, Sequence(2)).unwrap();
    disk.set_full(None);
    assert_eq!(wal.append_batch(TRACK, &batch(4, 10), &[], NOW).unwrap(), Sequence(4));
    wal.sync().unwrap();
    assert!(!wal.usage().stalled);
    drop(wal);
    assert_eq!(open(&disk).1.tracks[0].acked, Sequence(2));

    let empty = bed::disk(2);
    empty.set_full(Some(10));
    let (mut wal, recovered) = open(&empty);
    assert!(wal.usage().stalled && recovered.tracks[0].next == Sequence(1));
    assert!(matches!(wal.append_batch(TRACK, &batch(1, 10), &[], NOW), Err(WalFault::DiskFull { .. })));
    empty.set_full(None);
    wal.append_batch(TRACK, &batch(1, 10), &[], NOW).unwrap();
    wal.sync().unwrap();
}

#[test]
fn a_wal_damaged_from_end_to_end_is_put_away_and_a_new_one_begun() {
    let (disk, _) = filled(12, 9_000);
    let dir = bed::settings().dir;
    let old: Vec<PathBuf> = disk.paths().into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "wal")).collect();
    old[1..].iter().for_each(|path| disk.remove(path).unwrap());
    let mut bytes = disk.contents(&old[0]).unwrap();
    bytes[12..].fill(0x55);
    disk.put(&old[0], &bytes);
    let (mut wal, recovered) = open(&disk);
    assert_eq!((recovered.tracks[0].next, recovered.bad_records, recovered.positions_doubtful), (Sequence(1), 1, true));
    assert_eq!(disk.contents(&dir.join("aside").join(format!("{}.damaged", file::name(1)))), Some(bytes));
    wal.append_batch(TRACK, &batch(1, 10), &[], NOW).unwrap();
    wal.sync().unwrap();
    drop(wal);
    assert_eq!(open(&disk).1.bad_records, 0);
}

#[test]
fn inspect_tells_every_record_while_an_edge_writes() {
    let disk = disk(3);
    let (mut wal, _) = open(&disk);
    wal.append_batch(TRACK, &batch(1, 10), &[position(1, 1)], NOW).unwrap();
    wal.append_loss(TRACK, &Loss { lines: Some(7), reason: "x".to_owned(), ..Loss::default() }, &[], NOW).unwrap();
    wal.sync().unwrap();
    let (found, summary) = records(&disk);
    let kinds: Vec<(&str, u32, u64, u64)> = found.iter().map(|r| (r.kind.as_str(), r.track, r.sequence, r.lines)).collect();
    assert_eq!(kinds, [("checkpoint", 0, 0, 0), ("checkpoint", 0, 0, 0), ("batch", 1, 1, 2), ("gap", 1, 2, 7)]);
    assert_eq!(found.iter().map(|r| r.bytes).sum::<u64>() + 64, wal.usage().bytes);
    assert_eq!((summary.records, summary.bad, summary.torn_bytes, summary.lines), (4, 0, 0, 2));
    assert!(matches!(inspect(Path::new("/nowhere"), &disk, &mut |_| ()), Err(WalFault::Io { .. })));
}

#[test]
fn a_v1_file_is_read_by_every_later_version() {
    let disk = disk(1);
    let dir = bed::settings().dir;
    disk.make_dirs(&dir).unwrap();
    let golden: Vec<u8> =
        GOLDEN.split_whitespace().flat_map(|line| (0..line.len() / 2).map(|i| u8::from_str_radix(&line[2 * i..2 * i + 2], 16).unwrap())).collect();
    disk.put(&dir.join(file::name(1)), &golden);
    let (wal, recovered) = open(&disk);
    assert_eq!(recovered.wal_id.to_string(), "d3fcbaad63e7f21f");
    assert_eq!((recovered.bad_records, recovered.torn_bytes, recovered.positions_doubtful), (0, 0, false));
    assert_eq!(recovered.tracks[0].producer, Some(bed::producer(3)));
    // What positions say since then is unknown in it.
    assert_eq!(recovered.positions, [SourcePosition { size: 0, modified_ns: 0, after: String::new(), done: false, ..position(1, 5) }]);
    let Some(Entry::Batch { body, digest, written, raw_bytes, .. }) = wal.read(TRACK, Sequence(1)).unwrap() else { panic!("no batch") };
    assert_eq!((digest::of_batch(&body), written, raw_bytes), (digest, NOW, 10));
    let Some(Entry::Gap { lines, reason, source, max, .. }) = wal.read(TRACK, Sequence(2)).unwrap() else { panic!("no gap") };
    assert_eq!((lines, reason.as_str(), source.as_str(), max), (Some(3), "truncated", "/var/log/a", Timestamp(9)));
}

/// A file of format version 1: two checkpoints, bind, one batch with a position, one loss.
const GOLDEN: &str = include_str!("golden_v1.hex");
