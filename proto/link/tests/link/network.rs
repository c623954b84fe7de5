//! Sessions over networks in memory, with time paused: what takes half a minute passes at once.

use std::sync::Arc;
use std::time::Duration;

use certs::{Authority, ClientState};
use futures::{FutureExt as _, StreamExt as _};
use proto_link::{Caps, CloseCode, Dial, GrpcClient, GrpcServer, LinkFault, Listen, QuicClient, QuicServer, Resolver, Session, Side, Target, Transport};
use proto_seam::Entropy;
use proto_wire::edge_hub::{Heartbeat, Message, message::Kind};
use quinn::TokioRuntime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::memory::{UdpNet, Valve, tcp_net};
use crate::parts::{BOTH, authority, batch, bye, client_material, client_tls, end, issue_edge, issue_hub, next, server_material, server_tls};

const HUB: &str = "10.0.0.2:9443";
const EDGE: &str = "10.0.0.1:40000";

/// A session on a network in memory, its ends and what can be done to it.
struct Wire {
    listener: Box<dyn Listen>,
    edge: Session,
    hub: Session,
    break_it: Box<dyn Fn()>,
}

fn target() -> Target {
    Target::parse(&format!("https://{HUB}"), "hub", "").unwrap()
}

fn quic_server(net: &UdpNet, authority: &Authority, entropy: &Entropy) -> QuicServer {
    let (_, tls) = server_tls(server_material(&issue_hub(authority), authority));
    QuicServer::with_socket(net.socket(HUB), Arc::new(TokioRuntime), tls, Caps::new(), entropy).unwrap()
}

fn quic_client(net: &UdpNet, address: &str, authority: &Authority, name: &str, entropy: &Entropy) -> QuicClient {
    let (_, tls) = client_tls(ClientState::Ready(client_material(&issue_edge(authority, name), authority)));
    let resolver = Resolver::Given(Arc::new(|_, _| async { Ok(vec![HUB.parse().unwrap()]) }.boxed()));
    QuicClient::with_socket(net.socket(address), Arc::new(TokioRuntime), resolver, tls, entropy).unwrap()
}

async fn quic_wire(net: &UdpNet, seed: u64) -> Wire {
    let (authority, entropy) = (authority(), Entropy::seeded(seed));
    let mut server = quic_server(net, &authority, &entropy.fork("hub"));
    let client = quic_client(net, EDGE, &authority, "edge-1", &entropy.fork("edge"));
    let target = target();
    let (edge, hub) = tokio::join!(client.dial(&target), server.accept());
    let broken = net.clone();
    let break_it = Box::new(move || {
        broken.block(HUB);
        broken.block(EDGE);
    });
    Wire { listener: Box::new(server), edge: edge.unwrap(), hub: hub.unwrap().unwrap(), break_it }
}

async fn grpc_wire() -> Wire {
    let authority = authority();
    let (connector, connections, valve): (_, _, watch::Sender<Valve>) = tcp_net();
    let (_, server_tls) = server_tls(server_material(&issue_hub(&authority), &authority));
    let mut server = GrpcServer::with_connections(connections, HUB.parse().unwrap(), server_tls, Caps::new()).unwrap();
    let (_, client_tls) = client_tls(ClientState::Ready(client_material(&issue_edge(&authority, "edge-1"), &authority)));
    let client = GrpcClient::with_connector(connector, client_tls);
    let target = target();
    let (edge, hub) = tokio::join!(client.dial(&target), server.accept());
    Wire { listener: Box::new(server), edge: edge.unwrap(), hub: hub.unwrap().unwrap(), break_it: Box::new(move || valve.send(Valve::Shut).unwrap()) }
}

async fn wire(transport: Transport) -> Wire {
    if transport == Transport::Quic { quic_wire(&UdpNet::new(Duration::from_millis(5), 0.0, 1), 1).await } else { grpc_wire().await }
}

fn heartbeat() -> Message {
    Message { kind: Some(Kind::Heartbeat(Heartbeat::default())) }
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_says_nothing_is_closed_after_half_a_minute() {
    for transport in BOTH {
        let mut wire = wire(transport).await;
        wire.edge.outgoing.send(heartbeat()).await.unwrap();
        next(&mut wire.hub).await;
        let started = Instant::now();
        let fault = timeout(Duration::from_secs(60), wire.hub.incoming.recv()).await.unwrap().unwrap().unwrap_err();
        assert!(matches!(fault, LinkFault::Silent { peer: Side::Edge, seconds: 30, .. }), "{transport}: {fault:?}");
        assert_eq!(started.elapsed().as_secs(), 30, "{transport}");
        let at_edge = end(&mut wire.edge).await.unwrap();
        assert!(matches!(&at_edge, LinkFault::Closed { code: CloseCode::Protocol, .. }), "{transport}: {at_edge:?}");
        drop(wire.listener);
    }
}

#[tokio::test(start_paused = true)]
async fn an_accept_that_fails_does_not_end_the_listener() {
    let authority = authority();
    let (connector, connections, _valve) = tcp_net();
    let failures = futures::stream::iter((0..5).map(|_| Err(std::io::Error::from_raw_os_error(24))));
    let (_, server_tls) = server_tls(server_material(&issue_hub(&authority), &authority));
    let mut server = GrpcServer::with_connections(Box::pin(failures.chain(connections)), HUB.parse().unwrap(), server_tls, Caps::new()).unwrap();
    let (_, client_tls) = client_tls(ClientState::Ready(client_material(&issue_edge(&authority, "edge-1"), &authority)));
    let target = target();
    let client = GrpcClient::with_connector(connector, client_tls);
    let (edge, hub) = tokio::join!(client.dial(&target), server.accept());
    assert!(edge.is_ok() && hub.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_never_speaks_is_closed_too() {
    for transport in BOTH {
        let mut wire = wire(transport).await;
        let fault = timeout(Duration::from_secs(60), wire.hub.incoming.recv()).await.unwrap().unwrap().unwrap_err();
        assert!(matches!(fault, LinkFault::Silent { .. }), "{transport}: {fault:?}");
        assert!(end(&mut wire.edge).await.is_some(), "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_session_and_a_hub_may_be_silent() {
    for transport in BOTH {
        let mut wire = wire(transport).await;
        for _ in 0..60 {
            wire.edge.outgoing.send(heartbeat()).await.unwrap();
            assert_eq!(next(&mut wire.hub).await, heartbeat());
            sleep(Duration::from_secs(10)).await;
        }
        assert!(!wire.edge.control.is_closed() && !wire.hub.control.is_closed(), "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_that_goes_dead_is_seen_by_both_sides() {
    for transport in BOTH {
        let mut wire = wire(transport).await;
        wire.edge.outgoing.send(heartbeat()).await.unwrap();
        next(&mut wire.hub).await;
        (wire.break_it)();
        let started = Instant::now();
        let at_edge = timeout(Duration::from_secs(60), wire.edge.incoming.recv()).await.unwrap().unwrap().unwrap_err();
        let at_hub = timeout(Duration::from_secs(60), wire.hub.incoming.recv()).await.unwrap().unwrap().unwrap_err();
        assert!(matches!(&at_edge, LinkFault::Lost { peer: Side::Hub, .. }), "{transport}: {at_edge:?}");
        assert!(matches!(&at_hub, LinkFault::Lost { peer: Side::Edge, .. } | LinkFault::Silent { .. }), "{transport}: {at_hub:?}");
        assert!(started.elapsed() <= Duration::from_secs(41), "{transport}: {:?}", started.elapsed());
        assert!(wire.edge.outgoing.send(bye("?")).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_takes_nothing_is_given_up_by_the_hub_and_a_slow_hub_is_not_by_the_edge() {
    for transport in BOTH {
        let mut wire = wire(transport).await;
        let beats = wire.edge.outgoing.clone();
        let beating = tokio::spawn(async move {
            while beats.send(heartbeat()).await.is_ok() {
                sleep(Duration::from_secs(10)).await;
            }
        });
        let taking = async { while let Some(Ok(_)) = wire.hub.incoming.recv().await {} };
        let outgoing = wire.hub.outgoing.clone();
        let filling = async {
            let mut taken = 0;
            loop {
                match outgoing.send(batch(1, vec![0; 1 << 20])).await {
                    Ok(()) => taken += 1,
                    Err(fault) => return (taken, fault),
                }
            }
        };
        let (taken, fault) = tokio::select! {
            biased;
            filled = filling => filled,
            () = taking => panic!("{transport}: ended before the sending did"),
        };
        assert!(taken >= 8, "{transport}: {taken}");
        assert!(matches!(fault, LinkFault::Stalled { peer: Side::Edge, seconds: 30, .. }), "{transport}: {fault:?}");
        beating.abort();

        let slow = self::wire(transport).await;
        let wait = async { while slow.edge.outgoing.send(batch(1, vec![0; 1 << 20])).await.is_ok() {} };
        assert!(timeout(Duration::from_secs(600), wait).await.is_err(), "{transport}: an edge waits for a slow hub");
        assert!(!slow.edge.control.is_closed(), "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_address_keeps_the_quic_session() {
    let net = UdpNet::new(Duration::from_millis(20), 0.0, 5);
    let mut wire = quic_wire(&net, 5).await;
    wire.edge.outgoing.send(bye("before")).await.unwrap();
    assert_eq!(next(&mut wire.hub).await, bye("before"));
    net.rebind(EDGE, "10.0.0.99:1234");
    wire.edge.outgoing.send(bye("after")).await.unwrap();
    assert_eq!(next(&mut wire.hub).await, bye("after"));
    wire.hub.outgoing.send(bye("to the new address")).await.unwrap();
    assert_eq!(next(&mut wire.edge).await, bye("to the new address"));
    sleep(Duration::from_secs(25)).await;
    assert!(!wire.edge.control.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_was_killed_and_is_back_ends_its_old_sessions_at_their_next_packet() {
    let net = UdpNet::new(Duration::from_millis(20), 0.0, 6);
    let (authority, entropy) = (authority(), Entropy::seeded(6));
    let material = server_material(&issue_hub(&authority), &authority);
    let server = |seed: &str| {
        let (_, tls) = server_tls(Arc::clone(&material));
        QuicServer::with_socket(net.socket(HUB), Arc::new(TokioRuntime), tls, Caps::new(), &entropy.fork(seed)).unwrap()
    };
    let mut first = server("first");
    let client = quic_client(&net, EDGE, &authority, "edge-1", &entropy.fork("edge"));
    let target = target();
    let (edge, hub) = tokio::join!(client.dial(&target), first.accept());
    let (mut edge, _hub) = (edge.unwrap(), hub.unwrap().unwrap());
    // The next process takes the address: nothing comes to the first any more, and it says nothing by itself.
    let mut second = server("second");
    let started = Instant::now();
    edge.outgoing.send(heartbeat()).await.unwrap();
    assert!(end(&mut edge).await.is_some());
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    let (edge, hub) = tokio::join!(client.dial(&target), second.accept());
    assert!(edge.is_ok() && hub.unwrap().is_ok());
}

/// 300 batches over a lossy path: how long it took, and how many datagrams.
async fn lossy(seed: u64) -> (Duration, u64) {
    let net = UdpNet::new(Duration::from_millis(25), 0.03, seed);
    let mut wire = quic_wire(&net, seed).await;
    let started = Instant::now();
    let sender = wire.edge.outgoing.clone();
    let sending = async {
        for sequence in 0..300 {
            sender.send(batch(sequence, vec![9; 20_000])).await.unwrap();
        }
    };
    let taking = async {
        for sequence in 0..300 {
            let message = timeout(Duration::from_secs(600), wire.hub.incoming.recv()).await.unwrap().unwrap().unwrap();
            assert_eq!(message, batch(sequence, vec![9; 20_000]));
        }
    };
    tokio::join!(sending, taking);
    (started.elapsed(), net.carried())
}

#[tokio::test(start_paused = true)]
async fn a_lossy_path_loses_no_message_and_a_seed_repeats() {
    let first = lossy(7).await;
    assert_eq!(first, lossy(7).await);
    assert_ne!(first, lossy(8).await);
}

#[tokio::test(start_paused = true)]
async fn peers_that_never_finish_their_handshake_do_not_keep_others_out() {
    let net = UdpNet::new(Duration::from_millis(5), 0.0, 3);
    let (authority, entropy) = (authority(), Entropy::seeded(3));
    let mut server = quic_server(&net, &authority, &entropy.fork("hub"));
    // From many addresses, as a flood with forged senders is; nothing comes back to them.
    for number in 0..300 {
        let address = format!("10.1.{}.{}:5000", number / 200, number % 200 + 1);
        let client = quic_client(&net, &address, &authority, "edge-2", &entropy.fork(&address));
        net.block(&address);
        tokio::spawn(async move { client.dial(&target()).await });
    }
    sleep(Duration::from_millis(100)).await;
    let client = quic_client(&net, EDGE, &authority, "edge-1", &entropy.fork("edge"));
    let target = target();
    let started = Instant::now();
    let dialled = client.dial(&target).await;
    assert!(dialled.is_ok() && started.elapsed() < Duration::from_secs(1), "{dialled:?} after {:?}", started.elapsed());
    // Those that were let in before addresses had to be proven time out; the rest never took a place.
    let mut timed_out = 0;
    sleep(Duration::from_secs(6)).await;
    while let Some(Some(arrived)) = server.accept().now_or_never() {
        match arrived {
            Ok(session) => assert_eq!(session.peer.address, EDGE),
            Err(LinkFault::NoAnswer { .. }) => timed_out += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!((1..=64).contains(&timed_out), "{timed_out}");
}
