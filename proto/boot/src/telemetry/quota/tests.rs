use super::*;

const HERE: Place = (Some("a.rs"), Some(1));
const THERE: Place = (Some("a.rs"), Some(2));

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + seconds)
}

#[test]
fn a_place_is_heard_so_often_a_minute_and_says_what_was_left_out() {
    let quotas = Quotas::default();
    let told = (0..100).filter(|_| quotas.take_of(HERE, at(5)).is_some()).count();
    assert_eq!(told, LOG_WARNINGS_MAX as usize);
    assert_eq!(quotas.take_of(THERE, at(5)), Some(0), "each place has its own");
    assert_eq!(quotas.take_of(HERE, at(64)), None);
    assert_eq!(quotas.take_of(HERE, at(65)), Some(101 - u64::from(LOG_WARNINGS_MAX)));
    assert_eq!(quotas.take_of(HERE, at(66)), Some(0));
    assert_eq!(quotas.take_of(HERE, at(-5_000)), Some(0), "a clock that was set back silences nobody");
}
