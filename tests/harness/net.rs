//! A UDP socket for quinn on turmoil's simulated network, with packets lost from a seed.
//!
//! Parts: [`Weather`] (how many packets are lost); [`SimSocket`]. Timers and tasks are quinn's own tokio runtime,
//! whose time turmoil pauses. Limits: one datagram a call, no segmentation offload, no ECN. Promises: never
//! blocked for sending; a packet that nobody can take is lost, as on a real network. Must not do: look into packets.

use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use proto_seam::Entropy;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use turmoil::net::UdpSocket;

use crate::world::locked;

/// How many packets are lost, for all sockets; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Weather {
    loss_ppm: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
}

impl Weather {
    /// From now on `ppm` of a million packets are lost.
    pub fn set_loss(&self, ppm: u64) {
        self.loss_ppm.store(ppm, Ordering::Relaxed);
    }

    /// Packets lost by this, and packets offered.
    #[must_use]
    pub fn packets(&self) -> (u64, u64) {
        (self.lost.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }
}

type Readable = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// A socket of the present turmoil host.
pub struct SimSocket {
    socket: Arc<UdpSocket>,
    readable: Mutex<Option<Readable>>,
    weather: Weather,
    entropy: Entropy,
}

impl std::fmt::Debug for SimSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimSocket").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl SimSocket {
    /// Binds `port` (0 = any) of the present host.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind(port: u16, weather: Weather, entropy: &Entropy) -> io::Result<Arc<Self>> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await?);
        Ok(Arc::new(Self { socket, readable: Mutex::new(None), weather, entropy: entropy.fork("packets") }))
    }
}

impl AsyncUdpSocket for SimSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.weather.sent.fetch_add(1, Ordering::Relaxed);
        if self.entropy.below(1_000_000) < self.weather.loss_ppm.load(Ordering::Relaxed) {
            self.weather.lost.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        // A host that is away takes nothing, and a sender over UDP does not learn it.
        drop(self.socket.try_send_to(transmit.contents, transmit.destination));
        Ok(())
    }

    fn poll_recv(&self, cx: &mut Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
        let mut readable = locked(&self.readable);
        loop {
            if readable.is_none() {
                match self.socket.try_recv_from(&mut bufs[0]) {
                    Ok((len, addr)) => {
                        meta[0] = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
                        return Poll::Ready(Ok(1));
                    }
                    Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                    Err(fault) => return Poll::Ready(Err(fault)),
                }
            }
            // While this future lives it holds the socket's queue.
            let wait = readable.get_or_insert_with(|| {
                let socket = Arc::clone(&self.socket);
                Box::pin(async move { socket.readable().await })
            });
            let ended = ready!(wait.as_mut().poll(cx));
            *readable = None;
            ended?;
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
