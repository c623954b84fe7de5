//! Judges the peer at each handshake, and names why it was refused.
//!
//! Parts: [`provider`], the one crypto provider; `ClockTime`, which gives rustls the time of our
//! [`Clock`]; `EdgeVerifier`, which lets in only a chain to our CA that is valid now, is meant for
//! clients and names an edge; `hub_verifier`, which trusts the given bundle and name only;
//! [`Refusal`], the closed list of reasons with its metric words.
//!
//! Promises: no system roots; no common name; no certificate passes on identity alone or on its
//! chain alone. A standard alert goes to the peer for each reason, so both sides can tell it.
//! Must not do: remember anything between handshakes.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use proto_seam::Clock;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::fault::CertsFault;
use crate::identity::{EdgeIdentity, TrustDomain};

/// The crypto provider of every configuration made here.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The time of a [`Clock`], as rustls asks for it.
#[derive(Debug)]
pub(crate) struct ClockTime(pub(crate) Clock);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        // A clock before 1970 has no answer rustls could use; it then refuses every handshake.
        u64::try_from(self.0.now_ns()).ok().map(|ns| UnixTime::since_unix_epoch(Duration::from_nanos(ns)))
    }
}

/// Lets in edges of one trust domain.
#[derive(Debug)]
pub(crate) struct EdgeVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    trust_domain: TrustDomain,
}

impl EdgeVerifier {
    /// For certificates that lead to one of `roots` and name an edge of `trust_domain`.
    pub(crate) fn new(roots: Arc<RootCertStore>, trust_domain: TrustDomain) -> Result<Self, CertsFault> {
        let chain = WebPkiClientVerifier::builder_with_provider(roots, provider()).build().map_err(|_| CertsFault::NoRoots)?;
        Ok(Self { chain, trust_domain })
    }
}

impl ClientCertVerifier for EdgeVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let chain = self.chain.verify_client_cert(end_entity, intermediates, now);
        // Issuer and time come first; of what is left, the identity's faults say more than the chain's (a CA as leaf, a wrong purpose).
        if chain.as_ref().err().and_then(Refusal::of).is_some_and(|reason| reason != Refusal::BadIdentity) {
            return chain;
        }
        match EdgeIdentity::from_certificate(end_entity, &self.trust_domain) {
            Ok(_) => chain,
            Err(fault) => Err(CertificateError::Other(OtherError(Arc::new(Unfit(fault)))).into()),
        }
    }

    fn verify_tls12_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// A fault that rustls carries. rustls prints it by `Debug`, and that text is what logs and QUIC's close reason show.
struct Unfit(CertsFault);

impl fmt::Debug for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Unfit {}

/// The edge's judge of a hub: a chain to `roots` that is valid now, for servers, and for the dialled name.
pub(crate) fn hub_verifier(roots: Arc<RootCertStore>) -> Result<Arc<WebPkiServerVerifier>, CertsFault> {
    WebPkiServerVerifier::builder_with_provider(roots, provider()).build().map_err(|_| CertsFault::NoRoots)
}

/// Why a handshake ended over a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// It does not lead to a CA that the other side trusts.
    ForeignCa,
    /// Its life is over.
    Expired,
    /// Its life has not begun.
    NotYetValid,
    /// It leads to a trusted CA but does not name what it must, or is not made for this use.
    BadIdentity,
    /// There was none.
    NoCertificate,
}

impl Refusal {
    /// All reasons, so that each can have its counter from the start.
    pub const ALL: [Self; 5] = [Self::ForeignCa, Self::Expired, Self::NotYetValid, Self::BadIdentity, Self::NoCertificate];

    /// The metric label value.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ForeignCa => "foreign_ca",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::BadIdentity => "bad_identity",
            Self::NoCertificate => "no_certificate",
        }
    }

    /// What happened and what to do, for the side that was refused.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::ForeignCa => "the certificate is not of a ca that the peer trusts; issue it from that ca or add the ca to the peer's bundle",
            Self::Expired => "the certificate is expired or not valid yet by the peer's clock; renew it and compare the clocks",
            Self::NotYetValid => "the certificate is not valid yet by the peer's clock; compare the clocks",
            Self::BadIdentity => "the certificate does not name what the peer expects; issue it for this cluster and edge, or for the name that is dialled",
            Self::NoCertificate => "no certificate was presented; set the files of the certificate and its key",
        }
    }

    /// The reason in an error of this side's rustls; `None` when it is not about a certificate.
    #[must_use]
    pub fn of(error: &rustls::Error) -> Option<Self> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "rustls' enum is open; all else is not about a certificate")]
        match error {
            rustls::Error::NoCertificatesPresented => Some(Self::NoCertificate),
            rustls::Error::InvalidCertificate(why) => Some(Self::of_certificate(why)),
            rustls::Error::AlertReceived(alert) => Self::of_alert(*alert),
            _ => None,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls' enum is open; all else means that the certificate is not what it must be")]
    const fn of_certificate(why: &CertificateError) -> Self {
        match why {
            // A bad signature is what a foreign CA of the same subject name ends in.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::ForeignCa,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            _ => Self::BadIdentity,
        }
    }

    /// The reason a peer gave by TLS alert. An alert cannot tell `expired` from `not_yet_valid`: both are `Expired` here.
    #[must_use]
    pub fn of_alert(alert: AlertDescription) -> Option<Self> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "all other alerts are not about a certificate")]
        match alert {
            AlertDescription::UnknownCA | AlertDescription::DecryptError => Some(Self::ForeignCa),
            AlertDescription::CertificateExpired => Some(Self::Expired),
            AlertDescription::CertificateRequired | AlertDescription::NoCertificate => Some(Self::NoCertificate),
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::AccessDenied => Some(Self::BadIdentity),
            _ => None,
        }
    }

    /// The reason anywhere in a chain of errors, as `io::Error` of a TLS stream wraps it.
    #[must_use]
    pub fn in_chain(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(reason) = error.downcast_ref::<rustls::Error>().and_then(Self::of) {
                return Some(reason);
            }
            // `io::Error::source` skips the error it wraps, so it is opened here.
            let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            next = wrapped.map_or_else(|| error.source(), |inner| Some(inner as &(dyn Error + 'static)));
        }
        None
    }

    /// The reason in the text that this side's rustls made of an error, where only the text is kept (QUIC's close reason).
    /// Use [`Self::of_alert`] with the close code where there is one.
    #[must_use]
    pub fn in_text(text: &str) -> Option<Self> {
        let why = text.split_once("invalid peer certificate: ").map(|(_, why)| why);
        let why = match why {
            Some(why) => why,
            None if text.contains("peer sent no certificates") => return Some(Self::NoCertificate),
            None => return None,
        };
        Some(if why.starts_with("UnknownIssuer") || why.starts_with("BadSignature") {
            Self::ForeignCa
        } else if why.starts_with("certificate expired") || why.starts_with("Expired") {
            Self::Expired
        } else if why.starts_with("certificate not valid yet") || why.starts_with("NotValidYet") {
            Self::NotYetValid
        } else {
            Self::BadIdentity
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests;
