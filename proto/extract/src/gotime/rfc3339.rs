//! RFC 3339 times straight from bytes, without a layout: what container runtimes write before every line.
//!
//! Promises: no allocation, no table, one division-free pass; accepts what Go's `RFC3339Nano` layout accepts, but
//! for a comma as the decimal sign and hours of one digit. Must not do: guess; anything else is `None`.

use proto_model::Timestamp;

use super::civil;

/// Reads `2006-01-02T15:04:05[.fraction](Z|±hh:mm)`. Digits of the fraction after the ninth are dropped.
/// `None` for anything else, for dates that do not exist and for years a [`Timestamp`] does not hold.
#[must_use]
pub fn rfc3339_nano(bytes: &[u8]) -> Option<Timestamp> {
    let (head, tail) = bytes.split_first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'-', mo0, mo1, b'-', d0, d1, b'T', h0, h1, b':', mi0, mi1, b':', s0, s1] = *head else { return None };
    let digits = [y0, y1, y2, y3, mo0, mo1, d0, d1, h0, h1, mi0, mi1, s0, s1];
    // No branch per digit: one digit above 9 (a byte below '0' wraps round to above 9) spoils the maximum.
    let worst = digits.iter().fold(0, |worst: u8, digit| worst.max(digit.wrapping_sub(b'0')));
    if worst > 9 {
        return None;
    }
    let two = |tens: u8, ones: u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
    let (year, month, day) = (two(y0, y1) * 100 + two(y2, y3), two(mo0, mo1), two(d0, d1));
    let (hour, minute, second) = (two(h0, h1), two(mi0, mi1), two(s0, s1));
    let date = (1..=12).contains(&month) && day >= 1 && (day <= 28 || day <= civil::days_in_month(year, month));
    if !date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, tail) = fraction(tail)?;
    let offset = offset(tail)?;
    let seconds = civil::days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos).map(Timestamp)
}

/// Nanoseconds of `.digits` at the start of `bytes`, and what follows.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', digits)) = bytes.split_first() else { return Some((0, bytes)) };
    // Nine digits, as most runtimes write them, in one go.
    if let Some((nine, rest)) = digits.split_first_chunk::<9>()
        && let Some(nanos) = digits_nine(*nine)
    {
        let more = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        return Some((nanos, &rest[more..]));
    }
    let length = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let nanos = (0..9).fold(0, |sum, place| {
        let digit = if place < length { digits[place] - b'0' } else { 0 };
        sum * 10 + i64::from(digit)
    });
    Some((nanos, &digits[length..]))
}

/// The number that nine digits make: eight of them at once, pairs, then fours, then all.
pub(super) fn digits_nine(digits: [u8; 9]) -> Option<i64> {
    let [first, eight @ ..] = digits;
    let (first, eight) = (first.wrapping_sub(b'0'), u64::from_le_bytes(eight));
    // Each byte is 0x30 to 0x39: its high half is 3, and adding 6 to it leaves that so.
    let are_digits = eight & 0xf0f0_f0f0_f0f0_f0f0 == 0x3030_3030_3030_3030 && (eight + 0x0606_0606_0606_0606) & 0xf0f0_f0f0_f0f0_f0f0 == 0x3030_3030_3030_3030;
    if !are_digits || first > 9 {
        return None;
    }
    let ones = eight & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (ones.wrapping_mul(10) + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let all = (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff;
    Some(i64::from(first) * 100_000_000 + i64::try_from(all).ok()?)
}

/// Seconds east of UTC of `Z` or `±hh:mm`, which must be all of `bytes`.
fn offset(bytes: &[u8]) -> Option<i64> {
    let (sign, [h0, h1, m0, m1]) = match bytes {
        b"Z" => return Some(0),
        [b'+', h0, h1, b':', m0, m1] => (1, [h0, h1, m0, m1]),
        [b'-', h0, h1, b':', m0, m1] => (-1, [h0, h1, m0, m1]),
        _ => return None,
    };
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    let hours = digit(h0)? * 10 + digit(h1)?;
    let minutes = digit(m0)? * 10 + digit(m1)?;
    (hours <= 24 && minutes <= 60).then_some(sign * (hours * 3600 + minutes * 60))
}
