//! Moves messages between a QUIC stream and a session's queues.
//!
//! Parts: [`run`] and [`run_accepted`], the session's one task; `write` and `read`, its two halves; `finish`, the end.
//! Promises: nothing is read while the queue to the caller is full; what arrived before the connection ended is
//! still handed on; at a close what is queued is written and acknowledged, for at most `FLUSH_MAX`, before the
//! connection closes with the caller's code; a broken frame closes it with the code for a broken protocol.
//! Must not do: decide what a message means.

use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::time::{sleep, timeout};

use super::ended;
use crate::fault::{CloseCode, LinkFault, Side};
use crate::frame::{self, Decoder, FrameFault};
use crate::limits::{FLUSH_MAX, PATIENCE};
use crate::patience::{Heard, Patience, silent};
use crate::session::{self, Control, Inbox, Outbox, Peer, Wires};

/// Chunks taken from the stream at once; a chunk is what one packet carried.
const CHUNKS: usize = 32;

/// How long a closing packet may take to leave.
const CLOSE_LEAVES_MS_MAX: u32 = 50;

/// How a half of the session ended.
enum End {
    /// This side wants it over; what was queued is written.
    Ours,
    /// The peer will send no more.
    Theirs,
    /// Broken; in peace if there is no fault.
    Broken(Option<LinkFault>),
}

/// Serves one session of the hub to its end: the edge speaks first, its stream comes with its first bytes.
pub(super) async fn run_accepted(connection: Connection, peer: Peer, wires: Wires) {
    let place = Place { side: peer.side, address: peer.address.clone() };
    let control = wires.control.clone();
    let end = tokio::select! {
        biased;
        streams = timeout(PATIENCE, connection.accept_bi()) => match streams {
            Ok(Ok((send, recv))) => return run(connection, send, recv, peer, wires).await,
            Ok(Err(error)) => End::Broken(ended::connection(error, place.side, &place.address)),
            Err(_) => End::Broken(Some(silent(place.side, &place.address))),
        },
        never = session::abandoned(&wires.inbox, &control) => match never {},
        () = session::overdue(&control) => End::Ours,
    };
    let fault = finish(&connection, end, &control, &place).await;
    control.end(fault);
    drop(wires);
}

/// Serves one session to its end.
pub(super) async fn run(connection: Connection, send: SendStream, recv: RecvStream, peer: Peer, wires: Wires) {
    let Wires { outbox, inbox, control } = wires;
    let place = Place { side: peer.side, address: peer.address };
    let end = {
        let mut reading = std::pin::pin!(read(recv, &inbox, &place));
        let writing = async {
            match write(send, outbox, &place).await {
                // What came before the connection broke is still to be read; reading ends by itself.
                End::Broken(_) => std::future::pending().await,
                end @ (End::Ours | End::Theirs) => end,
            }
        };
        tokio::select! {
            biased;
            end = writing => end,
            end = &mut reading => end,
            never = session::abandoned(&inbox, &control) => match never {},
            () = session::overdue(&control) => End::Ours,
        }
    };
    let fault = finish(&connection, end, &control, &place).await;
    control.end(fault);
    drop(inbox);
}

/// Who is at the other end.
struct Place {
    side: Side,
    address: String,
}

impl Place {
    fn broken(&self, reason: FrameFault) -> End {
        End::Broken(Some(LinkFault::Frame { peer: self.side, address: self.address.clone(), reason }))
    }
}

async fn finish(connection: &Connection, end: End, control: &Control, place: &Place) -> Option<LinkFault> {
    match end {
        End::Ours => {
            let (code, text) = match (control.close_reason(), control.fault()) {
                (Some(reason), _) => reason,
                (None, Some(fault)) => (CloseCode::Protocol, fault.to_string()),
                (None, None) => (CloseCode::Done, String::new()),
            };
            close(connection, code, &text).await;
            None
        }
        End::Theirs => match timeout(FLUSH_MAX, connection.closed()).await {
            Ok(error) => ended::connection(error, place.side, &place.address),
            Err(_) => {
                close(connection, CloseCode::Done, "").await;
                None
            }
        },
        End::Broken(Some(fault @ (LinkFault::Frame { .. } | LinkFault::Silent { .. }))) => {
            close(connection, CloseCode::Protocol, &fault.to_string()).await;
            Some(fault)
        }
        End::Broken(fault) => {
            close(connection, CloseCode::Done, "").await;
            fault
        }
    }
}

/// Closes, and waits until the packet that says so has left: another task sends it, and a process may end with its last session.
async fn close(connection: &Connection, code: CloseCode, text: &str) {
    if connection.close_reason().is_some() {
        return;
    }
    let before = connection.stats().udp_tx.datagrams;
    connection.close(VarInt::from_u32(code.number()), text.as_bytes());
    for _ in 0..CLOSE_LEAVES_MS_MAX {
        if connection.stats().udp_tx.datagrams > before {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

async fn write(mut send: SendStream, mut outbox: Outbox, place: &Place) -> End {
    while let Some(parcel) = outbox.next().await {
        if let Err(error) = send.write_chunk(frame::encode(&parcel.message)).await {
            return End::Broken(ended::write(error, place.side, &place.address));
        }
    }
    if send.finish().is_ok() {
        // Only the acknowledgement matters; a connection that broke is told by reading.
        drop(timeout(FLUSH_MAX, send.stopped()).await);
    }
    End::Ours
}

async fn read(mut recv: RecvStream, inbox: &Inbox, place: &Place) -> End {
    let mut decoder = Decoder::default();
    let heard = Heard::default();
    let mut patience = Patience::new(place.side, heard.clone());
    let mut chunks: [Bytes; CHUNKS] = std::array::from_fn(|_| Bytes::new());
    loop {
        let count = match patience.wait(recv.read_chunks(&mut chunks)).await {
            None => return End::Broken(Some(silent(place.side, &place.address))),
            Some(Err(error)) => return End::Broken(ended::read(error, place.side, &place.address)),
            Some(Ok(None)) if decoder.within_frame() => return place.broken(FrameFault::Cut),
            Some(Ok(None)) => return End::Theirs,
            Some(Ok(Some(count))) => count,
        };
        for chunk in &mut chunks[..count] {
            heard.add(chunk.len());
            if let Err(end) = hand_on(chunk, &mut decoder, &mut patience, inbox, place).await {
                return end;
            }
        }
    }
}

/// Hands on the messages that `chunk` makes whole.
async fn hand_on(chunk: &mut Bytes, decoder: &mut Decoder, patience: &mut Patience, inbox: &Inbox, place: &Place) -> Result<(), End> {
    while let Some(body) = decoder.take(chunk).map_err(|fault| place.broken(fault))? {
        let message = frame::decode_message(body).map_err(|fault| place.broken(fault))?;
        // Once the caller wants no more, messages are dropped, until the close is through.
        if inbox.put(message).await.is_ok() {
            patience.renew();
        }
    }
    Ok(())
}
