//! A byte stream that remembers why it failed.
//!
//! HTTP/2 hides the cause of a broken connection behind its own errors; over TLS 1.3 the cause may be the peer's
//! word on our certificate, which comes only after the handshake. Must not do: retry.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::fault::{LinkFault, Side};
use crate::tls::stream_fault;

/// What went wrong with a stream, if something did: the first fault counts, unless a later one tells more.
#[derive(Debug, Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<LinkFault>>>);

impl Failure {
    pub(super) fn fault(&self) -> Option<LinkFault> {
        self.lock().clone()
    }

    fn note(&self, fault: LinkFault) {
        let mut noted = self.lock();
        // A write may fail before the peer's last word is read.
        if noted.as_ref().is_none_or(|before| fault.is_telling() && !before.is_telling()) {
            *noted = Some(fault);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<LinkFault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A TLS stream under HTTP/2.
#[derive(Debug)]
pub(super) struct Remembering<S> {
    stream: S,
    failure: Failure,
    peer: Side,
    address: String,
}

impl<S> Remembering<S> {
    pub(super) fn new(stream: S, peer: Side, address: &str) -> (Self, Failure) {
        let failure = Failure::default();
        (Self { stream, failure: failure.clone(), peer, address: address.to_owned() }, failure)
    }

    fn note<T>(&self, result: &Poll<io::Result<T>>) {
        if let Poll::Ready(Err(error)) = result {
            self.failure.note(stream_fault(error, self.peer, &self.address));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Remembering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.note(&result);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Remembering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(&result);
        result
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.note(&result);
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
