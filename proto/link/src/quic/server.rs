//! The hub's side of QUIC: takes sessions in.
//!
//! ```text
//! attempt -> gate (256 in flight, 64 an address; Retry from 64 on) -> handshake (5 s) -> seat (2,048; 4 an identity) -> stream granted -> session
//! ```
//!
//! Promises: each connection has a task of its own, whose end, panic included, is its own; new certificates count
//! from the next handshake on; a lost real socket is opened anew. Dropping the server ends the taking in, not the
//! sessions that stand. Must not do: judge certificates.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use proto_seam::Entropy;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{AsyncUdpSocket, Connecting, Connection, ConnectionError, Endpoint, Incoming, Runtime, ServerConfig, TokioRuntime, VarInt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{ClockTime, ended, endpoint_config, peer_certificate, pump, real_socket, transport_config, unusable_config};
use crate::caps::{Caps, Gate};
use crate::fault::{CloseCode, LinkFault, Side};
use crate::limits::{ACCEPT_REST, HANDSHAKE_MAX, HANDSHAKES_MAX, QUIC_INCOMING_BYTES, QUIC_RETRY_FROM};
use crate::listen::{Arrivals, Listen};
use crate::session::{self, Peer, Session, Transport};
use crate::tls::ServerTls;

/// Takes sessions in over QUIC.
#[derive(Debug)]
pub struct QuicServer {
    arrivals: mpsc::Receiver<Result<Session, LinkFault>>,
    address: SocketAddr,
    taking: JoinHandle<()>,
}

impl QuicServer {
    /// On a socket of the system; port 0 is any free one.
    ///
    /// # Errors
    /// [`LinkFault::Bind`]; [`LinkFault::NoIdentity`] while there are no certificates.
    pub async fn bind(address: SocketAddr, tls: ServerTls, caps: Caps, entropy: &Entropy) -> Result<Self, LinkFault> {
        let socket = real_socket(address).await?;
        Self::start(socket, Arc::new(TokioRuntime), tls, caps, entropy, true)
    }

    /// On a given socket, with a given runtime. Call inside the runtime.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub fn with_socket(socket: Arc<dyn AsyncUdpSocket>, runtime: Arc<dyn Runtime>, tls: ServerTls, caps: Caps, entropy: &Entropy) -> Result<Self, LinkFault> {
        Self::start(socket, runtime, tls, caps, entropy, false)
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn start(
        socket: Arc<dyn AsyncUdpSocket>,
        runtime: Arc<dyn Runtime>,
        mut tls: ServerTls,
        caps: Caps,
        entropy: &Entropy,
        real: bool,
    ) -> Result<Self, LinkFault> {
        let unbound = |fault: std::io::Error| LinkFault::Bind { address: "udp".to_owned(), reason: fault.to_string() };
        let entropy = entropy.fork("quic server");
        let config = server_config(&mut tls)?;
        let reset = tls.reset_key()?;
        let address = socket.local_addr().map_err(unbound)?;
        let endpoint = Endpoint::new_with_abstract_socket(endpoint_config(&entropy, reset), Some(config), socket, runtime).map_err(unbound)?;
        let (sender, arrivals) = Arrivals::new();
        let taker = Taker { endpoint, tls, caps, gate: Gate::new(), arrivals: sender, entropy, reopen: real.then_some(address) };
        Ok(Self { arrivals, address, taking: tokio::spawn(taker.run()) })
    }
}

#[async_trait]
impl Listen for QuicServer {
    async fn accept(&mut self) -> Option<Result<Session, LinkFault>> {
        self.arrivals.recv().await
    }
}

impl Drop for QuicServer {
    fn drop(&mut self) {
        self.taking.abort();
    }
}

fn server_config(tls: &mut ServerTls) -> Result<ServerConfig, LinkFault> {
    let crypto = QuicServerConfig::try_from(tls.quic()?).map_err(|fault| unusable_config(Side::Hub, &fault))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport_config()))
        .migration(true)
        .max_incoming(HANDSHAKES_MAX)
        .incoming_buffer_size(QUIC_INCOMING_BYTES)
        .incoming_buffer_size_total(QUIC_INCOMING_BYTES * HANDSHAKES_MAX as u64)
        .time_source(Arc::new(ClockTime(tls.clock().clone())));
    Ok(config)
}

/// The task that takes attempts.
struct Taker {
    endpoint: Endpoint,
    tls: ServerTls,
    caps: Caps,
    gate: Gate,
    arrivals: Arrivals,
    entropy: Entropy,
    /// Where to open the socket again if it is lost; `None` for a given one.
    reopen: Option<SocketAddr>,
}

impl Taker {
    async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                () = self.tls.changed() => self.renew(),
                incoming = self.endpoint.accept() => match incoming {
                    Some(incoming) => self.take(incoming),
                    None => if !self.reopened().await { return },
                },
            }
        }
    }

    /// New certificates, for the handshakes from now on.
    fn renew(&mut self) {
        match server_config(&mut self.tls) {
            Ok(config) => self.endpoint.set_server_config(Some(config)),
            Err(fault) => tracing::warn!(%fault, "new quic configuration not taken, the one before stays in use"),
        }
    }

    fn take(&self, incoming: Incoming) {
        let address = incoming.remote_address();
        if self.gate.in_flight() >= QUIC_RETRY_FROM && !incoming.remote_address_validated() {
            if let Err(fault) = incoming.retry() {
                fault.into_incoming().ignore();
            }
            return;
        }
        let seat = match self.gate.enter(address.ip()) {
            Ok(seat) => seat,
            Err(what) => {
                incoming.refuse();
                self.arrivals.fault(LinkFault::Busy { peer: Side::Edge, address: address.to_string(), what });
                return;
            }
        };
        let (tls, caps, arrivals) = (self.tls.clone(), self.caps.clone(), self.arrivals.clone());
        // Here and not in the task: by then this server may be gone, and its configuration with it.
        let connecting = incoming.accept();
        tokio::spawn(async move {
            let result = let_in(connecting, &tls, &caps, &address.to_string()).await;
            drop(seat);
            match result {
                Ok(session) => drop(arrivals.session(session).await),
                Err(fault) => arrivals.fault(fault),
            }
        });
    }

    /// The endpoint ended without our doing: its socket failed. Opens it again, for as long as it takes.
    async fn reopened(&mut self) -> bool {
        let Some(address) = self.reopen else { return false };
        loop {
            tracing::warn!(%address, "udp socket lost, opening it again");
            sleep(ACCEPT_REST).await;
            let opened = async {
                let socket = real_socket(address).await?;
                let (config, reset) = (server_config(&mut self.tls)?, self.tls.reset_key()?);
                Endpoint::new_with_abstract_socket(endpoint_config(&self.entropy, reset), Some(config), socket, Arc::new(TokioRuntime))
                    .map_err(|fault| LinkFault::Bind { address: address.to_string(), reason: fault.to_string() })
            };
            match opened.await {
                Ok(endpoint) => {
                    self.endpoint = endpoint;
                    return true;
                }
                Err(fault) => tracing::warn!(%fault, "udp socket not opened"),
            }
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        // Sessions that stand keep the socket; what comes new is not answered.
        self.endpoint.set_server_config(None);
    }
}

/// From an attempt to a session.
async fn let_in(connecting: Result<Connecting, ConnectionError>, tls: &ServerTls, caps: &Caps, address: &str) -> Result<Session, LinkFault> {
    let ended = |error: ConnectionError| ended::connection(error, Side::Edge, address).unwrap_or(LinkFault::Ended);
    let no_answer = || LinkFault::no_answer(address.to_owned(), "quic handshake", HANDSHAKE_MAX);
    let connection = timeout(HANDSHAKE_MAX, connecting.map_err(ended)?).await.map_err(|_| no_answer())?.map_err(ended)?;
    // The verifier lets no connection pass without a certificate.
    let certificate = peer_certificate(&connection).ok_or_else(|| refuse(&connection, address, "it has no certificate".to_owned()))?;
    let seat = caps.enter(tls.identity_key(&certificate, address)?).map_err(|what| refuse(&connection, address, what))?;
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(1));
    let peer = Peer { side: Side::Edge, certificate_der: Some(certificate), address: address.to_owned(), transport: Transport::Quic };
    let (session, wires) = session::open(peer);
    let control = wires.control.clone();
    let serving = pump::run_accepted(connection, session.peer.clone(), wires);
    tokio::spawn(async move {
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            biased;
            () = &mut serving => {}
            () = seat.replaced() => {
                control.close(CloseCode::Refused, session::REPLACED);
                serving.await;
            }
        }
        drop(seat);
    });
    Ok(session)
}

/// Turns a peer away after its handshake, and says so on both sides.
fn refuse(connection: &Connection, address: &str, what: String) -> LinkFault {
    connection.close(VarInt::from_u32(CloseCode::Refused.number()), what.as_bytes());
    LinkFault::Busy { peer: Side::Edge, address: address.to_owned(), what }
}

#[cfg(test)]
mod tests;
