//! `transport: auto` on real sockets: UDP that works, UDP that is swallowed, no UDP at all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use certs::{Authority, ClientState};
use proto_link::{Auto, Caps, Dial, GrpcClient, GrpcServer, LinkFault, Listen, QuicClient, QuicServer, Target, Transport};
use proto_seam::Entropy;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use crate::parts::{SOON, authority, bye, client_material, client_tls, issue_edge, issue_hub, next, server_material, server_tls};

fn auto(edge_authority: &Authority, hub_authority: &Authority) -> Arc<dyn Dial> {
    let (_, tls) = client_tls(ClientState::Ready(client_material(&issue_edge(edge_authority, "edge-1"), hub_authority)));
    Arc::new(Auto::new(Arc::new(QuicClient::new(tls.clone(), &Entropy::real())), Arc::new(GrpcClient::new(tls))))
}

async fn grpc(authority: &Authority, caps: Caps) -> GrpcServer {
    let (_, tls) = server_tls(server_material(&issue_hub(authority), authority));
    GrpcServer::bind("127.0.0.1:0".parse().unwrap(), tls, caps).await.unwrap()
}

async fn quic(address: SocketAddr, authority: &Authority, caps: Caps) -> QuicServer {
    let (_, tls) = server_tls(server_material(&issue_hub(authority), authority));
    QuicServer::bind(address, tls, caps, &Entropy::real()).await.unwrap()
}

fn target(address: SocketAddr) -> Target {
    Target::parse(&format!("https://{address}"), "localhost", "").unwrap()
}

#[tokio::test]
async fn quic_is_taken_where_both_work_and_both_share_the_caps() {
    let (authority, caps) = (authority(), Caps::new());
    let mut grpc = grpc(&authority, caps.clone()).await;
    let mut quic = quic(grpc.local_address(), &authority, caps.clone()).await;
    let (client, target) = (auto(&authority, &authority), target(grpc.local_address()));
    let (dialled, accepted) = tokio::join!(client.dial(&target), quic.accept());
    let (dialled, mut accepted) = (dialled.unwrap(), accepted.unwrap().unwrap());
    assert_eq!(dialled.peer.transport, Transport::Quic);
    dialled.outgoing.send(bye("over quic")).await.unwrap();
    assert_eq!(next(&mut accepted).await, bye("over quic"));
    assert_eq!(caps.sessions(), 1);
    assert!(timeout(Duration::from_millis(100), grpc.accept()).await.is_err(), "gRPC was not dialled");
}

#[tokio::test]
async fn where_udp_is_swallowed_a_session_stands_within_three_seconds_and_the_next_at_once() {
    let authority = authority();
    let mut hub = grpc(&authority, Caps::new()).await;
    let address = hub.local_address();
    // Bound and never read: what is sent there is neither answered nor refused.
    let _swallows = UdpSocket::bind(address).await.unwrap();
    let (client, target) = (auto(&authority, &authority), target(address));

    let started = Instant::now();
    let (dialled, accepted) = tokio::join!(client.dial(&target), hub.accept());
    let waited = started.elapsed();
    let (dialled, mut accepted) = (dialled.unwrap(), accepted.unwrap().unwrap());
    assert_eq!(dialled.peer.transport, Transport::Grpc);
    assert!(waited >= Duration::from_millis(900) && waited < Duration::from_secs(3), "{waited:?}");
    dialled.outgoing.send(bye("over grpc")).await.unwrap();
    assert_eq!(next(&mut accepted).await, bye("over grpc"));

    let started = Instant::now();
    let (again, accepted) = tokio::join!(client.dial(&target), hub.accept());
    assert!(again.is_ok() && accepted.unwrap().is_ok());
    assert!(started.elapsed() < Duration::from_millis(700), "{:?}", started.elapsed());
    // Not better yet: QUIC is left alone for a while.
    assert!(timeout(Duration::from_millis(300), client.better(&target, Transport::Grpc)).await.is_err());
}

#[tokio::test]
async fn what_is_wrong_is_told_when_neither_works() {
    let (ours, foreign) = (authority(), authority());
    let grpc = grpc(&ours, Caps::new()).await;
    let _quic = quic(grpc.local_address(), &ours, Caps::new()).await;
    let dialled = timeout(SOON, auto(&foreign, &ours).dial(&target(grpc.local_address()))).await.unwrap();
    assert!(matches!(dialled, Err(LinkFault::Refused { .. })), "{dialled:?}");
    let nobody = target("127.0.0.1:1".parse().unwrap());
    let dialled = timeout(SOON, auto(&ours, &ours).dial(&nobody)).await.unwrap();
    assert!(matches!(dialled, Err(LinkFault::Unreachable { .. } | LinkFault::NoAnswer { .. })), "{dialled:?}");
    let unknown = Target::parse("https://hub.invalid:9443", "", "").unwrap();
    let dialled = timeout(SOON, auto(&ours, &ours).dial(&unknown)).await.unwrap();
    assert!(matches!(&dialled, Err(LinkFault::Resolve { host, .. }) if host == "hub.invalid"), "{dialled:?}");
}

#[tokio::test]
async fn a_name_with_a_dead_address_reaches_the_live_one() {
    // `localhost` may lead to ::1 first, where nobody listens; on QUIC nothing is answered from there.
    let authority = authority();
    let grpc = grpc(&authority, Caps::new()).await;
    let mut quic = quic(grpc.local_address(), &authority, Caps::new()).await;
    let target = Target::parse(&format!("https://localhost:{}", grpc.local_address().port()), "", "").unwrap();
    let client = auto(&authority, &authority);
    let (dialled, accepted) = tokio::join!(client.dial(&target), quic.accept());
    assert_eq!(dialled.unwrap().peer.transport, Transport::Quic);
    assert!(accepted.unwrap().is_ok());
}
