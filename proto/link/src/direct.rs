//! Sessions within one process, for simulation: the same queues and bounds, a network that can be cut and paused.
//!
//! Parts: [`DirectNet`], the network; [`DirectServer`] listens under a name on it; [`DirectClient`] dials over a
//! link, which has a name too. Promises: a message that was taken off a sender's queue arrives, unless its link is
//! cut; a cut loses what is on its way; a paused link keeps everything and moves nothing, so that the
//! queues fill. Must not do: timers, threads, chance.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use crate::dial::{Dial, Target};
use crate::fault::{CloseCode, LinkFault, Side};
use crate::listen::{Arrivals, Listen};
use crate::session::{self, Inbox, Outbox, Peer, Session, Transport, Wires};

/// What a link does with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Flows,
    Paused,
    Cut,
}

/// A network within the process. Clones are the same network.
#[derive(Debug, Clone, Default)]
pub struct DirectNet(Arc<Mutex<Net>>);

#[derive(Debug, Default)]
struct Net {
    listeners: BTreeMap<String, Arrivals>,
    links: BTreeMap<String, watch::Sender<LinkState>>,
}

impl DirectNet {
    /// A network without listeners.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens as `name`; a listener that was there under the same name hears no more.
    #[must_use]
    pub fn listen(&self, name: &str) -> DirectServer {
        let (sender, arrivals) = Arrivals::new();
        self.lock().listeners.insert(name.to_owned(), sender);
        DirectServer { arrivals }
    }

    /// Dials over the link `link`, showing `certificate_der` to the hub as if it were verified.
    #[must_use]
    pub fn client(&self, link: &str, certificate_der: Option<Vec<u8>>) -> DirectClient {
        self.lock().link(link);
        DirectClient { net: self.clone(), link: link.to_owned(), certificate_der }
    }

    /// Breaks all sessions on `link`, losing what is on its way; dialling fails until [`Self::mend`].
    pub fn cut(&self, link: &str) {
        self.lock().link(link).send_replace(LinkState::Cut);
    }

    /// Holds everything on `link` until [`Self::mend`]; dialling waits.
    pub fn pause(&self, link: &str) {
        self.lock().link(link).send_replace(LinkState::Paused);
    }

    /// Lets messages flow on `link`, and new sessions stand.
    pub fn mend(&self, link: &str) {
        self.lock().link(link).send_replace(LinkState::Flows);
    }

    fn lock(&self) -> MutexGuard<'_, Net> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Net {
    fn link(&mut self, name: &str) -> &watch::Sender<LinkState> {
        self.links.entry(name.to_owned()).or_insert_with(|| watch::Sender::new(LinkState::Flows))
    }
}

/// Takes sessions in under a name of a [`DirectNet`].
#[derive(Debug)]
pub struct DirectServer {
    arrivals: mpsc::Receiver<Result<Session, LinkFault>>,
}

#[async_trait]
impl Listen for DirectServer {
    async fn accept(&mut self) -> Option<Result<Session, LinkFault>> {
        self.arrivals.recv().await
    }
}

/// Dials over one link of a [`DirectNet`]; the target's host is the listener's name.
#[derive(Debug, Clone)]
pub struct DirectClient {
    net: DirectNet,
    link: String,
    certificate_der: Option<Vec<u8>>,
}

#[async_trait]
impl Dial for DirectClient {
    async fn dial(&self, target: &Target) -> Result<Session, LinkFault> {
        let unreachable = |reason: &str| LinkFault::Unreachable { address: target.host.clone(), reason: reason.to_owned() };
        let mut state = self.net.lock().link(&self.link).subscribe();
        if !flows(&mut state).await {
            return Err(unreachable("the link is cut"));
        }
        let listener = self.net.lock().listeners.get(&target.host).cloned().ok_or_else(|| unreachable("nobody listens there"))?;
        let to_hub = Peer { side: Side::Hub, certificate_der: None, address: target.host.clone(), transport: Transport::Direct };
        let to_edge = Peer { side: Side::Edge, certificate_der: self.certificate_der.clone(), address: self.link.clone(), transport: Transport::Direct };
        let (edge_session, edge) = session::open(to_hub.clone());
        let (hub_session, hub) = session::open(to_edge.clone());
        if !listener.session(hub_session).await {
            return Err(unreachable("its listener is gone"));
        }
        tokio::spawn(carry(edge, hub, to_hub, to_edge, state));
        Ok(edge_session)
    }
}

/// Waits until messages may flow; false once the link is cut.
async fn flows(state: &mut watch::Receiver<LinkState>) -> bool {
    // The network may be gone, its links then stay as they were.
    state.wait_for(|state| *state != LinkState::Paused).await.is_ok_and(|state| *state == LinkState::Flows)
}

/// How one direction, or the link, ended.
enum End {
    /// The sender closed, everything of its is delivered.
    Closed(Side),
    Cut,
}

/// Carries one session both ways to its end.
async fn carry(edge: Wires, hub: Wires, to_hub: Peer, to_edge: Peer, state: watch::Receiver<LinkState>) {
    let Wires { outbox: edge_outbox, inbox: edge_inbox, control: edge_control } = edge;
    let Wires { outbox: hub_outbox, inbox: hub_inbox, control: hub_control } = hub;
    let mut broken = state.clone();
    let end = tokio::select! {
        biased;
        _ = broken.wait_for(|state| *state == LinkState::Cut) => End::Cut,
        () = deliver(edge_outbox, &hub_inbox, state.clone()) => End::Closed(Side::Edge),
        () = deliver(hub_outbox, &edge_inbox, state) => End::Closed(Side::Hub),
        never = session::abandoned(&edge_inbox, &edge_control) => match never {},
        never = session::abandoned(&hub_inbox, &hub_control) => match never {},
        () = session::overdue(&edge_control) => End::Closed(Side::Edge),
        () = session::overdue(&hub_control) => End::Closed(Side::Hub),
    };
    match end {
        End::Cut => {
            let lost = |peer: Peer| LinkFault::Lost { peer: peer.side, address: peer.address, reason: "the link was cut".to_owned() };
            edge_control.end(Some(lost(to_hub)));
            hub_control.end(Some(lost(to_edge)));
        }
        End::Closed(by) => {
            let (by_control, other, by_peer) = if by == Side::Edge { (edge_control, hub_control, to_edge) } else { (hub_control, edge_control, to_hub) };
            let (code, text) = by_control.close_reason().unwrap_or((CloseCode::Done, String::new()));
            other.end((code != CloseCode::Done).then_some(LinkFault::Closed { peer: by, address: by_peer.address, code, text }));
            by_control.end(None);
        }
    }
}

/// Carries one direction until its sender closes.
async fn deliver(mut outbox: Outbox, inbox: &Inbox, mut state: watch::Receiver<LinkState>) {
    while let Some(parcel) = outbox.next().await {
        if !flows(&mut state).await {
            // Cut: the session's end is told by whoever carries it.
            return std::future::pending().await;
        }
        // A receiver that wants no more closes the session; until it has, messages to it are dropped.
        drop(inbox.put(parcel.into_message()).await);
    }
}

#[cfg(test)]
mod tests;
