//! Which extracted values the stages read, wherever they stand.
//!
//! What no stage reads is never extracted. The order of stages is not looked at: a name that is read anywhere is
//! extracted everywhere. Must not do: judge; compiling does that.

use std::collections::BTreeSet;

use crate::limits::DEPTH_MAX;
use crate::settings::{Pairs, StageKind, StageSettings, Text};
use crate::stages;

/// Adds the names that `stages` read to `names`.
pub(crate) fn gather(stages: &[StageSettings], names: &mut BTreeSet<String>, depth: usize) {
    for entry in stages {
        stage(&entry.stage, names, depth);
    }
}

fn stage(stage: &StageKind, names: &mut BTreeSet<String>, depth: usize) {
    match stage {
        StageKind::Json(settings) => add(names, settings.source.as_ref()),
        StageKind::Logfmt(settings) => add(names, settings.source.as_ref()),
        StageKind::Regex(settings) => add(names, settings.source.as_ref()),
        StageKind::Replace(settings) => {
            add(names, settings.source.as_ref());
            names.extend(settings.replace.iter().flat_map(|template| stages::replace::names_in(&template.value)));
        }
        StageKind::Labels(pairs) | StageKind::StructuredMetadata(pairs) => add_pairs(names, pairs),
        StageKind::Timestamp(settings) => add(names, settings.source.as_ref()),
        StageKind::Output(settings) => add(names, settings.source.as_ref()),
        StageKind::Tenant(settings) => add(names, settings.source.as_ref()),
        StageKind::Drop(settings) => names.extend(settings.source.iter().flat_map(|list| list.value.0.iter().cloned())),
        StageKind::Match(settings) if depth < DEPTH_MAX => gather(settings.stages.as_deref().unwrap_or_default(), names, depth + 1),
        StageKind::Pipeline(stages) if depth < DEPTH_MAX => gather(stages, names, depth + 1),
        StageKind::Match(_)
        | StageKind::Pipeline(_)
        | StageKind::Cri(_)
        | StageKind::Docker
        | StageKind::StaticLabels(_)
        | StageKind::LabelDrop(_)
        | StageKind::LabelAllow(_)
        | StageKind::Multiline(_)
        | StageKind::Decolorize
        | StageKind::Unsupported(_)
        | StageKind::Unknown(_)
        | StageKind::NotOneKey(_)
        | StageKind::NotAMap(_) => {}
    }
}

fn add(names: &mut BTreeSet<String>, source: Option<&Text>) {
    names.extend(source.filter(|text| !text.value.is_empty()).map(|text| text.value.clone()));
}

fn add_pairs(names: &mut BTreeSet<String>, pairs: &Pairs) {
    names.extend(pairs.0.iter().map(|(name, source)| source_of(name, source.as_ref()).to_owned()));
}

/// The value a name takes: its source, or the name itself.
pub(crate) fn source_of<'s>(name: &'s Text, source: Option<&'s Text>) -> &'s str {
    source.map(|text| text.value.as_str()).filter(|text| !text.is_empty()).unwrap_or(&name.value)
}
