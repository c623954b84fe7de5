//! Tests of the refusal's words; the judging itself is tested by handshakes in `tls`.

use super::*;

#[test]
fn words_are_fit_for_a_metric_label_and_distinct() {
    let words: std::collections::BTreeSet<&str> = Refusal::ALL.iter().map(|reason| reason.word()).collect();
    assert_eq!(words.len(), Refusal::ALL.len());
    for word in words {
        assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{word}");
    }
    for reason in Refusal::ALL {
        assert_eq!(reason.to_string(), reason.word());
        assert!(reason.advice().contains("certificate"));
    }
}

#[test]
fn every_reason_is_found_in_errors_texts_and_alerts_alike() {
    let at = UnixTime::since_unix_epoch(Duration::from_secs(10));
    let table = [
        (CertificateError::UnknownIssuer, Refusal::ForeignCa),
        (CertificateError::BadSignature, Refusal::ForeignCa),
        (CertificateError::ExpiredContext { time: at, not_after: at }, Refusal::Expired),
        (CertificateError::Expired, Refusal::Expired),
        (CertificateError::NotValidYetContext { time: at, not_before: at }, Refusal::NotYetValid),
        (CertificateError::NotValidYet, Refusal::NotYetValid),
        (CertificateError::BadEncoding, Refusal::BadIdentity),
        (CertificateError::NotValidForName, Refusal::BadIdentity),
        (CertificateError::Other(OtherError(Arc::new(Unfit(CertsFault::NoUri)))), Refusal::BadIdentity),
    ];
    for (why, reason) in table {
        let alert = AlertDescription::from(why.clone());
        let error = rustls::Error::InvalidCertificate(why);
        assert_eq!(Refusal::of(&error), Some(reason));
        assert_eq!(Refusal::in_text(&format!("the cryptographic handshake failed: error 48: {error}")), Some(reason), "{error}");
        let told = if reason == Refusal::NotYetValid { Refusal::Expired } else { reason };
        assert_eq!(Refusal::of_alert(alert), Some(told), "{alert:?}");
    }
    let none = rustls::Error::NoCertificatesPresented;
    assert_eq!(Refusal::of(&none), Some(Refusal::NoCertificate));
    assert_eq!(Refusal::in_text(&none.to_string()), Some(Refusal::NoCertificate));
}

#[test]
fn other_errors_are_no_refusals() {
    for error in [rustls::Error::DecryptError, rustls::Error::NoApplicationProtocol, rustls::Error::AlertReceived(AlertDescription::CloseNotify)] {
        assert_eq!(Refusal::of(&error), None);
        assert_eq!(Refusal::in_text(&error.to_string()), None);
    }
    assert_eq!(Refusal::in_text("timed out"), None);
}

#[test]
fn a_refusal_is_found_beneath_what_wraps_it() {
    let io = std::io::Error::new(std::io::ErrorKind::InvalidData, rustls::Error::AlertReceived(AlertDescription::UnknownCA));
    assert_eq!(Refusal::in_chain(&io), Some(Refusal::ForeignCa));
    let twice = std::io::Error::other(std::io::Error::new(std::io::ErrorKind::InvalidData, rustls::Error::NoCertificatesPresented));
    assert_eq!(Refusal::in_chain(&twice), Some(Refusal::NoCertificate));
    assert_eq!(Refusal::in_chain(&std::io::Error::other("no tls here")), None);
}

#[test]
fn a_clock_before_1970_gives_no_time() {
    let clock = Clock::simulated(-1_000_000_000_000);
    assert!(ClockTime(clock).current_time().is_none());
    assert_eq!(ClockTime(Clock::simulated(5_000_000_000)).current_time().unwrap().as_secs(), 5);
}
