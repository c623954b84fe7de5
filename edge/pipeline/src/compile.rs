//! From settings to a program, with every mistake reported at once.
//!
//! First the names that any stage reads are gathered, so that each stage extracts only those; then the stages
//! are compiled in order into one flat list. Parts: [`compile`], [`Compiler`] (what a stage's own `compile` may ask for:
//! slots, numbers for its state, expressions, mistakes), [`reads`]. Limits: `STAGES_MAX`, `DEPTH_MAX`.
//! Must not do: stop at the first mistake.

use std::sync::Arc;

use proto_extract::dialect;
use proto_model::labels::is_label_name;
use regex::bytes::Regex;

use crate::draft::SlotId;
use crate::fault::{Mistake, Place};
use crate::label_sets::Edge;
use crate::limits::{DEPTH_MAX, STAGES_MAX};
use crate::program::{Holding, HoldingKind, Program, Surroundings};
use crate::registry::Registry;
use crate::settings::{Pairs, STAGES, StageKind, StageSettings, Text, place};
use crate::stage::Op;
use crate::stages;
use crate::stages::geoip::Database;

pub(crate) mod reads;

/// Compiles `stages` or reports all that is wrong with them, in the order of the file.
pub(crate) fn compile(stages: &[StageSettings], surroundings: &Surroundings) -> Result<Program, Vec<Mistake>> {
    let names = reads::names(stages);
    let mut compiler = Compiler::new(names.iter().map(String::as_str).collect(), surroundings);
    compiler.pipeline(stages, 0);
    let mut mistakes = std::mem::take(&mut compiler.mistakes);
    if mistakes.is_empty() {
        return Ok(compiler.program());
    }
    mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    Err(mistakes)
}

/// A program under way.
pub(crate) struct Compiler<'s> {
    surroundings: &'s Surroundings,
    /// Sorted.
    slots: Vec<&'s str>,
    ops: Vec<Op>,
    stages: usize,
    edges: u32,
    reasons: Vec<String>,
    expressions: Vec<Regex>,
    holding: Vec<Holding>,
    time_stages: usize,
    samplers: usize,
    waiting: Vec<usize>,
    mistakes: Vec<Mistake>,
}

impl<'s> Compiler<'s> {
    const fn new(slots: Vec<&'s str>, surroundings: &'s Surroundings) -> Self {
        Self {
            surroundings,
            slots,
            ops: Vec::new(),
            stages: 0,
            edges: 0,
            reasons: Vec::new(),
            expressions: Vec::new(),
            holding: Vec::new(),
            time_stages: 0,
            samplers: 0,
            waiting: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    /// Where the metrics of stages go.
    pub(crate) const fn registry(&self) -> &'s Arc<Registry> {
        &self.surroundings.registry
    }

    /// A database by its path, if the caller looked for it.
    pub(crate) fn database(&self, path: &str) -> Option<&'s Database> {
        self.surroundings.databases.get(path)
    }

    /// A number for a generator.
    pub(crate) const fn sampler(&mut self) -> usize {
        self.samplers += 1;
        self.samplers - 1
    }

    fn program(self) -> Program {
        Program {
            ops: self.ops,
            slots: self.slots.into_iter().map(str::to_owned).collect(),
            reasons: self.reasons,
            expressions: self.expressions,
            holding: self.holding,
            time_stages: self.time_stages,
            samplers: self.samplers,
            seed: self.surroundings.seed,
            waiting: self.waiting,
            registry: Arc::clone(&self.surroundings.registry),
            inspector: self.surroundings.inspector.clone(),
        }
    }

    /// Compiles a (nested) pipeline.
    pub(crate) fn pipeline(&mut self, stages: &[StageSettings], depth: usize) {
        self.begin();
        for entry in stages {
            self.stages += 1;
            if self.stages == STAGES_MAX {
                self.mistake(entry.at, format!("more than {STAGES_MAX} stages"), "split the pipeline over several scrape_configs");
            }
            if self.stages < STAGES_MAX {
                self.entry(entry, depth);
            }
        }
    }

    /// Labels become values, if any stage reads values; once is enough where two pipelines begin.
    fn begin(&mut self) {
        if !self.slots.is_empty() && !matches!(self.ops.last(), Some(Op::Begin)) {
            self.ops.push(Op::Begin);
        }
    }

    fn entry(&mut self, entry: &StageSettings, depth: usize) {
        if let StageKind::Pipeline(stages) = &entry.stage {
            return self.nested(entry.at, stages, depth);
        }
        if let StageKind::Match(settings) = &entry.stage {
            return stages::r#match::compile(self, entry.at, settings, depth);
        }
        if matches!(entry.stage, StageKind::Cri(_) | StageKind::Docker) {
            self.begin();
        }
        let op = self.stage(entry);
        if matches!(&op, Some(Op::Limit(limit)) if limit.waits()) {
            self.waiting.push(self.ops.len());
        }
        self.ops.extend(op);
    }

    /// Stages inside a stage, unless they nest too deep.
    pub(crate) fn nested(&mut self, at: Place, stages: &[StageSettings], depth: usize) {
        if depth >= DEPTH_MAX {
            self.mistake(at, format!("stages nest deeper than {DEPTH_MAX}"), "flatten the pipeline");
            return;
        }
        self.pipeline(stages, depth + 1);
    }

    /// A stage that is one step.
    fn stage(&mut self, entry: &StageSettings) -> Option<Op> {
        let at = entry.at;
        match &entry.stage {
            StageKind::Cri(settings) => stages::cri::Cri::compile(self, settings).map(Op::Cri),
            StageKind::Docker => Some(Op::Docker(stages::docker::Docker::compile(self))),
            StageKind::Json(settings) => stages::json::Json::compile(self, at, settings).map(Op::Json),
            StageKind::Logfmt(settings) => stages::logfmt::Logfmt::compile(self, at, settings).map(Op::Logfmt),
            StageKind::Regex(settings) => stages::regex::Regex::compile(self, at, settings).map(Op::Regex),
            StageKind::Replace(settings) => stages::replace::Replace::compile(self, at, settings).map(Op::Replace),
            StageKind::Labels(pairs) => stages::labels::SetLabels::compile(self, at, pairs).map(Op::Labels),
            StageKind::StaticLabels(pairs) => stages::static_labels::StaticLabels::compile(self, at, pairs).map(Op::StaticLabels),
            StageKind::LabelDrop(names) => stages::labeldrop::LabelDrop::compile(self, at, names).map(Op::LabelDrop),
            StageKind::LabelAllow(names) => stages::labelallow::LabelAllow::compile(self, at, names).map(Op::LabelAllow),
            StageKind::StructuredMetadata(pairs) => stages::structured_metadata::StructuredMetadata::compile(self, at, pairs).map(Op::StructuredMetadata),
            StageKind::Timestamp(settings) => stages::timestamp::ReadTime::compile(self, at, settings).map(Op::Timestamp),
            StageKind::Output(settings) => stages::output::compile(self, at, settings).map(Op::Output),
            StageKind::Drop(settings) => stages::drop::Drop::compile(self, at, settings).map(Op::Drop),
            StageKind::Multiline(settings) => stages::multiline::Multiline::compile(self, at, settings).map(Op::Multiline),
            StageKind::Tenant(settings) => stages::tenant::Tenant::compile(self, at, settings).map(Op::Tenant),
            StageKind::Decolorize => Some(Op::Decolorize),
            StageKind::Match(_) | StageKind::Pipeline(_) => None,
            StageKind::Template(settings) => stages::template::TemplateStage::compile(self, at, settings).map(Op::Template),
            StageKind::Metrics(settings) => stages::metrics::Metrics::compile(self, at, settings).map(Op::Metrics),
            StageKind::Limit(settings) => stages::limit::Limit::compile(self, at, settings).map(Op::Limit),
            StageKind::Sampling(settings) => stages::sampling::Sampling::compile(self, at, settings).map(Op::Sampling),
            StageKind::Pack(settings) => stages::pack::Pack::compile(self, settings).map(Op::Pack),
            StageKind::GeoIp(settings) => stages::geoip::GeoIp::compile(self, at, settings).map(|stage| Op::GeoIp(Box::new(stage))),
            StageKind::EventLogMessage(settings) => stages::eventlogmessage::EventLogMessage::compile(self, settings).map(Op::EventLogMessage),
            StageKind::Unknown(name) => self.refuse(at, format!("stage `{name}` does not exist"), format!("use one of: {STAGES}")),
            StageKind::NotOneKey(names) if names.is_empty() => self.refuse(at, "stage without a name", "write one as `- cri: {}`"),
            StageKind::NotOneKey(names) => {
                let fix = "begin each stage with its own `- `, and indent its fields below its name";
                self.refuse(at, format!("one stage has {} keys: {}", names.len(), names.join(", ")), fix)
            }
            StageKind::NotAMap(text) => self.refuse(at, format!("stage {text:?} is not a map"), format!("write it as `- {text}: {{}}`")),
        }
    }

    fn refuse(&mut self, at: Place, text: impl Into<String>, fix: impl Into<String>) -> Option<Op> {
        self.mistake(at, text, fix);
        None
    }

    /// Appends a step and says which one it is.
    pub(crate) fn push(&mut self, op: Op) -> usize {
        self.ops.push(op);
        self.ops.len() - 1
    }

    /// The step after the last one.
    pub(crate) fn here(&self) -> usize {
        self.ops.len()
    }

    pub(crate) fn op_mut(&mut self, at: usize) -> &mut Op {
        &mut self.ops[at]
    }

    /// The slot of a name, if any stage reads it.
    pub(crate) fn slot(&self, name: &str) -> Option<SlotId> {
        self.slots.binary_search(&name).ok().map(SlotId)
    }

    pub(crate) fn slot_name(&self, id: SlotId) -> String {
        self.slots[id.0].to_owned()
    }

    /// A number for one way to change labels.
    pub(crate) const fn edge(&mut self) -> Edge {
        self.edges += 1;
        Edge(self.edges)
    }

    /// The number of a drop reason.
    pub(crate) fn reason(&mut self, given: Option<&Text>, default: &str) -> usize {
        let name = given.map(|text| text.value.as_str()).filter(|name| !name.is_empty()).unwrap_or(default);
        self.reasons.iter().position(|known| known == name).unwrap_or_else(|| {
            self.reasons.push(name.to_owned());
            self.reasons.len() - 1
        })
    }

    /// A number for capture locations of `expression`.
    pub(crate) fn captures(&mut self, expression: &Regex) -> usize {
        self.expressions.push(expression.clone());
        self.expressions.len() - 1
    }

    /// Says that the next step holds pieces of lines.
    pub(crate) fn partial_stage(&mut self) -> usize {
        self.hold(HoldingKind::Partials)
    }

    /// Says that the next step holds blocks.
    pub(crate) fn block_stage(&mut self) -> usize {
        self.hold(HoldingKind::Blocks)
    }

    fn hold(&mut self, kind: HoldingKind) -> usize {
        let index = self.holding.iter().filter(|holding| holding.kind == kind).count();
        self.holding.push(Holding { op: self.ops.len(), kind, index });
        index
    }

    /// A number for good times.
    pub(crate) const fn time_stage(&mut self) -> usize {
        self.time_stages += 1;
        self.time_stages - 1
    }

    pub(crate) fn mistake(&mut self, at: Place, text: impl Into<String>, fix: impl Into<String>) {
        self.mistakes.push(Mistake::new(at, text, fix));
    }

    /// A required regular expression.
    pub(crate) fn expression(&mut self, at: Place, stage: &str, field: &str, text: Option<&Text>) -> Option<Regex> {
        let Some(text) = text.filter(|text| !text.value.is_empty()) else {
            self.mistake(at, format!("{stage}: {field} is missing"), format!("give a regular expression as {field}"));
            return None;
        };
        self.regex(stage, text)
    }

    /// A regular expression that is given.
    pub(crate) fn regex(&mut self, stage: &str, text: &Text) -> Option<Regex> {
        dialect::compile(&text.value)
            .map_err(|fault| {
                self.mistake(place(text), format!("{stage}: {fault}"), "correct the expression (RE2 syntax); single quotes keep YAML away from its backslashes")
            })
            .ok()
    }

    /// An optional source: the line when it is not given.
    pub(crate) fn source(&mut self, stage: &str, text: Option<&Text>) -> Result<Option<SlotId>, ()> {
        let Some(text) = text else { return Ok(None) };
        if text.value.is_empty() {
            self.mistake(place(text), format!("{stage}: source is empty"), "name an extracted value, or remove source to read the line");
            return Err(());
        }
        Ok(self.slot(&text.value))
    }

    /// A source that must be given.
    pub(crate) fn required_source(&mut self, at: Place, stage: &str, text: Option<&Text>) -> Option<SlotId> {
        let slot = text.filter(|text| !text.value.is_empty()).and_then(|text| self.slot(&text.value));
        if slot.is_none() {
            self.mistake(at, format!("{stage}: source is missing"), "name the extracted value to take");
        }
        slot
    }

    pub(crate) fn label_name(&mut self, stage: &str, name: &Text) {
        if !is_label_name(&name.value) {
            self.mistake(place(name), format!("{stage}: {:?} is no label name", name.value), "use letters, digits and _, and no digit at the beginning");
        }
    }

    /// Label names with the values they take; a name without a source takes the value of its own name.
    pub(crate) fn named_sources(&mut self, at: Place, stage: &str, pairs: &Pairs) -> Option<Vec<(String, SlotId)>> {
        if pairs.0.is_empty() {
            self.mistake(at, format!("{stage}: no name is given"), format!("give at least one, for example {stage}: {{level: }}"));
            return None;
        }
        for (name, _) in &pairs.0 {
            self.label_name(stage, name);
        }
        let named = pairs.0.iter().map(|(name, source)| (name.value.clone(), reads::source_of(name, source.as_ref())));
        named.map(|(name, source)| Some((name, self.slot(source)?))).collect()
    }

    /// A list that must not be empty.
    pub(crate) fn names(&mut self, at: Place, stage: &str, names: &[Text]) -> Option<Vec<String>> {
        if names.is_empty() {
            self.mistake(at, format!("{stage}: no label is listed"), format!("list at least one, for example {stage}: [filename]"));
            return None;
        }
        Some(names.iter().map(|name| name.value.clone()).collect())
    }
}

#[cfg(test)]
mod tests;
