//! Sockets of receivers: binding, TLS, and connections within bounds.
//!
//! Parts: [`Doors`] (what all receivers of a start share), [`Tls`] (the newest certificate for the next handshake), [`accept`] (a loop
//! around a listener, a task for each connection). Promises: a lasting error of accept backs off; more than [`CONNECTIONS_MAX`] connections
//! wait in the kernel's queue; a handshake has a deadline. Must not do: speak a protocol.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use certs::store::{ServerMaterial, ServerPaths};
use proto_seam::World;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::settings::labels::ListenAddress;
use crate::settings::server::ListenTls;

/// Connections of one receiver at once.
pub(crate) const CONNECTIONS_MAX: usize = 1_024;
/// For a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After an error of accept.
const PAUSE: Duration = Duration::from_millis(200);
/// Open connections may end so long after a stop.
const DRAIN: Duration = Duration::from_secs(5);

/// A receiver that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveFault {
    /// The address is taken, or not ours.
    #[error("job {job:?} cannot listen on {address}: {fault}; choose a free address of this machine")]
    Bind {
        /// The job.
        job: String,
        /// Where.
        address: String,
        /// Why.
        fault: io::Error,
    },
    /// Certificate or key.
    #[error("job {job:?} cannot use its certificate: {why}")]
    Tls {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
    /// Another setting.
    #[error("job {job:?}: {why}")]
    Setting {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
}

/// A stream of either kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Binds a TCP socket.
pub(crate) async fn tcp(job: &str, address: &ListenAddress) -> Result<TcpListener, ReceiveFault> {
    let bound = TcpListener::bind(address.bind()).await;
    bound.map_err(|fault| ReceiveFault::Bind { job: job.to_owned(), address: address.to_string(), fault })
}

/// Binds a UDP socket.
pub(crate) async fn udp(job: &str, address: &ListenAddress) -> Result<UdpSocket, ReceiveFault> {
    let bound = UdpSocket::bind(address.bind()).await;
    bound.map_err(|fault| ReceiveFault::Bind { job: job.to_owned(), address: address.to_string(), fault })
}

/// TLS of a listener; the certificate is that of the files as they are now.
#[derive(Clone)]
pub(crate) struct Tls {
    material: Material,
    world: World,
    alpn: &'static [&'static [u8]],
    optional: bool,
}

#[derive(Clone)]
enum Material {
    Fixed(Arc<ServerMaterial>),
    Files(watch::Receiver<Option<Arc<ServerMaterial>>>, Arc<ServerMaterial>),
}

impl Tls {
    /// `None` where there is no certificate.
    pub(crate) async fn new(job: &str, settings: &ListenTls, alpn: &'static [&'static [u8]], world: &World) -> Result<Option<Self>, ReceiveFault> {
        let fault = |why: String| ReceiveFault::Tls { job: job.to_owned(), why };
        let given = (settings.cert.as_deref(), settings.cert_file.as_ref(), settings.key.as_ref(), settings.key_file.as_ref());
        if matches!(given, (None, None, None, None)) {
            let asks = settings.client_ca.is_some() || settings.client_ca_file.is_some();
            return if asks { Err(fault("it names a client CA, and no certificate of its own; add cert_file and key_file".to_owned())) } else { Ok(None) };
        }
        let optional = match settings.client_auth_type.as_str() {
            "" | "NoClientCert" | "RequireAndVerifyClientCert" => false,
            "VerifyClientCertIfGiven" => true,
            other => return Err(fault(format!("client_auth_type {other:?} takes certificates that nobody vouches for; write RequireAndVerifyClientCert"))),
        };
        let wants_none = settings.client_auth_type == "NoClientCert";
        let material = match given {
            (Some(chain), None, Some(key), None) if settings.client_ca_file.is_none() => {
                let ca = settings.client_ca.as_deref().filter(|_| !wants_none);
                Material::Fixed(Arc::new(ServerMaterial::from_pem(chain, key.expose(), ca).map_err(|why| fault(why.to_string()))?))
            }
            (None, Some(cert_file), None, Some(key_file)) if settings.client_ca.is_none() => {
                let client_ca_file = settings.client_ca_file.clone().filter(|_| !wants_none);
                let paths = ServerPaths { cert_file: cert_file.clone(), key_file: key_file.clone(), client_ca_file };
                let first = certs::store::load_server(&paths, world).await.map_err(|why| fault(why.to_string()))?;
                Material::Files(certs::store::watch_server(paths, world.clone()), first)
            }
            _ => return Err(fault("give certificate, key and CA all in files, or all in place".to_owned())),
        };
        Ok(Some(Self { material, world: world.clone(), alpn, optional }))
    }

    fn acceptor(&self) -> io::Result<TlsAcceptor> {
        let material = match &self.material {
            Material::Fixed(material) => Arc::clone(material),
            Material::Files(newest, first) => newest.borrow().clone().unwrap_or_else(|| Arc::clone(first)),
        };
        let config = certs::tls::server_receiver(&material, &self.world.clock, self.alpn, self.optional);
        config.map(TlsAcceptor::from).map_err(|why| io::Error::other(why.to_string()))
    }

    /// The handshake, within its deadline.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
        tokio::time::timeout(HANDSHAKE, self.acceptor()?.accept(stream)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The same where TLS is a setting.
    pub(crate) async fn accept_if(tls: Option<&Self>, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        stream.set_nodelay(true)?;
        Ok(match tls {
            Some(tls) => Box::new(tls.accept(stream).await?),
            None => Box::new(stream),
        })
    }
}

/// Takes connections until `stop`; each has a task, which ends by itself after the stop or is cut.
pub(crate) async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    connections_max: usize,
    stop: CancellationToken,
    mut connection: impl FnMut(TcpStream, SocketAddr) -> F,
) {
    let permits = Arc::new(Semaphore::new(connections_max));
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Ok(permit) = Arc::clone(&permits).acquire_owned() => tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted.map(|accepted| (accepted, permit)),
            },
        };
        match accepted {
            Ok(((stream, peer), permit)) => {
                let work = connection(stream, peer);
                tasks.spawn(async move {
                    work.await;
                    drop(permit);
                });
            }
            Err(fault) => {
                tracing::warn!(%fault, "accepting a connection failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
        while tasks.try_join_next().is_some() {}
    }
    drop(listener);
    let ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, ended).await.is_err() {
        tracing::debug!("connections of a receiver were cut at its end");
    }
}
