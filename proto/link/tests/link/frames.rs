//! Bytes that are no messages, and peers that do not speak: what the hub makes of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use certs::{Authority, Refusal};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use proto_link::{FrameFault, LinkFault, Session, Side, Transport};
use proto_seam::Clock;
use proto_wire::edge_hub::{Batch, Message, Position, message::Kind};
use proto_wire::limits::FRAME_BYTES_MAX;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::parts::{BOTH, Edge, Hub, SOON, authority, bye, client_material, end, issue_edge, next};

fn quic_config(authority: &Authority) -> Arc<ClientConfig> {
    certs::tls::client_quic(&client_material(&issue_edge(authority, "edge-1"), authority), &Clock::real()).unwrap()
}

fn grpc_config(authority: &Authority) -> Arc<ClientConfig> {
    certs::tls::client_grpc(&client_material(&issue_edge(authority, "edge-1"), authority), &Clock::real()).unwrap()
}

/// The same trust, but no certificate of its own.
fn without_certificate(config: &ClientConfig, authority: &Authority) -> Arc<ClientConfig> {
    let roots = client_material(&issue_edge(authority, "edge-1"), authority).hub_roots.clone();
    let builder = ClientConfig::builder_with_provider(certs::trust::provider()).with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let mut bare = builder.with_root_certificates(roots).with_no_client_auth();
    bare.alpn_protocols.clone_from(&config.alpn_protocols);
    Arc::new(bare)
}

async fn quic(hub: &Hub, config: Arc<ClientConfig>) -> Result<quinn::Connection, quinn::ConnectionError> {
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
    endpoint.connect_with(quinn::ClientConfig::new(Arc::new(crypto)), hub.address, "localhost").unwrap().await
}

async fn tls(hub: &Hub, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(hub.address).await.unwrap();
    TlsConnector::from(config).connect("localhost".try_into().unwrap(), stream).await
}

/// The frame-level bytes of a message, and the bytes around them on each transport.
fn framed(transport: Transport, stated: u32, body: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    if transport == Transport::Grpc {
        bytes.put_u8(0);
    }
    bytes.put_u32(stated);
    bytes.put_slice(body);
    bytes.freeze()
}

fn whole(transport: Transport, body: &[u8]) -> Bytes {
    framed(transport, u32::try_from(body.len()).unwrap(), body)
}

/// Sends `bytes` as a session's whole stream; the hub's end of it, and how the hub closed it (QUIC's code or gRPC's status).
async fn say(transport: Transport, bytes: Bytes) -> (Session, u64) {
    let authority = authority();
    let mut hub = Hub::start(transport, &authority).await;
    match transport {
        Transport::Quic => {
            let connection = quic(&hub, quic_config(&authority)).await.unwrap();
            let (mut send, _recv) = connection.open_bi().await.unwrap();
            send.write_all(&bytes).await.unwrap();
            send.finish().unwrap();
            let session = hub.accept().await.unwrap();
            let quinn::ConnectionError::ApplicationClosed(close) = timeout(SOON, connection.closed()).await.unwrap() else { panic!("not closed by the hub") };
            (session, close.error_code.into_inner())
        }
        Transport::Grpc => {
            let stream = tls(&hub, grpc_config(&authority)).await.unwrap();
            let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let request = http::Request::post("https://hub/tributary.v1.Link/Session").header("content-type", "application/grpc").header("te", "trailers");
            let (response, session) = tokio::join!(sender.send_request(request.body(Full::new(bytes)).unwrap()), hub.accept());
            let body = timeout(SOON, response.unwrap().into_body().collect()).await.unwrap().unwrap();
            let status = body.trailers().unwrap()["grpc-status"].to_str().unwrap().parse().unwrap();
            (session.unwrap(), status)
        }
        Transport::Direct => unreachable!("no bytes there"),
    }
}

#[tokio::test]
async fn bytes_that_are_no_message_end_the_session_with_a_reason_and_the_code_for_a_broken_protocol() {
    let too_large = u32::try_from(FRAME_BYTES_MAX + 1).unwrap();
    let positions = Batch { positions: vec![Position::default(); 5_000], ..Batch::default() };
    let many_fields = Message { kind: Some(Kind::Batch(positions)) }.encode_to_vec();
    let nested = [0x1b_u8; 20_000];
    let wrong_type = [0x08, 0x01];
    for transport in BOTH {
        let cases: [(&str, Bytes); 7] = [
            ("length 2^32-1", framed(transport, u32::MAX, b"x")),
            ("length above the limit", framed(transport, too_large, &[0; 1000])),
            ("fields", whole(transport, &many_fields)),
            ("nested groups", whole(transport, &nested)),
            ("wrong wire type", whole(transport, &wrong_type)),
            ("garbage", whole(transport, &[0xff; 300])),
            ("ended within a frame", framed(transport, 100, b"only this")),
        ];
        for (what, bytes) in cases {
            let (mut session, closed) = say(transport, bytes).await;
            let fault = end(&mut session).await.unwrap_or_else(|| panic!("{transport}, {what}: ended in peace"));
            let LinkFault::Frame { peer: Side::Edge, reason, .. } = &fault else { panic!("{transport}, {what}: {fault:?}") };
            match what {
                "fields" => assert_eq!(*reason, FrameFault::Fields),
                "nested groups" | "wrong wire type" | "garbage" => assert!(matches!(reason, FrameFault::Malformed(_)), "{transport}, {what}: {reason:?}"),
                "ended within a frame" if transport == Transport::Quic => assert_eq!(*reason, FrameFault::Cut),
                _ if transport == Transport::Quic => assert!(matches!(reason, FrameFault::Length(_)), "{what}: {reason:?}"),
                _ => assert!(matches!(reason, FrameFault::Grpc(_)), "{what}: {reason:?}"),
            }
            let expected = if transport == Transport::Quic { 1 } else { 3 };
            assert_eq!(closed, expected, "{transport}, {what}");
            assert_eq!(fault.word(), "frame");
        }
    }
    let (mut session, closed) = say(Transport::Quic, framed(Transport::Quic, 0, b"")).await;
    assert!(matches!(end(&mut session).await, Some(LinkFault::Frame { reason: FrameFault::Length(0), .. })));
    assert_eq!(closed, 1);
}

#[tokio::test]
async fn a_message_of_a_later_kind_is_handed_on_without_kind() {
    let mut later = Vec::new();
    prost::encoding::string::encode(200, &"from a later version".to_owned(), &mut later);
    for transport in BOTH {
        let (mut session, closed) = say(transport, whole(transport, &later)).await;
        assert_eq!(next(&mut session).await, Message { kind: None }, "{transport}");
        assert_eq!((end(&mut session).await, closed), (None, 0));
    }
}

#[tokio::test]
async fn a_peer_without_certificate_is_refused_on_both_sides() {
    for transport in BOTH {
        let authority = authority();
        let mut hub = Hub::start(transport, &authority).await;
        let at_edge = match transport {
            Transport::Quic => {
                let connection = quic(&hub, without_certificate(&quic_config(&authority), &authority)).await.unwrap();
                let quinn::ConnectionError::ConnectionClosed(close) = timeout(SOON, connection.closed()).await.unwrap() else {
                    panic!("not closed by the hub")
                };
                close.error_code.to_string()
            }
            Transport::Grpc => {
                let mut stream = tls(&hub, without_certificate(&grpc_config(&authority), &authority)).await.unwrap();
                stream.read_u8().await.unwrap_err().to_string()
            }
            Transport::Direct => unreachable!("no certificates there"),
        };
        // Alert 116.
        assert!(at_edge.contains("116") || at_edge.contains("CertificateRequired"), "{transport}: {at_edge}");
        let fault = hub.accept().await.unwrap_err();
        assert!(matches!(&fault, LinkFault::Untrusted { peer: Side::Edge, reason: Refusal::NoCertificate, .. }), "{transport}: {fault:?}");
    }
}

#[tokio::test]
async fn a_refused_peer_can_read_why_though_it_was_still_writing() {
    let (authority, foreign) = (authority(), authority());
    let mut hub = Hub::start(Transport::Grpc, &authority).await;
    let config = certs::tls::client_grpc(&client_material(&issue_edge(&foreign, "edge-1"), &authority), &Clock::real()).unwrap();
    for _ in 0..5 {
        // To this end the handshake is over: over TLS 1.3 the refusal comes after it.
        let mut stream = tls(&hub, Arc::clone(&config)).await.unwrap();
        let written = stream.write_all(&[0; 50_000]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let refusal = stream.read_u8().await.unwrap_err();
        assert_eq!(Refusal::in_chain(&refusal), Some(Refusal::ForeignCa), "{refusal:?} after {written:?}");
        assert!(matches!(hub.accept().await, Err(LinkFault::Untrusted { reason: Refusal::ForeignCa, .. })));
    }
}

#[tokio::test]
async fn other_protocols_and_peers_that_go_away_end_no_listener() {
    for transport in BOTH {
        let authority = authority();
        let mut hub = Hub::start(transport, &authority).await;
        let edge = Edge::new(transport, &authority, "edge-1");
        match transport {
            Transport::Quic => {
                let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
                for length in [0, 1, 100, 1200, 1400] {
                    socket.send_to(&vec![0xc3; length], hub.address).await.unwrap();
                }
                let mut config = quic_config(&authority).as_ref().clone();
                config.alpn_protocols = vec![b"h3".to_vec()];
                assert!(quic(&hub, Arc::new(config)).await.is_err());
                assert!(matches!(hub.accept().await, Err(LinkFault::Tls { .. })));
            }
            Transport::Grpc => {
                let mut stream = TcpStream::connect(hub.address).await.unwrap();
                stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
                assert!(matches!(hub.accept().await, Err(LinkFault::Tls { .. })));
                drop(TcpStream::connect(hub.address).await.unwrap());
                assert!(matches!(hub.accept().await, Err(LinkFault::Lost { peer: Side::Edge, .. })));
                let mut config = grpc_config(&authority).as_ref().clone();
                config.alpn_protocols.clear();
                let mut stream = tls(&hub, Arc::new(config)).await.unwrap();
                assert!(matches!(hub.accept().await, Err(LinkFault::Tls { .. })));
                assert_eq!(stream.read(&mut [0; 10]).await.unwrap_or(0), 0);
                let mut stream = tls(&hub, grpc_config(&authority)).await.unwrap();
                stream.write_all(b"not http/2 at all, not even nearly, but long enough").await.unwrap();
                assert!(hub.accept().await.is_err());
            }
            Transport::Direct => unreachable!("no other protocols there"),
        }
        let target = hub.target();
        let (dialled, accepted) = tokio::join!(edge.dial(&target), hub.accept());
        let (dialled, mut accepted) = (dialled.unwrap(), accepted.unwrap());
        dialled.outgoing.send(bye("all is well")).await.unwrap();
        assert_eq!(next(&mut accepted).await, bye("all is well"), "{transport}");
    }
}

#[tokio::test]
async fn a_connection_that_never_calls_and_one_that_stops_in_its_handshake_are_let_go() {
    let authority = authority();
    let mut hub = Hub::start(Transport::Grpc, &authority).await;
    let _stuck = TcpStream::connect(hub.address).await.unwrap();
    let _silent = tls(&hub, grpc_config(&authority)).await.unwrap();
    let started = tokio::time::Instant::now();
    for _ in 0..2 {
        assert!(matches!(hub.accept().await, Err(LinkFault::NoAnswer { .. })));
    }
    assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
}
