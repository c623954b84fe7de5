//! Label filters and quantities: numbers, durations, sizes, addresses.

use std::net::IpAddr;

use hub_logql::{CmpOp, LabelFilter};

use super::record::Record;
use super::stage::matches;

/// Whether the line stays; a value that is no number marks it and keeps it.
pub fn passes(filter: &LabelFilter, record: &mut Record) -> bool {
    match filter {
        LabelFilter::Matcher(matcher) => matches(matcher, record.text_of(&matcher.name)),
        LabelFilter::Number { name, op, value } => compare(record, name, number, |found| holds(*op, found, *value)),
        #[expect(clippy::cast_precision_loss, reason = "the generator's durations are small")]
        LabelFilter::Duration { name, op, value_ns } => compare(record, name, duration, |found| holds(*op, found, *value_ns as f64)),
        #[expect(clippy::cast_precision_loss, reason = "the generator's sizes are small")]
        LabelFilter::Bytes { name, op, value } => compare(record, name, size, |found| holds(*op, found, *value as f64)),
        LabelFilter::Ip { name, not, pattern } => match record.value(name) {
            None => false,
            Some(_) if record.error.is_some() => true,
            Some(value) => has_address(value, pattern) != *not,
        },
        LabelFilter::And(left, right) => {
            let left = passes(left, record);
            passes(right, record) && left
        }
        LabelFilter::Or(left, right) => passes(left, record) || passes(right, record),
    }
}

fn compare(record: &mut Record, name: &str, read: fn(&str) -> Option<f64>, test: impl Fn(f64) -> bool) -> bool {
    let Some(value) = record.value(name).map(str::to_owned) else { return false };
    if record.error.is_some() {
        return true;
    }
    let Some(found) = read(&value) else {
        record.error = Some("LabelFilterErr".to_owned());
        return true;
    };
    test(found)
}

fn holds(op: CmpOp, left: f64, right: f64) -> bool {
    match op {
        CmpOp::Equal => left == right,
        CmpOp::NotEqual => left != right,
        CmpOp::Greater => left > right,
        CmpOp::GreaterOrEqual => left >= right,
        CmpOp::Less => left < right,
        CmpOp::LessOrEqual => left <= right,
    }
}

/// As Go reads a float: too large is no number.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    let named = matches!(unsigned.as_str(), "inf" | "infinity" | "nan");
    if text.starts_with(['+', '-']) && unsigned == "nan" {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    (named || value.is_finite()).then_some(value)
}

/// Numbers with units in `text`, largest alternative first; the sum.
fn with_units(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (mut rest, mut sum, mut any) = (text, 0.0, false);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let value: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let (unit, factor) = units.iter().find(|(unit, _)| rest.starts_with(unit))?;
        sum += value * factor;
        rest = &rest[unit.len()..];
        any = true;
    }
    any.then_some(sum)
}

/// A Go duration, in nanoseconds.
#[must_use]
pub fn duration(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 8] = [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
    let (sign, rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    if rest == "0" {
        return Some(0.0);
    }
    with_units(rest, &UNITS).map(|ns| sign * ns.round())
}

/// A size, in bytes.
#[must_use]
pub fn size(text: &str) -> Option<f64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let value: f64 = text[..end].parse().ok()?;
    let factor = match text[end..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "ki" | "kib" => 1024.0,
        "mi" | "mib" => 1024.0 * 1024.0,
        "gi" | "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((value * factor).trunc())
}

fn bits(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (true, u128::from(u32::from(address))),
        IpAddr::V6(address) => (false, u128::from(address)),
    }
}

/// Whether an address of `text` lies in `pattern`: an address, a network or a range.
#[must_use]
pub fn has_address(text: &str, pattern: &str) -> bool {
    let parse = |text: &str| text.parse::<IpAddr>().ok().map(bits);
    let (four, low, high) = if let Some((base, length)) = pattern.split_once('/') {
        let (four, base) = parse(base).expect("the generator writes sound networks");
        let length: u32 = length.parse().expect("the generator writes sound networks");
        let free = if four { 32 } else { 128 } - length;
        let mask = if free == 128 { u128::MAX } else { (1_u128 << free) - 1 };
        (four, base & !mask, base | mask)
    } else if let Some((low, high)) = pattern.split_once('-') {
        let (four, low) = parse(low).expect("the generator writes sound ranges");
        (four, low, parse(high).expect("the generator writes sound ranges").1)
    } else {
        let (four, one) = parse(pattern).expect("the generator writes sound addresses");
        (four, one, one)
    };
    text.split(|c: char| !c.is_ascii_hexdigit() && c != '.' && c != ':').filter_map(parse).any(|(is_four, bits)| is_four == four && low <= bits && bits <= high)
}
