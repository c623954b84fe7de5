use proptest::prelude::*;

use super::*;

fn labels(text: &str) -> Arc<Labels> {
    Arc::new(Labels::from_pairs([("app", text)]))
}

type Flat = (String, i64, u8, Vec<(String, String)>, Vec<u8>);

fn read_back(body: &Bytes) -> Vec<Flat> {
    let view = BatchView::parse(body.clone()).unwrap();
    let payload = view.payload().unwrap();
    let mut out = Vec::new();
    for (at, row) in view.table().streams.iter().enumerate() {
        for record in payload.rows(at) {
            let record = record.unwrap();
            let metadata = record.metadata().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            out.push((row.labels[0].value.clone(), record.time.0, record.level, metadata, record.line.to_vec()));
        }
    }
    out
}

fn record() -> impl Strategy<Value = Flat> {
    let metadata = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(("[a-z]{1,4}", ".{0,6}"), 0..3)];
    ("[a-c]", any::<i64>(), 0_u8..9, metadata, prop::collection::vec(any::<u8>(), 0..40))
}

proptest! {
    #[test]
    fn every_record_comes_back_in_order(records in prop::collection::vec(record(), 0..60), code in 0_u8..3) {
        let compression = [Compression::None, Compression::Zstd, Compression::Snappy][usize::from(code)];
        let mut builder = BatchBuilder::new();
        for (stream, time, level, metadata, line) in &records {
            builder.push(&labels(stream), Timestamp(*time), *level, metadata, line);
        }
        let frozen = builder.freeze(compression).unwrap();
        prop_assert_eq!(frozen.lines, records.len() as u64);
        let found = read_back(&frozen.body);
        for stream in ["a", "b", "c"] {
            let of = |all: &[Flat]| all.iter().filter(|r| r.0 == stream).cloned().collect::<Vec<_>>();
            prop_assert_eq!(of(&found), of(&records));
        }
    }

    #[test]
    fn a_flipped_bit_is_found(at in 0_usize..200, bit in 0_u8..8) {
        let mut builder = BatchBuilder::new();
        builder.push(&labels("a"), Timestamp(5), 1, &[], b"some line that is long enough to flip a bit in");
        let mut body = builder.freeze(Compression::None).unwrap().body.to_vec();
        let at = at % body.len();
        body[at] ^= 1 << bit;
        prop_assert!(BatchView::parse(body.into()).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut whole = MAGIC.to_vec();
        whole.extend_from_slice(&bytes);
        drop(BatchView::parse(whole.into()));
    }

    #[test]
    fn lying_columns_end_in_a_fault(raw in prop::collection::vec(any::<u8>(), 0..80), lines in 0_u32..50) {
        let table = BatchTable { streams: vec![StreamRow { lines, ..StreamRow::default() }] };
        if let Ok(payload) = Payload::read(raw, &table) {
            prop_assert!(payload.rows(0).count() <= lines as usize);
        }
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let table = BatchTable { streams: vec![StreamRow { lines: 1, ..StreamRow::default() }] }.encode_to_vec();
    let packed = zstd::bulk::compress(&vec![0; BATCH_RAW_BYTES_MAX * 4], 1).unwrap();
    for stated in [1024_u32, u32::MAX] {
        let mut body = MAGIC.to_vec();
        body.extend_from_slice(&[1, 0, 1, 0]);
        body.extend_from_slice(&[0; 20]);
        for len in [u32::try_from(table.len()).unwrap(), u32::try_from(packed.len()).unwrap(), stated] {
            body.extend_from_slice(&len.to_le_bytes());
        }
        let sum = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&body), &table), &packed);
        body.extend_from_slice(&sum.to_le_bytes());
        body.extend_from_slice(&table);
        body.extend_from_slice(&packed);
        assert!(BatchView::parse(body.into()).and_then(|view| view.payload()).is_err());
    }
}

#[test]
fn an_empty_batch_is_a_batch() {
    let frozen = BatchBuilder::new().freeze(Compression::Zstd).unwrap();
    assert_eq!(BatchView::parse(frozen.body).unwrap().payload().unwrap().streams(), 0);
}

#[test]
fn columns_take_as_much_room_as_was_reckoned() {
    let mut columns = StreamColumns::new(labels("a"));
    for at in 0..2_000_i64 {
        let metadata = if at % 3 == 0 { vec![("trace".to_owned(), "b".repeat(300))] } else { Vec::new() };
        columns.push(Timestamp(at * 7_000_000_000 % 911), u8::try_from(at % 5).unwrap(), &metadata, &[b'x'; 200]);
    }
    let room = columns.bytes_max();
    let mut payload = Vec::new();
    columns.finish(&mut payload);
    assert!(payload.len() <= room && room - payload.len() < 64, "{} of {room}", payload.len());
}
