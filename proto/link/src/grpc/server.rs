//! The hub's side of gRPC: takes sessions in.
//!
//! ```text
//! connection -> gate (256 in flight, 64 an address) -> TLS (5 s) -> seat (2,048; 4 an identity) -> call (5 s) -> session
//! ```
//!
//! Promises: each connection has a task of its own, whose end, panic included, is its own; accepting goes on after
//! any error of the listener; new certificates count from the next handshake on; a peer that is refused can read
//! why. Dropping the server ends the taking in, not the sessions that stand. Must not do: judge certificates.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use proto_wire::edge_hub::Message;
use proto_wire::limits::FRAME_BYTES_MAX;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::{Request, Response, Status, Streaming};

use super::pump::{self, End, Place};
use super::stream::Remembering;
use super::{MessageCodec, PATH};
use crate::caps::{Caps, Gate, Seat};
use crate::fault::{CloseCode, LinkFault, Side};
use crate::limits::{
    ACCEPT_REST, FLUSH_MAX, HANDSHAKE_MAX, HTTP2_FRAME_BYTES, HTTP2_HEADER_BYTES_MAX, HTTP2_RESETS_MAX, HTTP2_SEND_BYTES, HTTP2_STREAMS_MAX,
    HTTP2_WINDOW_BYTES, KEEP_ALIVE, KEEP_ALIVE_ANSWER_MAX,
};
use crate::listen::{Arrivals, Listen};
use crate::net::Io;
use crate::patience::Heard;
use crate::session::{self, Control, Inbox, Parcel, Peer, Session, Transport, Wires};
use crate::tls::{ServerTls, stream_fault};

/// Connections as they come, from a given listener.
pub type Connections = BoxStream<'static, io::Result<(Io, SocketAddr)>>;

/// Takes sessions in over gRPC.
#[derive(Debug)]
pub struct GrpcServer {
    arrivals: mpsc::Receiver<Result<Session, LinkFault>>,
    address: SocketAddr,
    taking: JoinHandle<()>,
}

impl GrpcServer {
    /// On a TCP socket of the system; port 0 is any free one.
    ///
    /// # Errors
    /// [`LinkFault::Bind`]; [`LinkFault::NoIdentity`] while there are no certificates.
    pub async fn bind(address: SocketAddr, tls: ServerTls, caps: Caps) -> Result<Self, LinkFault> {
        let fault = |reason: io::Error| LinkFault::Bind { address: address.to_string(), reason: reason.to_string() };
        let listener = TcpListener::bind(address).await.map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        Self::start(Listening::System(listener), address, tls, caps)
    }

    /// On given connections, which come to `address`.
    ///
    /// # Errors
    /// [`LinkFault::NoIdentity`] while there are no certificates.
    pub fn with_connections(connections: Connections, address: SocketAddr, tls: ServerTls, caps: Caps) -> Result<Self, LinkFault> {
        Self::start(Listening::Given(connections), address, tls, caps)
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn start(listening: Listening, address: SocketAddr, mut tls: ServerTls, caps: Caps) -> Result<Self, LinkFault> {
        let config = tls.grpc()?;
        let (sender, arrivals) = Arrivals::new();
        let taker = Taker { acceptor: TlsAcceptor::from(config), tls, caps, gate: Gate::new(), arrivals: sender };
        Ok(Self { arrivals, address, taking: tokio::spawn(taker.run(listening)) })
    }
}

#[async_trait]
impl Listen for GrpcServer {
    async fn accept(&mut self) -> Option<Result<Session, LinkFault>> {
        self.arrivals.recv().await
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.taking.abort();
    }
}

enum Listening {
    System(TcpListener),
    Given(Connections),
}

impl Listening {
    /// The next connection; `None` when there will be none.
    async fn next(&mut self) -> Option<io::Result<(Io, SocketAddr)>> {
        match self {
            Self::System(listener) => Some(listener.accept().await.map(|(stream, address)| (Io::tcp(stream), address))),
            Self::Given(connections) => connections.next().await,
        }
    }
}

/// The task that takes connections.
struct Taker {
    acceptor: TlsAcceptor,
    tls: ServerTls,
    caps: Caps,
    gate: Gate,
    arrivals: Arrivals,
}

impl Taker {
    async fn run(mut self, mut listening: Listening) {
        while let Some(next) = listening.next().await {
            match next {
                Ok((io, address)) => self.take(io, address),
                Err(fault) => {
                    tracing::warn!(%fault, "tcp connection not accepted");
                    sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    fn take(&mut self, io: Io, address: SocketAddr) {
        if self.tls.has_changed() {
            match self.tls.grpc() {
                Ok(config) => self.acceptor = TlsAcceptor::from(config),
                Err(fault) => tracing::warn!(%fault, "new grpc configuration not taken, the one before stays in use"),
            }
        }
        let gate = match self.gate.enter(address.ip()) {
            Ok(gate) => gate,
            Err(what) => return self.arrivals.fault(LinkFault::Busy { peer: Side::Edge, address: address.to_string(), what }),
        };
        let (acceptor, tls, caps, arrivals) = (self.acceptor.clone(), self.tls.clone(), self.caps.clone(), self.arrivals.clone());
        tokio::spawn(async move {
            let address = address.to_string();
            let admitted = match handshake(io, &acceptor, &address).await {
                Ok(stream) => admit(stream, &tls, &caps, &address),
                Err(fault) => Err(fault),
            };
            match admitted {
                Ok(admitted) => serve(admitted, gate, arrivals).await,
                Err(fault) => arrivals.fault(fault),
            }
        });
    }
}

/// TLS, within its time. A peer that is refused is given time to read why.
async fn handshake(io: Io, acceptor: &TlsAcceptor, address: &str) -> Result<TlsStream<Io>, LinkFault> {
    match timeout(HANDSHAKE_MAX, acceptor.accept(io).into_fallible()).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err((error, io))) => {
            linger(io).await;
            Err(stream_fault(&error, Side::Edge, address))
        }
        Err(_) => Err(LinkFault::no_answer(address.to_owned(), "tls handshake", HANDSHAKE_MAX)),
    }
}

/// Closes our half and reads the other to its end: a socket closed with unread bytes resets, which may take our last word with it.
async fn linger(mut io: Io) {
    let mut rest = [0; 4096];
    let read = async {
        drop(io.shutdown().await);
        while io.read(&mut rest).await.is_ok_and(|count| count > 0) {}
    };
    drop(timeout(FLUSH_MAX, read).await);
}

/// A connection whose certificate is verified and which has a seat.
struct Admitted {
    stream: TlsStream<Io>,
    peer: Peer,
    /// Or why there was no seat: told to the peer as the answer to its call.
    seat: Result<Seat<String>, String>,
}

fn admit(stream: TlsStream<Io>, tls: &ServerTls, caps: &Caps, address: &str) -> Result<Admitted, LinkFault> {
    let tls_session = stream.get_ref().1;
    if tls_session.alpn_protocol() != Some(certs::tls::ALPN_H2) {
        return Err(LinkFault::Tls { address: address.to_owned(), reason: "it does not offer the protocol h2".to_owned() });
    }
    // The verifier lets no connection pass without a certificate.
    let leaf = tls_session.peer_certificates().and_then(|chain| chain.first()).map(|leaf| leaf.to_vec());
    let no_certificate = LinkFault::Untrusted { peer: Side::Edge, address: address.to_owned(), reason: certs::Refusal::NoCertificate };
    let certificate = leaf.ok_or(no_certificate)?;
    let seat = caps.enter(tls.identity_key(&certificate, address)?);
    let peer = Peer { side: Side::Edge, certificate_der: Some(certificate), address: address.to_owned(), transport: Transport::Grpc };
    Ok(Admitted { stream, peer, seat })
}

/// Serves one connection to its end.
async fn serve(admitted: Admitted, gate: Seat<IpAddr>, arrivals: Arrivals) {
    let Admitted { stream, peer, seat } = admitted;
    let (stream, failure) = Remembering::new(stream, peer.side, &peer.address);
    let place = Place { side: peer.side, address: peer.address.clone(), failure };
    let heard = Heard::default();
    let (caller, called) = oneshot::channel();
    let (seat, refusal) = seat.map_or_else(|why| (None, Some(why)), |seat| (Some(seat), None));
    let desk = Desk(Arc::new(Counter { peer, arrivals: arrivals.clone(), heard: heard.clone(), refusal: refusal.clone(), caller: Mutex::new(Some(caller)) }));
    let mut connection = pin!(builder().serve_connection(TokioIo::new(stream), desk));
    let call = tokio::select! {
        biased;
        _ = connection.as_mut() => None,
        call = called => call.ok(),
        () = sleep(HANDSHAKE_MAX) => None,
    };
    match call {
        Some(call) => {
            drop(gate);
            let control = call.control.clone();
            let mut conversing = pin!(converse(connection, call, heard, &place));
            tokio::select! {
                biased;
                () = &mut conversing => {}
                () = replaced(seat.as_ref()) => {
                    control.close(CloseCode::Refused, session::REPLACED);
                    conversing.await;
                }
            }
            drop(seat);
        }
        None => arrivals.fault(match (refusal, place.failure.fault()) {
            (Some(what), _) => LinkFault::Busy { peer: place.side, address: place.address, what },
            (None, Some(fault)) => fault,
            (None, None) => LinkFault::no_answer(place.address, "session call", HANDSHAKE_MAX),
        }),
    }
}

async fn replaced(seat: Option<&Seat<String>>) {
    match seat {
        Some(seat) => seat.replaced().await,
        None => std::future::pending().await,
    }
}

type Connection = http2::Connection<TokioIo<Remembering<TlsStream<Io>>>, Desk, TokioExecutor>;

/// Serves the session of one connection to its end.
async fn converse(mut connection: Pin<&mut Connection>, call: Call, heard: Heard, place: &Place) {
    let Call { mut messages, inbox, control } = call;
    let mut connected = true;
    let end = tokio::select! {
        biased;
        end = pump::read(&mut messages, &inbox, heard, place) => end,
        never = async {
            // What came before the connection ended is still to be read; reading ends by itself.
            drop(connection.as_mut().await);
            connected = false;
            std::future::pending::<Infallible>().await
        } => match never {},
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
    if connected {
        connection.as_mut().graceful_shutdown();
        drop(timeout(FLUSH_MAX, connection).await);
    }
    control.end(None);
    drop(inbox);
}

/// What the call leaves to the connection's task.
struct Call {
    messages: Streaming<Message>,
    inbox: Inbox,
    control: Control,
}

/// Answers the requests of one connection: the first call is its session, everything else is refused.
#[derive(Clone)]
struct Desk(Arc<Counter>);

struct Counter {
    peer: Peer,
    arrivals: Arrivals,
    heard: Heard,
    /// Why there is no seat for it.
    refusal: Option<String>,
    caller: Mutex<Option<oneshot::Sender<Call>>>,
}

impl hyper::service::Service<http::Request<Incoming>> for Desk {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let counter = Arc::clone(&self.0);
        Box::pin(async move { Ok(counter.answer(request).await) })
    }
}

impl Counter {
    async fn answer(&self, request: http::Request<Incoming>) -> http::Response<tonic::body::Body> {
        if request.uri().path() != PATH {
            return Status::unimplemented("this port serves tributary.v1.Link/Session only").into_http();
        }
        if let Some(why) = &self.refusal {
            return Status::resource_exhausted(why.clone()).into_http();
        }
        let request = request.map(|body| Counted { body, heard: self.heard.clone() });
        let open = tower::service_fn(|request| self.open(request));
        let mut grpc = tonic::server::Grpc::new(MessageCodec).max_decoding_message_size(FRAME_BYTES_MAX).max_encoding_message_size(FRAME_BYTES_MAX);
        grpc.streaming(open, request).await
    }

    async fn open(&self, request: Request<Streaming<Message>>) -> Result<Response<Responses>, Status> {
        let caller = self.caller.lock().unwrap_or_else(PoisonError::into_inner).take();
        let caller = caller.ok_or_else(|| Status::resource_exhausted("a connection carries one session; open another connection"))?;
        let (session, Wires { outbox, inbox, control }) = session::open(self.peer.clone());
        let call = Call { messages: request.into_inner(), inbox, control: control.clone() };
        caller.send(call).map_err(|_| Status::unavailable("the connection is being closed"))?;
        if !self.arrivals.session(session).await {
            return Err(Status::unavailable("the hub takes no more sessions"));
        }
        Ok(Response::new(Box::pin(pump::responses(outbox, control))))
    }
}

type Responses = BoxStream<'static, Result<Parcel, Status>>;

/// A request's body whose bytes are counted, so that a slow peer can be told from a silent one.
struct Counted {
    body: Incoming,
    heard: Heard,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.heard.add(frame.data_ref().map_or(0, Bytes::len));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
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
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_pending_accept_reset_streams(HTTP2_RESETS_MAX)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER_MAX);
    builder
}
