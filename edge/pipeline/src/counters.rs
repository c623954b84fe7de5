//! What a run counts: lines given up, cut or not understood. Nothing happens to a line silently.
//!
//! Must not do: name sources or streams; the caller knows whose counters these are.

use std::collections::BTreeMap;

/// Counts since they were last taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Lines dropped on the operator's word, by `drop_counter_reason`
    /// (`drop_stage`, `match_stage` and `json_malformed` where none is given).
    pub lines_dropped: BTreeMap<String, u64>,
    /// Lines a stage could not read, by stage; they pass on.
    pub parse_errors: BTreeMap<&'static str, u64>,
    /// Lines cut to the longest allowed length.
    pub lines_truncated: u64,
    /// Partial lines sent without their end, because it did not come in time or the source ended.
    pub partials_unfinished: u64,
    /// Lines held by an earlier configuration that no stage of this one would take, sent as they were.
    pub lines_rehomed: u64,
}

impl Counters {
    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what another run counted.
    pub fn add(&mut self, other: &Self) {
        for (reason, n) in &other.lines_dropped {
            *self.lines_dropped.entry(reason.clone()).or_default() += n;
        }
        for (stage, n) in &other.parse_errors {
            *self.parse_errors.entry(stage).or_default() += n;
        }
        self.lines_truncated += other.lines_truncated;
        self.partials_unfinished += other.partials_unfinished;
        self.lines_rehomed += other.lines_rehomed;
    }
}
