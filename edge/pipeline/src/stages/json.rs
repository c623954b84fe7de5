//! `json`: places of a JSON object become extracted values.
//!
//! Numbers are taken without exponent, objects and arrays as JSON; a place that is null or not there becomes null, so
//! that an earlier value of the name is forgotten. A line that is no object is counted and passes, or is dropped
//! with `drop_malformed`. Only names that some stage reads are searched. Must not do: drop a line whose source is missing.

use proto_extract::jmes::{self, Jmes};

use crate::compile::Compiler;
use crate::draft::{Draft, SlotId};
use crate::fault::Place;
use crate::settings::{JsonSettings, place};
use crate::stage::Flow;
use crate::state::{Reader, State};

/// The reason under which malformed lines are dropped.
const MALFORMED: &str = "json_malformed";

/// The stage.
#[derive(Debug)]
pub(crate) struct Json {
    /// By name.
    expressions: Vec<(String, Jmes)>,
    /// Where the value of each expression goes.
    targets: Vec<Option<SlotId>>,
    source: Option<SlotId>,
    /// Which of the program's reasons, when malformed lines are dropped.
    malformed: Option<usize>,
}

impl Json {
    /// `None` after a mistake, or when no stage reads any of the names and nothing is dropped.
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &JsonSettings) -> Option<Self> {
        let source = compiler.source("json", settings.source.as_ref());
        if settings.expressions.0.is_empty() {
            compiler.mistake(at, "json: expressions is missing", "name the values to take, for example expressions: {level: , message: msg}");
            return None;
        }
        let malformed = settings.drop_malformed.then(|| compiler.reason(None, MALFORMED));
        let (mut expressions, mut targets, mut is_right) = (Vec::new(), Vec::new(), true);
        for (name, expression) in &settings.expressions.0 {
            let text = expression.as_ref().filter(|text| !text.value.is_empty()).unwrap_or(name);
            let target = compiler.slot(&name.value);
            match Jmes::parse(&text.value) {
                // one expression is enough to see whether a line is an object
                Ok(jmes) if target.is_some() || (malformed.is_some() && expressions.is_empty()) => {
                    expressions.push((name.value.clone(), jmes));
                    targets.push(target);
                }
                Ok(_) => {}
                Err(fault) => {
                    is_right = false;
                    compiler.mistake(place(text), format!("json: {fault}"), "name a place in the object, for example log.level or items[0].id");
                }
            }
        }
        let source = source.ok()?;
        (is_right && !expressions.is_empty()).then_some(Self { expressions, targets, source, malformed })
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let read = draft.read(self.source, |text, slots| {
            // values come in the order of the expressions, one for each
            let mut targets = self.targets.iter().copied();
            jmes::search_each(&self.expressions, text, &mut |_, value| match (targets.next().flatten(), value) {
                (Some(id), Some(value)) => slots.set(id, value.as_bytes()),
                (Some(id), None) => slots.set_null(id),
                (None, _) => {}
            })
        });
        if !matches!(read, Some(Err(_))) {
            return Flow::Next;
        }
        state.tally.error(Reader::Json);
        let Some(reason) = self.malformed else { return Flow::Next };
        state.tally.dropped[reason] += 1;
        Flow::End
    }
}

#[cfg(test)]
mod tests;
