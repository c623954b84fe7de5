//! The newest certificates, as TLS configurations for the next handshake.
//!
//! Parts: [`ServerTls`] for listeners, [`ClientTls`] for dialling. Both follow the watches of `certs::store`.
//! Promises: what is current when a handshake begins is used for it; sessions that stand are not touched.
//! Must not do: choose versions or suites (`certs::tls` does).

use std::sync::Arc;

use certs::{ClientMaterial, ClientState, EdgeIdentity, Refusal, ServerMaterial, TrustDomain};
use proto_seam::Clock;
use tokio::sync::watch;

use crate::fault::{LinkFault, Side};

/// What a hub's listeners prove themselves with, and whom they let in.
#[derive(Debug, Clone)]
pub struct ServerTls {
    material: watch::Receiver<Option<Arc<ServerMaterial>>>,
    trust_domain: TrustDomain,
    clock: Clock,
}

impl ServerTls {
    /// Follows `material` (from `certs::store::watch_server`).
    #[must_use]
    pub const fn new(material: watch::Receiver<Option<Arc<ServerMaterial>>>, trust_domain: TrustDomain, clock: Clock) -> Self {
        Self { material, trust_domain, clock }
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Waits for newer material; for ever when there will be none.
    pub(crate) async fn changed(&mut self) {
        if self.material.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Whether there is newer material than was last taken.
    pub(crate) fn has_changed(&self) -> bool {
        self.material.has_changed().unwrap_or(false)
    }

    pub(crate) fn quic(&mut self) -> Result<Arc<rustls::ServerConfig>, LinkFault> {
        certs::tls::server_quic(&*self.newest()?, &self.trust_domain, &self.clock).map_err(|fault| no_identity(Side::Hub, &fault))
    }

    pub(crate) fn grpc(&mut self) -> Result<Arc<rustls::ServerConfig>, LinkFault> {
        certs::tls::server_grpc(&*self.newest()?, &self.trust_domain, &self.clock).map_err(|fault| no_identity(Side::Hub, &fault))
    }

    /// Signs QUIC's stateless resets: a hub that was killed and is back under the same key ends the connections of before at
    /// their next packet, instead of leaving edges to their idle timeout (RFC 9000, 10.3).
    pub(crate) fn reset_key(&mut self) -> Result<[u8; 32], LinkFault> {
        Ok(self.newest()?.own.derived)
    }

    fn newest(&mut self) -> Result<Arc<ServerMaterial>, LinkFault> {
        let material = self.material.borrow_and_update().clone();
        material.ok_or_else(|| no_identity(Side::Hub, &"its certificate files were not read yet"))
    }

    /// The identity that a verified certificate carries, as the key of its seats.
    pub(crate) fn identity_key(&self, certificate_der: &[u8], address: &str) -> Result<String, LinkFault> {
        EdgeIdentity::from_certificate(certificate_der, &self.trust_domain).map(|identity| identity.identity_key()).map_err(|_| LinkFault::Untrusted {
            peer: Side::Edge,
            address: address.to_owned(),
            reason: Refusal::BadIdentity,
        })
    }
}

/// What an edge proves itself with, and which hubs it trusts.
#[derive(Debug, Clone)]
pub struct ClientTls {
    state: watch::Receiver<ClientState>,
    clock: Clock,
}

impl ClientTls {
    /// Follows `state` (from `certs::store::watch_client`).
    #[must_use]
    pub const fn new(state: watch::Receiver<ClientState>, clock: Clock) -> Self {
        Self { state, clock }
    }

    pub(crate) fn quic(&self) -> Result<Arc<rustls::ClientConfig>, LinkFault> {
        certs::tls::client_quic(&*self.newest()?, &self.clock).map_err(|fault| no_identity(Side::Edge, &fault))
    }

    pub(crate) fn grpc(&self) -> Result<Arc<rustls::ClientConfig>, LinkFault> {
        certs::tls::client_grpc(&*self.newest()?, &self.clock).map_err(|fault| no_identity(Side::Edge, &fault))
    }

    fn newest(&self) -> Result<Arc<ClientMaterial>, LinkFault> {
        match &*self.state.borrow() {
            ClientState::Ready(material) => Ok(Arc::clone(material)),
            ClientState::Missing(why) => Err(no_identity(Side::Edge, why)),
        }
    }
}

fn no_identity(side: Side, reason: &dyn std::fmt::Display) -> LinkFault {
    LinkFault::NoIdentity { side, reason: reason.to_string() }
}

/// Why a TLS stream failed.
pub(crate) fn stream_fault(error: &std::io::Error, peer: Side, address: &str) -> LinkFault {
    let address = address.to_owned();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (inner, Refusal::in_chain(error)) {
        (Some(rustls::Error::AlertReceived(_)), Some(reason)) => LinkFault::Refused { peer, address, reason },
        (_, Some(reason)) => LinkFault::Untrusted { peer, address, reason },
        (Some(_), None) => LinkFault::Tls { address, reason: error.to_string() },
        (None, None) => LinkFault::Lost { peer, address, reason: error.to_string() },
    }
}
