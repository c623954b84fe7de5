//! `forward`: Fluentd's and Fluent Bit's protocol over TCP or TLS.
//!
//! Parts: [`start`], `connection` (handshake, then messages), `Acks` (a task that confirms chunks in their order), [`msgpack`] (bytes to values; pure),
//! [`event`] (a message to events; pure), [`handshake`] (the shared key; pure). Promises: a chunk is confirmed when all of it is durable, in the order
//! of arrival; if it is not taken the connection ends without a word, and its sender sends it again. A stream is not read on while there is
//! no room. Limits: `max_message_size` (packed and unpacked), depth, connections, `idle_timeout`. Must not do: take what a handshake did not let in.

mod event;
mod handshake;
mod msgpack;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto_model::Labels;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Durable;
use super::listen::{self, CONNECTIONS_MAX, ReceiveFault, Stream, Tls};
use super::post::Post;
use super::sender::Sender;
use super::start::{Running, Shared};
use crate::settings::receivers::ForwardSettings;
use crate::settings::server::ListenTls;
use event::Events;
use handshake::Handshake;
use msgpack::Scan;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Events handed in at once.
const SLICE_EVENTS: usize = 4_096;
/// Chunks of a connection that wait to be confirmed.
const ACKS_MAX: usize = 64;
/// For each word of the handshake, and for a confirmation to be written.
const WORD_WAIT: Duration = Duration::from_secs(10);

struct Gate {
    post: Post,
    key: Option<Handshake>,
    keep_times: bool,
    message_key: Option<String>,
    idle: Duration,
    bytes_max: usize,
    world: proto_seam::World,
}

/// Starts the listener of a job.
pub(super) async fn start(shared: &Shared, post: Post, settings: &ForwardSettings, stop: CancellationToken) -> Result<Running, ReceiveFault> {
    let job = post.name().to_owned();
    let host = match settings.self_hostname.as_str() {
        "" => own_name(shared),
        given => given.to_owned(),
    };
    let gate = Arc::new(Gate {
        post,
        key: settings.shared_key.as_ref().map(|key| Handshake::new(key.expose(), &host)),
        keep_times: settings.use_incoming_timestamp,
        message_key: settings.message_key.clone(),
        idle: settings.idle_timeout.0,
        bytes_max: usize::try_from(settings.max_message_size.0).unwrap_or(usize::MAX),
        world: shared.world.clone(),
    });
    let tls = Tls::new(&job, &ListenTls::from(&settings.tls_config), &[], &shared.world).await?;
    let listener = listen::tcp(&job, &settings.listen_address).await?;
    let bound = listener.local_addr().ok();
    let ending = stop.clone();
    let connection = move |stream, peer| connection(Arc::clone(&gate), stream, peer, tls.clone(), ending.clone());
    let task = tokio::spawn(listen::accept(listener, CONNECTIONS_MAX, stop, connection));
    Ok(Running { job, kind: "forward", address: bound, task })
}

fn own_name(shared: &Shared) -> String {
    let bytes = shared.world.disk.read_all(Path::new("/proc/sys/kernel/hostname"), 256).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

async fn connection(gate: Arc<Gate>, stream: TcpStream, peer: SocketAddr, tls: Option<Tls>, stop: CancellationToken) {
    let stream = match Tls::accept_if(tls.as_ref(), stream).await {
        Ok(stream) => stream,
        Err(fault) => {
            gate.post.refused("handshake");
            return tracing::debug!(%peer, %fault, "a forward sender's handshake failed");
        }
    };
    gate.post.connections(1.0);
    let (reader, writer) = tokio::io::split(stream);
    let mut wire = Wire { reader, buffer: BytesMut::with_capacity(READ_BYTES), scan: Scan::default() };
    if let Err(fault) = serve(&gate, &mut wire, writer, peer, &stop).await {
        if fault.kind() == io::ErrorKind::InvalidData {
            tracing::warn!(%peer, %fault, "a forward sender's message cannot be read; its connection is closed");
            gate.post.refused("malformed");
        } else if fault.kind() == io::ErrorKind::PermissionDenied {
            tracing::warn!(%peer, %fault, "a forward sender is not let in");
            gate.post.refused("unauthorized");
        } else {
            tracing::debug!(%peer, %fault, "a forward connection ended early");
        }
    }
    gate.post.connections(-1.0);
}

async fn serve(gate: &Gate, wire: &mut Wire, mut writer: WriteHalf<Box<dyn Stream>>, peer: SocketAddr, stop: &CancellationToken) -> io::Result<()> {
    if let Some(key) = &gate.key {
        let greeting = key.greet(gate.world.entropy.next_u128().to_be_bytes());
        within(writer.write_all(&greeting.hello)).await?;
        let ping = wire.message(gate.bytes_max, WORD_WAIT, stop).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let pong = key.judge(&greeting, &ping);
        within(writer.write_all(&pong.words)).await?;
        if let Some(why) = pong.refusal {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
    }
    let (acks, waiting) = mpsc::channel(ACKS_MAX);
    let confirming = tokio::spawn(confirm(writer, waiting));
    let outcome = messages(gate, wire, &acks, peer, stop).await;
    drop(acks);
    // What was taken is confirmed before the connection ends; a failure there says that the sender is gone.
    let confirmed = confirming.await.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
    outcome.and(confirmed)
}

async fn within(write: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::time::timeout(WORD_WAIT, write).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A chunk to be confirmed once all of it is durable.
struct Ack {
    parts: Vec<Durable>,
    words: Vec<u8>,
}

async fn confirm(mut writer: WriteHalf<Box<dyn Stream>>, mut waiting: mpsc::Receiver<Ack>) -> io::Result<()> {
    while let Some(Ack { parts, words }) = waiting.recv().await {
        for part in parts {
            part.wait().await.map_err(io::Error::other)?;
        }
        within(async {
            writer.write_all(&words).await?;
            writer.flush().await
        })
        .await?;
    }
    within(writer.shutdown()).await
}

async fn messages(gate: &Gate, wire: &mut Wire, acks: &mpsc::Sender<Ack>, peer: SocketAddr, stop: &CancellationToken) -> io::Result<()> {
    let sender = Arc::<Sender>::default();
    while let Some(message) = wire.message(gate.bytes_max, gate.idle, stop).await? {
        let (own_max, workers) = (gate.bytes_max, gate.world.workers);
        let events = workers.run(move || Events::read(&message, own_max)).await.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
        let Some(mut events) = events else { continue };
        if events.is_foreign {
            gate.post.refused("no_logs");
        }
        let chunk = events.chunk.take();
        sender.ready_or(stop).await;
        let parts = hand_in(gate, &sender, events, peer).await?;
        if let Some(chunk) = chunk {
            acks.send(Ack { parts, words: event::ack(&chunk) }).await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
    }
    Ok(())
}

/// Hands a message's events in, some at a time.
async fn hand_in(gate: &Gate, sender: &Arc<Sender>, mut events: Events, peer: SocketAddr) -> io::Result<Vec<Durable>> {
    let ip = peer.ip().to_canonical().to_string();
    let labels = gate.post.labels(Labels::from_pairs([("__forward_tag", events.tag.as_str()), ("__forward_connection_ip_address", ip.as_str())]));
    let mut parts = Vec::new();
    loop {
        let mut records = Vec::new();
        let mut dropped = 0;
        for _ in 0..SLICE_EVENTS {
            let event = events.next(gate.message_key.as_deref()).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
            match (event, &labels) {
                (None, _) => break,
                (Some(_), None) => dropped += 1,
                (Some(event), Some(labels)) => {
                    records.push(gate.post.arrival(labels, event.time.filter(|_| gate.keep_times), event.line, event.metadata));
                }
            }
        }
        gate.post.dropped(dropped);
        let is_last = records.len() + dropped < SLICE_EVENTS;
        if !records.is_empty() {
            parts.push(gate.post.hand_in(sender, records).await.map_err(io::Error::other)?);
        }
        if is_last {
            return Ok(parts);
        }
    }
}

/// The sender's side of a connection, message by message.
struct Wire {
    reader: ReadHalf<Box<dyn Stream>>,
    buffer: BytesMut,
    scan: Scan,
}

impl Wire {
    /// The next message; `None` at the end of the stream, or of the edge.
    async fn message(&mut self, bytes_max: usize, idle: Duration, stop: &CancellationToken) -> io::Result<Option<Bytes>> {
        let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        loop {
            if let Some(length) = self.scan.step(&self.buffer, bytes_max).map_err(|why| invalid(&why))? {
                self.scan = Scan::default();
                return Ok(Some(self.buffer.split_to(length).freeze()));
            }
            if self.buffer.len() > bytes_max {
                return Err(invalid("a message is larger than max_message_size"));
            }
            self.buffer.reserve(READ_BYTES);
            let read = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(None),
                read = tokio::time::timeout(idle, self.reader.read_buf(&mut self.buffer)) => read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?,
            };
            if read == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }
}
