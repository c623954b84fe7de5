//! Which labels a metric query needs from its parsers: what is not needed is not parsed, and cannot fail.
//!
//! Parts: [`Wanted`] with [`Wanted::of_metric`]. Loki decides in the same way whether a broken line fails
//! `sum(count_over_time(.. | json [5m]))` (no: no label is needed), so the rules are its rules.
//! Must not do: parse.

use std::collections::BTreeSet;

use hub_logql::{Grouping, LabelFilter, LabelFormatValue, Stage, Unwrap};
use proto_extract::template::{Dialect, Template};

use crate::record::ERROR;

/// The labels that parsers have to extract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All there are.
    All,
    /// None: parsers need not run.
    Nothing,
    /// These, and a name ending in `_extracted` stands for the one without too.
    Only(BTreeSet<String>),
}

impl Wanted {
    /// Whether the label `name` is needed.
    pub(crate) fn takes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Only(names) => names.contains(name),
        }
    }

    /// Whether the query itself asks for `__error__`, so that errors are labels and no failure.
    pub(crate) fn asks_for_error(&self) -> bool {
        matches!(self, Self::Only(names) if names.contains(ERROR))
    }

    /// What `stages` and an unwrap need when series are made by `grouping` (`None`: by all labels).
    pub(crate) fn of_metric(stages: &[Stage], unwrap: Option<&Unwrap>, grouping: Option<&Grouping>) -> Self {
        let mut names = BTreeSet::new();
        if !stages.iter().all(|stage| stage_names(stage, &mut names)) {
            return Self::All;
        }
        if let Some(unwrap) = unwrap {
            names.insert(unwrap.label.clone());
            unwrap.filters.iter().for_each(|filter| filter_names(filter, &mut names));
        }
        match grouping {
            Some(grouping) if grouping.is_by_nothing() && names.is_empty() => return Self::Nothing,
            Some(grouping) if !grouping.without => names.extend(grouping.labels.iter().cloned()),
            Some(_) | None => return Self::All,
        }
        let plain: Vec<String> = names.iter().filter_map(|name| name.strip_suffix("_extracted")).map(str::to_owned).collect();
        names.extend(plain);
        Self::Only(names)
    }
}

/// False when a stage may ask for any label.
fn stage_names(stage: &Stage, names: &mut BTreeSet<String>) -> bool {
    match stage {
        Stage::LabelFilter(filter) => filter_names(filter, names),
        Stage::LineFormat(source) => return template_names(source, names),
        Stage::LabelFormat(formats) => {
            return formats.iter().all(|format| match &format.value {
                LabelFormatValue::Rename(from) => {
                    names.insert(from.clone());
                    true
                }
                LabelFormatValue::Template(source) => template_names(source, names),
            });
        }
        Stage::LineFilter(_) | Stage::Json { .. } | Stage::Logfmt { .. } | Stage::Pattern(_) | Stage::Regexp(_) => {}
        Stage::Unpack | Stage::Drop(_) | Stage::Keep(_) | Stage::Decolorize => {}
    }
    true
}

fn filter_names(filter: &LabelFilter, names: &mut BTreeSet<String>) {
    match filter {
        LabelFilter::Matcher(matcher) => drop(names.insert(matcher.name.clone())),
        LabelFilter::Number { name, .. } | LabelFilter::Duration { name, .. } | LabelFilter::Bytes { name, .. } | LabelFilter::Ip { name, .. } => {
            names.insert(name.clone());
        }
        LabelFilter::And(left, right) | LabelFilter::Or(left, right) => {
            filter_names(left, names);
            filter_names(right, names);
        }
    }
}

/// The fields a template asks for; false when it may ask for any. A broken one is refused where it is compiled.
fn template_names(source: &str, names: &mut BTreeSet<String>) -> bool {
    let Ok(template) = Template::parse("line", source, Dialect::LogQl) else { return true };
    let Some(fields) = template.fields() else { return false };
    names.extend(fields.into_iter().map(str::to_owned));
    true
}

#[cfg(test)]
mod tests;
