//! Gathered requests -> one lane object -> the store -> acks, in that order.
//!
//! Parts: [`Sealer::run`], the one task that owns the lane writer. It holds one PUT at a time; what arrives
//! meanwhile waits in its bounded queue. Promises: an ack leaves only after the object that covers it was
//! created *and* its predecessor was seen to stand (lane rules 5 and 6; `hub_store::LaneWriter::put`
//! keeps both); after any other answer every request is judged again on the fold that was found.
//! Must not do: decide what a request means (`gather.rs`, `cursors.rs` do).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hub_store::{LaneWriter, PutFault, Store, StoreFault};
use hub_tenant::Tenants;
use proto_model::{ProducerId, Timestamp};
use proto_seam::World;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::gather::{Plan, Waiting, plan};
use crate::limits::{STORE_RETRY, WAITING_REQUESTS_MAX};
use crate::metrics::IngestMetrics;
use crate::request::{Open, Push, PushDone, PushRefused, Refusal, Reply, Request};

/// The task that seals.
pub struct Sealer {
    pub(crate) store: Arc<Store>,
    pub(crate) tenants: watch::Receiver<Arc<Tenants>>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) world: World,
    pub(crate) linger: Duration,
    pub(crate) object_bytes_max: usize,
    pub(crate) metrics: IngestMetrics,
    pub(crate) stop: CancellationToken,
}

impl Sealer {
    fn now(&self) -> Timestamp {
        Timestamp(self.world.clock.now_ns())
    }

    /// Seals until told to stop; then what waits is refused as unavailable (edges send again).
    pub async fn run(mut self) {
        let mut waiting = Waiting::default();
        if let Some(mut writer) = self.writer(&mut waiting).await {
            self.write(&mut writer, &mut waiting).await;
        }
        self.requests.close();
        for request in waiting.take(usize::MAX) {
            refuse_unavailable(request, "this hub is shutting down");
        }
        while let Ok(request) = self.requests.try_recv() {
            refuse_unavailable(request, "this hub is shutting down");
        }
    }

    async fn write(&mut self, writer: &mut LaneWriter, waiting: &mut Waiting) {
        loop {
            if !self.fill(waiting).await {
                return;
            }
            let requests = waiting.take(self.object_bytes_max);
            if !self.seal(writer, requests, waiting).await {
                return;
            }
        }
    }

    /// Collects until the object is due; false = stop.
    async fn fill(&mut self, waiting: &mut Waiting) -> bool {
        loop {
            // What is queued already joins this object before the clock is asked.
            while let Ok(request) = self.requests.try_recv() {
                waiting.add(request, self.now());
            }
            let due = if waiting.is_empty() { Duration::MAX } else { waiting.due_in(self.now(), self.linger, self.object_bytes_max) };
            if due.is_zero() {
                return true;
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return false,
                request = self.requests.recv() => match request {
                    Some(request) => waiting.add(request, self.now()),
                    None => return false,
                },
                () = tokio::time::sleep(due.min(Duration::from_secs(3_600))), if !waiting.is_empty() => {}
            }
        }
    }

    /// Brings `requests` to their end: written, answered, or refused at shutdown (false).
    async fn seal(&mut self, writer: &mut LaneWriter, mut requests: Vec<Request>, waiting: &mut Waiting) -> bool {
        let started = self.now();
        let mut attempt = 0;
        loop {
            // A push whose sender was told 503 meanwhile is not built.
            requests.retain(|request| !matches!(request, Request::Push(push) if push.reply.is_closed()));
            let firsts = match self.firsts(writer, &requests).await {
                Ok(firsts) => firsts,
                Err(fault) => {
                    if !self.pause(waiting, &mut requests, &mut attempt, &fault.to_string()).await {
                        return give_up(requests);
                    }
                    continue;
                }
            };
            let tenants = Arc::clone(&self.tenants.borrow());
            if writer.fold().map_version() > tenants.version() {
                // Lane rule 9: a hub whose map is older than the fold's loads it before it writes.
                if !self.pause(waiting, &mut requests, &mut attempt, "the lane names a newer tenant map than this hub has").await {
                    return give_up(requests);
                }
                continue;
            }
            let plan = plan(&requests, &firsts, writer.fold(), &tenants, started);
            if plan.draft.is_empty() {
                self.answer(plan, requests).await;
                return true;
            }
            match writer.put(plan.draft.clone()).await {
                Ok(_) => {
                    self.metrics.sealed(&plan.lines, self.now().since(started));
                    self.answer(plan, requests).await;
                    return true;
                }
                Err(PutFault::NotWritten(cause @ (StoreFault::Draft { .. } | StoreFault::TooLarge { .. }))) => {
                    return self.apart(writer, requests, waiting, &cause).await;
                }
                Err(fault) => {
                    if !self.recover(writer, (waiting, &mut requests), &mut attempt, fault).await {
                        return give_up(requests);
                    }
                }
            }
        }
    }

    /// The object itself cannot be written, whatever the store does: its requests are sealed in halves until the one
    /// that is to blame stands alone; that one is refused.
    async fn apart(&mut self, writer: &mut LaneWriter, mut requests: Vec<Request>, waiting: &mut Waiting, cause: &StoreFault) -> bool {
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
    async fn recover(&mut self, writer: &mut LaneWriter, (waiting, requests): (&mut Waiting, &mut Vec<Request>), attempt: &mut u32, fault: PutFault) -> bool {
        tracing::info!(fault = %fault, "a lane object was not confirmed; following the lane and judging its batches again");
        self.metrics.put_unconfirmed();
        loop {
            let learned = match &fault {
                PutFault::NotWritten(_) => writer.follow().await,
                PutFault::Lost => writer.restart().await,
            };
            let why = match (&learned, &fault) {
                // Another hub was first: nothing is wrong with the store.
                (Ok(()), PutFault::Lost) => return true,
                (Ok(()), PutFault::NotWritten(cause)) if cause.is_conflict() => return true,
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

    async fn pause(&mut self, waiting: &mut Waiting, requests: &mut Vec<Request>, attempt: &mut u32, why: &str) -> bool {
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
                () = self.stop.cancelled() => return false,
                () = &mut over => return true,
                Some(request) = self.requests.recv(), if waiting.len() < WAITING_REQUESTS_MAX => match request {
                    Request::Push(push) => refuse_unavailable(Request::Push(push), why),
                    request @ (Request::Open(_) | Request::Batch(_) | Request::Gap(_)) => waiting.add(request, self.now()),
                },
            }
        }
    }

    async fn writer(&mut self, waiting: &mut Waiting) -> Option<LaneWriter> {
        let mut attempt = 0;
        loop {
            match self.store.writer().await {
                Ok(writer) => return Some(writer),
                Err(fault) => {
                    if !self.pause(waiting, &mut Vec::new(), &mut attempt, &fault.to_string()).await {
                        return None;
                    }
                }
            }
        }
    }

    /// The producers that the opens are about: the edge's own, else the first of its identity (lane rule 8).
    async fn firsts(&self, writer: &LaneWriter, requests: &[Request]) -> Result<BTreeMap<usize, ProducerId>, StoreFault> {
        let mut firsts = BTreeMap::new();
        for (at, request) in requests.iter().enumerate() {
            let Request::Open(open) = request else { continue };
            if let Some(producer) = self.resolve(writer, open).await? {
                firsts.insert(at, producer);
            }
        }
        Ok(firsts)
    }

    async fn resolve(&self, writer: &LaneWriter, open: &Open) -> Result<Option<ProducerId>, StoreFault> {
        let first = self.store.first_producer(&open.speaker.cluster, &open.speaker.edge, writer.lane()).await?;
        Ok(match open.producer {
            None => Some(first),
            // A producer that is not in the fold may be opened only if it is this identity's first.
            Some(own) => (own == first || writer.fold().producer(&own).is_some()).then_some(own),
        })
    }

    async fn answer(&self, plan: Plan, requests: Vec<Request>) {
        self.metrics.duplicates(plan.duplicates);
        for (to, reply) in plan.now.into_iter().chain(plan.after) {
            // A session that does not read its answers is slow or gone; it will ask again after it reconnects.
            drop(to.try_send(reply));
        }
        let mut pushes = plan.pushes.into_iter().peekable();
        for (at, request) in requests.into_iter().enumerate() {
            if let Request::Push(push) = request
                && let Some((_, decided)) = pushes.next_if(|(index, _)| *index == at)
            {
                tell(push, decided.answer());
            }
        }
    }
}

/// A push does not wait for a store that is away: its sender is told at once and tries again. Should the
/// object land late after all, its key makes the repeat known (lane rule 10).
fn shed_pushes(requests: &mut Vec<Request>) {
    for push in requests.extract_if(.., |request| matches!(request, Request::Push(_))) {
        refuse_unavailable(push, "the store is away");
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
    };
    drop(to.try_send(Reply::Refused { producer, sequence, why: why.clone() }));
}

#[cfg(test)]
mod tests;
