//! The keys of `store_key_file` and the MAC they make.
//!
//! Parts: [`StoreKeys`], read from lines `<id> <64 hex>`: the first signs, all verify. Promises: with a
//! key configured, an object without a MAC is refused as well as one with a wrong MAC (else stripping it
//! would do); without one, an object that bears a MAC is refused, since it cannot be checked. Key bytes
//! are never printed. Must not do: read files.

use std::fmt;

use crate::fault::StoreFault;

const KEY_BYTES: usize = 32;

/// What signs and verifies headers.
#[derive(Clone, Default)]
pub struct StoreKeys {
    keys: Vec<(u32, [u8; KEY_BYTES])>,
}

impl fmt::Debug for StoreKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

impl StoreKeys {
    /// Checksums only.
    #[must_use]
    pub const fn none() -> Self {
        Self { keys: Vec::new() }
    }

    /// Reads the text of a `store_key_file`; empty lines and lines starting with `#` are passed over.
    ///
    /// # Errors
    /// [`StoreFault::Settings`] with the line, never with the key.
    pub fn parse(text: &str) -> Result<Self, StoreFault> {
        let fault = |line: usize, reason: &str| StoreFault::Settings {
            what: "store_key_file",
            reason: format!("line {line}: {reason}"),
            fix: "write lines of `<id> <64 hex digits>`, id from 1 to 4294967295, the signing key first",
        };
        let mut keys: Vec<(u32, [u8; KEY_BYTES])> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (id, hex) = line.split_once(char::is_whitespace).ok_or_else(|| fault(at + 1, "it is not an id and a key"))?;
            let id: u32 = id.parse().ok().filter(|id| *id != 0).ok_or_else(|| fault(at + 1, "the id is not a number from 1"))?;
            let key = from_hex(hex.trim()).ok_or_else(|| fault(at + 1, "the key is not 64 hex digits"))?;
            if keys.iter().any(|(known, _)| *known == id) {
                return Err(fault(at + 1, "the id stands twice"));
            }
            keys.push((id, key));
        }
        if keys.is_empty() {
            return Err(fault(1, "it holds no key"));
        }
        Ok(Self { keys })
    }

    /// Whether there is none: checksums only.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Id of the key that signs; 0 without a key.
    pub(crate) fn signer(&self) -> u32 {
        self.keys.first().map_or(0, |(id, _)| *id)
    }

    /// The MAC of the signing key over `parts`; zeros without a key.
    pub(crate) fn sign(&self, name: &str, parts: [&[u8]; 2]) -> [u8; 32] {
        self.keys.first().map_or([0; 32], |(_, key)| mac(key, name, parts.into_iter()))
    }

    /// Checks the MAC of `id` over `parts`; the error is the reason.
    pub(crate) fn verify(&self, id: u32, stated: &[u8; 32], name: &str, parts: [&[u8]; 2]) -> Result<(), String> {
        if self.keys.is_empty() && id == 0 {
            return Ok(());
        }
        if id == 0 {
            return Err("it bears no MAC, but a store_key_file is configured".to_owned());
        }
        let Some((_, key)) = self.keys.iter().find(|(known, _)| *known == id) else {
            return Err(format!("it was signed with key {id}, which store_key_file does not hold"));
        };
        // Compared as hashes, which takes the same time wherever they differ.
        if blake3::Hash::from_bytes(mac(key, name, parts.into_iter())) == blake3::Hash::from_bytes(*stated) {
            Ok(())
        } else {
            Err(format!("its MAC is not that of key {id}"))
        }
    }
}

fn mac<'a>(key: &[u8; KEY_BYTES], name: &str, parts: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

fn from_hex(text: &str) -> Option<[u8; KEY_BYTES]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * KEY_BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut out = [0; KEY_BYTES];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests;
