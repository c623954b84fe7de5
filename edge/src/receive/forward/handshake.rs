//! The forward protocol's handshake: HELO, PING, PONG, by a shared key.
//!
//! Pure. Each side proves with SHA-512 over salt, its name, the server's nonce and the key that it knows the key. Users are not asked for. Must not
//! do: tell a key.

#![expect(clippy::wildcard_enum_match_arm, reason = "a value is one of many kinds, and all but the expected are answered alike")]

use sha2::{Digest as _, Sha512};

use super::msgpack::{Reader, Token};

/// A listener's side.
#[derive(Clone)]
pub(super) struct Handshake {
    key: String,
    host: String,
}

/// What a connection is greeted with.
pub(super) struct Greeting {
    pub(super) hello: Vec<u8>,
    nonce: [u8; 16],
}

/// The answer to a PING.
pub(super) struct Pong {
    pub(super) words: Vec<u8>,
    /// Why the sender is not let in.
    pub(super) refusal: Option<&'static str>,
}

impl Handshake {
    pub(super) fn new(key: &str, host: &str) -> Self {
        Self { key: key.to_owned(), host: host.to_owned() }
    }

    pub(super) fn greet(&self, nonce: [u8; 16]) -> Greeting {
        let mut hello = vec![0x92];
        text(&mut hello, b"HELO");
        hello.push(0x83);
        text(&mut hello, b"nonce");
        binary(&mut hello, &nonce);
        text(&mut hello, b"auth");
        binary(&mut hello, b"");
        text(&mut hello, b"keepalive");
        hello.push(0xc3);
        Greeting { hello, nonce }
    }

    /// Whether a PING knows the key.
    pub(super) fn judge(&self, greeting: &Greeting, ping: &[u8]) -> Pong {
        match read(ping) {
            None => self.pong(false, "the handshake's PING cannot be read", ""),
            Some(Ping { host, salt, digest }) => {
                let expected = self.digest(salt, host, &greeting.nonce);
                // Hashes of both are compared: how long it takes says nothing of the key.
                let is_known = blake3::hash(expected.as_bytes()) == blake3::hash(digest.to_ascii_lowercase().as_slice());
                let own = self.digest(salt, self.host.as_bytes(), &greeting.nonce);
                if is_known { self.pong(true, "", &own) } else { self.pong(false, "shared_key mismatch", "") }
            }
        }
    }

    fn digest(&self, salt: &[u8], host: &[u8], nonce: &[u8]) -> String {
        let sum = Sha512::new().chain_update(salt).chain_update(host).chain_update(nonce).chain_update(&self.key).finalize();
        sum.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn pong(&self, is_let_in: bool, why: &'static str, digest: &str) -> Pong {
        let mut words = vec![0x95];
        text(&mut words, b"PONG");
        words.push(if is_let_in { 0xc3 } else { 0xc2 });
        text(&mut words, why.as_bytes());
        text(&mut words, self.host.as_bytes());
        text(&mut words, digest.as_bytes());
        Pong { words, refusal: (!is_let_in).then_some(why) }
    }
}

struct Ping<'b> {
    host: &'b [u8],
    salt: &'b [u8],
    digest: &'b [u8],
}

fn read(message: &[u8]) -> Option<Ping<'_>> {
    let mut reader = Reader::new(message);
    let Token::Array(6) = reader.next().ok()? else { return None };
    let mut word = || match reader.next().ok()? {
        Token::Text(word) | Token::Binary(word) => Some(word),
        _ => None,
    };
    (word()? == b"PING").then_some(())?;
    Some(Ping { host: word()?, salt: word()?, digest: word()? })
}

/// Text or bytes of at most 255 bytes: all that is said here.
fn text(out: &mut Vec<u8>, words: &[u8]) {
    let length = u8::try_from(words.len()).unwrap_or(u8::MAX);
    out.extend([0xd9, length]);
    out.extend(words.iter().take(length.into()));
}

fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    out.extend([0xc4, length]);
    out.extend(bytes.iter().take(length.into()));
}

#[cfg(test)]
mod tests;
