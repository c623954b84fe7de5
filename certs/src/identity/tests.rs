//! Tests of the identity grammar: tables, properties, hostile bytes.

use proptest::prelude::*;

use super::*;
use crate::testing::{Odd, leaf_of};
use crate::{Authority, Validity};
use proto_seam::Clock;

fn domain() -> TrustDomain {
    TrustDomain::new("td.example").unwrap()
}

fn refusal(uri: &str) -> String {
    EdgeIdentity::from_uri(uri, &domain()).unwrap_err().to_string()
}

#[test]
fn reads_the_one_spelling() {
    let identity = EdgeIdentity::from_uri("spiffe://td.example/cluster/alpha/edge/node-1", &domain()).unwrap();
    assert_eq!((identity.cluster.as_str(), identity.edge.as_str()), ("alpha", "node-1"));
    assert_eq!(identity.identity_key(), "alpha/node-1");
    assert_eq!(identity.to_uri(&domain()), "spiffe://td.example/cluster/alpha/edge/node-1");
}

#[test]
fn refuses_every_other_spelling_with_its_reason() {
    let long = format!("spiffe://td.example/cluster/{}/edge/n", "a".repeat(2048));
    let just_long_enough = format!("spiffe://td.example/{}", "a/".repeat(1014));
    assert_eq!(just_long_enough.len(), 2048);
    let table = [
        ("", "does not start with spiffe://"),
        ("SPIFFE://td.example/cluster/a/edge/n", "does not start with spiffe://"),
        ("Spiffe://td.example/cluster/a/edge/n", "does not start with spiffe://"),
        ("https://td.example/cluster/a/edge/n", "does not start with spiffe://"),
        (" spiffe://td.example/cluster/a/edge/n", "does not start with spiffe://"),
        ("spiffe://td.example", "has no path"),
        ("spiffe://td.example/", "empty path segment"),
        ("spiffe://td.example//cluster/a/edge/n", "empty path segment"),
        ("spiffe://td.example/cluster//edge/n", "empty path segment"),
        ("spiffe://td.example/cluster/a/edge/n/", "empty path segment"),
        ("spiffe://td.example/cluster/./edge/n", "dot segment"),
        ("spiffe://td.example/cluster/../edge/n", "dot segment"),
        ("spiffe://td.example/x/../cluster/a/edge/n", "dot segment"),
        ("spiffe://td.example/cluster/a%2fb/edge/n", "percent escape"),
        ("spiffe://td.example/cluster/%61/edge/n", "percent escape"),
        ("spiffe://td%2eexample/cluster/a/edge/n", "percent escape"),
        ("spiffe://other.example/cluster/a/edge/n", "is of trust domain \"other.example\""),
        ("spiffe://TD.example/cluster/a/edge/n", "is of trust domain"),
        ("spiffe://td.example:443/cluster/a/edge/n", "is of trust domain"),
        ("spiffe://user@td.example/cluster/a/edge/n", "is of trust domain"),
        ("spiffe://td.example./cluster/a/edge/n", "is of trust domain"),
        ("spiffe:///cluster/a/edge/n", "is of trust domain \"\""),
        ("spiffe://td.example/Cluster/a/edge/n", "its path is not"),
        ("spiffe://td.example/cluster/a/EDGE/n", "its path is not"),
        ("spiffe://td.example/edge/n/cluster/a", "its path is not"),
        ("spiffe://td.example/cluster/a", "its path is not"),
        ("spiffe://td.example/cluster/a/edge", "its path is not"),
        ("spiffe://td.example/cluster/a/edge/n/x", "its path is not"),
        ("spiffe://td.example/ns/a/sa/n", "its path is not"),
        ("spiffe://td.example/cluster/A/edge/n", "names no valid cluster id \"A\""),
        ("spiffe://td.example/cluster/-a/edge/n", "names no valid cluster id"),
        ("spiffe://td.example/cluster/a/edge/n?x=1", "names no valid edge id"),
        ("spiffe://td.example/cluster/a/edge/n#x", "names no valid edge id"),
        ("spiffe://td.example/cluster/a/edge/n\0", "names no valid edge id"),
        ("spiffe://td.example/cluster/a/edge/n\n", "names no valid edge id"),
        ("spiffe://td.example/cluster/\u{430}/edge/n", "names no valid cluster id"),
        (&long, "2083 bytes long"),
        (&just_long_enough, "empty path segment"),
    ];
    for (uri, reason) in table {
        let text = refusal(uri);
        assert!(text.contains(reason), "{uri:?} gave {text:?}, wanted {reason:?}");
        assert!(text.len() < 700, "{uri:?} gave a text of {} bytes", text.len());
    }
}

#[test]
fn checks_trust_domains() {
    for good in ["a", "td.example", "prod-1.eu_west.example", &"a".repeat(255)] {
        assert_eq!(TrustDomain::new(good).unwrap().as_str(), good);
        assert_eq!(TrustDomain::from_uri(&format!("spiffe://{good}")).unwrap().to_string(), good);
    }
    for bad in ["", "Td", "a..b", ".a", "a.", "a/b", "a:1", "a b", "\u{e4}", &"a".repeat(256)] {
        assert!(matches!(TrustDomain::new(bad), Err(CertsFault::TrustDomain { .. })), "{bad:?} was taken");
        assert!(TrustDomain::from_uri(&format!("spiffe://{bad}")).is_err(), "{bad:?} was taken");
    }
    assert!(TrustDomain::from_uri("td.example").is_err());
}

#[test]
fn reads_certificates_and_tells_what_is_wrong_with_them() {
    let uri = "spiffe://td.example/cluster/a/edge/n";
    let from = |odd: Odd| EdgeIdentity::from_certificate(&leaf_of(odd), &domain());
    let good = || Odd { uris: vec![uri.to_owned()], ..Odd::default() };
    assert_eq!(from(good()).unwrap().identity_key(), "a/n");
    // Other names neither serve as identity nor spoil it.
    assert_eq!(from(Odd { dns: vec!["other".to_owned()], ..good() }).unwrap().identity_key(), "a/n");
    assert!(matches!(from(Odd { uris: vec![], dns: vec!["a".to_owned()], ..good() }), Err(CertsFault::NoUri)));
    assert!(matches!(from(Odd { uris: vec![uri.to_owned(), uri.to_owned()], ..good() }), Err(CertsFault::ManyUris(2))));
    assert!(matches!(from(Odd { ca: true, ..good() }), Err(CertsFault::CaAsLeaf)));
    assert!(matches!(from(Odd { signs: true, ..good() }), Err(CertsFault::CaAsLeaf)));
    assert!(matches!(from(Odd { client: false, ..good() }), Err(CertsFault::NotForClients)));
    assert!(matches!(from(Odd { client: false, server: true, ..good() }), Err(CertsFault::NotForClients)));
    assert!(matches!(from(Odd { uris: vec![format!("{uri}/{}", "x".repeat(10_240))], ..good() }), Err(CertsFault::UriLength(_))));
    assert!(matches!(from(Odd { uris: vec![uri.replace("td.", "other.")], ..good() }), Err(CertsFault::ForeignDomain { .. })));
    assert!(matches!(EdgeIdentity::from_certificate(b"", &domain()), Err(CertsFault::NotCertificate(_))));
    let mut trailing = leaf_of(good());
    trailing.push(0);
    assert!(matches!(EdgeIdentity::from_certificate(&trailing, &domain()), Err(CertsFault::NotCertificate(_))));
}

#[test]
fn survives_every_flipped_byte_of_a_certificate() {
    let clock = Clock::real();
    let authority = Authority::generate(&domain(), &clock).unwrap();
    let issued = authority.issue_edge(&"a".parse().unwrap(), &"n".parse().unwrap(), Validity::days(&clock, 1).unwrap()).unwrap();
    let der = crate::pem::certificates(std::path::Path::new("x"), issued.cert_pem.as_bytes()).unwrap()[0].to_vec();
    assert_eq!(EdgeIdentity::from_certificate(&der, &domain()).unwrap().identity_key(), "a/n");
    let mut refused = 0;
    for at in 0..der.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut bytes = der.clone();
            bytes[at] ^= bit;
            refused += usize::from(EdgeIdentity::from_certificate(&bytes, &domain()).is_err());
            drop(crate::Description::of(&bytes));
        }
        assert!(EdgeIdentity::from_certificate(&der[..at], &domain()).is_err());
    }
    assert!(refused > 100, "only {refused} flips were noticed");
}

proptest! {
    #[test]
    fn writes_what_it_reads(cluster in "[a-z0-9][a-z0-9-]{0,62}", edge in "[a-z0-9][a-z0-9-]{0,62}") {
        let identity = EdgeIdentity { cluster: cluster.parse().unwrap(), edge: edge.parse().unwrap() };
        prop_assert_eq!(EdgeIdentity::from_uri(&identity.to_uri(&domain()), &domain()).unwrap(), identity);
    }

    #[test]
    fn accepts_no_second_spelling(uri in "(spiffe|SPIFFE|http)://td\\.example(/(cluster|edge|a|b-|\\.|\\.\\.|%61|A)?){0,5}") {
        if let Ok(identity) = EdgeIdentity::from_uri(&uri, &domain()) {
            prop_assert_eq!(identity.to_uri(&domain()), uri);
        }
    }

    #[test]
    fn never_panics_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(EdgeIdentity::from_certificate(&bytes, &domain()).is_err());
    }
}
