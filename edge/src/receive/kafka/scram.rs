//! SCRAM's side of a client (RFC 5802), with SHA-256 or SHA-512.
//!
//! Parts: [`Scram`]. Pure: randomness comes in. Limits: [`ROUNDS`] of a server. Promises: the server must prove that it knows the password too. Must
//! not do: send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha512};

/// Fewest and most rounds: fewer are none, more would hold the edge up.
const ROUNDS: std::ops::RangeInclusive<u32> = 4_096..=1_000_000;

/// Which hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    const fn block(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    fn of(self, parts: &[&[u8]]) -> Vec<u8> {
        fn all<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut digest = D::new();
            parts.iter().for_each(|part| digest.update(part));
            digest.finalize().to_vec()
        }
        match self {
            Self::Sha256 => all::<Sha256>(parts),
            Self::Sha512 => all::<Sha512>(parts),
        }
    }

    fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let mut block = if key.len() > self.block() { self.of(&[key]) } else { key.to_vec() };
        block.resize(self.block(), 0);
        let inner: Vec<u8> = block.iter().map(|byte| byte ^ 0x36).collect();
        let outer: Vec<u8> = block.iter().map(|byte| byte ^ 0x5c).collect();
        let mut all = vec![inner.as_slice()];
        all.extend_from_slice(parts);
        self.of(&[&outer, &self.of(&all)])
    }

    fn stretched(self, password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
        let mut last = self.hmac(password, &[salt, &1_u32.to_be_bytes()]);
        let mut sum = last.clone();
        for _ in 1..rounds {
            last = self.hmac(password, &[&last]);
            sum.iter_mut().zip(&last).for_each(|(sum, byte)| *sum ^= byte);
        }
        sum
    }
}

/// One conversation.
#[derive(Debug)]
pub(super) struct Scram {
    hash: Hash,
    bare: String,
    nonce: String,
    proof_of_server: Vec<u8>,
}

impl Scram {
    /// Begins; gives the first message.
    pub(super) fn begin(hash: Hash, user: &str, nonce: &str) -> (Self, String) {
        let bare = format!("n={},r={nonce}", user.replace('=', "=3D").replace(',', "=2C"));
        let first = format!("n,,{bare}");
        (Self { hash, bare, nonce: nonce.to_owned(), proof_of_server: Vec::new() }, first)
    }

    /// The answer to the server's first message.
    pub(super) fn answer(&mut self, server: &str, password: &str) -> Option<String> {
        let part = |name: &str| server.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let (nonce, salt, rounds) = (part("r")?, STANDARD.decode(part("s")?).ok()?, part("i")?.parse().ok()?);
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() || !ROUNDS.contains(&rounds) {
            return None;
        }
        let salted = self.hash.stretched(password.as_bytes(), &salt, rounds);
        let client_key = self.hash.hmac(&salted, &[b"Client Key"]);
        let last = format!("c=biws,r={nonce}");
        let signed = format!("{},{server},{last}", self.bare);
        let signature = self.hash.hmac(&self.hash.of(&[&client_key]), &[signed.as_bytes()]);
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, signature)| key ^ signature).collect();
        self.proof_of_server = self.hash.hmac(&self.hash.hmac(&salted, &[b"Server Key"]), &[signed.as_bytes()]);
        Some(format!("{last},p={}", STANDARD.encode(proof)))
    }

    /// Whether the server's last message proves that it knows the password.
    pub(super) fn is_proven(&self, server: &str) -> bool {
        let proof = server.split(',').find_map(|part| part.strip_prefix("v=")).and_then(|text| STANDARD.decode(text).ok());
        !self.proof_of_server.is_empty() && proof.is_some_and(|proof| proof == self.proof_of_server)
    }
}

#[cfg(test)]
mod tests;
