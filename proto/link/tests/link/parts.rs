//! What the tests stand on: a CA, certificates, and a hub and an edge on loopback for each transport.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use certs::{Authority, ClientMaterial, ClientState, Issued, ServerMaterial, TrustDomain, Validity};
use proto_link::{Caps, ClientTls, Dial, GrpcClient, GrpcServer, LinkFault, Listen, QuicClient, QuicServer, ServerTls, Session, Target, Transport};
use proto_model::{ClusterId, EdgeId, Timestamp};
use proto_seam::{Clock, Entropy};
use proto_wire::edge_hub::{Batch, Bye, Message, message::Kind};
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) const BOTH: [Transport; 2] = [Transport::Quic, Transport::Grpc];

/// Nothing in these tests takes longer.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn domain(name: &str) -> TrustDomain {
    TrustDomain::new(name).unwrap()
}

pub(crate) fn authority() -> Authority {
    Authority::generate(&domain("tributary.test"), &Clock::real()).unwrap()
}

pub(crate) fn issue_hub(authority: &Authority) -> Issued {
    issue_hub_named(authority, &["localhost", "127.0.0.1", "hub"])
}

pub(crate) fn issue_hub_named(authority: &Authority, names: &[&str]) -> Issued {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    authority.issue_hub(&names, Validity::days(&Clock::real(), 1).unwrap()).unwrap()
}

pub(crate) fn issue_edge(authority: &Authority, edge: &str) -> Issued {
    issue_edge_valid(authority, edge, Validity::days(&Clock::real(), 1).unwrap())
}

pub(crate) fn issue_edge_valid(authority: &Authority, edge: &str, validity: Validity) -> Issued {
    authority.issue_edge(&ClusterId::new("alpha").unwrap(), &EdgeId::new(edge).unwrap(), validity).unwrap()
}

/// A life of an hour that begins so many hours from now.
pub(crate) fn hour_at(hours_from_now: i64) -> Validity {
    let hour = 3_600 * 1_000_000_000;
    let start = Clock::real().now_ns() + hours_from_now * hour;
    Validity::new(Timestamp(start), Timestamp(start + hour)).unwrap()
}

pub(crate) fn server_material(issued: &Issued, client_ca: &Authority) -> Arc<ServerMaterial> {
    Arc::new(ServerMaterial::from_pem(&issued.cert_pem, &issued.key_pem, Some(client_ca.ca_pem())).unwrap())
}

pub(crate) fn client_material(issued: &Issued, hub_ca: &Authority) -> Arc<ClientMaterial> {
    Arc::new(ClientMaterial::from_pem(&issued.cert_pem, &issued.key_pem, hub_ca.ca_pem()).unwrap())
}

pub(crate) fn server_tls(material: Arc<ServerMaterial>) -> (watch::Sender<Option<Arc<ServerMaterial>>>, ServerTls) {
    let (sender, receiver) = watch::channel(Some(material));
    (sender, ServerTls::new(receiver, domain("tributary.test"), Clock::real()))
}

pub(crate) fn client_tls(state: ClientState) -> (watch::Sender<ClientState>, ClientTls) {
    let (sender, receiver) = watch::channel(state);
    (sender, ClientTls::new(receiver, Clock::real()))
}

/// A hub on loopback.
pub(crate) struct Hub {
    pub(crate) listener: Box<dyn Listen>,
    pub(crate) address: SocketAddr,
    pub(crate) material: watch::Sender<Option<Arc<ServerMaterial>>>,
}

impl Hub {
    pub(crate) async fn start(transport: Transport, authority: &Authority) -> Self {
        Self::start_with(transport, server_material(&issue_hub(authority), authority), Caps::new()).await
    }

    pub(crate) async fn start_with(transport: Transport, material: Arc<ServerMaterial>, caps: Caps) -> Self {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (material, tls) = server_tls(material);
        let (listener, address): (Box<dyn Listen>, _) = match transport {
            Transport::Quic => {
                let server = QuicServer::bind(any, tls, caps, &Entropy::real()).await.unwrap();
                let address = server.local_address();
                (Box::new(server), address)
            }
            Transport::Grpc => {
                let server = GrpcServer::bind(any, tls, caps).await.unwrap();
                let address = server.local_address();
                (Box::new(server), address)
            }
            Transport::Direct => unreachable!("not on loopback"),
        };
        Self { listener, address, material }
    }

    pub(crate) fn target(&self) -> Target {
        Target::parse(&format!("https://{}", self.address), "localhost", "").unwrap()
    }

    pub(crate) async fn accept(&mut self) -> Result<Session, LinkFault> {
        timeout(SOON, self.listener.accept()).await.expect("accepted in time").expect("the listener lives")
    }
}

/// An edge.
pub(crate) struct Edge {
    pub(crate) client: Arc<dyn Dial>,
    pub(crate) state: watch::Sender<ClientState>,
}

impl Edge {
    pub(crate) fn new(transport: Transport, authority: &Authority, name: &str) -> Self {
        Self::with(transport, ClientState::Ready(client_material(&issue_edge(authority, name), authority)))
    }

    pub(crate) fn with(transport: Transport, state: ClientState) -> Self {
        let (state, tls) = client_tls(state);
        let client: Arc<dyn Dial> = match transport {
            Transport::Quic => Arc::new(QuicClient::new(tls, &Entropy::real())),
            Transport::Grpc => Arc::new(GrpcClient::new(tls)),
            Transport::Direct => unreachable!("not on loopback"),
        };
        Self { client, state }
    }

    pub(crate) async fn dial(&self, target: &Target) -> Result<Session, LinkFault> {
        timeout(SOON, self.client.dial(target)).await.expect("dialled in time")
    }
}

/// A hub and an edge, and a session between them: (edge's end, hub's end).
pub(crate) async fn pair(transport: Transport) -> (Hub, Edge, Session, Session) {
    let authority = authority();
    let mut hub = Hub::start(transport, &authority).await;
    let edge = Edge::new(transport, &authority, "edge-1");
    let target = hub.target();
    let (dialled, accepted) = tokio::join!(edge.dial(&target), hub.accept());
    (hub, edge, dialled.unwrap(), accepted.unwrap())
}

pub(crate) fn bye(text: &str) -> Message {
    Message { kind: Some(Kind::Bye(Bye { text: text.to_owned() })) }
}

pub(crate) fn batch(sequence: u64, body: Vec<u8>) -> Message {
    Message { kind: Some(Kind::Batch(Batch { sequence, body: Bytes::from(body), ..Batch::default() })) }
}

/// A message within its time; panics on a fault or an end.
pub(crate) async fn next(session: &mut Session) -> Message {
    timeout(SOON, session.incoming.recv()).await.expect("received in time").expect("the session goes on").expect("no fault")
}

/// The end of a session's messages, within its time: the fault, or `None` in peace.
pub(crate) async fn end(session: &mut Session) -> Option<LinkFault> {
    match timeout(SOON, session.incoming.recv()).await.expect("ended in time") {
        None => None,
        Some(Err(fault)) => {
            assert!(session.incoming.recv().await.is_none(), "a fault is told once");
            Some(fault)
        }
        Some(Ok(message)) => panic!("a message instead of the end: {message:?}"),
    }
}
