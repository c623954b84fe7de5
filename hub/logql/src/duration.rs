//! Times and sizes between text and number, in the three notations a query mixes.
//!
//! Parts: ranges as Prometheus writes them (`1d1h`), label tests and offsets as Go does (`25h0m0s`,
//! `1.5ms`), sizes as `humanize` does (`10kB`, `1.5KiB`); numbers as Go prints them.
//! Limits: durations are i64 nanoseconds, sizes u64 bytes; what does not fit is refused.
//! Promise: what a `print_*` gives is read back to the same value by its parser.

const MS: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MS;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Units of Prometheus' notation, largest first; each may stand once, in this order.
const PROMETHEUS_UNITS: [(&str, i64); 7] = [("y", 365 * DAY), ("w", 7 * DAY), ("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", MS)];

/// `1y2w3d4h5m6s7ms`, or `0`, to nanoseconds.
///
/// # Errors
/// What is wrong, in Prometheus' words.
pub fn parse_prometheus(text: &str) -> Result<i64, String> {
    match text {
        "" => return Err("empty duration string".to_owned()),
        "0" => return Ok(0),
        _ => {}
    }
    let invalid = || format!("not a valid duration string: {text:?}");
    let (mut rest, mut total, mut units) = (text, 0_i64, &PROMETHEUS_UNITS[..]);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 {
            return Err(invalid());
        }
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        if unit.is_empty() {
            return Err(invalid());
        }
        let (_, nanos) = PROMETHEUS_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| format!("unknown unit {unit:?} in duration {text:?}"))?;
        let at = units.iter().position(|(name, _)| *name == unit).ok_or_else(invalid)?;
        units = &units[at + 1..];
        let part = number.parse::<i64>().ok().and_then(|n| n.checked_mul(*nanos));
        total = part.and_then(|part| total.checked_add(part)).ok_or("duration out of range")?;
        rest = tail;
    }
    Ok(total)
}

/// Nanoseconds as Prometheus writes them, cut to milliseconds: years and weeks only if nothing remains.
#[must_use]
pub fn print_prometheus(nanos: i64) -> String {
    let mut ms = nanos.unsigned_abs() / MS.unsigned_abs();
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = if nanos < 0 { "-".to_owned() } else { String::new() };
    for (unit, length) in PROMETHEUS_UNITS {
        let length = length.unsigned_abs() / MS.unsigned_abs();
        let whole_only = matches!(unit, "y" | "w");
        if ms < length || (whole_only && !ms.is_multiple_of(length)) {
            continue;
        }
        out.push_str(&format!("{}{unit}", ms / length));
        ms %= length;
    }
    out
}

/// A Go duration (`-1h1.5m`, `100ms`), else Prometheus' notation (`1d`); the unit is never left out.
#[must_use]
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let nanos = parse_go(text).or_else(|| parse_prometheus(text).ok())?;
    Some(if negative { -nanos } else { nanos })
}

fn parse_go(mut rest: &str) -> Option<i64> {
    let mut total = 0_i64;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let nanos: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(scaled(number, nanos)?)?;
        rest = tail;
    }
    Some(total)
}

/// `12.34` times `unit`, cut to a whole number.
fn scaled(number: &str, unit: u128) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok().map(u128::from) };
    // 12 digits resolve less than a nanosecond of an hour; the rest cannot change the result.
    let fraction = &fraction[..fraction.len().min(15)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let nanos = digits(whole)? * unit + digits(fraction)? * unit / scale;
    i64::try_from(nanos).ok()
}

/// Nanoseconds as Go writes them: `1h30m0s`, `1.5ms`, `0s`.
#[must_use]
pub fn print_go(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    if size < SECOND.unsigned_abs() {
        return match size {
            0 => "0s".to_owned(),
            1..1_000 => format!("{sign}{size}ns"),
            1_000..1_000_000 => format!("{sign}{}µs", with_fraction(size, 1_000)),
            _ => format!("{sign}{}ms", with_fraction(size, 1_000_000)),
        };
    }
    let seconds = with_fraction(size % MINUTE.unsigned_abs(), 1_000_000_000);
    let (hours, minutes) = (size / HOUR.unsigned_abs(), size / MINUTE.unsigned_abs() % 60);
    if hours > 0 {
        format!("{sign}{hours}h{minutes}m{seconds}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m{seconds}s")
    } else {
        format!("{sign}{seconds}s")
    }
}

/// `value / unit` in decimals without trailing zeros; `unit` is a power of ten.
fn with_fraction(value: u64, unit: u64) -> String {
    let (whole, fraction) = (value / unit, value % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{fraction:0digits$}").trim_end_matches('0'))
}

/// Powers of 1000 and of 1024 a size may be written in, by their letter.
const SIZE_LETTERS: [(&str, u32); 6] = [("k", 1), ("M", 2), ("G", 3), ("T", 4), ("P", 5), ("E", 6)];

/// `10KB`, `1.5KiB`, `5k`: digits (with `_` taken out already), an optional letter of either case
/// but for `k` only as Loki's scanner takes them, an optional `i`, an optional `B`.
#[must_use]
pub(crate) fn parse_bytes(number: &str, suffix: &str) -> Option<u64> {
    let suffix = suffix.strip_suffix('B').unwrap_or(suffix);
    let (letter, step) = match suffix.strip_suffix('i') {
        Some(letter) => (letter, 1024_u64),
        None => (suffix, 1000),
    };
    let power = match letter {
        "" if step != 1000 => return None,
        "" => 0,
        "k" | "K" => 1,
        _ => SIZE_LETTERS.iter().find(|(l, _)| *l == letter)?.1,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(step.checked_pow(power)?);
    }
    // Cuts towards zero like Go's conversion; 2^64 is the first float that does not fit.
    let value = number.parse::<f64>().ok()? * (step as f64).powf(f64::from(power));
    (0.0..18_446_744_073_709_551_616.0).contains(&value).then_some(value as u64)
}

/// A size as `humanize` writes it (`10kB`, `1.5MB`) where that is exact, else in the largest binary
/// unit that divides it, else in bytes: Loki always rounds, which changes the query.
#[must_use]
pub fn print_bytes(value: u64) -> String {
    let rounded = humanized(value);
    if read_back(&rounded) == Some(value) {
        return rounded;
    }
    let binary = SIZE_LETTERS.iter().rev().find(|(_, power)| value.is_multiple_of(1024_u64.pow(*power)));
    binary.map_or_else(|| format!("{value}B"), |(letter, power)| format!("{}{}iB", value / 1024_u64.pow(*power), letter.to_uppercase()))
}

fn read_back(text: &str) -> Option<u64> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    parse_bytes(&text[..at], &text[at..])
}

/// One decimal below ten units, none above.
fn humanized(value: u64) -> String {
    if value < 10 {
        return format!("{value}B");
    }
    let power = value.ilog(1000);
    let letter = SIZE_LETTERS.iter().find(|(_, p)| *p == power).map_or("", |(letter, _)| *letter);
    let scaled = (value as f64 / 1000_f64.powf(f64::from(power)) * 10.0 + 0.5).floor() / 10.0;
    if scaled < 10.0 { format!("{scaled:.1}{letter}B") } else { format!("{scaled:.0}{letter}B") }
}

/// A number as Go's `%g` writes it at shortest: `0.5`, `1e+06`, `NaN`, `+Inf`.
#[must_use]
pub fn print_number(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return print_decimal(value) };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => print_decimal(value),
    }
}

/// A number without exponent, in as few digits as tell it apart.
#[must_use]
pub fn print_decimal(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        format!("{value}")
    }
}

#[cfg(test)]
mod tests;
