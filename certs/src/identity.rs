//! The only parser and writer of `spiffe://<trust-domain>/cluster/<cluster>/edge/<edge>`.
//!
//! Parts: [`TrustDomain`]; [`EdgeIdentity`] from a URI and from a certificate. The grammar is
//! written down in `docs/formats/identity.md`.
//!
//! Promises: one identity has exactly one spelling; what differs from it by a byte is refused, never
//! repaired, so two texts can never mean one edge. The subject's common name, DNS and IP names are
//! not read. Must not do: judge issuer or time (`trust`), know tenants.

use std::fmt;
use std::str::FromStr;

use proto_model::{ClusterId, EdgeId};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::fault::CertsFault;
use crate::limits::{TRUST_DOMAIN_BYTES_MAX, URI_BYTES_MAX};

const SCHEME: &str = "spiffe://";

/// The root of trust that identities belong to, in SPIFFE's grammar.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// Checks `text`: 1 to 255 of a-z, 0-9, `.`, `-`, `_`, with no empty part between dots.
    ///
    /// # Errors
    /// [`CertsFault::TrustDomain`] when it does not match.
    pub fn new(text: &str) -> Result<Self, CertsFault> {
        let reason = if text.is_empty() {
            "it is empty"
        } else if text.len() > TRUST_DOMAIN_BYTES_MAX {
            "it is too long"
        } else if text.bytes().any(|b| !matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')) {
            "it holds a character outside a-z, 0-9, '.', '-' and '_'"
        } else if text.split('.').any(str::is_empty) {
            "it has an empty part between dots"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(CertsFault::TrustDomain { text: shortened(text, 80), reason })
    }

    /// The domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URI of the domain itself, as a CA certificate carries it.
    #[must_use]
    pub fn to_uri(&self) -> String {
        format!("{SCHEME}{}", self.0)
    }

    /// Reads the URI of a domain itself.
    ///
    /// # Errors
    /// [`CertsFault::UriForm`] or [`CertsFault::TrustDomain`] when it is none.
    pub fn from_uri(uri: &str) -> Result<Self, CertsFault> {
        let domain = uri.strip_prefix(SCHEME).ok_or_else(|| form(uri, "it does not start with spiffe://"))?;
        Self::new(domain)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = CertsFault;
    fn from_str(text: &str) -> Result<Self, CertsFault> {
        Self::new(text)
    }
}

/// Which edge of which cluster a certificate speaks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EdgeIdentity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The edge in it.
    pub edge: EdgeId,
}

impl EdgeIdentity {
    /// Reads the identity out of a leaf certificate in DER. The chain is not looked at: that is the TLS verifier's work, which calls this.
    ///
    /// # Errors
    /// A fault of its own for each thing that is wrong: bytes, a CA as leaf, missing clientAuth, none or several URI names, and the URI's own faults.
    pub fn from_certificate(der: &[u8], trust_domain: &TrustDomain) -> Result<Self, CertsFault> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|fault| CertsFault::NotCertificate(fault.to_string()))?;
        if !rest.is_empty() {
            return Err(CertsFault::NotCertificate(format!("{} bytes follow it", rest.len())));
        }
        check_purpose(&certificate)?;
        Self::from_uri(only_uri(&certificate)?, trust_domain)
    }

    /// Reads an identity URI of `trust_domain`.
    ///
    /// # Errors
    /// [`CertsFault::UriLength`], [`CertsFault::UriForm`], [`CertsFault::ForeignDomain`], [`CertsFault::UriId`].
    pub fn from_uri(uri: &str, trust_domain: &TrustDomain) -> Result<Self, CertsFault> {
        if uri.len() > URI_BYTES_MAX {
            return Err(CertsFault::UriLength(uri.len()));
        }
        if uri.contains('%') {
            return Err(form(uri, "it holds a percent escape"));
        }
        let rest = uri.strip_prefix(SCHEME).ok_or_else(|| form(uri, "it does not start with spiffe:// in lower case"))?;
        let (domain, path) = rest.split_once('/').ok_or_else(|| form(uri, "it has no path"))?;
        if domain != trust_domain.as_str() {
            return Err(CertsFault::ForeignDomain { found: shortened(domain, 80), expected: trust_domain.as_str().to_owned() });
        }
        let segments: Vec<&str> = path.split('/').collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            return Err(form(uri, "it has an empty path segment"));
        }
        if segments.iter().any(|segment| matches!(*segment, "." | "..")) {
            return Err(form(uri, "it has a dot segment"));
        }
        let ["cluster", cluster, "edge", edge] = segments[..] else {
            return Err(form(uri, "its path is not /cluster/<cluster>/edge/<edge>"));
        };
        Ok(Self { cluster: ClusterId::new(cluster).map_err(CertsFault::UriId)?, edge: EdgeId::new(edge).map_err(CertsFault::UriId)? })
    }

    /// The one spelling of this identity in `trust_domain`.
    #[must_use]
    pub fn to_uri(&self, trust_domain: &TrustDomain) -> String {
        format!("{SCHEME}{trust_domain}/cluster/{}/edge/{}", self.cluster, self.edge)
    }

    /// `<cluster>/<edge>`: safe as it is in a log line or map key; neither part can hold a slash.
    #[must_use]
    pub fn identity_key(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for EdgeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cluster, self.edge)
    }
}

fn check_purpose(certificate: &X509Certificate<'_>) -> Result<(), CertsFault> {
    let broken = |what: &str| CertsFault::NotCertificate(format!("its {what} extension is malformed or stands twice"));
    let signs = certificate.key_usage().map_err(|_| broken("key usage"))?.is_some_and(|usage| usage.value.key_cert_sign());
    let is_ca = certificate.basic_constraints().map_err(|_| broken("basic constraints"))?.is_some_and(|basic| basic.value.ca);
    if is_ca || signs {
        return Err(CertsFault::CaAsLeaf);
    }
    match certificate.extended_key_usage().map_err(|_| broken("extended key usage"))? {
        Some(usage) if usage.value.client_auth => Ok(()),
        Some(_) | None => Err(CertsFault::NotForClients),
    }
}

fn only_uri<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, CertsFault> {
    let mut uris = Vec::new();
    for extension in certificate.extensions() {
        if let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() {
            if names.general_names.iter().any(|name| matches!(name, GeneralName::Invalid(..))) {
                return Err(CertsFault::NotCertificate("a subject alternative name in it is malformed".to_owned()));
            }
            uris.extend(names.general_names.iter().filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None }));
        }
    }
    match uris[..] {
        [] => Err(CertsFault::NoUri),
        [uri] => Ok(uri),
        _ => Err(CertsFault::ManyUris(uris.len())),
    }
}

fn form(uri: &str, reason: &'static str) -> CertsFault {
    CertsFault::UriForm { uri: shortened(uri, 200), reason }
}

fn shortened(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

#[cfg(test)]
mod tests;
