use super::*;

fn canary() -> Canary {
    Canary::new(&CanaryParts { every: Duration::from_secs(1), edge: "one".to_owned() }, 7, Timestamp::from_secs(100))
}

#[test]
fn lines_come_when_it_is_time_and_count_up() {
    let mut canary = canary();
    assert_eq!(canary.labels().to_string(), r#"{edge="one", job="tributary-canary"}"#);
    let mut lines = Vec::new();
    for tenth in 0..35 {
        lines.extend(canary.due(Timestamp::from_millis(100_000 + 100 * tenth)).map(|(_, line)| line));
    }
    assert_eq!(lines.len(), 4, "{lines:?}");
    for (at, line) in lines.iter().enumerate() {
        let words: Vec<&str> = line.split(' ').collect();
        let [word, run, number, ns] = words[..] else { panic!("{line}") };
        assert_eq!((word, run.len(), number), ("canary", 16, (at + 1).to_string().as_str()), "{line}");
        assert_eq!(ns, (100_000_000_000 + 1_000_000_000 * at as i64 + i64::from(at == 0)).to_string());
        let started = i64::from_str_radix(run, 16).unwrap();
        assert!((100_000_000_000 - started).abs() < 65_536, "a run tells when it began");
    }
    assert_eq!(canary.due_in(Timestamp::from_millis(103_400)), Duration::from_millis(600));
}

#[test]
fn times_rise_over_a_clock_that_is_set_back() {
    let mut canary = canary();
    let (first, _) = canary.due(Timestamp::from_secs(100)).unwrap();
    let (second, line) = canary.due(Timestamp::from_secs(50)).expect("a clock set back does not silence it");
    assert!(second > first && line.contains(" 2 "), "{line}");
    assert!(canary.due(Timestamp::from_millis(50_500)).is_none());
}

#[test]
fn a_new_run_has_a_name_of_its_own() {
    let mut canary = canary();
    let (_, before) = canary.due(Timestamp::from_secs(100)).unwrap();
    canary.begin_anew();
    let (_, after) = canary.due(Timestamp::from_secs(100)).expect("it begins at once");
    assert!(after.contains(" 1 ") && before.split(' ').nth(1) != after.split(' ').nth(1), "{before} {after}");
}
