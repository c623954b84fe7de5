use proptest::prelude::*;
use proto_model::LaneId;

use super::*;

fn keys() -> StoreKeys {
    StoreKeys::parse(&format!("3 {}", "ab".repeat(32))).unwrap()
}

fn name() -> Key {
    Key::lane_object(LaneId(5), 9)
}

#[test]
fn a_header_comes_back_with_and_without_keys() {
    for keys in [StoreKeys::none(), keys()] {
        let mut sealed = seal(Kind::Lane, &name(), b"header", &keys).unwrap().to_vec();
        assert_eq!(total_bytes(Kind::Lane, &name(), &sealed).unwrap(), sealed.len());
        sealed.extend_from_slice(b"sections follow");
        assert_eq!(open(Kind::Lane, &name(), &sealed.into(), &keys).unwrap(), "header");
    }
}

#[test]
fn a_header_under_another_name_or_of_another_kind_is_refused() {
    let sealed = seal(Kind::Lane, &name(), b"header", &keys()).unwrap();
    assert!(open(Kind::Lane, &Key::lane_object(LaneId(5), 10), &sealed, &keys()).is_err());
    assert!(open(Kind::Snapshot, &name(), &sealed, &keys()).is_err());
}

#[test]
fn a_newer_format_is_told_apart_from_damage() {
    let mut sealed = seal(Kind::Lane, &name(), b"header", &StoreKeys::none()).unwrap().to_vec();
    sealed[8] = 2;
    assert_eq!(open(Kind::Lane, &name(), &sealed.into(), &StoreKeys::none()), Err(StoreFault::Version { key: name().to_string(), found: 2, known: 1 }));
}

#[test]
fn a_stated_length_beyond_the_limit_is_refused_before_it_is_read() {
    let mut sealed = seal(Kind::Lane, &name(), b"header", &StoreKeys::none()).unwrap().to_vec();
    sealed[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(total_bytes(Kind::Lane, &name(), &sealed), Err(StoreFault::Damaged { .. })));
}

proptest! {
    #[test]
    fn any_changed_bit_is_found(at in 0_usize..62, bit in 0_u8..8, with_keys in any::<bool>()) {
        let keys = if with_keys { keys() } else { StoreKeys::none() };
        let mut sealed = seal(Kind::Lane, &name(), b"header", &keys).unwrap().to_vec();
        sealed[at] ^= 1 << bit;
        prop_assert!(open(Kind::Lane, &name(), &sealed.into(), &keys).is_err());
    }

    #[test]
    fn arbitrary_bytes_end_in_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..200), magic in any::<bool>()) {
        let mut whole = if magic { b"TRIBLANE\x01\0\0\0".to_vec() } else { Vec::new() };
        whole.extend_from_slice(&bytes);
        prop_assert!(open(Kind::Lane, &name(), &whole.into(), &StoreKeys::none()).is_err());
    }

    #[test]
    fn a_cut_header_is_refused(cut in 0_usize..62) {
        let sealed = seal(Kind::Lane, &name(), b"header", &StoreKeys::none()).unwrap();
        prop_assert!(open(Kind::Lane, &name(), &sealed.slice(..cut), &StoreKeys::none()).is_err());
    }
}
