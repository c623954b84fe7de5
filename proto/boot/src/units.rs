//! Sizes and lengths of time as people write them: `8MiB`, `256KB`, `1h30m`, `30d`.
//!
//! Parts: [`parse_bytes`] and [`parse_span`]; [`Bytes`] and [`Span`], which read the same in settings.
//! Promises: exact integer arithmetic, no rounding; what a value prints reads back as the same value.
//! Sizes: K, M, G, T, P, E with or without `B` or `iB` are powers of 1024 (`256KB` is 262,144 bytes, as
//! in Loki). Times: Go's units (`ns us ms s m h`) and Prometheus' (`d` 24 h, `w` 7 d, `y` 365 d).
//! Must not do: negative values; LogQL's own durations (`hub-logql`).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use crate::limits::QUOTED_CHARS_MAX;

/// A text that is no size or no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {kind}: {reason}; write it like {example}")]
pub struct UnitFault {
    kind: &'static str,
    text: String,
    reason: &'static str,
    example: &'static str,
}

impl UnitFault {
    fn size(text: &str, reason: &'static str) -> Self {
        Self { kind: "size", text: text.chars().take(QUOTED_CHARS_MAX).collect(), reason, example: "8MiB or 256KB" }
    }

    fn span(text: &str, reason: &'static str) -> Self {
        Self { kind: "length of time", text: text.chars().take(QUOTED_CHARS_MAX).collect(), reason, example: "500ms, 1h30m or 30d" }
    }
}

/// A number of bytes, written `8MiB`, `256KB` or plainly `1048576`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

/// A length of time, written `1h30m` or `30d`; `0` needs no unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

impl Bytes {
    /// As a length in memory; the largest `usize` when it does not fit.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// Whether it is zero, which most settings read as "no limit".
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

const SIZE_UNITS: [(&str, u32); 7] = [("", 0), ("k", 10), ("m", 20), ("g", 30), ("t", 40), ("p", 50), ("e", 60)];

/// Nanoseconds of each unit, the longest name of a common beginning first.
const SPAN_UNITS: [(&str, u64); 10] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
    ("w", 7 * 86_400 * 1_000_000_000),
];

const YEAR_NS: u64 = 365 * 86_400 * 1_000_000_000;

/// Reads a size in bytes.
///
/// # Errors
/// [`UnitFault`] for no number, an unknown unit, a broken byte or more than 2^64 - 1 bytes.
pub fn parse_bytes(text: &str) -> Result<u64, UnitFault> {
    let trimmed = text.trim();
    let (number, rest) = decimal(trimmed).ok_or_else(|| UnitFault::size(text, "it does not begin with a number"))?;
    let unit = rest.trim_start().to_ascii_lowercase();
    let letter = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let known = SIZE_UNITS.iter().find(|(name, _)| *name == letter && !(letter.is_empty() && unit == "ib"));
    let (_, power) = known.ok_or_else(|| UnitFault::size(text, "its unit is none of B, KiB, MiB, GiB, TiB, PiB, EiB"))?;
    number.times(1 << power).ok_or_else(|| UnitFault::size(text, "it is too large or no whole number of bytes"))
}

/// Reads a length of time.
///
/// # Errors
/// [`UnitFault`] for no number, a missing or unknown unit, a minus sign, or more than 292 years.
pub fn parse_span(text: &str) -> Result<Duration, UnitFault> {
    let fault = |reason| UnitFault::span(text, reason);
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.starts_with('-') {
        return Err(fault("it is negative"));
    }
    if rest.is_empty() {
        return Err(fault("it is empty"));
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = decimal(rest).ok_or_else(|| fault("a number is missing before a unit"))?;
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len()));
        if unit.is_empty() {
            return Err(fault("a unit is missing"));
        }
        let nanos = if unit == "y" { Some(YEAR_NS) } else { SPAN_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, nanos)| *nanos) };
        let nanos = nanos.ok_or_else(|| fault("its unit is none of ns, us, ms, s, m, h, d, w, y"))?;
        let part = number.times(nanos).ok_or_else(|| fault("it is too long or finer than a nanosecond"))?;
        total = total.checked_add(part).filter(|sum| i64::try_from(*sum).is_ok()).ok_or_else(|| fault("it is longer than 292 years"))?;
        rest = after;
    }
    Ok(Duration::from_nanos(total))
}

/// A decimal number as `digits / 10^places`.
struct Decimal {
    digits: u128,
    places: u32,
}

impl Decimal {
    /// Times `unit`; `None` when the result is no whole number or does not fit.
    fn times(&self, unit: u64) -> Option<u64> {
        let product = self.digits.checked_mul(u128::from(unit))?;
        let divisor = 10_u128.checked_pow(self.places)?;
        if !product.is_multiple_of(divisor) {
            return None;
        }
        u64::try_from(product / divisor).ok()
    }
}

/// Longest number read: 18 digits before the point hold any size or time, 12 after it any fraction of use.
const DIGITS_MAX: usize = 32;

/// The number at the start of `text` and what follows it.
fn decimal(text: &str) -> Option<(Decimal, &str)> {
    let (number, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > DIGITS_MAX {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    Some((Decimal { digits: if digits.is_empty() { 0 } else { digits.parse().ok()? }, places: u32::try_from(fraction.len()).ok()? }, rest))
}

/// The largest unit that leaves a whole number: `8MiB`, `1000B`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let power = if self.0 == 0 { 0 } else { (self.0.trailing_zeros() / 10 * 10).min(60) };
        let unit = match power {
            0 => "B",
            10 => "KiB",
            20 => "MiB",
            30 => "GiB",
            40 => "TiB",
            50 => "PiB",
            _ => "EiB",
        };
        write!(f, "{}{unit}", self.0 >> power)
    }
}

/// As Prometheus and Loki print it (`30d1h`, `1w`, `0s`); finer than a millisecond goes on with `us` and `ns`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.write_str("0s");
        }
        // Years and weeks stand only for themselves, as in Prometheus: 8 days are `8d`, 14 days are `2w`.
        for (unit, nanos) in [("y", YEAR_NS), ("w", 7 * 86_400 * 1_000_000_000)] {
            if rest.is_multiple_of(u128::from(nanos)) {
                return write!(f, "{}{unit}", rest / u128::from(nanos));
            }
        }
        for (unit, nanos) in [
            ("d", 86_400 * 1_000_000_000_u128),
            ("h", 3_600 * 1_000_000_000),
            ("m", 60 * 1_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
            ("ns", 1),
        ] {
            if rest >= nanos {
                write!(f, "{}{unit}", rest / nanos)?;
                rest %= nanos;
            }
        }
        Ok(())
    }
}

impl FromStr for Bytes {
    type Err = UnitFault;
    fn from_str(text: &str) -> Result<Self, UnitFault> {
        parse_bytes(text).map(Self)
    }
}

impl FromStr for Span {
    type Err = UnitFault;
    fn from_str(text: &str) -> Result<Self, UnitFault> {
        parse_span(text).map(Self)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Written { expected: "a size like 8MiB", read: parse_bytes }).map(Self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Written { expected: "a length of time like 1h30m", read: parse_span }).map(Self)
    }
}

/// Reads either type from its text, or from a bare number by the number's text.
struct Written<T> {
    expected: &'static str,
    read: fn(&str) -> Result<T, UnitFault>,
}

impl<T> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        (self.read)(&number.to_string()).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        (self.read)(&number.to_string()).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests;
