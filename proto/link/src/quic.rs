//! Sessions over QUIC: one connection is one session is one bidirectional stream, opened by the edge.
//!
//! Parts: [`QuicClient`](client::QuicClient), [`QuicServer`](server::QuicServer); `pump`, which moves frames between the stream and the queues;
//! `ended`, which reads QUIC's errors. Here: the settings that both ends share.
//!
//! The hub grants the one stream only after it has verified the certificate and taken a seat, so an edge
//! whose dial succeeds was let in; TLS 1.3 alone would tell it later, on the first read.
//! Limits: windows of 16 MiB (1 Gbit/s at 100 ms), 30 s idle, keep-alive each 10 s, no datagrams, no
//! unidirectional streams, no early data. A changed address or NAT binding keeps the connection.
//! Must not do: judge certificates.

pub(crate) mod client;
mod ended;
mod pump;
pub(crate) mod server;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proto_seam::{Clock, Entropy};
use quinn::congestion::CubicConfig;
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{
    AckFrequencyConfig, AsyncUdpSocket, ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt,
};

use crate::fault::{LinkFault, Side};
use crate::limits::{IDLE_MAX, KEEP_ALIVE, QUIC_ACK_PACKETS, QUIC_WINDOW_BYTES, UDP_BUFFER_BYTES};

/// Bytes of a connection id: enough that guessing one is hopeless, few enough for short headers.
const CONNECTION_ID_BYTES: usize = 8;
/// Bytes of the id that a client's first packet carries; the most that QUIC allows, as only the handshake carries it.
const FIRST_CONNECTION_ID_BYTES: usize = 20;

fn transport_config() -> TransportConfig {
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(QUIC_ACK_PACKETS));
    let idle = IdleTimeout::try_from(IDLE_MAX).expect("half a minute is a valid idle timeout");
    let mut config = TransportConfig::default();
    config
        // The hub raises this to one once the edge is let in; the edge never takes streams.
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(QUIC_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(QUIC_WINDOW_BYTES))
        .send_window(u64::from(QUIC_WINDOW_BYTES))
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .mtu_discovery_config(Some(MtuDiscoveryConfig::default()))
        .ack_frequency_config(Some(acks))
        .congestion_controller_factory(Arc::new(CubicConfig::default()));
    config
}

fn random_key(entropy: &Entropy) -> [u8; 32] {
    let mut key = [0; 32];
    for part in key.chunks_mut(8) {
        part.copy_from_slice(&entropy.next_u64().to_le_bytes());
    }
    key
}

/// `reset` signs the words by which a process tells peers of the one before it that their connections are gone.
fn endpoint_config(entropy: &Entropy, reset: [u8; 32]) -> EndpointConfig {
    let seed = random_key(entropy);
    // Clones draw from one generator: no two connections get the same ids.
    let ids = entropy.clone();
    let mut config = EndpointConfig::new(Arc::new(ResetKey(reset)));
    config.rng_seed(Some(seed)).cid_generator(move || Box::new(SeededIds(ids.clone())));
    config
}

/// Keyed BLAKE3, as a signature.
struct ResetKey([u8; 32]);

impl HmacKey for ResetKey {
    fn sign(&self, bytes: &[u8], signature: &mut [u8]) {
        let hash = blake3::keyed_hash(&self.0, bytes);
        let length = signature.len().min(hash.as_bytes().len());
        signature[..length].copy_from_slice(&hash.as_bytes()[..length]);
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, bytes: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let found: [u8; blake3::OUT_LEN] = signature.try_into().map_err(|_| CryptoError)?;
        // Compared in constant time.
        if blake3::keyed_hash(&self.0, bytes) == blake3::Hash::from_bytes(found) { Ok(()) } else { Err(CryptoError) }
    }
}

/// Connection ids from our entropy, so that a simulation can be run again.
struct SeededIds(Entropy);

impl SeededIds {
    fn draw(&self, length: usize) -> ConnectionId {
        let mut bytes = [0; 24];
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.0.next_u64().to_le_bytes());
        }
        ConnectionId::new(&bytes[..length])
    }
}

impl ConnectionIdGenerator for SeededIds {
    fn generate_cid(&mut self) -> ConnectionId {
        self.draw(CONNECTION_ID_BYTES)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The time of a [`Clock`], as quinn asks for it.
struct ClockTime(Clock);

impl quinn::TimeSource for ClockTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(self.0.now_ns()).unwrap_or(0))
    }
}

/// A UDP socket of the system with large buffers, as far as the system grants them.
async fn real_socket(address: std::net::SocketAddr) -> Result<Arc<dyn AsyncUdpSocket>, LinkFault> {
    use quinn::Runtime as _;
    let fault = |reason: std::io::Error| LinkFault::Bind { address: address.to_string(), reason: reason.to_string() };
    let socket = tokio::net::UdpSocket::bind(address).await.map_err(fault)?;
    enlarge_buffers(&socket);
    quinn::TokioRuntime.wrap_udp_socket(socket.into_std().map_err(fault)?).map_err(fault)
}

fn enlarge_buffers(socket: &tokio::net::UdpSocket) {
    use rustix::net::sockopt;
    // The forced kind passes the system's limit, for those who may. What is granted is looked at below.
    let receive =
        sockopt::set_socket_recv_buffer_size_force(socket, UDP_BUFFER_BYTES).or_else(|_| sockopt::set_socket_recv_buffer_size(socket, UDP_BUFFER_BYTES));
    let send = sockopt::set_socket_send_buffer_size_force(socket, UDP_BUFFER_BYTES).or_else(|_| sockopt::set_socket_send_buffer_size(socket, UDP_BUFFER_BYTES));
    // The kernel tells twice what it grants.
    let granted = sockopt::socket_recv_buffer_size(socket).unwrap_or(0) / 2;
    if receive.and(send).is_err() || granted < UDP_BUFFER_BYTES {
        tracing::info!(granted, wanted = UDP_BUFFER_BYTES, "udp buffers are smaller than wanted; raise sysctl net.core.rmem_max and wmem_max for fast links");
    }
}

/// The leaf certificate that the peer of an established connection has proven.
fn peer_certificate(connection: &quinn::Connection) -> Option<Vec<u8>> {
    let chain = connection.peer_identity()?.downcast::<Vec<rustls_pki_types::CertificateDer<'static>>>().ok()?;
    chain.first().map(|leaf| leaf.to_vec())
}

fn unusable_config(side: Side, reason: &impl std::fmt::Display) -> LinkFault {
    LinkFault::NoIdentity { side, reason: reason.to_string() }
}
