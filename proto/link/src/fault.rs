//! Why a session did not come to stand, or ended: with a word for metrics, a text for people, blame and remedy.
//!
//! Parts: [`Side`] and [`CloseCode`], what both ends agree on; [`LinkFault`]. Certificates are judged by
//! `certs`; the reason (`certs::Refusal`) is carried in [`LinkFault::Refused`], seen by the side that was
//! refused, and [`LinkFault::Untrusted`], seen by the side that refuses. Must not do: carry secrets.

use std::fmt;
use std::time::Duration;

use certs::Refusal;
use proto_model::{Blame, Remedy};

use crate::frame::FrameFault;
use crate::limits::BACKOFF_MIN;

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The one that dials.
    Edge,
    /// The one that listens.
    Hub,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Edge => Self::Hub,
            Self::Hub => Self::Edge,
        }
    }

    /// Whose fault it is when this side did wrong.
    #[must_use]
    pub const fn blame(self) -> Blame {
        match self {
            Self::Edge => Blame::Edge,
            Self::Hub => Blame::Hub,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Edge => "edge",
            Self::Hub => "hub",
        })
    }
}

/// Why a side closed a session; the numbers are QUIC's close codes (docs/formats/wire.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseCode {
    /// All was said.
    Done,
    /// The peer broke the protocol.
    Protocol,
    /// The peer may not be here, or not now.
    Refused,
    /// The side that closes is going down.
    ShuttingDown,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Done => 0,
            Self::Protocol => 1,
            Self::Refused => 2,
            Self::ShuttingDown => 3,
        }
    }

    /// From the wire; a number of a later version counts as a broken protocol.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Done,
            2 => Self::Refused,
            3 => Self::ShuttingDown,
            _ => Self::Protocol,
        }
    }

    /// The metric label value.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::ShuttingDown => "shutting_down",
        }
    }
}

/// Why a session does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// The configured address cannot be dialled.
    #[error("hub address {text:?} is not usable: {reason}; write https://HOST:PORT")]
    Target {
        /// The text, without what may be a password.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The configured transport is none.
    #[error("transport {word:?} is not known; write auto, quic or grpc")]
    Choice {
        /// What was written.
        word: String,
    },
    /// This side's certificate files are not usable (yet).
    #[error("the {side} has no usable certificate: {reason}")]
    NoIdentity {
        /// Whose certificate.
        side: Side,
        /// What is wrong, from `certs`.
        reason: String,
    },
    /// A socket could not be opened.
    #[error("cannot listen on {address}: {reason}; choose a free address of this machine")]
    Bind {
        /// The wanted address.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// A name has no address.
    #[error("cannot find the address of {host}: {reason}; check the name and the resolver")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// Nobody takes the connection.
    #[error("cannot reach {address}: {reason}; check that the hub runs and the network lets us through")]
    Unreachable {
        /// Who was dialled.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// An answer did not come in time.
    #[error("{address} gave no answer within {seconds} s ({step}); check that the hub runs and the network lets us through")]
    NoAnswer {
        /// Who was asked.
        address: String,
        /// Which answer.
        step: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// The HTTP proxy did not do its part.
    #[error("proxy {proxy} does not connect us to the hub: {reason}")]
    Proxy {
        /// Host and port of the proxy.
        proxy: String,
        /// What it said.
        reason: String,
    },
    /// The peer does not accept our certificate.
    #[error("the {peer} at {address} refused our certificate ({reason}): {}", reason.advice())]
    Refused {
        /// Who refused.
        peer: Side,
        /// Where it is.
        address: String,
        /// Why.
        reason: Refusal,
    },
    /// We do not accept the peer's certificate.
    #[error("{peer} at {address} refused: {reason}: {}", reason.advice())]
    Untrusted {
        /// Who was refused.
        peer: Side,
        /// Where it is.
        address: String,
        /// Why.
        reason: Refusal,
    },
    /// The handshake failed for another reason than a certificate.
    #[error("no secure connection with {address}: {reason}")]
    Tls {
        /// Who was at the other end.
        address: String,
        /// What the TLS library said.
        reason: String,
    },
    /// A cap on connections was reached.
    #[error("{peer} at {address} turned away: {what}")]
    Busy {
        /// Who was turned away.
        peer: Side,
        /// Where it is.
        address: String,
        /// Which cap.
        what: String,
    },
    /// The peer sent bytes that are no message.
    #[error("{peer} at {address} broke the protocol: {reason}")]
    Frame {
        /// Who sent them.
        peer: Side,
        /// Where it is.
        address: String,
        /// What is wrong with them.
        reason: FrameFault,
    },
    /// A message of this side is empty or does not fit a frame; the session goes on without it.
    #[error("a message of {bytes} bytes cannot be sent, a frame holds 1 to {limit}", limit = proto_wire::limits::FRAME_BYTES_MAX)]
    Unsendable {
        /// Its size.
        bytes: usize,
    },
    /// The peer says nothing, or too slowly.
    #[error("{peer} at {address} sent no whole message and less than 4 KiB a second for {seconds} s")]
    Silent {
        /// Who is silent.
        peer: Side,
        /// Where it is.
        address: String,
        /// For how long.
        seconds: u64,
    },
    /// The peer does not take what is sent to it.
    #[error("{peer} at {address} read nothing for {seconds} s")]
    Stalled {
        /// Who does not read.
        peer: Side,
        /// Where it is.
        address: String,
        /// For how long.
        seconds: u64,
    },
    /// The peer closed the session, and said why.
    #[error("{peer} at {address} closed the session ({}): {text}", code.word())]
    Closed {
        /// Who closed.
        peer: Side,
        /// Where it is.
        address: String,
        /// Why, for programs.
        code: CloseCode,
        /// Why, for people.
        text: String,
    },
    /// The connection broke.
    #[error("the connection with {peer} at {address} was lost: {reason}")]
    Lost {
        /// Who was at the other end.
        peer: Side,
        /// Where it is.
        address: String,
        /// What was seen.
        reason: String,
    },
    /// The session was ended in peace: no more can be sent.
    #[error("the session has ended")]
    Ended,
}

impl LinkFault {
    /// The metric label value; for certificates the reason itself (`foreign_ca`, `expired`, ...).
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Target { .. } => "target",
            Self::Choice { .. } => "choice",
            Self::NoIdentity { .. } => "no_identity",
            Self::Bind { .. } => "bind",
            Self::Resolve { .. } => "resolve",
            Self::Unreachable { .. } => "unreachable",
            Self::NoAnswer { .. } => "no_answer",
            Self::Proxy { .. } => "proxy",
            Self::Refused { reason, .. } | Self::Untrusted { reason, .. } => reason.word(),
            Self::Tls { .. } => "tls",
            Self::Busy { .. } => "busy",
            Self::Frame { .. } => "frame",
            Self::Unsendable { .. } => "unsendable",
            Self::Silent { .. } => "silent",
            Self::Stalled { .. } => "stalled",
            Self::Closed { code, .. } => match code {
                CloseCode::Done | CloseCode::Protocol => "closed_protocol",
                CloseCode::Refused => "closed_refused",
                CloseCode::ShuttingDown => "closed_shutting_down",
            },
            Self::Lost { .. } => "lost",
            Self::Ended => "ended",
        }
    }

    /// Whose move it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Target { .. } | Self::Choice { .. } | Self::Resolve { .. } | Self::Proxy { .. } => Blame::Edge,
            Self::NoIdentity { side, .. } => side.blame(),
            Self::Bind { .. } | Self::Unreachable { .. } | Self::NoAnswer { .. } => Blame::Hub,
            // The one whose certificate was not accepted, though the other's list of CAs may be what is wrong.
            Self::Refused { peer, .. } => peer.other().blame(),
            Self::Untrusted { peer, .. }
            | Self::Busy { peer, .. }
            | Self::Frame { peer, .. }
            | Self::Silent { peer, .. }
            | Self::Stalled { peer, .. }
            | Self::Lost { peer, .. } => peer.blame(),
            Self::Closed { peer, code, .. } => match code {
                CloseCode::Done | CloseCode::ShuttingDown => peer.blame(),
                CloseCode::Protocol | CloseCode::Refused => peer.other().blame(),
            },
            Self::Tls { .. } | Self::Unsendable { .. } | Self::Ended => Blame::Caller,
        }
    }

    /// What to do: a link is dialled again for ever, [`Remedy::Fix`] says that it helps only once someone changed something.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Target { .. }
            | Self::Choice { .. }
            | Self::NoIdentity { .. }
            | Self::Bind { .. }
            | Self::Refused { .. }
            | Self::Untrusted { .. }
            | Self::Tls { .. } => Remedy::Fix,
            Self::Unsendable { .. } => Remedy::Drop,
            Self::Frame { .. } => Remedy::Stop,
            Self::Closed { code: CloseCode::Protocol, .. } => Remedy::Fix,
            Self::Resolve { .. }
            | Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::Proxy { .. }
            | Self::Busy { .. }
            | Self::Silent { .. }
            | Self::Stalled { .. }
            | Self::Closed { .. }
            | Self::Lost { .. }
            | Self::Ended => Remedy::RetryAfter(BACKOFF_MIN),
        }
    }

    /// Whether the other end, or this one's own configuration, gave a reason, rather than nobody answering: what is worth telling when
    /// several attempts failed.
    #[must_use]
    pub const fn is_telling(&self) -> bool {
        !matches!(self, Self::Resolve { .. } | Self::Unreachable { .. } | Self::NoAnswer { .. } | Self::Lost { .. } | Self::Ended)
    }

    pub(crate) const fn no_answer(address: String, step: &'static str, waited: Duration) -> Self {
        Self::NoAnswer { address, step, seconds: waited.as_secs() }
    }
}

#[cfg(test)]
mod tests;
