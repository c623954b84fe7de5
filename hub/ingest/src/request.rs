//! What sessions and pushes ask of the sealer, and what it answers.
//!
//! Parts: [`Request`] (open, batch, gap, close, push), each with what it needs to be judged again on another
//! fold; [`Reply`]. A request carries its share of the waiting bytes ([`Room`]) until it is answered.
//! Must not do: decide anything.

#[cfg(test)]
pub(crate) mod blank;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use hub_store::HubRow;
use hub_tenant::Grant;
use proto_model::{BatchDigest, Chain, ClusterId, EdgeId, Epoch, LaneId, ProducerId, Sequence, Timestamp, TrackId};
use proto_wire::edge_hub::Position;
use tokio::sync::{mpsc, oneshot};

use crate::moves::Target;
pub use crate::room::Room;

/// Rough bytes of one source position in a record.
const POSITION_BYTES: usize = 96;

/// Who speaks: proven by certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Speaker {
    /// The cluster.
    pub cluster: ClusterId,
    /// The edge.
    pub edge: EdgeId,
}

impl std::fmt::Display for Speaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.cluster, self.edge)
    }
}

/// One thing to be sealed.
#[derive(Debug)]
pub enum Request {
    /// Open a track's producer under a new epoch.
    Open(Open),
    /// Store a batch.
    Batch(Offer),
    /// Take note of batches that were given up.
    Gap(GapOffer),
    /// End a track that is drained.
    Close(CloseOffer),
    /// Store a push.
    Push(Push),
}

impl Request {
    /// Bytes that it brings into a lane object: its frozen batch, or positions taken over.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        match self {
            Self::Batch(offer) => offer.body.len(),
            Self::Push(push) => push.body.len(),
            Self::Open(open) => open.target.as_ref().map_or(0, |target| target.beginning.positions.len() * POSITION_BYTES),
            Self::Gap(_) | Self::Close(_) => 0,
        }
    }

    /// The edge that asks; `None` for a push.
    #[must_use]
    pub const fn speaker(&self) -> Option<&Speaker> {
        match self {
            Self::Open(Open { speaker, .. }) | Self::Batch(Offer { speaker, .. }) => Some(speaker),
            Self::Gap(GapOffer { speaker, .. }) | Self::Close(CloseOffer { speaker, .. }) => Some(speaker),
            Self::Push(_) => None,
        }
    }
}

/// See [`Request::Open`].
#[derive(Debug)]
pub struct Open {
    /// Who asks.
    pub speaker: Speaker,
    /// The edge's name for the track.
    pub track: TrackId,
    /// The producer the edge believes it is; `None` on its first meeting.
    pub producer: Option<ProducerId>,
    /// The edge process' nonce.
    pub nonce: [u8; 16],
    /// The edge's WAL.
    pub wal_id: u64,
    /// Newest sequence the edge holds an ack for, and its chain.
    pub acked: (Sequence, Chain),
    /// No new batches join the track.
    pub followed: bool,
    /// What is to be opened, once the chain of its producers was walked to the end.
    pub target: Option<Box<Target>>,
    /// How often it was walked.
    pub walks: u32,
    /// Producers that may end in this one: they were known when its session asked for the same track before, and it goes on asking.
    pub confirmed: Arc<BTreeSet<ProducerId>>,
    /// Where the answer goes.
    pub reply: mpsc::Sender<Reply>,
}

/// See [`Request::Batch`].
#[derive(Debug)]
pub struct Offer {
    /// Who sends.
    pub speaker: Speaker,
    /// Under which producer and epoch.
    pub producer: ProducerId,
    /// See `producer`.
    pub epoch: Epoch,
    /// Its number.
    pub sequence: Sequence,
    /// C of the number before.
    pub chain_previous: Chain,
    /// D of the body, verified.
    pub digest: BatchDigest,
    /// The source positions it advances.
    pub positions: Vec<Position>,
    /// The hub's stream rows.
    pub rows: Vec<HubRow>,
    /// The frozen batch.
    pub body: Bytes,
    /// Number of lines by the table.
    pub lines: u64,
    /// Its share of the waiting bytes.
    pub room: Room,
    /// Where the answer goes.
    pub reply: mpsc::Sender<Reply>,
}

/// See [`Request::Gap`].
#[derive(Debug)]
pub struct GapOffer {
    /// Who sends.
    pub speaker: Speaker,
    /// Under which producer and epoch.
    pub producer: ProducerId,
    /// See `producer`.
    pub epoch: Epoch,
    /// First number given up.
    pub from: Sequence,
    /// Last number given up.
    pub to: Sequence,
    /// C of the number before `from`.
    pub chain_previous: Chain,
    /// C after the gap.
    pub chain_to: Chain,
    /// Lines and bytes, if known.
    pub lines: Option<u64>,
    /// See `lines`.
    pub bytes: Option<u64>,
    /// Earliest and latest line.
    pub range: (Timestamp, Timestamp),
    /// Why.
    pub reason: String,
    /// Of which source, if one.
    pub source: String,
    /// Where the answer goes.
    pub reply: mpsc::Sender<Reply>,
}

/// See [`Request::Close`].
#[derive(Debug)]
pub struct CloseOffer {
    /// Who sends.
    pub speaker: Speaker,
    /// Which producer, under which epoch.
    pub producer: ProducerId,
    /// See `producer`.
    pub epoch: Epoch,
    /// Its newest number, acked.
    pub sequence: Sequence,
    /// The chain there.
    pub chain: Chain,
    /// Who goes on in its place.
    pub next: ProducerId,
    /// Where the answer goes.
    pub reply: mpsc::Sender<Reply>,
}

/// See [`Request::Push`].
#[derive(Debug)]
pub struct Push {
    /// For which tenant.
    pub grant: Grant,
    /// The lane of its pushes: no other takes it (lane rule 10).
    pub lane: LaneId,
    /// What makes a repeat known (lane rule 10).
    pub key: Vec<u8>,
    /// When the request arrived.
    pub arrived: Timestamp,
    /// The hub's stream rows.
    pub rows: Vec<HubRow>,
    /// The frozen batch.
    pub body: Bytes,
    /// Number of lines.
    pub lines: u64,
    /// Its share of the waiting bytes.
    pub room: Room,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<PushDone, PushRefused>>,
}

/// A push that stands in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushDone {
    /// Stored now.
    Stored,
    /// The same was stored within the hour.
    Repeated,
}

/// A push that was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushRefused {
    /// The store is away, or the hub goes down: try again.
    #[error("the object store cannot be reached: try again")]
    Unavailable,
    /// It waited too long to be safe against repeats.
    #[error("the request waited longer than 5 minutes: send it again")]
    TooOld,
}

/// What of a producer stands in the lane, for an edge whose track goes on under another numbering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarryOver {
    /// Which.
    pub producer: ProducerId,
    /// Its newest durable sequence.
    pub last: Sequence,
    /// The chain there.
    pub chain: Chain,
    /// D of the newest up to `last`; all zero for a number in a gap.
    pub digests: Vec<BatchDigest>,
    /// Its track has ended: the edge brings nothing over.
    pub ended: bool,
}

impl CarryOver {
    /// That the track of `producer` has ended, wherever.
    #[must_use]
    pub const fn ended(producer: ProducerId) -> Self {
        Self { producer, last: Sequence(0), chain: Chain([0; 16]), digests: Vec::new(), ended: true }
    }
}

/// The sealer's word to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A track is open.
    Opened {
        /// Which.
        track: TrackId,
        /// Its producer.
        producer: ProducerId,
        /// The epoch that now stands in the lane.
        epoch: Epoch,
        /// Newest committed sequence and its chain.
        last: Sequence,
        /// See `last`.
        chain: Chain,
        /// How far each source is committed.
        positions: Vec<Position>,
        /// What stands of the producer before, when this one has a numbering of its own.
        carry: Option<CarryOver>,
        /// The oldest later track of this WAL that is open.
        later: Option<TrackId>,
    },
    /// A track has ended.
    Closed {
        /// Whose.
        producer: ProducerId,
        /// Under which epoch.
        epoch: Epoch,
        /// Where it ended.
        sequence: Sequence,
        /// The chain there.
        chain: Chain,
        /// Who goes on in its place.
        next: ProducerId,
    },
    /// All up to here stand in the store.
    Acked {
        /// Whose.
        producer: ProducerId,
        /// Under which epoch.
        epoch: Epoch,
        /// Up to which number.
        sequence: Sequence,
    },
    /// Rewind.
    Expect {
        /// Whose.
        producer: ProducerId,
        /// Under which epoch.
        epoch: Epoch,
        /// The number wanted next.
        sequence: Sequence,
    },
    /// No.
    Refused {
        /// Whose; `None` when the whole session is meant.
        producer: Option<ProducerId>,
        /// Which batch, 0 when none.
        sequence: Sequence,
        /// Why.
        why: Refusal,
    },
}

/// Why the sealer says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A newer epoch was allotted, or the producer goes on elsewhere: open again.
    Fenced,
    /// The producer belongs to another identity, or does not exist in its lane.
    Denied,
    /// The chain or a digest does not fit.
    Diverged(String),
    /// The protocol forbids it.
    Protocol(String),
    /// It cannot be stored by itself, whatever the store does.
    TooLarge(String),
    /// The cluster is in no tenant.
    NoTenant,
    /// The store is away or the hub goes down.
    Unavailable(String),
    /// It would end other tracks of its edge, and may have lain here while its process died: whoever lives asks again.
    Unconfirmed {
        /// Which track.
        track: TrackId,
        /// What is known to stand beside it.
        others: BTreeSet<ProducerId>,
    },
}
