//! Handshakes in memory: who gets in, who does not, and what either side is told.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rustls::{ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, ServerConnection};
use rustls_pki_types::ServerName;

use super::*;
use crate::testing::{Odd, odd_leaf};
use crate::{Authority, EdgeIdentity, Issued, Refusal, Validity};

const GOOD_URI: &str = "spiffe://td.example/cluster/alpha/edge/n1";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Site {
    authority: Authority,
    domain: TrustDomain,
    clock: Clock,
    skew_ns: Arc<AtomicI64>,
    hub: Issued,
}

impl Site {
    fn new() -> Self {
        let domain = TrustDomain::new("td.example").unwrap();
        let clock = Clock::simulated(1_800_000_000_000_000_000);
        let Clock::Simulated { skew_ns, .. } = &clock else { unreachable!("just made") };
        let skew_ns = Arc::clone(skew_ns);
        let authority = Authority::generate(&domain, &clock).unwrap();
        let hub = authority.issue_hub(&["hub.example".to_owned(), "127.0.0.1".to_owned()], Validity::days(&clock, 3000).unwrap()).unwrap();
        Self { authority, domain, clock, skew_ns, hub }
    }

    fn server(&self) -> ServerMaterial {
        ServerMaterial::from_pem(&self.hub.cert_pem, &self.hub.key_pem, Some(self.authority.ca_pem())).unwrap()
    }

    fn server_config(&self) -> Arc<ServerConfig> {
        server_grpc(&self.server(), &self.domain, &self.clock).unwrap()
    }

    fn edge(&self, days: u32) -> Issued {
        self.authority.issue_edge(&"alpha".parse().unwrap(), &"n1".parse().unwrap(), Validity::days(&self.clock, days).unwrap()).unwrap()
    }

    fn client(&self, cert_pem: &str, key_pem: &str) -> Arc<ClientConfig> {
        client_grpc(&ClientMaterial::from_pem(cert_pem, key_pem, self.authority.ca_pem()).unwrap(), &self.clock).unwrap()
    }

    fn odd_client(&self, odd: Odd) -> Arc<ClientConfig> {
        let (cert, key) = odd_leaf(&self.authority, odd);
        self.client(&cert, &key)
    }

    fn advance(&self, by: Duration) {
        self.skew_ns.fetch_add(i64::try_from(by.as_nanos()).unwrap(), Ordering::Relaxed);
    }

    fn rewind(&self, by: Duration) {
        self.skew_ns.fetch_sub(i64::try_from(by.as_nanos()).unwrap(), Ordering::Relaxed);
    }
}

/// Both ends after a handshake, each with the error it met.
struct Met {
    client: ClientConnection,
    server: ServerConnection,
    client_error: Option<rustls::Error>,
    server_error: Option<rustls::Error>,
}

impl Met {
    fn succeeded(&self) -> bool {
        self.client_error.is_none() && self.server_error.is_none() && !self.client.is_handshaking() && !self.server.is_handshaking()
    }

    fn refusals(&self) -> (Option<Refusal>, Option<Refusal>) {
        assert!(!self.succeeded(), "the handshake went through");
        (self.server_error.as_ref().and_then(Refusal::of), self.client_error.as_ref().and_then(Refusal::of))
    }
}

fn meet(client: Arc<ClientConfig>, server: Arc<ServerConfig>, name: &str) -> Met {
    let mut client = ClientConnection::new(client, ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    let (mut client_error, mut server_error) = (None, None);
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while server_error.is_none() && !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server_error = server.process_new_packets().err();
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while client_error.is_none() && !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client_error = client.process_new_packets().err();
        }
    }
    Met { client, server, client_error, server_error }
}

#[test]
fn lets_a_good_edge_in_by_name_and_by_address() {
    let site = Site::new();
    let edge = site.edge(30);
    for name in ["hub.example", "127.0.0.1"] {
        let met = meet(site.client(&edge.cert_pem, &edge.key_pem), site.server_config(), name);
        assert!(met.succeeded(), "{:?} {:?}", met.client_error, met.server_error);
        assert_eq!(met.server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(met.client.alpn_protocol(), Some(ALPN_H2));
        let leaf = &met.server.peer_certificates().unwrap()[0];
        assert_eq!(EdgeIdentity::from_certificate(leaf, &site.domain).unwrap().identity_key(), "alpha/n1");
    }
}

#[test]
fn judges_each_handshake_anew() {
    let site = Site::new();
    let edge = site.edge(30);
    let (client, server) = (site.client(&edge.cert_pem, &edge.key_pem), site.server_config());
    for _ in 0..2 {
        let met = meet(Arc::clone(&client), Arc::clone(&server), "hub.example");
        assert!(met.succeeded());
        assert_eq!(met.server.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(met.client.tls13_tickets_received(), 0);
    }
    site.advance(31 * DAY);
    assert_eq!(meet(client, server, "hub.example").refusals(), (Some(Refusal::Expired), Some(Refusal::Expired)));
}

#[test]
fn an_edge_resumes_nothing_even_if_a_hub_would() {
    let site = Site::new();
    let edge = site.edge(30);
    let client = site.client(&edge.cert_pem, &edge.key_pem);
    let mut eager = ServerConfig::clone(&site.server_config());
    eager.send_tls13_tickets = 2;
    eager.session_storage = rustls::server::ServerSessionMemoryCache::new(8);
    let eager = Arc::new(eager);
    for _ in 0..2 {
        let met = meet(Arc::clone(&client), Arc::clone(&eager), "hub.example");
        assert!(met.succeeded() && met.client.tls13_tickets_received() > 0);
        assert_eq!(met.server.handshake_kind(), Some(HandshakeKind::Full));
    }
}

/// A certificate named `name` that `issuer` signed, with its key: of a CA that may have `depth` CAs beneath it, or of none.
fn beneath(issuer: &(String, String), name: &str, depth: Option<u8>) -> (String, String) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
    let issuer = Issuer::from_ca_cert_pem(&issuer.0, KeyPair::from_pem(&issuer.1).unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![SanType::URI("spiffe://td.example".try_into().unwrap())];
    params.is_ca = depth.map_or(IsCa::ExplicitNoCa, |depth| IsCa::Ca(BasicConstraints::Constrained(depth)));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
}

/// An edge's leaf without fault, signed by any certificate.
fn leaf_beneath(issuer: &(String, String)) -> (String, String) {
    use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
    let issuer = Issuer::from_ca_cert_pem(&issuer.0, KeyPair::from_pem(&issuer.1).unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "leaf");
    params.subject_alt_names = vec![SanType::URI(GOOD_URI.try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
}

#[test]
fn a_good_name_does_not_mend_a_bad_chain() {
    let site = Site::new();
    let root = (site.authority.ca_pem().to_owned(), site.authority.key_pem());
    let met_with = |issuers: &[&(String, String)]| {
        let (leaf, key) = leaf_beneath(issuers[0]);
        let chain: String = std::iter::once(leaf.as_str()).chain(issuers.iter().map(|issuer| issuer.0.as_str())).collect();
        meet(site.client(&chain, &key), site.server_config(), "hub.example")
    };
    let middle = beneath(&root, "middle", Some(0));
    assert!(met_with(&[&middle]).succeeded(), "an intermediate of our ca is no fault");
    // Deeper than the intermediate allows.
    let deep = beneath(&middle, "deep", Some(0));
    assert_eq!(met_with(&[&deep, &middle]).refusals().0, Some(Refusal::BadIdentity));
    // One that is no CA at all signs, as an edge with its own key could try.
    let posing = beneath(&root, "posing", None);
    assert!(!met_with(&[&posing]).succeeded());
}

#[test]
fn refuses_by_our_clock_alone() {
    let site = Site::new();
    let edge = site.edge(30);
    let client = site.client(&edge.cert_pem, &edge.key_pem);
    // A leaf that begins tomorrow, while the hub's own certificate is valid today.
    let now = proto_model::Timestamp(site.clock.now_ns());
    let tomorrow = Validity::new(now.plus(DAY), now.plus(2 * DAY)).unwrap();
    let future = site.authority.issue_edge(&"alpha".parse().unwrap(), &"n1".parse().unwrap(), tomorrow).unwrap();
    let early = meet(site.client(&future.cert_pem, &future.key_pem), site.server_config(), "hub.example");
    // TLS has one alert for both, so the edge is told `expired`.
    assert_eq!(early.refusals(), (Some(Refusal::NotYetValid), Some(Refusal::Expired)));
    site.advance(DAY + Duration::from_secs(1));
    assert!(meet(site.client(&future.cert_pem, &future.key_pem), site.server_config(), "hub.example").succeeded());
    site.rewind(DAY);
    // Five minutes of an edge's late clock are forgiven, an hour is not: the hub's certificate is not valid yet either.
    site.rewind(Duration::from_secs(299));
    assert!(meet(Arc::clone(&client), site.server_config(), "hub.example").succeeded());
    site.rewind(Duration::from_secs(3600));
    let met = meet(client, site.server_config(), "hub.example");
    assert_eq!(met.client_error.as_ref().and_then(Refusal::of), Some(Refusal::NotYetValid));
    assert!(met.client_error.unwrap().to_string().contains("not valid yet"));
}

#[test]
fn refuses_a_foreign_ca_even_of_the_same_names() {
    let (site, other) = (Site::new(), Site::new());
    let foreign = other.edge(30);
    let met = meet(site.client(&foreign.cert_pem, &foreign.key_pem), site.server_config(), "hub.example");
    assert_eq!(met.refusals(), (Some(Refusal::ForeignCa), Some(Refusal::ForeignCa)));

    // Of several faults the issuer's is told: what a stranger's certificate says does not matter.
    let (cert, key) = odd_leaf(&other.authority, Odd::default());
    let met = meet(site.client(&cert, &key), site.server_config(), "hub.example");
    assert_eq!(met.refusals(), (Some(Refusal::ForeignCa), Some(Refusal::ForeignCa)));

    // The same subject as our CA's, another key: the hub finds its anchor by name and must trip over the signature.
    let twin = twin_of(&site.authority);
    let (cert, key) = odd_leaf(&twin, Odd { uris: vec![GOOD_URI.to_owned()], ..Odd::default() });
    let met = meet(site.client(&cert, &key), site.server_config(), "hub.example");
    assert_eq!(met.refusals(), (Some(Refusal::ForeignCa), Some(Refusal::ForeignCa)));
}

fn twin_of(authority: &Authority) -> Authority {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, SanType};
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    let ours = crate::Description::of(&crate::pem::certificates(std::path::Path::new("ca"), authority.ca_pem().as_bytes()).unwrap()[0]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, ours.issuer.strip_prefix("CN=").unwrap());
    params.subject_alt_names = vec![SanType::URI("spiffe://td.example".try_into().unwrap())];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority::from_pem(&pem, &key.serialize_pem()).unwrap()
}

#[test]
fn refuses_an_edge_without_certificate() {
    let site = Site::new();
    let mut roots = RootCertStore::empty();
    roots.add(crate::pem::certificates(std::path::Path::new("ca"), site.authority.ca_pem().as_bytes()).unwrap().remove(0)).unwrap();
    let mut bare = ClientConfig::builder_with_details(provider(), Arc::new(ClockTime(site.clock.clone())))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    bare.alpn_protocols = vec![ALPN_H2.to_vec()];
    let met = meet(Arc::new(bare), site.server_config(), "hub.example");
    assert_eq!(met.refusals(), (Some(Refusal::NoCertificate), Some(Refusal::NoCertificate)));
}

#[test]
fn refuses_certificates_of_our_ca_that_name_no_edge() {
    let site = Site::new();
    let uri = |text: &str| Odd { uris: vec![text.to_owned()], ..Odd::default() };
    let table = [
        (Odd::default(), "no uri"),
        (Odd { dns: vec!["alpha".to_owned()], ..Odd::default() }, "no uri"),
        (Odd { uris: vec![GOOD_URI.to_owned(), GOOD_URI.replace("n1", "n2")], ..Odd::default() }, "has 2 uri"),
        (uri(&GOOD_URI.replace("td.", "other.")), "trust domain"),
        (uri(&GOOD_URI.replace("alpha", "al%2fpha")), "percent escape"),
        (uri(&GOOD_URI.replace("alpha", "..")), "dot segment"),
        (uri(&GOOD_URI.replace("spiffe", "SPIFFE")), "lower case"),
        (uri(&format!("{GOOD_URI}{}", "x".repeat(10_240))), "bytes long"),
        (Odd { client: false, server: true, ..uri(GOOD_URI) }, "clientAuth"),
        (Odd { client: false, ..uri(GOOD_URI) }, "clientAuth"),
        (Odd { ca: true, ..uri(GOOD_URI) }, "is a ca certificate"),
        (Odd { signs: true, ..uri(GOOD_URI) }, "ca certificate"),
    ];
    for (odd, reason) in table {
        let met = meet(site.odd_client(odd), site.server_config(), "hub.example");
        assert_eq!(met.refusals(), (Some(Refusal::BadIdentity), Some(Refusal::BadIdentity)), "{reason}");
        let text = met.server_error.unwrap().to_string();
        assert!(text.contains(reason), "{text:?} lacks {reason:?}");
        assert_eq!(Refusal::in_text(&text), Some(Refusal::BadIdentity));
    }
    assert!(meet(site.odd_client(uri(GOOD_URI)), site.server_config(), "hub.example").succeeded());
}

#[test]
fn the_texts_of_refusals_can_be_told_apart() {
    let (site, other) = (Site::new(), Site::new());
    let (foreign, brief) = (other.edge(30), site.edge(1));
    let met = meet(site.client(&foreign.cert_pem, &foreign.key_pem), site.server_config(), "hub.example");
    assert_eq!(Refusal::in_text(&met.server_error.unwrap().to_string()), Some(Refusal::ForeignCa));
    site.advance(2 * DAY);
    let met = meet(site.client(&brief.cert_pem, &brief.key_pem), site.server_config(), "hub.example");
    assert_eq!(Refusal::in_text(&met.server_error.unwrap().to_string()), Some(Refusal::Expired));
}

#[test]
fn an_edge_refuses_what_is_not_its_hub() {
    let (site, other) = (Site::new(), Site::new());
    let edge = site.edge(30);
    let client = || site.client(&edge.cert_pem, &edge.key_pem);
    let wrong_name = meet(client(), site.server_config(), "elsewhere.example");
    assert_eq!(wrong_name.refusals(), (Some(Refusal::BadIdentity), Some(Refusal::BadIdentity)));
    let foreign = meet(client(), other.server_config(), "hub.example");
    assert_eq!(foreign.refusals(), (Some(Refusal::ForeignCa), Some(Refusal::ForeignCa)));
    // An edge's certificate is no hub's, whoever signed it.
    let posing = ServerMaterial::from_pem(&edge.cert_pem, &edge.key_pem, Some(site.authority.ca_pem())).unwrap();
    let posing = meet(client(), server_grpc(&posing, &site.domain, &site.clock).unwrap(), "hub.example");
    assert_eq!(posing.refusals().1, Some(Refusal::BadIdentity));
}

#[test]
fn the_link_speaks_only_tls_1_3_and_its_own_protocol() {
    let site = Site::new();
    let edge = site.edge(30);
    let material = ClientMaterial::from_pem(&edge.cert_pem, &edge.key_pem, site.authority.ca_pem()).unwrap();
    let old = ClientConfig::builder_with_details(provider(), Arc::new(ClockTime(site.clock.clone())))
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_webpki_verifier(hub_verifier(Arc::clone(&material.hub_roots)).unwrap())
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&material.own.certified))));
    assert!(!meet(Arc::new(old), site.server_config(), "hub.example").succeeded());
    let crossed = meet(client_quic(&material, &site.clock).unwrap(), site.server_config(), "hub.example");
    assert_eq!(crossed.server_error, Some(rustls::Error::NoApplicationProtocol));
}

#[test]
fn quic_takes_the_configurations() {
    use rustls::quic;
    let site = Site::new();
    let edge = site.edge(30);
    let server = server_quic(&site.server(), &site.domain, &site.clock).unwrap();
    let client = client_quic(&ClientMaterial::from_pem(&edge.cert_pem, &edge.key_pem, site.authority.ca_pem()).unwrap(), &site.clock).unwrap();
    assert_eq!((server.alpn_protocols.clone(), client.alpn_protocols.clone()), (vec![ALPN_QUIC.to_vec()], vec![ALPN_QUIC.to_vec()]));
    assert_eq!((server.max_early_data_size, server.send_tls13_tickets, client.enable_early_data), (0, 0, false));
    quic::ServerConnection::new(server, quic::Version::V1, vec![]).unwrap();
    quic::ClientConnection::new(client, quic::Version::V1, ServerName::try_from("hub.example").unwrap(), vec![]).unwrap();
}

#[test]
fn a_link_without_trusted_cas_is_no_link() {
    let site = Site::new();
    let open = ServerMaterial::from_pem(&site.hub.cert_pem, &site.hub.key_pem, None).unwrap();
    assert!(matches!(server_quic(&open, &site.domain, &site.clock), Err(CertsFault::NoRoots)));
    assert!(matches!(server_grpc(&open, &site.domain, &site.clock), Err(CertsFault::NoRoots)));
}

#[test]
fn the_query_api_asks_for_no_client_certificate_and_takes_tls_1_2() {
    let site = Site::new();
    let open = ServerMaterial::from_pem(&site.hub.cert_pem, &site.hub.key_pem, None).unwrap();
    for (version, number) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut roots = RootCertStore::empty();
        roots.add(crate::pem::certificates(std::path::Path::new("ca"), site.authority.ca_pem().as_bytes()).unwrap().remove(0)).unwrap();
        let mut client = ClientConfig::builder_with_details(provider(), Arc::new(ClockTime(site.clock.clone())))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        let met = meet(Arc::new(client), server_http(&open, &site.clock).unwrap(), "hub.example");
        assert!(met.succeeded(), "{:?} {:?}", met.client_error, met.server_error);
        assert_eq!(met.server.protocol_version(), Some(number));
        assert_eq!(met.client.alpn_protocol(), Some(b"http/1.1".as_slice()));
    }
}
