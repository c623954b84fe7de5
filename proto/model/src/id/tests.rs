use super::*;

#[test]
fn ids_keep_to_the_allow_list() {
    for good in ["a", "0", "acme", "alpha-1", &"a".repeat(63)] {
        assert_eq!(TenantId::new(good).unwrap().as_str(), good);
    }
    let long = "a".repeat(64);
    for bad in ["", "-a", "A", "a/b", ".", "..", "%2e", "%252e", "a\0", "CON", "ä", "a b", "a_b", &long] {
        assert!(TenantId::new(bad).is_err(), "{bad:?} must be refused");
    }
}

#[test]
fn random_ids_round_trip() {
    let id = LaneId(0x0123_4567_89ab_cdef);
    assert_eq!(id.to_string(), "0123456789abcdef");
    assert_eq!("0123456789abcdef".parse::<LaneId>().unwrap(), id);
    for bad in ["", "0123456789ABCDEF", "123", "+123456789abcdef"] {
        assert!(bad.parse::<LaneId>().is_err());
    }
}
