//! Which neighbours of one day become one segment (lane rule 18), and the job that does it.
//!
//! Parts: [`class`], [`choose`] (pure); the job. Promises: only neighbours among the segments of their kind are merged, and
//! none with a segment of another kind between them that holds lines of the same time, nor some of which a delete is about and some not; each size has at most a few
//! segments a day. Must not do: mix days.

use std::collections::BTreeMap;
use std::sync::Arc;

use hub_segment::limits::STREAMS_MAX;
use hub_segment::{Footer, Kind, Merger, Step};
use hub_store::{Change, Manifest, SegmentRef};
use proto_model::TenantId;

use crate::absorb::{Setback, may_name};
use crate::limits::{MERGE_FAN, MERGE_INPUTS_MAX, MERGE_RAW_MAX, MERGE_STORED_MAX, TIER_BYTES};
use crate::{Upkeep, UpkeepFault};

/// The size of a segment, in powers of four; `None` when it is large enough to stay.
fn tier(segment: &SegmentRef) -> Option<u32> {
    let raw = segment.facts.raw_bytes;
    (raw < MERGE_RAW_MAX / 2).then(|| (raw / TIER_BYTES).checked_ilog(4).map_or(0, |power| power + 1))
}

/// Of which kind a segment is as to deletes: those of one kind may be merged, one of no kind waits to be rewritten (lane rule 17).
pub(crate) fn class(manifest: &Manifest, segment: &SegmentRef) -> Option<usize> {
    let waits = manifest.of_segment(segment).next().is_some();
    (!waits).then(|| manifest.deletes.iter().filter(|delete| delete.number <= segment.cleaned).count())
}

/// Neighbours that are to be merged next, in manifest order; `class` says which are alike, and which must wait.
pub(crate) fn choose(segments: &[SegmentRef], class: &dyn Fn(&SegmentRef) -> Option<usize>) -> Option<Vec<SegmentRef>> {
    let mut kinds: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
    for (at, segment) in segments.iter().enumerate() {
        kinds.entry(segment.facts.kind).or_default().push(at);
    }
    let tiers = 0..=(MERGE_RAW_MAX / TIER_BYTES).ilog(4);
    tiers.into_iter().find_map(|most| kinds.values().find_map(|places| of_kind(segments, class, places, most)))
}

/// The first run of neighbours of at most that size that is worth merging.
fn of_kind(segments: &[SegmentRef], class: &dyn Fn(&SegmentRef) -> Option<usize>, places: &[usize], most: u32) -> Option<Vec<SegmentRef>> {
    let mut run: Vec<usize> = Vec::new();
    for place in places {
        let of = class(&segments[*place]);
        let fits = of.is_some() && tier(&segments[*place]).is_some_and(|tier| tier <= most);
        if !fits || run.last().is_some_and(|last| class(&segments[*last]) != of || !are_neighbours(segments, *last, *place)) {
            if let Some(found) = worth(segments, &run) {
                return Some(found);
            }
            run.clear();
        }
        if fits {
            run.push(*place);
        }
    }
    worth(segments, &run)
}

/// Whether nothing between them holds lines of their times.
fn are_neighbours(segments: &[SegmentRef], first: usize, second: usize) -> bool {
    let (min, max) = (segments[first].facts.min.min(segments[second].facts.min), segments[first].facts.max.max(segments[second].facts.max));
    segments[first + 1..second].iter().all(|between| between.facts.max < min || between.facts.min > max)
}

/// The first of a run's neighbours that are worth merging.
fn worth(segments: &[SegmentRef], run: &[usize]) -> Option<Vec<SegmentRef>> {
    (0..run.len()).find_map(|from| {
        let taken = within_limits(segments, &run[from..]);
        is_worth(&taken.iter().map(|segment| segment.facts.raw_bytes).collect::<Vec<_>>()).then_some(taken)
    })
}

/// As many of the first as one merge may take.
fn within_limits(segments: &[SegmentRef], run: &[usize]) -> Vec<SegmentRef> {
    let (mut raw, mut stored, mut streams) = (0, 0, 0_usize);
    let fits = |segment: &&SegmentRef| {
        raw += segment.facts.raw_bytes;
        stored += segment.facts.bytes;
        streams += segment.facts.streams as usize;
        raw <= MERGE_RAW_MAX && stored <= MERGE_STORED_MAX && streams <= STREAMS_MAX
    };
    run.iter().map(|place| &segments[*place]).take(MERGE_INPUTS_MAX).take_while(fits).cloned().collect()
}

/// Whether what comes of merging these sizes is much larger than the largest of them: else its bytes would be
/// rewritten again and again for a few new ones. What becomes so large that it stays is worth it sooner.
fn is_worth(sizes: &[u64]) -> bool {
    let (sum, largest) = (sizes.iter().sum::<u64>(), sizes.iter().copied().max().unwrap_or(0));
    let stays = sizes.len() >= 2 && sum >= MERGE_RAW_MAX / 2 && sum >= 2 * largest;
    stays || (sizes.len() >= MERGE_FAN && sum >= (MERGE_FAN as u64 - 1) * largest)
}

impl Upkeep {
    /// Merges once if there is something to merge; whether there was.
    pub(crate) async fn merge_once(&self, tenant: &TenantId) -> Result<bool, Setback> {
        let Some(manifest) = self.keeper.newest(tenant).await.map_err(UpkeepFault::from)? else { return Ok(false) };
        let Some(inputs) = choose(&manifest.segments, &|segment| class(&manifest, segment)) else { return Ok(false) };
        let began = self.moment();
        let built = self.merged(&inputs).await?;
        let output = self.keeper.put_segment(tenant, &built).await.map_err(UpkeepFault::from)?;
        let base = self.keeper.newest(tenant).await.map_err(UpkeepFault::from)?.ok_or(Setback::Lost)?;
        if !may_name(&base, std::slice::from_ref(&output), self.age_since(began), self.settings.doom_age) || !still_neighbours(&base, &inputs) {
            return Err(Setback::Lost);
        }
        let ids = inputs.iter().map(|segment| segment.id).collect();
        self.keeper.commit(&base, &Change::Merge { inputs: ids, output }).await.map_err(Setback::of)?;
        self.metrics.merged_segments.inc_by(inputs.len() as u64);
        Ok(true)
    }

    pub(crate) async fn merged(&self, inputs: &[SegmentRef]) -> Result<hub_segment::Built, UpkeepFault> {
        let mut footers = Vec::with_capacity(inputs.len());
        for input in inputs {
            footers.push(self.keeper.footer(input).await?);
        }
        let kind = inputs.first().map_or(Kind::Odd, |first| first.facts.kind);
        let merger = Merger::new(footers.iter().map(Arc::clone).collect(), kind)?;
        self.drive(merger, inputs, &footers).await
    }

    /// Gives a merge its blocks until it is done.
    pub(crate) async fn drive(
        &self,
        mut merger: Merger<Arc<Footer>>,
        inputs: &[SegmentRef],
        footers: &[Arc<Footer>],
    ) -> Result<hub_segment::Built, UpkeepFault> {
        loop {
            let (back, step) = self
                .world
                .workers
                .run(move || {
                    let step = merger.step();
                    (merger, step)
                })
                .await;
            merger = back;
            match step? {
                Step::Done(built) => return Ok(built),
                Step::Need { input, block } => {
                    let (of, footer) = (inputs.get(input).ok_or(UpkeepFault::Merge)?, footers.get(input).ok_or(UpkeepFault::Merge)?);
                    let entry = footer.blocks.get(block).copied().ok_or(UpkeepFault::Merge)?;
                    merger.give(self.keeper.block(of, entry).await?)?;
                }
            }
        }
    }
}

/// Whether the inputs are all still named, in this order, with nothing of theirs between them.
fn still_neighbours(manifest: &Manifest, inputs: &[SegmentRef]) -> bool {
    let places: Vec<usize> = inputs.iter().filter_map(|input| manifest.segments.iter().position(|segment| segment.id == input.id)).collect();
    let pairs_hold = places.windows(2).all(|pair| {
        let between = manifest.segments.get(pair[0] + 1..pair[1]).unwrap_or_default();
        pair[0] < pair[1]
            && are_neighbours(&manifest.segments, pair[0], pair[1])
            && between.iter().all(|other| inputs.first().is_some_and(|first| other.facts.kind != first.facts.kind))
    });
    places.len() == inputs.len() && pairs_hold
}

#[cfg(test)]
mod tests;
