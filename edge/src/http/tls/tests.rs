use certs::{Authority, Issued, ServerMaterial, TrustDomain, Validity};
use proto_seam::World;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::settings::http::Secret;

/// What came of a handshake with `server`, as both sides see it; the url says `host`.
async fn shaken(server: &ServerMaterial, tls: &TlsSettings, host: &str) -> Result<(), String> {
    let world = World::real();
    let acceptor = TlsAcceptor::from(certs::tls::server_receiver(server, &world.clock, &[], false).unwrap());
    let connector = TlsConnector::from(Arc::new(config(tls, world.disk.as_ref())?));
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let (asked, taken) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    asked.map_err(|fault| fault.to_string())?;
    taken.map(drop).map_err(|fault| fault.to_string())
}

fn material(issued: &Issued, ca: Option<&Authority>) -> ServerMaterial {
    ServerMaterial::from_pem(&issued.cert_pem, &issued.key_pem, ca.map(Authority::ca_pem)).unwrap()
}

#[tokio::test]
async fn a_server_is_believed_as_the_settings_say() {
    let (clock, domain) = (World::real().clock, TrustDomain::new("example.org").unwrap());
    let (own, other) = (Authority::generate(&domain, &clock).unwrap(), Authority::generate(&domain, &clock).unwrap());
    let validity = || Validity::days(&clock, 2).unwrap();
    let issued = own.issue_hub(&["a.internal".to_owned()], validity()).unwrap();
    let (open, closed) = (material(&issued, None), material(&issued, Some(&own)));
    let trusting = |authority: &Authority| TlsSettings { ca: Some(authority.ca_pem().to_owned()), ..TlsSettings::default() };
    let named = |name: &str| TlsSettings { server_name: Some(name.to_owned()), ..trusting(&own) };
    let unchecked = TlsSettings { insecure_skip_verify: true, ..named("b.internal") };
    let bundle = TlsSettings { ca: Some(format!("{}\n{}", other.ca_pem(), own.ca_pem())), ..TlsSettings::default() };
    for (tls, host, refused) in [
        (trusting(&own), "a.internal", ""),
        (bundle, "a.internal", ""),
        (trusting(&own), "b.internal", "not valid for name"),
        (named("a.internal"), "b.internal", ""),
        (named("a.internal"), "127.0.0.1", ""),
        (named("b.internal"), "a.internal", "not valid for name"),
        (named(""), "a.internal", ""),
        (trusting(&other), "a.internal", "UnknownIssuer"),
        (unchecked, "c.internal", ""),
        (TlsSettings { min_version: Some("TLS13".to_owned()), ..trusting(&own) }, "a.internal", ""),
        (TlsSettings { max_version: Some("TLS12".to_owned()), ..trusting(&own) }, "a.internal", ""),
    ] {
        match shaken(&open, &tls, host).await {
            Ok(()) => assert!(refused.is_empty(), "{tls:?} {host}"),
            Err(why) => assert!(!refused.is_empty() && why.contains(refused), "{tls:?} {host}: {why}"),
        }
    }
    // The machine's own authorities, or none, know nothing of it.
    shaken(&open, &TlsSettings::default(), "a.internal").await.unwrap_err();
    let edge = own.issue_edge(&"alpha".parse().unwrap(), &"one".parse().unwrap(), validity()).unwrap();
    let signed = TlsSettings { cert: Some(edge.cert_pem.clone()), key: Some(Secret::new(edge.key_pem.as_str())), ..trusting(&own) };
    shaken(&closed, &signed, "a.internal").await.unwrap();
    assert!(shaken(&closed, &trusting(&own), "a.internal").await.is_err());
}

#[test]
fn what_is_no_certificate_is_told_without_its_text() {
    let disk = World::real().disk;
    let text = |text: &str| Some(text.to_owned());
    let (key, odd) = (Some(Secret::new("-----BEGIN geheim")), "-----BEGIN geheim");
    for (tls, word) in [
        (TlsSettings { ca: text(odd), ..TlsSettings::default() }, "ca_file holds no certificate"),
        (TlsSettings { ca_file: Some("/nowhere/ca".into()), ..TlsSettings::default() }, "/nowhere/ca: No such file"),
        (TlsSettings { cert: text("x"), ..TlsSettings::default() }, "without the other"),
        (TlsSettings { key: key.clone(), ..TlsSettings::default() }, "without the other"),
        (TlsSettings { cert: text("x"), key, ..TlsSettings::default() }, "tls_config.cert"),
    ] {
        let why = config(&TlsSettings { server_name: text("a.internal"), ..tls }, disk.as_ref()).unwrap_err();
        assert!(why.contains(word) && !why.contains("geheim"), "{why}");
    }
}
