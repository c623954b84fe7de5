//! What stands in a certificate, for people, tools and status pages.
//!
//! Parts: [`Description`], read from DER. Shape as JSON:
//! `{"subject_uri","issuer","serial","not_before","not_after","is_ca","names":[],"sha256"}`, times as
//! RFC 3339 in UTC, serial and digest in lower-case hex, `names` the DNS and IP names.
//! Must not do: judge; a description says nothing about trust.

use std::net::IpAddr;

use proto_model::Timestamp;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::fault::CertsFault;

/// The readable parts of one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Its URI subject alternative name, the first if there are several.
    pub subject_uri: Option<String>,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// The serial number in lower-case hex.
    pub serial: String,
    /// Start of its life.
    #[serde(serialize_with = "as_rfc3339")]
    pub not_before: Timestamp,
    /// End of its life.
    #[serde(serialize_with = "as_rfc3339")]
    pub not_after: Timestamp,
    /// Whether it may sign others.
    pub is_ca: bool,
    /// Its DNS and IP names.
    pub names: Vec<String>,
    /// SHA-256 of its DER in lower-case hex.
    pub sha256: String,
}

impl Description {
    /// Reads one certificate in DER.
    ///
    /// # Errors
    /// [`CertsFault::NotCertificate`] when the bytes are none.
    pub fn of(der: &[u8]) -> Result<Self, CertsFault> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|fault| CertsFault::NotCertificate(fault.to_string()))?;
        if !rest.is_empty() {
            return Err(CertsFault::NotCertificate(format!("{} bytes follow it", rest.len())));
        }
        let (mut subject_uri, mut names) = (None, Vec::new());
        for extension in certificate.extensions() {
            if let ParsedExtension::SubjectAlternativeName(found) = extension.parsed_extension() {
                for name in &found.general_names {
                    if let GeneralName::URI(uri) = name {
                        subject_uri.get_or_insert_with(|| (*uri).to_owned());
                    }
                    names.extend(host_name(name));
                }
            }
        }
        Ok(Self {
            subject_uri,
            issuer: certificate.issuer().to_string(),
            serial: hex(certificate.raw_serial()),
            not_before: Timestamp::from_secs(certificate.validity().not_before.timestamp()),
            not_after: Timestamp::from_secs(certificate.validity().not_after.timestamp()),
            is_ca: certificate.is_ca(),
            names,
            sha256: hex(&Sha256::digest(der)),
        })
    }
}

fn host_name(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(host) = name {
        return Some((*host).to_owned());
    }
    let GeneralName::IPAddress(octets) = name else { return None };
    let address = <[u8; 4]>::try_from(*octets).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from));
    address.ok().map(|address| address.to_string())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        write!(out, "{byte:02x}").expect("writing to a string cannot fail");
        out
    })
}

/// `at` as RFC 3339 in UTC, whole seconds.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    let secs = at.nanos().div_euclid(1_000_000_000);
    jiff::Timestamp::from_second(secs).map_or_else(|_| secs.to_string(), |time| time.to_string())
}

fn as_rfc3339<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&rfc3339(*at))
}

#[cfg(test)]
mod tests;
