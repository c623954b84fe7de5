//! `syslog`: messages over TCP, TLS and UDP.
//!
//! Parts: [`start`], `connection` (a stream: frames to messages to deliveries), `datagrams`, [`frame`] (bytes to messages; pure), [`message`]
//! (a message to labels, time and line; pure), [`names`] (a sender's host name). Promises: a stream is not read on while there is no room,
//! so that its sender keeps what it has; a datagram for which there is no room is counted; a message that is not as the format
//! says is kept whole as a line. Limits: `max_message_length`, connections, `idle_timeout`. Must not do: confirm anything, the protocol knows no way.

mod frame;
mod message;
mod names;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto_model::Labels;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::Arrival;
use super::listen::{self, CONNECTIONS_MAX, ReceiveFault, Stream, Tls};
use super::post::Post;
use super::sender::Sender;
use super::start::{Running, Shared};
use super::udp::Datagrams;
use crate::settings::receivers::{SyslogProtocol, SyslogSettings};
use crate::settings::server::ListenTls;
use frame::Frames;
use message::{Form, Read};

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Largest datagram.
const DATAGRAM_BYTES: usize = 64 * 1024;
/// Senders of datagrams whose names are remembered.
const PEERS_MAX: usize = 256;
/// After an error of a socket.
const PAUSE: Duration = Duration::from_millis(200);

struct Line {
    post: Post,
    form: Form,
    keep_times: bool,
    bytes_max: usize,
    idle: Duration,
    world: proto_seam::World,
}

/// Starts the listener of a job.
pub(super) async fn start(shared: &Shared, post: Post, settings: &SyslogSettings, stop: CancellationToken) -> Result<Running, ReceiveFault> {
    let job = post.name().to_owned();
    let line = Arc::new(Line {
        post,
        form: Form { format: settings.syslog_format, whole: settings.use_rfc5424_message, structured: settings.label_structured_data },
        keep_times: settings.use_incoming_timestamp,
        bytes_max: usize::try_from(settings.max_message_length.value).unwrap_or(usize::MAX),
        idle: settings.idle_timeout.0,
        world: shared.world.clone(),
    });
    if settings.listen_protocol == SyslogProtocol::Udp {
        let socket = listen::udp(&job, &settings.listen_address).await?;
        let bound = socket.local_addr().ok();
        let task = tokio::spawn(datagrams(line, Datagrams::new(socket, shared.world.clone()), stop));
        return Ok(Running { job, kind: "syslog", address: bound, task });
    }
    let tls = Tls::new(&job, &ListenTls::from(&settings.tls_config), &[], &shared.world).await?;
    let listener = listen::tcp(&job, &settings.listen_address).await?;
    let bound = listener.local_addr().ok();
    let ending = stop.clone();
    let connection = move |stream, peer| connection(Arc::clone(&line), stream, peer, tls.clone(), ending.clone());
    let task = tokio::spawn(listen::accept(listener, CONNECTIONS_MAX, stop, connection));
    Ok(Running { job, kind: "syslog", address: bound, task })
}

async fn connection(line: Arc<Line>, stream: TcpStream, peer: SocketAddr, tls: Option<Tls>, stop: CancellationToken) {
    let stream = match Tls::accept_if(tls.as_ref(), stream).await {
        Ok(stream) => stream,
        Err(fault) => {
            line.post.refused("handshake");
            return tracing::debug!(%peer, %fault, "a syslog sender's handshake failed");
        }
    };
    line.post.connections(1.0);
    let ended = line.read(stream, peer.ip(), &stop).await;
    line.post.connections(-1.0);
    if let Err(fault) = ended {
        tracing::debug!(%peer, %fault, "a syslog connection ended early");
    }
}

impl Line {
    /// Reads a stream to its end.
    async fn read(&self, mut stream: Box<dyn Stream>, ip: IpAddr, stop: &CancellationToken) -> std::io::Result<()> {
        let from = self.sender(ip).await;
        let mut frames = Frames::new(self.bytes_max);
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        let sender = Arc::<Sender>::default();
        loop {
            buffer.reserve(READ_BYTES);
            let read = tokio::select! {
                biased;
                () = stop.cancelled() => Ok(0),
                read = tokio::time::timeout(self.idle, stream.read_buf(&mut buffer)) => read.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())),
            };
            let is_end = !matches!(read, Ok(1..));
            let mut messages = Vec::new();
            frames.take(&mut buffer, is_end, &mut messages);
            self.cut(frames.take_cut());
            let records: Vec<Arrival> = messages.iter().filter_map(|message| self.arrival(message, &from)).collect();
            sender.ready_or(stop).await;
            if !records.is_empty() && self.post.hand_in(&sender, records).await.is_err() {
                return Err(std::io::Error::other("the edge ends"));
            }
            if is_end {
                return read.map(|_| ());
            }
        }
    }

    fn cut(&self, messages: u64) {
        if messages > 0 {
            self.post.intake().metrics.cut.with(["syslog"]).add(messages);
        }
    }

    /// The labels of who sends.
    async fn sender(&self, ip: IpAddr) -> Labels {
        let name = names::of(&self.world, ip.to_canonical()).await;
        Labels::from_pairs([("__syslog_connection_ip_address", ip.to_canonical().to_string()), ("__syslog_connection_hostname", name)])
    }

    fn arrival(&self, message: &Bytes, from: &Labels) -> Option<Arrival> {
        let metrics = &self.post.intake().metrics;
        let read = match message::read(message, &self.form, from, self.world.clock.now_ns()) {
            Some(read) => read,
            None => {
                metrics.syslog_empty.inc();
                return None;
            }
        };
        let Read { labels, time, line, is_sound } = read;
        if is_sound {
            metrics.syslog_entries.inc();
        } else {
            metrics.syslog_parsing_errors.inc();
        }
        let Some(labels) = self.post.labels(labels) else {
            self.post.dropped(1);
            return None;
        };
        Some(self.post.arrival(&labels, time.filter(|_| self.keep_times), line, Vec::new()))
    }
}

async fn datagrams(line: Arc<Line>, mut socket: Datagrams, stop: CancellationToken) {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    let mut peers: VecDeque<(IpAddr, Labels)> = VecDeque::new();
    loop {
        let received = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            received = socket.receive(&line.post, &mut buffer) => received,
        };
        let (bytes, peer) = match received {
            Ok((len, peer)) => (&buffer[..len], peer.ip()),
            Err(fault) => {
                tracing::warn!(%fault, "a syslog socket cannot be read");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if !peers.iter().any(|(known, _)| *known == peer) {
            if peers.len() >= PEERS_MAX {
                peers.pop_front();
            }
            peers.push_back((peer, line.sender(peer).await));
        }
        let Some((_, from)) = peers.iter().find(|(known, _)| *known == peer) else { continue };
        let whole = bytes.trim_ascii_end();
        let kept = &whole[..whole.len().min(line.bytes_max)];
        line.cut(u64::from(kept.len() < whole.len()));
        if let Some(record) = line.arrival(&Bytes::copy_from_slice(kept), from) {
            line.post.try_hand_in(peer, vec![record]);
        }
    }
}
