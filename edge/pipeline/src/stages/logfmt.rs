//! `logfmt`: values of a logfmt line become extracted values.
//!
//! Of a key that comes twice the last value counts; what was read before a syntax error is kept, the error is
//! counted. Only keys that some stage reads are taken. Must not do: change keys; they are matched as written.

use proto_extract::logfmt;

use crate::compile::Compiler;
use crate::draft::{Draft, SlotId};
use crate::fault::Place;
use crate::settings::LogfmtSettings;
use crate::stage::Flow;
use crate::state::{Reader, State};

/// The stage.
#[derive(Debug)]
pub(crate) struct Logfmt {
    /// Keys of the line and where their values go.
    keys: Vec<(String, SlotId)>,
    source: Option<SlotId>,
}

impl Logfmt {
    /// `None` after a mistake, or when no stage reads any of the keys.
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &LogfmtSettings) -> Option<Self> {
        let source = compiler.source("logfmt", settings.source.as_ref());
        if settings.mapping.0.is_empty() {
            compiler.mistake(at, "logfmt: mapping is missing", "name the values to take, for example mapping: {level: , message: msg}");
        }
        let named = settings.mapping.0.iter().map(|(name, key)| {
            let key = key.as_ref().map(|key| key.value.as_str()).filter(|key| !key.is_empty());
            (key.unwrap_or(&name.value), name.value.as_str())
        });
        let keys: Vec<_> = named.filter_map(|(key, name)| Some((key.to_owned(), compiler.slot(name)?))).collect();
        let source = source.ok()?;
        (!keys.is_empty()).then_some(Self { keys, source })
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let read = draft.read(self.source, |text, slots| {
            logfmt::pairs(text, true, &mut |key, value| {
                if let Some((_, id)) = self.keys.iter().rfind(|(wanted, _)| wanted == key) {
                    slots.set(*id, value.as_bytes());
                }
            })
        });
        if matches!(read, Some(Err(_))) {
            state.tally.error(Reader::Logfmt);
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests;
