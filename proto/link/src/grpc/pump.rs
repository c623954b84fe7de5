//! Moves messages between a gRPC call and a session's queues.
//!
//! Parts: [`requests`] and [`responses`], the queue as one half of the call; [`read`], the other half into the queue.
//! Promises: nothing is read while the queue to the caller is full; the stream ends once all that was queued
//! before a close is taken. Must not do: decide what a message means.

use futures::Stream;
use futures::stream::unfold;
use proto_wire::edge_hub::Message;
use tonic::{Status, Streaming};

use super::status;
use super::stream::Failure;
use crate::fault::{CloseCode, LinkFault, Side};
use crate::patience::{Heard, Patience, silent};
use crate::session::{Control, Inbox, Outbox, Parcel};

/// How a session ended.
pub(super) enum End {
    /// In peace, by either side.
    Peace,
    /// Broken.
    Broken(LinkFault),
}

/// The other end of the call.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) side: Side,
    pub(super) address: String,
    pub(super) failure: Failure,
}

/// The edge's half of the call: messages, and its end when all is sent.
pub(super) fn requests(outbox: Outbox) -> impl Stream<Item = Parcel> + Send + 'static {
    unfold(outbox, |mut outbox| async move { outbox.next().await.map(|parcel| (parcel, outbox)) })
}

/// The hub's half of the call: messages, then the reason of the close as the call's status.
pub(super) fn responses(outbox: Outbox, control: Control) -> impl Stream<Item = Result<Parcel, Status>> + Send + 'static {
    unfold(Some((outbox, control)), |state| async move {
        let (mut outbox, control) = state?;
        match outbox.next().await {
            Some(parcel) => Some((Ok(parcel), Some((outbox, control)))),
            None => last_word(&control).map(|status| (Err(status), None)),
        }
    })
}

fn last_word(control: &Control) -> Option<Status> {
    match (control.close_reason(), control.fault()) {
        (Some((code, text)), _) => status::of_close(code, &text),
        (None, Some(fault)) => status::of_close(CloseCode::Protocol, &fault.to_string()),
        (None, None) => None,
    }
}

/// Hands received messages on until there are no more; once the caller wants none, they are dropped.
pub(super) async fn read(messages: &mut Streaming<Message>, inbox: &Inbox, heard: Heard, place: &Place) -> End {
    let mut patience = Patience::new(place.side, heard);
    loop {
        let message = match patience.wait(messages.message()).await {
            None => return End::Broken(silent(place.side, &place.address)),
            Some(Ok(None)) => return End::Peace,
            Some(Ok(Some(message))) => message,
            Some(Err(status)) => return End::Broken(status::fault(&status, &place.failure, place.side, &place.address)),
        };
        if inbox.put(message).await.is_ok() {
            patience.renew();
        }
    }
}
