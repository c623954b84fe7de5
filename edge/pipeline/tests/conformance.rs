//! Pipelines against what Promtail's own stages made of the same lines (`tests/conformance/pipelines.jsonl`).
//!
//! Compared are records (labels, line, time, metadata), metrics, and whether a pipeline is refused. Where this edge differs on
//! purpose the case is listed with the reason. Must not do: leave a difference unnamed.

use std::collections::BTreeMap;
use std::sync::Arc;

use edge_pipeline::{Emitted, Program, Run, StageSettings};
use proto_model::{Labels, Timestamp};
use serde::Deserialize;

/// When lines are read: 2024-03-10T12:00:00Z.
const NOW: Timestamp = Timestamp(1_710_072_000_000_000_000);

#[derive(Deserialize)]
struct Case {
    stages: String,
    labels: BTreeMap<String, String>,
    lines: Vec<String>,
    #[serde(default)]
    records: Vec<Record>,
    #[serde(default)]
    metrics: Vec<String>,
    error: Option<String>,
}

#[derive(Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    line: String,
    labels: BTreeMap<String, String>,
    time: i64,
    #[serde(default)]
    metadata: Vec<(String, String)>,
}

impl From<Emitted<'_>> for Record {
    fn from(record: Emitted<'_>) -> Self {
        Self {
            line: String::from_utf8_lossy(record.line).into_owned(),
            labels: record.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            time: record.time.0,
            metadata: record.metadata.to_vec(),
        }
    }
}

/// Where this edge does something else on purpose: a part of the stages, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("- cri: {}", "a line of another form says so in its metadata"),
    ("- docker: {}", "the newline that ends a line is no part of it"),
    ("- docker: {}\n- labels: {s: stream, timestamp: }", "the same"),
    ("- json: {expressions: {a: , b: , c: ,", "keys of an object are sorted, with Promtail chance orders them"),
    ("{{ .num }} {{ .b }} {{ .o }}", "the same"),
    ("|= `err`", "a text in backquotes is taken, as in a query"),
    ("- json: {expressions: {m: }}\n- eventlogmessage: {source: m}\n- labels: {a: }", "a line whose source is null is kept and counted"),
    ("- json: {expressions: {v: 'a | b'}}\n- output: {source: v}", "keys of an object are sorted, with Promtail chance orders them"),
    ("- json: {expressions: {v: '*'}}\n- output: {source: v}", "the same"),
    ("- json: {expressions: {v: 'avg(a.e)'}}\n- output: {source: v}", "the mean of nothing is nothing"),
    ("- json: {expressions: {v: 'nofunc(a)'}}\n- output: {source: v}", "what never gives a value is refused when it is read"),
    ("- json: {expressions: {v: 'length()'}}\n- output: {source: v}", "the same"),
    ("- json: {expressions: {v: '&a'}}\n- output: {source: v}", "an expression is no value"),
    ("- pipeline: [", "documented, but not there in Promtail"),
    ("- labels: {}", "a stage that would do nothing is a slip"),
    ("- static_labels: {}", "the same"),
    ("- structured_metadata: {}", "the same"),
];

/// Whether a listed part means this pipeline: it is the whole of it, or says which it is by ending in the middle.
fn is_meant(part: &str, stages: &str) -> bool {
    let ends_in_the_middle = part.ends_with([',', '`', '[']) || part.starts_with("{{");
    part == stages || (ends_in_the_middle && stages.contains(part))
}

/// What this edge makes of a case: records in the order of their lines and metrics, or that the pipeline is refused.
fn made(case: &Case) -> Result<(Vec<Record>, Vec<String>), String> {
    let stages: Vec<StageSettings> = serde_saphyr::from_str(&case.stages).map_err(|fault| fault.to_string())?;
    let program = Program::compile(&stages).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let mut run = Run::new(Arc::clone(&program), Arc::new(Labels::from_pairs(case.labels.clone())));
    let mut records: Vec<Record> = Vec::new();
    for line in &case.lines {
        run.line(line.as_bytes(), NOW, &mut |record| records.push(record.into()));
    }
    run.finish(NOW, &mut |record| records.push(record.into()));
    let text = program.registry().text();
    let mut metrics: Vec<String> = text.lines().filter(|line| !line.starts_with('#') && !line.starts_with("logentry_")).map(str::to_owned).collect();
    metrics.sort();
    Ok((records, metrics))
}

/// Promtail's stages run beside each other: what they send is compared without its order.
fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    // an empty label is no label
    for record in &mut records {
        record.labels.retain(|_, value| !value.is_empty());
        record.metadata.sort();
    }
    records.sort();
    records
}

#[test]
fn promtail_made_the_same_of_it() {
    let recorded = include_str!("../../../tests/conformance/pipelines.jsonl");
    let (mut wrong, mut unused) = (Vec::new(), DIFFERENT.to_vec());
    let mut count = 0;
    for line in recorded.lines() {
        count += 1;
        let case: Case = serde_json::from_str(line).unwrap();
        let found = made(&case);
        let difference = match (&case.error, found) {
            (Some(_), Err(_)) => None,
            (None, Ok((records, metrics))) => {
                let (records, expected) = (sorted(records), sorted(case.records.clone()));
                (records != expected || metrics != case.metrics).then(|| {
                    let only = |some: &[Record], others: &[Record]| -> Vec<String> {
                        some.iter().filter(|record| !others.contains(record)).map(|record| format!("{record:?}")).collect()
                    };
                    format!("promtail: {:?} {:?}\n     our: {:?} {metrics:?}", only(&expected, &records), case.metrics, only(&records, &expected))
                })
            }
            (Some(error), Ok(_)) => Some(format!("promtail refuses it: {error}")),
            (None, Err(mistakes)) => Some(format!("only we refuse it: {mistakes}")),
        };
        let Some(difference) = difference else { continue };
        if let Some(at) = unused.iter().position(|(part, _)| is_meant(part, &case.stages)) {
            unused.remove(at);
        } else {
            wrong.push(format!("{}\n{:?}\n{difference}", case.stages, case.lines));
        }
    }
    assert!(count > 200, "{count} cases");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(unused.is_empty(), "no longer different: {unused:?}");
}
