//! Requests collected until size or age, then planned into one lane object.
//!
//! Pure. Parts: [`Plan`] (the object's draft, who is answered with its commit, and who at once), made by
//! [`plan`] of what [`crate::queue`] handed out. Promises: a request is in exactly one of the plan's lists; the
//! order of requests of one producer is kept. Must not do: await or send.

use std::collections::{BTreeMap, BTreeSet};

use hub_store::limits::TEXT_BYTES_MAX;
use hub_store::{BatchDraft, Draft, Fold, LaneRecord, Loss, Origin, SectionDraft};
use hub_tenant::{Grant, Tenants};
use proto_model::{Epoch, ProducerId, Sequence, TenantId, Timestamp};
use tokio::sync::mpsc;

use crate::clones::Clones;
use crate::cursors::{Draftboard, Opened, Opening, Verdict};
use crate::limits::{PUSH_AGE_MAX, PUSH_KEY_AGE_MAX};
use crate::request::{CloseOffer, GapOffer, Offer, Open, Push, PushDone, PushRefused, Refusal, Reply, Request};

/// What one build of one object comes to.
#[derive(Debug)]
pub struct Plan {
    /// The object; empty when nothing is to be written.
    pub draft: Draft,
    /// Sessions to be answered when the object stands.
    pub after: Vec<(mpsc::Sender<Reply>, Reply)>,
    /// Sessions to be answered now.
    pub now: Vec<(mpsc::Sender<Reply>, Reply)>,
    /// Per request of the build, in order: what a push is told, and when.
    pub pushes: Vec<(usize, PushPlan)>,
    /// Lines taken, by tenant and cluster (`-` for pushes), for the counters.
    pub lines: BTreeMap<(TenantId, String), u64>,
    /// Repeats met.
    pub duplicates: u64,
    /// Batches and pushes that are in the object.
    pub taken: Taken,
    /// Lines that stand by an object of this hub whose create was not answered, counted as [`Self::lines`] are.
    pub found: BTreeMap<(TenantId, String), u64>,
    /// Losses that are in the object.
    pub lost: Vec<Loss>,
    /// Losses that stand by an object of this hub whose create was not answered.
    pub lost_found: Vec<Loss>,
    /// Opens whose chain of producers is to be walked, by their place among the requests.
    pub walks: Vec<usize>,
    /// Opens that are in the object, and the process before each, by their place among the requests.
    pub opened: Vec<(usize, Option<[u8; 16]>)>,
}

/// Names of batches and pushes.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    batches: BTreeSet<(ProducerId, Sequence)>,
    pushes: BTreeSet<(TenantId, Vec<u8>)>,
}

impl Taken {
    /// Joins both.
    pub fn add(&mut self, others: Self) {
        self.batches.extend(others.batches);
        self.pushes.extend(others.pushes);
    }
}

/// What a plan is judged on.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'b> {
    /// The lane up to its head.
    pub fold: &'b Fold,
    /// The tenant map in force.
    pub tenants: &'b Tenants,
    /// Openings seen.
    pub clones: &'b Clones,
    /// What was in objects of this hub that were not confirmed: found in the lane, it is no repeat.
    pub unsure: &'b Taken,
    /// The time.
    pub now: Timestamp,
}

/// What becomes of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushPlan {
    /// In the object.
    InObject,
    /// Its key is in the object already: answered with it.
    RepeatInObject,
    /// Its key stands in the lane.
    Repeated,
    /// It stands by an object of this hub whose create was not answered.
    Found,
    /// It waited too long.
    TooOld,
}

impl PushPlan {
    /// The answer once the object stands.
    pub const fn answer(self) -> Result<PushDone, PushRefused> {
        match self {
            Self::InObject | Self::Found => Ok(PushDone::Stored),
            Self::RepeatInObject | Self::Repeated => Ok(PushDone::Repeated),
            Self::TooOld => Err(PushRefused::TooOld),
        }
    }
}

struct Build<'b> {
    board: Draftboard<'b>,
    basis: Basis<'b>,
    sections: BTreeMap<TenantId, SectionDraft>,
    keys: BTreeMap<(TenantId, Vec<u8>), ()>,
    plan: Plan,
}

/// Judges `requests` and drafts the object.
#[must_use]
pub fn plan(requests: &[Request], basis: Basis<'_>) -> Plan {
    let plan = Plan {
        draft: Draft::default(),
        after: Vec::new(),
        now: Vec::new(),
        pushes: Vec::new(),
        lines: BTreeMap::new(),
        duplicates: 0,
        taken: Taken::default(),
        found: BTreeMap::new(),
        lost: Vec::new(),
        lost_found: Vec::new(),
        walks: Vec::new(),
        opened: Vec::new(),
    };
    let mut build = Build { board: Draftboard::new(basis.fold), basis, sections: BTreeMap::new(), keys: BTreeMap::new(), plan };
    for (at, request) in requests.iter().enumerate() {
        match request {
            Request::Open(open) => build.open(at, open),
            Request::Batch(offer) => build.batch(offer),
            Request::Gap(gap) => build.gap(gap),
            Request::Close(close) => build.close(close),
            Request::Push(push) => build.push(at, push),
        }
    }
    let version = basis.tenants.version();
    if version > basis.fold.map_version() {
        build.board.note(LaneRecord::Map(version));
    }
    let Build { board, sections, mut plan, .. } = build;
    plan.draft = Draft { records: board.into_records(), sections: sections.into_values().collect(), map_version: version };
    plan
}

/// At most what a lane record holds: an edge's text must not make an object that cannot be written.
fn clipped(text: &str) -> String {
    let end = (0..=text.len().min(TEXT_BYTES_MAX)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].to_owned()
}

fn loss_of(gap: &GapOffer, grant: &Grant) -> Loss {
    Loss {
        tenant: grant.tenant().clone(),
        cluster: gap.speaker.cluster.clone(),
        edge: gap.speaker.edge.clone(),
        source: clipped(&gap.source),
        reason: clipped(&gap.reason),
        from_ns: gap.range.0.nanos(),
        to_ns: gap.range.1.nanos(),
        lines: gap.lines,
        bytes: gap.bytes,
    }
}

impl Build<'_> {
    fn open(&mut self, at: usize, open: &Open) {
        let refused = |why| Reply::Refused { producer: open.producer, sequence: Sequence(0), why };
        if self.basis.tenants.identify(&open.speaker.cluster).is_none() {
            self.plan.now.push((open.reply.clone(), refused(Refusal::NoTenant)));
            return;
        }
        match self.board.open(open, self.basis.clones) {
            Opening::Open(opened) => {
                self.plan.opened.push((at, opened.before));
                let Opened { producer, epoch, last, chain, positions, carry, later, .. } = *opened;
                self.plan.after.push((open.reply.clone(), Reply::Opened { track: open.track, producer, epoch, last, chain, positions, carry, later }));
            }
            Opening::Walk => self.plan.walks.push(at),
            // After the object: it may hold the quarantine that is the reason.
            Opening::Refused(why) => self.plan.after.push((open.reply.clone(), refused(why))),
        }
    }

    fn batch(&mut self, offer: &Offer) {
        let Some(grant) = self.basis.tenants.identify(&offer.speaker.cluster) else {
            let reply = Reply::Refused { producer: Some(offer.producer), sequence: offer.sequence, why: Refusal::NoTenant };
            self.plan.now.push((offer.reply.clone(), reply));
            return;
        };
        let verdict = self.board.batch(offer);
        let name = (offer.producer, offer.sequence);
        let of = || (grant.tenant().clone(), offer.speaker.cluster.to_string());
        if matches!(verdict, Verdict::Committed(_)) && self.basis.unsure.batches.contains(&name) {
            *self.plan.found.entry(of()).or_default() += offer.lines;
            // Not sent again: it stands by our own object.
            self.plan.now.push((offer.reply.clone(), Reply::Acked { producer: offer.producer, epoch: offer.epoch, sequence: offer.sequence }));
            return;
        }
        if verdict == Verdict::Take {
            self.plan.taken.batches.insert(name);
        }
        if verdict == Verdict::Take && offer.lines > 0 {
            let cluster = offer.speaker.cluster.clone();
            *self.plan.lines.entry(of()).or_default() += offer.lines;
            let origin = Origin::Producer { producer: offer.producer, sequence: offer.sequence };
            self.section(&grant).push(BatchDraft { origin, cluster: Some(cluster), body: offer.body.clone(), rows: offer.rows.clone() });
        }
        let acked = Reply::Acked { producer: offer.producer, epoch: offer.epoch, sequence: offer.sequence };
        self.answer(&verdict, &offer.reply, (offer.producer, offer.epoch, offer.sequence), acked);
    }

    fn gap(&mut self, gap: &GapOffer) {
        let Some(grant) = self.basis.tenants.identify(&gap.speaker.cluster) else {
            let reply = Reply::Refused { producer: Some(gap.producer), sequence: gap.from, why: Refusal::NoTenant };
            self.plan.now.push((gap.reply.clone(), reply));
            return;
        };
        let verdict = self.board.gap(gap);
        let name = (gap.producer, gap.from);
        let acked = Reply::Acked { producer: gap.producer, epoch: gap.epoch, sequence: gap.to };
        if matches!(verdict, Verdict::Committed(_)) && self.basis.unsure.batches.contains(&name) {
            self.plan.lost_found.push(loss_of(gap, &grant));
            self.plan.now.push((gap.reply.clone(), acked));
            return;
        }
        if verdict == Verdict::Take {
            let loss = loss_of(gap, &grant);
            self.plan.taken.batches.insert(name);
            self.plan.lost.push(loss.clone());
            self.board.note(loss.into());
        }
        self.answer(&verdict, &gap.reply, (gap.producer, gap.epoch, gap.from), acked);
    }

    fn close(&mut self, close: &CloseOffer) {
        let CloseOffer { producer, epoch, sequence, chain, next, .. } = *close;
        let closed = Reply::Closed { producer, epoch, sequence, chain, next };
        let verdict = self.board.close(close);
        if matches!(verdict, Verdict::Committed(_)) {
            self.plan.now.push((close.reply.clone(), closed));
        } else {
            self.answer(&verdict, &close.reply, (producer, epoch, sequence), closed);
        }
    }

    fn answer(&mut self, verdict: &Verdict, reply: &mpsc::Sender<Reply>, (producer, epoch, sequence): (ProducerId, Epoch, Sequence), acked: Reply) {
        match verdict {
            Verdict::Take => self.plan.after.push((reply.clone(), acked)),
            Verdict::Waiting => {
                self.plan.duplicates += 1;
                self.plan.after.push((reply.clone(), acked));
            }
            Verdict::Committed(last) => {
                self.plan.duplicates += 1;
                self.plan.now.push((reply.clone(), Reply::Acked { producer, epoch, sequence: *last }));
            }
            Verdict::Expect(wanted) => self.plan.now.push((reply.clone(), Reply::Expect { producer, epoch, sequence: *wanted })),
            Verdict::Refuse { why, quarantine } => {
                let refused = Reply::Refused { producer: Some(producer), sequence, why: why.clone() };
                if *quarantine {
                    self.board.quarantine(producer, &format!("{why:?}"));
                }
                self.plan.now.push((reply.clone(), refused));
            }
        }
    }

    fn push(&mut self, at: usize, push: &Push) {
        let tenant = push.grant.tenant().clone();
        let (fold, now) = (self.basis.fold, self.basis.now);
        let name = (tenant.clone(), push.key.clone());
        let fresh = |stood: Timestamp| now.since(stood) < PUSH_KEY_AGE_MAX;
        let decided = if fold.push_key(&tenant, &push.key).is_some_and(fresh) {
            if self.basis.unsure.pushes.contains(&name) { PushPlan::Found } else { PushPlan::Repeated }
        } else if self.keys.contains_key(&name) {
            PushPlan::RepeatInObject
        } else if now.since(push.arrived) > PUSH_AGE_MAX {
            PushPlan::TooOld
        } else {
            PushPlan::InObject
        };
        let of = (tenant.clone(), "-".to_owned());
        match decided {
            PushPlan::InObject => {
                self.keys.insert(name.clone(), ());
                self.plan.taken.pushes.insert(name);
                self.board.note(LaneRecord::PushKey { tenant, key: push.key.clone(), at: now });
                *self.plan.lines.entry(of).or_default() += push.lines;
                let batch = BatchDraft { origin: Origin::Push { key: push.key.clone() }, cluster: None, body: push.body.clone(), rows: push.rows.clone() };
                self.section(&push.grant).push(batch);
            }
            PushPlan::Found => *self.plan.found.entry(of).or_default() += push.lines,
            PushPlan::RepeatInObject | PushPlan::Repeated => self.plan.duplicates += 1,
            PushPlan::TooOld => {}
        }
        self.plan.pushes.push((at, decided));
    }

    fn section(&mut self, grant: &Grant) -> &mut Vec<BatchDraft> {
        let section = self.sections.entry(grant.tenant().clone()).or_insert_with(|| SectionDraft { grant: grant.clone(), batches: Vec::new() });
        &mut section.batches
    }
}

#[cfg(test)]
mod tests;
