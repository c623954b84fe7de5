//! Tests of `server`: a UDP socket that fails. All else is tested with whole sessions, in `tests/`.

use std::io::{self, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use certs::{Authority, ClientMaterial, ClientState, ServerMaterial, TrustDomain, Validity};
use proto_model::{ClusterId, EdgeId};
use proto_seam::Clock;
use quinn::UdpPoller;
use quinn::udp::{RecvMeta, Transmit};
use tokio::sync::watch;

use super::*;
use crate::dial::{Dial, Target};
use crate::quic::client::QuicClient;
use crate::tls::ClientTls;

/// A socket whose first receiving fails, as when its interface is taken away.
#[derive(Debug)]
struct Failing(SocketAddr);

impl AsyncUdpSocket for Failing {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Ready)
    }

    fn try_send(&self, _: &Transmit<'_>) -> io::Result<()> {
        Ok(())
    }

    fn poll_recv(&self, _: &mut Context<'_>, _: &mut [IoSliceMut<'_>], _: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::NetworkDown.into()))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.0)
    }
}

#[derive(Debug)]
struct Ready;

impl UdpPoller for Ready {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_socket_that_fails_is_opened_again() {
    let clock = Clock::real();
    let domain = TrustDomain::new("tributary.test").unwrap();
    let authority = Authority::generate(&domain, &clock).unwrap();
    let day = Validity::days(&clock, 1).unwrap();
    let hub = authority.issue_hub(&["localhost".to_owned()], day).unwrap();
    let edge = authority.issue_edge(&ClusterId::new("alpha").unwrap(), &EdgeId::new("edge-1").unwrap(), day).unwrap();
    let material = ServerMaterial::from_pem(&hub.cert_pem, &hub.key_pem, Some(authority.ca_pem())).unwrap();
    let tls = ServerTls::new(watch::channel(Some(Arc::new(material))).1, domain, clock.clone());
    let material = ClientMaterial::from_pem(&edge.cert_pem, &edge.key_pem, authority.ca_pem()).unwrap();
    let client = QuicClient::new(ClientTls::new(watch::channel(ClientState::Ready(Arc::new(material))).1, clock), &Entropy::real());

    let free = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let failing = Arc::new(Failing(free));
    let mut server = QuicServer::start(failing, Arc::new(TokioRuntime), tls, Caps::new(), &Entropy::real(), true).unwrap();
    let target = Target::parse(&format!("https://{free}"), "localhost", "").unwrap();
    let (dialled, accepted) = tokio::join!(client.dial(&target), server.accept());
    assert!(dialled.is_ok(), "{dialled:?}");
    assert!(accepted.unwrap().is_ok());
}
