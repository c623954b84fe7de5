//! Which lines a delete means.

use std::collections::BTreeMap;

use super::*;

fn deletion(number: u64, query: &str, (start, end): (i64, i64)) -> Arc<Deletion> {
    let range = TimeRange { start: Timestamp(start), end: Timestamp(end) };
    let delete = Delete { number, query: query.to_owned(), range, accepted: Timestamp(0), heads: BTreeMap::new(), pieces: 0, lines: 0, done: None };
    Arc::new(Deletion::new(&delete).unwrap())
}

fn labels(app: &str) -> Arc<Labels> {
    Arc::new(Labels::from_pairs([("app", app)]))
}

/// By which delete each of these lines, at 10, 20, ..., is taken.
fn taken(deletions: &[Arc<Deletion>], app: &str, lines: &[&str]) -> Vec<Option<u64>> {
    let last = Timestamp(10 * i64::try_from(lines.len()).unwrap());
    match Fate::of(deletions, &labels(app), (Timestamp(10), last)) {
        Fate::Kept => vec![None; lines.len()],
        Fate::Gone(number) => vec![Some(number); lines.len()],
        Fate::Judged(struck) => {
            let mut judge = struck.judge();
            let times = (1..).map(|at| Timestamp(10 * at));
            times.zip(lines).map(|(time, line)| judge.taken_by(&Row::new(0, time, 255, &[], line.as_bytes()))).collect()
        }
    }
}

#[test]
fn selectors_filters_and_times_tell_lines_apart() {
    let all = deletion(1, r#"{app="a"}"#, (0, 1_000));
    assert_eq!(taken(std::slice::from_ref(&all), "a", &["x", "y"]), [Some(1), Some(1)]);
    assert!(matches!(Fate::of(&[Arc::clone(&all)], &labels("a"), (Timestamp(0), Timestamp(999))), Fate::Gone(1)));
    assert!(matches!(Fate::of(&[Arc::clone(&all)], &labels("a"), (Timestamp(0), Timestamp(1_000))), Fate::Judged(_)), "one line is later");
    assert!(matches!(Fate::of(&[Arc::clone(&all)], &labels("a"), (Timestamp(1_000), Timestamp(1_001))), Fate::Kept));
    assert_eq!(taken(&[all], "b", &["x"]), [None]);
    let some = deletion(2, r#"{app=~"a|b"} |= "x" != "xy""#, (0, 1_000));
    assert_eq!(taken(std::slice::from_ref(&some), "a", &["x", "y", "zx", "xy"]), [Some(2), None, Some(2), None]);
    let early = deletion(3, r#"{app="a"}"#, (0, 20));
    assert_eq!(taken(&[early, some], "a", &["y", "y", "x"]), [Some(3), None, Some(2)], "the first that takes it");
}

#[test]
fn fields_and_metadata_tell_lines_apart_and_unreadable_lines_stay() {
    let lines = [r#"{"user":"7"}"#, r#"{"user":"8"}"#, "user=7", r#"{"user":"7""#];
    assert_eq!(taken(&[deletion(1, r#"{app="a"} | json | user="7""#, (0, 99))], "a", &lines), [Some(1), None, None, None]);
    assert_eq!(taken(&[deletion(1, r#"{app="a"} | json | user!="7""#, (0, 99))], "a", &lines), [None, Some(1), None, None], "not what it cannot read");
    assert_eq!(taken(&[deletion(1, r#"{app="a"} | logfmt | user="7""#, (0, 99))], "a", &lines)[2], Some(1));
    let level = deletion(1, r#"{app="a"} | detected_level="error""#, (0, 99));
    assert!(!level.pipeline.reads_lines());
    // Two that parse do not see each other's labels.
    let two = [deletion(1, r#"{app="a"} | json | user="8""#, (0, 99)), deletion(2, r#"{app="a"} | user="7""#, (0, 99))];
    assert_eq!(taken(&two, "a", &lines), [None, Some(1), None, None]);
}

#[test]
fn what_is_no_delete_is_refused() {
    for query in ["", "{}", r#"{app="a""#, r#"rate({app="a"}[5m])"#, r#"{app="a"} | line_format "x""#, r#"{app="a"} | label_format b=app"#] {
        Deletion::check(query).unwrap_err();
    }
    for query in [r#"{app="a"} | drop b"#, r#"{app="a"} | keep b"#, r#"{app="a"} | decolorize"#, r#"{app="a"} |~ "(""#] {
        Deletion::check(query).unwrap_err();
    }
    for query in [r#"{app="a"}"#, r#"{app=~".+"} |= "x" != "y" |~ "z" !~ "w""#, r#"{app="a"} | json | status >= 500 or level="error""#] {
        Deletion::check(query).unwrap();
    }
}
