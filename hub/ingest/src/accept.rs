//! Sessions in: one task each, bounded in count and memory.
//!
//! Parts: [`Door::run`] (accepts from one listener), `serve` (drives one session: messages to the pure
//! [`crate::session::SessionState`], offers to the sealer, replies back). Promises: a session reads its
//! next batch only when there is room among the waiting bytes, so a slow store stops the socket and the
//! edge behind it; an accept error or a panic in a session never ends the door. Must not do: judge batches.

use std::collections::BTreeSet;
use std::sync::Arc;

use certs::{EdgeIdentity, TrustDomain};
use hub_tenant::Tenants;
use proto_link::{CloseCode, Listen, Session};
use proto_model::Timestamp;
use proto_seam::World;
use proto_wire::edge_hub::message::Kind;
use proto_wire::edge_hub::{Bye, Message, RefuseCode};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admit::{self, NotAdmitted};
use crate::limits::{HELLO_WAIT_MAX, REPLIES_MAX, SESSION_BYTES_MAX, SESSIONS_MAX, SILENCE_MAX};
use crate::meter::{Meter, Meters};
use crate::metrics::IngestMetrics;
use crate::registry::Registry;
use crate::request::{CloseOffer, GapOffer, Offer, Open, Refusal, Reply, Request, Speaker};
use crate::room::{Part, Room, Rooms};
use crate::session::{self, Act, BatchAsked, CloseAsked, GapAsked, OpenAsked, SessionState};

/// What a revoked edge is told.
const REVOKED: &str = "this edge's identity is revoked";

/// Sessions beyond the bound that are told so at once.
const TURNED_AWAY_MAX: usize = 64;

/// What every session needs.
#[derive(Clone)]
pub struct Door {
    pub(crate) world: World,
    pub(crate) trust_domain: TrustDomain,
    pub(crate) tenants: watch::Receiver<Arc<Tenants>>,
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) rooms: Rooms,
    pub(crate) meters: Meters,
    pub(crate) registry: Registry,
    pub(crate) metrics: IngestMetrics,
    /// Changes when the hub slept: sessions from before it are closed (lane rule 10).
    pub(crate) wake: watch::Receiver<u64>,
    pub(crate) revoked: watch::Receiver<Arc<BTreeSet<Speaker>>>,
    pub(crate) stop: CancellationToken,
}

impl Door {
    fn now(&self) -> Timestamp {
        Timestamp(self.world.clock.now_ns())
    }

    /// Accepts until told to stop, then waits for the sessions to say goodbye.
    pub async fn run(self, mut listener: Box<dyn Listen>) {
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(ended) = sessions.join_next(), if !sessions.is_empty() => {
                    if let Err(failed) = ended {
                        tracing::error!(%failed, "a session task failed; the edge will dial again");
                    }
                }
                accepted = listener.accept() => match accepted {
                    None => break,
                    Some(Err(fault)) => {
                        self.metrics.refused(fault.word());
                        tracing::info!(%fault, "a connection was refused");
                    }
                    Some(Ok(session)) if sessions.len() >= SESSIONS_MAX => {
                        self.metrics.refused("sessions");
                        // Nobody waits for one who is turned away; at the second bound it is just dropped.
                        if sessions.len() < SESSIONS_MAX + TURNED_AWAY_MAX {
                            sessions.spawn(async move {
                                turn_away(&session, RefuseCode::RefuseUnavailable, "this hub serves as many sessions as it may", "add a hub").await;
                            });
                        }
                    }
                    Some(Ok(session)) => {
                        let door = self.clone();
                        sessions.spawn(async move { door.serve(session).await });
                    }
                }
            }
        }
        while sessions.join_next().await.is_some() {}
    }

    async fn serve(self, session: Session) {
        let der = session.peer.certificate_der.clone().unwrap_or_default();
        let identity = match EdgeIdentity::from_certificate(&der, &self.trust_domain) {
            Ok(identity) => identity,
            Err(fault) => {
                self.metrics.refused("bad_identity");
                tracing::warn!(peer = %session.peer.address, %fault, "an edge was refused");
                turn_away(&session, RefuseCode::RefuseDenied, &fault.to_string(), "issue the edge a certificate with one identity of this trust domain").await;
                return;
            }
        };
        let speaker = Speaker { cluster: identity.cluster, edge: identity.edge };
        if self.revoked.borrow().contains(&speaker) {
            self.metrics.refused("revoked");
            tracing::warn!(%speaker, "a revoked edge was refused");
            turn_away(&session, RefuseCode::RefuseDenied, REVOKED, "enrol the edge under a new name").await;
            return;
        }
        let tenant = self.tenants.borrow().identify(&speaker.cluster).map(|grant| grant.tenant().clone());
        let transport = session.peer.transport.word();
        self.registry.begin(&speaker, transport, tenant.clone(), self.now());
        let meter = self.meters.enter(&speaker, tenant.clone());
        if tenant.is_none() {
            self.metrics.refused("no_tenant");
            tracing::warn!(%speaker, "the cluster of this edge belongs to no tenant; the edge keeps buffering");
        }
        self.metrics.session(transport);
        let mut talk = Talk::new(&self, session, speaker.clone(), meter);
        talk.run().await;
        self.registry.end(&speaker, self.now());
    }
}

async fn turn_away(session: &Session, code: RefuseCode, text: &str, fix: &str) {
    drop(session.outgoing.send(session::refuse(code, text, fix)).await);
    session.close(CloseCode::Refused, text);
    drop(session.closed().await);
}

/// One session being served.
struct Talk<'d> {
    door: &'d Door,
    session: Session,
    speaker: Speaker,
    state: SessionState,
    meter: Meter,
    part: Part,
    replies: mpsc::Receiver<Reply>,
    reply: mpsc::Sender<Reply>,
}

impl<'d> Talk<'d> {
    fn new(door: &'d Door, session: Session, speaker: Speaker, meter: Meter) -> Self {
        let (reply, replies) = mpsc::channel(REPLIES_MAX);
        let part = door.rooms.part(SESSION_BYTES_MAX);
        Self { door, session, speaker, state: SessionState::default(), meter, part, replies, reply }
    }

    async fn run(&mut self) {
        let mut revoked = self.door.revoked.clone();
        let mut wake = self.door.wake.clone();
        wake.mark_unchanged();
        let mut slow = self.meter.slow();
        loop {
            let silence = if self.state.hello().is_some() { SILENCE_MAX } else { HELLO_WAIT_MAX };
            let goes_on = tokio::select! {
                biased;
                () = self.door.stop.cancelled() => self.goodbye("this hub is shutting down").await,
                Ok(()) = revoked.changed() => self.still_welcome().await,
                Ok(()) = wake.changed() => self.goodbye("this hub was asleep").await,
                Some(reply) = self.replies.recv() => self.answer(reply).await,
                Ok(()) = slow.changed(), if self.state.hello().is_some() => {
                    let limit = *slow.borrow_and_update();
                    self.say(session::slow(limit)).await
                }
                heard = tokio::time::timeout(silence, self.session.incoming.recv()) => match heard {
                    Ok(Some(Ok(message))) => self.hear(message).await,
                    Ok(Some(Err(fault))) => {
                        tracing::info!(speaker = %self.speaker, %fault, "a session ended");
                        false
                    }
                    Ok(None) => false,
                    Err(_) => self.goodbye("nothing was heard for too long").await,
                },
            };
            if !goes_on {
                // What was said last is still sent.
                self.session.close(CloseCode::Done, "");
                drop(self.session.closed().await);
                return;
            }
        }
    }

    async fn goodbye(&self, text: &str) -> bool {
        let bye = Message { kind: Some(Kind::Bye(Bye { text: text.to_owned() })) };
        drop(self.session.outgoing.send(bye).await);
        false
    }

    /// After a change of revocations: an edge that is revoked now is cut off.
    async fn still_welcome(&self) -> bool {
        if !self.door.revoked.borrow().contains(&self.speaker) {
            return true;
        }
        self.door.metrics.refused("revoked");
        tracing::warn!(speaker = %self.speaker, "the edge was revoked; its session is closed");
        drop(self.session.outgoing.send(session::refuse(RefuseCode::RefuseDenied, REVOKED, "enrol the edge under a new name")).await);
        false
    }

    async fn say(&self, message: Message) -> bool {
        self.session.outgoing.send(message).await.is_ok()
    }

    async fn answer(&mut self, reply: Reply) -> bool {
        match &reply {
            Reply::Opened { producer, epoch, last, .. } => {
                self.state.opened(*producer);
                self.door.registry.note(&self.speaker, |row| {
                    row.producer = Some(*producer);
                    row.epoch = *epoch;
                    row.acked = *last;
                });
            }
            Reply::Acked { sequence, .. } => self.door.registry.note(&self.speaker, |row| row.acked = row.acked.max(*sequence)),
            Reply::Refused { why, .. } => {
                if let Refusal::Unconfirmed { track, others } = why {
                    self.state.unconfirmed(*track, others);
                }
                self.door.metrics.refused(word_of(why));
                tracing::info!(speaker = %self.speaker, ?why, "an edge was refused");
            }
            Reply::Expect { .. } | Reply::Closed { .. } => {}
        }
        let (message, ends) = session::message_of(reply, session::window_of(self.door.meters.len()));
        self.say(message).await && !ends
    }

    async fn hear(&mut self, message: Message) -> bool {
        let now = self.door.now();
        self.door.registry.note(&self.speaker, |row| row.last_seen = now);
        match self.state.hear(message) {
            Act::Say(message) => self.say(message).await,
            Act::Close(message) => {
                // Sent or not, the session ends.
                self.say(message).await;
                false
            }
            Act::Note(heartbeat) => {
                self.door.registry.note(&self.speaker, |row| row.heartbeat = heartbeat);
                true
            }
            Act::Open(asked) => self.open(asked).await,
            Act::Offer(asked) => self.offer(asked).await,
            Act::Gap(asked) => self.gap(asked).await,
            Act::End(asked) => self.end(asked).await,
        }
    }

    async fn open(&self, asked: OpenAsked) -> bool {
        let wal_id = self.state.hello().map_or(0, |hello| hello.wal_id);
        let open = Open {
            speaker: self.speaker.clone(),
            track: asked.track,
            producer: asked.producer,
            nonce: self.state.nonce(),
            wal_id,
            acked: asked.acked,
            followed: asked.followed,
            target: None,
            walks: 0,
            confirmed: asked.confirmed,
            reply: self.reply.clone(),
        };
        self.door.requests.send(Request::Open(open)).await.is_ok()
    }

    async fn offer(&mut self, asked: BatchAsked) -> bool {
        let services = self.door.tenants.borrow().services(&self.speaker.cluster);
        let admitted = match admit::check(&asked.body, &asked.digest, &self.speaker.cluster, &services) {
            Ok(admitted) => admitted,
            Err(not) => return self.not_admitted(&asked, &not).await,
        };
        self.door.metrics.labels_dropped(admitted.labels_dropped);
        let Some(room) = self.enter(asked.body.len()).await else { return false };
        let offer = Offer {
            speaker: self.speaker.clone(),
            producer: asked.producer,
            epoch: asked.epoch,
            sequence: asked.sequence,
            chain_previous: asked.chain_previous,
            digest: asked.digest,
            positions: asked.positions,
            rows: admitted.rows,
            body: asked.body,
            lines: admitted.lines,
            room,
            reply: self.reply.clone(),
        };
        self.door.requests.send(Request::Batch(offer)).await.is_ok()
    }

    /// Room among the waiting bytes; `None`: the session ends. Waiting here is the brake: nothing more is read from
    /// this edge until the store catches up. What it is owed is said meanwhile.
    async fn enter(&mut self, bytes: usize) -> Option<Room> {
        let tenant = self.door.tenants.borrow().identify(&self.speaker.cluster).map(|grant| grant.tenant().clone());
        self.meter.sent(bytes, tenant.as_ref());
        let part = self.part.clone();
        let room = part.enter(tenant.as_ref(), bytes);
        tokio::pin!(room);
        let mut revoked = self.door.revoked.clone();
        loop {
            let goes_on = tokio::select! {
                biased;
                () = self.door.stop.cancelled() => self.goodbye("this hub is shutting down").await,
                Ok(()) = revoked.changed() => self.still_welcome().await,
                Some(reply) = self.replies.recv() => self.answer(reply).await,
                room = &mut room => return Some(room),
            };
            if !goes_on {
                return None;
            }
        }
    }

    async fn not_admitted(&self, asked: &BatchAsked, not: &NotAdmitted) -> bool {
        let (code, text, word) = match not {
            NotAdmitted::Corrupt(text) => (RefuseCode::RefuseCorrupt, text, "corrupt"),
            NotAdmitted::TooLarge(text) => (RefuseCode::RefuseTooLarge, text, "too_large"),
        };
        self.door.metrics.refused(word);
        tracing::warn!(speaker = %self.speaker, sequence = asked.sequence.0, text, "a batch was refused");
        let mut message = session::refuse(code, text, "the edge sends it again, and sets it aside after three times");
        if let Some(Kind::Refuse(refuse)) = &mut message.kind {
            refuse.producer = bytes::Bytes::copy_from_slice(&asked.producer.to_bytes());
            refuse.sequence = asked.sequence.0;
        }
        self.say(message).await
    }

    async fn gap(&self, asked: GapAsked) -> bool {
        let gap = GapOffer {
            speaker: self.speaker.clone(),
            producer: asked.producer,
            epoch: asked.epoch,
            from: asked.range.0,
            to: asked.range.1,
            chain_previous: asked.chains.0,
            chain_to: asked.chains.1,
            lines: asked.amount.0,
            bytes: asked.amount.1,
            range: asked.times,
            reason: asked.words.0,
            source: asked.words.1,
            reply: self.reply.clone(),
        };
        self.door.requests.send(Request::Gap(gap)).await.is_ok()
    }
}

impl Talk<'_> {
    async fn end(&self, asked: CloseAsked) -> bool {
        let CloseAsked { producer, epoch, sequence, chain, next } = asked;
        let close = CloseOffer { speaker: self.speaker.clone(), producer, epoch, sequence, chain, next, reply: self.reply.clone() };
        self.door.requests.send(Request::Close(close)).await.is_ok()
    }
}

const fn word_of(why: &Refusal) -> &'static str {
    match why {
        Refusal::Fenced => "fenced",
        Refusal::Denied => "denied",
        Refusal::Diverged(_) => "diverged",
        Refusal::Protocol(_) => "protocol",
        Refusal::TooLarge(_) => "too_large",
        Refusal::NoTenant => "no_tenant",
        Refusal::Unavailable(_) => "unavailable",
        Refusal::Unconfirmed { .. } => "unconfirmed",
    }
}
