//! Whether two answers are the same.
//!
//! Lines: those of equal labels in the same order; across streams, lines of one time in any order; where a limit cuts
//! among lines of one time, any of them. Series: as a set by labels, in order where the query sorts. Numbers: to 1e-9
//! of the larger.

use std::collections::BTreeMap;

use hub_query::QueryFault;
use tests::evaluator::{Answer, Refusal, Set, Shown};

/// Of what kind a comparison was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Same {
        empty: bool,
    },
    /// Both refused for the same reason.
    Refused,
    /// The evaluator meets an error that the engine need not see (parser hints) or does not know the query.
    Apart,
}

/// Compares; says how they differ.
pub fn compare(query: &str, engine: Result<&Answer, &QueryFault>, oracle: Result<&Answer, &Refusal>) -> Result<Verdict, String> {
    match (engine, oracle) {
        (Ok(ours), Ok(right)) => same(query, ours, right).map(|()| Verdict::Same { empty: right.is_empty() }),
        (_, Err(Refusal::Unknown(_))) => Ok(Verdict::Apart),
        (Err(QueryFault::Pipeline { .. }), Err(Refusal::Pipeline(_))) | (Err(QueryFault::Matching(_)), Err(Refusal::Matching)) => Ok(Verdict::Refused),
        (Ok(_), Err(Refusal::Pipeline(_))) => Ok(Verdict::Apart),
        (Err(fault), right) => Err(format!("the engine refuses: {fault}; the evaluator: {right:?}").chars().take(600).collect()),
        (Ok(ours), Err(refusal)) => Err(format!("the evaluator refuses: {refusal:?}; the engine: {ours:?}").chars().take(600).collect()),
    }
}

fn number(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

fn same(query: &str, ours: &Answer, right: &Answer) -> Result<(), String> {
    match (ours, right) {
        (Answer::Scalar(a), Answer::Scalar(b)) if number(*a, *b) => Ok(()),
        (Answer::Lines(ours, _), Answer::Lines(right, cut)) => lines(query, ours, right, cut),
        (Answer::Series(ours), Answer::Series(right)) => series(query, ours, right),
        _ => Err(format!("{ours:?}, not {right:?}")),
    }
}

fn lines(query: &str, ours: &[Shown], right: &[Shown], cut: &[Shown]) -> Result<(), String> {
    let by = |lines: &[Shown]| {
        let mut streams: BTreeMap<Set, Vec<(i64, String)>> = BTreeMap::new();
        for line in lines {
            streams.entry(line.labels.clone()).or_default().push((line.time, line.text.clone()));
        }
        streams
    };
    if ours.len() != right.len() {
        return Err(format!("{} lines, not {}; {}", ours.len(), right.len(), odd(ours, right)));
    }
    // At the cut any lines of that time may be answered.
    let edge = right.last().map(|line| line.time).filter(|time| cut.iter().any(|line| line.time == *time));
    let inside = |lines: &[Shown]| lines.iter().filter(|line| Some(line.time) != edge).cloned().collect::<Vec<_>>();
    let (mut ours_by, mut right_by) = (by(&inside(ours)), by(&inside(right)));
    // Stages that take labels away make one stream of several, whose lines of one time have no order of their own.
    if ["drop", "keep", "label_format", "unpack", "json", "logfmt", "regexp", "pattern"].iter().any(|stage| query.contains(stage)) {
        let loose = |streams: &mut BTreeMap<Set, Vec<(i64, String)>>| streams.values_mut().for_each(|lines| lines.sort());
        if query.contains("drop") || query.contains("keep") || query.contains("label_format") {
            loose(&mut ours_by);
            loose(&mut right_by);
        }
    }
    if ours_by == right_by { Ok(()) } else { Err(odd(ours, right)) }
}

fn odd(ours: &[Shown], right: &[Shown]) -> String {
    let more = ours.iter().find(|line| !right.contains(line));
    let less = right.iter().find(|line| !ours.contains(line));
    format!("only the engine has {more:?}; only the evaluator has {less:?}").chars().take(1_500).collect()
}

type Series = [(Set, Vec<(i64, f64)>)];

fn series(query: &str, ours: &Series, right: &Series) -> Result<(), String> {
    let ordered = query.starts_with("sort");
    let arranged = |series: &Series| {
        let mut all = series.to_vec();
        if !ordered {
            all.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| format!("{:?}", a.1).cmp(&format!("{:?}", b.1))));
        }
        all
    };
    let (ours, right) = (arranged(ours), arranged(right));
    let points = |a: &[(i64, f64)], b: &[(i64, f64)]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && number(a.1, b.1));
    for (at, (a, b)) in ours.iter().zip(&right).enumerate() {
        if a.0 != b.0 || !points(&a.1, &b.1) {
            return Err(format!("series {at}: engine {a:?}, evaluator {b:?}").chars().take(1_500).collect());
        }
    }
    if ours.len() == right.len() {
        Ok(())
    } else {
        Err(format!("{} series, not {}: {:?} {:?}", ours.len(), right.len(), ours.last(), right.last()).chars().take(1_500).collect())
    }
}
