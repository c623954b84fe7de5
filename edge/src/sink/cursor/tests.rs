use std::collections::BTreeSet;

use proto_seam::Entropy;

use super::*;
use sim_disk::SimDisk;

#[allow(dead_code, unreachable_pub, clippy::duplicate_mod, reason = "shared with other tests, which use other parts")]
#[path = "../../../../tests/harness/disk.rs"]
mod sim_disk;

const KEY: &str = "0123456789abcdef";
const ID: WalId = WalId(9);

fn at(n: u32) -> Cursor {
    Cursor { file: n, offset: n * 7 }
}

fn open(disk: &SimDisk, id: WalId) -> (CursorFile, Told) {
    let (file, told) = CursorFile::open(Path::new("/wal"), KEY, id, Arc::new(disk.clone()));
    (file, told.unwrap())
}

fn path() -> PathBuf {
    PathBuf::from("/wal/sinks/0123456789abcdef.cursor")
}

#[test]
fn it_is_where_the_last_step_was_and_stays_small() {
    let disk = SimDisk::new(&Entropy::seeded(1));
    let (mut file, told) = open(&disk, ID);
    assert_eq!(told, Told::Nothing);
    for n in 1..=5_000 {
        file.step(at(n)).unwrap();
    }
    assert!(disk.contents(&path()).unwrap().len() <= FILE_BYTES_MAX);
    drop(file);
    let (mut file, told) = open(&disk, ID);
    assert_eq!(told, Told::At(at(5_000)));
    file.step(at(5_001)).unwrap();
    assert_eq!((open(&disk, ID).1, open(&disk, WalId(10)).1), (Told::At(at(5_001)), Told::Unusable), "another WAL's places mean nothing here");
}

#[test]
fn damage_costs_a_step_back_and_never_more() {
    let disk = SimDisk::new(&Entropy::seeded(2));
    let (mut file, _) = open(&disk, ID);
    for n in 1..=3 {
        file.step(at(n)).unwrap();
    }
    let whole = disk.contents(&path()).unwrap();
    assert_eq!(whole.len(), 3 * RECORD_BYTES);
    for cut in RECORD_BYTES..whole.len() {
        disk.put(&path(), &whole[..cut]);
        assert_eq!(open(&disk, ID).1, Told::At(at(u32::try_from(cut / RECORD_BYTES).unwrap())), "{cut}");
    }
    for flipped in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[flipped] ^= 0x10;
        disk.put(&path(), &damaged);
        assert_eq!(open(&disk, ID).1, Told::At(at(if flipped < 2 * RECORD_BYTES { 3 } else { 2 })), "{flipped}");
    }
    disk.put(&path(), b"nothing of the kind");
    assert_eq!(open(&disk, ID).1, Told::Unusable);
    disk.put(&path(), &vec![0; READ_BYTES_MAX + 1]);
    assert_eq!(open(&disk, ID).1, Told::Unusable);
}

#[test]
fn a_power_cut_at_every_change_leaves_a_step_that_was_told_or_the_next() {
    for stop in 0..60 {
        let disk = SimDisk::new(&Entropy::seeded(stop));
        disk.make_dirs(Path::new("/wal")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let (mut file, _) = open(&disk, ID);
        disk.stop_after(stop);
        let mut told = 0;
        for n in 1..=20 {
            file.len = if n % 5 == 0 { FILE_BYTES_MAX } else { file.len };
            if file.step(at(n)).is_err() {
                break;
            }
            told = n;
        }
        disk.crash();
        let found = match open(&disk, ID).1 {
            Told::At(found) => found.file,
            Told::Nothing | Told::Unusable => 0,
        };
        assert!(found == told || found == told + 1, "{stop}: told {told}, found {found}");
    }
}

#[test]
fn a_write_that_fails_is_made_up_for_by_the_next() {
    let disk = SimDisk::new(&Entropy::seeded(4));
    let (mut file, _) = open(&disk, ID);
    file.step(at(1)).unwrap();
    disk.set_full(Some(0));
    assert!(file.step(at(2)).is_err());
    disk.set_full(None);
    file.step(at(3)).unwrap();
    assert_eq!(open(&disk, ID).1, Told::At(at(3)));
}

#[test]
fn cursors_of_others_are_forgotten_and_nothing_else() {
    let disk = SimDisk::new(&Entropy::seeded(5));
    assert_eq!(forget_others(Path::new("/wal"), &[], &disk).unwrap(), 0, "there is no folder yet");
    for key in ["aa", "bb", "cc"] {
        let (mut file, _) = CursorFile::open(Path::new("/wal"), key, ID, Arc::new(disk.clone()));
        file.step(at(1)).unwrap();
    }
    disk.put(Path::new("/wal/sinks/README"), b"x");
    assert_eq!(forget_others(Path::new("/wal"), &["bb".to_owned()], &disk).unwrap(), 2);
    let left: BTreeSet<_> = disk.paths().into_iter().filter(|path| path.parent() == Some(Path::new("/wal/sinks"))).collect();
    assert_eq!(left, BTreeSet::from([PathBuf::from("/wal/sinks/README"), PathBuf::from("/wal/sinks/bb.cursor")]));
}
