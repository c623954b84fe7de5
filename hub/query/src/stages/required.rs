//! Texts of which every line that a pipeline keeps holds at least one: by them blocks are passed over and lines found.
//!
//! Parts: [`Required`] (of one step), [`of_steps`] (of all), [`Finder`] and [`RunSearch`] (the search through the lines of
//! a stream, all at once), [`literal`] (texts of a regular expression). Promises: a line without any of the texts
//! does not stay, whatever the other steps do. Must not do: run steps.

pub(super) mod literal;

use aho_corasick::{AhoCorasick, packed};
use hub_segment::{GramFilters, Needle};
use memchr::memmem;

use super::filter::Filter;
use super::{Step, line::LineStep};
use crate::plan::ChosenRow;
use crate::scan::DETECTED_LEVEL;

/// What stands in a line whose values do not stand there as they are.
const ESCAPE: &[u8] = b"\\";

/// Of these texts a kept line holds at least one.
#[derive(Debug, Clone)]
pub(crate) struct Required {
    needles: Vec<Needle>,
    finder: Finder,
    /// Length of the shortest text but the escape: the longer, the fewer lines hold it by chance.
    weight: usize,
    /// The text is the value of this label, which may come from the stream or from metadata in place of the line.
    label: Option<String>,
}

impl Required {
    /// One of `texts`; `None` when one of them is empty, and so everywhere.
    fn new(mut texts: Vec<Vec<u8>>, label: Option<String>) -> Option<Self> {
        let weight = texts.iter().map(Vec::len).min().filter(|shortest| *shortest > 0)?;
        if label.is_some() {
            texts.push(ESCAPE.to_vec());
        }
        let needles = texts.iter().map(|text| Needle::new(text)).collect();
        Some(Self { needles, finder: Finder::new(&texts)?, weight, label })
    }

    /// Whether the texts can only stand in the line, for a stream with these labels: metadata apart, see [`Self::sees_metadata`].
    pub(crate) fn applies(&self, row: &ChosenRow) -> bool {
        self.label.as_ref().is_none_or(|label| row.labels.value(label).is_none())
    }

    /// Whether a line may stay for what stands in its metadata.
    pub(crate) const fn sees_metadata(&self) -> bool {
        self.label.is_some()
    }

    /// Whether the rows of a block may hold a line that stays.
    pub(crate) fn may_stand_in(&self, filters: &GramFilters, block: usize, rows: &[ChosenRow]) -> bool {
        !rows.iter().all(|row| self.applies(row)) || self.needles.iter().any(|needle| filters.may_hold(block, needle))
    }

    /// The search for its texts.
    pub(crate) const fn finder(&self) -> &Finder {
        &self.finder
    }
}

/// What the steps of a pipeline require, the most telling first.
pub(super) fn of_steps(steps: &[Step]) -> Vec<Required> {
    let mut found = Vec::new();
    for step in steps {
        match step {
            Step::Line(line) => found.extend(of_line(line)),
            // Their values stand in the line as they are, or an escape does.
            Step::Json | Step::Logfmt { .. } => {}
            Step::Filter(filter) => found.extend(of_filter(filter)),
            Step::JsonPaths(_) | Step::LogfmtKeys { .. } | Step::Pattern(_) | Step::Regexp(_) | Step::Unpack | Step::LineFormat(_) => break,
            Step::LabelFormat(_) | Step::Drop(_) | Step::Keep(_) | Step::Decolorize(_) => break,
        }
    }
    found.sort_by_key(|required| (required.sees_metadata(), std::cmp::Reverse(required.weight)));
    found
}

fn of_line(line: &LineStep) -> Option<Required> {
    Required::new(line.required()?, None)
}

fn of_filter(filter: &Filter) -> Option<Required> {
    match filter {
        // A level may be known without a word in the line, and errors are no part of it.
        Filter::Text(matcher) if !matcher.name.starts_with(DETECTED_LEVEL) && !matcher.name.starts_with("__") => {
            let texts = matcher.words()?.iter().map(|word| verbatim(word)).collect();
            Required::new(texts, Some(matcher.name.clone()))
        }
        Filter::And(left, right) => of_filter(left).into_iter().chain(of_filter(right)).max_by_key(|required| required.weight),
        Filter::Text(_) | Filter::Or(..) | Filter::Number { .. } | Filter::Duration { .. } | Filter::Bytes { .. } | Filter::Address { .. } => None,
    }
}

/// The longest part of a value that no repair of a broken line can have put there.
fn verbatim(value: &str) -> Vec<u8> {
    let parts = value.as_bytes().split(|byte| !byte.is_ascii_graphic());
    parts.max_by_key(|part| part.len()).unwrap_or_default().to_vec()
}

/// A search for any of some texts: parts that are each looked for at the speed of memory.
#[derive(Debug, Clone)]
pub(crate) struct Finder(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    One(Box<memmem::Finder<'static>>),
    /// Their first bytes at once, in vectors; the texts are of three bytes at least.
    Packed(Box<packed::Searcher>),
    Many(Box<AhoCorasick>),
}

/// Shorter texts make a packed search slow.
const PACKED_LENGTH_MIN: usize = 3;
/// So many texts are looked for one by one.
const ONE_BY_ONE_MAX: usize = 2;

impl Finder {
    /// For these texts; `None` when there is none, or too many to be searched for.
    pub(crate) fn new(texts: &[Vec<u8>]) -> Option<Self> {
        // A text over a line end could hide one behind it.
        if texts.is_empty() || (texts.len() > 1 && texts.iter().any(|text| text.contains(&b'\n'))) {
            return None;
        }
        let (long, short): (Vec<&Vec<u8>>, Vec<&Vec<u8>>) = texts.iter().partition(|text| text.len() >= PACKED_LENGTH_MIN);
        let mut parts = Part::of(&long)?;
        parts.extend(Part::of(&short)?);
        Some(Self(parts))
    }

    /// Where one of them stands in `text`, at or after `from`.
    #[cfg(test)]
    fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        self.0.iter().filter_map(|part| part.find(text, from)).min()
    }
}

impl Part {
    /// As few as there need to be.
    fn of(texts: &[&Vec<u8>]) -> Option<Vec<Self>> {
        if texts.len() <= ONE_BY_ONE_MAX {
            return Some(texts.iter().map(|text| Self::One(Box::new(memmem::Finder::new(text.as_slice()).into_owned()))).collect());
        }
        if texts.iter().all(|text| text.len() >= PACKED_LENGTH_MIN)
            && let Some(packed) = packed::Searcher::new(texts.iter().map(|text| text.as_slice()))
        {
            return Some(vec![Self::Packed(Box::new(packed))]);
        }
        AhoCorasick::new(texts.iter().map(|text| text.as_slice())).ok().map(|found| vec![Self::Many(Box::new(found))])
    }

    fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        let from = from.min(text.len());
        match self {
            Self::One(finder) => finder.find(&text[from..]).map(|at| (from + at, from + at + finder.needle().len())),
            Self::Packed(finder) => finder.find_in(text, (from..text.len()).into()).map(|found| (found.start(), found.end())),
            Self::Many(finder) => finder.find(aho_corasick::Input::new(text).range(from..)).map(|found| (found.start(), found.end())),
        }
    }
}

/// A search through a run of lines, asked line by line, ascending.
#[derive(Debug)]
pub(crate) struct RunSearch<'r> {
    run: &'r [u8],
    /// Each part, and where one of its texts stands next, at or after the last line asked for.
    parts: Vec<(&'r Part, Option<(usize, usize)>)>,
}

impl<'r> RunSearch<'r> {
    /// Looks through `run`.
    pub(crate) fn new(run: &'r [u8], finder: &'r Finder) -> Self {
        Self { run, parts: finder.0.iter().map(|part| (part, part.find(run, 0))).collect() }
    }

    /// Whether a text stands wholly inside `start..end` of the run.
    pub(crate) fn stands_in(&mut self, start: usize, end: usize) -> bool {
        let mut found = false;
        for (part, next) in &mut self.parts {
            if next.is_some_and(|(begin, _)| begin < start) {
                *next = part.find(self.run, start);
            }
            found |= next.is_some_and(|(_, behind)| behind <= end);
        }
        found
    }

    /// Whether no later line can hold one.
    pub(crate) fn is_over(&self) -> bool {
        self.parts.iter().all(|(_, next)| next.is_none())
    }
}

#[cfg(test)]
mod tests;
