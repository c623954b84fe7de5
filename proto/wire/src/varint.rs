//! LEB128 integers and zigzag, as protobuf writes them. Must not do: read past the end or panic.

/// Most bytes of one value.
pub const BYTES_MAX: usize = 10;

/// Appends `value`, 7 bits a byte, low bits first.
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the low byte is meant")]
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 128 here")]
    out.push(value as u8);
}

/// Takes one integer off the front of `bytes`; `None` when they end too early or hold more than 64 bits.
pub fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Small magnitudes to small numbers.
#[must_use]
#[expect(clippy::cast_sign_loss, reason = "that is what zigzag is")]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Back from [`zigzag`].
#[must_use]
#[expect(clippy::cast_possible_wrap, reason = "that is what zigzag is")]
pub const fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}
