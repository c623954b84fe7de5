//! The 56 bytes before every header: magic, version, length, key id, MAC, checksum.
//!
//! ```text
//!  0  8  magic          16   4  key id
//!  8  2  version        20  32  MAC over (key name, bytes 0..20, header)
//! 10  2  zero           52   4  CRC32C of bytes 0..52 and of the header
//! 12  4  header length  56   .  header
//! ```
//!
//! Parts: [`Kind`]; [`seal`] and [`seal_as`]; [`total_bytes`] and [`open`], for bytes that come from the store. Promises:
//! arbitrary bytes end in a fault, never a panic; a name is part of the MAC, so an object moved under
//! another name is refused. Must not do: know what a header says.

use bytes::Bytes;

use crate::fault::StoreFault;
use crate::keys::Key;
use crate::limits::{HEADER_BYTES_MAX, MANIFEST_BYTES_MAX, SNAPSHOT_BYTES_MAX};
use crate::mac::StoreKeys;

/// Bytes before the header.
pub(crate) const HEAD_BYTES: usize = 56;
/// The format version of all that needs no newer one.
pub(crate) const VERSION: u16 = 1;
/// Newest version of a manifest: one with deletes, or of an erased tenant, which a hub that knows neither must not go on from.
pub(crate) const MANIFEST_VERSION: u16 = 2;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A lane object.
    Lane,
    /// A snapshot of a fold.
    Snapshot,
    /// An object below `control/`.
    Control,
    /// A tenant's manifest.
    Manifest,
}

impl Kind {
    const fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Lane => b"TRIBLANE",
            Self::Snapshot => b"TRIBSNAP",
            Self::Control => b"TRIBCTRL",
            Self::Manifest => b"TRIBMNFT",
        }
    }

    const fn version_max(self) -> u16 {
        match self {
            Self::Lane | Self::Snapshot | Self::Control => VERSION,
            Self::Manifest => MANIFEST_VERSION,
        }
    }

    const fn header_bytes_max(self) -> usize {
        match self {
            Self::Lane | Self::Control => HEADER_BYTES_MAX,
            Self::Snapshot => SNAPSHOT_BYTES_MAX,
            Self::Manifest => MANIFEST_BYTES_MAX,
        }
    }
}

/// Head and `header`, ready to be written under `key`.
pub(crate) fn seal(kind: Kind, key: &Key, header: &[u8], keys: &StoreKeys) -> Result<Bytes, StoreFault> {
    seal_as(VERSION, kind, key, header, keys)
}

/// As [`seal`], in a newer format version.
pub(crate) fn seal_as(version: u16, kind: Kind, key: &Key, header: &[u8], keys: &StoreKeys) -> Result<Bytes, StoreFault> {
    let limit = kind.header_bytes_max();
    let length = u32::try_from(header.len()).ok().filter(|_| header.len() <= limit);
    let length = length.ok_or(StoreFault::TooLarge { what: "a header in bytes", found: header.len() as u64, limit: limit as u64 })?;
    let mut out = Vec::with_capacity(HEAD_BYTES + header.len());
    out.extend_from_slice(kind.magic());
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&keys.signer().to_le_bytes());
    let mac = keys.sign(key.as_str(), [&out[..20], header]);
    out.extend_from_slice(&mac);
    let sum = crc32c::crc32c_append(crc32c::crc32c(&out[..52]), header);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(header);
    Ok(out.into())
}

fn damaged(key: &Key, reason: impl Into<String>) -> StoreFault {
    StoreFault::Damaged { key: key.to_string(), reason: reason.into() }
}

/// Bytes of head and header together, as the head in `bytes` states.
pub(crate) fn total_bytes(kind: Kind, key: &Key, bytes: &[u8]) -> Result<usize, StoreFault> {
    let head: &[u8; HEAD_BYTES] = bytes.first_chunk().ok_or_else(|| damaged(key, "it is cut short"))?;
    if &head[..8] != kind.magic() {
        return Err(damaged(key, "it does not begin with its magic bytes"));
    }
    let version = u16::from_le_bytes([head[8], head[9]]);
    if !(VERSION..=kind.version_max()).contains(&version) {
        return Err(StoreFault::Version { key: key.to_string(), found: version, known: kind.version_max() });
    }
    if head[10..12] != [0; 2] {
        return Err(damaged(key, "reserved bytes are not zero"));
    }
    let length = u32::from_le_bytes([head[12], head[13], head[14], head[15]]) as usize;
    if length > kind.header_bytes_max() {
        return Err(damaged(key, format!("its header has {length} bytes")));
    }
    Ok(HEAD_BYTES + length)
}

/// The header in `bytes`, which may go on behind it, once checksum and MAC are found right.
pub(crate) fn open(kind: Kind, key: &Key, bytes: &Bytes, keys: &StoreKeys) -> Result<Bytes, StoreFault> {
    let total = total_bytes(kind, key, bytes)?;
    if bytes.len() < total {
        return Err(damaged(key, "it is cut short"));
    }
    let header = bytes.slice(HEAD_BYTES..total);
    let stated = u32::from_le_bytes([bytes[52], bytes[53], bytes[54], bytes[55]]);
    if crc32c::crc32c_append(crc32c::crc32c(&bytes[..52]), &header) != stated {
        return Err(damaged(key, "its checksum is wrong"));
    }
    let id = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
    let mac: [u8; 32] = bytes[20..52].try_into().map_err(|_| damaged(key, "it is cut short"))?;
    keys.verify(id, &mac, key.as_str(), [&bytes[..20], &header]).map_err(|reason| damaged(key, reason))?;
    Ok(header)
}

#[cfg(test)]
mod tests;
