//! Ceilings of a link, each with its reason.

use std::time::Duration;

use proto_wire::limits::POSITIONS_MAX;

/// Messages in each direction's queue of a session: an ack is small, and the hub may owe one for each batch of several windows.
pub const QUEUE_MESSAGES: usize = 256;
/// Bytes in each direction's queue of a session: two of the largest frames, so that one can be taken while the next arrives.
pub const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// Fields of one message, one level deep: as many positions as a batch may carry, and the plain fields around them. An empty
/// position takes 2 bytes on the wire and about 100 in memory, so the size of the frame alone does not bound the memory.
pub const MESSAGE_FIELDS_MAX: usize = POSITIONS_MAX + 64;
/// Most bytes set aside for a frame before its bytes arrive: a stated length is not believed.
pub const FRAME_AHEAD_BYTES: usize = 64 * 1024;
/// Longest text that goes with a close code, in bytes: it must fit one packet.
pub const CLOSE_TEXT_BYTES_MAX: usize = 512;

/// QUIC stream, connection and send window: 1 Gbit/s at 100 ms round trip is 12.5 MB in flight.
pub const QUIC_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// Buffers asked of the kernel for a UDP socket: bursts of a sender at 1 Gbit/s last longer than the usual 208 KiB.
pub const UDP_BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// Packets that may arrive before one must be acknowledged at once.
pub const QUIC_ACK_PACKETS: u32 = 10;
/// Bytes that wait for the decision to take one connection attempt: its first packets, there is no early data.
pub const QUIC_INCOMING_BYTES: u64 = 16 * 1024;
/// Handshakes in flight from which on a QUIC peer must first prove its address (Retry), so that forged senders cost nothing.
pub const QUIC_RETRY_FROM: usize = 64;

/// HTTP/2 stream and connection window: 670 Mbit/s at 100 ms round trip, at half the memory of QUIC's.
pub const HTTP2_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// HTTP/2 frame: fewer headers than the default 16 KiB.
pub const HTTP2_FRAME_BYTES: u32 = 64 * 1024;
/// HTTP/2 streams that a connection may open: one session is one stream, the rest is for probes.
pub const HTTP2_STREAMS_MAX: u32 = 16;
/// HTTP/2 header list: ours is below 1 KiB.
pub const HTTP2_HEADER_BYTES_MAX: u32 = 16 * 1024;
/// HTTP/2 streams reset by the peer that wait to be looked at: more is a rapid reset attack.
pub const HTTP2_RESETS_MAX: usize = 20;
/// Bytes that HTTP/2 buffers for sending, per stream: one frame on its way while the next is encoded.
pub const HTTP2_SEND_BYTES: usize = 4 * 1024 * 1024;
/// Largest answer of a proxy to CONNECT.
pub const PROXY_ANSWER_BYTES_MAX: usize = 8 * 1024;

/// Sessions of a hub, both transports together: a thousand edges that come back at once beside the sessions they left, whose end is not
/// seen yet. Well below the usual 65,536 file descriptors, and bounds their memory.
pub const SESSIONS_MAX: usize = 2048;
/// Sessions of one identity: the live one, one that the hub has not yet seen dying, and one that moves to another transport.
pub const SESSIONS_PER_IDENTITY_MAX: usize = 4;
/// Handshakes in flight on one listener.
pub const HANDSHAKES_MAX: usize = 256;
/// Handshakes in flight from one address: a cluster behind one address may come back at once, but not fill the listener.
pub const HANDSHAKES_PER_ADDRESS_MAX: usize = 64;
/// Sessions and faults that wait to be accepted.
pub const ARRIVALS: usize = 64;

/// A handshake, and each of the steps to a session after it, ends within this.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// A whole dial ends within this: name, connect, proxy, handshake, first answer.
pub const DIAL_MAX: Duration = Duration::from_secs(10);
/// The next address of a name is tried when the one before has not answered within this.
pub const ADDRESS_STAGGER: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried.
pub const ADDRESSES_MAX: usize = 8;
/// Keep-alives are sent this often: below the usual 30 s of a NAT for UDP.
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// A QUIC peer from which nothing came for this long is gone.
pub const IDLE_MAX: Duration = Duration::from_secs(30);
/// An HTTP/2 keep-alive must be answered within this.
pub const KEEP_ALIVE_ANSWER_MAX: Duration = Duration::from_secs(20);
/// An edge must bring a whole message, or `PATIENCE_BYTES` of one, in each span of this: heartbeats come every 10 s.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// See [`PATIENCE`]: 4 KiB a second, which the slowest of real links reach.
pub const PATIENCE_BYTES: u64 = 4 * 1024 * 30;
/// An edge that takes nothing for this long while its queue is full is given up.
pub const STALL_MAX: Duration = Duration::from_secs(30);
/// What is queued at a close is written, and known to have arrived, within this, or dropped.
pub const FLUSH_MAX: Duration = Duration::from_secs(2);
/// How long the accepting of connections rests after it failed (no file descriptors left, most likely).
pub const ACCEPT_REST: Duration = Duration::from_millis(200);

/// `auto`: gRPC is dialled too when QUIC does not stand after this, so that a session stands within 3 s when UDP is blocked.
pub const QUIC_HEAD_START: Duration = Duration::from_secs(1);
/// `auto`: where QUIC failed, it is tried again after this.
pub const QUIC_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// Shortest wait before dialling again.
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Longest wait after the first failure: a thousand edges make 500 handshakes a second.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(2);
/// Longest wait before dialling again.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// The port of a hub url that names none.
pub const HUB_PORT: u16 = 9443;
