//! For the tests of this crate: a pipeline from its YAML, lines through it, records out.
//!
//! Must not do: anything a shipped part needs.

use std::sync::Arc;

use proto_model::{Labels, Timestamp};

use crate::counters::Counters;
use crate::fault::Mistake;
use crate::program::Program;
use crate::run::{Emitted, Run};
use crate::settings::StageSettings;

/// When the lines of a test are read: 2024-03-10T12:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp(1_710_072_000_000_000_000);

/// A record that came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Out {
    pub(crate) labels: String,
    pub(crate) time: Timestamp,
    pub(crate) line: String,
    pub(crate) metadata: Vec<(String, String)>,
}

impl From<Emitted<'_>> for Out {
    fn from(record: Emitted<'_>) -> Self {
        // every byte of a line counts in a comparison, text or not
        let line = record.line.iter().map(|b| if b.is_ascii() { char::from(*b).to_string() } else { format!("\\x{b:02x}") }).collect();
        let line = String::from_utf8(record.line.to_vec()).unwrap_or(line);
        Self { labels: record.labels.to_string(), time: record.time, line, metadata: record.metadata.to_vec() }
    }
}

/// The entries of a YAML list of stages.
pub(crate) fn stages(yaml: &str) -> Vec<StageSettings> {
    serde_saphyr::from_str(yaml).expect("the YAML of a test is read")
}

/// Its program.
pub(crate) fn program(yaml: &str) -> Arc<Program> {
    Program::compile(&stages(yaml)).expect("the pipeline of a test compiles")
}

/// Its mistakes.
pub(crate) fn mistakes(yaml: &str) -> Vec<Mistake> {
    Program::compile(&stages(yaml)).expect_err("the pipeline of a test has mistakes")
}

/// A source of that program.
pub(crate) fn run(yaml: &str, labels: &[(&str, &str)]) -> Run {
    Run::new(program(yaml), Arc::new(Labels::from_pairs(labels.iter().copied())))
}

/// Lines through a source, all at [`NOW`]; what is held stays held.
pub(crate) fn feed(run: &mut Run, lines: &[&str]) -> Vec<Out> {
    let mut out = Vec::new();
    for line in lines {
        run.line(line.as_bytes(), NOW, &mut |record| out.push(record.into()));
    }
    out
}

/// What one call of a run sends.
pub(crate) fn sent(call: impl FnOnce(&mut dyn FnMut(Emitted<'_>))) -> Vec<Out> {
    let mut out = Vec::new();
    call(&mut |record| out.push(record.into()));
    out
}

/// Lines through a new source with the label `job="test"` up to its end.
pub(crate) fn through(yaml: &str, lines: &[&str]) -> (Vec<Out>, Counters) {
    let mut run = run(yaml, &[("job", "test")]);
    let mut out = feed(&mut run, lines);
    out.extend(sent(|out| run.finish(NOW, out)));
    let counters = run.take_counters();
    (out, counters)
}

/// The lines alone.
pub(crate) fn lines(out: &[Out]) -> Vec<&str> {
    out.iter().map(|record| record.line.as_str()).collect()
}
