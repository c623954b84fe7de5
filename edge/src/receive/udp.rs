//! A receiver's UDP socket, and what its system threw away.
//!
//! Parts: [`Datagrams`] (receives), [`dropped`] (the system's count for a socket; pure). Datagrams that come faster than they are read fill
//! the socket's buffer ([`BUFFER_BYTES`], as far as the system allows); what does not fit is gone before anyone sees it. The system counts that, and every
//! [`LOOK_EVERY`] it is told. Must not do: read what a datagram says.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proto_seam::World;
use tokio::net::UdpSocket;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::post::Post;

/// Asked of the system; it gives at most `net.core.rmem_max`.
const BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// Between two looks at the system's count.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Bytes of the system's table: about 130 for each UDP socket of the machine.
const TABLE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A socket that is read.
pub(super) struct Datagrams {
    socket: UdpSocket,
    world: World,
    looks: Interval,
    /// What the system had counted at the last look.
    known: u64,
}

impl Datagrams {
    /// Takes up a socket.
    pub(super) fn new(socket: UdpSocket, world: World) -> Self {
        if let Err(fault) = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, BUFFER_BYTES) {
            tracing::debug!(%fault, "a UDP socket keeps its small buffer");
        }
        let mut looks = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { socket, world, looks, known: 0 }
    }

    /// The next datagram. May be cancelled.
    pub(super) async fn receive(&mut self, post: &Post, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            tokio::select! {
                biased;
                _ = self.looks.tick() => self.look(post).await,
                received = self.socket.recv_from(buffer) => return received,
            }
        }
    }

    /// Tells what the system threw away since the last look.
    async fn look(&mut self, post: &Post) {
        let Ok(address) = self.socket.local_addr() else { return };
        let (disk, table) = (Arc::clone(&self.world.disk), if address.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" });
        let read = self.world.workers.run(move || disk.read_all(Path::new(table), TABLE_BYTES_MAX)).await;
        let Some(count) = read.ok().and_then(|text| dropped(&String::from_utf8_lossy(&text), address)) else { return };
        let more = count.saturating_sub(self.known);
        self.known = count;
        if more > 0 {
            post.shed_many("socket_full", more);
            tracing::warn!(job = post.name(), lost = more, "datagrams came faster than they were read and are lost; use TCP, or raise net.core.rmem_max");
        }
    }
}

/// How many datagrams the system threw away of a socket, by its table; `None` where the socket is not in it.
fn dropped(table: &str, address: SocketAddr) -> Option<u64> {
    let word = |octets: &[u8]| octets.try_into().map(|octets| format!("{:08X}", u32::from_ne_bytes(octets))).unwrap_or_default();
    let host: String = match address.ip() {
        IpAddr::V4(ip) => word(&ip.octets()),
        IpAddr::V6(ip) => ip.octets().chunks(4).map(word).collect(),
    };
    let own = format!("{host}:{:04X}", address.port());
    let line = table.lines().find(|line| line.split_ascii_whitespace().nth(1) == Some(own.as_str()))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            \n \
        6061: 0100007F:4AA1 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 3719536 2 00000000e3b7039c 0       \n \
        6062: 0100007F:4AA2 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 3719537 2 00000000d8328821 1812    \n \
        6063: 00000000000000000000000001000000:4AA2 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 3719537 2 00000000d8328821 7    \n";

    #[test]
    #[cfg(target_endian = "little")]
    fn a_sockets_count_is_the_last_of_its_line() {
        for (address, count) in [("127.0.0.1:19105", Some(0)), ("127.0.0.1:19106", Some(1_812)), ("[::1]:19106", Some(7)), ("127.0.0.1:1", None)] {
            assert_eq!(dropped(TABLE, address.parse().unwrap()), count, "{address}");
        }
        assert_eq!(dropped("", "127.0.0.1:1".parse().unwrap()), None);
    }
}
