use super::*;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

fn at(seconds: i64) -> Timestamp {
    Timestamp(START.0 + seconds * 1_000_000_000)
}

#[test]
fn from_a_sleep_until_a_tick_after_it_was_found_out_nothing_is_sure() {
    let awake = Awake::new(START);
    assert!(awake.is_sure(START) && !awake.tick(at(1)) && awake.is_sure(at(20)));
    assert!(!awake.is_sure(at(33)), "before the tick that finds it out");
    assert!(awake.tick(at(33)));
    assert!(!awake.is_sure(at(33)) && !awake.is_sure(at(34)), "while connections are closed");
    assert!(!awake.tick(at(34)) && !awake.tick(at(35)) && awake.is_sure(at(35)));
}

#[test]
fn a_clock_that_is_set_back_is_no_sleep_and_locks_nobody_out() {
    let awake = Awake::new(START);
    assert!(awake.tick(at(100)));
    assert!(!awake.tick(at(-5_000)) && awake.is_sure(at(-5_000)));
}
