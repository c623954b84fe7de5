use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use proto_seam::disk::real::RealDisk;
use proto_seam::{Disk, OpenHow};

use super::*;

fn packed(packing: Packing, bytes: &[u8]) -> Vec<u8> {
    match packing {
        Packing::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Packing::Zlib => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Packing::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }
}

fn content(packing: Packing, bytes: &[u8]) -> (tempfile::TempDir, Content) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let disk = RealDisk::new();
    disk.open(&path, OpenHow::CreateNew).unwrap().append(bytes).unwrap();
    let content = Content::new(disk.open(&path, OpenHow::Read).unwrap(), Some(packing));
    (dir, content)
}

fn read_from(content: &mut Content, mut at: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut buf = vec![0; 10_000];
    loop {
        match content.read_at(&mut buf, at)? {
            Got::Bytes(0) => return Ok(out),
            Got::Bytes(n) => {
                out.extend_from_slice(&buf[..n]);
                at += n as u64;
            }
            Got::Skipping => {}
        }
    }
}

#[test]
fn archives_are_read_from_any_offset() {
    let bytes: Vec<u8> = (0..2_000_000_u32).flat_map(u32::to_le_bytes).collect();
    for packing in [Packing::Gzip, Packing::Zlib, Packing::Bzip2] {
        let (_dir, mut content) = content(packing, &packed(packing, &bytes));
        assert_eq!(content.first(1_000).unwrap(), &bytes[..1_000]);
        for at in [0, 7_999_999, 5_000_003, 8_000_000] {
            assert!(read_from(&mut content, at as u64).unwrap() == bytes[at..], "{packing:?} from {at}");
        }
        assert_eq!(read_from(&mut content, 8_000_001).unwrap_err().kind(), io::ErrorKind::InvalidData, "{packing:?}");
    }
}

#[test]
fn several_members_are_one_text() {
    for packing in [Packing::Gzip, Packing::Bzip2] {
        let mut bytes = packed(packing, b"one\n");
        bytes.extend(packed(packing, b"two\n"));
        assert_eq!(read_from(&mut content(packing, &bytes).1, 2).unwrap(), b"e\ntwo\n");
    }
}

#[test]
fn damage_is_told_from_an_early_end() {
    let bytes: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    for packing in [Packing::Gzip, Packing::Zlib, Packing::Bzip2] {
        let whole = packed(packing, &bytes);
        let (_dir, mut cut) = content(packing, &whole[..whole.len() / 2]);
        assert_eq!(read_from(&mut cut, 0).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{packing:?}");
        let mut bad = whole.clone();
        for byte in &mut bad[whole.len() / 2..whole.len() / 2 + 40] {
            *byte ^= 0x5A;
        }
        let (_dir, mut bad) = content(packing, &bad);
        assert_eq!(read_from(&mut bad, 0).unwrap_err().kind(), io::ErrorKind::InvalidData, "{packing:?}");
        let (_dir, mut text) = content(packing, b"this is no archive at all, whatever its name says");
        assert_eq!(read_from(&mut text, 0).unwrap_err().kind(), io::ErrorKind::InvalidData, "{packing:?}");
    }
}

#[test]
fn an_archive_that_unpacks_to_a_gigabyte_takes_no_more_memory_than_another() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let block = vec![0; 1 << 20];
    for _ in 0..256 {
        encoder.write_all(&block).unwrap();
    }
    let (_dir, mut content) = content(Packing::Gzip, &encoder.finish().unwrap());
    let mut buf = vec![0; 64 * 1024];
    let mut at = 0_u64;
    while let Got::Bytes(got) = content.read_at(&mut buf, at).unwrap() {
        if got == 0 {
            break;
        }
        at += got as u64;
    }
    assert_eq!(at, 256 << 20);
    assert_eq!(content.archive.as_ref().unwrap().scratch.capacity(), 0);
    // Going back is a beginning anew, a bounded piece at a time.
    assert_eq!(content.read_at(&mut buf, at - 1 - SKIP_BYTES).unwrap(), Got::Skipping);
}
