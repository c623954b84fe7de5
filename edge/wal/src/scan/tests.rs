use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proto_model::WalId;
use proto_seam::{Disk, OpenHow};

use super::*;
use crate::bed;
use crate::entry::{Kind, encode, pb};
use crate::sim_disk::SimDisk;

const SEAL: fn() -> Seal = || Seal::new(WalId(7), 1);

fn record(sequence: u64, body: &[u8], synced: u64) -> Vec<u8> {
    let mut head = Head::Batch(pb::BatchHead { lines: sequence, ..pb::BatchHead::default() });
    let head = head.encode(synced);
    let mut out = encode(SEAL(), Kind::Batch, 1, sequence, &head, body);
    out.extend_from_slice(body);
    out
}

fn on_disk(bytes: &[u8]) -> (SimDisk, Box<dyn DiskFile>) {
    let disk = bed::disk(1);
    disk.put(Path::new("/f"), bytes);
    let file = disk.open(Path::new("/f"), OpenHow::Read).unwrap();
    (disk, file)
}

fn scan(file: &dyn DiskFile, len: usize) -> Vec<Scanned> {
    let mut scan = Scan::new(file, SEAL(), 0, len as u64);
    std::iter::from_fn(|| scan.next()).collect()
}

fn sequences(scanned: &[Scanned]) -> Vec<u64> {
    scanned.iter().filter_map(|scanned| if let Scanned::Record(found) = scanned { Some(found.header.sequence) } else { None }).collect()
}

#[test]
fn records_longer_than_the_window_are_read_through_it() {
    let records: Vec<Vec<u8>> = (1..=3).map(|n| record(n, &vec![7; SCAN_BYTES * 2 + 5], 0)).collect();
    let (disk, file) = on_disk(&records.concat());
    let found = scan(&*file, records.concat().len());
    assert_eq!((sequences(&found), found.len()), (vec![1, 2, 3], 3));
    disk.limit_reads(1_000);
    assert_eq!(scan(&*file, records.concat().len()), found, "short reads make no difference");
}

#[test]
fn a_bad_record_is_skipped_and_the_next_one_found() {
    let records: Vec<Vec<u8>> = (1..=3).map(|n| record(n, &vec![7; SCAN_BYTES + 100], 0)).collect();
    let len = records[0].len();
    for at in [0, 1, 5, 9, 12, 30, 60, len / 2, len - 1] {
        let mut bytes = records.concat();
        bytes[len + at] ^= 1;
        let (_, file) = on_disk(&bytes);
        let found = scan(&*file, bytes.len());
        assert_eq!(sequences(&found), [1, 3]);
        assert_eq!(found[1], Scanned::Bad { offset: len as u64, len: len as u64 });
    }
}

#[test]
fn the_end_of_a_file_is_a_tail() {
    let whole = [record(1, b"one", 0), record(2, b"two", 0)].concat();
    let first = record(1, b"one", 0).len();
    for end in first + 1..whole.len() {
        let (_, file) = on_disk(&whole[..end]);
        let found = scan(&*file, end);
        assert_eq!((sequences(&found), &found[1..]), (vec![1], &[Scanned::Tail { offset: first as u64, len: (end - first) as u64 }][..]));
    }
    let mut zeros = whole.clone();
    zeros.extend_from_slice(&[0; 5_000]);
    let (_, file) = on_disk(&zeros);
    assert_eq!(scan(&*file, zeros.len())[2], Scanned::Tail { offset: whole.len() as u64, len: 5_000 });
    // A file that is shorter than it was when it was listed.
    assert_eq!(sequences(&scan(&*file, zeros.len() * 100)), [1, 2]);
}

#[test]
fn a_log_line_that_looks_like_a_record_is_not_one() {
    // Whoever writes the line knows the format, but not the WAL's id.
    let forged = {
        let mut head = Head::control(pb::control_head::Kind::Adopt(pb::Adopt { last: 1 << 40, ..pb::Adopt::default() }));
        encode(Seal::new(WalId(8), 1), Kind::Control, 1, 0, &head.encode(0), &[])
    };
    let mut bytes = [record(1, &forged, 0), record(2, b"next", 0)].concat();
    bytes[4] ^= 1;
    let (_, file) = on_disk(&bytes);
    assert_eq!(sequences(&scan(&*file, bytes.len())), [2]);
}

#[test]
fn a_body_full_of_markers_does_not_take_for_ever() {
    let false_header: [u8; HEADER_BYTES] = {
        let mut header: [u8; HEADER_BYTES] = *encode(SEAL(), Kind::Batch, 1, 1, &[], &[]).first_chunk().unwrap();
        header[4..8].copy_from_slice(&3_000_000_u32.to_le_bytes());
        header
    };
    let body: Vec<u8> = false_header.iter().copied().cycle().take(1_000_000).collect();
    let mut bytes = [record(1, b"", 0), record(2, &body, 0), record(3, b"", 0)].concat();
    bytes.extend(vec![0; 3_000_000]);
    let at = record(1, b"", 0).len() + 9;
    bytes[at] ^= 1;
    let (_, file) = on_disk(&bytes);
    let counting = Counting { file, bytes: AtomicU64::new(0) };
    let found = scan(&counting, bytes.len());
    assert!(sequences(&found).starts_with(&[1]) && found.len() >= 2, "{found:?}");
    assert!(counting.bytes.load(Ordering::Relaxed) < 2 * SEARCH_BYTES_MAX);
}

/// A file that counts what is read of it.
#[derive(Debug)]
struct Counting {
    file: Box<dyn DiskFile>,
    bytes: AtomicU64,
}

impl DiskFile for Counting {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.file.read_at(buf, offset)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn state(&self) -> io::Result<proto_seam::FileState> {
        self.file.state()
    }
}

#[test]
fn what_the_disk_does_not_give_is_damage_and_nothing_more() {
    let records: Vec<Vec<u8>> = (1..=4).map(|n| record(n, &[7; 10_000], 0)).collect();
    let len = records[0].len() as u64;
    let (disk, file) = on_disk(&records.concat());
    disk.make_unreadable(Path::new("/f"), len + 1_000, len + 5_000);
    let found = scan(&*file, records.concat().len());
    assert_eq!(sequences(&found), [1, 3, 4]);
    disk.make_readable();
    assert_eq!(sequences(&scan(&*file, records.concat().len())), [1, 2, 3, 4]);
}

#[test]
fn marks_are_told() {
    let bytes = [record(1, b"", 10), record(2, b"", 900), record(3, b"", 400)].concat();
    let (_, file) = on_disk(&bytes);
    assert_eq!(Scan::new(&*file, SEAL(), 0, bytes.len() as u64).synced_max(), 900);
    let mut from_second = Scan::new(&*file, SEAL(), 0, bytes.len() as u64);
    assert!(from_second.next().is_some() && from_second.next().is_some());
    assert_eq!(from_second.rest().synced_max(), 400);
}

proptest! {
    #[test]
    fn any_bytes_end_in_stretches_that_cover_them(bytes in prop::collection::vec(prop_oneof![Just(0xA7_u8), Just(0x57), Just(0x41), Just(0x4C), any::<u8>()], 0..600)) {
        let (_, file) = on_disk(&bytes);
        let found = scan(&*file, bytes.len());
        prop_assert!(sequences(&found).is_empty());
        prop_assert_eq!(found.len(), usize::from(!bytes.is_empty()));
    }
}
