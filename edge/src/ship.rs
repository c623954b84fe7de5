//! WAL -> session -> acks -> trim, for ever.
//!
//! Parts: [`Shipper::run`] (dials with backoff, talks, dials again), [`talk`] (one session: the pure parts decide, it
//! awaits), [`tracks`], [`window`] and [`share`] (pure: all tracks, one track, who sends next and how fast), `message`
//! (entries as messages). Promises: only durable batches leave; nothing is ever given up because the hub is away; a
//! refusal keeps the lines in the WAL. Must not do: read sources, or judge answers.

mod message;
pub mod share;
pub mod talk;
pub mod tracks;
pub mod window;

use std::sync::Arc;
use std::time::Duration;

use edge_wal::{SourcePosition, TrackState, Wal, WalFault, WalReader};
use proto_link::{Dial, Session, Targets, backoff};
use proto_model::{Chain, ProducerId, Sequence, Timestamp, TrackId, WalId};
use proto_seam::World;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::reload::Reload;
use crate::status::Status;
use share::Pace;
use talk::{Ended, Talk};
use tracks::Tracks;
use window::Window;

/// The WAL as tasks share it: the lock is held for one call, on a worker.
pub type SharedWal = Arc<std::sync::Mutex<Wal>>;

/// Runs `act` on the WAL, on a worker.
pub async fn with_wal<T: Send + 'static>(world: &World, wal: &SharedWal, act: impl FnOnce(&mut Wal) -> T + Send + 'static) -> T {
    let wal = Arc::clone(wal);
    world.workers.run(move || act(&mut wal.lock().unwrap_or_else(std::sync::PoisonError::into_inner))).await
}

/// What the shipper asks of the collector, who alone appends and reads sources.
#[derive(Debug)]
pub enum Order {
    /// Continue where the hub stands.
    Adopt(Adoption),
    /// What is read from now on has a track of its own, a new one or this one; answered with it once all of the one before is durable.
    BeginTrack(Option<TrackId>, oneshot::Sender<Result<TrackId, WalFault>>),
    /// How far the hub has the sources, at the first Welcome of the newest track: where it knows one further on than a
    /// damaged WAL, its word is better.
    HubPositions(Vec<SourcePosition>),
    /// Other jobs are read from now on: not the shipper's order, but the operator's.
    Reload(Box<Reload>),
}

/// The hub knows this edge from a WAL that is gone: numbering and reading continue where it stands.
#[derive(Debug)]
pub struct Adoption {
    /// The track.
    pub track: TrackId,
    /// Its producer.
    pub producer: ProducerId,
    /// Newest committed sequence and its chain.
    pub last: Sequence,
    /// See `last`.
    pub chain: Chain,
    /// How far sources are committed.
    pub positions: Vec<SourcePosition>,
    /// The same in the tracks before it.
    pub older: Vec<SourcePosition>,
    /// The hub has told of all of those: what it did not name it never had.
    pub is_whole: bool,
    /// Told when the WAL holds it.
    pub done: oneshot::Sender<Result<(), WalFault>>,
}

/// Newest durable sequence of the newest track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The track.
    pub track: TrackId,
    /// Its newest durable sequence.
    pub sequence: Sequence,
}

/// Ships one WAL to one hub.
pub struct Shipper {
    /// The world.
    pub world: World,
    /// The WAL, for acks and trimming.
    pub wal: SharedWal,
    /// The WAL's id.
    pub wal_id: WalId,
    /// The WAL, for reading.
    pub reader: WalReader,
    /// How a session is made.
    pub dial: Arc<dyn Dial>,
    /// The hubs, tried in turn.
    pub targets: Targets,
    /// Newest durable sequence.
    pub durable: watch::Receiver<Mark>,
    /// Where orders are carried out.
    pub orders: mpsc::Sender<Order>,
    /// What pages and metrics show.
    pub status: Status,
    /// Bytes a second that may be sent; 0 = no limit.
    pub bandwidth: u64,
    /// Share of the backlog beside live lines, per mille; and so old makes the oldest batch of the newest track it a backlog.
    pub backlog: (u32, Duration),
    /// When it was made.
    pub began: Instant,
    /// Ends the shipping.
    pub stop: CancellationToken,
}

/// The window of a track as the WAL knows it.
fn window_of(state: &TrackState) -> Window {
    Window::new(state.track, state.producer, state.acked, state.acked_chain)
}

impl Shipper {
    fn now(&self) -> Timestamp {
        Timestamp(self.world.clock.now_ns())
    }

    /// Time since the start, for waits: a wall clock that is set back would stretch them.
    fn steady(&self) -> Timestamp {
        Timestamp(0).plus(self.began.elapsed())
    }

    /// Dials and talks until told to stop.
    pub async fn run(mut self) {
        let mut tracks = self.tracks().await;
        let mut pace = Pace::new(self.bandwidth);
        let entropy = self.world.entropy.fork("ship");
        let nonce = entropy.next_u128().to_be_bytes();
        let mut failures = 0;
        let mut better: Option<Session> = None;
        let mut hub_told = false;
        while !self.stop.is_cancelled() {
            let dialled = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                dialled = async {
                    match better.take() {
                        Some(session) => Ok(session),
                        None => self.dial.dial(self.targets.current()).await,
                    }
                } => dialled,
            };
            match dialled {
                Ok(session) => {
                    self.status.session_began(session.peer.transport.word());
                    pace.session_began();
                    let mut talk = Talk::new(&self, (&mut tracks, &mut pace), session, nonce, &mut hub_told);
                    let ended = talk.run().await;
                    let (opened, unserved) = (talk.is_opened(), talk.is_unserved());
                    tracks.closed();
                    if let Ended::Better(session) = ended {
                        tracing::info!(transport = session.peer.transport.word(), "a session over a better transport stands; the old one is left");
                        better = Some(*session);
                        continue;
                    }
                    let why = ended.to_string();
                    self.status.session_ended(&why);
                    tracing::info!(why, "the session with the hub ended");
                    // Who is turned away waits longer each time, also when it was let in at first.
                    failures = if opened && !matches!(ended, Ended::Refused(_)) { 1 } else { failures + 1 };
                    if unserved {
                        self.targets.advance();
                    }
                }
                Err(fault) => {
                    self.status.dial_failed(fault.word(), &fault.to_string());
                    tracing::warn!(%fault, "the hub could not be reached; lines are kept in the WAL");
                    failures += 1;
                    self.targets.advance();
                }
            }
            let wait = backoff::DIAL.wait(failures, &entropy);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn tracks(&self) -> Tracks {
        let states = with_wal(&self.world, &self.wal, |wal| wal.tracks()).await;
        Tracks::new(states.iter().filter(|state| !state.closed).map(window_of), self.backlog)
    }
}
