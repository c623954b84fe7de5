use super::*;

#[test]
fn times_in_every_form() {
    for (text, ns) in [
        ("1700000000", 1_700_000_000_000_000_000),
        ("1700000000000000001", 1_700_000_000_000_000_001),
        ("1700000000.5", 1_700_000_000_500_000_000),
        ("1700000000.123456", 1_700_000_000_123_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
        ("2023-11-14T22:13:20.000000001+00:00", 1_700_000_000_000_000_001),
        ("0", 0),
        ("-1.5", -1_500_000_000),
    ] {
        assert_eq!(time(text), Ok(Timestamp(ns)), "{text}");
    }
    for bad in ["yesterday", "", "1.2.3", "99999999999999999999", "2023-13-01T00:00:00Z"] {
        assert!(time(bad).is_err(), "{bad}");
    }
}

#[test]
fn defaults_are_lokis() {
    let now = Timestamp::from_secs(1_000_000);
    let params = Params(vec![]);
    let range = params.range(now).unwrap();
    assert_eq!((range.start, range.end), (Timestamp::from_secs(996_400), now));
    assert_eq!(params.limit().unwrap(), 100);
    assert_eq!(params.step_ns(range).unwrap(), 14_000_000_000);
    let params = Params(vec![("since".into(), "2h".into()), ("step".into(), "60000ms".into())]);
    assert_eq!(params.range(now).unwrap().start, Timestamp::from_secs(992_800));
    assert_eq!(params.step_ns(range).unwrap(), 60_000_000_000);
}
