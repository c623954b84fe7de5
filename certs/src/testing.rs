//! Certificates that the authority would never sign, for this crate's tests.

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

use crate::{Authority, TrustDomain};

/// What an odd leaf bears; a client's leaf without a name by default.
pub(crate) struct Odd {
    pub(crate) uris: Vec<String>,
    pub(crate) dns: Vec<String>,
    pub(crate) ca: bool,
    pub(crate) signs: bool,
    pub(crate) client: bool,
    pub(crate) server: bool,
}

impl Default for Odd {
    fn default() -> Self {
        Self { uris: vec![], dns: vec![], ca: false, signs: false, client: true, server: false }
    }
}

/// A leaf signed with the authority's key, as PEM with its key.
pub(crate) fn odd_leaf(authority: &Authority, odd: Odd) -> (String, String) {
    let issuer = Issuer::from_ca_cert_pem(authority.ca_pem(), KeyPair::from_pem(&authority.key_pem()).unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "odd");
    params.subject_alt_names.extend(odd.uris.into_iter().map(|uri| SanType::URI(uri.try_into().unwrap())));
    params.subject_alt_names.extend(odd.dns.into_iter().map(|name| SanType::DnsName(name.try_into().unwrap())));
    params.is_ca = if odd.ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    params.key_usages = vec![if odd.signs { KeyUsagePurpose::KeyCertSign } else { KeyUsagePurpose::DigitalSignature }];
    params.extended_key_usages.extend(odd.client.then_some(ExtendedKeyUsagePurpose::ClientAuth));
    params.extended_key_usages.extend(odd.server.then_some(ExtendedKeyUsagePurpose::ServerAuth));
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
}

/// As [`odd_leaf`], of a CA made for it, as DER.
pub(crate) fn leaf_of(odd: Odd) -> Vec<u8> {
    let authority = Authority::generate(&TrustDomain::new("td.example").unwrap(), &proto_seam::Clock::real()).unwrap();
    let (pem, _) = odd_leaf(&authority, odd);
    crate::pem::certificates(std::path::Path::new("odd"), pem.as_bytes()).unwrap()[0].to_vec()
}
