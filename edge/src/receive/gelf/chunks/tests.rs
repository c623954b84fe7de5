//! Pieces in any order, twice, never; bounds.

use super::*;

fn piece(name: u64, number: u8, count: u8, bytes: &[u8]) -> Vec<u8> {
    [&[0x1e, 0x0f][..], &name.to_be_bytes(), &[number, count], bytes].concat()
}

const AT: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn pieces_make_a_message_in_any_order() {
    let mut chunks = Chunks::default();
    assert_eq!(chunks.take(b"whole", AT(0)), Ok(Some(b"whole".to_vec())));
    assert_eq!(chunks.take(b"", AT(0)), Ok(None));
    for datagram in [piece(1, 2, 3, b"c"), piece(2, 0, 2, b"x"), piece(1, 0, 3, b"a"), piece(1, 0, 3, b"again")] {
        assert_eq!(chunks.take(&datagram, AT(1)), Ok(None));
    }
    assert_eq!(chunks.take(&piece(1, 1, 3, b"b"), AT(2)), Ok(Some(b"abc".to_vec())));
    assert_eq!(chunks.take(&piece(2, 1, 3, b"y"), AT(2)), Err(()), "it had two pieces");
    assert_eq!(chunks.take(&piece(2, 1, 2, b"y"), AT(2)), Ok(Some(b"xy".to_vec())));
    assert_eq!((chunks.bytes, chunks.under_way.len(), chunks.take_lost()), (0, 0, 0));
}

#[test]
fn what_does_not_come_in_time_is_given_up() {
    let mut chunks = Chunks::default();
    assert_eq!(chunks.take(&piece(1, 0, 2, b"old"), AT(0)), Ok(None));
    assert_eq!(chunks.take(&piece(1, 1, 2, b"new"), AT(5)), Ok(None), "it begins anew");
    assert_eq!((chunks.take_lost(), chunks.bytes), (1, 3));
}

#[test]
fn memory_is_bounded_in_number_and_bytes() {
    let mut chunks = Chunks::default();
    for name in 0..3_000 {
        assert_eq!(chunks.take(&piece(name, 0, 128, b"x"), AT(0)), Ok(None));
        assert!(chunks.under_way.len() <= MESSAGES_MAX);
    }
    assert_eq!(chunks.take_lost(), 3_000 - MESSAGES_MAX as u64);
    let large = vec![b'x'; 60_000];
    for name in 0..20_u64 {
        for number in 0..127 {
            assert_eq!(chunks.take(&piece(name << 32, number, 128, &large), AT(1)), Ok(None));
            assert!(chunks.bytes <= BYTES_MAX);
        }
    }
    assert_eq!(chunks.bytes, chunks.under_way.values().map(|message| message.bytes).sum::<usize>());
}
