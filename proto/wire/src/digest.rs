//! D and C: what a batch is, and what came before it (`docs/formats/wire.md`).

use proto_model::{BatchDigest, Chain};

/// D: BLAKE3-128 of the frozen batch bytes.
#[must_use]
pub fn of_batch(body: &[u8]) -> BatchDigest {
    BatchDigest(first16(&blake3::hash(body)))
}

/// `C_S = BLAKE3-128(C_{S-1} || D_S)`.
#[must_use]
pub fn extend(previous: Chain, digest: BatchDigest) -> Chain {
    let mut both = [0; 32];
    both[..16].copy_from_slice(&previous.0);
    both[16..].copy_from_slice(&digest.0);
    Chain(first16(&blake3::hash(&both)))
}

/// The chain link of a gap: it stands for the batches that were given up, so both sides can go on.
/// `C_to = BLAKE3-128(C_{from-1} || "gap" || from || to)`.
#[must_use]
pub fn extend_gap(previous: Chain, from: u64, to: u64) -> Chain {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&previous.0).update(b"gap").update(&from.to_be_bytes()).update(&to.to_be_bytes());
    Chain(first16(&hasher.finalize()))
}

fn first16(hash: &blake3::Hash) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&hash.as_bytes()[..16]);
    out
}
