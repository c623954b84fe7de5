//! The numbers by which a batch is known from the edge's WAL to the hub's lane.
//!
//! Parts: [`TrackId`], [`ProducerId`], [`Epoch`], [`Sequence`], [`BatchDigest`], [`Chain`].
//! A track is one producer's dense, chained sequence of batches; sequences start at 1 and are never
//! reset, not by an epoch change, not by a restart (`docs/formats/wire.md`).
//! Must not do: compute hashes (`proto-wire` does).

use std::fmt;
use std::str::FromStr;

use crate::id::{IdFault, LaneId};

/// A track of one edge WAL, numbered from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TrackId(pub u32);

/// A producer's id: the lane it lives in and 128 random bits, minted by a hub, printed `<16 hex>-<32 hex>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId {
    /// The lane whose fold holds its cursor.
    pub lane: LaneId,
    /// What tells producers of a lane apart.
    pub unique: u128,
}

impl ProducerId {
    /// 24 bytes, big endian: lane, then unique.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 24] {
        let mut out = [0; 24];
        out[..8].copy_from_slice(&self.lane.0.to_be_bytes());
        out[8..].copy_from_slice(&self.unique.to_be_bytes());
        out
    }

    /// From the 24 bytes of [`Self::to_bytes`]; `None` for any other length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (lane, unique) = bytes.split_at_checked(8)?;
        Some(Self { lane: LaneId(u64::from_be_bytes(lane.try_into().ok()?)), unique: u128::from_be_bytes(unique.try_into().ok()?) })
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:032x}", self.lane, self.unique)
    }
}

impl FromStr for ProducerId {
    type Err = IdFault;
    fn from_str(text: &str) -> Result<Self, IdFault> {
        let fault = || IdFault { kind: "producer", text: text.chars().take(80).collect(), reason: "it is not <16 hex>-<32 hex>" };
        let (lane, unique) = text.split_once('-').ok_or_else(fault)?;
        if unique.len() != 32 || unique.bytes().any(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(fault());
        }
        Ok(Self { lane: lane.parse()?, unique: u128::from_str_radix(unique, 16).map_err(|_| fault())? })
    }
}

/// Which opening of a producer a session belongs to; allotted by a hub, durably, rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// A batch's number in its track: 1, 2, 3, ... dense, never reset. 0 means "none yet".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Largest sequence a hub accepts; an edge re-enrols long before.
    pub const MAX: Self = Self((1 << 63) - 1);

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }

        impl $name {
            /// From exactly 16 bytes; `None` for any other length.
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }
    };
}

digest!(
    /// D: BLAKE3-128 of the frozen batch bytes as they lie in the WAL.
    BatchDigest
);
digest!(
    /// C: the digest chain, `C_S = BLAKE3-128(C_{S-1} || D_S)`, all zero before the first batch.
    Chain
);
