//! Numbers, durations and sizes in labels, read as Go and Loki read them, with their error texts.
//!
//! Parts: [`float`] (`strconv.ParseFloat`), [`duration_ns`] (`time.ParseDuration`), [`bytes`]
//! (`humanize.ParseBytes`). The texts end in `__error_details__`. Must not do: read query text.

use proto_model::labels::quoted;

/// A number, as `strconv.ParseFloat(text, 64)` reads it.
///
/// # Errors
/// In Go's words.
pub fn float(text: &str) -> Result<f64, String> {
    let syntax = || format!("strconv.ParseFloat: parsing {}: invalid syntax", quoted(text));
    let value: f64 = match hex_float(text) {
        Some(value) => value,
        None => text.parse().map_err(|_| syntax())?,
    };
    let named = text.bytes().any(|b| matches!(b, b'i' | b'I'));
    if value.is_infinite() && !named {
        return Err(format!("strconv.ParseFloat: parsing {}: value out of range", quoted(text)));
    }
    Ok(value)
}

/// `0x1.8p3`: Go takes hexadecimal mantissas with a binary exponent; `None` when the text is none.
fn hex_float(text: &str) -> Option<f64> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let rest = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"))?;
    let at = rest.find(['p', 'P'])?;
    let exponent: i32 = rest[at + 1..].parse().ok()?;
    let (whole, fraction) = rest[..at].split_once('.').unwrap_or((&rest[..at], ""));
    if whole.len() + fraction.len() == 0 || whole.len() + fraction.len() > 13 {
        return None;
    }
    let digits = u64::from_str_radix(&format!("{whole}{fraction}"), 16).ok()?;
    let scale = exponent - 4 * i32::try_from(fraction.len()).ok()?;
    #[expect(clippy::cast_precision_loss, reason = "at most 13 hexadecimal digits, which a float holds exactly")]
    let value = digits as f64 * 2_f64.powi(scale);
    Some(if negative { -value } else { value })
}

/// A duration in nanoseconds, as `time.ParseDuration` reads it.
///
/// # Errors
/// In Go's words.
pub fn duration_ns(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quoted(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let whole_len = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, after) = rest.split_at(whole_len);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => after.split_at(after.bytes().take_while(u8::is_ascii_digit).count()),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let unit_len = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_len);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quoted(text)));
        }
        let scale = unit_ns(unit).ok_or_else(|| format!("time: unknown unit {} in duration {}", quoted(unit), quoted(text)))?;
        total = part_ns(whole, fraction, scale).and_then(|part| total.checked_add(part)).filter(|total| *total <= 1 << 63).ok_or_else(invalid)?;
        rest = next;
    }
    if negative {
        return Ok(0_i64.checked_sub_unsigned(total).unwrap_or(i64::MIN));
    }
    i64::try_from(total).map_err(|_| invalid())
}

/// A duration in seconds, as Go's `Duration.Seconds` rounds it.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "as Go converts")]
pub fn seconds(ns: i64) -> f64 {
    (ns / 1_000_000_000) as f64 + (ns % 1_000_000_000) as f64 / 1e9
}

const fn unit_ns_of(unit: &[u8]) -> Option<u64> {
    match unit {
        b"ns" => Some(1),
        b"us" => Some(1_000),
        b"ms" => Some(1_000_000),
        b"s" => Some(1_000_000_000),
        b"m" => Some(60_000_000_000),
        b"h" => Some(3_600_000_000_000),
        _ => None,
    }
}

fn unit_ns(unit: &str) -> Option<u64> {
    if matches!(unit, "µs" | "μs") { Some(1_000) } else { unit_ns_of(unit.as_bytes()) }
}

fn part_ns(whole: &str, fraction: &str, scale: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Digits beyond the 18th are below a nanosecond of an hour.
    let digits = &fraction[..fraction.len().min(18)];
    let part = if digits.is_empty() { 0 } else { u128::from(digits.parse::<u64>().ok()?) * u128::from(scale) / 10_u128.pow(u32::try_from(digits.len()).ok()?) };
    whole.checked_mul(scale)?.checked_add(u64::try_from(part).ok()?)
}

/// A size in bytes, as `humanize.ParseBytes` reads it: `20MB`, `1.5 KiB`, `10`, in any case.
///
/// # Errors
/// In the words of Loki's clients.
pub fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b',')).count();
    let (number, unit) = text.split_at(digits);
    let plain = number.replace(',', "");
    let value: f64 = plain.parse().map_err(|_| format!("strconv.ParseFloat: parsing {}: invalid syntax", quoted(&plain)))?;
    let unit = unit.trim().to_lowercase();
    let scale = size_of_unit(&unit).ok_or_else(|| format!("unhandled size name: {unit}"))?;
    let total = value * scale;
    if total >= 18_446_744_073_709_551_615.0 {
        return Err(format!("too large: {text}"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above, and digits have no sign")]
    let total = total as u64;
    Ok(total)
}

fn size_of_unit(unit: &str) -> Option<f64> {
    const LETTERS: &str = "kmgtpe";
    let letter = match unit {
        "" | "b" => return Some(1.0),
        unit => unit.chars().next()?,
    };
    let power = i32::try_from(LETTERS.find(letter)?).ok()? + 1;
    match &unit[1..] {
        "" | "b" => Some(1_000_f64.powi(power)),
        "i" | "ib" => Some(1_024_f64.powi(power)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
