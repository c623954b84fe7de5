//! Deletes carried out: segments that they are about, without the lines that they mean (lane rule 17).
//!
//! Parts: [`strikes`] (what absorption must leave out); [`Meant`] and [`look`] (pure: what a footer says); the job. A segment that
//! holds no meant stream is told so without being read, one that holds nothing else goes without being read, any other is written anew in its
//! place, block by block. Promises: what is committed was judged by exactly the deletes that stand open then; a line that came later is
//! in no segment that a delete is about. Limits: as one merge. Must not do: decide when a delete is over (manifests do).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hub_query::{Deletion, Fate, LineJudge};
use hub_segment::{Built, Footer, Merger, Sieve};
use hub_store::{Applied, Change, Manifest, SegmentId, SegmentRef};
use proto_model::{Labels, LaneId, TenantId, Timestamp};

use crate::absorb::{Setback, may_name};
use crate::build::Strike;
use crate::limits::REWRITE_LOOKS_MAX;
use crate::{Upkeep, UpkeepFault};

/// Lines by the delete that takes them.
type Lines = BTreeMap<u64, u64>;

/// What a footer says of the lines that deletes mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meant {
    /// None is in it.
    Nothing,
    /// It holds nothing else.
    All(Lines),
    /// Only its lines tell.
    Some,
}

/// Deletes of a manifest, compiled, by number.
type Compiled = BTreeMap<u64, Arc<Deletion>>;

fn compile(manifest: &Manifest) -> Result<Compiled, UpkeepFault> {
    let compiled = manifest.deletes.iter().map(|delete| {
        let unknown = |fault: hub_query::QueryFault| UpkeepFault::Delete { id: delete.request_id(), reason: fault.to_string() };
        Ok((delete.number, Arc::new(Deletion::new(delete).map_err(unknown)?)))
    });
    compiled.collect()
}

/// What absorption of sections of a lane must leave out.
pub(crate) fn strikes(manifest: &Manifest, lane: LaneId) -> Result<Vec<Strike>, UpkeepFault> {
    if manifest.deletes.is_empty() {
        return Ok(Vec::new());
    }
    let compiled = compile(manifest)?;
    let of = |number: u64, head: u64| compiled.get(&number).map(|deletion| Strike { head, deletion: Arc::clone(deletion) });
    Ok(manifest.deletes.iter().filter_map(|delete| of(delete.number, *delete.heads.get(&lane)?)).collect())
}

/// What the streams of a segment say of these deletes.
pub(crate) fn look(footer: &Footer, deletions: &[Arc<Deletion>]) -> Meant {
    let (mut gone, mut kept) = (Lines::new(), false);
    for stream in &footer.streams {
        match Fate::of(deletions, &stream.labels, (stream.min, stream.max)) {
            Fate::Kept => kept = true,
            Fate::Gone(number) => *gone.entry(number).or_default() += stream.lines,
            Fate::Judged(_) => return Meant::Some,
        }
    }
    match (gone.is_empty(), kept) {
        (true, _) => Meant::Nothing,
        (false, false) => Meant::All(gone),
        (false, true) => Meant::Some,
    }
}

/// The first segments that deletes are about, each with these.
fn waiting(manifest: &Manifest, compiled: &Compiled) -> Vec<(SegmentRef, Vec<Arc<Deletion>>)> {
    let about = |segment: &SegmentRef| manifest.of_segment(segment).filter_map(|delete| compiled.get(&delete.number).cloned()).collect::<Vec<_>>();
    let all = manifest.segments.iter().map(|segment| (segment.clone(), about(segment)));
    all.filter(|(_, about)| !about.is_empty()).take(REWRITE_LOOKS_MAX).collect()
}

/// What becomes of a stream's lines.
enum Judged {
    Kept,
    Gone(u64),
    Lines(LineJudge),
}

/// Takes out what the deletes mean of lines between `bounds`, and counts it.
fn sieve(deletions: Vec<Arc<Deletion>>, bounds: (Timestamp, Timestamp), lines: Arc<Mutex<Lines>>) -> Sieve {
    let mut at: Option<(Arc<Labels>, Judged)> = None;
    Sieve::new(move |labels, row| {
        let judged = match &mut at {
            Some((known, judged)) if Arc::ptr_eq(known, labels) => judged,
            other => {
                let judged = match Fate::of(&deletions, labels, bounds) {
                    Fate::Kept => Judged::Kept,
                    Fate::Gone(number) => Judged::Gone(number),
                    Fate::Judged(struck) => Judged::Lines(struck.judge()),
                };
                &mut other.insert((Arc::clone(labels), judged)).1
            }
        };
        let taken = match judged {
            Judged::Kept => None,
            Judged::Gone(number) => Some(*number),
            Judged::Lines(judge) => judge.taken_by(row),
        };
        if let Some(number) = taken {
            *lines.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_default() += 1;
        }
        taken.is_none()
    })
}

/// What one look found.
#[derive(Default)]
struct Found {
    clean: Vec<SegmentId>,
    replaced: Vec<(SegmentId, Option<SegmentRef>)>,
    lines: Lines,
}

impl Found {
    fn count(&mut self, lines: Lines) {
        for (number, more) in lines {
            *self.lines.entry(number).or_default() += more;
        }
    }
}

impl Upkeep {
    /// Goes through some of the segments that open deletes are about, and rewrites one at most; whether there were any.
    pub(crate) async fn rewrite_once(&self, tenant: &TenantId) -> Result<bool, Setback> {
        let Some(manifest) = self.keeper.newest(tenant).await.map_err(UpkeepFault::from)? else { return Ok(false) };
        if manifest.deletes.is_empty() {
            return Ok(false);
        }
        let (compiled, began) = (compile(&manifest)?, self.moment());
        let mut found = Found::default();
        for (segment, about) in waiting(&manifest, &compiled) {
            let footer = self.keeper.footer(&segment).await.map_err(UpkeepFault::from)?;
            let (read, deletions) = (Arc::clone(&footer), about.clone());
            match self.world.workers.run(move || look(&read, &deletions)).await {
                Meant::Nothing => found.clean.push(segment.id),
                Meant::All(lines) => {
                    found.count(lines);
                    found.replaced.push((segment.id, None));
                }
                Meant::Some => {
                    self.rewrite(&segment, footer, about, &mut found).await?;
                    break;
                }
            }
        }
        if found.clean.is_empty() && found.replaced.is_empty() {
            return Ok(false);
        }
        self.commit_found(&manifest, found, began).await.map(|()| true)
    }

    /// Writes a segment anew without what `about` means; finds that it holds none of it, or nothing else.
    async fn rewrite(&self, segment: &SegmentRef, footer: Arc<Footer>, about: Vec<Arc<Deletion>>, found: &mut Found) -> Result<(), Setback> {
        let lines = Arc::new(Mutex::new(Lines::new()));
        let sieve = sieve(about, (segment.facts.min, segment.facts.max), Arc::clone(&lines));
        let merger = Merger::sifting(vec![Arc::clone(&footer)], segment.facts.kind, sieve).map_err(UpkeepFault::from)?;
        let built: Built = self.drive(merger, std::slice::from_ref(segment), &[footer]).await?;
        let lines = std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
        if lines.is_empty() {
            found.clean.push(segment.id);
            return Ok(());
        }
        found.count(lines);
        let output = match built.facts.lines {
            0 => None,
            _ => Some(self.keeper.put_segment(&segment.tenant, &built).await.map_err(UpkeepFault::from)?),
        };
        found.replaced.push((segment.id, output));
        Ok(())
    }

    async fn commit_found(&self, manifest: &Manifest, found: Found, began: (Timestamp, tokio::time::Instant)) -> Result<(), Setback> {
        let Found { clean, replaced, lines } = found;
        let base = self.keeper.newest(&manifest.tenant).await.map_err(UpkeepFault::from)?.ok_or(Setback::Lost)?;
        let outputs: Vec<SegmentRef> = replaced.iter().filter_map(|(_, output)| output.clone()).collect();
        let still = clean.iter().chain(replaced.iter().map(|(id, _)| id)).all(|id| base.names(*id));
        if !still || base.open_deletes() != manifest.open_deletes() || !may_name(&base, &outputs, self.age_since(began), self.settings.doom_age) {
            return Err(Setback::Lost);
        }
        let (rewritten, deleted) = (replaced.len() as u64, lines.values().sum());
        let deletes = Applied { open: base.open_deletes(), lines };
        self.keeper.commit(&base, &Change::Strike { replaced, clean, deletes }).await.map_err(Setback::of)?;
        self.metrics.rewritten_segments.inc_by(rewritten);
        self.metrics.deleted_lines.inc_by(deleted);
        Ok(())
    }

    /// Carries out the open deletes of one tenant or of all, as far as what they are about is absorbed.
    pub(crate) async fn rewrite_all(&self, tenant: Option<&TenantId>) -> Result<(), UpkeepFault> {
        let tenants = match tenant {
            Some(tenant) => vec![tenant.clone()],
            None => self.keeper.tenants().await?,
        };
        for tenant in &tenants {
            let mut lost = 0;
            loop {
                match self.rewrite_once(tenant).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(Setback::Lost) => {
                        lost += 1;
                        if lost >= crate::limits::ABSORB_ALL_TRIES {
                            return Err(UpkeepFault::Outrun { waiting: 1, tries: lost });
                        }
                        tokio::time::sleep(crate::limits::ABSORB_ALL_WAIT * lost).await;
                    }
                    Err(Setback::Fault(fault)) => return Err(fault),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
