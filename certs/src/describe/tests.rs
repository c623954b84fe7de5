//! Tests of descriptions: the JSON shape others read, times, hostile bytes.

use proto_seam::Clock;

use super::*;
use crate::{Authority, TrustDomain, Validity};

fn describe(pem: &str) -> Description {
    Description::of(&crate::pem::certificates(std::path::Path::new("x"), pem.as_bytes()).unwrap()[0]).unwrap()
}

#[test]
fn says_what_stands_there() {
    let authority = Authority::generate(&TrustDomain::new("td.example").unwrap(), &Clock::real()).unwrap();
    let life = Validity::new(Timestamp::from_secs(1_700_000_000), Timestamp::from_secs(1_800_000_000)).unwrap();
    let hub = describe(&authority.issue_hub(&["hub.example".to_owned(), "10.0.0.1".to_owned(), "::1".to_owned()], life).unwrap().cert_pem);
    assert_eq!((hub.subject_uri.clone(), hub.is_ca), (None, false));
    assert_eq!(hub.names, ["hub.example", "10.0.0.1", "::1"]);
    assert_eq!((hub.not_before, hub.not_after), (Timestamp::from_secs(1_700_000_000), Timestamp::from_secs(1_800_000_000)));
    let edge = describe(&authority.issue_edge(&"alpha".parse().unwrap(), &"n1".parse().unwrap(), life).unwrap().cert_pem);
    assert_eq!(edge.subject_uri.as_deref(), Some("spiffe://td.example/cluster/alpha/edge/n1"));
    let ca = describe(authority.ca_pem());
    assert!(ca.is_ca && ca.issuer == edge.issuer && ca.issuer.starts_with("CN=tributary ca "));
    assert_ne!(hub.serial, edge.serial);
    assert_eq!((ca.sha256.len(), ca.subject_uri.as_deref()), (64, Some("spiffe://td.example")));
}

#[test]
fn keeps_the_json_shape() {
    let description = Description {
        subject_uri: None,
        issuer: "CN=x".to_owned(),
        serial: "0a".to_owned(),
        not_before: Timestamp(0),
        not_after: Timestamp::from_secs(1_893_456_000),
        is_ca: true,
        names: vec!["h".to_owned()],
        sha256: "ff".to_owned(),
    };
    assert_eq!(
        serde_json::to_string(&description).unwrap(),
        r#"{"subject_uri":null,"issuer":"CN=x","serial":"0a","not_before":"1970-01-01T00:00:00Z","not_after":"2030-01-01T00:00:00Z","is_ca":true,"names":["h"],"sha256":"ff"}"#
    );
}

#[test]
fn prints_times_of_any_age() {
    assert_eq!(rfc3339(Timestamp(-1)), "1969-12-31T23:59:59Z");
    assert_eq!(rfc3339(Timestamp::MAX), "2262-04-11T23:47:16Z");
    assert_eq!(hex(&[0, 15, 255]), "000fff");
}

#[test]
fn refuses_bytes_that_are_no_certificate() {
    for bytes in [&b""[..], b"\x30", b"\x30\x03\x02\x01\x00", &[0x30; 4096]] {
        assert!(matches!(Description::of(bytes), Err(CertsFault::NotCertificate(_))));
    }
}
