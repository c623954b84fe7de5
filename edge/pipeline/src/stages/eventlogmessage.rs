//! `eventlogmessage`: the `key: value` lines of a Windows event's message become extracted values.
//!
//! A key that is no label name is made one, or left out with `drop_invalid_labels`; a key that is there already gets
//! `_extracted` behind it, unless `overwrite_existing`. Lines without a colon are left out. Unlike Promtail, which drops it,
//! a line whose source is null passes and is counted. Must not do: extract what no stage reads.

use std::str;

use proto_model::labels::is_label_name;

use crate::compile::Compiler;
use crate::draft::{Draft, SlotId};
use crate::settings::{EventLogMessageSettings, place};
use crate::stage::Flow;
use crate::state::{Reader, State};

/// The value that is read when none is named.
pub(crate) const SOURCE_DEFAULT: &str = "message";

/// The stage.
#[derive(Debug)]
pub(crate) struct EventLogMessage {
    source: SlotId,
    drop_invalid: bool,
    overwrite: bool,
}

impl EventLogMessage {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, settings: &EventLogMessageSettings) -> Option<Self> {
        if let Some(text) = settings.source.as_ref().filter(|text| !is_label_name(&text.value)) {
            compiler.mistake(place(text), format!("eventlogmessage: source {:?} is no label name", text.value), "name an extracted value, or remove source");
            return None;
        }
        let source = compiler.slot(settings.source.as_ref().map_or(SOURCE_DEFAULT, |text| &text.value))?;
        Some(Self { source, drop_invalid: settings.drop_invalid_labels, overwrite: settings.overwrite_existing })
    }

    pub(crate) fn apply(&self, names: &[String], state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let slots = &draft.parts.slots;
        if slots.is_present(self.source) && slots.text(self.source).is_none() {
            state.tally.error(Reader::EventLogMessage);
        }
        draft.read(Some(self.source), |text, slots| {
            let text = String::from_utf8_lossy(text);
            for line in text.split("\r\n") {
                let Some((key, value)) = line.split_once(':') else { continue };
                let key = match is_label_name(key) {
                    true => key.to_owned(),
                    false if self.drop_invalid => continue,
                    false => sanitised(key),
                };
                let find = |name: &str| names.binary_search_by(|known| known.as_str().cmp(name)).ok().map(SlotId);
                let is_there = find(&key).is_some_and(|id| slots.is_present(id));
                let target = if is_there && !self.overwrite { find(&format!("{key}_extracted")) } else { find(&key) };
                if let Some(id) = target {
                    slots.set(id, value.trim().as_bytes());
                }
            }
        });
        Flow::Next
    }
}

/// A label name from any text: whatever does not belong into one becomes `_`.
fn sanitised(key: &str) -> String {
    if key.is_empty() {
        return "_".to_owned();
    }
    let fits = |at: usize, c: char| c.is_ascii_alphabetic() || c == '_' || (c.is_ascii_digit() && at > 0);
    key.char_indices().map(|(at, c)| if fits(at, c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
