//! Certificate material on disk: read whole, checked, and read again when it changes.
//!
//! Parts: [`ServerPaths`] and [`ClientPaths`] name the files; [`ServerMaterial`] and
//! [`ClientMaterial`] are what stands in them, checked; [`load_server`] and [`load_client`] read
//! once (a start that must be refused, `check-config`); [`watch_server`] and [`watch_client`] look
//! at the content each second and publish.
//!
//! Promises: certificate, key and trust bundle are published together or not at all; a bad file
//! keeps what was good before and is warned about once; an edge may start with missing or bad files
//! and is `Ready` within a poll of their repair; a key that group or others can read is refused.
//! The watching task ends when its last receiver is dropped. Must not do: touch live sessions: who
//! holds the receiver makes new configurations, and sessions made with the old ones end in peace.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proto_model::Timestamp;
use proto_seam::{Disk, OpenHow, World};
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::describe::Description;
use crate::fault::CertsFault;
use crate::limits::{CERTIFICATE_FILE_BYTES_MAX, KEY_FILE_BYTES_MAX, POLL_INTERVAL};
use crate::{pem, trust};

/// Where a server finds its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPaths {
    /// Chain in PEM, leaf first.
    pub cert_file: PathBuf,
    /// Private key in PEM.
    pub key_file: PathBuf,
    /// CAs whose client certificates are let in; `None` for a server that asks for none.
    pub client_ca_file: Option<PathBuf>,
}

/// Where an edge finds its certificate and the CAs of its hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPaths {
    /// Chain in PEM, leaf first.
    pub cert_file: PathBuf,
    /// Private key in PEM.
    pub key_file: PathBuf,
    /// CAs that may vouch for the hub.
    pub ca_file: PathBuf,
}

impl ClientPaths {
    /// `edge.crt` and `edge.key` in `identity_dir`.
    #[must_use]
    pub fn new(identity_dir: &Path, ca_file: &Path) -> Self {
        Self { cert_file: identity_dir.join("edge.crt"), key_file: identity_dir.join("edge.key"), ca_file: ca_file.to_path_buf() }
    }
}

/// A chain with its key, checked to belong together.
#[derive(Clone)]
pub struct Credential {
    /// For rustls; `certified.cert` is the chain, leaf first.
    pub certified: Arc<CertifiedKey>,
    /// What stands in the leaf.
    pub leaf: Description,
    /// Drawn from the private key: signs what must be known again by whoever holds that key later.
    pub derived: [u8; 32],
}

impl Credential {
    /// End of the leaf's life.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.leaf.not_after
    }

    /// The leaf's serial number in lower-case hex.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.leaf.serial
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

/// What a server proves itself with, and whom it lets in.
#[derive(Debug, Clone)]
pub struct ServerMaterial {
    /// Its own chain and key.
    pub own: Credential,
    /// CAs of the clients; `None` when no client certificate is asked for.
    pub client_roots: Option<Arc<RootCertStore>>,
}

/// What an edge proves itself with, and whom it trusts.
#[derive(Debug, Clone)]
pub struct ClientMaterial {
    /// Its own chain and key.
    pub own: Credential,
    /// CAs that may vouch for the hub.
    pub hub_roots: Arc<RootCertStore>,
}

/// What an edge has in hand.
#[derive(Debug, Clone)]
pub enum ClientState {
    /// Not usable yet, and why; not looked at yet counts as missing.
    Missing(String),
    /// Usable.
    Ready(Arc<ClientMaterial>),
}

impl ServerMaterial {
    /// From PEM in memory.
    ///
    /// # Errors
    /// As [`load_server`], but for what only files can have.
    pub fn from_pem(chain: &str, key: &str, client_ca: Option<&str>) -> Result<Self, CertsFault> {
        let paths = ServerPaths { cert_file: "certificate".into(), key_file: "key".into(), client_ca_file: client_ca.map(|_| "client ca".into()) };
        Contents { cert: chain.into(), key: key.into(), ca: client_ca.map(Into::into) }.server(&paths)
    }
}

impl ClientMaterial {
    /// From PEM in memory.
    ///
    /// # Errors
    /// As [`load_client`], but for what only files can have.
    pub fn from_pem(chain: &str, key: &str, ca: &str) -> Result<Self, CertsFault> {
        let paths = ClientPaths { cert_file: "certificate".into(), key_file: "key".into(), ca_file: "ca".into() };
        Contents { cert: chain.into(), key: key.into(), ca: Some(ca.into()) }.client(&paths)
    }
}

/// Reads a server's files once.
///
/// # Errors
/// The [`CertsFault`] of the first file that is missing, readable by others, empty, encrypted, no PEM, or does not fit the rest.
pub async fn load_server(paths: &ServerPaths, world: &World) -> Result<Arc<ServerMaterial>, CertsFault> {
    read(world, Sources::from(paths)).await?.server(paths).map(Arc::new)
}

/// Reads an edge's files once.
///
/// # Errors
/// As [`load_server`].
pub async fn load_client(paths: &ClientPaths, world: &World) -> Result<Arc<ClientMaterial>, CertsFault> {
    read(world, Sources::from(paths)).await?.client(paths).map(Arc::new)
}

/// Follows a server's files; `None` until they were good once. Call inside a runtime.
#[must_use]
pub fn watch_server(paths: ServerPaths, world: World) -> watch::Receiver<Option<Arc<ServerMaterial>>> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let mut seen = None;
        while !sender.is_closed() {
            if let Some(found) = look(&world, Sources::from(&paths), &mut seen).await {
                match found.and_then(|contents| contents.server(&paths)) {
                    Ok(material) => {
                        tracing::info!(not_after = %crate::describe::rfc3339(material.own.not_after()), serial = material.own.serial(), "server certificate loaded");
                        sender.send_replace(Some(Arc::new(material)));
                    }
                    Err(fault) => tracing::warn!(%fault, "server certificate not taken, the one before stays in use"),
                }
            }
            pause(&sender).await;
        }
    });
    receiver
}

/// Follows an edge's files (`edge.crt` and `edge.key` in `identity_dir`, the hub's CAs in `ca_file`). Call inside a runtime.
#[must_use]
pub fn watch_client(identity_dir: &Path, ca_file: &Path, world: World) -> watch::Receiver<ClientState> {
    let paths = ClientPaths::new(identity_dir, ca_file);
    let (sender, receiver) = watch::channel(ClientState::Missing("the certificate files were not read yet".to_owned()));
    tokio::spawn(async move {
        let mut seen = None;
        while !sender.is_closed() {
            if let Some(found) = look(&world, Sources::from(&paths), &mut seen).await {
                publish_client(&sender, found.and_then(|contents| contents.client(&paths)));
            }
            pause(&sender).await;
        }
    });
    receiver
}

fn publish_client(sender: &watch::Sender<ClientState>, found: Result<ClientMaterial, CertsFault>) {
    match found {
        Ok(material) => {
            tracing::info!(not_after = %crate::describe::rfc3339(material.own.not_after()), serial = material.own.serial(), "edge certificate loaded");
            sender.send_replace(ClientState::Ready(Arc::new(material)));
        }
        Err(fault) if matches!(&*sender.borrow(), ClientState::Ready(_)) => {
            tracing::warn!(%fault, "edge certificate not taken, the one before stays in use");
        }
        Err(fault) => {
            tracing::warn!(%fault, "no usable edge certificate, lines are kept until there is one");
            sender.send_replace(ClientState::Missing(fault.to_string()));
        }
    }
}

async fn pause<T>(sender: &watch::Sender<T>) {
    tokio::select! {
        biased;
        () = sender.closed() => {}
        () = tokio::time::sleep(POLL_INTERVAL) => {}
    }
}

/// Reads the files; `None` when they are (or fail) just as `seen` says.
async fn look(world: &World, sources: Sources, seen: &mut Option<[u8; 32]>) -> Option<Result<Contents, CertsFault>> {
    let found = read(world, sources).await;
    let mark = match &found {
        Ok(contents) => contents.digest(),
        Err(fault) => Sha256::digest(format!("fault {fault}")).into(),
    };
    (seen.replace(mark) != Some(mark)).then_some(found)
}

async fn read(world: &World, sources: Sources) -> Result<Contents, CertsFault> {
    let disk = Arc::clone(&world.disk);
    world.workers.run(move || sources.read(disk.as_ref())).await
}

/// The files of one side.
struct Sources {
    cert: PathBuf,
    key: PathBuf,
    ca: Option<PathBuf>,
}

impl From<&ServerPaths> for Sources {
    fn from(paths: &ServerPaths) -> Self {
        Self { cert: paths.cert_file.clone(), key: paths.key_file.clone(), ca: paths.client_ca_file.clone() }
    }
}

impl From<&ClientPaths> for Sources {
    fn from(paths: &ClientPaths) -> Self {
        Self { cert: paths.cert_file.clone(), key: paths.key_file.clone(), ca: Some(paths.ca_file.clone()) }
    }
}

impl Sources {
    fn read(&self, disk: &dyn Disk) -> Result<Contents, CertsFault> {
        let ca = self.ca.as_deref().map(|path| read_certificates(disk, path)).transpose()?;
        Ok(Contents { cert: read_certificates(disk, &self.cert)?, key: read_key(disk, &self.key)?, ca })
    }
}

fn read_certificates(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, CertsFault> {
    disk.read_all(path, CERTIFICATE_FILE_BYTES_MAX).map_err(CertsFault::file("read", path))
}

/// Reads a private key file, refusing one that group or others can read.
pub(crate) fn read_key(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, CertsFault> {
    // Judged by the open file, so that the one that is read is the one that was judged.
    let file = disk.open(path, OpenHow::Read).map_err(CertsFault::file("read", path))?;
    let state = file.state().map_err(CertsFault::file("read", path))?;
    if state.mode & 0o077 != 0 {
        return Err(CertsFault::KeyMode { path: path.to_path_buf(), mode: state.mode });
    }
    let mut bytes = vec![0; KEY_FILE_BYTES_MAX + 1];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64).map_err(CertsFault::file("read", path))? {
            0 => break,
            n => filled += n,
        }
    }
    if filled > KEY_FILE_BYTES_MAX {
        return Err(CertsFault::NotPem { path: path.to_path_buf(), expected: "private key", reason: format!("it is longer than {KEY_FILE_BYTES_MAX} bytes") });
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The bytes of one side's files. No `Debug`: a key is among them.
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    ca: Option<Vec<u8>>,
}

impl Contents {
    fn digest(&self) -> [u8; 32] {
        let mut all = Sha256::new();
        for part in [&self.cert, &self.key, self.ca.as_ref().unwrap_or(&Vec::new())] {
            all.update(Sha256::digest(part));
        }
        all.finalize().into()
    }

    fn server(&self, paths: &ServerPaths) -> Result<ServerMaterial, CertsFault> {
        let own = self.credential(&paths.cert_file, &paths.key_file)?;
        let client_roots = match (&paths.client_ca_file, &self.ca) {
            (Some(path), Some(bytes)) => Some(roots(path, bytes)?),
            (None, _) | (_, None) => None,
        };
        Ok(ServerMaterial { own, client_roots })
    }

    fn client(&self, paths: &ClientPaths) -> Result<ClientMaterial, CertsFault> {
        let own = self.credential(&paths.cert_file, &paths.key_file)?;
        let bundle = self.ca.as_deref().ok_or(CertsFault::NoRoots)?;
        Ok(ClientMaterial { own, hub_roots: roots(&paths.ca_file, bundle)? })
    }

    fn credential(&self, cert_file: &Path, key_file: &Path) -> Result<Credential, CertsFault> {
        let chain = pem::certificates(cert_file, &self.cert)?;
        let leaf = describe(cert_file, &chain[0])?;
        let key = pem::private_key(key_file, &self.key)?;
        let derived = blake3::derive_key("tributary 2026-11-22 what a private key vouches for", key.secret_der());
        let certified = CertifiedKey::from_der(chain, key, &trust::provider()).map_err(|fault| {
            if matches!(fault, rustls::Error::InconsistentKeys(_)) {
                CertsFault::KeyMismatch { certificate: cert_file.to_path_buf(), key: key_file.to_path_buf() }
            } else {
                CertsFault::KeyKind { path: key_file.to_path_buf(), reason: fault.to_string() }
            }
        })?;
        Ok(Credential { certified: Arc::new(certified), leaf, derived })
    }
}

fn describe(path: &Path, der: &CertificateDer<'_>) -> Result<Description, CertsFault> {
    Description::of(der).map_err(|fault| CertsFault::NotPem { path: path.to_path_buf(), expected: "certificate", reason: fault.to_string() })
}

fn roots(path: &Path, bytes: &[u8]) -> Result<Arc<RootCertStore>, CertsFault> {
    let mut store = RootCertStore::empty();
    for der in pem::certificates(path, bytes)? {
        let reason = |reason: String| CertsFault::NotPem { path: path.to_path_buf(), expected: "ca certificate", reason };
        if !describe(path, &der)?.is_ca {
            return Err(reason("a certificate in it is no ca certificate".to_owned()));
        }
        store.add(der).map_err(|fault| reason(fault.to_string()))?;
    }
    Ok(Arc::new(store))
}

#[cfg(test)]
mod tests;
