//! What each stage made of a line, for people: Promtail's `-inspect`.
//!
//! Parts: [`Inspector`] (who is told), [`Snapshot`] (a line between two stages), [`told`] (the difference as text). A
//! program without an inspector takes no snapshots. Limits: only values that some stage reads are kept, so only those are
//! shown. Must not do: change a line.

use std::fmt;
use std::sync::Arc;

use proto_model::{Labels, Timestamp};

use crate::draft::{Draft, SlotId};
use crate::state::State;

/// Who is told of every step, as text of several lines.
#[derive(Clone)]
pub struct Inspector(Arc<dyn Fn(&str) + Send + Sync>);

impl Inspector {
    /// Tells `who`.
    pub fn new(who: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(who))
    }

    /// Tells what `stage` made of a line; `after` is `None` when it went no further.
    pub(crate) fn tell(&self, stage: &str, before: &Snapshot, after: Option<&Snapshot>) {
        (self.0)(&told(stage, before, after));
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inspector")
    }
}

/// A line between two stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    labels: Arc<Labels>,
    time: Timestamp,
    line: Vec<u8>,
    metadata: Vec<(String, String)>,
    values: Vec<(String, Option<Vec<u8>>)>,
}

impl Snapshot {
    pub(crate) fn of(names: &[String], state: &State, draft: &Draft<'_>) -> Self {
        let named = |(SlotId(at), text): (SlotId, Option<&[u8]>)| Some((names.get(at)?.clone(), text.map(<[u8]>::to_vec)));
        Self {
            labels: Arc::clone(state.sets.labels(draft.labels)),
            time: draft.time,
            line: draft.text().to_vec(),
            metadata: draft.parts.metadata.clone(),
            values: draft.parts.slots.iter().filter_map(named).collect(),
        }
    }
}

/// The difference, a line each for what was and what is.
fn told(stage: &str, before: &Snapshot, after: Option<&Snapshot>) -> String {
    let mut out = format!("[inspect: {stage} stage]:");
    let Some(after) = after else {
        out.push_str(" dropped or held\n");
        return out;
    };
    if before == after {
        out.push_str(" none\n");
        return out;
    }
    out.push('\n');
    let mut differ = |what: &str, was: Option<String>, is: Option<String>| {
        if was != is {
            out.push_str(&format!("{what}:\n"));
            was.into_iter().for_each(|was| out.push_str(&format!("\t-: {was}\n")));
            is.into_iter().for_each(|is| out.push_str(&format!("\t+: {is}\n")));
        }
    };
    let value = |of: &Snapshot, name: &str| {
        let found = of.values.iter().find(|(known, _)| known == name);
        found.map(|(_, text)| text.as_deref().map_or_else(|| "null".to_owned(), shown))
    };
    let mut names: Vec<&String> = before.values.iter().chain(&after.values).map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    for name in names {
        differ(&format!("extracted[{name:?}]"), value(before, name), value(after, name));
    }
    differ("labels", Some(before.labels.to_string()), Some(after.labels.to_string()));
    differ("structured metadata", Some(format!("{:?}", before.metadata)), Some(format!("{:?}", after.metadata)));
    differ("timestamp", Some(shown_time(before.time)), Some(shown_time(after.time)));
    differ("line", Some(shown(&before.line)), Some(shown(&after.line)));
    out
}

/// A time as people write it.
fn shown_time(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.nanos())).map_or_else(|_| time.nanos().to_string(), |at| at.to_string())
}

/// Bytes of a line, so that they cannot steer a terminal.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests;
