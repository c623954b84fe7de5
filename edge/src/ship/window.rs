//! What to send, what is in flight, what to do with an answer.
//!
//! Pure: messages, durable marks and `now` in, [`Step`]s out. One [`Window`] serves one track. Promises:
//! a batch is offered only after it is durable in the WAL; the acked mark never goes back; an answer
//! that does not fit (another producer, another epoch) changes nothing. Must not do: read the WAL.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use edge_wal::Committed;
use proto_model::{BatchDigest, Chain, Epoch, ProducerId, Sequence, Timestamp, TrackId};
use proto_wire::edge_hub::message::Kind;
use proto_wire::edge_hub::{Carry, Close, Message, Open, Position, Refuse, RefuseCode, Welcome};

/// Tries of one batch that the hub calls damaged, before it is set aside (reliability: a poisoned batch never blocks others).
const CORRUPT_TRIES_MAX: u32 = 3;
/// The number of a WAL's first track, the only one of most.
pub const FIRST_TRACK: TrackId = TrackId(1);
/// How long a quarantined producer waits before it asks again whether an operator let it out.
const DIVERGED_RETRY: Duration = Duration::from_secs(30);
/// How long to wait before opening again after being fenced: two edges on one WAL must not spin.
const FENCED_RETRY: Duration = Duration::from_secs(1);

/// What the driver does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send this message.
    Say(Message),
    /// Bind the track to this producer in the WAL, synced, then call [`Window::bound`].
    Bind(ProducerId),
    /// The hub knows more of this edge than its WAL, which is new or was set back: continue after `last`, reading sources from
    /// `positions`.
    Adopt {
        /// The producer to continue.
        producer: ProducerId,
        /// Its newest committed sequence and chain.
        last: Sequence,
        /// See `last`.
        chain: Chain,
        /// How far its sources are committed.
        positions: Vec<Position>,
    },
    /// The hub stands at `last`: compare with the WAL, then call [`Window::settled`], [`Window::diverged`], or
    /// adopt as above. Another producer than before goes on for it: bind that one too, before anything is sent.
    Settle {
        /// The producer.
        producer: ProducerId,
        /// Newest committed sequence and its chain.
        last: Sequence,
        /// See `last`.
        chain: Chain,
        /// How far sources are committed.
        positions: Vec<Position>,
    },
    /// `producer` begins a numbering of its own in place of the one before, of which `committed` stands: carry the track
    /// over in the WAL, then call [`Window::bound`].
    Carry {
        /// The producer.
        producer: ProducerId,
        /// What stands of the one before.
        committed: Committed,
        /// How far sources are committed.
        positions: Vec<Position>,
    },
    /// The hub holds the end of this track, at this number: if that is all there is, close it in the WAL and forget it; else
    /// call [`Window::diverged`].
    Closed(Sequence),
    /// All up to here are acked: tell the WAL.
    Acked(Sequence),
    /// Give this batch up, as a gap with a reason.
    SetAside(Sequence, &'static str),
    /// Close the session and dial again after the backoff.
    Redial(String),
}

/// Where a track stands with the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// No session, or Open not answered yet.
    Closed,
    /// Batches may be sent.
    Open,
    /// The hub was told that the track is done, and has not answered.
    Closing,
    /// The hub said no; ask again at this time.
    Refused {
        /// When to open again.
        until: Timestamp,
        /// The hub's code, as a metric word.
        word: &'static str,
        /// The hub's text.
        text: String,
    },
}

impl Standing {
    /// The word of the status page.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Refused { word, .. } => word,
        }
    }
}

/// One track's window.
#[derive(Debug)]
pub struct Window {
    track: TrackId,
    producer: Option<ProducerId>,
    epoch: Epoch,
    standing: Standing,
    next: Sequence,
    /// Highest number sent in this session: an ack beyond it is not believed.
    sent_max: Sequence,
    acked: Sequence,
    acked_chain: Chain,
    /// Last sequence, bytes and time of sending.
    in_flight: VecDeque<(Sequence, u64, Timestamp)>,
    bytes_in_flight: u64,
    batches_max: usize,
    bytes_max: u64,
    corrupt: Option<(Sequence, u32)>,
    last_progress: Timestamp,
    /// Since when Open or Close is not answered.
    asked: Option<Timestamp>,
    /// Bytes of the newest ack, and how long after sending it came.
    last_ack: (u64, Duration),
}

impl Window {
    /// A track as the WAL knows it.
    #[must_use]
    pub const fn new(track: TrackId, producer: Option<ProducerId>, acked: Sequence, acked_chain: Chain) -> Self {
        Self {
            track,
            producer,
            epoch: Epoch(0),
            standing: Standing::Closed,
            next: acked.next(),
            sent_max: Sequence(0),
            acked,
            acked_chain,
            in_flight: VecDeque::new(),
            bytes_in_flight: 0,
            batches_max: 1,
            bytes_max: 0,
            corrupt: None,
            last_progress: Timestamp::MIN,
            asked: None,
            last_ack: (0, Duration::ZERO),
        }
    }

    /// Its track.
    #[must_use]
    pub const fn track(&self) -> TrackId {
        self.track
    }

    /// Where it stands.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Producer, epoch, acked sequence: for the status page.
    #[must_use]
    pub const fn report(&self) -> (Option<ProducerId>, Epoch, Sequence) {
        (self.producer, self.epoch, self.acked)
    }

    /// The session is gone: what was in flight is sent again after the next Welcome.
    pub fn closed(&mut self) {
        self.standing = Standing::Closed;
        self.in_flight.clear();
        self.bytes_in_flight = 0;
        self.sent_max = Sequence(0);
        self.asked = None;
    }

    /// Whether it is time to ask the hub to open it.
    #[must_use]
    pub fn wants_open(&self, now: Timestamp) -> bool {
        match &self.standing {
            Standing::Closed => self.asked.is_none(),
            Standing::Refused { until, .. } => *until <= now,
            Standing::Open | Standing::Closing => false,
        }
    }

    /// The Close of this track, which the hub has as a whole: `chain` is the one at the acked sequence, `next` the producer that
    /// goes on in its place. `None` when it is not open.
    pub fn close(&mut self, chain: Chain, next: ProducerId, now: Timestamp) -> Option<Message> {
        let (producer, epoch) = self.stamp()?;
        self.standing = Standing::Closing;
        self.asked = Some(now);
        let bytes = |producer: ProducerId| Bytes::copy_from_slice(&producer.to_bytes());
        let close = Close { producer: bytes(producer), epoch: epoch.0, sequence: self.acked.0, chain: Bytes::copy_from_slice(&chain.0), next: bytes(next) };
        Some(Message { kind: Some(Kind::Close(close)) })
    }

    /// The Open of this track; `next` and `oldest` are the WAL's, `followed` says that a later track follows.
    #[must_use]
    pub fn open(&mut self, next: Sequence, oldest: Sequence, followed: bool, now: Timestamp) -> Message {
        self.standing = Standing::Closed;
        self.asked = Some(now);
        let open = Open {
            track: self.track.0,
            producer: self.producer.map(|producer| Bytes::copy_from_slice(&producer.to_bytes())).unwrap_or_default(),
            next: next.0,
            acked: self.acked.0,
            acked_chain: Bytes::copy_from_slice(&self.acked_chain.0),
            oldest: oldest.0,
            followed,
        };
        Message { kind: Some(Kind::Open(open)) }
    }

    /// The batch to read from the WAL and send now; `None` when the window is full, nothing durable waits,
    /// or the track is not open.
    #[must_use]
    pub fn wanted(&self, durable: Sequence) -> Option<Sequence> {
        let room = self.in_flight.len() < self.batches_max && (self.in_flight.is_empty() || self.bytes_in_flight < self.bytes_max);
        (self.standing == Standing::Open && room && self.next <= durable).then_some(self.next)
    }

    /// Whether it is open and something durable was not sent yet.
    #[must_use]
    pub fn has_unsent(&self, durable: Sequence) -> bool {
        self.standing == Standing::Open && self.next <= durable
    }

    /// Bytes sent and not acked.
    #[must_use]
    pub const fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    /// Bytes of the newest ack, and how long after the last of them was sent it came.
    #[must_use]
    pub const fn last_ack(&self) -> (u64, Duration) {
        self.last_ack
    }

    /// A batch or gap ending at `to`, `bytes` long, was handed to the session.
    pub fn sent(&mut self, to: Sequence, bytes: u64, now: Timestamp) {
        if self.in_flight.is_empty() {
            self.last_progress = now;
        }
        self.in_flight.push_back((to, bytes, now));
        self.bytes_in_flight += bytes;
        self.next = to.next();
        self.sent_max = self.sent_max.max(to);
    }

    /// Producer and epoch under which batches go, once open.
    #[must_use]
    pub fn stamp(&self) -> Option<(ProducerId, Epoch)> {
        self.producer.filter(|_| self.standing == Standing::Open).map(|producer| (producer, self.epoch))
    }

    /// How long the oldest batch in flight has waited without any ack, or Open or Close without an answer.
    #[must_use]
    pub fn waited(&self, now: Timestamp) -> Duration {
        let for_ack = if self.in_flight.is_empty() { Duration::ZERO } else { now.since(self.last_progress) };
        for_ack.max(self.asked.map_or(Duration::ZERO, |asked| now.since(asked)))
    }

    /// When to ask again after a refusal; `None` when not refused.
    #[must_use]
    pub const fn retry_at(&self) -> Option<Timestamp> {
        match &self.standing {
            Standing::Refused { until, .. } => Some(*until),
            Standing::Closed | Standing::Open | Standing::Closing => None,
        }
    }

    /// Whether it waits for an operator.
    #[must_use]
    pub fn is_set_aside(&self) -> bool {
        matches!(self.standing, Standing::Refused { word: "diverged", .. })
    }

    /// The WAL holds another producer now, which goes on where the one before stands.
    pub const fn moved(&mut self, producer: ProducerId) {
        self.producer = Some(producer);
    }

    /// The WAL holds the producer now: batches may go, from the first.
    pub fn bound(&mut self, producer: ProducerId) {
        self.producer = Some(producer);
        self.settled(Sequence(0), Chain::default());
    }

    /// The WAL was told to continue after `last`.
    pub fn adopted(&mut self, producer: ProducerId, last: Sequence, chain: Chain) {
        self.producer = Some(producer);
        self.settled(last, chain);
    }

    /// WAL and hub agree that all up to `last` is committed: the next batch follows.
    pub fn settled(&mut self, last: Sequence, chain: Chain) {
        self.acked = last;
        self.acked_chain = chain;
        self.next = last.next();
        self.standing = Standing::Open;
    }

    /// The hub knows more than the WAL, which was set back, or is a copy: it is asked again `after`.
    pub fn set_back(&mut self, after: Timestamp) {
        self.standing = Standing::Refused { until: after, word: "set_back", text: "the hub knows more than this WAL: is its owner elsewhere?".to_owned() };
    }

    /// The hub's chain is not the WAL's.
    pub fn diverged(&mut self, now: Timestamp) {
        self.standing = Standing::Refused { until: now.plus(DIVERGED_RETRY), word: "diverged", text: "the hub's chain is not that of this WAL".to_owned() };
    }

    /// Decides on a message of the hub that names this track or its producer.
    pub fn hear(&mut self, kind: &Kind, now: Timestamp) -> Vec<Step> {
        match kind {
            Kind::Welcome(welcome) if welcome.track == self.track.0 => self.welcome(welcome),
            Kind::Ack(ack) if self.is_ours(&ack.producer, ack.epoch) => self.ack(Sequence(ack.sequence), now),
            // In a session what was acked stays acked: only an opening finds out what the hub still has.
            Kind::Expect(expect) if self.is_ours(&expect.producer, expect.epoch) && expect.sequence <= self.acked.0 => {
                vec![Step::Redial("the hub asks for what it acknowledged: was its bucket restored?".to_owned())]
            }
            Kind::Expect(expect) if self.is_ours(&expect.producer, expect.epoch) => {
                self.rewind(Sequence(expect.sequence));
                Vec::new()
            }
            // Also in answer to Open: the end stands already.
            Kind::Close(close) if self.awaits_close(close) => {
                self.asked = None;
                vec![Step::Closed(Sequence(close.sequence))]
            }
            Kind::Refuse(refuse) if self.is_meant(&refuse.producer) => self.refused(refuse, now),
            Kind::Welcome(_)
            | Kind::Ack(_)
            | Kind::Expect(_)
            | Kind::Refuse(_)
            | Kind::Hello(_)
            | Kind::Open(_)
            | Kind::Batch(_)
            | Kind::Gap(_)
            | Kind::Slow(_)
            | Kind::Heartbeat(_)
            | Kind::Bye(_)
            | Kind::Close(_) => Vec::new(),
        }
    }

    fn awaits_close(&self, close: &Close) -> bool {
        match &self.standing {
            Standing::Closing => self.is_ours(&close.producer, close.epoch),
            Standing::Closed => self.asked.is_some() && !close.producer.is_empty() && self.is_meant(&close.producer),
            Standing::Open | Standing::Refused { .. } => false,
        }
    }

    fn is_ours(&self, producer: &[u8], epoch: u64) -> bool {
        self.is_meant(producer) && !producer.is_empty() && epoch == self.epoch.0
    }

    fn is_meant(&self, producer: &[u8]) -> bool {
        producer.is_empty() || self.producer.is_some_and(|own| own.to_bytes() == producer)
    }

    fn welcome(&mut self, welcome: &Welcome) -> Vec<Step> {
        let (Some(producer), Some(chain)) = (ProducerId::from_bytes(&welcome.producer), Chain::from_bytes(&welcome.chain)) else {
            return vec![Step::Redial("the hub's Welcome is malformed".to_owned())];
        };
        self.asked = None;
        self.epoch = Epoch(welcome.epoch);
        self.batches_max = usize::try_from(welcome.window_batches).unwrap_or(1).max(1);
        self.bytes_max = welcome.window_bytes;
        self.in_flight.clear();
        self.bytes_in_flight = 0;
        let (last, positions) = (Sequence(welcome.last), welcome.positions.clone());
        vec![match (self.producer, &welcome.carry) {
            (_, Some(carry)) if carry.ended => Step::Adopt { producer, last, chain, positions },
            // A later track was bound before this WAL was set back.
            (None, Some(carry)) if last.0 == 0 && self.track > FIRST_TRACK => carry_over(producer, carry, positions),
            // A WAL's first track that is told positions: the hub knows this edge from a WAL that is gone, even where the
            // numbering begins anew.
            (None, _) if last.0 == 0 && (positions.is_empty() || self.track > FIRST_TRACK) => Step::Bind(producer),
            (None, _) => Step::Adopt { producer, last, chain, positions },
            (Some(own), Some(carry)) if own != producer && last.0 == 0 => carry_over(producer, carry, positions),
            (Some(_), _) => Step::Settle { producer, last, chain, positions },
        }]
    }

    fn ack(&mut self, sequence: Sequence, now: Timestamp) -> Vec<Step> {
        if sequence <= self.acked || sequence > self.sent_max {
            return Vec::new();
        }
        // After a rewind the hub may already hold what was to be sent again.
        self.next = self.next.max(sequence.next());
        self.last_ack = (0, Duration::ZERO);
        while let Some(&(to, bytes, at)) = self.in_flight.front()
            && to <= sequence
        {
            self.in_flight.pop_front();
            self.bytes_in_flight -= bytes;
            self.last_ack = (self.last_ack.0 + bytes, now.since(at));
        }
        self.acked = sequence;
        self.last_progress = now;
        vec![Step::Acked(sequence)]
    }

    fn rewind(&mut self, to: Sequence) {
        if to > self.acked && to < self.next {
            self.next = to;
            self.in_flight.retain(|(sequence, ..)| *sequence < to);
            self.bytes_in_flight = self.in_flight.iter().map(|(_, bytes, _)| bytes).sum();
        }
    }

    fn refused(&mut self, refuse: &Refuse, now: Timestamp) -> Vec<Step> {
        let asked = Duration::from_millis(u64::from(refuse.retry_after_ms));
        let sequence = Sequence(refuse.sequence);
        let of_batch = matches!(refuse.code(), RefuseCode::RefuseCorrupt | RefuseCode::RefuseTooLarge);
        if of_batch && (sequence <= self.acked || sequence > self.sent_max) {
            // Not of a batch that is in flight: an answer to an earlier opening.
            return Vec::new();
        }
        let (word, least) = match refuse.code() {
            RefuseCode::RefuseCorrupt => return self.corrupt(sequence),
            RefuseCode::RefuseTooLarge => {
                self.rewind(sequence);
                return vec![Step::SetAside(sequence, "too_large")];
            }
            RefuseCode::RefuseFenced => ("fenced", FENCED_RETRY),
            RefuseCode::RefuseDiverged => ("diverged", DIVERGED_RETRY),
            RefuseCode::RefuseNoTenant => ("no_tenant", Duration::from_secs(1)),
            RefuseCode::RefuseUnavailable => ("unavailable", Duration::from_millis(500)),
            RefuseCode::RefuseDenied | RefuseCode::RefuseUnsupported | RefuseCode::RefuseProtocol | RefuseCode::RefuseUnspecified => {
                return vec![Step::Redial(format!("the hub refused: {}; {}", refuse.text, refuse.fix))];
            }
        };
        self.closed();
        self.standing = Standing::Refused { until: now.plus(asked.max(least)), word, text: refuse.text.clone() };
        Vec::new()
    }

    fn corrupt(&mut self, sequence: Sequence) -> Vec<Step> {
        let tries = match self.corrupt {
            Some((at, tries)) if at == sequence => tries + 1,
            _ => 1,
        };
        self.corrupt = Some((sequence, tries));
        self.rewind(sequence);
        if tries < CORRUPT_TRIES_MAX { Vec::new() } else { vec![Step::SetAside(sequence, "corrupt")] }
    }

    /// The chain at the acked sequence, as the WAL tells it: sent with the next Open.
    pub const fn acked_chain(&mut self, chain: Chain) {
        self.acked_chain = chain;
    }
}

fn carry_over(producer: ProducerId, carry: &Carry, positions: Vec<Position>) -> Step {
    match committed_of(carry) {
        Some(committed) => Step::Carry { producer, committed, positions },
        None => Step::Redial("the hub's Welcome carries over what is malformed".to_owned()),
    }
}

fn committed_of(carry: &Carry) -> Option<Committed> {
    let digests = carry.digests.chunks(16).map(|digest| digest.try_into().ok().map(BatchDigest)).collect::<Option<_>>()?;
    Some(Committed { last: Sequence(carry.last), digests })
}

#[cfg(test)]
mod tests;
