//! `output`: an extracted value becomes the line; a missing or null one leaves the line as it is.
//!
//! Must not do: more than name the value; taking it is one move of the draft's.

use crate::compile::Compiler;
use crate::draft::SlotId;
use crate::fault::Place;
use crate::settings::OutputSettings;

pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &OutputSettings) -> Option<SlotId> {
    compiler.required_source(at, "output", settings.source.as_ref())
}

#[cfg(test)]
mod tests;
