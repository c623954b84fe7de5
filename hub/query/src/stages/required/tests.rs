//! What lines must hold: known where it is certain, and never more than what stays.

use std::sync::Arc;

use hub_logql::Expr;
use proptest::prelude::*;
use proto_model::{Labels, Timestamp};

use super::super::Pipeline;
use super::*;
use crate::record::LineLabels;
use crate::wanted::Wanted;

fn pipeline(stages: &str) -> Pipeline {
    let Expr::Log(log) = hub_logql::parse(&format!(r#"{{app="a"}} {stages}"#)).unwrap() else { panic!("{stages} is a metric query") };
    Pipeline::new(&log.stages, Wanted::All).unwrap()
}

/// The texts of the most telling step.
fn texts(stages: &str) -> Option<Vec<String>> {
    let pipeline = pipeline(stages);
    let required = pipeline.required().first()?;
    let of_part = |part: &Part| match part {
        Part::One(finder) => vec![String::from_utf8_lossy(finder.needle()).into_owned()],
        // What it holds is seen by what it finds.
        Part::Packed(_) | Part::Many(_) => {
            CANDIDATES.iter().filter(|text| part.find(text.as_bytes(), 0) == Some((0, text.len()))).map(|text| (*text).to_owned()).collect()
        }
    };
    let mut texts: Vec<String> = required.finder.0.iter().flat_map(of_part).collect();
    texts.sort();
    Some(texts)
}

const CANDIDATES: [&str; 9] = ["timed out", "timedout", "time out", "timeout", "error", "warn", "\\", "one", "two"];

#[test]
fn what_is_required_is_known_of_filters_expressions_and_values() {
    let known = [
        (r#"| json | x="1" |= "needle""#, vec!["needle"]),
        (r#"|= "ab" |~ "longer""#, vec!["longer"]),
        (r#"|= "one" or "two""#, vec!["one", "two"]),
        (r#"|~ "time(d)? ?out""#, vec!["time out", "timed out", "timedout", "timeout"]),
        (r#"|~ "[0-9]+ error [a-z]+""#, vec![" error "]),
        (r#"|~ ".*error""#, vec!["error"]),
        (r#"| json | level="error""#, vec!["\\", "error"]),
        (r#"| logfmt | level=~"error|warn""#, vec!["\\", "error", "warn"]),
        (r#"| trace_id="error" | json"#, vec!["\\", "error"]),
        (r#"| json | level="error" and status>=500"#, vec!["\\", "error"]),
    ];
    for (stages, wanted) in known {
        assert_eq!(texts(stages), Some(wanted.into_iter().map(str::to_owned).collect()), "{stages}");
    }
    let unknown = [
        r#"| line_format "x" |= "needle""#,
        r#"| unpack |= "needle""#,
        r#"!= "needle""#,
        r#"|~ "[a-z]+""#,
        r#"|~ "ab|[0-9]+""#,
        r#"|= "a" or ip("10.0.0.0/8")"#,
        r#"| json | level!="error""#,
        r#"| json | level="""#,
        r#"| json | level=~"error|""#,
        r#"| json | level="error" or status>=500"#,
        r#"| detected_level="error""#,
        r#"| json | __error__="JSONParserErr""#,
        r#"| label_format level=app | level="a""#,
        r#"| json x="level" | x="error""#,
    ];
    for stages in unknown {
        assert_eq!(texts(stages), None, "{stages}");
    }
}

#[test]
fn a_value_may_come_from_the_stream_or_from_metadata() {
    let pipeline = pipeline(r#"| json | level="error""#);
    let required = pipeline.required().first().unwrap();
    assert!(required.sees_metadata());
    let row = |labels: &[(&str, &str)]| ChosenRow {
        at: 0,
        labels: Arc::new(Labels::from_pairs(labels.iter().copied())),
        lines: 1,
        bytes: 1,
        min: Timestamp(0),
        max: Timestamp(0),
        struck: None,
    };
    assert!(required.applies(&row(&[("app", "a")])));
    assert!(!required.applies(&row(&[("level", "error")])));
}

proptest! {
    #[test]
    fn a_search_through_a_run_finds_the_lines_that_hold_a_text(lines in prop::collection::vec("[abc\n]{0,9}", 0..12), needles in prop::collection::vec("[abc]{1,4}", 1..8)) {
        let run: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let texts: Vec<Vec<u8>> = needles.iter().map(|needle| needle.as_bytes().to_vec()).collect();
        let finder = Finder::new(&texts).unwrap();
        let mut search = RunSearch::new(run.as_bytes(), &finder);
        let mut start = 0;
        for line in &lines {
            let found = search.stands_in(start, start + line.len());
            prop_assert_eq!(found, needles.iter().any(|needle| line.contains(needle)));
            start += line.len() + 1;
        }
    }

    #[test]
    fn a_line_that_stays_holds_what_is_required(
        stages in prop::sample::select(vec![
            r#"|~ "time(d)? ?out""#, r#"|~ "(?i)error""#, r#"|~ "a+b[0-9]error""#, r#"|~ "(error|warn) ?x""#, r#"|~ "^error""#, r#"|~ "(timed|time) (out|in)$""#,
            r#"|= "error" or "warn""#, r#"| json | level="error""#, r#"| json | level=~"error|warn" | x="1""#, r#"| logfmt | level="error""#,
            r#"| json | level="error x""#, r#"| logfmt | level="a\"b""#, r#"| json | level="é error""#, r#"| logfmt | json | a_b="1""#,
        ]),
        line in prop_oneof![
            r#"[a-z{}":=, \\]{0,30}"#,
            r#"(aab7|x)?(Error|error|warn|timed|time)( ?(out|in|x))?"#,
            r#"\{("x":(1|"1"),)?"level":"(error|warn|error x|\\u0065rror|é error)"(,"x":1)?\}?"#,
            r#"\{"a":\{"b":(1|"1")\}\}"#,
            r#"(x=1 )?level=("?error"?|warn|"a\\"b"|"error x")( x=1)?"#,
        ],
        broken in prop::option::of(0_usize..40),
    ) {
        let mut line = line.into_bytes();
        if let Some(at) = broken.filter(|at| *at < line.len()) {
            line[at] = 0xff;
        }
        let pipeline = pipeline(stages);
        let mut labels = LineLabels::new(Arc::new(Labels::from_pairs([("app", "a")])));
        if pipeline.run(Timestamp(0), &line, &mut labels).is_some() {
            for required in pipeline.required() {
                prop_assert!(required.finder().find(&line, 0).is_some(), "{} keeps {:?}", stages, String::from_utf8_lossy(&line));
            }
        }
    }
}
