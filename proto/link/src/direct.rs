//! Sessions within one process, without sockets: for simulations and tests, on links that can be cut, paused and slow.
//!
//! Parts: [`DirectNet`], the network; [`DirectServer`] listens under a name on it; [`DirectClient`] dials over a
//! link, which has a name too. Promises: a message that was taken off a sender's queue arrives, in order, unless its link is
//! cut; a cut loses what is on its way; a paused link keeps everything and moves nothing, so that the
//! queues fill; links wake their sessions in the order in which these wait. Must not do: threads, chance; delays are given.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::dial::{Dial, Target};
use crate::fault::{CloseCode, LinkFault, Side};
use crate::listen::{Arrivals, Listen};
use crate::session::{self, Inbox, Outbox, Parcel, Peer, Session, Transport, Wires};

/// What a link does with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Flows,
    /// Nothing arrives at this side; `None` = at neither.
    Paused(Option<Side>),
    Cut,
}

/// Messages that are on their way at once, one direction of one session.
const ON_THE_WAY_MAX: usize = 1_024;

/// How long the next message is on its way.
pub type Delay = Arc<dyn Fn() -> Duration + Send + Sync>;

/// A network within the process. Clones are the same network.
#[derive(Debug, Clone, Default)]
pub struct DirectNet(Arc<Mutex<Net>>);

#[derive(Default)]
struct Net {
    listeners: BTreeMap<String, Arrivals>,
    links: BTreeMap<String, Arc<Link>>,
    delay: Option<Delay>,
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").field("listeners", &self.listeners.keys()).field("links", &self.links).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Link {
    state: Mutex<LinkState>,
    /// Wakes in the order of waiting.
    changed: Notify,
}

impl Link {
    fn state(&self) -> LinkState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: LinkState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.changed.notify_waiters();
    }

    /// Waits for a state that `fits`.
    async fn wait_for(&self, fits: impl Fn(LinkState) -> bool) -> LinkState {
        loop {
            let changed = self.changed.notified();
            let state = self.state();
            if fits(state) {
                return state;
            }
            changed.await;
        }
    }
}

impl DirectNet {
    /// A network without listeners.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A network on which each message, and each dial, takes as long as `delay` says.
    #[must_use]
    pub fn with_delay(delay: Delay) -> Self {
        Self(Arc::new(Mutex::new(Net { delay: Some(delay), ..Net::default() })))
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
        self.lock().link(link).set(LinkState::Cut);
    }

    /// Holds everything on `link` until [`Self::mend`]; dialling waits.
    pub fn pause(&self, link: &str) {
        self.lock().link(link).set(LinkState::Paused(None));
    }

    /// As [`Self::pause`], for what goes to `side` alone.
    pub fn pause_to(&self, link: &str, side: Side) {
        self.lock().link(link).set(LinkState::Paused(Some(side)));
    }

    /// Lets messages flow on `link`, and new sessions stand.
    pub fn mend(&self, link: &str) {
        self.lock().link(link).set(LinkState::Flows);
    }

    fn lock(&self) -> MutexGuard<'_, Net> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delay(&self) -> Option<Delay> {
        self.lock().delay.clone()
    }
}

impl Net {
    fn link(&mut self, name: &str) -> Arc<Link> {
        let new = || Arc::new(Link { state: Mutex::new(LinkState::Flows), changed: Notify::new() });
        Arc::clone(self.links.entry(name.to_owned()).or_insert_with(new))
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
        let link = self.net.lock().link(&self.link);
        let delay = self.net.delay();
        if let Some(delay) = &delay {
            tokio::time::sleep(delay()).await;
        }
        // A session takes messages both ways to begin.
        if link.wait_for(|state| !matches!(state, LinkState::Paused(_))).await == LinkState::Cut {
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
        tokio::spawn(carry(edge, hub, to_hub, to_edge, link, delay));
        Ok(edge_session)
    }
}

/// How one direction, or the link, ended.
enum End {
    /// The sender closed, everything of its is delivered.
    Closed(Side),
    Cut,
}

/// Carries one session both ways to its end.
async fn carry(edge: Wires, hub: Wires, to_hub: Peer, to_edge: Peer, link: Arc<Link>, delay: Option<Delay>) {
    let Wires { outbox: edge_outbox, inbox: edge_inbox, control: edge_control } = edge;
    let Wires { outbox: hub_outbox, inbox: hub_inbox, control: hub_control } = hub;
    let end = tokio::select! {
        biased;
        _ = link.wait_for(|state| state == LinkState::Cut) => End::Cut,
        () = deliver(edge_outbox, &hub_inbox, Side::Hub, &link, delay.as_ref()) => End::Closed(Side::Edge),
        () = deliver(hub_outbox, &edge_inbox, Side::Edge, &link, delay.as_ref()) => End::Closed(Side::Hub),
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
async fn deliver(mut outbox: Outbox, inbox: &Inbox, to: Side, link: &Link, delay: Option<&Delay>) {
    let mut on_the_way: VecDeque<(Instant, Parcel)> = VecDeque::new();
    let mut sending = true;
    while sending || !on_the_way.is_empty() {
        let due = on_the_way.front().map(|(due, _)| *due);
        tokio::select! {
            biased;
            () = arrives(due) => {}
            parcel = outbox.next(), if sending && on_the_way.len() < ON_THE_WAY_MAX => {
                match parcel {
                    // None overtakes another.
                    Some(parcel) => {
                        let due = Instant::now() + delay.map_or(Duration::ZERO, |delay| delay());
                        on_the_way.push_back((on_the_way.back().map_or(due, |(before, _)| due.max(*before)), parcel));
                    }
                    None => sending = false,
                }
                continue;
            }
        }
        if link.wait_for(|state| !matches!(state, LinkState::Paused(at) if at.is_none_or(|at| at == to))).await == LinkState::Cut {
            // The session's end is told by whoever carries it.
            return std::future::pending().await;
        }
        if let Some((_, parcel)) = on_the_way.pop_front() {
            // A receiver that wants no more closes the session; until it has, messages to it are dropped.
            drop(inbox.put(parcel.into_message()).await);
        }
    }
}

async fn arrives(due: Option<Instant>) {
    match due {
        None => std::future::pending().await,
        // Without a delay nothing waits for a timer.
        Some(due) if due <= Instant::now() => {}
        Some(due) => tokio::time::sleep_until(due).await,
    }
}

#[cfg(test)]
mod tests;
