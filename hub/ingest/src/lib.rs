//! The way in: accept -> identify -> admit -> gather -> seal -> ack.
//!
//! [`Ingest::start`] is that path written down. Parts in its order: [`accept`] (sessions), [`session`]
//! (what may be said when; pure), [`admit`] (a batch checked and labelled; pure), [`gather`] (what goes
//! into the next object; pure, on [`cursors`]), [`seal`] (object, store, acks). Pushes join at gather
//! ([`Ingest::push`]). Beside the path: [`registry`] (edges for the pages), [`metrics`], [`limits`].
//!
//! Promises: an ack means the lines are durable and visible; nothing is acked twice as new; memory is
//! bounded by [`limits::WAITING_BYTES_MAX`]. Must not do: HTTP, object names, queries.

pub mod accept;
pub mod admit;
pub mod cursors;
pub mod fault;
pub mod gather;
pub mod limits;
pub mod metrics;
pub mod pace;
pub mod registry;
pub mod request;
#[cfg(test)]
mod rig;
pub mod seal;
pub mod session;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use certs::TrustDomain;
use hub_store::{HubRow, Store};
use hub_tenant::{Grant, Tenants};
use proto_link::Listen;
use proto_model::Timestamp;
use proto_seam::World;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use accept::Door;
use limits::{PUSH_ANSWER_MAX, TICK, TICK_LATE_MAX, WAITING_BYTES_MAX, WAITING_REQUESTS_MAX};
use metrics::IngestMetrics;
use registry::Registry;
use request::{Push, PushDone, PushRefused, Request, Room, Speaker};
use seal::Sealer;

/// What the way in is made of.
pub struct IngestParts {
    /// Where lane objects go.
    pub store: Arc<Store>,
    /// Who owns which cluster.
    pub tenants: watch::Receiver<Arc<Tenants>>,
    /// Edges that may no longer speak.
    pub revoked: watch::Receiver<Arc<BTreeSet<Speaker>>>,
    /// Sessions come from here.
    pub listeners: Vec<Box<dyn Listen>>,
    /// The trust domain of edge certificates.
    pub trust_domain: TrustDomain,
    /// Longest wait of a batch for others.
    pub linger: Duration,
    /// Bodies of one lane object.
    pub object_bytes_max: usize,
    /// Counters.
    pub metrics: IngestMetrics,
    /// The world.
    pub world: World,
}

/// A running way in.
#[derive(Clone)]
pub struct Ingest {
    requests: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
    registry: Registry,
    world: World,
    wake: watch::Receiver<u64>,
}

impl Ingest {
    /// Starts accepting and sealing; the tasks end after `stop`, sessions first, then the sealer.
    #[must_use]
    pub fn start(parts: IngestParts, stop: &CancellationToken) -> (Self, JoinSet<()>) {
        let (requests, queue) = mpsc::channel(WAITING_REQUESTS_MAX);
        let (woke, wake) = watch::channel(0);
        let room = Arc::new(Semaphore::new(WAITING_BYTES_MAX));
        let registry = Registry::default();
        let mut tasks = JoinSet::new();
        let door = Door {
            world: parts.world.clone(),
            trust_domain: parts.trust_domain,
            tenants: parts.tenants.clone(),
            requests: requests.clone(),
            room: Arc::clone(&room),
            registry: registry.clone(),
            metrics: parts.metrics.clone(),
            wake: wake.clone(),
            revoked: parts.revoked,
            stop: stop.clone(),
        };
        for listener in parts.listeners {
            tasks.spawn(door.clone().run(listener));
        }
        let sealer = Sealer {
            store: parts.store,
            tenants: parts.tenants,
            requests: queue,
            world: parts.world.clone(),
            linger: parts.linger,
            object_bytes_max: parts.object_bytes_max,
            metrics: parts.metrics,
            stop: stop.clone(),
        };
        tasks.spawn(sealer.run());
        tasks.spawn(tick(parts.world.clone(), woke, stop.clone()));
        (Self { requests, room, registry, world: parts.world, wake }, tasks)
    }

    /// Stores a push; answers when it is durable and visible.
    ///
    /// # Errors
    /// [`PushRefused`]: nothing is promised then; the same body or key sent again is stored once.
    pub async fn push(&self, grant: Grant, key: Vec<u8>, rows: Vec<HubRow>, body: Bytes, lines: u64) -> Result<PushDone, PushRefused> {
        let arrived = Timestamp(self.world.clock.now_ns());
        let permits = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.room).acquire_many_owned(permits).await.map_err(|_| PushRefused::Unavailable)?;
        let (reply, answer) = oneshot::channel();
        let push = Push { grant, key, arrived, rows, body, lines, room: Room { permit: Some(permit) }, reply };
        self.requests.send(Request::Push(push)).await.map_err(|_| PushRefused::Unavailable)?;
        // Given up here it is not built any more; should it stand already, its key makes the repeat known.
        match tokio::time::timeout(PUSH_ANSWER_MAX, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(PushRefused::Unavailable),
        }
    }

    /// Edges met by this hub.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Changes each time the hub finds that it slept: connections from before must be closed (lane rule 10).
    #[must_use]
    pub fn wake(&self) -> watch::Receiver<u64> {
        self.wake.clone()
    }
}

/// Finds out whether this process slept (lane rule 10): how long requests lay in its sockets meanwhile
/// cannot be known.
async fn tick(world: World, woke: watch::Sender<u64>, stop: CancellationToken) {
    let mut last = world.clock.now_ns();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        let now = world.clock.now_ns();
        if Timestamp(now).since(Timestamp(last)) > TICK + TICK_LATE_MAX {
            tracing::warn!("this hub slept for more than 30 s: closing all connections");
            woke.send_modify(|count| *count += 1);
        }
        last = now;
    }
}
