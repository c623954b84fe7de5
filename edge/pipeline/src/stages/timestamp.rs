//! `timestamp`: an extracted value becomes the record's time.
//!
//! A value that is missing or does not fit is counted; then, with `fudge` (the default), the time is one nanosecond
//! after the last good or fudged time of the same labels, if there was one; with `skip` it stays as it is.
//! Parts: [`ReadTime`], [`GoodTimes`]. Limits: `GOOD_TIMES_MAX` label sets a source; the one unused for longest
//! is forgotten. Promises: time zones come from the program itself, never from the machine.
//! Must not do: refuse a time for being far off; that is the hub's to say.

use std::str;
use std::sync::Arc;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use proto_extract::gotime::Layout;
use proto_model::{Labels, Timestamp};

use crate::compile::Compiler;
use crate::draft::{Draft, SlotId};
use crate::fault::Place;
use crate::limits::GOOD_TIMES_MAX;
use crate::settings::{Text, TimestampSettings, place};
use crate::stage::Flow;
use crate::state::{Reader, State};

/// The stage.
#[derive(Debug)]
pub(crate) struct ReadTime {
    source: SlotId,
    /// Tried in turn.
    layouts: Vec<Layout>,
    location: Option<TimeZone>,
    /// Which of the run's [`GoodTimes`], when failures are fudged.
    good_times: Option<usize>,
}

impl ReadTime {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &TimestampSettings) -> Option<Self> {
        let source = compiler.required_source(at, "timestamp", settings.source.as_ref());
        let format = settings.format.as_ref().filter(|format| !format.value.is_empty());
        if format.is_none() {
            compiler.mistake(at, "timestamp: format is missing", "name a format (RFC3339Nano, Unix, ...) or write a Go layout such as 2006-01-02 15:04:05");
        }
        let wanted = format.into_iter().chain(&settings.fallback_formats).count();
        let layouts: Vec<_> = format.into_iter().chain(&settings.fallback_formats).filter_map(|text| layout(compiler, text)).collect();
        let location = settings.location.as_ref().map_or(Ok(None), |text| zone(compiler, text).map(Some).ok_or(()));
        let fudge = match settings.action_on_failure.as_ref().map(|text| (text, text.value.as_str())) {
            None | Some((_, "fudge")) => Some(true),
            Some((_, "skip")) => Some(false),
            Some((text, other)) => {
                compiler.mistake(place(text), format!("timestamp: action_on_failure {other:?} is unknown"), "write fudge or skip");
                None
            }
        };
        if layouts.is_empty() || layouts.len() < wanted {
            return None;
        }
        let good_times = if fudge? { Some(compiler.time_stage()) } else { None };
        Some(Self { source: source?, layouts, location: location.ok()?, good_times })
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let text = draft.parts.slots.text(self.source).and_then(|text| str::from_utf8(text).ok());
        let read = text.and_then(|text| self.layouts.iter().find_map(|layout| layout.read(text, self.location.as_ref(), state.now).ok()));
        if read.is_none() {
            state.tally.error(Reader::Timestamp);
        }
        let Some(index) = self.good_times else {
            draft.time = read.unwrap_or(draft.time);
            return Flow::Next;
        };
        let labels = state.sets.labels(draft.labels);
        let good_times = &mut state.good_times[index];
        let time = read.or_else(|| good_times.last(labels).map(|time| Timestamp(time.0.saturating_add(1))));
        if let Some(time) = time {
            good_times.set(labels, time);
            draft.time = time;
        }
        Flow::Next
    }
}

fn layout(compiler: &mut Compiler<'_>, text: &Text) -> Option<Layout> {
    Layout::parse(&text.value)
        .map_err(|fault| {
            compiler.mistake(
                place(text),
                format!("timestamp: {fault}"),
                "name a format (RFC3339Nano, Unix, ...) or write a Go layout such as 2006-01-02 15:04:05",
            )
        })
        .ok()
}

fn zone(compiler: &mut Compiler<'_>, text: &Text) -> Option<TimeZone> {
    if text.value.is_empty() || text.value == "UTC" {
        return Some(TimeZone::UTC);
    }
    let found = TimeZoneDatabase::bundled().get(&text.value).ok();
    if found.is_none() {
        compiler.mistake(place(text), format!("timestamp: location {:?} is no IANA time zone", text.value), "write one as America/New_York, or UTC");
    }
    found
}

/// The last time of each label set, the one used last at the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct GoodTimes {
    pub(crate) times: Vec<(Arc<Labels>, Timestamp)>,
}

impl GoodTimes {
    fn position(&self, labels: &Arc<Labels>) -> Option<usize> {
        let by_address = self.times.iter().rposition(|(known, _)| Arc::ptr_eq(known, labels));
        by_address.or_else(|| self.times.iter().rposition(|(known, _)| known == labels))
    }

    fn last(&self, labels: &Arc<Labels>) -> Option<Timestamp> {
        self.position(labels).map(|at| self.times[at].1)
    }

    fn set(&mut self, labels: &Arc<Labels>, time: Timestamp) {
        let at = match self.position(labels) {
            Some(at) => at,
            None if self.times.len() < GOOD_TIMES_MAX => {
                self.times.push((Arc::clone(labels), time));
                return;
            }
            None => 0,
        };
        self.times[at..].rotate_left(1);
        if let Some(newest) = self.times.last_mut() {
            *newest = (Arc::clone(labels), time);
        }
    }
}

#[cfg(test)]
mod tests;
