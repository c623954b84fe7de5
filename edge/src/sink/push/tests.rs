use proto_boot::Span;

use super::*;

fn answer(status: u16, retry_after: Option<u64>) -> Result<Answer, String> {
    Ok(Answer { status, text: String::new(), retry_after: retry_after.map(Duration::from_secs) })
}

#[test]
fn only_what_may_pass_is_tried_again() {
    let again = |secs| Verdict::Again(Duration::from_secs(secs));
    for status in [200, 204, 299] {
        assert_eq!(judge(&answer(status, None), false), Verdict::Taken, "{status}");
    }
    for status in [500, 502, 503, 599] {
        assert_eq!((judge(&answer(status, None), false), judge(&answer(status, Some(7)), true)), (again(0), again(7)), "{status}");
    }
    for status in [100, 301, 400, 401, 404, 413, 422, 600] {
        assert_eq!(judge(&answer(status, Some(7)), false), Verdict::Never(INGESTER_ERROR), "{status}");
    }
    assert_eq!(judge(&answer(429, Some(1_000_000)), false), again(300), "nobody is left alone for ever");
    assert_eq!(judge(&answer(429, None), true), Verdict::Never(RATE_LIMITED));
    assert_eq!(judge(&Err("connection refused".to_owned()), true), again(0));
}

#[test]
fn pauses_are_never_none() {
    let entropy = Entropy::seeded(1);
    let pauses = |min_ms, max_ms| {
        let (min_period, max_period) = (Span(Duration::from_millis(min_ms)), Span(Duration::from_millis(max_ms)));
        pauses(&BackoffSettings { min_period, max_period, max_retries: None })
    };
    assert!((250..=500).contains(&pauses(500, 300_000).wait(1, &entropy).as_millis()));
    assert!(pauses(0, 0).wait(3, &entropy) >= PAUSE_MIN / 2);
    assert!(pauses(1_000, 10).wait(3, &entropy) <= PAUSE_MIN);
}
