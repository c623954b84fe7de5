//! The stages of a compiled program as one list, and what one of them does to a line.
//!
//! Nested stages are flattened: `match` jumps over the stages it guards. Parts: [`Op`], a variant per file in
//! `stages/`; [`Flow`]. Must not do: loop; the run does.

use crate::draft::{Draft, SlotId};
use crate::stages::cri::Cri;
use crate::stages::decolorize;
use crate::stages::docker::Docker;
use crate::stages::drop::Drop;
use crate::stages::eventlogmessage::EventLogMessage;
use crate::stages::geoip::GeoIp;
use crate::stages::json::Json;
use crate::stages::labelallow::LabelAllow;
use crate::stages::labeldrop::LabelDrop;
use crate::stages::labels::SetLabels;
use crate::stages::limit::Limit;
use crate::stages::logfmt::Logfmt;
use crate::stages::r#match::Match;
use crate::stages::metrics::Metrics;
use crate::stages::multiline::Multiline;
use crate::stages::pack::Pack;
use crate::stages::pipeline;
use crate::stages::regex::Regex;
use crate::stages::replace::Replace;
use crate::stages::sampling::Sampling;
use crate::stages::static_labels::StaticLabels;
use crate::stages::structured_metadata::StructuredMetadata;
use crate::stages::template::TemplateStage;
use crate::stages::tenant::Tenant;
use crate::stages::timestamp::ReadTime;
use crate::state::State;

/// One step of a program.
#[derive(Debug)]
pub(crate) enum Op {
    /// A (nested) pipeline begins: labels become extracted values.
    Begin,
    Cri(Cri),
    Docker(Docker),
    Json(Json),
    Logfmt(Logfmt),
    Regex(Regex),
    Replace(Replace),
    Labels(SetLabels),
    StaticLabels(StaticLabels),
    LabelDrop(LabelDrop),
    LabelAllow(LabelAllow),
    StructuredMetadata(StructuredMetadata),
    Timestamp(ReadTime),
    /// `output`: this value becomes the line.
    Output(SlotId),
    Match(Match),
    Drop(Drop),
    Multiline(Multiline),
    Tenant(Tenant),
    Decolorize,
    Template(TemplateStage),
    Metrics(Metrics),
    Limit(Limit),
    Sampling(Sampling),
    Pack(Pack),
    GeoIp(Box<GeoIp>),
    EventLogMessage(EventLogMessage),
}

/// Where a line goes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// To the next step.
    Next,
    /// To that step.
    Jump(usize),
    /// Nowhere: dropped, or held.
    End,
}

impl Op {
    /// The stage's name.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Begin => "pipeline",
            Self::Cri(_) => "cri",
            Self::Docker(_) => "docker",
            Self::Json(_) => "json",
            Self::Logfmt(_) => "logfmt",
            Self::Regex(_) => "regex",
            Self::Replace(_) => "replace",
            Self::Labels(_) => "labels",
            Self::StaticLabels(_) => "static_labels",
            Self::LabelDrop(_) => "labeldrop",
            Self::LabelAllow(_) => "labelallow",
            Self::StructuredMetadata(_) => "structured_metadata",
            Self::Timestamp(_) => "timestamp",
            Self::Output(_) => "output",
            Self::Match(_) => "match",
            Self::Drop(_) => "drop",
            Self::Multiline(_) => "multiline",
            Self::Tenant(_) => "tenant",
            Self::Decolorize => "decolorize",
            Self::Template(_) => "template",
            Self::Metrics(_) => "metrics",
            Self::Limit(_) => "limit",
            Self::Sampling(_) => "sampling",
            Self::Pack(_) => "pack",
            Self::GeoIp(_) => "geoip",
            Self::EventLogMessage(_) => "eventlogmessage",
        }
    }

    /// Does one step. Records that must go before this line are left in `state.ready`.
    pub(crate) fn apply(&self, names: &[String], state: &mut State, draft: &mut Draft<'_>) -> Flow {
        match self {
            Self::Begin => pipeline::begin(names, state, draft),
            Self::Cri(stage) => stage.apply(state, draft),
            Self::Docker(stage) => stage.apply(state, draft),
            Self::Json(stage) => stage.apply(state, draft),
            Self::Logfmt(stage) => stage.apply(state, draft),
            Self::Regex(stage) => stage.apply(state, draft),
            Self::Replace(stage) => stage.apply(names, state, draft),
            Self::Labels(stage) => stage.apply(state, draft),
            Self::StaticLabels(stage) => stage.apply(state, draft),
            Self::LabelDrop(stage) => stage.apply(state, draft),
            Self::LabelAllow(stage) => stage.apply(state, draft),
            Self::StructuredMetadata(stage) => stage.apply(state, draft),
            Self::Timestamp(stage) => stage.apply(state, draft),
            Self::Output(source) => {
                draft.take_line_from(*source);
                Flow::Next
            }
            Self::Match(stage) => stage.apply(state, draft),
            Self::Drop(stage) => stage.apply(state, draft),
            Self::Multiline(stage) => stage.apply(state, draft),
            Self::Tenant(stage) => stage.apply(state, draft),
            Self::Decolorize => {
                decolorize::apply(draft);
                Flow::Next
            }
            Self::Template(stage) => stage.apply(names, state, draft),
            Self::Metrics(stage) => stage.apply(state, draft),
            Self::Limit(stage) => stage.apply(state, draft),
            Self::Sampling(stage) => stage.apply(state),
            Self::Pack(stage) => stage.apply(state, draft),
            Self::GeoIp(stage) => stage.apply(state, draft),
            Self::EventLogMessage(stage) => stage.apply(names, state, draft),
        }
    }
}
