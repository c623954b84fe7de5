//! Taking sessions in: the trait, and the queue between a listener's tasks and whoever accepts.
//!
//! Promises: one connection that fails, or a task that panics, ends no listener. Must not do: judge
//! certificates (`certs`) or know tenants.

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::fault::LinkFault;
use crate::limits::ARRIVALS;
use crate::session::Session;

/// Takes sessions in. Implemented by [`crate::QuicServer`], [`crate::GrpcServer`] and [`crate::DirectServer`].
#[async_trait]
pub trait Listen: Send {
    /// The next session, or why one that was tried does not stand (to be counted and logged; the listener goes on). `None` once the
    /// listener is closed.
    async fn accept(&mut self) -> Option<Result<Session, LinkFault>>;
}

/// What the connection tasks tell.
#[derive(Debug, Clone)]
pub(crate) struct Arrivals(mpsc::Sender<Result<Session, LinkFault>>);

impl Arrivals {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Result<Session, LinkFault>>) {
        let (sender, receiver) = mpsc::channel(ARRIVALS);
        (Self(sender), receiver)
    }

    /// Hands a session over; waits for its turn. When nobody accepts any more (false), the session ends by being dropped.
    pub(crate) async fn session(&self, session: Session) -> bool {
        self.0.send(Ok(session)).await.is_ok()
    }

    /// Tells a fault. Under a flood of them the rest is only logged: they must not hold up sessions.
    pub(crate) fn fault(&self, fault: LinkFault) {
        if let Err(mpsc::error::TrySendError::Full(Err(fault)) | mpsc::error::TrySendError::Closed(Err(fault))) = self.0.try_send(Err(fault)) {
            tracing::debug!(%fault, "connection not taken");
        }
    }
}
