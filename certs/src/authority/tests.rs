//! Tests of the CA: round trips through PEM and disk, what it refuses to sign or overwrite.

use proto_seam::OpenHow;
use proto_seam::disk::real::RealDisk;

use super::*;

const NOW_S: i64 = 1_800_000_000;

fn clock() -> Clock {
    Clock::simulated(NOW_S * 1_000_000_000)
}

fn ca() -> Authority {
    Authority::generate(&TrustDomain::new("td.example").unwrap(), &clock()).unwrap()
}

fn edge(authority: &Authority, validity: Validity) -> Result<Issued, CertsFault> {
    authority.issue_edge(&"alpha".parse().unwrap(), &"n1".parse().unwrap(), validity)
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(NOW_S + secs)
}

#[test]
fn lives_begin_in_the_past_and_end_as_asked() {
    let day = 86_400;
    let table = [
        (None, None, (-300, 30 * day)),
        (Some(10 * day), None, (10 * day, 40 * day)),
        (Some(-10 * day), None, (-10 * day, 30 * day)),
        (None, Some(day), (-300, day)),
        (None, Some(-day), (-31 * day, -day)),
        (Some(5), Some(6), (5, 6)),
    ];
    for (not_before, not_after, (start, end)) in table {
        let life = Validity::requested(&clock(), 30, not_before.map(at), not_after.map(at)).unwrap();
        assert!((life.not_before.nanos() - at(start).nanos()).abs() <= 1_000_000_000, "{not_before:?} {not_after:?}");
        assert!((life.not_after.nanos() - at(end).nanos()).abs() <= 1_000_000_000, "{not_before:?} {not_after:?}");
    }
}

#[test]
fn refuses_lives_that_make_no_sense() {
    for (start, end) in [(at(1), at(1)), (at(2), at(1)), (Timestamp(-1), at(0)), (at(0), Timestamp::MAX)] {
        assert!(matches!(Validity::new(start, end), Err(CertsFault::Validity(_))), "{start} {end}");
    }
    for count in [0, DAYS_MAX + 1, u32::MAX] {
        assert!(matches!(Validity::days(&clock(), count), Err(CertsFault::Validity(_))));
    }
    assert!(Validity::days(&clock(), DAYS_MAX).is_ok());
}

#[test]
fn a_leaf_never_outlives_its_ca() {
    let ca = Authority::generate_valid(&TrustDomain::new("td").unwrap(), Validity::days(&clock(), 10).unwrap()).unwrap();
    let long = Validity::days(&clock(), 30).unwrap();
    let refused = edge(&ca, long).unwrap_err();
    assert!(refused.to_string().contains("after its ca"), "{refused}");
    let issued = edge(&ca, long.ending_by(ca.not_after()).unwrap()).unwrap();
    let leaf = Description::of(&pem::certificates(Path::new("x"), issued.cert_pem.as_bytes()).unwrap()[0]).unwrap();
    assert_eq!(leaf.not_after, ca.not_after());
    assert!(Validity::new(at(20 * 86_400), at(21 * 86_400)).unwrap().ending_by(ca.not_after()).is_err());
}

#[test]
fn a_ca_read_back_signs_as_before() {
    let ca = ca();
    let again = Authority::from_pem(ca.ca_pem(), &ca.key_pem()).unwrap();
    assert_eq!((again.trust_domain(), again.ca_pem(), again.not_after()), (ca.trust_domain(), ca.ca_pem(), ca.not_after()));
    let issued = edge(&again, Validity::days(&clock(), 1).unwrap()).unwrap();
    assert_eq!(issued.ca_pem, ca.ca_pem());
}

#[test]
fn refuses_what_is_no_ca_of_ours() {
    let (ca, other) = (ca(), ca());
    let leaf = edge(&ca, Validity::days(&clock(), 1).unwrap()).unwrap();
    assert!(matches!(Authority::from_pem(ca.ca_pem(), &other.key_pem()), Err(CertsFault::KeyMismatch { .. })));
    assert!(matches!(Authority::from_pem(&leaf.cert_pem, &leaf.key_pem), Err(CertsFault::NotAuthority { .. })));
    assert!(matches!(Authority::from_pem(&format!("{}{}", ca.ca_pem(), other.ca_pem()), &ca.key_pem()), Err(CertsFault::NotAuthority { .. })));
    assert!(matches!(Authority::from_pem("", &ca.key_pem()), Err(CertsFault::Empty { .. })));
    let key = KeyPair::generate().unwrap();
    let mut params = blank(Validity::days(&clock(), 1).unwrap());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let nameless = params.self_signed(&key).unwrap().pem();
    let refused = Authority::from_pem(&nameless, &key.serialize_pem()).unwrap_err();
    assert!(refused.to_string().contains("names no trust domain"), "{refused}");
}

#[test]
fn takes_names_and_addresses_for_hubs_only() {
    let (ca, day) = (ca(), Validity::days(&clock(), 1).unwrap());
    for good in ["hub", "hub.example", "10.1.2.3", "fe80::1"] {
        assert!(ca.issue_hub(&[good.to_owned()], day).is_ok(), "{good}");
    }
    for bad in ["", "a b", "https://hub", "hub:9443", "*.example", "h\u{e4}b", "-x-.", "[::1]", "10.0.0.0/8"] {
        assert!(matches!(ca.issue_hub(&["hub".to_owned(), bad.to_owned()], day), Err(CertsFault::HubName(_))), "{bad:?}");
    }
    assert!(matches!(ca.issue_hub(&[], day), Err(CertsFault::HubNames(0))));
    assert!(matches!(ca.issue_hub(&vec!["a".to_owned(); 65], day), Err(CertsFault::HubNames(65))));
}

#[test]
fn keeps_what_is_on_disk() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), RealDisk::new());
    let home = dir.path().join("made/ca");
    let first = ca();
    first.create(&disk, &home).unwrap();
    assert_eq!((disk.state(&home).unwrap().mode, disk.state(&home.join("ca.key")).unwrap().mode), (0o700, 0o600));
    assert!(matches!(ca().create(&disk, &home), Err(CertsFault::Exists(_))));
    assert_eq!(Authority::load(&disk, &home).unwrap().ca_pem(), first.ca_pem());
    // Either file alone is enough to be left alone.
    for name in ["ca.key", "ca.crt"] {
        let half = dir.path().join(format!("half-{name}"));
        disk.make_dirs(&half).unwrap();
        disk.open(&half.join(name), OpenHow::CreateNew).unwrap();
        assert!(matches!(ca().create(&disk, &half), Err(CertsFault::Exists(_))), "{name}");
        assert_eq!(disk.state(&half.join(name)).unwrap().len, 0);
    }
}

#[test]
fn a_leaf_replaces_a_leaf_but_never_another_ca() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), RealDisk::new());
    let (ours, other) = (ca(), ca());
    let issue = |ca: &Authority| edge(ca, Validity::days(&clock(), 1).unwrap()).unwrap();
    let out = dir.path().join("edge");
    issue(&ours).save(&disk, &out, "edge").unwrap();
    let renewed = issue(&ours);
    renewed.save(&disk, &out, "edge").unwrap();
    assert_eq!(disk.read_all(&out.join("edge.crt"), 1 << 20).unwrap(), renewed.cert_pem.as_bytes());
    assert_eq!(disk.read_all(&out.join("edge.key"), 1 << 20).unwrap(), renewed.key_pem.as_bytes());
    assert_eq!(disk.state(&out.join("edge.key")).unwrap().mode, 0o600);
    let home = dir.path().join("other");
    other.create(&disk, &home).unwrap();
    assert!(matches!(issue(&ours).save(&disk, &home, "edge"), Err(CertsFault::Exists(_))));
    assert_eq!(Authority::load(&disk, &home).unwrap().ca_pem(), other.ca_pem());
    issue(&other).save(&disk, &home, "edge").unwrap();
}

#[test]
fn no_debug_text_shows_a_key() {
    let ca = ca();
    let issued = edge(&ca, Validity::days(&clock(), 1).unwrap()).unwrap();
    for (shown, key) in [(format!("{ca:?}"), ca.key_pem()), (format!("{issued:?}"), issued.key_pem)] {
        for line in key.lines().filter(|line| !line.starts_with('-')) {
            assert!(!shown.contains(line));
        }
    }
}
