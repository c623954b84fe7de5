//! Pushes to the lane of their tenant (lane rule 10): the own sealer when that is the own lane, else one made for it.
//!
//! Parts: [`PushLanes`], which knows each tenant's lane (fixed when it first pushed); [`Router::run`], one task that
//! hands pushes on and owns the sealers of push lanes. Promises: a sealer lives while its lane has pushes and a minute
//! longer; their number is bounded, a push beyond it is told to come back. Must not do: judge pushes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hub_store::{Store, StoreFault};
use hub_tenant::Grant;
use proto_model::{LaneId, TenantId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::limits::{PUSH_REQUESTS_MAX, PUSH_SEALERS_MAX};
use crate::request::{Push, PushRefused, Request};
use crate::seal::{Lane, Sealer, Seals};

/// Which lane takes which tenant's pushes; clones share it.
#[derive(Debug, Clone)]
pub struct PushLanes {
    store: Arc<Store>,
    known: Arc<Mutex<BTreeMap<TenantId, LaneId>>>,
}

impl PushLanes {
    /// Nothing known yet.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, known: Arc::default() }
    }

    /// The lane of the grant's tenant. `None`: this hub has no lane yet.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn of(&self, grant: &Grant) -> Result<Option<LaneId>, StoreFault> {
        if let Some(lane) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(grant.tenant()) {
            return Ok(Some(*lane));
        }
        let Some(own) = self.store.own_lane() else { return Ok(None) };
        let lane = self.store.push_lane(grant, own).await?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(grant.tenant().clone(), lane);
        Ok(Some(lane))
    }
}

/// Hands pushes on.
pub struct Router {
    pub(crate) pushes: mpsc::Receiver<Push>,
    /// The sealer of the own lane.
    pub(crate) own: mpsc::Sender<Request>,
    pub(crate) with: Seals,
}

impl Router {
    /// Until told to stop; then its sealers end first.
    pub async fn run(mut self) {
        let (mut sealers, mut tasks) = (BTreeMap::<LaneId, mpsc::Sender<Request>>::new(), JoinSet::new());
        loop {
            tokio::select! {
                biased;
                () = self.with.stop.cancelled() => break,
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    if let Err(failed) = ended {
                        let failed: tokio::task::JoinError = failed;
                        tracing::error!(%failed, "a sealer of a push lane failed; the next push makes another");
                    }
                    sealers.retain(|_, sealer| !sealer.is_closed());
                }
                push = self.pushes.recv() => match push {
                    Some(push) => self.hand_on(push, &mut sealers, &mut tasks),
                    None => break,
                },
            }
        }
        while tasks.join_next().await.is_some() {}
        self.pushes.close();
        while let Ok(push) = self.pushes.try_recv() {
            refuse(push);
        }
    }

    fn hand_on(&self, push: Push, sealers: &mut BTreeMap<LaneId, mpsc::Sender<Request>>, tasks: &mut JoinSet<()>) {
        let lane = push.lane;
        let to = if self.with.store.own_lane() == Some(lane) { Some(&self.own) } else { sealers.get(&lane) };
        let Some(to) = to else { return self.begin(lane, push, sealers, tasks) };
        match to.try_send(Request::Push(push)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(request)) => {
                tracing::warn!(%lane, "too many pushes wait for their lane");
                give_back(request);
            }
            // It was idle and ended in this moment.
            Err(mpsc::error::TrySendError::Closed(Request::Push(push))) => self.begin(lane, push, sealers, tasks),
            Err(mpsc::error::TrySendError::Closed(_)) => {}
        }
    }

    fn begin(&self, lane: LaneId, push: Push, sealers: &mut BTreeMap<LaneId, mpsc::Sender<Request>>, tasks: &mut JoinSet<()>) {
        sealers.retain(|_, sealer| !sealer.is_closed());
        if sealers.len() >= PUSH_SEALERS_MAX {
            tracing::warn!(%lane, "this hub writes as many push lanes as it may: tenants' pushes come from too many places");
            return refuse(push);
        }
        let (sender, requests) = mpsc::channel(PUSH_REQUESTS_MAX);
        if let Err(unsent) = sender.try_send(Request::Push(push)) {
            return give_back(unsent.into_inner());
        }
        sealers.insert(lane, sender);
        tasks.spawn(Sealer::new(self.with.clone(), Lane::Push(lane), requests).run());
    }
}

fn give_back(request: Request) {
    if let Request::Push(push) = request {
        refuse(push);
    }
}

fn refuse(push: Push) {
    if push.reply.send(Err(PushRefused::Unavailable)).is_err() {
        tracing::debug!("the sender of a push is gone");
    }
}
