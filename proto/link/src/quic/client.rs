//! The edge's side of QUIC: makes sessions.
//!
//! Promises: each dial uses the newest certificate and, on real sockets, a socket of its own, so that nothing of a
//! broken path is kept; of several addresses of a name the first that lets us in wins.
//! Must not do: fall back to anything (`auto` does).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use proto_seam::Entropy;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{AsyncUdpSocket, ClientConfig, ConnectError, Connection, ConnectionError, Endpoint, RecvStream, Runtime, SendStream, TokioRuntime};
use tokio::time::timeout;

use super::{FIRST_CONNECTION_ID_BYTES, SeededIds, ended, endpoint_config, peer_certificate, pump, random_key, real_socket, transport_config, unusable_config};
use crate::dial::{Dial, Target};
use crate::fault::{LinkFault, Side};
use crate::limits::HANDSHAKE_MAX;
use crate::net::{Resolver, stagger};
use crate::session::{self, Peer, Session, Transport};
use crate::tls::ClientTls;

/// Dials hubs over QUIC.
#[derive(Debug, Clone)]
pub struct QuicClient {
    tls: ClientTls,
    entropy: Entropy,
    resolver: Resolver,
    /// `None`: a socket of the system for each dial.
    given: Option<Endpoint>,
}

impl QuicClient {
    /// On sockets of the system. Two clients must not be given the same entropy: their connection ids would be the same.
    #[must_use]
    pub fn new(tls: ClientTls, entropy: &Entropy) -> Self {
        Self { tls, entropy: entropy.fork("quic client"), resolver: Resolver::System, given: None }
    }

    /// On one given socket, with a given runtime and a given way to find addresses. Call inside the runtime.
    ///
    /// # Errors
    /// [`LinkFault::Bind`] when the socket has no address.
    pub fn with_socket(
        socket: Arc<dyn AsyncUdpSocket>,
        runtime: Arc<dyn Runtime>,
        resolver: Resolver,
        tls: ClientTls,
        entropy: &Entropy,
    ) -> Result<Self, LinkFault> {
        let entropy = entropy.fork("quic client");
        let given = endpoint(socket, runtime, &entropy)?;
        Ok(Self { tls, entropy, resolver, given: Some(given) })
    }

    async fn attempt(&self, address: SocketAddr, server_name: &str, config: &ClientConfig) -> Result<Session, LinkFault> {
        let endpoint = match &self.given {
            Some(endpoint) => endpoint.clone(),
            None => {
                let any = if address.is_ipv6() { IpAddr::from(Ipv6Addr::UNSPECIFIED) } else { IpAddr::from(Ipv4Addr::UNSPECIFIED) };
                endpoint(real_socket((any, 0).into()).await?, Arc::new(TokioRuntime), &self.entropy)?
            }
        };
        let place = address.to_string();
        let unreachable = |fault: ConnectError| LinkFault::Unreachable { address: place.clone(), reason: fault.to_string() };
        let connecting = endpoint.connect_with(config.clone(), address, server_name).map_err(unreachable)?;
        let let_in = async {
            let connection = connecting.await?;
            // Granted only once the hub has let us in.
            let (send, recv) = connection.open_bi().await?;
            Ok::<_, ConnectionError>((connection, send, recv))
        };
        match timeout(HANDSHAKE_MAX, let_in).await {
            Ok(Ok((connection, send, recv))) => Ok(begin(connection, send, recv, place)),
            Ok(Err(ConnectionError::TimedOut)) | Err(_) => Err(LinkFault::no_answer(place, "quic handshake", HANDSHAKE_MAX)),
            Ok(Err(error)) => Err(ended::connection(error, Side::Hub, &place).unwrap_or(LinkFault::Ended)),
        }
    }

    fn config(&self) -> Result<ClientConfig, LinkFault> {
        let crypto = QuicClientConfig::try_from(self.tls.quic()?).map_err(|fault| unusable_config(Side::Edge, &fault))?;
        let ids = SeededIds(self.entropy.clone());
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport_config())).initial_dst_cid_provider(Arc::new(move || ids.draw(FIRST_CONNECTION_ID_BYTES)));
        Ok(config)
    }
}

#[async_trait]
impl Dial for QuicClient {
    async fn dial(&self, target: &Target) -> Result<Session, LinkFault> {
        if let Some(proxy) = &target.proxy {
            return Err(LinkFault::Proxy { proxy: proxy.authority(), reason: "quic does not pass an http proxy; set transport: grpc or auto".to_owned() });
        }
        let config = self.config()?;
        let addresses = self.resolver.resolve(&target.host, target.port).await?;
        stagger(addresses, |address| self.attempt(address, &target.server_name, &config)).await
    }
}

fn endpoint(socket: Arc<dyn AsyncUdpSocket>, runtime: Arc<dyn Runtime>, entropy: &Entropy) -> Result<Endpoint, LinkFault> {
    Endpoint::new_with_abstract_socket(endpoint_config(entropy, random_key(entropy)), None, socket, runtime)
        .map_err(|fault| LinkFault::Bind { address: "udp".to_owned(), reason: fault.to_string() })
}

fn begin(connection: Connection, send: SendStream, recv: RecvStream, address: String) -> Session {
    let peer = Peer { side: Side::Hub, certificate_der: peer_certificate(&connection), address, transport: Transport::Quic };
    let (session, wires) = session::open(peer);
    tokio::spawn(pump::run(connection, send, recv, session.peer.clone(), wires));
    session
}
