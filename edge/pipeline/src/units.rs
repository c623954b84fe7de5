//! Durations and byte sizes as Go's configuration files write them.
//!
//! Parts: [`duration`] (Go's `time.ParseDuration`), [`byte_size`] (`8kb`, `1MB`, powers of 1024).
//! Must not do: accept what Promtail refuses, such as `7d` or `1Kb` (which it takes for bits).

use std::time::Duration;

/// `1h30m`, `1.5s`, `250ms`, `0`: a sequence of numbers with units; `None` for anything else,
/// negative durations included (no stage has a use for one).
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos = 0_u128;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        nanos = nanos.checked_add(scaled(number, unit_nanos(unit)?)?)?;
        rest = tail;
    }
    if nanos == 0 && text.is_empty() {
        return None;
    }
    u64::try_from(nanos).ok().filter(|n| i64::try_from(*n).is_ok()).map(Duration::from_nanos)
}

/// `number` (with an optional fraction) times `unit`, rounded down.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let mut nanos = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok().map(u128::from)?.checked_mul(unit)? };
    let mut share = unit;
    for digit in fraction.bytes() {
        share /= 10;
        nanos += u128::from(digit - b'0') * share;
    }
    Some(nanos)
}

fn unit_nanos(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `512`, `8kb`, `1MB`, `2GiB`: bytes; units are powers of 1024 whatever their case.
pub(crate) fn byte_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    // a lower-case b after an upper-case letter means bits to Promtail, which refuses it
    if unit.len() == 2 && unit.starts_with(|c: char| c.is_ascii_uppercase()) && unit.ends_with('b') {
        return None;
    }
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" | "byte" | "bytes" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1024_u64.pow(power))
}

#[cfg(test)]
mod tests;
