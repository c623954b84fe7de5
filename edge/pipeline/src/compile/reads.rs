//! Which extracted values the stages read, wherever they stand.
//!
//! What no stage reads is never extracted. The order of stages is not looked at: a name that is read anywhere is
//! extracted everywhere. Must not do: judge; compiling does that.

use std::collections::BTreeSet;

use crate::limits::DEPTH_MAX;
use crate::settings::{Pairs, StageKind, StageSettings, Text};
use crate::stages;

/// The names that `stages` read, sorted. Where a template may ask for any, those that they name at all.
pub(crate) fn names(stages: &[StageSettings]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    gather(stages, &mut names, 0);
    if names.remove(ANY) {
        made(stages, &mut names);
    }
    if names.remove(EVENT_LOG) {
        let first: Vec<String> = names.iter().filter_map(|name| name.strip_suffix("_extracted").map(str::to_owned)).collect();
        names.extend(first);
    }
    names
}

/// The databases that `geoip` stages name, each once, in the order of the file: whoever compiles the stages reads them and
/// gives their bytes in [`Surroundings`](crate::Surroundings).
#[must_use]
pub fn databases(stages: &[StageSettings]) -> Vec<String> {
    let mut found = Vec::new();
    visit(stages, 0, &mut |stage| {
        if let StageKind::GeoIp(settings) = stage
            && let Some(path) = settings.db.as_ref().filter(|path| !found.contains(&path.value))
        {
            found.push(path.value.clone());
        }
    });
    found
}

/// Stands for "any name" until all names are known; no stage can read it, since it is no text.
const ANY: &str = "\0any";

/// Stands for "there is an `eventlogmessage` stage", which writes a key that is there already under another name.
const EVENT_LOG: &str = "\0eventlogmessage";

fn visit(stages: &[StageSettings], depth: usize, act: &mut dyn FnMut(&StageKind)) {
    for entry in stages {
        act(&entry.stage);
        let nested: &[StageSettings] = if let StageKind::Match(settings) = &entry.stage {
            settings.stages.as_deref().unwrap_or_default()
        } else if let StageKind::Pipeline(stages) = &entry.stage {
            stages
        } else {
            &[]
        };
        if depth < DEPTH_MAX {
            visit(nested, depth + 1, act);
        }
    }
}

/// Adds the names of values that `stages` make.
#[expect(clippy::wildcard_enum_match_arm, reason = "most stages make no values")]
fn made(stages: &[StageSettings], names: &mut BTreeSet<String>) {
    visit(stages, 0, &mut |stage| match stage {
        StageKind::Json(settings) => names.extend(settings.expressions.0.iter().map(|(name, _)| name.value.clone())),
        StageKind::Logfmt(settings) => names.extend(settings.mapping.0.iter().map(|(name, _)| name.value.clone())),
        StageKind::Regex(settings) => names.extend(groups(settings.expression.as_ref())),
        StageKind::Replace(settings) => names.extend(groups(settings.expression.as_ref())),
        StageKind::Cri(_) => names.extend(["time", "stream", "flags", "content"].map(str::to_owned)),
        StageKind::Docker => names.extend(["output", "stream", "timestamp"].map(str::to_owned)),
        _ => {}
    });
}

fn groups(expression: Option<&Text>) -> Vec<String> {
    let compiled = expression.and_then(|text| proto_extract::dialect::compile(&text.value).ok());
    compiled.iter().flat_map(regex::bytes::Regex::capture_names).flatten().map(str::to_owned).collect()
}

fn template(names: &mut BTreeSet<String>, text: Option<&Text>) {
    match text.map_or_else(|| Some(Vec::new()), |text| stages::template::names_in(&text.value)) {
        Some(asked) => names.extend(asked),
        None => drop(names.insert(ANY.to_owned())),
    }
}

/// Adds the names that `stages` read to `names`.
fn gather(stages: &[StageSettings], names: &mut BTreeSet<String>, depth: usize) {
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
            template(names, settings.replace.as_ref());
        }
        StageKind::Labels(pairs) | StageKind::StructuredMetadata(pairs) => add_pairs(names, pairs),
        StageKind::Timestamp(settings) => add(names, settings.source.as_ref()),
        StageKind::Output(settings) => add(names, settings.source.as_ref()),
        StageKind::Tenant(settings) => add(names, settings.source.as_ref()),
        StageKind::Drop(settings) => names.extend(settings.source.iter().flat_map(|list| list.value.0.iter().cloned())),
        StageKind::Template(settings) => {
            add(names, settings.source.as_ref());
            template(names, settings.template.as_ref());
        }
        StageKind::Metrics(metrics) => {
            names.extend(metrics.0.iter().map(|(name, metric)| stages::metrics::source_of(name, metric).to_owned()).filter(|name| !name.is_empty()))
        }
        StageKind::Pack(settings) => names.extend(settings.labels.iter().map(|name| name.value.clone())),
        StageKind::GeoIp(settings) => add(names, settings.source.as_ref()),
        StageKind::EventLogMessage(settings) => event_log(names, settings.source.as_ref()),
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
        | StageKind::Limit(_)
        | StageKind::Sampling(_)
        | StageKind::Unknown(_)
        | StageKind::NotOneKey(_)
        | StageKind::NotAMap(_) => {}
    }
}

fn event_log(names: &mut BTreeSet<String>, source: Option<&Text>) {
    names.insert(source.map_or_else(|| stages::eventlogmessage::SOURCE_DEFAULT.to_owned(), |text| text.value.clone()));
    names.insert(EVENT_LOG.to_owned());
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
