//! `tls_config` of a connection that the edge makes: who may vouch for the server, and the edge's own certificate.
//!
//! Parts: [`config`], [`Seen`] (the files as they were when they were last looked at), `Named` and `Unchecked` (other ways to look at the
//! server's certificate). Blocks. Must not do: connect.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proto_seam::{Disk, FileIdentity};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ProtocolVersion, RootCertStore, SignatureScheme};

use super::read;
use crate::settings::http::TlsSettings;

/// The files of a `tls_config` as they were: identity, length and last change; `None` = not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen(Vec<Option<(FileIdentity, u64, i64)>>);

impl Seen {
    /// Looks at them.
    pub(super) fn of(tls: &TlsSettings, disk: &dyn Disk) -> Self {
        let state = |path: &PathBuf| disk.state(path).ok().map(|state| (state.identity, state.len, state.modified_ns));
        Self([&tls.ca_file, &tls.cert_file, &tls.key_file].into_iter().flatten().map(state).collect())
    }
}

/// TLS as `tls` says; without a CA of its own the machine's count.
///
/// # Errors
/// A text: a file cannot be read, or holds something else.
pub(crate) fn config(tls: &TlsSettings, disk: &dyn Disk) -> Result<ClientConfig, String> {
    let provider = certs::trust::provider();
    let versions: Vec<_> = rustls::ALL_VERSIONS.iter().copied().filter(|known| is_wanted(known.version, tls)).collect();
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions).map_err(|fault| fault.to_string())?;
    let roots = if tls.insecure_skip_verify { RootCertStore::empty() } else { roots(tls, disk)? };
    let config = if roots.is_empty() {
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        config.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked { schemes, takes_any: tls.insecure_skip_verify }))
    } else {
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|fault| format!("tls_config.ca_file: {fault}"))?;
        match tls.server_name.as_ref().filter(|name| !name.is_empty()) {
            None => config.with_webpki_verifier(inner),
            Some(name) => {
                let name = ServerName::try_from(name.clone()).map_err(|_| format!("tls_config.server_name {name:?} is no name"))?;
                config.dangerous().with_custom_certificate_verifier(Arc::new(Named { inner, name }))
            }
        }
    };
    let (cert_file, key_file) = (tls.cert_file.as_deref(), tls.key_file.as_deref());
    match (pem(tls.cert.as_deref(), cert_file, disk)?, pem(tls.key.as_ref().map(|key| key.expose()), key_file, disk)?) {
        (None, None) => Ok(config.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let chain = certs::pem::certificates(cert_file.unwrap_or(Path::new("tls_config.cert")), &certificate).map_err(|fault| fault.to_string())?;
            let key = certs::pem::private_key(key_file.unwrap_or(Path::new("tls_config.key")), &key).map_err(|fault| fault.to_string())?;
            config.with_client_auth_cert(chain, key).map_err(|fault| format!("tls_config's certificate and key: {fault}"))
        }
        _ => Err("tls_config has one of cert_file and key_file without the other; add it".to_owned()),
    }
}

fn is_wanted(version: ProtocolVersion, tls: &TlsSettings) -> bool {
    if version == ProtocolVersion::TLSv1_2 { tls.min_version.as_deref() != Some("TLS13") } else { tls.max_version.as_deref() != Some("TLS12") }
}

/// Who may vouch for servers; a bundle may hold one that is not understood.
fn roots(tls: &TlsSettings, disk: &dyn Disk) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = pem(tls.ca.as_deref(), tls.ca_file.as_deref(), disk)? else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    if roots.is_empty() { Err("tls_config.ca_file holds no certificate".to_owned()) } else { Ok(roots) }
}

/// What stands in place, or in the file.
fn pem(text: Option<&str>, file: Option<&Path>, disk: &dyn Disk) -> Result<Option<Vec<u8>>, String> {
    match (text, file) {
        (Some(text), _) => Ok(Some(text.as_bytes().to_vec())),
        (None, Some(path)) => read(path, disk).map(Some),
        (None, None) => Ok(None),
    }
}

/// The server's certificate is for `name`, whatever the url says.
#[derive(Debug)]
struct Named {
    inner: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for Named {
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

/// Any certificate is taken, or none: nobody is there to vouch for it.
#[derive(Debug)]
struct Unchecked {
    schemes: Vec<SignatureScheme>,
    takes_any: bool,
}

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let nobody = || rustls::Error::General("this machine trusts nobody to vouch for servers; write ca_file".to_owned());
        self.takes_any.then(ServerCertVerified::assertion).ok_or_else(nobody)
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

#[cfg(test)]
mod tests;
