//! Manifests and segments as they are created and deleted.
//!
//! Part of the oracle: a manifest holds exactly the log at its watermarks but for what deletes took, names segments that stand, and none that was doomed. Must not
//! do: look into segments (queries do).

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::fields::Message;

#[derive(Debug, Default, Clone)]
pub(super) struct Manifests(BTreeMap<String, Tenant>);

#[derive(Debug, Default, Clone)]
struct Tenant {
    commits: BTreeMap<u64, Vec<u8>>,
    deleted_below: u64,
    watermarks: BTreeMap<String, u64>,
    named: BTreeSet<String>,
    doomed: BTreeSet<String>,
    /// Segments that stand.
    standing: BTreeSet<String>,
    /// Lines that deletes took, and deletes that are open.
    deleted_lines: u64,
    deletes: u64,
    /// Segments that were named once and are no more: they never come back.
    dropped: BTreeSet<String>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Manifests {
    fn of(&mut self, tenant: &str) -> &mut Tenant {
        self.0.entry(tenant.to_owned()).or_default()
    }

    pub(super) fn has(&self, tenant: &str, number: u64) -> bool {
        self.0.get(tenant).is_some_and(|of| of.commits.contains_key(&number))
    }

    pub(super) fn watermark(&self, tenant: &str, lane: &str) -> u64 {
        self.0.get(tenant).and_then(|of| of.watermarks.get(lane)).copied().unwrap_or(0)
    }

    pub(super) fn segment_written(&mut self, tenant: &str, id: &str) {
        self.of(tenant).standing.insert(id.to_owned());
    }

    pub(super) fn segment_deleted(&mut self, tenant: &str, id: &str) -> Check {
        let of = self.of(tenant);
        of.standing.remove(id);
        if of.named.contains(id) {
            return Err("the newest manifest names it".to_owned());
        }
        if !of.doomed.contains(id) {
            return Err("it was not doomed".to_owned());
        }
        Ok(())
    }

    pub(super) fn deleted(&mut self, tenant: &str, number: u64) -> Check {
        let of = self.of(tenant);
        if number < of.deleted_below {
            // Garbage.
            return Ok(());
        }
        let head = (of.commits.len() as u64).saturating_sub(1);
        if number != of.deleted_below || number + 2 > head {
            return Err(format!("it was deleted though {} stands and {head} is the newest", of.deleted_below));
        }
        of.deleted_below = number + 1;
        Ok(())
    }

    /// A manifest stands; `upto` = lines of this tenant in a lane up to a number.
    pub(super) fn created(&mut self, tenant: &str, number: u64, header: &Message<'_>, upto: impl Fn(&str, u64) -> u64) -> Check {
        let of = self.of(tenant);
        if number != of.commits.len() as u64 {
            return Err(format!("it stands though {} manifests were before it", of.commits.len()));
        }
        if number > 0 && of.commits.get(&(number - 1)).is_none_or(|before| before != header.bytes(4)) {
            return Err("it does not follow the manifest before it".to_owned());
        }
        of.commits.insert(number, header.bytes(3).to_vec());
        let (mut named, mut lines) = (BTreeSet::new(), 0);
        for segment in header.all(7) {
            let segment = Message::read(segment)?;
            lines += segment.number(4);
            if !named.insert(hex(segment.bytes(1))) {
                return Err("it names a segment twice".to_owned());
            }
        }
        let mut watermarks = BTreeMap::new();
        for watermark in header.all(8) {
            let watermark = Message::read(watermark)?;
            watermarks.insert(format!("{:016x}", watermark.number(1)), watermark.number(2));
        }
        let mut doomed = BTreeSet::new();
        for entry in header.all(9) {
            doomed.insert(hex(Message::read(entry)?.bytes(1)));
        }
        if let Some((lane, _)) = of.watermarks.iter().find(|(lane, before)| watermarks.get(*lane).is_none_or(|now| now < before)) {
            return Err(format!("its watermark of {lane} went back"));
        }
        if let Some(missing) = named.difference(&of.standing).next() {
            return Err(format!("it names {missing}, which does not stand"));
        }
        if let Some(back) = named.iter().find(|id| of.doomed.contains(*id) || doomed.contains(*id) || of.dropped.contains(*id)) {
            return Err(format!("it names {back}, which was doomed or given up before"));
        }
        let logged: u64 = watermarks.iter().map(|(lane, number)| upto(lane, *number)).sum();
        let deleted = header.number(12);
        if deleted < of.deleted_lines {
            return Err(format!("it says that deletes took {deleted} lines, after {}", of.deleted_lines));
        }
        // An erased tenant names nothing any more.
        if logged != lines + deleted && header.number(13) == 0 {
            return Err(format!("its segments hold {lines} lines and {deleted} were deleted, the lanes up to its watermarks hold {logged}"));
        }
        (of.deleted_lines, of.deletes) = (deleted, header.all(10).len() as u64);
        let dropped: Vec<String> = of.named.difference(&named).cloned().collect();
        of.dropped.extend(dropped);
        (of.named, of.watermarks, of.doomed) = (named, watermarks, doomed);
        Ok(())
    }

    pub(super) fn deletes(&self, tenant: &str) -> (u64, u64) {
        self.0.get(tenant).map_or((0, 0), |of| (of.deletes, of.deleted_lines))
    }

    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let sum = |count: fn(&Tenant) -> usize| self.0.values().map(count).sum::<usize>() as u64;
        (sum(|of| of.commits.len().saturating_sub(usize::try_from(of.deleted_below).unwrap_or(0))), sum(|of| of.named.len()), sum(|of| of.standing.len()))
    }
}
