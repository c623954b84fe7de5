use super::*;

#[test]
fn names_sort_as_their_numbers() {
    let lane = LaneId(0xab);
    let mut names: Vec<_> = [2, 10, 1, u64::MAX, 0, 100].map(|n| Key::lane_object(lane, n)).into();
    names.sort();
    assert_eq!(names, [0, 1, 2, 10, 100, u64::MAX].map(|n| Key::lane_object(lane, n)));
    assert_eq!(names[1].as_str(), "lanes/00000000000000ab/log/00000000000000000001");
}

#[test]
fn only_whole_numbers_are_read_back() {
    assert_eq!(number_of("00000000000000000017"), Some(17));
    assert_eq!(number_of("18446744073709551615"), Some(u64::MAX));
    for foreign in ["", "17", "0000000000000000001x", "000000000000000000017", "99999999999999999999", "+0000000000000000017", "00000000000000000017.tmp"] {
        assert_eq!(number_of(foreign), None, "{foreign}");
    }
}

#[test]
fn a_token_and_its_revocation_are_told_apart() {
    let id = TokenId::new("grafana-acme").unwrap();
    let last = |key: Key| key.as_str().rsplit_once('/').unwrap().1.to_owned();
    assert_eq!(token_of(&last(Key::token(&id))), Some((id.clone(), false)));
    assert_eq!(token_of(&last(Key::revocation(&id))), Some((id, true)));
    for foreign in ["", ".revoked", "A", "a.b", "a.revoked.revoked", "..", "a/b"] {
        assert_eq!(token_of(foreign), None, "{foreign}");
    }
}
