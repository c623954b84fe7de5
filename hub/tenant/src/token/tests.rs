//! Tokens: their form, their hash, and that they stay secret.

use proptest::prelude::*;
use proto_model::{Timestamp, TokenId};

use super::{Expiry, Presented, Role, Secret, TOKEN_BYTES_MAX, TokenHash, TokenRecord};

fn id(text: &str) -> TokenId {
    TokenId::new(text).unwrap()
}

#[test]
fn a_made_token_is_recognised() {
    let secret = Secret::from_entropy(&id("grafana-acme"), [0xfb; 32]);
    assert_eq!(secret.expose(), "trib_grafana-acme_-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s");
    // sha256sum of that text.
    assert_eq!(secret.hash().to_string(), "6d470ce6778f5dd1895188f56bf04c9e3d06cc3b88b423f45b57c0dccc379035");
    let presented = Presented::parse(secret.expose().as_bytes()).unwrap();
    assert_eq!(presented.id, id("grafana-acme"));
    assert!(presented.matches(&secret.hash()));
    assert!(!presented.matches(&TokenHash::NONE));
    assert!(!presented.matches(&Secret::from_entropy(&id("grafana-acme"), [0xfa; 32]).hash()));
    assert!(!presented.matches(&Secret::from_entropy(&id("grafana-blue"), [0xfb; 32]).hash()), "the id is hashed too");
}

#[test]
fn what_has_not_the_form_is_none() {
    let secret = "a".repeat(43);
    for text in [
        String::new(),
        "trib_".to_owned(),
        format!("trib__{secret}"),
        format!("trib_a{secret}"),
        format!("TRIB_a_{secret}"),
        format!("trib_A_{secret}"),
        format!("trib_../x_{secret}"),
        format!("trib_a_{}", &secret[1..]),
        format!("trib_a_{secret}a"),
        format!("trib_a_{}=", &secret[1..]),
        format!("trib_a_{}+", &secret[1..]),
        format!(" trib_a_{secret}"),
        format!("trib_a_{secret}\n"),
        format!("trib_{}_{secret}", "a".repeat(64)),
        "x".repeat(1 << 20),
    ] {
        assert!(Presented::parse(text.as_bytes()).is_none(), "{text:.80}");
    }
    assert!(Presented::parse(&[0xff; 60]).is_none());
    let longest = format!("trib_{}_{secret}", "a".repeat(63));
    assert!(longest.len() == TOKEN_BYTES_MAX && Presented::parse(longest.as_bytes()).is_some());
}

#[test]
fn debug_output_shows_no_secret() {
    let secret = Secret::from_entropy(&id("a"), [7; 32]);
    let presented = Presented::parse(secret.expose().as_bytes()).unwrap();
    let shown = format!("{secret:?} {presented:?} {:?}", secret.hash());
    assert!(!shown.contains(&secret.expose()[7..]) && !shown.contains(&secret.hash().to_string()), "{shown}");
}

#[test]
fn a_record_is_kept_as_json() {
    let record = TokenRecord {
        id: id("a"),
        sha256: TokenHash::of(b"x"),
        role: Role::Reader,
        tenants: vec!["acme".parse().unwrap()],
        expires: Some(Expiry(Timestamp::from_secs(1_900_000_000))),
    };
    let json = serde_json::to_string(&record).unwrap();
    assert_eq!(
        json,
        r#"{"id":"a","sha256":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881","role":"reader","tenants":["acme"],"expires":"2030-03-17T17:46:40Z"}"#
    );
    assert_eq!(serde_json::from_str::<TokenRecord>(&json).unwrap(), record);
    assert!(record.has_expired(Timestamp::from_secs(1_900_000_000)));
    assert!(!record.has_expired(Timestamp(1_900_000_000 * 1_000_000_000 - 1)));
    assert!(!TokenRecord { expires: None, ..record }.has_expired(Timestamp::MAX));
}

#[test]
fn a_hash_in_the_wrong_form_is_not_repeated() {
    let fault = serde_json::from_str::<TokenHash>("\"trib_a_secretsecret\"").unwrap_err().to_string();
    assert!(fault.starts_with("the hash is not 64 lower case hex digits; ") && !fault.contains("secretsecret"), "{fault}");
}

#[test]
fn roles_read_as_they_print() {
    for role in [Role::Reader, Role::Writer, Role::Operator] {
        assert_eq!(role.to_string().parse(), Ok(role));
    }
    assert!("admin".parse::<Role>().is_err());
}

proptest! {
    #[test]
    fn every_entropy_makes_a_token_of_its_own(entropy: [u8; 32], other: [u8; 32], name in "[a-z0-9][a-z0-9-]{0,62}") {
        let (secret, second) = (Secret::from_entropy(&id(&name), entropy), Secret::from_entropy(&id(&name), other));
        let presented = Presented::parse(secret.expose().as_bytes()).unwrap();
        prop_assert_eq!(&presented.id, &id(&name));
        prop_assert_eq!(presented.matches(&second.hash()), entropy == other);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..140)) {
        prop_assert!(Presented::parse(&bytes).is_none());
    }
}
