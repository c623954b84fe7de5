//! `match`: lines that a LogQL selector chooses go through stages of their own, or are dropped and counted.
//!
//! Parts: [`Match`] (one step: test and jump), [`compile`] (the step and the stages behind it), [`mod@selector`] (the
//! text of a selector). A line that is not chosen passes untouched. Must not do: run the nested stages; they
//! follow in the same flat list, and the step jumps over them.

use crate::compile::Compiler;
use crate::draft::Draft;
use crate::fault::Place;
use crate::settings::{MatchSettings, place};
use crate::stage::{Flow, Op};
use crate::state::State;

use self::selector::Selector;

mod selector;

/// The step.
#[derive(Debug)]
pub(crate) struct Match {
    selector: Selector,
    chosen: Chosen,
}

/// What happens to a line that is chosen.
#[derive(Debug)]
enum Chosen {
    /// It goes on with the nested stages; others go on at this step.
    Nested { behind: usize },
    /// It is dropped for this of the program's reasons.
    Dropped { reason: usize },
}

/// Compiles the step and its stages.
pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &MatchSettings, depth: usize) {
    if let Some(name) = settings.pipeline_name.as_ref().filter(|name| name.value.is_empty()) {
        compiler.mistake(place(name), "match: pipeline_name is empty", "give it a name or remove it");
    }
    let selector = selector(compiler, at, settings);
    let stages = settings.stages.as_deref().unwrap_or_default();
    let action = settings.action.as_ref().map(|text| (text, text.value.as_str()));
    match action.filter(|(_, word)| !word.is_empty()) {
        None | Some((_, "keep")) if stages.is_empty() => {
            compiler.mistake(at, "match: no stages are given", "give the stages for lines that match, or write action: drop");
        }
        None | Some((_, "keep")) => {
            let step = selector.map(|selector| compiler.push(Op::Match(Match { selector, chosen: Chosen::Nested { behind: 0 } })));
            compiler.nested(at, stages, depth);
            let here = compiler.here();
            if let Some(step) = step
                && let Op::Match(Match { chosen, .. }) = compiler.op_mut(step)
            {
                *chosen = Chosen::Nested { behind: here };
            }
        }
        Some((_, "drop")) => {
            if !stages.is_empty() {
                compiler.mistake(at, "match: stages are given for lines that are dropped", "remove stages, or action: drop");
            }
            let reason = compiler.reason(settings.drop_counter_reason.as_ref(), "match_stage");
            if let Some(selector) = selector {
                compiler.push(Op::Match(Match { selector, chosen: Chosen::Dropped { reason } }));
            }
        }
        Some((text, other)) => compiler.mistake(place(text), format!("match: action {other:?} is unknown"), "write keep or drop"),
    }
}

fn selector(compiler: &mut Compiler<'_>, at: Place, settings: &MatchSettings) -> Option<Selector> {
    let Some(text) = settings.selector.as_ref().filter(|text| !text.value.is_empty()) else {
        compiler.mistake(at, "match: selector is missing", "choose lines by labels and text, for example '{app=\"web\"} |= \"error\"'");
        return None;
    };
    Selector::parse(&text.value)
        .map_err(|fault| {
            compiler.mistake(
                place(text),
                format!("match: selector {:?}: {fault}", text.value),
                "write matchers in braces, then line filters: '{app=\"web\", env=~\"p.*\"} |= \"error\" !~ \"debug\"'",
            )
        })
        .ok()
}

impl Match {
    pub(crate) fn apply(&self, state: &mut State, draft: &Draft<'_>) -> Flow {
        let is_chosen = self.selector.chooses(state.sets.labels(draft.labels), draft.text());
        match (&self.chosen, is_chosen) {
            (Chosen::Nested { .. }, true) | (Chosen::Dropped { .. }, false) => Flow::Next,
            (Chosen::Nested { behind }, false) => Flow::Jump(*behind),
            (Chosen::Dropped { reason }, true) => {
                state.tally.dropped[*reason] += 1;
                Flow::End
            }
        }
    }
}

#[cfg(test)]
mod tests;
