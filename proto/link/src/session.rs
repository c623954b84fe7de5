//! One live conversation of an edge and a hub: who the peer is, and a bounded queue of messages each way.
//!
//! ```text
//! caller -> Outgoing (256 messages, 8 MiB) -> pump of a transport -> network -> pump -> Incoming (the same) -> caller
//! ```
//!
//! Parts: [`Session`], [`Peer`], [`Outgoing`], [`Incoming`], [`Control`] for the caller; [`Wires`] for the pump.
//! Promises: a caller that takes nothing from [`Incoming`] stops the pump from reading, and with it the
//! peer's sending; a caller that sends faster than the peer takes waits in [`Outgoing::send`]. A session
//! ends when either side closes it, when `incoming` or all of `outgoing` are dropped, or when the
//! connection breaks; the reason is told once by [`Incoming::recv`] and always by [`Control::closed`].
//! What was queued before a close is still sent. Must not do: look into messages.

mod queue;

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::watch;

pub(crate) use queue::{Inbox, Outbox, Parcel};
pub use queue::{Incoming, NotSent, Outgoing};

use crate::fault::{CloseCode, LinkFault, Side};
use crate::limits::{CLOSE_TEXT_BYTES_MAX, FLUSH_MAX};

/// What carries a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// QUIC over UDP.
    Quic,
    /// gRPC over HTTP/2 over TLS over TCP.
    Grpc,
    /// Queues within one process.
    Direct,
}

impl Transport {
    /// The metric label value, and the word in status answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::Grpc => "grpc",
            Self::Direct => "direct",
        }
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// The other end of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Which end it is.
    pub side: Side,
    /// Its leaf certificate, which the handshake has verified.
    pub certificate_der: Option<Vec<u8>>,
    /// Where it is, for people: address and port, or a name.
    pub address: String,
    /// What carries the session.
    pub transport: Transport,
}

/// One live conversation.
#[derive(Debug)]
pub struct Session {
    /// The other end.
    pub peer: Peer,
    /// Messages to it.
    pub outgoing: Outgoing,
    /// Messages from it.
    pub incoming: Incoming,
    /// Ends the session, and tells its end.
    pub control: Control,
}

impl Session {
    /// See [`Control::close`].
    pub fn close(&self, code: CloseCode, text: &str) {
        self.control.close(code, text);
    }

    /// See [`Control::closed`].
    pub async fn closed(&self) -> Option<LinkFault> {
        self.control.closed().await
    }
}

/// What the oldest session of an identity is told when a newer one takes its seat.
pub(crate) const REPLACED: &str = "a newer session of this identity took its seat";

/// Ends a session, and tells its end. Clones do not keep a session alive.
#[derive(Debug, Clone)]
pub struct Control {
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Clone, Default)]
struct State {
    closing: Option<(CloseCode, String)>,
    /// `Some(None)`: ended in peace.
    ended: Option<Option<LinkFault>>,
}

impl Control {
    /// Ends the session: nothing more can be sent, what is queued goes out first (for at most 2 s), then the peer learns `code` and
    /// `text` (on gRPC only an edge learns them). The first call counts.
    pub fn close(&self, code: CloseCode, text: &str) {
        self.state.send_if_modified(|state| {
            let first = state.closing.is_none() && state.ended.is_none();
            if first {
                state.closing = Some((code, shortened(text)));
            }
            first
        });
    }

    /// Waits until the session is over and its connection let go; the reason, or `None` when it ended in peace.
    pub async fn closed(&self) -> Option<LinkFault> {
        let mut changes = self.state.subscribe();
        match changes.wait_for(|state| state.ended.is_some()).await {
            Ok(state) => state.ended.clone().flatten(),
            // Cannot happen: `self` holds the sender.
            Err(_) => None,
        }
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.borrow().ended.is_some()
    }

    pub(crate) fn new() -> Self {
        Self { state: Arc::new(watch::Sender::new(State::default())) }
    }

    /// Waits until this side wants the session to end, or it has ended.
    pub(crate) async fn closing(&self) {
        let mut changes = self.state.subscribe();
        // An error cannot happen: `self` holds the sender.
        drop(changes.wait_for(|state| state.closing.is_some() || state.ended.is_some()).await);
    }

    /// What the caller gave to [`Self::close`].
    pub(crate) fn close_reason(&self) -> Option<(CloseCode, String)> {
        self.state.borrow().closing.clone()
    }

    /// The reason of the end, if it ended with one.
    pub(crate) fn fault(&self) -> Option<LinkFault> {
        self.state.borrow().ended.clone().flatten()
    }

    /// Tells the end; the first call counts. A session that this side was closing ends in peace whatever the connection then did.
    pub(crate) fn end(&self, fault: Option<LinkFault>) {
        self.state.send_if_modified(|state| {
            let first = state.ended.is_none();
            if first {
                state.ended = Some(if state.closing.is_some() { None } else { fault });
            }
            first
        });
    }
}

/// The pump's ends of a session's queues.
#[derive(Debug)]
pub(crate) struct Wires {
    pub(crate) outbox: Outbox,
    pub(crate) inbox: Inbox,
    pub(crate) control: Control,
}

/// A session with `peer`, and its wires. The pump must tell the end before it drops the inbox.
pub(crate) fn open(peer: Peer) -> (Session, Wires) {
    let control = Control::new();
    let (outgoing, outbox) = queue::outgoing(&peer, &control);
    let (inbox, incoming) = queue::incoming(&peer, &control);
    (Session { peer, outgoing, incoming, control: control.clone() }, Wires { outbox, inbox, control })
}

/// Closes the session once its caller takes no more messages; never done, so that what is queued still goes out.
pub(crate) async fn abandoned(inbox: &Inbox, control: &Control) -> Infallible {
    inbox.abandoned().await;
    control.close(CloseCode::Done, "");
    std::future::pending().await
}

/// Waits for a close that the peer does not let us finish in time.
pub(crate) async fn overdue(control: &Control) {
    control.closing().await;
    tokio::time::sleep(FLUSH_MAX).await;
}

/// At most as much of `text` as fits a packet, cut between characters.
fn shortened(text: &str) -> String {
    let end = (0..=text.len().min(CLOSE_TEXT_BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests;
