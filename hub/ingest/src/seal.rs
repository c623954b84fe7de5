//! Gathered requests -> one lane object -> the store -> acks, in that order.
//!
//! Parts: [`Sealer::run`], the one task that owns a lane writer: of the own lane, or of one push lane ([`Lane`]);
//! [`Rivals`], which tells when another hub writes the own lane as its own. A sealer holds one PUT at a time; what
//! arrives meanwhile waits in its bounded queue. Promises: an ack leaves only after the object that covers it was
//! created *and* its predecessor was seen to stand (lane rules 5 and 6; `hub_store::LaneWriter::put`
//! keeps both); after any other answer every request is judged again on the fold that was found.
//! Must not do: decide what a request means (`gather.rs`, `cursors.rs` do).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hub_store::{LaneWriter, PutFault, Store, StoreFault};
use hub_tenant::Tenants;
use proto_model::{LaneId, Timestamp};
use proto_seam::World;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clones::Clones;
use crate::gather::{Basis, Plan, Taken, plan};
use crate::limits::{PUSH_SEALER_IDLE, RIVAL_CONFLICTS, RIVAL_WITHIN, STORE_RETRY, WAITING_REQUESTS_MAX};
use crate::meter::Gauge;
use crate::metrics::IngestMetrics;
use crate::queue::{Queue, Whose};
use crate::request::{Open, Push, PushDone, PushRefused, Refusal, Reply, Request};

/// Which lane a sealer writes.
#[derive(Debug)]
pub enum Lane {
    /// The hub's own; opens that are to be walked go there.
    Own(mpsc::Sender<Open>),
    /// A push lane; its sealer ends when nothing comes any more.
    Push(LaneId),
}

/// What all sealers share.
#[derive(Clone)]
pub struct Seals {
    pub(crate) store: Arc<Store>,
    pub(crate) tenants: watch::Receiver<Arc<Tenants>>,
    pub(crate) world: World,
    pub(crate) linger: Duration,
    pub(crate) object_bytes_max: usize,
    pub(crate) metrics: IngestMetrics,
    pub(crate) gauge: Gauge,
    pub(crate) stop: CancellationToken,
}

/// The task that seals.
pub struct Sealer {
    with: Seals,
    lane: Lane,
    requests: mpsc::Receiver<Request>,
    clones: Clones,
    rivals: Rivals,
}

impl Sealer {
    /// For what comes in by `requests`.
    #[must_use]
    pub fn new(with: Seals, lane: Lane, requests: mpsc::Receiver<Request>) -> Self {
        Self { with, lane, requests, clones: Clones::default(), rivals: Rivals::default() }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.with.world.clock.now_ns())
    }

    /// Seals until told to stop; then what waits is refused as unavailable (edges send again).
    pub async fn run(mut self) {
        let mut waiting = Queue::default();
        if let Some(mut writer) = self.writer(&mut waiting).await {
            self.write(&mut writer, &mut waiting).await;
        }
        self.requests.close();
        let why = if self.with.stop.is_cancelled() { "this hub is shutting down" } else { "its lane was let go: try again" };
        for request in waiting.drain() {
            refuse_unavailable(request, why);
        }
        while let Ok(request) = self.requests.try_recv() {
            refuse_unavailable(request, why);
        }
    }

    async fn write(&mut self, writer: &mut LaneWriter, waiting: &mut Queue) {
        while self.fill(waiting).await {
            let requests = waiting.take(self.with.object_bytes_max);
            self.with.gauge.begin(self.now());
            let goes_on = self.seal(writer, requests, waiting).await;
            self.with.gauge.end();
            if !goes_on {
                return;
            }
        }
    }

    fn add(&self, waiting: &mut Queue, request: Request) {
        let edge = request.speaker().cloned();
        let tenant = match &request {
            Request::Push(push) => Some(push.grant.tenant().clone()),
            Request::Open(_) | Request::Batch(_) | Request::Gap(_) | Request::Close(_) => {
                edge.as_ref().and_then(|edge| self.with.tenants.borrow().identify(&edge.cluster)).map(|grant| grant.tenant().clone())
            }
        };
        waiting.add(request, Whose { tenant, edge }, self.now());
    }

    /// Collects until the object is due; false = stop.
    async fn fill(&mut self, waiting: &mut Queue) -> bool {
        loop {
            // What is queued already joins this object before the clock is asked.
            while waiting.len() < WAITING_REQUESTS_MAX
                && let Ok(request) = self.requests.try_recv()
            {
                self.add(waiting, request);
            }
            if waiting.len() >= WAITING_REQUESTS_MAX {
                return true;
            }
            let due = if waiting.is_empty() { Duration::MAX } else { waiting.due_in(self.now(), self.with.linger, self.with.object_bytes_max) };
            if due.is_zero() {
                return true;
            }
            let idle = matches!(self.lane, Lane::Push(_)) && waiting.is_empty();
            let wait = if idle { PUSH_SEALER_IDLE } else { due.min(Duration::from_secs(3_600)) };
            tokio::select! {
                biased;
                () = self.with.stop.cancelled() => return false,
                request = self.requests.recv() => match request {
                    Some(request) => self.add(waiting, request),
                    None => return false,
                },
                () = tokio::time::sleep(wait), if idle || !waiting.is_empty() => if idle {
                    // What came in this moment is still written: the queue closes first.
                    self.requests.close();
                    let Ok(request) = self.requests.try_recv() else { return false };
                    self.add(waiting, request);
                },
            }
        }
    }

    /// Brings `requests` to their end: written, answered, or refused at shutdown (false).
    async fn seal(&mut self, writer: &mut LaneWriter, mut requests: Vec<Request>, waiting: &mut Queue) -> bool {
        let started = self.now();
        let (mut attempt, mut unsure) = (0, Taken::default());
        loop {
            requests.retain(|request| !is_left(request));
            shed_strays(&mut requests, writer.lane());
            let tenants = Arc::clone(&self.with.tenants.borrow());
            if !cfg!(planted = "old_map") && writer.fold().map_version() > tenants.version() {
                // Lane rule 9: a hub whose map is older than the fold's loads it before it writes.
                if !self.pause(waiting, &mut requests, &mut attempt, "the lane names a newer tenant map than this hub has").await {
                    return give_up(requests);
                }
                continue;
            }
            let basis = Basis { fold: writer.fold(), tenants: &tenants, clones: &self.clones, unsure: &unsure, now: self.now() };
            let mut plan = plan(&requests, basis);
            if plan.draft.is_empty() {
                self.answer(plan, requests);
                return true;
            }
            let draft = std::mem::take(&mut plan.draft);
            let bytes = draft.bytes();
            match writer.put(draft).await {
                Ok(_) => {
                    self.with.metrics.sealed(&plan.lines, self.now().since(started));
                    self.with.gauge.took(bytes);
                    self.with.store.count_lost(&plan.lost);
                    self.answer(plan, requests);
                    return true;
                }
                Err(PutFault::NotWritten(cause @ (StoreFault::Draft { .. } | StoreFault::TooLarge { .. }))) => {
                    return self.apart(writer, requests, waiting, &cause).await;
                }
                Err(_) if cfg!(planted = "ack_before_put") => {
                    self.answer(plan, requests);
                    return true;
                }
                Err(fault) => {
                    let refused = matches!(&fault, PutFault::NotWritten(cause) if cause.is_conflict());
                    if !refused {
                        unsure.add(plan.taken);
                    }
                    if !self.recover(writer, (waiting, &mut requests), &mut attempt, fault).await {
                        return give_up(requests);
                    }
                }
            }
        }
    }

    /// The object itself cannot be written, whatever the store does: its requests are sealed in halves until the one
    /// that is to blame stands alone; that one is refused.
    async fn apart(&mut self, writer: &mut LaneWriter, mut requests: Vec<Request>, waiting: &mut Queue, cause: &StoreFault) -> bool {
        if requests.len() > 1 {
            let rest = requests.split_off(requests.len() / 2);
            if Box::pin(self.seal(writer, requests, waiting)).await {
                return Box::pin(self.seal(writer, rest, waiting)).await;
            }
            return give_up(rest);
        }
        tracing::error!(%cause, "a request cannot be stored by itself and is refused");
        for request in requests {
            refuse(request, &Refusal::TooLarge(cause.to_string()));
        }
        true
    }

    /// After a PUT that was not confirmed: learn what stands, so that all is judged again; false = stop.
    async fn recover(&mut self, writer: &mut LaneWriter, (waiting, requests): (&mut Queue, &mut Vec<Request>), attempt: &mut u32, fault: PutFault) -> bool {
        tracing::info!(fault = %fault, "a lane object was not confirmed; following the lane and judging its batches again");
        self.with.metrics.put_unconfirmed();
        loop {
            let learned = match &fault {
                PutFault::NotWritten(_) => writer.follow().await,
                PutFault::Lost => writer.restart().await,
            };
            let why = match (&learned, &fault) {
                // Another hub was first: nothing is wrong with the store.
                (Ok(()), PutFault::Lost) => return true,
                (Ok(()), PutFault::NotWritten(cause)) if cause.is_conflict() => {
                    self.leave_to_rival(writer).await;
                    return true;
                }
                (Ok(()), PutFault::NotWritten(cause)) | (Err(cause), _) => cause.to_string(),
            };
            if !self.pause(waiting, requests, attempt, &why).await {
                return false;
            }
            if learned.is_ok() {
                return true;
            }
        }
    }

    /// Another hub that goes on writing the own lane has it: this one takes another. The producers of its edges are in
    /// the lane before: their batches are told to open again, and the openings bring them over.
    async fn leave_to_rival(&mut self, writer: &mut LaneWriter) {
        // Whatever it calls itself: two hubs may have been given one name.
        if !matches!(self.lane, Lane::Own(_)) || !self.rivals.met(self.now()) {
            return;
        }
        match self.with.store.another_lane().await {
            Ok(other) => {
                tracing::warn!(from = %writer.lane(), to = %other.lane(), rival = writer.fold().writer(), "another hub writes this hub's lane: taking another");
                self.with.metrics.lane_left();
                *writer = other;
            }
            Err(fault) => tracing::warn!(%fault, "another hub writes this hub's lane, and no other lane could be had"),
        }
    }

    async fn pause(&mut self, waiting: &mut Queue, requests: &mut Vec<Request>, attempt: &mut u32, why: &str) -> bool {
        shed_pushes(requests);
        let (first, most) = STORE_RETRY;
        let wait = first.saturating_mul(1 << (*attempt).min(10)).min(most);
        *attempt += 1;
        tracing::warn!(why, wait_ms = wait.as_millis(), "sealing waits; edges keep what is not acknowledged");
        let over = tokio::time::sleep(wait);
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                () = self.with.stop.cancelled() => return false,
                () = &mut over => return true,
                Some(request) = self.requests.recv(), if waiting.len() < WAITING_REQUESTS_MAX => match request {
                    Request::Push(push) => refuse_unavailable(Request::Push(push), why),
                    request @ (Request::Open(_) | Request::Batch(_) | Request::Gap(_) | Request::Close(_)) => self.add(waiting, request),
                },
            }
        }
    }

    async fn writer(&mut self, waiting: &mut Queue) -> Option<LaneWriter> {
        let mut attempt = 0;
        loop {
            let opened = match &self.lane {
                Lane::Own(_) => self.with.store.writer().await,
                Lane::Push(lane) => self.with.store.writer_of(*lane).await,
            };
            match opened {
                Ok(writer) => return Some(writer),
                Err(fault) => {
                    if !self.pause(waiting, &mut Vec::new(), &mut attempt, &fault.to_string()).await {
                        return None;
                    }
                }
            }
        }
    }

    fn answer(&mut self, plan: Plan, requests: Vec<Request>) {
        self.with.metrics.duplicates(plan.duplicates);
        self.with.metrics.lines(&plan.found);
        self.with.store.count_lost(&plan.lost_found);
        for (to, reply) in newest_acks(plan.now.into_iter().chain(plan.after)) {
            // A session that does not read its answers is slow or gone; it will ask again after it reconnects.
            drop(to.try_send(reply));
        }
        let mut pushes: BTreeMap<usize, _> = plan.pushes.into_iter().collect();
        let opened: BTreeMap<usize, _> = plan.opened.into_iter().collect();
        for (at, request) in requests.into_iter().enumerate() {
            match request {
                Request::Push(push) => {
                    if let Some(decided) = pushes.remove(&at) {
                        tell(push, decided.answer());
                    }
                }
                Request::Open(open) if plan.walks.contains(&at) => self.walk(open),
                Request::Open(open) => match opened.get(&at) {
                    Some(before) => self.clones.opened(&open.speaker, open.track, open.nonce, *before),
                    None => self.clones.forget(&open.speaker, open.track),
                },
                Request::Batch(_) | Request::Gap(_) | Request::Close(_) => {}
            }
        }
    }

    fn walk(&self, open: Open) {
        let Lane::Own(walker) = &self.lane else { return };
        if let Err(full) = walker.try_send(open) {
            let (mpsc::error::TrySendError::Full(open) | mpsc::error::TrySendError::Closed(open)) = full;
            refuse_unavailable(Request::Open(open), "too many edges come over from other hubs at once");
        }
    }
}

/// Acks are cumulative: of each producer and session only the newest of a row is said.
fn newest_acks(replies: impl Iterator<Item = (mpsc::Sender<Reply>, Reply)>) -> Vec<(mpsc::Sender<Reply>, Reply)> {
    let mut out: Vec<(mpsc::Sender<Reply>, Reply)> = Vec::new();
    let mut newest: BTreeMap<(proto_model::ProducerId, proto_model::Epoch), usize> = BTreeMap::new();
    for (to, reply) in replies {
        if let Reply::Acked { producer, epoch, sequence } = &reply {
            if let Some((before, Reply::Acked { sequence: known, .. })) = newest.get(&(*producer, *epoch)).and_then(|at| out.get_mut(*at))
                && before.same_channel(&to)
            {
                *known = (*known).max(*sequence);
                continue;
            }
            newest.insert((*producer, *epoch), out.len());
        }
        out.push((to, reply));
    }
    out
}

/// Conflicts with a hub of another name.
#[derive(Debug, Default)]
struct Rivals {
    met: VecDeque<Timestamp>,
}

impl Rivals {
    /// One more; true when there were so many of late that the lane is better left to the other. The count begins
    /// anew then.
    fn met(&mut self, now: Timestamp) -> bool {
        self.met.push_back(now);
        while self.met.front().is_some_and(|first| now.since(*first) > RIVAL_WITHIN) {
            self.met.pop_front();
        }
        let many = self.met.len() >= RIVAL_CONFLICTS;
        if many {
            self.met.clear();
        }
        many
    }
}

/// A push does not wait for a store that is away: its sender is told at once and tries again. Should the
/// object land late after all, its key makes the repeat known (lane rule 10).
fn shed_pushes(requests: &mut Vec<Request>) {
    for push in requests.extract_if(.., |request| matches!(request, Request::Push(_))) {
        refuse_unavailable(push, "the store is away");
    }
}

/// Pushes of tenants whose pushes have another lane than this, which the hub writes by now instead of theirs.
fn shed_strays(requests: &mut Vec<Request>, lane: LaneId) {
    for push in requests.extract_if(.., |request| matches!(request, Request::Push(push) if push.lane != lane)) {
        refuse_unavailable(push, "this hub changes its lane");
    }
}

fn give_up(requests: Vec<Request>) -> bool {
    for request in requests {
        refuse_unavailable(request, "this hub is shutting down");
    }
    false
}

fn tell(push: Push, answer: Result<PushDone, PushRefused>) {
    if push.reply.send(answer).is_err() {
        tracing::debug!("the sender of a push did not wait for its answer");
    }
}

fn refuse_unavailable(request: Request, text: &str) {
    refuse(request, &Refusal::Unavailable(text.to_owned()));
}

/// Tells whoever sent `request` that it is not stored.
fn refuse(request: Request, why: &Refusal) {
    let (to, producer, sequence) = match request {
        Request::Push(push) => {
            if push.reply.send(Err(PushRefused::Unavailable)).is_err() {
                tracing::debug!("the sender of a push is gone");
            }
            return;
        }
        Request::Open(open) => (open.reply, open.producer, proto_model::Sequence(0)),
        Request::Batch(offer) => (offer.reply, Some(offer.producer), offer.sequence),
        Request::Gap(gap) => (gap.reply, Some(gap.producer), gap.from),
        Request::Close(close) => (close.reply, Some(close.producer), close.sequence),
    };
    drop(to.try_send(Reply::Refused { producer, sequence, why: why.clone() }));
}

/// Whether nobody waits for the answer any more: a push whose sender was told 503 meanwhile, and an opening whose session ended, which would
/// fence the process that came after it.
fn is_left(request: &Request) -> bool {
    match request {
        Request::Push(push) => push.reply.is_closed(),
        Request::Open(open) => open.reply.is_closed(),
        Request::Batch(_) | Request::Gap(_) | Request::Close(_) => false,
    }
}

#[cfg(test)]
mod tests;
