use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000_000;

fn limits(settings: LimitSettings) -> Limits {
    Limits::new(settings)
}

/// What was given up of lines of no tenant, and no others.
fn given(limits: &mut Limits) -> Given {
    let mut given = limits.take_given();
    let own = given.remove("").unwrap_or_default();
    assert!(given.is_empty(), "{given:?}");
    own
}

fn passes(limits: &mut Limits, lines: u64, at_ms: i64) -> usize {
    (0..lines).filter(|_| limits.judge("", b"line", (1, false), Timestamp(at_ms * 1_000_000)) != Verdict::Drop).count()
}

#[test]
fn a_rate_that_drops_lets_the_burst_through_and_then_the_rate() {
    let mut limits = limits(LimitSettings { rate: Some((10.0, 20)), drop: true, ..LimitSettings::default() });
    assert_eq!(passes(&mut limits, 50, 1_000), 20, "the burst");
    assert_eq!(passes(&mut limits, 50, 1_500), 5, "half a second's lines");
    assert_eq!(passes(&mut limits, 50, 60_000), 20, "never more than the burst");
    assert_eq!(passes(&mut limits, 5, 59_000), 0, "a clock that was set back gives nothing");
    assert_eq!(given(&mut limits), Given { rate_limited: 30 + 45 + 30 + 5, ..Given::default() });
    assert_eq!(given(&mut limits), Given::default());
    assert_eq!(limits.wait(Timestamp(60 * SECOND)), Duration::ZERO, "nobody waits where lines are dropped");
}

#[test]
fn a_rate_that_does_not_drop_makes_reading_wait() {
    let mut limits = limits(LimitSettings { rate: Some((10.0, 2)), drop: false, ..LimitSettings::default() });
    let at = Timestamp(5 * SECOND);
    assert_eq!(limits.wait(at), Duration::ZERO);
    assert_eq!(passes(&mut limits, 4, 5_000), 4, "what is there is taken");
    assert_eq!(limits.wait(at), Duration::from_millis(300), "two lines are owed, and one must be there");
    assert_eq!(limits.wait(Timestamp(at.nanos() + SECOND * 3 / 10)), Duration::ZERO);
    assert_eq!(given(&mut limits), Given::default());
}

#[test]
fn streams_beyond_the_limit_of_a_batch_are_dropped() {
    let mut limits = limits(LimitSettings { streams_max: 2, ..LimitSettings::default() });
    let now = Timestamp(1);
    for (streams, is_new, passes) in [(0, true, true), (1, true, true), (2, true, false), (2, false, true), (3, true, false)] {
        assert_eq!(limits.judge("", b"x", (streams, is_new), now) == Verdict::Pass(b"x"), passes, "{streams} {is_new}");
    }
    assert_eq!(given(&mut limits), Given { stream_limit: 2, stream_limit_bytes: 2, ..Given::default() });
}

#[test]
fn long_lines_are_dropped_or_cut() {
    let now = Timestamp(1);
    let mut dropping = limits(LimitSettings { line_bytes_max: 4, ..LimitSettings::default() });
    assert_eq!(dropping.judge("", b"abcd", (0, true), now), Verdict::Pass(b"abcd"));
    assert_eq!(dropping.judge("", b"abcde", (0, true), now), Verdict::Drop);
    assert_eq!(given(&mut dropping), Given { line_too_long: 1, line_too_long_bytes: 5, ..Given::default() });
    let mut cutting = limits(LimitSettings { line_bytes_max: 4, truncate: true, ..LimitSettings::default() });
    assert_eq!(cutting.judge("", b"abcde", (0, true), now), Verdict::Pass(b"abcd"));
    assert_eq!(cutting.judge("", "abcé".as_bytes(), (0, true), now), Verdict::Pass(b"abc"), "no half of a character");
    assert_eq!(given(&mut cutting), Given { cut: 2, cut_bytes: 3, ..Given::default() });
}

#[test]
fn what_is_given_up_is_counted_by_tenant_up_to_a_bound() {
    let mut limits = limits(LimitSettings { line_bytes_max: 1, streams_max: 1, ..LimitSettings::default() });
    limits.judge("a", b"long", (0, true), Timestamp(1));
    limits.judge("b", b"x", (1, true), Timestamp(1));
    let given = limits.take_given();
    assert_eq!((given["a"].line_too_long, given["b"].stream_limit, given.len()), (1, 1, 2));
    for tenant in 0..2 * TENANTS_MAX {
        limits.judge(&format!("t{tenant}"), b"long", (0, true), Timestamp(1));
    }
    let given = limits.take_given();
    assert_eq!((given.len(), given[""].line_too_long), (TENANTS_MAX + 1, TENANTS_MAX as u64));
}

proptest! {
    #[test]
    fn a_cut_line_is_a_beginning_within_the_limit(text in "\\PC{0,40}", most in 0_usize..40) {
        let line = text.as_bytes();
        let most = most.min(line.len());
        let kept = cut(line, most);
        prop_assert!(kept.len() <= most && kept.len() + 3 >= most && line.starts_with(kept));
        prop_assert!(std::str::from_utf8(kept).is_ok());
    }

    #[test]
    fn over_time_no_more_than_the_rate_passes(steps in prop::collection::vec((0_i64..500, 0_u64..20), 1..60)) {
        let mut limits = limits(LimitSettings { rate: Some((100.0, 10)), drop: true, ..LimitSettings::default() });
        let (mut at, mut passed) = (1_000, 0);
        for (ms, lines) in steps {
            at += ms;
            passed += passes(&mut limits, lines, at);
        }
        prop_assert!(passed as i64 <= 10 + (at - 1_000) / 10 + 1);
    }
}
