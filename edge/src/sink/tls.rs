//! `tls_config` of a target: who may vouch for the server, and the edge's own certificate.
//!
//! Parts: [`apply`], [`Seen`] (the files as they were when they were last looked at), `Renamed` (the server's certificate is
//! for another name than the url's). Blocks. Must not do: connect.

use std::path::Path;
use std::sync::Arc;

use proto_seam::{Disk, FileIdentity};
use reqwest::{Certificate, ClientBuilder, Identity, tls::Version};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::settings::http::TlsSettings;

/// Largest file of certificates or keys.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// The files of a `tls_config` as they were: identity, length and last change; `None` = not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen(Vec<Option<(FileIdentity, u64, i64)>>);

impl Seen {
    /// Looks at them.
    pub(super) fn of(tls: &TlsSettings, disk: &dyn Disk) -> Self {
        let state = |path: &Path| disk.state(path).ok().map(|state| (state.identity, state.len, state.modified_ns));
        Self([&tls.ca_file, &tls.cert_file, &tls.key_file].into_iter().flatten().map(|path| state(path)).collect())
    }
}

/// What stands in place, or in the file.
fn pem(text: Option<&str>, file: Option<&Path>, disk: &dyn Disk) -> Result<Option<Vec<u8>>, String> {
    match (text, file) {
        (Some(text), _) => Ok(Some(text.as_bytes().to_vec())),
        (None, Some(path)) => disk.read_all(path, FILE_BYTES_MAX).map(Some).map_err(|fault| format!("{}: {fault}", path.display())),
        (None, None) => Ok(None),
    }
}

/// Puts `tls` into the client.
///
/// # Errors
/// A text: a file cannot be read, or holds something else.
pub(super) fn apply(builder: ClientBuilder, tls: &TlsSettings, disk: &dyn Disk) -> Result<ClientBuilder, String> {
    let ca = pem(tls.ca.as_deref(), tls.ca_file.as_deref(), disk)?;
    let certificate = pem(tls.cert.as_deref(), tls.cert_file.as_deref(), disk)?;
    let key = pem(tls.key.as_ref().map(|key| key.expose()), tls.key_file.as_deref(), disk)?;
    let name = tls.server_name.as_deref().filter(|name| !name.is_empty() && !tls.insecure_skip_verify);
    if let (Some(name), Some(ca)) = (name, &ca) {
        return renamed(tls, name, ca, certificate.zip(key)).map(|config| builder.tls_backend_preconfigured(config));
    }
    let mut builder = builder.tls_danger_accept_invalid_certs(tls.insecure_skip_verify);
    if let Some(ca) = ca {
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(&ca).map_err(|_| "tls_config's ca_file holds no certificate".to_owned())?);
    }
    if let Some((mut certificate, key)) = certificate.zip(key) {
        certificate.push(b'\n');
        certificate.extend(key);
        builder = builder.identity(Identity::from_pem(&certificate).map_err(|_| "tls_config's certificate and key cannot be read".to_owned())?);
    }
    if tls.min_version.as_deref() == Some("TLS13") {
        builder = builder.tls_version_min(Version::TLS_1_3);
    }
    if tls.max_version.as_deref() == Some("TLS12") {
        builder = builder.tls_version_max(Version::TLS_1_2);
    }
    Ok(builder)
}

fn renamed(tls: &TlsSettings, name: &str, ca: &[u8], own: Option<(Vec<u8>, Vec<u8>)>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        let certificate = certificate.map_err(|_| "tls_config's ca_file holds no certificate".to_owned())?;
        roots.add(certificate).map_err(|fault| format!("tls_config's ca_file: {fault}"))?;
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|fault| format!("tls_config's ca_file: {fault}"))?;
    let name = ServerName::try_from(name.to_owned()).map_err(|_| format!("tls_config.server_name {name:?} is no name"))?;
    let versions: &[&rustls::SupportedProtocolVersion] = match (tls.min_version.as_deref(), tls.max_version.as_deref()) {
        (Some("TLS13"), _) => &[&rustls::version::TLS13],
        (_, Some("TLS12")) => &[&rustls::version::TLS12],
        _ => &[&rustls::version::TLS12, &rustls::version::TLS13],
    };
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).map_err(|fault| fault.to_string())?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Renamed { inner, name }));
    let Some((certificate, key)) = own else { return Ok(config.with_no_client_auth()) };
    let unread = |_| "tls_config's certificate and key cannot be read".to_owned();
    let chain = CertificateDer::pem_slice_iter(&certificate).collect::<Result<Vec<_>, _>>().map_err(unread)?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(unread)?;
    config.with_client_auth_cert(chain, key).map_err(|fault| format!("tls_config's certificate and key: {fault}"))
}

/// The server's certificate is for `name`, whatever the url says.
#[derive(Debug)]
struct Renamed {
    inner: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for Renamed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
