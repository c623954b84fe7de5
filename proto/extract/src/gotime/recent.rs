//! The newest minute of a source: lines follow each other closely, and most of a time says again what the last one said.
//!
//! Promises: gives what [`rfc3339_nano`] gives, for every input. Must not do: remember more than one minute.

use proto_model::Timestamp;

use super::rfc3339::{digits_nine, rfc3339_nano};

/// A minute that was read before.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecentMinute {
    /// `2006-01-02T15:04:`, empty bytes before the first time.
    head: [u8; 17],
    /// Its first second, ns since 1970, as UTC.
    start_ns: i64,
}

impl RecentMinute {
    /// As [`rfc3339_nano`]; quicker for a time in UTC with nine digits (or none) in the minute of the last one.
    pub fn read(&mut self, bytes: &[u8]) -> Option<Timestamp> {
        if let Some((head, tail)) = bytes.split_first_chunk::<17>()
            && *head == self.head
            && let Some(ns) = within(tail)
        {
            return self.start_ns.checked_add(ns).map(Timestamp);
        }
        let time = rfc3339_nano(bytes)?;
        if let Some((head, tail)) = bytes.split_first_chunk::<17>()
            && let Some(ns) = within(tail)
            && let Some(start_ns) = time.nanos().checked_sub(ns)
        {
            *self = Self { head: *head, start_ns };
        }
        Some(time)
    }
}

/// Nanoseconds of `05.999999999Z` or `05Z`.
fn within(tail: &[u8]) -> Option<i64> {
    let (seconds, nanos) = match tail {
        [s0, s1, b'.', n0, n1, n2, n3, n4, n5, n6, n7, n8, b'Z'] => ([*s0, *s1], digits_nine([*n0, *n1, *n2, *n3, *n4, *n5, *n6, *n7, *n8])?),
        [s0, s1, b'Z'] => ([*s0, *s1], 0),
        _ => return None,
    };
    let [tens, ones] = seconds.map(|digit| digit.wrapping_sub(b'0'));
    (tens <= 5 && ones <= 9).then_some((i64::from(tens) * 10 + i64::from(ones)) * 1_000_000_000 + nanos)
}
