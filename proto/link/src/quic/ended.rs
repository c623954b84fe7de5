//! QUIC's errors as ours: why a connection did not come to stand or ended. Pure.

use certs::Refusal;
use quinn::{ConnectionError, ReadError, WriteError};
use rustls::AlertDescription;

use crate::fault::{CloseCode, LinkFault, Side};
use crate::limits::IDLE_MAX;

/// `CONNECTION_REFUSED` of RFC 9000: the hub takes no more connections.
const CONNECTION_REFUSED: u64 = 0x2;

/// Why the connection ended; `None` in peace.
pub(super) fn connection(error: ConnectionError, peer: Side, address: &str) -> Option<LinkFault> {
    let address = address.to_owned();
    let lost = |reason: String| LinkFault::Lost { peer, address: address.clone(), reason };
    Some(match error {
        ConnectionError::ApplicationClosed(close) => {
            let code = CloseCode::from_number(close.error_code.into_inner());
            if code == CloseCode::Done {
                return None;
            }
            LinkFault::Closed { peer, address, code, text: String::from_utf8_lossy(&close.reason).into_owned() }
        }
        ConnectionError::ConnectionClosed(close) => by_peer(u64::from(close.error_code), &close.to_string(), peer, address),
        ConnectionError::TransportError(error) => by_us(u64::from(error.code), &error.reason, &error.to_string(), peer, address),
        ConnectionError::LocallyClosed => return None,
        ConnectionError::TimedOut => lost(format!("nothing was heard from it for {} s", IDLE_MAX.as_secs())),
        ConnectionError::Reset => lost("it does not know this connection any more; it was started anew".to_owned()),
        ConnectionError::VersionMismatch => LinkFault::Tls { address, reason: "it speaks no version of quic that we speak".to_owned() },
        ConnectionError::CidsExhausted => lost("connection ids ran out".to_owned()),
    })
}

/// Why reading or writing the stream ended; `None` where the connection's own end tells.
pub(super) fn read(error: ReadError, peer: Side, address: &str) -> Option<LinkFault> {
    match error {
        ReadError::ConnectionLost(error) => connection(error, peer, address),
        ReadError::Reset(_) => Some(stream_broken("it reset the stream", peer, address)),
        ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => Some(stream_broken("the stream is gone", peer, address)),
    }
}

/// See [`read`].
pub(super) fn write(error: WriteError, peer: Side, address: &str) -> Option<LinkFault> {
    match error {
        WriteError::ConnectionLost(error) => connection(error, peer, address),
        WriteError::Stopped(_) => Some(stream_broken("it stopped the stream", peer, address)),
        WriteError::ClosedStream | WriteError::ZeroRttRejected => Some(stream_broken("the stream is gone", peer, address)),
    }
}

fn stream_broken(reason: &str, peer: Side, address: &str) -> LinkFault {
    LinkFault::Lost { peer, address: address.to_owned(), reason: reason.to_owned() }
}

/// The peer's QUIC ended the connection.
fn by_peer(code: u64, text: &str, peer: Side, address: String) -> LinkFault {
    if code == CONNECTION_REFUSED {
        return LinkFault::Busy { peer: peer.other(), address, what: format!("the {peer} takes no more connections now") };
    }
    let Some(alert) = alert(code) else {
        return LinkFault::Lost { peer, address, reason: text.to_owned() };
    };
    match Refusal::of_alert(alert) {
        Some(reason) => LinkFault::Refused { peer, address, reason },
        None if alert == AlertDescription::NoApplicationProtocol => LinkFault::Tls { address, reason: "it speaks no protocol that we speak".to_owned() },
        None => LinkFault::Tls { address, reason: format!("it ended the handshake: {alert:?}") },
    }
}

/// Our QUIC ended the connection.
fn by_us(code: u64, reason: &str, text: &str, peer: Side, address: String) -> LinkFault {
    match (alert(code), Refusal::in_text(reason)) {
        (Some(_), Some(reason)) => LinkFault::Untrusted { peer, address, reason },
        (Some(_), None) => LinkFault::Tls { address, reason: reason.to_owned() },
        (None, _) => LinkFault::Lost { peer, address, reason: text.to_owned() },
    }
}

/// The TLS alert in a close code: 0x100 to 0x1ff of RFC 9001.
fn alert(code: u64) -> Option<AlertDescription> {
    let alert = code.checked_sub(0x100)?;
    u8::try_from(alert).ok().map(AlertDescription::from)
}
