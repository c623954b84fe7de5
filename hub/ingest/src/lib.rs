//! The way in: accept -> identify -> admit -> gather -> seal -> ack.
//!
//! [`Ingest::start`] is that path written down. Parts in its order: [`accept`] (sessions), [`session`]
//! (what may be said when; pure), [`admit`] (a batch checked and labelled; pure), [`room`] (bytes that may wait),
//! [`queue`] (who gets into the next object; pure), [`gather`] (what becomes of each request; pure, on [`cursors`]
//! and [`clones`]), [`seal`] (object, store, acks). Edges that come over from another lane go by [`mover`] (on
//! [`moves`]; pure). Pushes join at the sealer of their tenant's lane ([`pushes`]), unless the hub has just slept ([`awake`]). Beside the path: [`meter`] (how
//! fast edges send and may, on [`pace`]; pure), [`registry`] (edges for the pages), [`metrics`], [`limits`].
//!
//! Promises: an ack means the lines are durable and visible; nothing is acked twice as new; memory is
//! bounded by [`limits::WAITING_BYTES_MAX`]; an edge or tenant that sends too much slows itself, not the others.
//! Must not do: HTTP, object names, queries.

pub mod accept;
pub mod admit;
pub mod awake;
pub mod clones;
pub mod cursors;
pub mod fault;
pub mod gather;
pub mod limits;
pub mod meter;
pub mod metrics;
pub mod mover;
pub mod moves;
pub mod pace;
pub mod pushes;
pub mod queue;
pub mod registry;
pub mod request;
#[cfg(test)]
mod rig;
pub mod room;
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
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use accept::Door;
use awake::Awake;
use limits::{LANE_LOOK_EVERY, PUSH_ANSWER_MAX, PUSH_REQUESTS_MAX, WAITING_BYTES_MAX, WAITING_REQUESTS_MAX, WALKS_WAITING};
use meter::{Gauge, Meters};
use metrics::IngestMetrics;
use mover::Mover;
use pushes::{PushLanes, Router};
use registry::Registry;
use request::{Push, PushDone, PushRefused, Speaker};
use room::Rooms;
use seal::{Lane, Sealer, Seals};

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
    pushes: mpsc::Sender<Push>,
    lanes: PushLanes,
    rooms: Rooms,
    registry: Registry,
    world: World,
    awake: Awake,
    wake: watch::Receiver<u64>,
}

impl Ingest {
    /// Starts accepting and sealing; the tasks end after `stop`, sessions first, then the sealers.
    #[must_use]
    pub fn start(parts: IngestParts, stop: &CancellationToken) -> (Self, JoinSet<()>) {
        let (requests, queue) = mpsc::channel(WAITING_REQUESTS_MAX);
        let (walker, asked) = mpsc::channel(WALKS_WAITING);
        let (pushes, pushed) = mpsc::channel(PUSH_REQUESTS_MAX);
        let (woke, wake) = watch::channel(0);
        let (rooms, meters, gauge, registry) = (Rooms::new(WAITING_BYTES_MAX), Meters::default(), Gauge::default(), Registry::default());
        let IngestParts { store, tenants, revoked, listeners, trust_domain, linger, object_bytes_max, metrics, world } = parts;
        let door = Door {
            world: world.clone(),
            trust_domain,
            tenants: tenants.clone(),
            requests: requests.clone(),
            rooms: rooms.clone(),
            meters: meters.clone(),
            registry: registry.clone(),
            metrics: metrics.clone(),
            wake: wake.clone(),
            revoked,
            stop: stop.clone(),
        };
        let with = Seals {
            store: Arc::clone(&store),
            tenants,
            world: world.clone(),
            linger,
            object_bytes_max,
            metrics: metrics.clone(),
            gauge: gauge.clone(),
            stop: stop.clone(),
        };
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(door.clone().run(listener));
        }
        tasks.spawn(Sealer::new(with.clone(), Lane::Own(walker), queue).run());
        tasks.spawn(Mover { store: Arc::clone(&store), asked, back: requests.clone(), world: world.clone(), stop: stop.clone() }.run());
        tasks.spawn(Router { pushes: pushed, own: requests, with }.run());
        tasks.spawn(meter::run(meters, gauge, rooms.clone(), Arc::clone(&store), metrics, world.clone(), stop.clone()));
        let awake = Awake::new(Timestamp(world.clock.now_ns()));
        tasks.spawn(awake::tick(world.clone(), awake.clone(), woke, stop.clone()));
        (Self { pushes, lanes: PushLanes::new(store), rooms, registry, world, awake, wake }, tasks)
    }

    /// Stores a push; answers when it is durable and visible.
    ///
    /// # Errors
    /// [`PushRefused`]: nothing is promised then; the same body or key sent again is stored once.
    pub async fn push(&self, grant: Grant, key: Vec<u8>, rows: Vec<HubRow>, body: Bytes, lines: u64) -> Result<PushDone, PushRefused> {
        // Given up here it is not built any more; should it stand already, its key makes the repeat known.
        tokio::time::timeout(PUSH_ANSWER_MAX, self.try_push(grant, key, rows, body, lines)).await.unwrap_or(Err(PushRefused::Unavailable))
    }

    async fn try_push(&self, grant: Grant, key: Vec<u8>, rows: Vec<HubRow>, body: Bytes, lines: u64) -> Result<PushDone, PushRefused> {
        let arrived = Timestamp(self.world.clock.now_ns());
        if !self.awake.is_sure(arrived) {
            return Err(PushRefused::Unavailable);
        }
        let room = self.rooms.part(self.rooms.budget()).enter(Some(grant.tenant()), body.len()).await;
        let lane = loop {
            match self.lanes.of(&grant).await {
                Ok(Some(lane)) => break lane,
                // The hub begins: its lane comes in a moment, or the store is away and the caller's patience ends.
                Ok(None) => tokio::time::sleep(LANE_LOOK_EVERY).await,
                Err(fault) => {
                    tracing::warn!(%fault, "the lane of a tenant's pushes is not known");
                    return Err(PushRefused::Unavailable);
                }
            }
        };
        let (reply, answer) = oneshot::channel();
        let push = Push { grant, lane, key, arrived, rows, body, lines, room, reply };
        self.pushes.send(push).await.map_err(|_| PushRefused::Unavailable)?;
        answer.await.unwrap_or(Err(PushRefused::Unavailable))
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
