//! Functions of numbers: conversions, sums, rounding, sizes and durations.
//!
//! Sums of integers wrap and sums of floats are exact in decimals where they are short, as in Sprig. Must not do: text.

use super::Param::{Any, Float, Int, Text};
use super::{Arguments, Entry, Outcome, pure, variadic};
use crate::quantity;
use crate::template::value::{Value, integer};
use crate::text::repaired;

pub(super) const TABLE: &[Entry] = &[
    pure("int", &[Any], |a| Ok(Value::Int(whole(a.any(0))))),
    pure("int64", &[Any], |a| Ok(Value::Int64(whole(a.any(0))))),
    pure("float64", &[Any], |a| Ok(Value::Float(float(a.any(0))))),
    variadic("add", &[], Any, |a| Ok(Value::Int64(a.values.iter().map(whole).fold(0, i64::wrapping_add)))),
    pure("sub", &[Any, Any], |a| Ok(Value::Int64(whole(a.any(0)).wrapping_sub(whole(a.any(1)))))),
    variadic("mul", &[Any], Any, |a| Ok(Value::Int64(a.values.iter().map(whole).fold(1, i64::wrapping_mul)))),
    pure("div", &[Any, Any], |a| divided(a, i64::wrapping_div)),
    pure("mod", &[Any, Any], |a| divided(a, i64::wrapping_rem)),
    variadic("addf", &[], Any, |a| Ok(folded(a, |x, y| x + y))),
    variadic("subf", &[Any], Any, |a| Ok(folded(a, |x, y| x - y))),
    variadic("mulf", &[Any], Any, |a| Ok(folded(a, |x, y| x * y))),
    variadic("divf", &[Any], Any, divf),
    variadic("max", &[Any], Any, |a| Ok(Value::Int64(a.values.iter().map(whole).max().unwrap_or(0)))),
    variadic("min", &[Any], Any, |a| Ok(Value::Int64(a.values.iter().map(whole).min().unwrap_or(0)))),
    variadic("maxf", &[Any], Any, |a| Ok(Value::Float(a.values.iter().map(float).fold(f64::NEG_INFINITY, f64::max)))),
    variadic("minf", &[Any], Any, |a| Ok(Value::Float(a.values.iter().map(float).fold(f64::INFINITY, f64::min)))),
    pure("ceil", &[Any], |a| Ok(Value::Float(float(a.any(0)).ceil()))),
    pure("floor", &[Any], |a| Ok(Value::Float(float(a.any(0)).floor()))),
    variadic("round", &[Any, Int], Float, |a| Ok(Value::Float(rounded(a)))),
    pure("bytes", &[Text], bytes),
    pure("duration", &[Text], seconds),
    pure("duration_seconds", &[Text], seconds),
];

/// What only Promtail's stages have.
pub(super) const PROMTAIL: &[Entry] = &[
    pure("add1f", &[Any], |a| Ok(Value::Float(decimal(float(a.any(0)) + 1.0)))),
    pure("duration", &[Any], |a| Ok(Value::text(spelled(whole(a.any(0)))))),
    pure("durationRound", &[Any], |a| Ok(Value::text(rounded_duration(a.any(0))))),
];

/// Whole seconds as Go prints a duration: `1h2m3s`.
fn spelled(seconds: i64) -> String {
    let (sign, all) = (if seconds < 0 { "-" } else { "" }, seconds.unsigned_abs());
    let (hours, minutes, seconds) = (all / 3_600, all / 60 % 60, all % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// A duration by its largest unit alone, as Sprig rounds.
fn rounded_duration(value: &Value<'_>) -> String {
    let ns = match value {
        Value::Text(text) => quantity::duration_ns(&repaired(text)).unwrap_or(0),
        Value::Int64(ns) => *ns,
        _ => 0,
    };
    let (sign, seconds) = (if ns < 0 { "-" } else { "" }, ns.unsigned_abs() / 1_000_000_000);
    const UNITS: [(u64, &str); 5] = [(31_536_000, "y"), (2_592_000, "mo"), (86_400, "d"), (3_600, "h"), (60, "m")];
    let unit = UNITS.into_iter().find(|(unit, _)| seconds >= *unit);
    unit.map_or_else(|| format!("{sign}{seconds}s"), |(unit, name)| format!("{sign}{}{name}", seconds / unit))
}

/// As Sprig's `int`: zero for what is no number.
pub(super) fn whole(value: &Value<'_>) -> i64 {
    match value {
        Value::Int(value) | Value::Int64(value) => *value,
        Value::Bool(value) => i64::from(*value),
        #[expect(clippy::cast_possible_truncation, reason = "as Go converts")]
        Value::Float(value) => *value as i64,
        Value::Text(text) => {
            let text = repaired(text);
            // "3.00" is an integer to Sprig, "3.5" is none.
            let trimmed = text.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|b| b == b'0')).map_or(&*text, |(whole, _)| whole);
            integer(trimmed).unwrap_or(0)
        }
        Value::Nil | Value::Time(..) | Value::List(_) | Value::Map(_) | Value::Record => 0,
    }
}

/// As Sprig's `float64`: zero for what is no number.
#[expect(clippy::cast_precision_loss, reason = "as Go converts")]
fn float(value: &Value<'_>) -> f64 {
    match value {
        Value::Int(value) | Value::Int64(value) => *value as f64,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Float(value) => *value,
        Value::Text(text) => quantity::float(&repaired(text)).unwrap_or(0.0),
        Value::Nil | Value::Time(..) | Value::List(_) | Value::Map(_) | Value::Record => 0.0,
    }
}

fn divided(a: &Arguments<'_, '_>, divide: fn(i64, i64) -> i64) -> Outcome {
    match whole(a.any(1)) {
        0 => Err("runtime error: integer divide by zero".to_owned()),
        by => Ok(Value::Int64(divide(whole(a.any(0)), by))),
    }
}

/// Decimals, as Sprig computes: what binary floats add at the sixteenth digit is dropped.
fn decimal(value: f64) -> f64 {
    format!("{value:.14e}").parse().unwrap_or(value)
}

fn folded(a: &Arguments<'_, '_>, join: fn(f64, f64) -> f64) -> Value<'static> {
    Value::Float(decimal(a.values.iter().map(float).reduce(join).unwrap_or(0.0)))
}

fn divf(a: &Arguments<'_, '_>) -> Outcome {
    if a.values.iter().skip(1).any(|by| float(by) == 0.0) {
        return Err("decimal division by 0".to_owned());
    }
    Ok(Value::Float(a.values.iter().map(float).reduce(|x, y| x / y).unwrap_or(0.0)))
}

fn rounded(a: &Arguments<'_, '_>) -> f64 {
    let up_from = if a.values.len() > 2 { float(a.any(2)) } else { 0.5 };
    let places = i32::try_from(a.int(1)).unwrap_or(0);
    let scale = 10_f64.powi(places);
    let scaled = scale * float(a.any(0));
    let whole = if scaled.fract() >= up_from { scaled.ceil() } else { scaled.floor() };
    whole / scale
}

#[expect(clippy::cast_precision_loss, reason = "as Loki converts")]
fn bytes(a: &Arguments<'_, '_>) -> Outcome {
    quantity::bytes(&a.text(0)).map(|bytes| Value::Float(bytes as f64))
}

fn seconds(a: &Arguments<'_, '_>) -> Outcome {
    quantity::duration_ns(&a.text(0)).map(|ns| Value::Float(quantity::seconds(ns)))
}
