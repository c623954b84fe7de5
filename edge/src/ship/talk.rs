//! One session with a hub.
//!
//! Parts: [`Talk::run`] (hello, open all tracks, then the loop: hear, send, open again, heartbeat, trim), the steps that
//! the pure parts decided on, [`Ended`]. Promises: a producer is in the WAL before a batch leaves under it; what
//! the hub and the WAL disagree on is settled before anything is sent. Must not do: decide who sends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edge_wal::{Committed, Settled, SourcePosition, TrackState, Wal, WalFault};
use proto_link::{CloseCode, LinkFault, Session};
use proto_model::{Chain, ProducerId, Sequence, Timestamp, TrackId};
use proto_wire::edge_hub::message::Kind;
use proto_wire::edge_hub::{Bye, Heartbeat, Hello, Message, Position, RefuseCode};
use proto_wire::version;
use tokio::sync::oneshot;

use super::message::{kind_of, message_of, position_of};
use super::share::Pace;
use super::tracks::Tracks;
use super::window::{Standing, Step};
use super::{Adoption, Order, Shipper, window_of, with_wal};
use crate::status::TrackStanding;

/// Between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// No answer for so long although one is due: the session is useless, dial again.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(180);
/// For so long a hub may say that it cannot open a track now, before another is tried.
const UNAVAILABLE_MAX: Duration = Duration::from_secs(30);
/// The hub has so long to answer Hello.
const HELLO_WAIT_MAX: Duration = Duration::from_secs(10);
/// Between two trims of the WAL, and looks whether the newest track has become a backlog.
const TRIM_EVERY: Duration = Duration::from_secs(2);

/// How a session ended.
pub enum Ended {
    /// The edge stops.
    Stopped,
    /// Something went wrong.
    Broken(String),
    /// The hub turned this edge away.
    Refused(String),
    /// A session over a better transport takes its place.
    Better(Box<Session>),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stopped => f.write_str("this edge stops"),
            Self::Broken(why) | Self::Refused(why) => f.write_str(why),
            Self::Better(_) => f.write_str("a better transport stands"),
        }
    }
}

/// One session.
pub struct Talk<'s> {
    shipper: &'s Shipper,
    tracks: &'s mut Tracks,
    pace: &'s mut Pace,
    session: Session,
    nonce: [u8; 16],
    /// Whether the hub said Welcome: only then the backoff begins anew.
    opened: bool,
    /// The hub refused the session itself.
    refused: bool,
    /// The hub keeps this edge waiting: another may serve it.
    unserved: bool,
    /// Since when the hub says that it cannot now, and neither opened nor acknowledged anything.
    unavailable_since: Option<Timestamp>,
    /// The collector knows how far the hub has the sources (once in a process).
    hub_told: &'s mut bool,
    /// How far the hub has them, by the newest Welcome of each track in this session.
    hub_positions: BTreeMap<TrackId, Vec<SourcePosition>>,
    /// The newest track may have become a backlog.
    look: bool,
}

/// The track as the WAL knows it.
fn state_of(wal: &Wal, track: TrackId) -> Result<TrackState, WalFault> {
    wal.tracks().into_iter().find(|state| state.track == track).ok_or(WalFault::NoTrack { track })
}

fn failed(fault: &WalFault) -> String {
    format!("the WAL failed: {fault}")
}

fn gone<T>(_: T) -> String {
    "the session closed".to_owned()
}

impl<'s> Talk<'s> {
    /// On a session that was just made; `nonce` names this process.
    #[must_use]
    pub fn new(shipper: &'s Shipper, (tracks, pace): (&'s mut Tracks, &'s mut Pace), session: Session, nonce: [u8; 16], hub_told: &'s mut bool) -> Self {
        Self {
            shipper,
            tracks,
            pace,
            session,
            nonce,
            opened: false,
            refused: false,
            unserved: false,
            unavailable_since: None,
            hub_told,
            hub_positions: BTreeMap::new(),
            look: false,
        }
    }

    /// Whether the hub said Welcome.
    #[must_use]
    pub const fn is_opened(&self) -> bool {
        self.opened
    }

    /// Whether the session came to nothing, or to nothing any more: another hub may be better off.
    #[must_use]
    pub const fn is_unserved(&self) -> bool {
        self.unserved || !self.opened
    }

    /// Talks until the session ends.
    pub async fn run(&mut self) -> Ended {
        let (dial, target) = (Arc::clone(&self.shipper.dial), self.shipper.targets.current().clone());
        let transport = self.session.peer.transport;
        let better = async move { dial.better(&target, transport).await };
        tokio::pin!(better);
        tokio::select! {
            biased;
            talked = self.talk() => match talked {
                Ok(()) => Ended::Stopped,
                Err(why) if self.refused => Ended::Refused(why),
                Err(why) => Ended::Broken(why),
            },
            session = &mut better => {
                self.session.close(CloseCode::Done, "a better transport stands");
                Ended::Better(Box::new(session))
            }
        }
    }

    async fn talk(&mut self) -> Result<(), String> {
        self.hello().await?;
        let mut durable = self.shipper.durable.clone();
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        let mut trim = tokio::time::interval(TRIM_EVERY);
        loop {
            self.open_due().await?;
            self.close_drained().await?;
            if std::mem::take(&mut self.look) {
                self.look_at_backlog().await?;
            }
            let now = self.shipper.steady();
            durable.mark_unchanged();
            let wanted = self.tracks.wanted(|track| self.shipper.reader.durable(track));
            let paced = self.pace.wait(now);
            let retry = self.tracks.retry_at().map(|at| at.since(now));
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
                    if let Some((track, sequence)) = wanted.filter(|_| paced.is_zero()) {
                        self.send(track, sequence).await?;
                    }
                }
                Ok(()) = durable.changed(), if wanted.is_none() => {}
                () = tokio::time::sleep(retry.unwrap_or_default()), if retry.is_some() => {}
                _ = heartbeat.tick() => self.heartbeat().await?,
                _ = trim.tick() => self.trim().await?,
            }
        }
    }

    async fn say(&self, kind: Kind) -> Result<(), String> {
        self.session.outgoing.send(Message { kind: Some(kind) }).await.map_err(gone)
    }

    async fn wal<T: Send + 'static>(&self, act: impl FnOnce(&mut Wal) -> Result<T, WalFault> + Send + 'static) -> Result<T, String> {
        with_wal(&self.shipper.world, &self.shipper.wal, act).await.map_err(|fault| failed(&fault))
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
            Kind::Refuse(refuse) => {
                self.refused = true;
                Err(format!("the hub refused: {}; {}", refuse.text, refuse.fix))
            }
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

    /// Asks the hub to open every track that is not open, oldest first.
    async fn open_due(&mut self) -> Result<(), String> {
        for track in self.tracks.to_open(self.shipper.steady()) {
            let state = self.wal(move |wal| state_of(wal, track)).await?;
            let (now, followed) = (self.shipper.steady(), self.tracks.newest() > Some(track));
            let Some(window) = self.tracks.window(track) else { continue };
            window.acked_chain(state.acked_chain);
            let open = window.open(state.next, state.oldest, followed, now);
            self.session.outgoing.send(open).await.map_err(gone)?;
        }
        Ok(())
    }

    async fn hear(&mut self, heard: Option<Result<Message, LinkFault>>) -> Result<(), String> {
        let kind = kind_of(heard)?;
        let now = self.shipper.steady();
        match &kind {
            Kind::Bye(bye) => return Err(format!("the hub said goodbye: {}", bye.text)),
            Kind::Welcome(welcome) => {
                (self.opened, self.unavailable_since) = (true, None);
                let track = TrackId(welcome.track);
                self.hub_positions.insert(track, welcome.positions.iter().map(|told| position_of(track, told)).collect());
                self.name_later(TrackId(welcome.later)).await?;
            }
            Kind::Slow(slow) => self.pace.slow(slow.bytes_per_second, Duration::from_millis(u64::from(slow.for_ms)), now),
            Kind::Ack(_) => self.unavailable_since = None,
            Kind::Refuse(refuse) => {
                if refuse.code() == RefuseCode::RefuseUnavailable {
                    self.unavailable_since.get_or_insert(now);
                }
                self.shipper.status.refused(refuse.code().as_str_name(), &refuse.text);
                tracing::warn!(code = refuse.code().as_str_name(), text = refuse.text, fix = refuse.fix, "the hub refused; lines are kept in the WAL");
            }
            Kind::Hello(_) | Kind::Open(_) | Kind::Batch(_) | Kind::Gap(_) | Kind::Expect(_) | Kind::Heartbeat(_) | Kind::Close(_) => {}
        }
        for (track, step) in self.tracks.hear(&kind, now) {
            self.refused |= matches!((&step, &kind), (Step::Redial(_), Kind::Refuse(_)));
            self.carry_out(track, step).await?;
        }
        if matches!(kind, Kind::Welcome(_)) {
            self.look = true;
            self.tell_positions().await?;
        }
        self.report();
        Ok(())
    }

    /// Once in a process, when the newest track stands: the collector learns how far the hub has the sources.
    async fn tell_positions(&mut self) -> Result<(), String> {
        let stands = self.tracks.iter().next_back().is_some_and(|(_, window)| *window.standing() == Standing::Open);
        if stands && !std::mem::replace(self.hub_told, true) {
            let positions = self.hub_positions.values().flatten().cloned().collect();
            self.shipper.orders.send(Order::HubPositions(positions)).await.map_err(|_| "the edge stops".to_owned())?;
        }
        Ok(())
    }

    fn report(&self) {
        let standing = |(track, window): (TrackId, &super::window::Window)| {
            let (producer, epoch, acked) = window.report();
            TrackStanding { track, producer, epoch, acked, state: window.standing().word() }
        };
        self.shipper.status.stand(self.tracks.iter().map(standing).collect());
    }

    async fn carry_out(&mut self, track: TrackId, step: Step) -> Result<(), String> {
        match step {
            Step::Say(message) => self.session.outgoing.send(message).await.map_err(gone),
            Step::Bind(producer) => {
                self.wal(move |wal| wal.bind(track, producer)).await?;
                if let Some(window) = self.tracks.window(track) {
                    window.bound(producer);
                }
                if self.tracks.is_named(track) {
                    // Nothing was ever stored in it.
                    self.order_track(Some(track)).await?.map_err(|fault| failed(&fault))?;
                }
                self.tracks.join(track);
                Ok(())
            }
            Step::Adopt { producer, last, chain, positions } => self.adopt(track, (producer, last, chain), &positions).await,
            Step::Settle { producer, last, chain, positions } => self.settle(track, (producer, last, chain), &positions).await,
            // This WAL holds nothing of it that could be carried over.
            Step::Carry { producer, positions, .. } if self.tracks.is_named(track) => {
                self.adopt(track, (producer, Sequence(0), Chain::default()), &positions).await
            }
            Step::Carry { producer, committed, .. } => self.carry(track, producer, committed).await,
            Step::Closed(end) => self.close(track, end).await,
            Step::Acked(sequence) => {
                let acked = self.wal(move |wal| wal.acked(track, sequence)).await?;
                let is_live = self.tracks.newest() == Some(track);
                let latency = acked.newest.filter(|_| is_live).map(|written| self.shipper.now().since(written));
                self.shipper.status.acked(acked.lines, latency);
                Ok(())
            }
            Step::SetAside(sequence, reason) => {
                tracing::error!(sequence = sequence.0, reason, "a batch is set aside: the hub refused it for good");
                if let Some(lost) = self.wal(move |wal| wal.set_aside(track, sequence, reason)).await? {
                    self.shipper.status.lost(&lost.reason, lost.lines);
                }
                Ok(())
            }
            Step::Redial(why) => Err(why),
        }
    }

    async fn adopt(&mut self, track: TrackId, stand: (ProducerId, Sequence, Chain), positions: &[Position]) -> Result<(), String> {
        if !self.tracks.is_alone(track, stand.0, self.shipper.steady()) {
            return Ok(());
        }
        let stops = || "the edge stops".to_owned();
        let (producer, last, chain) = stand;
        let (done, answer) = oneshot::channel();
        let positions = positions.iter().map(|told| position_of(track, told)).collect();
        let older = self.hub_positions.range(..track).flat_map(|(_, told)| told.iter().cloned()).collect();
        let is_whole = self.tracks.is_whole(track);
        let adoption = Adoption { track, producer, last, chain, positions, older, is_whole, done };
        self.shipper.orders.send(Order::Adopt(adoption)).await.map_err(|_| stops())?;
        answer.await.map_err(|_| stops())?.map_err(|fault| failed(&fault))?;
        if let Some(window) = self.tracks.window(track) {
            window.adopted(producer, last, chain);
        }
        self.tracks.join(track);
        Ok(())
    }

    /// The hub knows a later track of this WAL, which was set back to before that one began: it is asked for too.
    async fn name_later(&mut self, later: TrackId) -> Result<(), String> {
        if self.tracks.name(later) {
            tracing::warn!(later = later.0, "this WAL was set back to before a later track of it began: what is read goes on where that one stands");
            self.wal(move |wal| wal.know_track(later)).await?;
        }
        Ok(())
    }

    async fn settle(&mut self, track: TrackId, (producer, last, chain): (ProducerId, Sequence, Chain), positions: &[Position]) -> Result<(), String> {
        let now = self.shipper.steady();
        let Some((bound, _, acked)) = self.tracks.window(track).map(|window| window.report()) else { return Ok(()) };
        let is_moved = bound != Some(producer);
        if last < acked || (is_moved && last.0 == 0) {
            // The hub was rolled back, or may have been. Before the WAL agrees: a crash in between must not forget it.
            self.reopen_closed().await?;
        }
        let settled = self.wal(move |wal| wal.settle(track, last, chain)).await?;
        match settled {
            Settled::Behind => return self.adopt(track, (producer, last, chain), positions).await,
            // This WAL was set back and went on under numbers that were taken: what moved on is the truth.
            Settled::Diverged if is_moved => return self.adopt(track, (producer, last, chain), positions).await,
            Settled::Diverged => {
                tracing::error!(last = last.0, "the hub's chain is not that of this WAL: two edges share one producer, or the WAL was changed");
                if let Some(window) = self.tracks.window(track) {
                    window.diverged(now);
                }
                return Ok(());
            }
            Settled::Agreed => {}
            Settled::RolledBack { lost } => {
                tracing::error!(last = last.0, lost = ?lost, "the hub knows less than it acknowledged: was its bucket restored? What is kept is sent again");
                if let Some(lost) = lost {
                    self.shipper.status.lost(&lost.reason, lost.lines);
                }
            }
        }
        if is_moved {
            tracing::info!(%producer, track = track.0, "another producer goes on for this track");
            self.wal(move |wal| wal.bind(track, producer)).await?;
        }
        if let Some(window) = self.tracks.window(track) {
            window.moved(producer);
            window.settled(last, chain);
        }
        self.tracks.join(track);
        Ok(())
    }

    /// A hub that was rolled back may lack closed tracks too: those that the WAL still holds are asked for again, and end again if the hub has them.
    async fn reopen_closed(&mut self) -> Result<(), String> {
        for state in self.wal(Wal::reopen_closed).await? {
            tracing::warn!(track = state.track.0, "the hub was rolled back: a track that was closed is asked for again");
            self.tracks.add(window_of(&state));
        }
        Ok(())
    }

    async fn carry(&mut self, track: TrackId, producer: ProducerId, committed: Committed) -> Result<(), String> {
        let carried = self.wal(move |wal| wal.carry_over(track, producer, &committed)).await?;
        tracing::warn!(%producer, track = track.0, left_out = carried.left_out, kept = carried.kept, "the track is carried over: what the hub has is left out");
        if let Some(window) = self.tracks.window(track) {
            window.bound(producer);
        }
        self.tracks.join(track);
        Ok(())
    }

    /// The hub holds the end of `track`, at `end`: what of it was not yet known to be acked is.
    async fn close(&mut self, track: TrackId, end: Sequence) -> Result<(), String> {
        if self.tracks.newest() == Some(track) {
            return Err("the hub closed the track that new batches join: this is a fault of the hub program, report it".to_owned());
        }
        let durable = self.shipper.reader.durable(track);
        if end < durable {
            tracing::error!(
                track = track.0,
                end = end.0,
                durable = durable.0,
                "the hub ended this track before its last batch: was another WAL of this edge in use?"
            );
            let now = self.shipper.steady();
            if let Some(window) = self.tracks.window(track) {
                window.diverged(now);
            }
            return Ok(());
        }
        let acked = self.wal(move |wal| wal.acked(track, durable)).await?;
        self.shipper.status.acked(acked.lines, None);
        match with_wal(&self.shipper.world, &self.shipper.wal, move |wal| wal.close_track(track)).await {
            // A restart asks the hub again, which then says the same.
            Ok(()) | Err(WalFault::DiskFull { .. }) => {}
            Err(fault) => return Err(failed(&fault)),
        }
        tracing::info!(track = track.0, "a track is drained and closed");
        self.tracks.remove(track);
        Ok(())
    }

    /// Closes the oldest track that is drained.
    async fn close_drained(&mut self) -> Result<(), String> {
        if let Some((track, next)) = self.tracks.drained(|track| self.shipper.reader.durable(track)) {
            let chain = self.wal(move |wal| state_of(wal, track).map(|state| state.acked_chain)).await?;
            let now = self.shipper.steady();
            if let Some(close) = self.tracks.window(track).and_then(|window| window.close(chain, next, now)) {
                self.session.outgoing.send(close).await.map_err(gone)?;
            }
        }
        Ok(())
    }

    /// Begins a track when the newest has become a backlog.
    async fn look_at_backlog(&mut self) -> Result<(), String> {
        let Some(newest) = self.tracks.newest() else { return Ok(()) };
        let usage = self.wal(move |wal| Ok(wal.track_usage())).await?;
        let oldest: BTreeMap<TrackId, _> = usage.into_iter().map(|usage| (usage.state.track, usage.oldest_unacked)).collect();
        if self.tracks.wants_new(oldest.get(&newest).copied().flatten(), self.shipper.now()) {
            self.begin_track().await?;
        }
        Ok(())
    }

    /// What is read from now on joins `track`, or a new one.
    async fn order_track(&self, track: Option<TrackId>) -> Result<Result<TrackId, WalFault>, String> {
        let stops = || "the edge stops".to_owned();
        let (done, answer) = oneshot::channel();
        self.shipper.orders.send(Order::BeginTrack(track, done)).await.map_err(|_| stops())?;
        answer.await.map_err(|_| stops())
    }

    async fn begin_track(&mut self) -> Result<(), String> {
        match self.order_track(None).await? {
            Ok(track) => {
                tracing::info!(track = track.0, "an old backlog drains apart: what is read from now on has a track of its own");
                let state = self.wal(move |wal| state_of(wal, track)).await?;
                self.tracks.add(window_of(&state));
            }
            Err(fault) => tracing::warn!(%fault, "no track of their own for live lines: they follow the backlog"),
        }
        Ok(())
    }

    async fn send(&mut self, track: TrackId, sequence: Sequence) -> Result<(), String> {
        let reader = self.shipper.reader.clone();
        let read = self.shipper.world.workers.run(move || reader.read(track, sequence)).await.map_err(|fault| failed(&fault))?;
        let stamp = self.tracks.window(track).and_then(|window| window.stamp());
        let (Some(entry), Some((producer, epoch))) = (read, stamp) else { return Ok(()) };
        let producer = Bytes::copy_from_slice(&producer.to_bytes());
        let (kind, to, bytes) = message_of(entry, producer, epoch.0);
        self.say(kind).await?;
        let now = self.shipper.steady();
        let reader = &self.shipper.reader;
        self.tracks.sent(track, to, bytes, |track| reader.durable(track), now);
        self.pace.sent(bytes, now);
        Ok(())
    }

    async fn heartbeat(&mut self) -> Result<(), String> {
        let now = self.shipper.steady();
        let why = if self.tracks.waited(now) > ANSWER_WAIT_MAX {
            Some("the hub has not answered for too long")
        } else if self.unavailable_since.is_some_and(|since| now.since(since) > UNAVAILABLE_MAX) {
            Some("the hub has been of no use for too long")
        } else {
            None
        };
        if let Some(why) = why {
            self.unserved = true;
            return Err(why.to_owned());
        }
        let heartbeat: Heartbeat = self.shipper.status.heartbeat(self.shipper.now());
        self.say(Kind::Heartbeat(heartbeat)).await
    }

    async fn trim(&mut self) -> Result<(), String> {
        self.look = true;
        let now = self.shipper.now();
        self.wal(move |wal| wal.trim(now)).await.map(drop)
    }
}
