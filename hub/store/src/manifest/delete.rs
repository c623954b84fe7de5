//! Deletes in a manifest: taken in, carried out, called off (lane rule 17).
//!
//! Parts: [`Delete`]; [`Applied`] (what a job did for the deletes that it found); what [`Manifest`] says of them
//! ([`Manifest::of_segment`], [`Manifest::of_section`], [`Manifest::left`]) and how they change it. Pure. Promises: a delete is
//! about the segments that were named when it was taken in and about sections up to its heads, and about nothing
//! that came later; it leaves when all of them were gone through, or when it is called off. Must not do: read queries.

use std::collections::BTreeMap;

use proto_model::{LaneId, TimeRange, Timestamp};

use super::{Manifest, SegmentId, SegmentRef};
use crate::limits::{DELETE_QUERY_BYTES_MAX, DELETES_DONE_KEPT, DELETES_OPEN_MAX};

/// Lines that count as gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// The manifest that took it in; its name.
    pub number: u64,
    /// Which lines: a selector with filters. Not read here.
    pub query: String,
    /// Of which time.
    pub range: TimeRange,
    /// When it was taken in, by that hub's clock.
    pub accepted: Timestamp,
    /// Per lane the tenant's last section that it is about; of other lanes none is.
    pub heads: BTreeMap<LaneId, u64>,
    /// Segments and lanes that there were to go through then.
    pub pieces: u64,
    /// Lines taken out so far.
    pub lines: u64,
    /// When it was carried out.
    pub done: Option<Timestamp>,
}

/// What a job did for deletes while it made its segments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// All that were open, ascending: the manifest must still hold exactly these.
    pub open: Vec<u64>,
    /// Lines that it left out for each.
    pub lines: BTreeMap<u64, u64>,
}

impl Applied {
    fn newest(&self) -> u64 {
        self.open.last().copied().unwrap_or(0)
    }
}

impl Delete {
    /// Its name for people: `request_id`.
    #[must_use]
    pub fn request_id(&self) -> String {
        format!("{:08x}", self.number)
    }

    /// The number that a `request_id` stands for.
    #[must_use]
    pub fn parse_request_id(text: &str) -> Option<u64> {
        let hex = (8..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        u64::from_str_radix(text, 16).ok().filter(|_| hex)
    }

    /// Whether it is about a segment.
    #[must_use]
    pub fn is_about(&self, segment: &SegmentRef) -> bool {
        segment.cleaned < self.number && self.range.touches(segment.facts.min, segment.facts.max)
    }

    /// Rough bytes of memory it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.query.len() + self.heads.len() * 32
    }
}

impl Manifest {
    /// The names of the open deletes, ascending.
    #[must_use]
    pub fn open_deletes(&self) -> Vec<u64> {
        self.deletes.iter().map(|delete| delete.number).collect()
    }

    /// The deletes that are about a segment.
    pub fn of_segment<'m>(&'m self, segment: &'m SegmentRef) -> impl Iterator<Item = &'m Delete> {
        self.deletes.iter().filter(|delete| delete.is_about(segment))
    }

    /// The deletes that are about section `number` of a lane.
    pub fn of_section(&self, lane: LaneId, number: u64) -> impl Iterator<Item = &Delete> {
        self.deletes.iter().filter(move |delete| delete.heads.get(&lane).is_some_and(|head| number <= *head))
    }

    /// How many segments and lanes a delete has yet to go through.
    #[must_use]
    pub fn left(&self, delete: &Delete) -> u64 {
        let segments = self.segments.iter().filter(|segment| delete.is_about(segment)).count();
        let lanes = delete.heads.iter().filter(|(lane, head)| self.watermark(**lane) < **head).count();
        (segments + lanes) as u64
    }

    /// How much of a delete is carried out, in per cent; `None` while nothing is.
    #[must_use]
    pub fn progress(&self, delete: &Delete) -> Option<u64> {
        if delete.done.is_some() {
            return Some(100);
        }
        let through = delete.pieces.saturating_sub(self.left(delete));
        (through > 0 || delete.lines > 0).then(|| through * 100 / delete.pieces.max(1))
    }

    /// Takes a delete in under the number of this manifest; `last` is the tenant's last section of each lane above its watermark.
    pub(super) fn take_in(&mut self, query: &str, range: TimeRange, last: &BTreeMap<LaneId, u64>) -> Result<(), String> {
        let heads: BTreeMap<LaneId, u64> = last.iter().filter(|(lane, last)| **last > self.watermark(**lane)).map(|(lane, last)| (*lane, *last)).collect();
        let (number, accepted, query) = (self.number, self.written, query.to_owned());
        let mut delete = Delete { number, query, range, accepted, heads, pieces: 0, lines: 0, done: None };
        delete.pieces = self.left(&delete);
        self.deletes.push(delete);
        Ok(())
    }

    /// Calls a delete off; what it took out stays out.
    pub(super) fn call_off(&mut self, number: u64, force: bool) -> Result<(), String> {
        let at = self.deletes.iter().position(|delete| delete.number == number).ok_or_else(|| format!("delete {number} is not open"))?;
        if self.deletes[at].lines > 0 && !force {
            return Err(format!("delete {number} took lines out already"));
        }
        self.deletes.remove(at);
        Ok(())
    }

    /// Takes in what a job did for deletes, and gives the newest of them.
    pub(super) fn applied(&mut self, applied: &Applied) -> Result<u64, String> {
        if applied.open != self.open_deletes() {
            return Err(format!("deletes {:?} were applied, but {:?} are open", applied.open, self.open_deletes()));
        }
        for (number, lines) in &applied.lines {
            let delete = self.deletes.iter_mut().find(|delete| delete.number == *number).ok_or_else(|| format!("delete {number} is not open"))?;
            delete.lines = delete.lines.saturating_add(*lines);
            self.deleted_lines = self.deleted_lines.saturating_add(*lines);
        }
        Ok(applied.newest())
    }

    /// Segments were gone through: some take the place of others, or nothing does; some held no line that is meant.
    pub(super) fn strike(&mut self, replaced: &[(SegmentId, Option<SegmentRef>)], clean: &[SegmentId], applied: &Applied) -> Result<(), String> {
        let newest = self.applied(applied)?;
        for (input, output) in replaced {
            let at = self.segments.iter().position(|segment| segment.id == *input).ok_or_else(|| format!("segment {input} is rewritten and not named"))?;
            let before = self.segments[at].facts;
            match output {
                None => drop(self.segments.remove(at)),
                Some(output) if output.facts.lines >= before.lines || output.facts.lines == 0 || output.facts.kind != before.kind => {
                    return Err(format!("segment {input} of {} lines was rewritten into {}, or of another kind", before.lines, output.facts.lines));
                }
                Some(output) => self.segments[at] = SegmentRef { cleaned: newest, ..output.clone() },
            }
        }
        for id in clean {
            let segment = self.segments.iter_mut().find(|segment| segment.id == *id).ok_or_else(|| format!("segment {id} is not named"))?;
            segment.cleaned = newest;
        }
        Ok(())
    }

    /// Whether what is made of these may be one segment: every open delete is about all of their lines or about none.
    #[must_use]
    pub fn may_join(&self, inputs: &[&SegmentRef]) -> bool {
        let (Some(min), Some(max)) = (inputs.iter().map(|input| input.facts.min).min(), inputs.iter().map(|input| input.facts.max).max()) else { return true };
        let touching = self.deletes.iter().filter(|delete| delete.range.touches(min, max));
        touching.into_iter().all(|delete| {
            let cleaned = inputs.iter().filter(|input| input.cleaned >= delete.number).count();
            cleaned == 0 || cleaned == inputs.len()
        })
    }

    /// Lets go of what is carried out.
    pub(super) fn settle(&mut self) {
        let (open, over): (Vec<Delete>, Vec<Delete>) = std::mem::take(&mut self.deletes).into_iter().partition(|delete| self.left(delete) > 0);
        self.deletes = open;
        let written = self.written;
        self.done.extend(over.into_iter().map(|delete| Delete { heads: BTreeMap::new(), done: Some(written), ..delete }));
        let too_many = self.done.len().saturating_sub(DELETES_DONE_KEPT);
        self.done.drain(..too_many);
    }

    /// That its deletes do not contradict it.
    pub(super) fn check_deletes(&self) -> Result<(), String> {
        if self.deletes.len() > DELETES_OPEN_MAX || self.done.len() > DELETES_DONE_KEPT {
            return Err(format!("it has {} open deletes and {} that are done", self.deletes.len(), self.done.len()));
        }
        if !self.deletes.is_sorted_by(|a, b| a.number < b.number) || self.deletes.iter().any(|delete| delete.number > self.number || delete.done.is_some()) {
            return Err("its deletes are not in ascending order, or later than it, or done".to_owned());
        }
        let all = || self.deletes.iter().chain(&self.done);
        if all().any(|delete| delete.query.len() > DELETE_QUERY_BYTES_MAX || delete.range.start >= delete.range.end) {
            return Err("a delete is of no time, or its query is too long".to_owned());
        }
        if self.erased && !(self.segments.is_empty() && self.deletes.is_empty()) {
            return Err("it is of an erased tenant and names segments or deletes".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
