//! The edge's side of gRPC: makes sessions.
//!
//! Promises: each dial uses the newest certificate and a connection of its own; it succeeds once the hub has
//! answered the call, so a certificate that the hub refuses fails the dial with the hub's reason.
//! Must not do: fall back to anything (`auto` does).

use async_trait::async_trait;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use proto_wire::edge_hub::Message;
use proto_wire::limits::FRAME_BYTES_MAX;
use rustls_pki_types::ServerName;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Streaming;

use super::pump::{self, End, Place};
use super::stream::Remembering;
use super::{MessageCodec, PATH, proxy, status};
use crate::dial::{Dial, Target};
use crate::fault::{CloseCode, LinkFault, Side};
use crate::limits::{
    DIAL_MAX, FLUSH_MAX, HANDSHAKE_MAX, HTTP2_FRAME_BYTES, HTTP2_HEADER_BYTES_MAX, HTTP2_RESETS_MAX, HTTP2_SEND_BYTES, HTTP2_WINDOW_BYTES, KEEP_ALIVE,
    KEEP_ALIVE_ANSWER_MAX,
};
use crate::net::{Connector, Io};
use crate::patience::Heard;
use crate::session::{self, Control, Inbox, Peer, Session, Transport, Wires};
use crate::tls::{ClientTls, stream_fault};

/// Dials hubs over gRPC.
#[derive(Debug, Clone)]
pub struct GrpcClient {
    tls: ClientTls,
    connector: Connector,
}

impl GrpcClient {
    /// Over TCP of the system.
    #[must_use]
    pub const fn new(tls: ClientTls) -> Self {
        Self { tls, connector: Connector::System }
    }

    /// Over streams of a given connector.
    #[must_use]
    pub const fn with_connector(connector: Connector, tls: ClientTls) -> Self {
        Self { tls, connector }
    }

    async fn connect(&self, target: &Target) -> Result<(TlsStream<Io>, String), LinkFault> {
        let config = self.tls.grpc()?;
        let (io, address) = match &target.proxy {
            Some(proxy) => (proxy::connect(&self.connector, proxy, target).await?, target.authority()),
            None => self.connector.connect(&target.host, target.port).await?,
        };
        let name = ServerName::try_from(target.server_name.clone())
            .map_err(|_| LinkFault::Target { text: target.server_name.clone(), reason: "it is neither a dns name nor an ip address".to_owned() })?;
        match timeout(HANDSHAKE_MAX, TlsConnector::from(config).connect(name, io)).await {
            Ok(Ok(stream)) => Ok((stream, address)),
            Ok(Err(error)) => Err(stream_fault(&error, Side::Hub, &address)),
            Err(_) => Err(LinkFault::no_answer(address, "tls handshake", HANDSHAKE_MAX)),
        }
    }
}

#[async_trait]
impl Dial for GrpcClient {
    async fn dial(&self, target: &Target) -> Result<Session, LinkFault> {
        let dialled = async {
            let (stream, address) = self.connect(target).await?;
            call(stream, address, target).await
        };
        timeout(DIAL_MAX, dialled).await.unwrap_or_else(|_| Err(LinkFault::no_answer(target.authority(), "connection", DIAL_MAX)))
    }
}

/// Opens the one call of a connection.
async fn call(stream: TlsStream<Io>, address: String, target: &Target) -> Result<Session, LinkFault> {
    let certificate_der = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|leaf| leaf.to_vec());
    let (stream, failure) = Remembering::new(stream, Side::Hub, &address);
    let place = Place { side: Side::Hub, address: address.clone(), failure };
    let lost = |error: hyper::Error| {
        let lost = LinkFault::Lost { peer: Side::Hub, address: address.clone(), reason: error.to_string() };
        place.failure.fault().unwrap_or(lost)
    };
    let (sender, connection) = builder().handshake(TokioIo::new(stream)).await.map_err(lost)?;
    let driving = Driving(tokio::spawn(async move {
        // Why it ended is told by the stream below and by the call.
        drop(connection.await);
    }));
    let origin = http::Uri::builder().scheme("https").authority(target.authority()).path_and_query("/").build();
    let origin = origin.map_err(|fault| LinkFault::Target { text: target.authority(), reason: fault.to_string() })?;
    let service = tower::service_fn(move |request| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    let mut client = tonic::client::Grpc::with_origin(service, origin).max_decoding_message_size(FRAME_BYTES_MAX).max_encoding_message_size(FRAME_BYTES_MAX);
    let peer = Peer { side: Side::Hub, certificate_der, address: address.clone(), transport: Transport::Grpc };
    let (session, Wires { outbox, inbox, control }) = session::open(peer);
    let request = tonic::Request::new(pump::requests(outbox));
    let answered = async {
        client.ready().await.map_err(lost)?;
        let path = http::uri::PathAndQuery::from_static(PATH);
        client.streaming(request, path, MessageCodec).await.map_err(|status| status::fault(&status, &place.failure, place.side, &place.address))
    };
    let response = timeout(HANDSHAKE_MAX, answered).await.unwrap_or_else(|_| Err(LinkFault::no_answer(address.clone(), "grpc answer", HANDSHAKE_MAX)));
    match response {
        Ok(response) => {
            tokio::spawn(run(response.into_inner(), inbox, control, place.clone(), driving));
            Ok(session)
        }
        Err(fault) => Err(fault),
    }
}

/// The task that drives a connection; it ends with its owner.
struct Driving(JoinHandle<()>);

impl Drop for Driving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves one session to its end.
async fn run(mut messages: Streaming<Message>, inbox: Inbox, control: Control, place: Place, mut driving: Driving) {
    let end = tokio::select! {
        biased;
        end = pump::read(&mut messages, &inbox, Heard::default(), &place) => end,
        never = session::abandoned(&inbox, &control) => match never {},
        () = session::overdue(&control) => End::Peace,
    };
    // In peace the caller's end of the queue ends with the connection, else it learns the fault at once.
    let inbox = match end {
        End::Peace => {
            control.close(CloseCode::Done, "");
            Some(inbox)
        }
        End::Broken(fault) => {
            control.end(Some(fault));
            drop(inbox);
            None
        }
    };
    drop(messages);
    // With both halves of the call over, the connection ends by itself.
    drop(timeout(FLUSH_MAX, &mut driving.0).await);
    drop(driving);
    control.end(None);
    drop(inbox);
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .max_frame_size(HTTP2_FRAME_BYTES)
        .max_header_list_size(HTTP2_HEADER_BYTES_MAX)
        .max_send_buf_size(HTTP2_SEND_BYTES)
        .max_pending_accept_reset_streams(HTTP2_RESETS_MAX)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER_MAX)
        .keep_alive_while_idle(true);
    builder
}
