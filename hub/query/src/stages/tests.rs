//! Pipelines over single lines.

use std::sync::Arc;

use hub_logql::Expr;
use proto_model::{Labels, Timestamp};

use super::Pipeline;
use crate::record::LineLabels;
use crate::wanted::Wanted;

fn pipeline(query: &str) -> Pipeline {
    let Expr::Log(log) = hub_logql::parse(query).unwrap() else { panic!("{query} is a metric query") };
    Pipeline::new(&log.stages, Wanted::All).unwrap()
}

/// The line and the parsed labels after the pipeline.
fn run(query: &str, line: &str) -> Option<(String, Vec<(String, String)>)> {
    let mut labels = LineLabels::new(Arc::new(Labels::from_pairs([("app", "a")])));
    let out = pipeline(query).run(Timestamp(0), line.as_bytes(), &mut labels)?;
    Some((String::from_utf8(out.into_owned()).unwrap(), labels.parsed_pairs()))
}

fn parsed(query: &str, line: &str) -> Vec<(String, String)> {
    run(query, line).unwrap().1
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_first_of_equal_names_counts_and_clashes_are_renamed() {
    assert_eq!(parsed(r#"{app="a"} | json"#, r#"{"x":1,"x":2,"app":"b"}"#), pairs(&[("app_extracted", "b"), ("x", "1")]));
    assert_eq!(parsed(r#"{app="a"} | logfmt"#, "x=1 x=2 app=b"), pairs(&[("app_extracted", "b"), ("x", "1")]));
}

#[test]
fn a_line_that_cannot_be_parsed_is_marked_and_kept() {
    let marked = parsed(r#"{app="a"} | json"#, "no json");
    assert_eq!(marked[0], ("__error__".to_owned(), "JSONParserErr".to_owned()));
    assert!(run(r#"{app="a"} | json | __error__="""#, "no json").is_none());
    assert!(run(r#"{app="a"} | json | x > 5"#, "no json").is_none());
    assert_eq!(parsed(r#"{app="a"} | logfmt | x > 5"#, "x=y")[0].1, "LabelFilterErr");
}

#[test]
fn label_filters_compare_numbers_durations_and_sizes() {
    let keeps = |filter: &str, line: &str| run(&format!(r#"{{app="a"}} | logfmt | {filter}"#), line).is_some();
    assert!(keeps("d > 1s", "d=1500ms") && !keeps("d > 2s", "d=1500ms"));
    assert!(keeps("b >= 1KB", "b=1kB") && !keeps("b > 1KB", "b=1kB"));
    assert!(keeps(r#"n = 5 and m = "x""#, "n=5 m=x") && !keeps(r#"n = 5 and m = "x""#, "n=5"));
    assert!(keeps(r#"n = 6 or m = "x""#, "n=5 m=x"));
    assert!(keeps(r#"a = ip("10.0.0.0/8")"#, "a=10.1.2.3") && !keeps(r#"a != ip("10.0.0.0/8")"#, "a=10.1.2.3"));
}

#[test]
fn formats_drops_and_keeps_change_line_and_labels() {
    let (line, labels) = run(r#"{app="a"} | logfmt | line_format "{{.x}}-{{.app}}" | drop x"#, "x=1 y=2").unwrap();
    assert_eq!((line.as_str(), labels), ("1-a", pairs(&[("y", "2")])));
    assert_eq!(parsed(r#"{app="a"} | logfmt | keep y"#, "x=1 y=2"), pairs(&[("y", "2")]));
    assert_eq!(parsed(r#"{app="a"} | logfmt | label_format z=x"#, "x=1"), pairs(&[("z", "1")]));
    assert_eq!(run(r#"{app="a"} | decolorize |= "red""#, "\u{1b}[31mr\u{1b}[0med").unwrap().0, "red");
}

#[test]
fn broken_stages_are_refused_with_their_text() {
    let refused = |query: &str| {
        let Expr::Log(log) = hub_logql::parse(query).unwrap() else { panic!("{query} is a metric query") };
        let fault = Pipeline::new(&log.stages, Wanted::All).unwrap_err();
        assert_eq!(fault.status(), 400);
        fault.to_string()
    };
    assert!(refused(r#"{app="a"} |= ip("10.0.0.x")"#).contains("ip: invalid pattern"));
    assert!(refused(r#"{app="a"} | json x="..""#).contains("cannot parse expression [..]"));
    assert!(refused(r#"{app="a"} | line_format "{{""#).contains("invalid line template"));
}
