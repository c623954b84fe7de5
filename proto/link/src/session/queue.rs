//! The two queues of a session, bounded in messages and in bytes.
//!
//! Parts: [`Outgoing`] (caller) to [`Outbox`] (pump); [`Inbox`] (pump) to [`Incoming`] (caller).
//! Promises: a message counts with its encoded size until the other end has taken it; the order of one
//! sender's messages is kept. Must not do: drop a message while the session lives.

use std::sync::Arc;

use prost::Message as _;
use proto_wire::edge_hub::Message;
use proto_wire::limits::FRAME_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{Control, Peer};
use crate::fault::{LinkFault, Side};
use crate::limits::{QUEUE_BYTES, QUEUE_MESSAGES, STALL_MAX};

/// A message with its share of the queue's bytes, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) message: Message,
    _room: OwnedSemaphorePermit,
}

impl Parcel {
    /// The message; its share of the queue is given back.
    pub(crate) fn into_message(self) -> Message {
        self.message
    }
}

/// The caller's end of the messages to the peer.
#[derive(Debug, Clone)]
pub struct Outgoing {
    sender: mpsc::Sender<Parcel>,
    room: Arc<Semaphore>,
    control: Control,
    /// What is said of a peer that takes nothing for `STALL_MAX`; `None` on the edge, where a slow hub is slow on purpose.
    stalled: Option<LinkFault>,
}

/// Why [`Outgoing::try_send`] did not send.
#[derive(Debug)]
pub enum NotSent {
    /// The queue is full: the message back.
    Full(Box<Message>),
    /// It never will.
    Fault(LinkFault),
}

impl Outgoing {
    /// Queues `message`; waits while the queue is full. Dropped while it waits, the message is not sent.
    ///
    /// # Errors
    /// [`LinkFault::Unsendable`], after which the session goes on; else why the session is over ([`LinkFault::Ended`] after a close in peace).
    pub async fn send(&self, message: Message) -> Result<(), LinkFault> {
        let permits = permits(&message)?;
        let queued = async {
            let Ok(room) = Arc::clone(&self.room).acquire_many_owned(permits).await else { return false };
            self.sender.send(Parcel { message, _room: room }).await.is_ok()
        };
        tokio::select! {
            biased;
            () = self.control.closing() => {}
            queued = queued => if queued { return Ok(()) },
            () = tokio::time::sleep(STALL_MAX), if self.stalled.is_some() => {
                self.control.end(self.stalled.clone());
            }
        }
        Err(self.why())
    }

    /// Queues `message` if there is room at once.
    ///
    /// # Errors
    /// [`NotSent`].
    pub fn try_send(&self, message: Message) -> Result<(), NotSent> {
        let permits = permits(&message).map_err(NotSent::Fault)?;
        if self.control.close_reason().is_some() || self.control.is_closed() {
            return Err(NotSent::Fault(self.why()));
        }
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(permits) else { return Err(NotSent::Full(Box::new(message))) };
        self.sender.try_send(Parcel { message, _room: room }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(parcel) => NotSent::Full(Box::new(parcel.message)),
            mpsc::error::TrySendError::Closed(_) => NotSent::Fault(self.why()),
        })
    }

    /// Bytes that [`Self::try_send`] would take now.
    #[must_use]
    pub fn room_bytes(&self) -> usize {
        self.room.available_permits()
    }

    fn why(&self) -> LinkFault {
        self.control.fault().unwrap_or(LinkFault::Ended)
    }
}

/// The pump's end of the messages to the peer.
#[derive(Debug)]
pub(crate) struct Outbox {
    receiver: mpsc::Receiver<Parcel>,
    control: Control,
    closing: bool,
}

impl Outbox {
    /// The next message; `None` once nothing more will come: closed, or no sender left.
    pub(crate) async fn next(&mut self) -> Option<Parcel> {
        loop {
            tokio::select! {
                biased;
                () = self.control.closing(), if !self.closing => {
                    self.closing = true;
                    self.receiver.close();
                }
                parcel = self.receiver.recv() => return parcel,
            }
        }
    }
}

/// The caller's end of the messages from the peer.
#[derive(Debug)]
pub struct Incoming {
    receiver: mpsc::Receiver<Parcel>,
    control: Control,
    told: bool,
}

impl Incoming {
    /// The next message; once, the fault that ended the session; `None` after that, and after an end in peace.
    pub async fn recv(&mut self) -> Option<Result<Message, LinkFault>> {
        match self.receiver.recv().await {
            Some(parcel) => Some(Ok(parcel.message)),
            None if self.told => None,
            None => {
                self.told = true;
                // The pump tells the end before it drops its end of the queue.
                self.control.fault().map(Err)
            }
        }
    }
}

/// The pump's end of the messages from the peer. Dropping it without [`Control::end`] counts as a lost connection.
#[derive(Debug)]
pub(crate) struct Inbox {
    sender: mpsc::Sender<Parcel>,
    room: Arc<Semaphore>,
    control: Control,
    /// Told when the pump stopped without a word: it panicked, or the runtime goes down.
    lost: LinkFault,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.control.end(Some(self.lost.clone()));
    }
}

/// The caller wants no more messages.
#[derive(Debug)]
pub(crate) struct Spill;

impl Inbox {
    /// Queues a received message; waits while the queue is full, which is what stops the peer.
    pub(crate) async fn put(&self, message: Message) -> Result<(), Spill> {
        // A message of an unknown kind is empty once decoded; one that was within a frame always fits.
        let permits = permits(&message).unwrap_or(1);
        tokio::select! {
            biased;
            () = self.sender.closed() => Err(Spill),
            queued = async {
                let room = Arc::clone(&self.room).acquire_many_owned(permits).await.map_err(|_| Spill)?;
                self.sender.send(Parcel { message, _room: room }).await.map_err(|_| Spill)
            } => queued,
        }
    }

    /// Waits until the caller dropped its end.
    pub(crate) async fn abandoned(&self) {
        self.sender.closed().await;
    }
}

pub(super) fn outgoing(peer: &Peer, control: &Control) -> (Outgoing, Outbox) {
    let (sender, receiver) = mpsc::channel(QUEUE_MESSAGES);
    let stalled = (peer.side == Side::Edge).then(|| LinkFault::Stalled { peer: peer.side, address: peer.address.clone(), seconds: STALL_MAX.as_secs() });
    let room = Arc::new(Semaphore::new(QUEUE_BYTES));
    (Outgoing { sender, room, control: control.clone(), stalled }, Outbox { receiver, control: control.clone(), closing: false })
}

pub(super) fn incoming(peer: &Peer, control: &Control) -> (Inbox, Incoming) {
    let (sender, receiver) = mpsc::channel(QUEUE_MESSAGES);
    let room = Arc::new(Semaphore::new(QUEUE_BYTES));
    let lost = LinkFault::Lost { peer: peer.side, address: peer.address.clone(), reason: "the task that served it stopped".to_owned() };
    (Inbox { sender, room, control: control.clone(), lost }, Incoming { receiver, control: control.clone(), told: false })
}

/// What a message takes of a queue's bytes.
fn permits(message: &Message) -> Result<u32, LinkFault> {
    let bytes = message.encoded_len();
    let fits = u32::try_from(bytes).ok().filter(|_| (1..=FRAME_BYTES_MAX).contains(&bytes));
    fits.ok_or(LinkFault::Unsendable { bytes })
}
