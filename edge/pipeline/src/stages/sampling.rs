//! `sampling`: a share of the lines passes, the others are dropped and counted.
//!
//! Which ones is decided by a generator of each source, seeded from the program's seed and the source's labels: the same
//! lines under the same seed give the same sample. Must not do: ask for chance itself.

use proto_model::Labels;

use crate::compile::Compiler;
use crate::fault::Place;
use crate::settings::SamplingSettings;
use crate::stage::Flow;
use crate::state::State;

/// The stage.
#[derive(Debug)]
pub(crate) struct Sampling {
    /// Numbers of 63 bits up to this one pass.
    bound: u64,
    reason: usize,
    /// Which of the run's generators.
    index: usize,
}

impl Sampling {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &SamplingSettings) -> Option<Self> {
        let rate = settings.rate.as_ref().map_or(0.0, |rate| rate.value);
        if !(0.0..=1.0).contains(&rate) {
            compiler.mistake(at, format!("sampling: rate {rate} is not between 0 and 1"), "write the share of lines to keep, for example 0.1");
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "as Promtail rounds")]
        let bound = (i64::MAX as f64 * rate) as u64;
        Some(Self { bound, reason: compiler.reason(settings.drop_counter_reason.as_ref(), "sampling_stage"), index: compiler.sampler() })
    }

    pub(crate) fn apply(&self, state: &mut State) -> Flow {
        let number = state.samplers[self.index].next() >> 1;
        // 0 is nobody's number, so that a rate of 0 passes nothing
        if self.bound >= number.max(1) {
            return Flow::Next;
        }
        state.tally.dropped[self.reason] += 1;
        Flow::End
    }
}

/// A generator of numbers that look like chance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sampler(u64);

impl Sampler {
    /// That of the stage `index` for a source with these labels.
    pub(crate) fn new(seed: u64, index: usize, labels: &Labels) -> Self {
        let mut state = Self(seed ^ (index as u64).rotate_left(32));
        for byte in labels.iter().flat_map(|(name, value)| name.bytes().chain([0]).chain(value.bytes()).chain([0])) {
            state.0 = (state.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        state
    }

    /// Steele's and Vigna's splitmix64.
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests;
