//! A small CA: makes its own certificate and signs leaves for hubs and edges.
//!
//! Parts: [`Validity`], the life of a certificate; [`Authority`], in memory (`generate`, `from_pem`)
//! and in a directory (`create`, `load`); [`Issued`], a leaf with its key, and [`Issued::save`].
//!
//! Keys are ECDSA P-256, in PKCS#8 PEM, files of mode 0600. The CA certificate carries the trust
//! domain as `spiffe://<trust-domain>`, so that a directory says by itself what it signs for; its
//! common name ends in the first bytes of its key's digest, so that two CAs never share a subject.
//! A leaf that would outlive its CA is refused; [`Validity::ending_by`] shortens it.
//! Must not do: sign what a requester wrote (names, extensions, CA bit): every field is set here.

use std::path::Path;
use std::time::Duration;

use proto_model::{ClusterId, EdgeId, Timestamp};
use proto_seam::{Clock, Disk, OpenHow};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls_pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256};

use crate::describe::{Description, hex, rfc3339};
use crate::fault::CertsFault;
use crate::identity::{EdgeIdentity, TrustDomain};
use crate::limits::{BACKDATE, CA_DAYS, CERTIFICATE_FILE_BYTES_MAX, DAYS_MAX, HUB_NAMES_MAX};
use crate::pem;
use crate::store::read_key;

/// The life of a certificate, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Validity {
    /// Between two given points.
    ///
    /// # Errors
    /// [`CertsFault::Validity`] when it is empty, longer than a century or starts before 1970.
    pub fn new(not_before: Timestamp, not_after: Timestamp) -> Result<Self, CertsFault> {
        let whole = |at: Timestamp| Timestamp::from_secs(at.nanos().div_euclid(1_000_000_000));
        let (not_before, not_after) = (whole(not_before), whole(not_after));
        if not_before >= not_after {
            return Err(CertsFault::Validity(format!("its start {} is not before its end {}", rfc3339(not_before), rfc3339(not_after))));
        }
        if not_after.since(not_before) > days(DAYS_MAX).saturating_add(BACKDATE) {
            return Err(CertsFault::Validity(format!("it is longer than {DAYS_MAX} days")));
        }
        if not_before < Timestamp(0) {
            return Err(CertsFault::Validity("it starts before 1970".to_owned()));
        }
        Ok(Self { not_before, not_after })
    }

    /// From five minutes ago, for clocks that run behind, to `count` days from now.
    ///
    /// # Errors
    /// [`CertsFault::Validity`] when `count` is 0 or more than a century.
    pub fn days(clock: &Clock, count: u32) -> Result<Self, CertsFault> {
        Self::requested(clock, count, None, None)
    }

    /// The points that are given, and for the others: a start five minutes ago, an end `count` days from now or from a start that
    /// lies ahead; an end that lies behind is the end of a life of `count` days.
    ///
    /// # Errors
    /// As [`Self::new`] and [`Self::days`].
    pub fn requested(clock: &Clock, count: u32, not_before: Option<Timestamp>, not_after: Option<Timestamp>) -> Result<Self, CertsFault> {
        if !(1..=DAYS_MAX).contains(&count) {
            return Err(CertsFault::Validity(format!("{count} days are not between 1 and {DAYS_MAX}")));
        }
        let now = Timestamp(clock.now_ns());
        let recent = now.minus(BACKDATE);
        let start = not_before.unwrap_or_else(|| match not_after {
            Some(end) if end <= recent => end.minus(days(count)),
            Some(_) | None => recent,
        });
        let end = not_after.unwrap_or_else(|| start.max(now).plus(days(count)));
        Self::new(start, end)
    }

    /// This life, ending at `limit` at the latest.
    ///
    /// # Errors
    /// [`CertsFault::Validity`] when nothing is left of it.
    pub fn ending_by(self, limit: Timestamp) -> Result<Self, CertsFault> {
        Self::new(self.not_before, self.not_after.min(limit))
    }
}

fn days(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 24 * 60 * 60)
}

/// A certificate with its key, as PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub cert_pem: String,
    /// Its private key, PKCS#8.
    pub key_pem: String,
    /// The certificate of the CA that signed it.
    pub ca_pem: String,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("cert_pem", &self.cert_pem).finish_non_exhaustive()
    }
}

impl Issued {
    /// Writes `<stem>.crt`, `<stem>.key` and `ca.crt` into `out`, replacing what is there: that is how a leaf is renewed by hand.
    ///
    /// # Errors
    /// [`CertsFault::Exists`] when `out` is the home of another CA, [`CertsFault::File`] when the disk refuses.
    pub fn save(&self, disk: &dyn Disk, out: &Path, stem: &str) -> Result<(), CertsFault> {
        disk.make_dirs(out).map_err(CertsFault::file("make", out))?;
        let ca = out.join("ca.crt");
        let same = disk.read_all(&ca, CERTIFICATE_FILE_BYTES_MAX).is_ok_and(|there| there == self.ca_pem.as_bytes());
        if !same {
            if exists(disk, &out.join("ca.key"))? {
                return Err(CertsFault::Exists(ca));
            }
            write(disk, &ca, &self.ca_pem)?;
        }
        // The key goes first: a watcher that looks in between keeps the old pair, as the new key does not fit the old certificate.
        write(disk, &out.join(format!("{stem}.key")), &self.key_pem)?;
        write(disk, &out.join(format!("{stem}.crt")), &self.cert_pem)
    }
}

/// A certificate authority for one trust domain.
#[derive(Debug)]
pub struct Authority {
    trust_domain: TrustDomain,
    cert_pem: String,
    cert: CertificateDer<'static>,
    not_after: Timestamp,
    key: KeyPair,
}

impl Authority {
    /// A new CA, valid for ten years.
    ///
    /// # Errors
    /// [`CertsFault::Signing`] when the crypto provider fails.
    pub fn generate(trust_domain: &TrustDomain, clock: &Clock) -> Result<Self, CertsFault> {
        Self::generate_valid(trust_domain, Validity::days(clock, CA_DAYS)?)
    }

    /// A new CA with a life of its own.
    ///
    /// # Errors
    /// [`CertsFault::Signing`] when the crypto provider fails.
    pub fn generate_valid(trust_domain: &TrustDomain, validity: Validity) -> Result<Self, CertsFault> {
        let key = KeyPair::generate()?;
        let mut params = blank(validity);
        let fingerprint = hex(&Sha256::digest(key.public_key_raw())[..8]);
        params.distinguished_name.push(DnType::CommonName, format!("tributary ca {fingerprint}"));
        params.subject_alt_names = vec![SanType::URI(trust_domain.to_uri().try_into()?)];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let cert = params.self_signed(&key)?;
        Ok(Self { trust_domain: trust_domain.clone(), cert_pem: cert.pem(), cert: cert.into(), not_after: validity.not_after, key })
    }

    /// A CA from PEM in memory.
    ///
    /// # Errors
    /// [`CertsFault::NotAuthority`] when the certificate is no CA, names no trust domain or the key is not its key; the faults of unusable PEM.
    pub fn from_pem(cert_pem: &str, key_pem: &str) -> Result<Self, CertsFault> {
        Self::parse(Path::new("ca certificate"), cert_pem.as_bytes(), Path::new("ca key"), key_pem.as_bytes())
    }

    /// Reads `ca.crt` and `ca.key` of `dir`.
    ///
    /// # Errors
    /// As [`Self::from_pem`]; [`CertsFault::KeyMode`] when others can read the key; [`CertsFault::File`].
    pub fn load(disk: &dyn Disk, dir: &Path) -> Result<Self, CertsFault> {
        let (cert, key) = (dir.join("ca.crt"), dir.join("ca.key"));
        let cert_bytes = disk.read_all(&cert, CERTIFICATE_FILE_BYTES_MAX).map_err(CertsFault::file("read", &cert))?;
        Self::parse(&cert, &cert_bytes, &key, &read_key(disk, &key)?)
    }

    /// Writes `ca.crt` and `ca.key` (mode 0600) into `dir`, made with mode 0700 if absent.
    ///
    /// # Errors
    /// [`CertsFault::Exists`] when either file is there; [`CertsFault::File`].
    pub fn create(&self, disk: &dyn Disk, dir: &Path) -> Result<(), CertsFault> {
        disk.make_dirs(dir).map_err(CertsFault::file("make", dir))?;
        let (cert, key) = (dir.join("ca.crt"), dir.join("ca.key"));
        if exists(disk, &cert)? {
            return Err(CertsFault::Exists(cert));
        }
        create_new(disk, &key, &self.key_pem())?;
        create_new(disk, &cert, &self.cert_pem)?;
        disk.sync_dir(dir).map_err(CertsFault::file("write", dir))
    }

    fn parse(cert_path: &Path, cert_bytes: &[u8], key_path: &Path, key_bytes: &[u8]) -> Result<Self, CertsFault> {
        let unfit = |reason: String| CertsFault::NotAuthority { path: cert_path.to_path_buf(), reason };
        let cert = only(pem::certificates(cert_path, cert_bytes)?).ok_or_else(|| unfit("it holds more than one certificate".to_owned()))?;
        let cert_pem = String::from_utf8(cert_bytes.to_vec()).map_err(|_| unfit("it is no text".to_owned()))?;
        let key_der = pem::private_key(key_path, key_bytes)?;
        let key = KeyPair::try_from(&key_der).map_err(|fault| CertsFault::KeyKind { path: key_path.to_path_buf(), reason: fault.to_string() })?;
        let description = Description::of(&cert)?;
        if !description.is_ca {
            return Err(unfit("it is no ca certificate".to_owned()));
        }
        let uri = description.subject_uri.ok_or_else(|| unfit("it names no trust domain (uri spiffe://<trust-domain>)".to_owned()))?;
        let trust_domain = TrustDomain::from_uri(&uri).map_err(|fault| unfit(fault.to_string()))?;
        if !same_key(&cert, &key) {
            return Err(CertsFault::KeyMismatch { certificate: cert_path.to_path_buf(), key: key_path.to_path_buf() });
        }
        Ok(Self { trust_domain, cert_pem, cert, not_after: description.not_after, key })
    }

    /// The trust domain it signs for.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The end of its own life.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Its own certificate, to be trusted by the other side.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.cert_pem
    }

    /// Its private key. Whoever holds it is the authority.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// A certificate for one edge: its URI, clientAuth.
    ///
    /// # Errors
    /// [`CertsFault::Validity`] when it would outlive the CA, [`CertsFault::Signing`].
    pub fn issue_edge(&self, cluster: &ClusterId, edge: &EdgeId, validity: Validity) -> Result<Issued, CertsFault> {
        let identity = EdgeIdentity { cluster: cluster.clone(), edge: edge.clone() };
        let mut params = blank(validity);
        // For people who read certificates with other tools; never read by us.
        params.distinguished_name.push(DnType::OrganizationName, cluster.as_str());
        params.distinguished_name.push(DnType::CommonName, edge.as_str());
        params.subject_alt_names = vec![SanType::URI(identity.to_uri(&self.trust_domain).try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, validity)
    }

    /// A certificate for a hub: each of `names` a DNS name or an IP address, serverAuth.
    ///
    /// # Errors
    /// [`CertsFault::HubName`], [`CertsFault::HubNames`], [`CertsFault::Validity`] when it would outlive the CA, [`CertsFault::Signing`].
    pub fn issue_hub(&self, names: &[String], validity: Validity) -> Result<Issued, CertsFault> {
        if names.is_empty() || names.len() > HUB_NAMES_MAX {
            return Err(CertsFault::HubNames(names.len()));
        }
        let mut params = blank(validity);
        params.distinguished_name.push(DnType::CommonName, "tributary hub");
        params.subject_alt_names = names.iter().map(|name| host(name)).collect::<Result<_, _>>()?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params, validity)
    }

    fn sign(&self, mut params: CertificateParams, validity: Validity) -> Result<Issued, CertsFault> {
        if validity.not_after > self.not_after {
            return Err(CertsFault::Validity(format!(
                "it ends at {}, after its ca at {}; ask for fewer days or make a new ca",
                rfc3339(validity.not_after),
                rfc3339(self.not_after)
            )));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &Issuer::from_ca_cert_der(&self.cert, &self.key)?)?;
        Ok(Issued { cert_pem: cert.pem(), key_pem: key.serialize_pem(), ca_pem: self.cert_pem.clone() })
    }
}

fn blank(validity: Validity) -> CertificateParams {
    let since_epoch = |at: Timestamp| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(at.nanos()).unwrap_or(0) / 1_000_000_000);
    let mut params = CertificateParams::default();
    params.not_before = since_epoch(validity.not_before);
    params.not_after = since_epoch(validity.not_after);
    params.distinguished_name = DistinguishedName::new();
    params
}

fn host(name: &str) -> Result<SanType, CertsFault> {
    let unusable = || CertsFault::HubName(name.chars().take(255).collect());
    match ServerName::try_from(name).map_err(|_| unusable())? {
        ServerName::IpAddress(address) => Ok(SanType::IpAddress(std::net::IpAddr::from(address))),
        ServerName::DnsName(host) => Ok(SanType::DnsName(host.as_ref().try_into()?)),
        _ => Err(unusable()),
    }
}

fn same_key(cert: &CertificateDer<'_>, key: &KeyPair) -> bool {
    use rcgen::PublicKeyData;
    use x509_parser::prelude::{FromDer, X509Certificate};
    X509Certificate::from_der(cert).is_ok_and(|(_, cert)| cert.public_key().raw == key.subject_public_key_info())
}

fn only(mut certs: Vec<CertificateDer<'static>>) -> Option<CertificateDer<'static>> {
    if certs.len() == 1 { certs.pop() } else { None }
}

fn exists(disk: &dyn Disk, path: &Path) -> Result<bool, CertsFault> {
    match disk.state(path) {
        Ok(_) => Ok(true),
        Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(other) => Err(CertsFault::file("read", path)(other)),
    }
}

fn create_new(disk: &dyn Disk, path: &Path, text: &str) -> Result<(), CertsFault> {
    let mut file = disk.open(path, OpenHow::CreateNew).map_err(|refused| {
        if refused.kind() == std::io::ErrorKind::AlreadyExists { CertsFault::Exists(path.to_path_buf()) } else { CertsFault::file("write", path)(refused) }
    })?;
    file.append(text.as_bytes()).and_then(|()| file.sync()).map_err(CertsFault::file("write", path))
}

fn write(disk: &dyn Disk, path: &Path, text: &str) -> Result<(), CertsFault> {
    disk.write_all(path, text.as_bytes()).map_err(CertsFault::file("write", path))
}

#[cfg(test)]
mod tests;
