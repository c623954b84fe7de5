//! Tests of `dial`.

use proptest::prelude::*;

use super::*;

#[test]
fn urls_are_read_whole() {
    let read = |url: &str| Target::parse(url, "", "").map(|target| (target.host.clone(), target.port, target.server_name.clone(), target.authority()));
    let parts = |host: &str, port, authority: &str| Ok((host.to_owned(), port, host.to_owned(), authority.to_owned()));
    assert_eq!(read("https://hub.example:9000"), parts("hub.example", 9000, "hub.example:9000"));
    assert_eq!(read("https://hub.example"), parts("hub.example", HUB_PORT, "hub.example:9443"));
    assert_eq!(read("https://hub.example/"), parts("hub.example", HUB_PORT, "hub.example:9443"));
    assert_eq!(read("https://10.0.0.1:1"), parts("10.0.0.1", 1, "10.0.0.1:1"));
    assert_eq!(read("https://[2001:db8::1]:9443"), parts("2001:db8::1", 9443, "[2001:db8::1]:9443"));
    assert_eq!(read("https://[::1]"), parts("::1", 9443, "[::1]:9443"));
}

#[test]
fn urls_that_cannot_be_dialled_are_told_why() {
    for (url, reason) in [
        ("", "it is no url"),
        ("hub:9443", "it does not begin with https://"),
        ("http://hub:9443", "it does not begin with https://"),
        ("https://hub:9443/loki", "it has a path"),
        ("https://hub:9443?x=1", "it has a path"),
        ("https://hub:", "its host or port is not valid"),
        ("https://hub:0", "its host or port is not valid"),
        ("https://hub:99999", "its host or port is not valid"),
        ("https://user:pass@hub", "it holds a user name; the edge proves itself by certificate"),
        ("https://hub_ with space", "it is no url"),
    ] {
        let fault = Target::parse(url, "", "").unwrap_err();
        assert!(matches!(&fault, LinkFault::Target { reason: found, .. } if found == reason), "{url}: {fault}");
        assert!(!fault.to_string().contains("pass"), "{fault}");
    }
    assert!(Target::parse("https://hub", "not a name", "").unwrap_err().to_string().contains("server name \"not a name\""));
    assert_eq!(Target::parse("https://10.0.0.1", "hub.example", "").unwrap().server_name, "hub.example");
}

#[test]
fn proxies_are_read_and_their_passwords_kept() {
    let target = Target::parse("https://hub", "", "http://me:secret@proxy.example:8080").unwrap();
    let proxy = target.proxy.clone().unwrap();
    assert_eq!((proxy.authority(), proxy.credentials.as_deref()), ("proxy.example:8080".to_owned(), Some("me:secret")));
    assert!(!format!("{target:?}").contains("secret"));
    assert_eq!(Proxy::parse("http://proxy").unwrap().port, 3128);
    assert!(Proxy::parse("https://me:secret@proxy").unwrap_err().to_string().contains("https://...@proxy"));
}

#[test]
fn targets_are_taken_in_turn() {
    let mut targets = Targets::parse(&["https://one".to_owned(), "https://two".to_owned()], "", "").unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(targets.current().host.clone());
        targets.advance();
    }
    assert_eq!(seen, ["one", "two", "one"]);
    assert!(Targets::parse(&[], "", "").is_err());
    assert!(Targets::parse(&["https://one".to_owned(), "two".to_owned()], "", "").is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(url in ".{0,60}", name in ".{0,20}", proxy in ".{0,40}") {
        if let Ok(target) = Target::parse(&url, &name, &proxy) {
            prop_assert!(!target.host.is_empty() && target.port != 0);
        }
    }
}
