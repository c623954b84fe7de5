//! Tests of PEM reading: what is refused, and that keys stay out of the texts.

use proptest::prelude::*;
use proto_seam::Clock;

use super::*;
use crate::{Authority, TrustDomain, Validity};

const AT: &str = "/etc/x.pem";

fn pair() -> (String, String) {
    let clock = Clock::real();
    let authority = Authority::generate(&TrustDomain::new("td").unwrap(), &clock).unwrap();
    let issued = authority.issue_hub(&["h".to_owned()], Validity::days(&clock, 1).unwrap()).unwrap();
    (issued.cert_pem, issued.key_pem)
}

#[test]
fn reads_chains_in_order_and_skips_what_is_between() {
    let ((one, key), (two, _)) = (pair(), pair());
    let single = |text: &str| certificates(Path::new(AT), text.as_bytes()).unwrap();
    let both = single(&format!("a comment\n{one}\r\n{key}{two}"));
    assert_eq!(both, [single(&one), single(&two)].concat());
    assert!(private_key(Path::new(AT), format!("{one}{key}").as_bytes()).is_ok());
}

#[test]
fn refuses_what_holds_no_certificate() {
    let (cert, key) = pair();
    let text = |bytes: &[u8]| certificates(Path::new(AT), bytes).unwrap_err().to_string();
    assert!(text(b"").contains("/etc/x.pem is empty"));
    assert!(text(b" \n\n").contains("/etc/x.pem is empty"));
    assert!(text(key.as_bytes()).contains("no BEGIN CERTIFICATE"));
    assert!(text(b"\x30\x82\x01\x00 binary").contains("no BEGIN CERTIFICATE"));
    assert!(text(cert.replace("-----END", "-----BROKEN").as_bytes()).contains("no usable PEM certificate"));
    assert!(text(cert.repeat(257).as_bytes()).contains("more than 256"));
}

#[test]
fn refuses_what_holds_no_single_clear_key() {
    let (cert, key) = pair();
    let fault = |text: &str| private_key(Path::new(AT), text.as_bytes()).unwrap_err();
    assert!(matches!(fault(""), CertsFault::Empty { .. }));
    assert!(fault(&cert).to_string().contains("no BEGIN PRIVATE KEY"));
    assert!(fault(&format!("{key}{key}")).to_string().contains("more than one"));
    assert!(matches!(fault(&key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")), CertsFault::KeyEncrypted { .. }));
    let old = key.replace("PRIVATE KEY", "EC PRIVATE KEY").replacen("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1);
    assert!(matches!(fault(&old), CertsFault::KeyEncrypted { .. }));
}

#[test]
fn no_text_quotes_the_key() {
    let (_, key) = pair();
    let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    for broken in [key.replace("-----END", "-----ENDE"), key.replace('\n', "!\n"), format!("{key}{key}"), key.replace("BEGIN", "BEGIN ENCRYPTED")] {
        let fault = private_key(Path::new(AT), broken.as_bytes()).unwrap_err();
        let text = format!("{fault} {fault:?}");
        assert!(!body.as_bytes().windows(12).any(|part| text.contains(std::str::from_utf8(part).unwrap())), "{text}");
    }
}

proptest! {
    #[test]
    fn never_panics(noise in "(-----BEGIN (CERTIFICATE|PRIVATE KEY)-----\n|[A-Za-z0-9+/=]{0,40}\n|-----END (CERTIFICATE|PRIVATE KEY)-----\n|.){0,12}") {
        drop(certificates(Path::new(AT), noise.as_bytes()));
        drop(private_key(Path::new(AT), noise.as_bytes()));
    }
}
