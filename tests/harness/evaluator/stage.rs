//! A pipeline over one line.

use hub_logql::{LabelFormatValue, LabelPick, LineFilter, LineOp, LineTerm, LogExpr, Matcher, Stage};
use proto_model::MatchOp;
use regex::Regex;

use super::record::Record;
use super::{Line, Refusal, filter, parser, template};

/// Runs `line` through `log`; `None` when it is not selected or does not stay.
///
/// # Errors
/// [`Refusal::Unknown`].
pub fn run(log: &LogExpr, line: &Line) -> Result<Option<Record>, Refusal> {
    let selected = log.matchers.iter().all(|m| matches(m, line.stream.get(&m.name).map_or("", String::as_str)));
    if !selected {
        return Ok(None);
    }
    let mut record = Record::new(line);
    for stage in &log.stages {
        if !apply(stage, &mut record)? {
            return Ok(None);
        }
    }
    Ok(Some(record))
}

/// Whether a matcher holds; expressions are anchored.
#[must_use]
pub fn matches(matcher: &Matcher, value: &str) -> bool {
    let anchored = || Regex::new(&format!("^(?s:{})$", matcher.value)).expect("the generator writes expressions that both dialects have").is_match(value);
    match matcher.op {
        MatchOp::Equal => value == matcher.value,
        MatchOp::NotEqual => value != matcher.value,
        MatchOp::Regex => anchored(),
        MatchOp::NotRegex => !anchored(),
    }
}

fn apply(stage: &Stage, record: &mut Record) -> Result<bool, Refusal> {
    match stage {
        Stage::LineFilter(filter) => return Ok(line_passes(filter, &record.text)),
        Stage::LabelFilter(filter) => return Ok(filter::passes(filter, record)),
        Stage::Json { expressions } if expressions.is_empty() => parser::json(record),
        Stage::Json { expressions } => {
            for path in expressions {
                if !parser::json_path(record, &path.name, &path.path) {
                    break;
                }
            }
        }
        Stage::Logfmt { strict, keep_empty, expressions } => parser::logfmt(record, *strict, *keep_empty, expressions),
        Stage::Pattern(pattern) => parser::pattern(record, pattern),
        Stage::Regexp(source) => parser::regexp(record, source),
        Stage::Unpack => parser::unpack(record),
        Stage::LineFormat(source) => record.text = template::render(source, &record.labels, &record.text)?,
        Stage::LabelFormat(formats) => {
            // All templates of a stage see the labels as they were at the first of them.
            let mut seen = None;
            for format in formats {
                match &format.value {
                    LabelFormatValue::Rename(from) => {
                        if let Some(value) = record.value(from).map(str::to_owned) {
                            record.set(&format.name, &value);
                            record.remove(from);
                        }
                    }
                    LabelFormatValue::Template(source) => {
                        let seen = seen.get_or_insert_with(|| record.labels.clone());
                        let value = template::render(source, seen, &record.text)?;
                        record.set(&format.name, &value);
                    }
                }
            }
        }
        Stage::Drop(picks) => {
            for pick in picks {
                match pick {
                    LabelPick::Name(name) => record.remove(name),
                    LabelPick::Matcher(m) if record.value(&m.name).is_some_and(|value| matches(m, value)) => record.remove(&m.name),
                    LabelPick::Matcher(_) => {}
                }
            }
        }
        Stage::Keep(picks) => {
            let kept = |name: &str, value: &str| {
                picks.iter().any(|pick| match pick {
                    LabelPick::Name(wanted) => wanted == name,
                    LabelPick::Matcher(m) => m.name == name && matches(m, value),
                })
            };
            record.labels.retain(|name, value| kept(name, value));
        }
        Stage::Decolorize => record.text = decolorized(&record.text),
    }
    Ok(true)
}

/// Without `ESC [ numbers m`, which is all the generator writes.
fn decolorized(text: &str) -> String {
    Regex::new("\u{1b}\\[[0-9;]*m").expect("the expression is sound").replace_all(text, "").into_owned()
}

fn line_passes(filter: &LineFilter, text: &str) -> bool {
    let regex = |source: &str| Regex::new(source).expect("the generator writes expressions that both dialects have").is_match(text);
    filter.terms.iter().any(|term| match (filter.op, term) {
        (LineOp::Contains, LineTerm::Text(part)) => text.contains(part.as_str()),
        (LineOp::NotContains, LineTerm::Text(part)) => !text.contains(part.as_str()),
        (LineOp::Match, LineTerm::Text(source)) => regex(source),
        (LineOp::NotMatch, LineTerm::Text(source)) => !regex(source),
        (LineOp::Pattern, LineTerm::Text(pattern)) => pattern_holds(pattern, text),
        (LineOp::NotPattern, LineTerm::Text(pattern)) => !pattern_holds(pattern, text),
        (LineOp::NotContains | LineOp::NotMatch | LineOp::NotPattern, LineTerm::Ip(pattern)) => !filter::has_address(text, pattern),
        (LineOp::Contains | LineOp::Match | LineOp::Pattern, LineTerm::Ip(pattern)) => filter::has_address(text, pattern),
    })
}

/// `<_>` stands for something; the texts between stand in order, each at its first place after the one before.
/// What comes after the last text must be nothing, or something where a `<_>` ends the pattern.
fn pattern_holds(pattern: &str, text: &str) -> bool {
    let parts: Vec<&str> = pattern.split("<_>").collect();
    let mut rest = text;
    for (at, part) in parts.iter().enumerate() {
        if part.is_empty() {
            continue;
        }
        let Some(found) = rest.find(part) else { return false };
        // Between two texts, and before one that `<_>` begins, something has to stand.
        if at > 0 && found == 0 {
            return false;
        }
        rest = &rest[found + part.len()..];
    }
    if text.is_empty() {
        return pattern.is_empty();
    }
    if pattern.ends_with("<_>") { !rest.is_empty() } else { rest.is_empty() }
}
