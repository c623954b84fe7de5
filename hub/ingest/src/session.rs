//! What one session may say when, and what it is answered without the sealer.
//!
//! Pure. Parts: [`SessionState::hear`] (message -> [`Act`]s), [`message_of`] (a sealer's reply -> the
//! message). Promises: nothing is offered before Hello and a Welcome; a session that breaks the protocol
//! is refused and closed. Must not do: await, or look at the fold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proto_model::{BatchDigest, Chain, Epoch, ProducerId, Sequence, Timestamp, TrackId};
use proto_wire::edge_hub::message::Kind;
use proto_wire::edge_hub::{Ack, Batch, Carry, Close, Expect, Gap, Heartbeat, Hello, Message, Open, Position, Refuse, RefuseCode, Slow, Welcome};
use proto_wire::limits::{POSITIONS_MAX, WINDOW_BATCHES, WINDOW_BYTES};
use proto_wire::version;

use crate::limits::{NO_TENANT_RETRY, PACE_HOLDS, TRACKS_MAX, WINDOW_LEAST, WINDOWS_BYTES};
use crate::request::{Refusal, Reply};

const UNCONFIRMED: &str = "other tracks of this edge would end: the hub makes sure first that it is still there";

/// What the driver does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Send this.
    Say(Message),
    /// Ask the sealer to open a track.
    Open(OpenAsked),
    /// Check and offer this batch.
    Offer(BatchAsked),
    /// Offer this gap.
    Gap(GapAsked),
    /// Offer the end of this track.
    End(CloseAsked),
    /// Note what the edge says of itself.
    Note(Heartbeat),
    /// Send this, then close.
    Close(Message),
}

/// An Open, its fields checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAsked {
    /// The edge's name for the track.
    pub track: TrackId,
    /// Its producer, if it was ever bound.
    pub producer: Option<ProducerId>,
    /// Newest acked sequence and its chain.
    pub acked: (Sequence, Chain),
    /// No new batches join it.
    pub followed: bool,
    /// What was known beside it when it was asked for before: whoever asks again lives, so that its WAL is not older than these.
    pub confirmed: Arc<BTreeSet<ProducerId>>,
}

/// A Batch, its fields checked.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchAsked {
    /// Under which producer and epoch.
    pub producer: ProducerId,
    /// See `producer`.
    pub epoch: Epoch,
    /// Its number.
    pub sequence: Sequence,
    /// C of the number before.
    pub chain_previous: Chain,
    /// D as stated.
    pub digest: BatchDigest,
    /// Source positions.
    pub positions: Vec<Position>,
    /// The frozen batch.
    pub body: Bytes,
}

/// A Gap, its fields checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapAsked {
    /// Under which producer and epoch.
    pub producer: ProducerId,
    /// See `producer`.
    pub epoch: Epoch,
    /// First and last number given up.
    pub range: (Sequence, Sequence),
    /// C of the number before, and after.
    pub chains: (Chain, Chain),
    /// Lines and bytes, if known.
    pub amount: (Option<u64>, Option<u64>),
    /// Earliest and latest line.
    pub times: (Timestamp, Timestamp),
    /// Why, and of which source.
    pub words: (String, String),
}

/// A Close, its fields checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseAsked {
    /// Which producer, under which epoch.
    pub producer: ProducerId,
    /// See `producer`.
    pub epoch: Epoch,
    /// Where it ends.
    pub sequence: Sequence,
    /// The chain there.
    pub chain: Chain,
    /// Who goes on in its place.
    pub next: ProducerId,
}

/// What a session has said so far.
#[derive(Debug, Default)]
pub struct SessionState {
    hello: Option<Hello>,
    tracks: BTreeMap<TrackId, Arc<BTreeSet<ProducerId>>>,
    open: BTreeSet<ProducerId>,
}

impl SessionState {
    /// The edge's Hello, once it came.
    #[must_use]
    pub const fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// The nonce of the edge's process; zero before Hello.
    #[must_use]
    pub fn nonce(&self) -> [u8; 16] {
        self.hello.as_ref().and_then(|hello| hello.nonce.as_ref().try_into().ok()).unwrap_or_default()
    }

    /// A track was opened: its batches may come.
    pub fn opened(&mut self, producer: ProducerId) {
        self.open.insert(producer);
    }

    /// The edge is about to be told that `track` would end `others`: if it asks again, it may.
    pub fn unconfirmed(&mut self, track: TrackId, others: &BTreeSet<ProducerId>) {
        Arc::make_mut(self.tracks.entry(track).or_default()).extend(others);
    }

    /// Decides on one message.
    pub fn hear(&mut self, message: Message) -> Act {
        let Some(kind) = message.kind else {
            return Act::Close(refuse(
                RefuseCode::RefuseUnsupported,
                "the message kind is unknown to this hub",
                "upgrade the hub, or lower the edge's version",
            ));
        };
        if self.hello.is_none() && !matches!(kind, Kind::Hello(_)) {
            return protocol("the first message must be Hello");
        }
        match kind {
            Kind::Hello(hello) => self.hear_hello(hello),
            Kind::Open(open) => self.hear_open(&open),
            Kind::Batch(batch) => self.hear_batch(batch),
            Kind::Gap(gap) => self.hear_gap(gap),
            Kind::Heartbeat(heartbeat) => Act::Note(heartbeat),
            Kind::Bye(_) => Act::Close(Message { kind: Some(Kind::Bye(proto_wire::edge_hub::Bye { text: String::new() })) }),
            Kind::Close(close) => self.hear_close(&close),
            Kind::Welcome(_) | Kind::Ack(_) | Kind::Expect(_) | Kind::Slow(_) | Kind::Refuse(_) => protocol("this message is the hub's to send"),
        }
    }

    fn hear_hello(&mut self, hello: Hello) -> Act {
        if self.hello.is_some() {
            return protocol("Hello was said before");
        }
        let Some(chosen) = version::choose(hello.version_min, hello.version_max) else {
            let text = format!(
                "this hub speaks versions {} to {}, the edge {} to {}",
                version::VERSION_MIN,
                version::VERSION_MAX,
                hello.version_min,
                hello.version_max
            );
            return Act::Close(refuse(RefuseCode::RefuseUnsupported, &text, "run an edge and a hub of neighbouring releases"));
        };
        if hello.nonce.len() != 16 {
            return protocol("the nonce must have 16 bytes");
        }
        self.hello = Some(hello);
        let answer =
            Hello { version_min: chosen, version_max: chosen, program: concat!("tributary-hub ", env!("CARGO_PKG_VERSION")).to_owned(), ..Hello::default() };
        Act::Say(Message { kind: Some(Kind::Hello(answer)) })
    }

    fn hear_open(&mut self, open: &Open) -> Act {
        let confirmed = Arc::clone(self.tracks.entry(TrackId(open.track)).or_default());
        if self.tracks.len() > TRACKS_MAX {
            return protocol("too many tracks in one session");
        }
        let producer = match (open.producer.is_empty(), ProducerId::from_bytes(&open.producer)) {
            (true, _) => None,
            (false, Some(producer)) => Some(producer),
            (false, None) => return protocol("a producer id has 24 bytes"),
        };
        let chain = if open.acked_chain.is_empty() { Some(Chain::default()) } else { Chain::from_bytes(&open.acked_chain) };
        let Some(chain) = chain else { return protocol("a chain has 16 bytes") };
        Act::Open(OpenAsked { track: TrackId(open.track), producer, acked: (Sequence(open.acked), chain), followed: open.followed, confirmed })
    }

    fn known(&self, producer: &[u8]) -> Result<ProducerId, &'static str> {
        let producer = ProducerId::from_bytes(producer).ok_or("a producer id has 24 bytes")?;
        if self.open.contains(&producer) { Ok(producer) } else { Err("the producer was not opened in this session") }
    }

    fn hear_batch(&self, batch: Batch) -> Act {
        let producer = match self.known(&batch.producer) {
            Ok(producer) => producer,
            Err(text) => return protocol(text),
        };
        let (Some(chain_previous), Some(digest)) = (Chain::from_bytes(&batch.chain_previous), BatchDigest::from_bytes(&batch.digest)) else {
            return protocol("a chain and a digest have 16 bytes");
        };
        if batch.positions.len() > POSITIONS_MAX {
            return protocol("too many positions in one batch");
        }
        Act::Offer(BatchAsked {
            producer,
            epoch: Epoch(batch.epoch),
            sequence: Sequence(batch.sequence),
            chain_previous,
            digest,
            positions: batch.positions,
            body: batch.body,
        })
    }

    fn hear_close(&self, close: &Close) -> Act {
        let (producer, next) = match (self.known(&close.producer), self.known(&close.next)) {
            (Ok(producer), Ok(next)) => (producer, next),
            (Err(text), _) | (_, Err(text)) => return protocol(text),
        };
        let Some(chain) = Chain::from_bytes(&close.chain) else { return protocol("a chain has 16 bytes") };
        Act::End(CloseAsked { producer, epoch: Epoch(close.epoch), sequence: Sequence(close.sequence), chain, next })
    }

    fn hear_gap(&self, gap: Gap) -> Act {
        let producer = match self.known(&gap.producer) {
            Ok(producer) => producer,
            Err(text) => return protocol(text),
        };
        let (Some(before), Some(after)) = (Chain::from_bytes(&gap.chain_previous), Chain::from_bytes(&gap.chain_to)) else {
            return protocol("a chain has 16 bytes");
        };
        Act::Gap(GapAsked {
            producer,
            epoch: Epoch(gap.epoch),
            range: (Sequence(gap.from), Sequence(gap.to)),
            chains: (before, after),
            amount: (gap.lines, gap.bytes),
            times: (Timestamp(gap.min_ns), Timestamp(gap.max_ns)),
            words: (gap.reason, gap.source),
        })
    }
}

fn protocol(text: &str) -> Act {
    Act::Close(refuse(RefuseCode::RefuseProtocol, text, "this is a fault of the edge program: report it"))
}

/// A refusal of the whole session.
#[must_use]
pub fn refuse(code: RefuseCode, text: &str, fix: &str) -> Message {
    Message { kind: Some(Kind::Refuse(Refuse { code: code.into(), text: text.to_owned(), fix: fix.to_owned(), ..Refuse::default() })) }
}

/// The window of each of `sessions`: what one may have without an ack.
#[must_use]
pub fn window_of(sessions: usize) -> u64 {
    (WINDOWS_BYTES / (sessions as u64).max(1)).clamp(WINDOW_LEAST, WINDOW_BYTES)
}

/// How fast the edge may send; `None`: as fast as it likes.
#[must_use]
pub fn slow(limit: Option<u64>) -> Message {
    let for_ms = u32::try_from(PACE_HOLDS.as_millis()).unwrap_or(u32::MAX);
    let slow = limit.map_or_else(Slow::default, |limit| Slow { bytes_per_second: limit.max(1), for_ms });
    Message { kind: Some(Kind::Slow(slow)) }
}

/// The message that tells an edge what the sealer said, with the window of its session; and whether the session ends with it.
#[must_use]
pub fn message_of(reply: Reply, window_bytes: u64) -> (Message, bool) {
    let bytes = |producer: &ProducerId| Bytes::copy_from_slice(&producer.to_bytes());
    let (kind, ends) = match reply {
        Reply::Opened { track, producer, epoch, last, chain, positions, carry, later } => {
            let welcome = Welcome {
                track: track.0,
                producer: bytes(&producer),
                epoch: epoch.0,
                last: last.0,
                chain: Bytes::copy_from_slice(&chain.0),
                positions,
                window_batches: WINDOW_BATCHES,
                window_bytes,
                carry: carry.map(|carry| Carry {
                    producer: bytes(&carry.producer),
                    last: carry.last.0,
                    chain: Bytes::copy_from_slice(&carry.chain.0),
                    digests: carry.digests.iter().flat_map(|digest| digest.0).collect(),
                    ended: carry.ended,
                }),
                later: later.map_or(0, |later| later.0),
            };
            (Kind::Welcome(welcome), false)
        }
        Reply::Closed { producer, epoch, sequence, chain, next } => {
            let chain = Bytes::copy_from_slice(&chain.0);
            (Kind::Close(Close { producer: bytes(&producer), epoch: epoch.0, sequence: sequence.0, chain, next: bytes(&next) }), false)
        }
        Reply::Acked { producer, epoch, sequence } => (Kind::Ack(Ack { producer: bytes(&producer), epoch: epoch.0, sequence: sequence.0 }), false),
        Reply::Expect { producer, epoch, sequence } => (Kind::Expect(Expect { producer: bytes(&producer), epoch: epoch.0, sequence: sequence.0 }), false),
        Reply::Refused { producer, sequence, why } => {
            let (refusal, ends) = refusal_of(&why);
            let producer = producer.map(|producer| bytes(&producer)).unwrap_or_default();
            (Kind::Refuse(Refuse { producer, sequence: sequence.0, ..refusal }), ends)
        }
    };
    (Message { kind: Some(kind) }, ends)
}

fn refusal_of(why: &Refusal) -> (Refuse, bool) {
    let retry_ms = u32::try_from(NO_TENANT_RETRY.as_millis()).unwrap_or(u32::MAX);
    let (code, text, fix, retry_after_ms, ends) = match why {
        Refusal::Fenced => {
            (RefuseCode::RefuseFenced, "a newer session of this producer was opened", "open again; if this repeats, two edges share one WAL", 0, false)
        }
        Refusal::Denied => (RefuseCode::RefuseDenied, "this certificate may not speak for that producer", "give each edge a WAL directory of its own", 0, true),
        Refusal::Diverged(text) => (RefuseCode::RefuseDiverged, text.as_str(), "the producer is quarantined: see the runbook on divergence", retry_ms, false),
        Refusal::Protocol(text) => (RefuseCode::RefuseProtocol, text.as_str(), "this is a fault of the edge program: report it", 0, true),
        Refusal::TooLarge(text) => (RefuseCode::RefuseTooLarge, text.as_str(), "the edge sets it aside, with a loss record", 0, false),
        Refusal::NoTenant => (RefuseCode::RefuseNoTenant, "this cluster belongs to no tenant", "add the cluster to a tenant in tenants.yaml", retry_ms, false),
        Refusal::Unconfirmed { .. } => (RefuseCode::RefuseUnavailable, UNCONFIRMED, "nothing to do: the edge asks again", 0, false),
        Refusal::Unavailable(text) => (RefuseCode::RefuseUnavailable, text.as_str(), "nothing to do: the edge keeps its lines and tries again", 1_000, false),
    };
    (Refuse { code: code.into(), text: text.to_owned(), fix: fix.to_owned(), retry_after_ms, ..Refuse::default() }, ends)
}

#[cfg(test)]
mod tests;
