//! `drop`: lines for which every given condition holds are dropped and counted.
//!
//! Conditions: `longer_than`, `older_than`, and one of: the named values are all there; `expression` matches, or
//! `value` equals, the line or the named values joined by `separator` (those that are missing left out).
//! Must not do: drop a line whose named value is null when it should be compared.

use std::time::Duration;

use regex::bytes::Regex;

use crate::compile::Compiler;
use crate::draft::{Draft, SlotId};
use crate::fault::Place;
use crate::haystack::Haystack;
use crate::settings::{DropSettings, place};
use crate::stage::Flow;
use crate::state::State;
use crate::units;

/// The stage.
#[derive(Debug)]
pub(crate) struct Drop {
    longer_than: Option<u64>,
    older_than: Option<Duration>,
    sources: Option<Vec<SlotId>>,
    separator: String,
    test: Option<Test>,
    /// Which of the program's reasons.
    reason: usize,
}

#[derive(Debug)]
enum Test {
    Matches(Regex),
    Equals(String),
}

impl Drop {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &DropSettings) -> Option<Self> {
        if settings.source.is_none() && settings.expression.is_none() && settings.older_than.is_none() && settings.longer_than.is_none() {
            compiler.mistake(at, "drop: no condition is given", "give at least one of source, expression, older_than and longer_than");
            return None;
        }
        let longer_than = settings.longer_than.as_ref().map_or(Ok(None), |text| {
            units::byte_size(&text.value).map(Some).ok_or_else(|| {
                compiler.mistake(place(text), format!("drop: longer_than {:?} is not a size", text.value), "write bytes or a unit, for example 8KB")
            })
        });
        let older_than = settings.older_than.as_ref().map_or(Ok(None), |text| {
            units::duration(&text.value).map(Some).ok_or_else(|| {
                compiler.mistake(place(text), format!("drop: older_than {:?} is not a duration", text.value), "write it as Go does, for example 24h or 30m")
            })
        });
        let test = Self::test(compiler, settings);
        let sources = settings.source.as_ref().map(|list| list.value.0.iter().filter_map(|name| compiler.slot(name)).collect());
        let separator = settings.separator.as_ref().map_or_else(|| ";".to_owned(), |text| text.value.clone());
        let reason = compiler.reason(settings.drop_counter_reason.as_ref(), "drop_stage");
        Some(Self { longer_than: longer_than.ok()?, older_than: older_than.ok()?, sources, separator, test: test.ok()?, reason })
    }

    fn test(compiler: &mut Compiler<'_>, settings: &DropSettings) -> Result<Option<Test>, ()> {
        match (&settings.value, &settings.expression) {
            (Some(value), Some(_)) => {
                compiler.mistake(place(value), "drop: value and expression are both given", "keep one of them");
                Err(())
            }
            (Some(value), None) if settings.source.is_none() => {
                compiler.mistake(place(value), "drop: value is given without a source", "name the extracted value it is compared with as source");
                Err(())
            }
            (Some(value), None) => Ok(Some(Test::Equals(value.value.clone()))),
            (None, Some(expression)) => compiler.regex("drop", expression).map(|regex| Some(Test::Matches(regex))).ok_or(()),
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let keeps = self.longer_than.is_some_and(|bytes| draft.text().len() as u64 <= bytes)
            || self.older_than.is_some_and(|age| draft.time >= state.now.minus(age))
            || !self.holds(draft);
        if keeps {
            return Flow::Next;
        }
        state.tally.dropped[self.reason] += 1;
        Flow::End
    }

    /// Whether the condition on the line or on the named values holds.
    fn holds(&self, draft: &Draft<'_>) -> bool {
        let Some(test) = &self.test else {
            return self.sources.iter().flatten().all(|id| draft.parts.slots.is_present(*id));
        };
        let Some(sources) = &self.sources else { return test.holds(draft.text()) };
        let present = sources.iter().filter(|id| draft.parts.slots.is_present(**id));
        let texts: Option<Vec<&[u8]>> = present.map(|id| draft.parts.slots.text(*id)).collect();
        texts.is_some_and(|texts| match texts.as_slice() {
            [one] => test.holds(one),
            many => test.holds(&many.join(self.separator.as_bytes())),
        })
    }
}

impl Test {
    fn holds(&self, text: &[u8]) -> bool {
        match self {
            Self::Matches(regex) => regex.is_match(Haystack::new(text).as_bytes()),
            Self::Equals(value) => text == value.as_bytes(),
        }
    }
}

#[cfg(test)]
mod tests;
