//! A pipeline over one line: line filters, parsers, label filters, formats, in the order of the query.
//!
//! Parts: [`Pipeline`] (compiled once, shared by all scans) with its [`Step`]s; [`line`] and [`filter`] hold
//! the two kinds of tests, [`required`] what lines that pass must hold. A step that cannot read a line marks it (`__error__`, `__error_details__`) and
//! keeps it. Promises: pure; a line without parsers is never copied. Must not do: know sections or windows.

pub(crate) mod filter;
pub(crate) mod format;
pub(crate) mod line;
pub(crate) mod parse;
pub(crate) mod required;

use std::borrow::Cow;

use hub_logql::{LabelFormatValue, LabelPick, LogqlFault, Stage};
use hub_segment::GramFilters;
use proto_extract::dialect;
use proto_extract::json::JsonPath;
use proto_extract::pattern::PatternParser;
use proto_extract::selector::CompiledMatcher;
use proto_model::Timestamp;
use regex::bytes::Regex;

use crate::fault::QueryFault;
use crate::plan::ChosenBatch;
use crate::record::LineLabels;
use crate::wanted::Wanted;
use filter::Filter;
use format::Format;
use line::LineStep;
use required::Required;

/// Terminal colour sequences, as Loki's `decolorize` takes them out.
const COLOURS: &str =
    "[\\x{001B}\\x{009B}][\\[\\]()#;?]*(?:(?:(?:[a-zA-Z0-9]*(?:;[a-zA-Z0-9]*)*)?\\x{0007})|(?:(?:[0-9]{1,4}(?:;[0-9]{0,4})*)?[0-9A-PRZcf-ntqry=><~]))";

/// A compiled pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    steps: Vec<Step>,
    wanted: Wanted,
    required: Vec<Required>,
}

#[derive(Debug, Clone)]
enum Step {
    Line(LineStep),
    Json,
    JsonPaths(Vec<(String, JsonPath)>),
    Logfmt { strict: bool, keep_empty: bool },
    LogfmtKeys { strict: bool, keep_empty: bool, keys: Vec<(String, String)> },
    Pattern(PatternParser),
    Regexp(Regex),
    Unpack,
    Filter(Filter),
    LineFormat(Format),
    LabelFormat(Vec<(String, FormatValue)>),
    Drop(Vec<Pick>),
    Keep(Vec<Pick>),
    Decolorize(Regex),
}

#[derive(Debug, Clone)]
enum FormatValue {
    Rename(String),
    Template(Format),
}

#[derive(Debug, Clone)]
enum Pick {
    Name(String),
    Matcher(CompiledMatcher),
}

impl Pipeline {
    /// Compiles `stages`; parsers extract what is `wanted`.
    ///
    /// # Errors
    /// A stage that cannot be built, in Loki's words, or that this hub does not know.
    pub(crate) fn new(stages: &[Stage], wanted: Wanted) -> Result<Self, QueryFault> {
        let mut steps = stages.iter().map(|stage| step(stage).map_err(|text| LogqlFault::stage(stage, text).into())).collect::<Result<Vec<_>, QueryFault>>()?;
        if wanted == Wanted::Nothing {
            // Nobody looks at what these would extract, nor at how they fail.
            steps.retain(|step| !step.only_extracts());
        }
        let steps = line_filters_first(steps);
        let required = required::of_steps(&steps);
        Ok(Self { steps, wanted, required })
    }

    /// Whether any step looks at the line, and not at its labels and metadata alone.
    pub(crate) fn reads_lines(&self) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Filter(_) | Step::Drop(_) | Step::Keep(_) => false,
            Step::LabelFormat(formats) => formats.iter().any(|(_, value)| matches!(value, FormatValue::Template(_))),
            Step::Line(_) | Step::LineFormat(_) | Step::Decolorize(_) | Step::Unpack => true,
            Step::Json | Step::JsonPaths(_) | Step::Logfmt { .. } | Step::LogfmtKeys { .. } | Step::Pattern(_) | Step::Regexp(_) => true,
        })
    }

    /// Whether it keeps every line as it is.
    pub(crate) const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What the parsers extract.
    pub(crate) const fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Texts of which every kept line holds at least one, for each step that asks for such; the most telling first.
    pub(crate) fn required(&self) -> &[Required] {
        &self.required
    }

    /// Whether it may keep a line of these rows of a block, by the filters of the segment.
    pub(crate) fn may_keep(&self, filters: &GramFilters, block: &ChosenBatch) -> bool {
        self.required.iter().all(|required| required.may_stand_in(filters, block.at, &block.rows))
    }

    /// Runs the line through; `None` when it does not stay.
    pub(crate) fn run<'a>(&self, time: Timestamp, line: &'a [u8], labels: &mut LineLabels) -> Option<Cow<'a, [u8]>> {
        let mut line = Cow::Borrowed(line);
        for step in &self.steps {
            line = self.step(step, time, line, labels)?;
        }
        Some(line)
    }

    fn step<'a>(&self, step: &Step, time: Timestamp, line: Cow<'a, [u8]>, labels: &mut LineLabels) -> Option<Cow<'a, [u8]>> {
        let stays = match step {
            Step::Line(test) => test.passes(&line),
            Step::Filter(filter) => filter.passes(labels),
            Step::Unpack => return Some(parse::unpack(line, labels, &self.wanted)),
            Step::LineFormat(format) => return Some(format.line(time, line, labels)),
            Step::Decolorize(colours) => return Some(decolorized(colours, line)),
            Step::Json | Step::JsonPaths(_) | Step::Logfmt { .. } | Step::LogfmtKeys { .. } | Step::Pattern(_) | Step::Regexp(_) => {
                self.extract(step, &line, labels);
                true
            }
            Step::LabelFormat(formats) => {
                format_labels(formats, time, &line, labels);
                true
            }
            Step::Drop(picks) => {
                picks.iter().for_each(|pick| drop_picked(pick, labels));
                true
            }
            Step::Keep(picks) => {
                labels.retain(|name, value| picks.iter().any(|pick| pick.takes(name, value)));
                true
            }
        };
        stays.then_some(line)
    }

    fn extract(&self, step: &Step, line: &[u8], labels: &mut LineLabels) {
        let wanted = &self.wanted;
        match step {
            Step::Json => parse::json(line, labels, wanted),
            Step::JsonPaths(paths) => parse::json_paths(line, paths, labels),
            Step::Logfmt { strict, keep_empty } => parse::logfmt(line, (*strict, *keep_empty), labels, wanted),
            Step::LogfmtKeys { strict, keep_empty, keys } => parse::logfmt_keys(line, (*strict, *keep_empty), keys, labels),
            Step::Pattern(pattern) => parse::pattern(line, pattern, labels, wanted),
            Step::Regexp(regex) => parse::regexp(line, regex, labels, wanted),
            Step::Line(_) | Step::Unpack | Step::Filter(_) | Step::LineFormat(_) | Step::LabelFormat(_) => {}
            Step::Drop(_) | Step::Keep(_) | Step::Decolorize(_) => {}
        }
    }
}

impl Step {
    /// Whether it gives labels and does nothing else.
    const fn only_extracts(&self) -> bool {
        matches!(self, Self::Json | Self::JsonPaths(_) | Self::Logfmt { .. } | Self::LogfmtKeys { .. } | Self::Pattern(_) | Self::Regexp(_))
    }
}

impl Pick {
    fn takes(&self, name: &str, value: &str) -> bool {
        match self {
            Self::Name(wanted) => wanted == name,
            Self::Matcher(matcher) => matcher.name == name && matcher.matches(Some(value)),
        }
    }
}

fn drop_picked(pick: &Pick, labels: &mut LineLabels) {
    match pick {
        Pick::Name(name) => labels.remove(name),
        Pick::Matcher(matcher) => {
            if matcher.matches(labels.value(&matcher.name)) {
                labels.remove(&matcher.name);
            }
        }
    }
}

fn format_labels(formats: &[(String, FormatValue)], time: Timestamp, line: &[u8], labels: &mut LineLabels) {
    // All templates of a stage see the labels as they were at the first of them, as in Loki.
    let mut seen: Option<LineLabels> = None;
    for (at, (name, value)) in formats.iter().enumerate() {
        match value {
            FormatValue::Rename(from) => {
                if let Some(value) = labels.value(from).map(str::to_owned) {
                    labels.set(name, &value);
                    labels.remove(from);
                }
            }
            FormatValue::Template(format) => {
                if seen.is_none() && at + 1 < formats.len() {
                    seen = Some(labels.clone());
                }
                format.label(name, time, line, seen.as_ref(), labels);
            }
        }
    }
}

fn decolorized<'a>(colours: &Regex, line: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
    match colours.replace_all(&dialect::seen(&line), &b""[..]) {
        Cow::Borrowed(_) => line,
        Cow::Owned(plain) => Cow::Owned(plain),
    }
}

fn step(stage: &Stage) -> Result<Step, String> {
    Ok(match stage {
        Stage::LineFilter(filter) => Step::Line(LineStep::new(filter)?),
        Stage::Json { expressions } if expressions.is_empty() => Step::Json,
        Stage::Json { expressions } => {
            let path = |path: &str| JsonPath::parse(path).map_err(|fault| format!("cannot parse expression [{path}]: {fault}"));
            Step::JsonPaths(expressions.iter().map(|e| Ok((e.name.clone(), path(&e.path)?))).collect::<Result<_, String>>()?)
        }
        Stage::Logfmt { strict, keep_empty, expressions } if expressions.is_empty() => Step::Logfmt { strict: *strict, keep_empty: *keep_empty },
        Stage::Logfmt { strict, keep_empty, expressions } => {
            let keys = expressions.iter().map(|e| Ok((e.name.clone(), hub_logql::path::logfmt_key(&e.path)?))).collect::<Result<_, String>>()?;
            Step::LogfmtKeys { strict: *strict, keep_empty: *keep_empty, keys }
        }
        Stage::Pattern(source) => Step::Pattern(PatternParser::parse(source).map_err(|fault| fault.to_string())?),
        Stage::Regexp(source) => Step::Regexp(dialect::compile(source).map_err(|fault| fault.to_string())?),
        Stage::Unpack => Step::Unpack,
        Stage::LabelFilter(filter) => Step::Filter(Filter::new(filter)?),
        Stage::LineFormat(source) => Step::LineFormat(Format::line_of(source)?),
        Stage::LabelFormat(formats) => {
            let value = |name: &str, value: &LabelFormatValue| {
                Ok::<_, String>(match value {
                    LabelFormatValue::Rename(from) => FormatValue::Rename(from.clone()),
                    LabelFormatValue::Template(source) => FormatValue::Template(Format::label_of(name, source)?),
                })
            };
            Step::LabelFormat(formats.iter().map(|f| Ok((f.name.clone(), value(&f.name, &f.value)?))).collect::<Result<_, String>>()?)
        }
        Stage::Drop(picks) => Step::Drop(self::picks(picks)?),
        Stage::Keep(picks) => Step::Keep(self::picks(picks)?),
        Stage::Decolorize => Step::Decolorize(Regex::new(COLOURS).map_err(|fault| fault.to_string())?),
    })
}

/// Moves line filters before parsers and label filters: they are cheaper and look at the same line there. Those
/// behind a step that changes the line stay behind it.
fn line_filters_first(steps: Vec<Step>) -> Vec<Step> {
    let mut ordered: Vec<Step> = Vec::with_capacity(steps.len());
    let mut line_filters_end = 0;
    for step in steps {
        match step {
            Step::Line(_) => {
                ordered.insert(line_filters_end, step);
                line_filters_end += 1;
            }
            Step::LineFormat(_) | Step::Unpack | Step::Decolorize(_) => {
                ordered.push(step);
                line_filters_end = ordered.len();
            }
            Step::Json | Step::JsonPaths(_) | Step::Logfmt { .. } | Step::LogfmtKeys { .. } | Step::Pattern(_) | Step::Regexp(_) => ordered.push(step),
            Step::Filter(_) | Step::LabelFormat(_) | Step::Drop(_) | Step::Keep(_) => ordered.push(step),
        }
    }
    ordered
}

fn picks(picks: &[LabelPick]) -> Result<Vec<Pick>, String> {
    let compiled = picks.iter().map(|pick| {
        Ok(match pick {
            LabelPick::Name(name) => Pick::Name(name.clone()),
            LabelPick::Matcher(m) => Pick::Matcher(CompiledMatcher::new(m.name.as_str(), m.op, m.value.as_str()).map_err(|fault| fault.to_string())?),
        })
    });
    compiled.collect()
}

#[cfg(test)]
mod tests;
