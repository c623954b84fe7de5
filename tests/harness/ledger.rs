//! What was written, and by whom: one of the two truths that a simulation is held against (the other: [`crate::oracle`]).
//!
//! Parts: [`Ledger`]: lines as they were written, by source (`cluster.edge.file`, or `cluster.push` for what was pushed); which
//! tenants a cluster has ever belonged to. A line that nobody promised to keep (a push without a 204) may be answered or not.
//! Must not do: ask a hub or an edge.

use std::collections::{BTreeMap, BTreeSet};

/// All lines of all sources.
#[derive(Debug, Default)]
pub struct Ledger {
    lines: BTreeMap<String, Vec<Line>>,
    owners: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug)]
struct Line {
    text: String,
    is_owed: bool,
}

/// The cluster that a source belongs to.
#[must_use]
pub fn cluster_of(source: &str) -> &str {
    source.split_once('.').map_or(source, |(cluster, _)| cluster)
}

impl Ledger {
    /// From now on a cluster's lines may be found by `tenant`.
    pub fn own(&mut self, cluster: &str, tenant: &str) {
        self.owners.entry(cluster.to_owned()).or_default().insert(tenant.to_owned());
    }

    /// The line that is to be the next of `source`; noted as written, owed to be kept.
    pub fn write(&mut self, source: &str, padding: &str) -> String {
        self.note(source, padding, true)
    }

    /// As [`Self::write`], kept only if [`Self::owe`] says so later.
    pub fn offer(&mut self, source: &str, padding: &str) -> (usize, String) {
        (self.lines.get(source).map_or(0, Vec::len), self.note(source, padding, false))
    }

    fn note(&mut self, source: &str, padding: &str, is_owed: bool) -> String {
        let lines = self.lines.entry(source.to_owned()).or_default();
        let text = format!("src={source} n={:06} {padding}", lines.len());
        lines.push(Line { text: text.clone(), is_owed });
        text
    }

    /// The line `number` of `source` was promised to be kept.
    pub fn owe(&mut self, source: &str, number: usize) {
        if let Some(line) = self.lines.get_mut(source).and_then(|lines| lines.get_mut(number)) {
            line.is_owed = true;
        }
    }

    /// Lines of sources whose names end so need not be kept any more.
    pub fn disown(&mut self, ending: &str) {
        self.lines.iter_mut().filter(|(source, _)| source.ends_with(ending)).flat_map(|(_, lines)| lines).for_each(|line| line.is_owed = false);
    }

    /// Lines owed, of sources that `counts` names.
    pub fn owed(&self, counts: impl Fn(&str) -> bool) -> u64 {
        self.lines.iter().filter(|(source, _)| counts(source)).map(|(_, lines)| lines.iter().filter(|line| line.is_owed).count() as u64).sum()
    }

    /// Lines owed of each source.
    pub fn sources(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = usize>)> {
        self.lines.iter().map(|(source, lines)| (source.as_str(), lines.iter().enumerate().filter(|(_, line)| line.is_owed).map(|(at, _)| at)))
    }

    /// The line `number` of `source`, if `tenant` may find it.
    #[must_use]
    pub fn line(&self, tenant: &str, source: &str, number: usize) -> Option<&str> {
        let owners = self.owners.get(cluster_of(source))?;
        self.lines.get(source)?.get(number).filter(|_| owners.contains(tenant)).map(|line| line.text.as_str())
    }
}
