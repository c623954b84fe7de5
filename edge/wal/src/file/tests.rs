use proptest::prelude::*;

use super::*;

const HEAD: FileHead = FileHead { wal_id: WalId(0x1122_3344_5566_7788), number: 9, before_len: 77 };

proptest! {
    #[test]
    fn names_and_numbers_go_together(n in any::<u64>()) {
        prop_assert_eq!(number(&name(n)), Some(n));
    }

    #[test]
    fn any_flipped_byte_leaves_an_id_that_fits(at in 0..HEAD_BYTES, bit in 0..8) {
        let mut bytes = HEAD.encode();
        bytes[at] ^= 1_u8 << bit;
        match HeadState::parse(&bytes) {
            HeadState::Damaged(ids) | HeadState::Alien(ids) => prop_assert!(ids.contains(&HEAD.wal_id)),
            HeadState::Sound(_) | HeadState::Version(_) | HeadState::Keyed(_) | HeadState::Unfinished => prop_assert!(false, "byte {}", at),
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert!(!matches!(HeadState::parse(&bytes), HeadState::Sound(_)));
    }
}

#[test]
fn only_twenty_digits_are_a_wal_file() {
    for other in ["1.wal", "0000000000000000000a.wal", "00000000000000000001", "00000000000000000001.wal.tmp", "99999999999999999999.wal", "LOCK", ""] {
        assert_eq!(number(other), None, "{other}");
    }
}

#[test]
fn heads_are_told_apart() {
    let sound = HEAD.encode();
    assert_eq!(HeadState::parse(&sound), HeadState::Sound(HEAD));
    assert_eq!(HeadState::parse(&sound[..63]), HeadState::Unfinished);
    assert_eq!(HeadState::parse(&[0; 64]), HeadState::Unfinished);
    let sealed = |at: usize, byte: u8| {
        let mut bytes = sound;
        bytes[at] = byte;
        let sum = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&sum.to_le_bytes());
        HeadState::parse(&bytes)
    };
    assert_eq!(sealed(8, 2), HeadState::Version(2));
    assert_eq!(sealed(12, 5), HeadState::Keyed(5));
    assert!(matches!(sealed(0, b'X'), HeadState::Alien(_)));
}
