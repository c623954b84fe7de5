//! That our gRPC is gRPC: tonic's generated client against our server, and our client against tonic's generated server
//! and through a proxy.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _, stream};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use proto_link::{LinkFault, Target, Transport};
use proto_seam::Clock;
use proto_wire::edge_hub::Message;
use proto_wire::edge_hub::link_client::LinkClient;
use proto_wire::edge_hub::link_server::{Link, LinkServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tonic::transport::Endpoint;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::parts::{Edge, Hub, authority, bye, client_material, domain, end, issue_edge, issue_hub, next, pair, server_material};

#[tokio::test]
async fn tonics_client_holds_a_session_with_our_server() {
    let authority = authority();
    let mut hub = Hub::start(Transport::Grpc, &authority).await;
    let config = certs::tls::client_grpc(&client_material(&issue_edge(&authority, "edge-1"), &authority), &Clock::real()).unwrap();
    let address = hub.address;
    let connector = tower::service_fn(move |_: http::Uri| {
        let config = Arc::clone(&config);
        async move {
            let stream = TcpStream::connect(address).await?;
            TlsConnector::from(config).connect("localhost".try_into().unwrap(), stream).await.map(TokioIo::new)
        }
    });
    let channel = Endpoint::from_static("https://localhost").connect_with_connector(connector).await.unwrap();
    let mut client = LinkClient::new(channel);
    let saying = stream::iter([bye("one"), bye("two")]).chain(stream::pending());
    let (response, accepted) = tokio::join!(client.session(saying), hub.accept());
    let (mut response, mut accepted) = (response.unwrap().into_inner(), accepted.unwrap());
    assert_eq!((next(&mut accepted).await, next(&mut accepted).await), (bye("one"), bye("two")));
    accepted.outgoing.send(bye("three")).await.unwrap();
    assert_eq!(response.message().await.unwrap(), Some(bye("three")));

    let second = client.session(stream::pending::<Message>()).await.unwrap_err();
    assert_eq!(second.code(), Code::ResourceExhausted);
    accepted.close(proto_link::CloseCode::ShuttingDown, "going down");
    let last = response.message().await.unwrap_err();
    assert_eq!((last.code(), last.message()), (Code::Unavailable, "going down"));
}

struct Echo;

#[tonic::async_trait]
impl Link for Echo {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<Message, Status>> + Send>>;

    async fn session(&self, request: Request<Streaming<Message>>) -> Result<Response<Self::SessionStream>, Status> {
        Ok(Response::new(Box::pin(request.into_inner())))
    }
}

#[tokio::test]
async fn our_client_holds_a_session_with_tonics_server() {
    let authority = authority();
    let config = certs::tls::server_grpc(&server_material(&issue_hub(&authority), &authority), &domain("tributary.test"), &Clock::real()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&format!("https://{}", listener.local_addr().unwrap()), "localhost", "").unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = TlsAcceptor::from(config).accept(stream).await.unwrap();
        let service = TowerToHyperService::new(LinkServer::new(Echo));
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await.unwrap();
    });
    let mut session = Edge::new(Transport::Grpc, &authority, "edge-1").dial(&target).await.unwrap();
    for word in ["one", "two", "three"] {
        session.outgoing.send(bye(word)).await.unwrap();
        assert_eq!(next(&mut session).await, bye(word));
    }
    session.close(proto_link::CloseCode::Done, "");
    assert_eq!(end(&mut session).await, None);
    assert_eq!(session.closed().await, None);
}

/// A proxy that gives `answer` to CONNECT, and passes bytes on if that is a 200; what it was asked.
async fn proxy(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        let head = String::from_utf8(head).unwrap();
        if answer.starts_with("HTTP/1.1 200") {
            let place = head.split(' ').nth(1).unwrap().to_owned();
            tokio::spawn(async move {
                let mut hub = TcpStream::connect(place).await.unwrap();
                tokio::io::copy_bidirectional(&mut stream, &mut hub).await.unwrap_or_default();
            });
        }
        head
    });
    (place, asked)
}

#[tokio::test]
async fn a_session_stands_through_a_proxy() {
    let (mut hub, edge, _, _) = pair(Transport::Grpc).await;
    let (place, asked) = proxy("HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n").await;
    let target = Target::parse(&format!("https://{}", hub.address), "localhost", &format!("http://user:pass@{place}")).unwrap();
    let (dialled, accepted) = tokio::join!(edge.dial(&target), hub.accept());
    let (dialled, mut accepted) = (dialled.unwrap(), accepted.unwrap());
    dialled.outgoing.send(bye("through")).await.unwrap();
    assert_eq!(next(&mut accepted).await, bye("through"));
    let head = asked.await.unwrap();
    assert!(head.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", hub.address)), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"), "{head}");
}

#[tokio::test]
async fn a_proxy_that_does_not_connect_us_is_told_apart_from_the_hub() {
    for (answer, part) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "put USER:PASSWORD@ into proxy_url"),
        ("HTTP/1.1 503 No way\r\n\r\n", "it answered \"HTTP/1.1 503 No way\""),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "it does not speak http"),
        ("HTTP/1.1 200", "ended the connection before its answer did"),
    ] {
        let (place, _asked) = proxy(answer).await;
        let target = Target::parse("https://hub.invalid:9443", "", &format!("http://user:secret@{place}")).unwrap();
        let edge = Edge::new(Transport::Grpc, &authority(), "edge-1");
        let fault = edge.dial(&target).await.unwrap_err();
        assert!(matches!(&fault, LinkFault::Proxy { proxy, .. } if *proxy == place), "{fault:?}");
        assert!(fault.to_string().contains(part), "{fault}");
        assert!(!format!("{fault:?} {target:?}").contains("secret"));
    }
}
