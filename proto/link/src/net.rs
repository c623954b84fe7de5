//! Where connections come from: the system's sockets, or given ones (simulation, tests).
//!
//! Parts: [`Io`], one byte stream; [`Connector`] and [`Resolver`] for dialling; [`stagger`], which tries the
//! addresses of a name. Promises: of several addresses the first that answers wins, a dead one costs
//! `ADDRESS_STAGGER`. Must not do: TLS, protocols.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::fault::LinkFault;
use crate::limits::{ADDRESS_STAGGER, ADDRESSES_MAX};

/// One byte stream.
pub enum Io {
    /// The system's.
    Tcp(TcpStream),
    /// A given one, in its two halves.
    Given {
        /// From the peer.
        read: Box<dyn AsyncRead + Send + Unpin>,
        /// To the peer.
        write: Box<dyn AsyncWrite + Send + Unpin>,
    },
}

impl Io {
    /// Any byte stream.
    pub fn given(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (read, write) = tokio::io::split(io);
        Self::Given { read: Box::new(read), write: Box::new(write) }
    }

    /// The system's, set to send small messages at once.
    pub(crate) fn tcp(stream: TcpStream) -> Self {
        if let Err(fault) = stream.set_nodelay(true) {
            tracing::debug!(%fault, "tcp_nodelay not set");
        }
        Self::Tcp(stream)
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Io::Tcp",
            Self::Given { .. } => "Io::Given",
        })
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Given { read, .. } => Pin::new(read).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Given { write, .. } => Pin::new(write).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Given { write, .. } if write.is_write_vectored() => Pin::new(write).poll_write_vectored(cx, bufs),
            // TLS gives its last word, why a certificate is refused, in one write of several pieces and does not come back for the rest.
            Self::Given { write, .. } => Pin::new(write).poll_write(cx, &bufs.iter().map(|piece| &**piece).collect::<Vec<_>>().concat()),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Given { write, .. } => Pin::new(write).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Given { write, .. } => Pin::new(write).poll_shutdown(cx),
        }
    }
}

type ConnectFn = dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Io>> + Send + Sync;
type ResolveFn = dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Opens byte streams to a host and port.
#[derive(Clone)]
pub enum Connector {
    /// The system's TCP.
    System,
    /// A given way.
    Given(Arc<ConnectFn>),
}

/// Finds the addresses of a host.
#[derive(Clone)]
pub enum Resolver {
    /// The system's.
    System,
    /// A given way.
    Given(Arc<ResolveFn>),
}

impl Connector {
    /// A stream to `host`:`port`, and the address it leads to.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> Result<(Io, String), LinkFault> {
        match self {
            Self::Given(connect) => {
                let address = format!("{host}:{port}");
                let unreachable = |fault: io::Error| LinkFault::Unreachable { address: address.clone(), reason: fault.to_string() };
                let io = connect(host.to_owned(), port).await.map_err(unreachable)?;
                Ok((io, address))
            }
            Self::System => {
                stagger(Resolver::System.resolve(host, port).await?, |address| async move {
                    let unreachable = |fault: io::Error| LinkFault::Unreachable { address: address.to_string(), reason: fault.to_string() };
                    TcpStream::connect(address).await.map(|stream| (Io::tcp(stream), address.to_string())).map_err(unreachable)
                })
                .await
            }
        }
    }
}

impl Resolver {
    /// The addresses of `host`, in the order in which to try them; at least one, at most `ADDRESSES_MAX`.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, LinkFault> {
        let fault = |reason: String| LinkFault::Resolve { host: host.to_owned(), reason };
        let found = match self {
            Self::System => tokio::net::lookup_host((host, port)).await.map(Iterator::collect::<Vec<_>>),
            Self::Given(resolve) => resolve(host.to_owned(), port).await,
        };
        let mut addresses = found.map_err(|reason| fault(reason.to_string()))?;
        addresses.truncate(ADDRESSES_MAX);
        if addresses.is_empty() { Err(fault("it has none".to_owned())) } else { Ok(addresses) }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "Connector::System",
            Self::Given(_) => "Connector::Given",
        })
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "Resolver::System",
            Self::Given(_) => "Resolver::Given",
        })
    }
}

/// Attempts each address, the next one when the one before failed or has not answered for `ADDRESS_STAGGER`; the first success wins.
/// When all fail, the fault that tells most.
pub(crate) async fn stagger<T, A: Future<Output = Result<T, LinkFault>>>(
    addresses: Vec<SocketAddr>,
    attempt: impl Fn(SocketAddr) -> A,
) -> Result<T, LinkFault> {
    let mut waiting = addresses.into_iter();
    let mut running = FuturesUnordered::new();
    running.extend(waiting.next().map(&attempt));
    let mut worst: Option<LinkFault> = None;
    loop {
        tokio::select! {
            biased;
            done = running.next() => match done {
                Some(Ok(won)) => return Ok(won),
                Some(Err(fault)) => {
                    worst = Some(worst.filter(|before| before.is_telling() || !fault.is_telling()).unwrap_or(fault));
                    running.extend(waiting.next().map(&attempt));
                }
                None => return Err(worst.unwrap_or(LinkFault::Ended)),
            },
            () = tokio::time::sleep(ADDRESS_STAGGER), if waiting.len() > 0 => running.extend(waiting.next().map(&attempt)),
        }
    }
}

#[cfg(test)]
mod tests;
