//! WAL -> session -> acks -> trim, for ever.
//!
//! Parts: [`Shipper::run`] (dials with backoff, talks, dials again), `Talk` (one session: the pure
//! [`window::Window`] decides, this awaits). Promises: only durable batches leave; nothing is ever given
//! up because the hub is away; a refusal keeps the lines in the WAL. Must not do: read sources, or judge answers.

pub mod window;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edge_wal::{Entry, Settled, SourcePosition, TrackState, Wal, WalFault, WalReader};
use proto_link::{CloseCode, Dial, LinkFault, Session, Targets, backoff};
use proto_model::{Chain, ProducerId, Sequence, Timestamp, TrackId, WalId};
use proto_seam::World;
use proto_wire::edge_hub::message::Kind;
use proto_wire::edge_hub::{Batch, Bye, Gap, Heartbeat, Hello, Message, Position};
use proto_wire::version;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::status::Status;
use window::{Standing, Step, Window};

/// Between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// No ack for so long although batches are in flight: the session is useless, dial again.
const ACK_WAIT_MAX: Duration = Duration::from_secs(180);
/// The hub has so long to answer Hello.
const HELLO_WAIT_MAX: Duration = Duration::from_secs(10);
/// Between two trims of the WAL.
const TRIM_EVERY: Duration = Duration::from_secs(2);

/// The WAL as tasks share it: the lock is held for one call, on a worker.
pub type SharedWal = Arc<std::sync::Mutex<Wal>>;

/// Runs `act` on the WAL, on a worker.
pub async fn with_wal<T: Send + 'static>(world: &World, wal: &SharedWal, act: impl FnOnce(&mut Wal) -> T + Send + 'static) -> T {
    let wal = Arc::clone(wal);
    world.workers.run(move || act(&mut wal.lock().unwrap_or_else(std::sync::PoisonError::into_inner))).await
}

/// Where `track` stands.
fn track_of(wal: &Wal, track: TrackId) -> TrackState {
    let fresh = || TrackState {
        track,
        producer: None,
        next: Sequence(1),
        chain: Chain::default(),
        acked: Sequence(0),
        acked_chain: Chain::default(),
        oldest: Sequence(1),
        closed: false,
    };
    wal.tracks().into_iter().find(|state| state.track == track).unwrap_or_else(fresh)
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
    /// Told when the WAL holds it.
    pub done: oneshot::Sender<Result<(), WalFault>>,
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
    /// The track that is shipped.
    pub track: TrackId,
    /// How a session is made.
    pub dial: Arc<dyn Dial>,
    /// The hubs, tried in turn.
    pub targets: Targets,
    /// Newest durable sequence.
    pub durable: watch::Receiver<Sequence>,
    /// Where an adoption is carried out.
    pub adopt: mpsc::Sender<Adoption>,
    /// What pages and metrics show.
    pub status: Status,
    /// Bytes a second that may be sent; 0 = no limit.
    pub bandwidth: u64,
    /// When it was made.
    pub began: Instant,
    /// Ends the shipping.
    pub stop: CancellationToken,
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
        let mut window = self.window().await;
        let entropy = self.world.entropy.fork("ship");
        let nonce = entropy.next_u128().to_be_bytes();
        let mut failures = 0;
        let mut better: Option<Session> = None;
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
                    let mut talk = Talk { shipper: &self, window: &mut window, session, nonce, paced_until: self.steady(), opened: false };
                    let ended = talk.run().await;
                    let opened = talk.opened;
                    window.closed();
                    if let Ended::Better(session) = ended {
                        tracing::info!(transport = session.peer.transport.word(), "a session over a better transport stands; the old one is left");
                        better = Some(*session);
                        continue;
                    }
                    let why = ended.to_string();
                    self.status.session_ended(&why);
                    tracing::info!(why, "the session with the hub ended");
                    failures = if opened { 1 } else { failures + 1 };
                }
                Err(fault) => {
                    self.status.dial_failed(fault.word(), &fault.to_string());
                    tracing::warn!(%fault, "the hub could not be reached; lines are kept in the WAL");
                    failures += 1;
                    self.targets.advance();
                }
            }
            let wait = backoff::wait(failures, &entropy);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn window(&self) -> Window {
        let track = self.track;
        with_wal(&self.world, &self.wal, move |wal| {
            let state = track_of(wal, track);
            Window::new(track, state.producer, state.acked, state.acked_chain)
        })
        .await
    }
}

/// How a session ended.
enum Ended {
    /// The edge stops.
    Stopped,
    /// Something went wrong.
    Broken(String),
    /// A session over a better transport takes its place.
    Better(Box<Session>),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stopped => f.write_str("this edge stops"),
            Self::Broken(why) => f.write_str(why),
            Self::Better(_) => f.write_str("a better transport stands"),
        }
    }
}

/// One session.
struct Talk<'s> {
    shipper: &'s Shipper,
    window: &'s mut Window,
    session: Session,
    nonce: [u8; 16],
    /// With a bandwidth limit: nothing is sent before this (steady) time.
    paced_until: Timestamp,
    /// Whether the hub said Welcome: only then the backoff begins anew.
    opened: bool,
}

impl Talk<'_> {
    async fn run(&mut self) -> Ended {
        let (dial, target) = (Arc::clone(&self.shipper.dial), self.shipper.targets.current().clone());
        let transport = self.session.peer.transport;
        let better = async move { dial.better(&target, transport).await };
        tokio::pin!(better);
        tokio::select! {
            biased;
            talked = self.talk() => talked.map_or_else(Ended::Broken, |()| Ended::Stopped),
            session = &mut better => {
                self.session.close(CloseCode::Done, "a better transport stands");
                Ended::Better(Box::new(session))
            }
        }
    }

    async fn talk(&mut self) -> Result<(), String> {
        self.hello().await?;
        self.open().await?;
        let mut durable = self.shipper.durable.clone();
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        let mut trim = tokio::time::interval(TRIM_EVERY);
        loop {
            let now = self.shipper.steady();
            let newest = *durable.borrow_and_update();
            let wanted = self.window.wanted(newest);
            let paced = Timestamp(self.paced_until.0.max(now.0)).since(now);
            let retry = self.window.retry_at().map(|at| Timestamp(at.0.max(now.0)).since(now));
            tokio::select! {
                biased;
                () = self.shipper.stop.cancelled() => {
                    drop(self.session.outgoing.try_send(Message { kind: Some(Kind::Bye(Bye { text: "this edge stops".to_owned() })) }));
                    self.session.close(CloseCode::Done, "this edge stops");
                    drop(self.session.closed().await);
                    return Ok(());
                }
                heard = self.session.incoming.recv() => self.hear(heard).await?,
                () = tokio::time::sleep(paced), if wanted.is_some() => {
                    if let Some(sequence) = wanted {
                        self.send(sequence).await?;
                    }
                }
                Ok(()) = durable.changed(), if wanted.is_none() => {}
                () = tokio::time::sleep(retry.unwrap_or_default()), if retry.is_some() => self.open().await?,
                _ = heartbeat.tick() => self.heartbeat().await?,
                _ = trim.tick() => self.trim().await?,
            }
        }
    }

    async fn say(&self, kind: Kind) -> Result<(), String> {
        self.session.outgoing.send(Message { kind: Some(kind) }).await.map_err(|_| "the session closed".to_owned())
    }

    async fn hello(&mut self) -> Result<(), String> {
        let hello = Hello {
            version_min: version::VERSION_MIN,
            version_max: version::VERSION_MAX,
            program: concat!("tributary-edge ", env!("CARGO_PKG_VERSION")).to_owned(),
            nonce: Bytes::copy_from_slice(&self.nonce),
            wal_id: self.shipper.wal_id.0,
            clock_ns: self.shipper.now().nanos(),
        };
        self.say(Kind::Hello(hello)).await?;
        let heard = tokio::time::timeout(HELLO_WAIT_MAX, self.session.incoming.recv()).await.map_err(|_| "the hub did not answer Hello".to_owned())?;
        match kind_of(heard)? {
            Kind::Hello(answer) if answer.version_min == answer.version_max && answer.version_max == version::VERSION_MAX => Ok(()),
            Kind::Refuse(refuse) => Err(format!("the hub refused: {}; {}", refuse.text, refuse.fix)),
            Kind::Hello(_)
            | Kind::Open(_)
            | Kind::Welcome(_)
            | Kind::Batch(_)
            | Kind::Gap(_)
            | Kind::Ack(_)
            | Kind::Expect(_)
            | Kind::Slow(_)
            | Kind::Heartbeat(_)
            | Kind::Bye(_)
            | Kind::Close(_) => Err("the hub did not answer Hello with a version".to_owned()),
        }
    }

    async fn open(&mut self) -> Result<(), String> {
        let track = self.shipper.track;
        let state = with_wal(&self.shipper.world, &self.shipper.wal, move |wal| track_of(wal, track)).await;
        self.window.acked_chain(state.acked_chain);
        let open = self.window.open(state.next, state.oldest);
        self.session.outgoing.send(open).await.map_err(|_| "the session closed".to_owned())
    }

    async fn hear(&mut self, heard: Option<Result<Message, LinkFault>>) -> Result<(), String> {
        let kind = kind_of(heard)?;
        match &kind {
            Kind::Bye(bye) => return Err(format!("the hub said goodbye: {}", bye.text)),
            Kind::Welcome(_) => self.opened = true,
            Kind::Refuse(refuse) => {
                self.shipper.status.refused(refuse.code().as_str_name(), &refuse.text);
                tracing::warn!(code = refuse.code().as_str_name(), text = refuse.text, fix = refuse.fix, "the hub refused; lines are kept in the WAL");
            }
            Kind::Hello(_)
            | Kind::Open(_)
            | Kind::Batch(_)
            | Kind::Gap(_)
            | Kind::Ack(_)
            | Kind::Expect(_)
            | Kind::Slow(_)
            | Kind::Heartbeat(_)
            | Kind::Close(_) => {}
        }
        for step in self.window.hear(&kind, self.shipper.steady()) {
            self.carry_out(step).await?;
        }
        let (producer, epoch, acked) = self.window.report();
        self.shipper.status.stands(producer, epoch, acked, matches!(self.window.standing(), Standing::Open));
        Ok(())
    }

    async fn carry_out(&mut self, step: Step) -> Result<(), String> {
        let (world, wal, track) = (&self.shipper.world, &self.shipper.wal, self.shipper.track);
        let failed = |fault: WalFault| format!("the WAL failed: {fault}");
        match step {
            Step::Say(message) => self.session.outgoing.send(message).await.map_err(|_| "the session closed".to_owned()),
            Step::Bind(producer) => {
                with_wal(world, wal, move |wal| wal.bind(track, producer)).await.map_err(failed)?;
                self.window.bound(producer);
                Ok(())
            }
            Step::Adopt { producer, last, chain, positions } => self.adopt(producer, last, chain, &positions).await,
            Step::Settle { last, chain, positions } => self.settle(last, chain, &positions).await,
            Step::Acked(sequence) => {
                let acked = with_wal(world, wal, move |wal| {
                    let waiting = wal.usage().lines_unacked;
                    wal.acked(track, sequence).map(|()| waiting.saturating_sub(wal.usage().lines_unacked))
                });
                self.shipper.status.acked_lines(acked.await.map_err(failed)?);
                Ok(())
            }
            Step::SetAside(sequence, reason) => {
                tracing::error!(sequence = sequence.0, reason, "a batch is set aside: the hub refused it for good");
                with_wal(world, wal, move |wal| wal.set_aside(track, sequence, reason)).await.map(drop).map_err(failed)
            }
            Step::Redial(why) => Err(why),
        }
    }

    async fn adopt(&mut self, producer: ProducerId, last: Sequence, chain: Chain, positions: &[Position]) -> Result<(), String> {
        let stops = || "the edge stops".to_owned();
        let (done, answer) = oneshot::channel();
        let positions = positions.iter().map(position_of).collect();
        let adoption = Adoption { track: self.shipper.track, producer, last, chain, positions, done };
        self.shipper.adopt.send(adoption).await.map_err(|_| stops())?;
        answer.await.map_err(|_| stops())?.map_err(|fault| format!("the WAL failed: {fault}"))?;
        self.window.adopted(producer, last, chain);
        Ok(())
    }

    async fn settle(&mut self, last: Sequence, chain: Chain, positions: &[Position]) -> Result<(), String> {
        let (track, producer) = (self.shipper.track, self.window.report().0);
        let settled = with_wal(&self.shipper.world, &self.shipper.wal, move |wal| wal.settle(track, last, chain)).await;
        match settled.map_err(|fault| format!("the WAL failed: {fault}"))? {
            Settled::Agreed => self.window.settled(last, chain),
            Settled::RolledBack { lost } => {
                tracing::error!(last = last.0, lost = ?lost, "the hub knows less than it acknowledged: was its bucket restored? What is kept is sent again");
                self.shipper.status.lost(lost.as_ref().and_then(|lost| lost.lines));
                self.window.settled(last, chain);
            }
            Settled::Behind => {
                let producer = producer.ok_or("the track is not bound")?;
                self.adopt(producer, last, chain, positions).await?;
            }
            Settled::Diverged => {
                tracing::error!(last = last.0, "the hub's chain is not that of this WAL: two edges share one producer, or the WAL was changed");
                self.window.diverged(self.shipper.steady());
            }
        }
        Ok(())
    }

    async fn send(&mut self, sequence: Sequence) -> Result<(), String> {
        let (reader, track) = (self.shipper.reader.clone(), self.shipper.track);
        let read = self.shipper.world.workers.run(move || reader.read(track, sequence)).await.map_err(|fault| format!("the WAL failed: {fault}"))?;
        let (Some(entry), Some((producer, epoch))) = (read, self.window.stamp()) else { return Ok(()) };
        let producer = Bytes::copy_from_slice(&producer.to_bytes());
        let (kind, to, bytes) = message_of(entry, producer, epoch.0);
        self.say(kind).await?;
        let now = self.shipper.steady();
        self.window.sent(to, bytes, now);
        if self.shipper.bandwidth > 0 {
            let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.shipper.bandwidth);
            let begin = Timestamp(self.paced_until.0.max(now.0));
            self.paced_until = begin.plus(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
        }
        Ok(())
    }

    async fn heartbeat(&mut self) -> Result<(), String> {
        if self.window.waited(self.shipper.steady()) > ACK_WAIT_MAX {
            return Err("the hub has not acknowledged anything for too long".to_owned());
        }
        let heartbeat: Heartbeat = self.shipper.status.heartbeat(self.shipper.now());
        self.say(Kind::Heartbeat(heartbeat)).await
    }

    async fn trim(&self) -> Result<(), String> {
        let now = self.shipper.now();
        with_wal(&self.shipper.world, &self.shipper.wal, move |wal| wal.trim(now)).await.map(drop).map_err(|fault| format!("the WAL failed: {fault}"))
    }
}

fn kind_of(heard: Option<Result<Message, LinkFault>>) -> Result<Kind, String> {
    match heard {
        None => Err("the hub closed the session".to_owned()),
        Some(Err(fault)) => Err(fault.to_string()),
        Some(Ok(message)) => message.kind.ok_or_else(|| "the hub sent a message of an unknown kind".to_owned()),
    }
}

fn message_of(entry: Entry, producer: Bytes, epoch: u64) -> (Kind, Sequence, u64) {
    match entry {
        Entry::Batch { sequence, chain_previous, digest, body, positions, .. } => {
            let bytes = body.len() as u64;
            let batch = Batch {
                producer,
                epoch,
                sequence: sequence.0,
                chain_previous: Bytes::copy_from_slice(&chain_previous.0),
                digest: Bytes::copy_from_slice(&digest.0),
                positions: positions.iter().map(told_position).collect(),
                body,
            };
            (Kind::Batch(batch), sequence, bytes)
        }
        Entry::Gap { from, to, chain_previous, chain_to, lines, bytes, min, max, reason, source } => {
            let gap = Gap {
                producer,
                epoch,
                from: from.0,
                to: to.0,
                chain_previous: Bytes::copy_from_slice(&chain_previous.0),
                chain_to: Bytes::copy_from_slice(&chain_to.0),
                lines,
                bytes,
                min_ns: min.nanos(),
                max_ns: max.nanos(),
                reason,
                source,
            };
            (Kind::Gap(gap), to, 0)
        }
    }
}

/// What the hub is told of a position: where reading would have to resume without this edge's memory.
fn told_position(position: &SourcePosition) -> Position {
    Position {
        path: position.path.clone(),
        device: position.identity.device,
        inode: position.identity.inode,
        head: position.head_hash,
        head_len: position.head_len,
        generation: position.generation,
        offset: position.resume,
        gone: position.gone,
    }
}

fn position_of(told: &Position) -> SourcePosition {
    SourcePosition {
        path: told.path.clone(),
        identity: proto_seam::FileIdentity { device: told.device, inode: told.inode },
        head_hash: told.head,
        head_len: told.head_len,
        generation: told.generation,
        offset: told.offset,
        resume: told.offset,
        held: Vec::new(),
        gone: told.gone,
    }
}
