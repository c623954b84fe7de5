//! Who knows the key is let in; damaged words are not.

use super::*;

#[test]
fn a_ping_is_judged_by_the_key_and_the_nonce() {
    let server = Handshake::new("k", "edge");
    let greeting = server.greet([7; 16]);
    let ping = |digest: &str| [&b"\x96\xa4PING\xa1c\xa1s\xd9\x80"[..], digest.as_bytes(), b"\xa0\xa0"].concat();
    let known = server.digest(b"s", b"c", &[7; 16]);
    assert!(server.judge(&greeting, &ping(&known)).refusal.is_none());
    assert!(server.judge(&greeting, &ping(&known.to_ascii_uppercase())).refusal.is_none());
    let pong = server.judge(&greeting, &ping(&server.digest(b"s", b"c", &[8; 16])));
    assert_eq!(pong.refusal, Some("shared_key mismatch"));
    assert!(!pong.words.windows(128).any(|words| words == server.digest(b"s", b"edge", &[7; 16]).as_bytes()), "nothing is proven to who proved nothing");
    for damaged in [&b""[..], b"\x96", b"\x96\xa4PONG\xa0\xa0\xa0\xa0\xa0", b"\x96\xa4PING\xa1c\x07\xa0\xa0\xa0"] {
        assert!(server.judge(&greeting, damaged).refusal.is_some());
    }
}
