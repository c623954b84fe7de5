//! Bytes of PEM files to certificates and keys.
//!
//! Parts: [`certificates`], [`private_key`]. Limits: 256 certificates a file. Promises: no fault
//! carries content of a key file. Must not do: read files, judge certificates.

use std::path::Path;

use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::fault::CertsFault;
use crate::limits::CERTIFICATES_PER_FILE_MAX;

/// All certificates in `bytes`, in order; at least one.
pub fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertsFault> {
    let expected = "certificate";
    let bad = |reason: String| CertsFault::NotPem { path: path.to_path_buf(), expected, reason };
    if bytes.trim_ascii().is_empty() {
        return Err(CertsFault::Empty { path: path.to_path_buf(), expected });
    }
    let mut out = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
        let (kind, der) = section.map_err(|fault| bad(fault.to_string()))?;
        if kind == SectionKind::Certificate {
            out.push(CertificateDer::from(der));
        }
        if out.len() > CERTIFICATES_PER_FILE_MAX {
            return Err(bad(format!("it holds more than {CERTIFICATES_PER_FILE_MAX} certificates")));
        }
    }
    if out.is_empty() { Err(bad("it has no BEGIN CERTIFICATE section".to_owned())) } else { Ok(out) }
}

/// The private key in `bytes`; exactly one, in the clear.
pub fn private_key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, CertsFault> {
    let expected = "private key";
    let bad = |reason: &str| CertsFault::NotPem { path: path.to_path_buf(), expected, reason: reason.to_owned() };
    if bytes.trim_ascii().is_empty() {
        return Err(CertsFault::Empty { path: path.to_path_buf(), expected });
    }
    // Both spellings: PKCS#8 `BEGIN ENCRYPTED PRIVATE KEY` and the older `Proc-Type: 4,ENCRYPTED` header.
    if bytes.windows(b"ENCRYPTED".len()).any(|window| window == b"ENCRYPTED") {
        return Err(CertsFault::KeyEncrypted { path: path.to_path_buf() });
    }
    let mut found = None;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
        // The parser's own text could quote the file.
        let (kind, der) = section.map_err(|_| bad("its pem sections are malformed"))?;
        let Some(key) = PrivateKeyDer::from_pem(kind, der) else { continue };
        if found.replace(key).is_some() {
            return Err(bad("it holds more than one private key"));
        }
    }
    found.ok_or_else(|| bad("it has no BEGIN PRIVATE KEY section"))
}

#[cfg(test)]
mod tests;
