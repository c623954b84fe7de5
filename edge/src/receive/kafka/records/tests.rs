use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn varint(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap());
}

fn packed(how: i16, bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    match how {
        1 => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        2 => {
            let block = snap::raw::Encoder::new().compress_vec(bytes).unwrap();
            let mut out = [XERIAL, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
            out.extend_from_slice(&u32::try_from(block.len()).unwrap().to_be_bytes());
            out.extend_from_slice(&block);
            out
        }
        3 => {
            let block = lz4_flex::block::compress(bytes);
            let mut out = LZ4_MAGIC.to_vec();
            out.extend_from_slice(&[0x60, 0x70, 0]);
            out.extend_from_slice(&u32::try_from(block.len()).unwrap().to_le_bytes());
            out.extend_from_slice(&block);
            out.extend_from_slice(&[0; 4]);
            out
        }
        4 => zstd::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    }
}

fn batch(base: i64, attributes: i16, lines: &[&str]) -> Vec<u8> {
    let mut records = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let mut record = vec![0];
        varint(i64::try_from(at).unwrap(), &mut record);
        varint(i64::try_from(at).unwrap(), &mut record);
        varint(-1, &mut record);
        varint(i64::try_from(line.len()).unwrap(), &mut record);
        record.extend_from_slice(line.as_bytes());
        varint(0, &mut record);
        varint(i64::try_from(record.len()).unwrap(), &mut records);
        records.extend_from_slice(&record);
    }
    let count = i32::try_from(lines.len()).unwrap();
    let mut body = attributes.to_be_bytes().to_vec();
    body.extend_from_slice(&(count - 1).to_be_bytes());
    body.extend_from_slice(&1_000_i64.to_be_bytes());
    body.extend_from_slice(&2_000_i64.to_be_bytes());
    body.extend_from_slice(&[0xff; 14]);
    body.extend_from_slice(&count.to_be_bytes());
    body.extend_from_slice(&packed(attributes & 7, &records));
    let mut out = base.to_be_bytes().to_vec();
    out.extend_from_slice(&i32::try_from(body.len() + 9).unwrap().to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 0, 2]);
    out.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    out.extend_from_slice(&body);
    out
}

fn lines(read: &Read) -> Vec<String> {
    read.messages.iter().map(|message| format!("{} {} {}", message.offset, message.time_ms, String::from_utf8_lossy(&message.value))).collect()
}

#[test]
fn batches_are_read_however_they_are_packed() {
    for how in 0..=4 {
        let bytes = [batch(10, how, &["a", "b", "c"]), batch(13, how | 8, &["d"])].concat();
        let found = read(&bytes.clone().into(), 11);
        assert_eq!(lines(&found), ["11 1001 b", "12 1002 c", "13 2000 d"], "{how}");
        assert_eq!((found.next, found.damaged), (Some(14), 0));
        // The last one is cut short: it comes with the next fetch.
        let found = read(&Bytes::from(bytes[..bytes.len() - 1].to_vec()), 10);
        assert_eq!((found.messages.len(), found.next), (3, Some(13)));
    }
}

#[test]
fn marks_of_transactions_are_passed_and_damage_costs_its_batch() {
    let mut broken = batch(5, 0, &["x", "y"]);
    let at = broken.len() - 2;
    broken[at] ^= 1;
    let bytes = [batch(3, 0x20, &["mark", "mark"]), broken, batch(7, 0, &["z"])].concat();
    let found = read(&bytes.into(), 0);
    assert_eq!(lines(&found), ["7 1000 z"]);
    assert_eq!((found.next, found.damaged), (Some(8), 2));
}

#[test]
fn an_answer_that_unpacks_to_much_is_read_in_parts() {
    let long = "x".repeat(READ_BYTES_MAX / 2 + 1);
    let bytes: Bytes = [batch(0, 4, &[&long]), batch(1, 4, &[&long]), batch(2, 4, &["rest"])].concat().into();
    let found = read(&bytes, 0);
    assert_eq!((found.messages.len(), found.next, found.damaged), (2, Some(2), 0));
    let found = read(&bytes, 2);
    assert_eq!((found.messages.len(), found.next), (1, Some(3)));
}

proptest! {
    #[test]
    fn any_bytes_end(how in 0i16..8, at in prop::collection::vec((0usize..400, any::<u8>()), 0..20), cut in 0usize..400) {
        let mut bytes = [batch(1, how, &["one", "two"]), batch(3, how, &["three"])].concat();
        for (place, byte) in at {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        bytes.truncate(bytes.len().min(cut));
        prop_assert!(read(&bytes.into(), 0).messages.len() <= 3);
    }
}
