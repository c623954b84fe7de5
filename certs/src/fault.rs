//! What can be wrong with a certificate, a key, a name or a request for one.
//!
//! Parts: [`CertsFault`], in groups (files, keys, certificates, edge identity, requests), and what
//! each asks for: [`CertsFault::blame`], [`CertsFault::remedy`], [`CertsFault::exit_code`].
//! Must not do: carry key bytes or text from inside a key file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proto_model::{Blame, IdFault, Remedy};

/// Why certificate work failed. Texts name the file or field and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CertsFault {
    /// The operating system refused a file.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried, as a verb: `read`, `write`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file without a byte in it.
    #[error("{path} is empty; put a PEM {expected} in it")]
    Empty {
        /// Which file.
        path: PathBuf,
        /// What belongs there.
        expected: &'static str,
    },
    /// A file that holds something else than what belongs there.
    #[error("{path} holds no usable PEM {expected}: {reason}")]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// What belongs there.
        expected: &'static str,
        /// What is wrong; never content of the file.
        reason: String,
    },
    /// A key that others on the machine may read.
    #[error("private key {path} has mode {mode:04o}, so others may read it; run: chmod 600 {path}")]
    KeyMode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key behind a passphrase, which a service cannot type.
    #[error("private key {path} is encrypted; store it decrypted (openssl pkey) with mode 0600")]
    KeyEncrypted {
        /// Which file.
        path: PathBuf,
    },
    /// A key of another certificate.
    #[error("private key {key} does not belong to the certificate {certificate}; replace both with a pair issued together")]
    KeyMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A key of a kind that the crypto provider does not know.
    #[error("private key {path} is of no supported kind ({reason}); use ECDSA P-256, P-384, Ed25519 or RSA of 2048 bits or more")]
    KeyKind {
        /// Which file.
        path: PathBuf,
        /// What the provider said.
        reason: String,
    },
    /// Bytes that are no X.509 certificate.
    #[error("not a certificate: {0}")]
    NotCertificate(String),
    /// A configuration that lets nobody in, or trusts nobody.
    #[error("no trusted ca is configured; set the file with the ca certificates")]
    NoRoots,
    /// rustls refused a configuration.
    #[error("the tls library refused the configuration: {0}")]
    Tls(rustls::Error),
    /// Signing failed.
    #[error("cannot make the certificate: {0}")]
    Signing(#[from] rcgen::Error),

    /// A trust domain that breaks SPIFFE's grammar.
    #[error("trust domain {text:?} is not allowed: {reason}; use 1 to 255 of a-z, 0-9, '.', '-' and '_'")]
    TrustDomain {
        /// The text, cut to 80 characters.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A CA certificate where a leaf belongs.
    #[error("the certificate is a ca certificate; an edge must present a leaf (basic constraints ca:false)")]
    CaAsLeaf,
    /// A leaf that is not made for clients.
    #[error("the certificate lacks the extended key usage clientAuth; issue it for an edge")]
    NotForClients,
    /// A leaf without a name that we read.
    #[error("the certificate has no uri subject alternative name; issue it with spiffe://<trust-domain>/cluster/<cluster>/edge/<edge>")]
    NoUri,
    /// A leaf with several identities.
    #[error("the certificate has {0} uri subject alternative names; exactly one is allowed")]
    ManyUris(usize),
    /// An overlong identity.
    #[error("the identity uri is {0} bytes long; at most 2048 are allowed")]
    UriLength(usize),
    /// An identity outside of the strict grammar.
    #[error("the identity uri {uri:?} is not allowed: {reason}; use spiffe://<trust-domain>/cluster/<cluster>/edge/<edge>")]
    UriForm {
        /// The URI, cut to 200 characters.
        uri: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An identity of another trust domain.
    #[error("the identity is of trust domain {found:?}, this hub serves {expected:?}")]
    ForeignDomain {
        /// The domain in the certificate, cut to 80 characters.
        found: String,
        /// The configured one.
        expected: String,
    },
    /// A cluster or edge segment that is no id.
    #[error("the identity uri names no valid {0}")]
    UriId(IdFault),

    /// An id given for a new certificate that is none.
    #[error(transparent)]
    Id(#[from] IdFault),
    /// A hub name that no client could ask for.
    #[error("{0:?} is neither a dns name nor an ip address; give the host name or address that edges dial")]
    HubName(String),
    /// No name, or too many.
    #[error("a hub certificate takes 1 to 64 names, {0} were given")]
    HubNames(usize),
    /// A life that is empty or too long.
    #[error("the validity is not usable: {0}")]
    Validity(String),
    /// A CA directory whose certificate cannot be used to sign.
    #[error("{path} cannot sign for tributary: {reason}; make a ca with: tributary-certs init")]
    NotAuthority {
        /// The CA certificate's file, or `ca certificate` when it came from memory.
        path: PathBuf,
        /// What it lacks.
        reason: String,
    },
    /// Something is there that would be lost.
    #[error("{0} exists and is not overwritten; choose another directory or move it away first")]
    Exists(PathBuf),
}

impl CertsFault {
    /// Whose move it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::CaAsLeaf
            | Self::NotForClients
            | Self::NoUri
            | Self::ManyUris(_)
            | Self::UriLength(_)
            | Self::UriForm { .. }
            | Self::ForeignDomain { .. }
            | Self::UriId(_)
            | Self::NotCertificate(_) => Blame::Edge,
            Self::File { .. }
            | Self::Empty { .. }
            | Self::NotPem { .. }
            | Self::KeyMode { .. }
            | Self::KeyEncrypted { .. }
            | Self::KeyMismatch { .. }
            | Self::KeyKind { .. }
            | Self::NoRoots
            | Self::Tls(_)
            | Self::Signing(_)
            | Self::TrustDomain { .. }
            | Self::Id(_)
            | Self::HubName(_)
            | Self::HubNames(_)
            | Self::Validity(_)
            | Self::NotAuthority { .. }
            | Self::Exists(_) => Blame::Caller,
        }
    }

    /// What the one to blame should do. Files are looked at again each second, so a file's fault mends itself once it is replaced.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        if matches!(self, Self::File { .. }) { Remedy::RetryAfter(Duration::from_secs(1)) } else { Remedy::Fix }
    }

    /// The exit code of `tributary-certs`: 1 failed at work, 2 usage or configuration, 3 refused so as not to overwrite.
    /// A service that meets a fault in its own files at start ends with 2 whatever the fault.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        if matches!(self, Self::Exists(_)) {
            3
        } else if matches!(self, Self::File { .. } | Self::Signing(_) | Self::Tls(_) | Self::NotCertificate(_) | Self::NotPem { .. } | Self::Empty { .. }) {
            1
        } else {
            2
        }
    }

    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { action, path, source }
    }
}
