//! Requests collected until size or age, then planned into one lane object.
//!
//! Pure. Parts: [`Waiting`] (the queue and when it is due), [`Plan`] (the object's draft, who is answered
//! with its commit, and who at once). Promises: a request is in exactly one of the plan's lists; the
//! order of requests of one producer is kept. Must not do: await or send.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hub_store::limits::TEXT_BYTES_MAX;
use hub_store::{BatchDraft, Draft, Fold, LaneRecord, Origin, SectionDraft};
use hub_tenant::{Grant, Tenants};
use proto_model::{ProducerId, Sequence, TenantId, Timestamp};

use crate::cursors::{Draftboard, Verdict};
use crate::limits::{PUSH_AGE_MAX, PUSH_KEY_AGE_MAX};
use crate::request::{GapOffer, Offer, Open, Push, PushDone, PushRefused, Refusal, Reply, Request};

/// Requests that wait for the next object.
#[derive(Debug, Default)]
pub struct Waiting {
    queue: VecDeque<Request>,
    bytes: usize,
    oldest: Option<Timestamp>,
}

impl Waiting {
    /// Adds a request that arrived at `now`.
    pub fn add(&mut self, request: Request, now: Timestamp) {
        self.bytes += request.body_bytes();
        self.oldest.get_or_insert(now);
        self.queue.push_back(request);
    }

    /// How many requests wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How long the object may still be held open; zero = seal now. An open is sealed at once: a session waits for it.
    #[must_use]
    pub fn due_in(&self, now: Timestamp, linger: Duration, bytes_max: usize) -> Duration {
        let hasty = self.bytes >= bytes_max || self.queue.iter().any(|request| matches!(request, Request::Open(_)));
        let oldest = self.oldest.unwrap_or(now);
        // A clock that was set back leaves the age unknown: seal now.
        if hasty || now < oldest { Duration::ZERO } else { linger.saturating_sub(now.since(oldest)) }
    }

    /// Takes requests for one object, at most `bytes_max` of bodies (but at least one request).
    #[must_use]
    pub fn take(&mut self, bytes_max: usize) -> Vec<Request> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(request) = self.queue.pop_front() {
            let size = request.body_bytes();
            if bytes > 0 && bytes + size > bytes_max {
                self.queue.push_front(request);
                break;
            }
            bytes += size;
            taken.push(request);
        }
        self.bytes -= bytes;
        if self.queue.is_empty() {
            self.oldest = None;
        }
        taken
    }
}

/// What one build of one object comes to.
#[derive(Debug)]
pub struct Plan {
    /// The object; empty when nothing is to be written.
    pub draft: Draft,
    /// Sessions to be answered when the object stands.
    pub after: Vec<(tokio::sync::mpsc::Sender<Reply>, Reply)>,
    /// Sessions to be answered now.
    pub now: Vec<(tokio::sync::mpsc::Sender<Reply>, Reply)>,
    /// Per request of the build, in order: what a push is told, and when.
    pub pushes: Vec<(usize, PushPlan)>,
    /// Lines taken, by tenant and cluster (`-` for pushes), for the counters.
    pub lines: BTreeMap<(TenantId, String), u64>,
    /// Repeats met.
    pub duplicates: u64,
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
    /// It waited too long.
    TooOld,
}

impl PushPlan {
    /// The answer once the object stands.
    pub const fn answer(self) -> Result<PushDone, PushRefused> {
        match self {
            Self::InObject => Ok(PushDone::Stored),
            Self::RepeatInObject | Self::Repeated => Ok(PushDone::Repeated),
            Self::TooOld => Err(PushRefused::TooOld),
        }
    }
}

struct Build<'f> {
    board: Draftboard<'f>,
    fold: &'f Fold,
    tenants: &'f Tenants,
    now: Timestamp,
    sections: BTreeMap<TenantId, SectionDraft>,
    keys: BTreeMap<(TenantId, Vec<u8>), ()>,
    plan: Plan,
}

/// Judges `requests` on `fold` and drafts the object. `firsts` holds, per request index, the producer that an
/// [`Open`] is to open (resolved before, since it needs the store).
#[must_use]
pub fn plan(requests: &[Request], firsts: &BTreeMap<usize, ProducerId>, fold: &Fold, tenants: &Tenants, now: Timestamp) -> Plan {
    let mut build = Build {
        board: Draftboard::new(fold),
        fold,
        tenants,
        now,
        sections: BTreeMap::new(),
        keys: BTreeMap::new(),
        plan: Plan { draft: Draft::default(), after: Vec::new(), now: Vec::new(), pushes: Vec::new(), lines: BTreeMap::new(), duplicates: 0 },
    };
    for (at, request) in requests.iter().enumerate() {
        match request {
            Request::Open(open) => build.open(open, firsts.get(&at).copied()),
            Request::Batch(offer) => build.batch(offer),
            Request::Gap(gap) => build.gap(gap),
            Request::Push(push) => build.push(at, push),
        }
    }
    if tenants.version() > fold.map_version() {
        build.board.note(LaneRecord::Map(tenants.version()));
    }
    let Build { board, sections, mut plan, .. } = build;
    plan.draft = Draft { records: board.into_records(), sections: sections.into_values().collect(), map_version: tenants.version() };
    plan
}

/// At most what a lane record holds: an edge's text must not make an object that cannot be written.
fn clipped(text: &str) -> String {
    let end = (0..=text.len().min(TEXT_BYTES_MAX)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].to_owned()
}

impl Build<'_> {
    fn open(&mut self, open: &Open, producer: Option<ProducerId>) {
        let refused = |why| Reply::Refused { producer: open.producer, sequence: Sequence(0), why };
        let Some(producer) = producer else {
            self.plan.now.push((open.reply.clone(), refused(Refusal::Denied)));
            return;
        };
        if self.tenants.identify(&open.speaker.cluster).is_none() {
            self.plan.now.push((open.reply.clone(), refused(Refusal::NoTenant)));
            return;
        }
        match self.board.open(open, producer) {
            Ok((epoch, last, chain)) => {
                let positions = self.fold.producer(&producer).map(|state| state.positions.values().cloned().collect()).unwrap_or_default();
                self.plan.after.push((open.reply.clone(), Reply::Opened { track: open.track, producer, epoch, last, chain, positions }));
            }
            Err(why) => self.plan.now.push((open.reply.clone(), refused(why))),
        }
    }

    fn batch(&mut self, offer: &Offer) {
        let Some(grant) = self.tenants.identify(&offer.speaker.cluster) else {
            let reply = Reply::Refused { producer: Some(offer.producer), sequence: offer.sequence, why: Refusal::NoTenant };
            self.plan.now.push((offer.reply.clone(), reply));
            return;
        };
        let verdict = self.board.batch(offer);
        if verdict == Verdict::Take && offer.lines > 0 {
            let cluster = offer.speaker.cluster.clone();
            *self.plan.lines.entry((grant.tenant().clone(), cluster.to_string())).or_default() += offer.lines;
            let origin = Origin::Producer { producer: offer.producer, sequence: offer.sequence };
            self.section(&grant).push(BatchDraft { origin, cluster: Some(cluster), body: offer.body.clone(), rows: offer.rows.clone() });
        }
        let acked = Reply::Acked { producer: offer.producer, epoch: offer.epoch, sequence: offer.sequence };
        self.answer(&verdict, &offer.reply, offer.producer, offer.epoch, offer.sequence, acked);
    }

    fn gap(&mut self, gap: &GapOffer) {
        let Some(grant) = self.tenants.identify(&gap.speaker.cluster) else {
            let reply = Reply::Refused { producer: Some(gap.producer), sequence: gap.from, why: Refusal::NoTenant };
            self.plan.now.push((gap.reply.clone(), reply));
            return;
        };
        let verdict = self.board.gap(gap);
        if verdict == Verdict::Take {
            self.board.note(LaneRecord::Loss {
                tenant: grant.tenant().clone(),
                cluster: gap.speaker.cluster.clone(),
                edge: gap.speaker.edge.clone(),
                source: clipped(&gap.source),
                reason: clipped(&gap.reason),
                from_ns: gap.range.0.nanos(),
                to_ns: gap.range.1.nanos(),
                lines: gap.lines,
                bytes: gap.bytes,
            });
        }
        let acked = Reply::Acked { producer: gap.producer, epoch: gap.epoch, sequence: gap.to };
        self.answer(&verdict, &gap.reply, gap.producer, gap.epoch, gap.from, acked);
    }

    fn answer(
        &mut self,
        verdict: &Verdict,
        reply: &tokio::sync::mpsc::Sender<Reply>,
        producer: ProducerId,
        epoch: proto_model::Epoch,
        sequence: Sequence,
        acked: Reply,
    ) {
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
        let fresh = |stood: Timestamp| self.now.since(stood) < PUSH_KEY_AGE_MAX;
        let decided = if self.fold.push_key(&tenant, &push.key).is_some_and(fresh) {
            PushPlan::Repeated
        } else if self.keys.contains_key(&(tenant.clone(), push.key.clone())) {
            PushPlan::RepeatInObject
        } else if self.now.since(push.arrived) > PUSH_AGE_MAX {
            PushPlan::TooOld
        } else {
            PushPlan::InObject
        };
        if decided == PushPlan::InObject {
            self.keys.insert((tenant.clone(), push.key.clone()), ());
            self.board.note(LaneRecord::PushKey { tenant: tenant.clone(), key: push.key.clone(), at: self.now });
            *self.plan.lines.entry((tenant, "-".to_owned())).or_default() += push.lines;
            let batch = BatchDraft { origin: Origin::Push { key: push.key.clone() }, cluster: None, body: push.body.clone(), rows: push.rows.clone() };
            self.section(&push.grant).push(batch);
        } else if decided != PushPlan::TooOld {
            self.plan.duplicates += 1;
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
