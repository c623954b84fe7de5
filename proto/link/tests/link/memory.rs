//! Networks in memory, for paused time: UDP that delays, loses, blocks and rebinds, and byte streams with a valve.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use proto_link::{Connections, Connector, Io};
use proto_seam::Entropy;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{mpsc, watch};

type Datagram = (SocketAddr, Vec<u8>);

/// Datagrams between sockets in memory.
#[derive(Debug, Clone)]
pub(crate) struct UdpNet(Arc<Mutex<Rules>>);

#[derive(Debug)]
struct Rules {
    sockets: BTreeMap<SocketAddr, mpsc::Sender<Datagram>>,
    /// Nothing comes to these.
    blocked: BTreeSet<SocketAddr>,
    /// What a socket is seen as by others.
    seen_as: BTreeMap<SocketAddr, SocketAddr>,
    delay: Duration,
    loss: f64,
    entropy: Entropy,
    carried: u64,
}

impl UdpNet {
    pub(crate) fn new(delay: Duration, loss: f64, seed: u64) -> Self {
        let entropy = Entropy::seeded(seed);
        let (sockets, blocked, seen_as) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(Rules { sockets, blocked, seen_as, delay, loss, entropy, carried: 0 })))
    }

    pub(crate) fn socket(&self, address: &str) -> Arc<dyn AsyncUdpSocket> {
        let address = address.parse().unwrap();
        let (sender, receiver) = mpsc::channel(4096);
        self.rules().sockets.insert(address, sender);
        Arc::new(UdpSocket { net: self.clone(), address, receiver: Mutex::new(receiver) })
    }

    /// Nothing more comes to `address`.
    pub(crate) fn block(&self, address: &str) {
        self.rules().blocked.insert(address.parse().unwrap());
    }

    /// A NAT gives `address` another face: what comes to the old one is lost.
    pub(crate) fn rebind(&self, address: &str, face: &str) {
        self.rules().seen_as.insert(address.parse().unwrap(), face.parse().unwrap());
    }

    pub(crate) fn carried(&self) -> u64 {
        self.rules().carried
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.0.lock().unwrap()
    }

    fn send(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let mut rules = self.rules();
        rules.carried += 1;
        let loss = rules.loss;
        if rules.entropy.chance(loss) {
            return;
        }
        let face = rules.seen_as.get(&from).copied().unwrap_or(from);
        let behind = rules.seen_as.iter().find(|(_, face)| **face == to).map(|(behind, _)| *behind);
        let place = match behind {
            Some(behind) => behind,
            None if rules.seen_as.contains_key(&to) => return,
            None => to,
        };
        let Some(socket) = rules.sockets.get(&place).filter(|_| !rules.blocked.contains(&place)).cloned() else { return };
        let (delay, bytes) = (rules.delay, bytes.to_vec());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // A full buffer loses.
            drop(socket.try_send((face, bytes)));
        });
    }
}

#[derive(Debug)]
struct UdpSocket {
    net: UdpNet,
    address: SocketAddr,
    receiver: Mutex<mpsc::Receiver<Datagram>>,
}

impl AsyncUdpSocket for UdpSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.net.send(self.address, transmit.destination, transmit.contents);
        Ok(())
    }

    fn poll_recv(&self, cx: &mut Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
        match self.receiver.lock().unwrap().poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Poll::Ready(Some((addr, bytes))) => {
                bufs[0][..bytes.len()].copy_from_slice(&bytes);
                meta[0] = RecvMeta { addr, len: bytes.len(), stride: bytes.len(), ecn: None, dst_ip: None };
                Poll::Ready(Ok(1))
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// A socket that is always ready to send.
#[derive(Debug)]
struct Writable;

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a valve does with the bytes of its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Valve {
    Open,
    Shut,
}

/// A connector whose streams end at the given listener, and the valve on all of them.
pub(crate) fn tcp_net() -> (Connector, Connections, watch::Sender<Valve>) {
    let (sender, receiver) = mpsc::channel::<io::Result<(Io, SocketAddr)>>(16);
    let valve = watch::Sender::new(Valve::Open);
    let state = valve.subscribe();
    let connector = Connector::Given(Arc::new(move |_, _| {
        let (sender, state) = (sender.clone(), state.clone());
        async move {
            let ((near, near_inner), (far, far_inner)) = (tokio::io::duplex(64 << 10), tokio::io::duplex(64 << 10));
            let (near_read, near_write) = tokio::io::split::<DuplexStream>(near_inner);
            let (far_read, far_write) = tokio::io::split::<DuplexStream>(far_inner);
            tokio::spawn(carry(near_read, far_write, state.clone()));
            tokio::spawn(carry(far_read, near_write, state));
            sender.send(Ok((Io::given(far), "10.0.0.1:40000".parse().unwrap()))).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Io::given(near))
        }
        .boxed()
    }));
    let connections = Box::pin(futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|next| (next, receiver)) }));
    (connector, connections, valve)
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut valve: watch::Receiver<Valve>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(count) = from.read(&mut buffer).await else { return };
        if valve.wait_for(|valve| *valve == Valve::Open).await.is_err() || count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            // Both ends see the end of the stream.
            drop(to.shutdown().await);
            return;
        }
    }
}
