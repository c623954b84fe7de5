//! MD5 (RFC 1321), for `hashmod` alone, which is defined by it. Must not do: protect anything.

/// Rotations of the four rounds.
const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The last eight bytes of the MD5 of `text`, big endian.
pub(super) fn last_eight(text: &[u8]) -> u64 {
    let digest = digest(text);
    // words are little endian in the digest
    u64::from(digest[2].swap_bytes()) << 32 | u64::from(digest[3].swap_bytes())
}

/// The four words of the MD5 of `text`.
fn digest(text: &[u8]) -> [u32; 4] {
    let mut message = text.to_vec();
    message.push(0x80);
    message.resize(message.len().next_multiple_of(64), 0);
    if message.len() - text.len() < 9 {
        message.resize(message.len() + 64, 0);
    }
    let length_at = message.len() - 8;
    message[length_at..].copy_from_slice(&(text.len() as u64).wrapping_mul(8).to_le_bytes());
    message.chunks_exact(64).fold([0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476], block)
}

fn block(state: [u32; 4], chunk: &[u8]) -> [u32; 4] {
    let mut words = [0_u32; 16];
    for (word, bytes) in words.iter_mut().zip(chunk.chunks_exact(4)) {
        *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    let [mut a, mut b, mut c, mut d] = state;
    for step in 0..64_usize {
        let (mix, word) = match step / 16 {
            0 => ((b & c) | (!b & d), step),
            1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
            2 => (b ^ c ^ d, (3 * step + 5) % 16),
            _ => (c ^ (b | !d), (7 * step) % 16),
        };
        let sum = a.wrapping_add(mix).wrapping_add(sine(step)).wrapping_add(words[word]);
        (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(SHIFTS[step / 16][step % 4])));
    }
    [state[0].wrapping_add(a), state[1].wrapping_add(b), state[2].wrapping_add(c), state[3].wrapping_add(d)]
}

/// `floor(2^32 * |sin(step + 1)|)`.
fn sine(step: usize) -> u32 {
    let step = u32::try_from(step).unwrap_or(0);
    let scaled = (f64::from(step) + 1.0).sin().abs() * 4_294_967_296.0;
    // below 2^32 by its definition
    scaled as u32
}

#[cfg(test)]
mod tests;
