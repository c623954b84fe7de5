//! What a template computes with.
//!
//! Parts: [`Value`] (truth, kind, printing), [`Number`] (a constant as written), [`equal`] and [`less`] (Go's comparisons).
//! Text is bytes, since Go's functions may cut inside a letter; it is repaired when it is printed. Must not do: read records.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use jiff::tz::TimeZone;
use proto_model::Timestamp;

use crate::gofloat::format_g;
use crate::gotime::Layout;

/// A value of a pipe.
#[derive(Debug, Clone)]
pub(super) enum Value<'v> {
    /// No value: a missing key, `nil`, a null of JSON.
    Nil,
    Bool(bool),
    /// Go's `int`.
    Int(i64),
    /// Go's `int64`, which prints and compares alike.
    Int64(i64),
    Float(f64),
    Text(Cow<'v, [u8]>),
    Time(Timestamp, TimeZone),
    List(Arc<Vec<Value<'static>>>),
    Map(Arc<BTreeMap<String, Value<'static>>>),
    /// The record itself, as `.` is at first.
    Record,
}

/// Stands for Go's zero time, the beginning of year 1, which a timestamp does not reach.
pub(super) const ZERO_TIME: Timestamp = Timestamp(i64::MIN);
/// Its seconds since 1970.
pub(super) const ZERO_TIME_SECONDS: i64 = -62_135_596_800;

/// How Go prints a time by default.
static TIME_LAYOUT: LazyLock<Option<Layout>> = LazyLock::new(|| Layout::parse("2006-01-02 15:04:05.999999999 -0700 MST").ok());

impl<'v> Value<'v> {
    /// A text that was computed.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into().into_bytes()))
    }

    /// Go's name of its type; `record` is that of the record.
    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Time(..) => "time.Time",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Record => "map[string]string",
        }
    }

    /// Whether `if` takes it: no zero, no empty text, list or map.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Int64(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Time(..) | Self::Record => true,
            Self::List(values) => !values.is_empty(),
            Self::Map(values) => !values.is_empty(),
        }
    }

    /// It without what it borrows.
    pub(super) fn owned(self) -> Value<'static> {
        match self {
            Self::Nil => Value::Nil,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Int64(value) => Value::Int64(value),
            Self::Float(value) => Value::Float(value),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Time(time, zone) => Value::Time(time, zone),
            Self::List(values) => Value::List(values),
            Self::Map(values) => Value::Map(values),
            Self::Record => Value::Record,
        }
    }

    /// As Go's `%v` prints it.
    pub(super) fn print(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nil | Self::Record => out.extend_from_slice(b"<nil>"),
            Self::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Self::Int(value) | Self::Int64(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Self::Float(value) => out.extend_from_slice(format_g(*value).as_bytes()),
            Self::Text(text) => out.extend_from_slice(text),
            Self::Time(time, zone) => out.extend_from_slice(printed_time(*time, zone).as_bytes()),
            Self::List(values) => {
                out.push(b'[');
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        out.push(b' ');
                    }
                    value.print(out);
                }
                out.push(b']');
            }
            Self::Map(values) => {
                print_map(values.iter().map(|(name, value)| (name.as_str(), value)), out);
            }
        }
    }
}

/// `map[a:1 b:2]`.
pub(super) fn print_map<'m, 'v: 'm>(pairs: impl Iterator<Item = (&'m str, &'m Value<'v>)>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"map[");
    for (at, (name, value)) in pairs.enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        value.print(out);
    }
    out.push(b']');
}

fn printed_time(time: Timestamp, zone: &TimeZone) -> String {
    if time == ZERO_TIME {
        return "0001-01-01 00:00:00 +0000 UTC".to_owned();
    }
    TIME_LAYOUT.as_ref().map_or_else(|| time.to_string(), |layout| layout.print(time, zone))
}

/// A constant: what it can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    pub(super) int: Option<i64>,
    pub(super) float: Option<f64>,
    /// Whether it is an integer where any value will do.
    pub(super) is_int: bool,
}

impl Number {
    /// Reads a constant as Go's templates do; `None` when it is none.
    pub(super) fn read(written: &str) -> Option<Self> {
        if let Some(quoted) = written.strip_prefix('\'') {
            let value = super::lex::unescaped(quoted.strip_suffix('\'')?)?;
            let mut chars = value.chars();
            let (Some(c), None) = (chars.next(), chars.next()) else { return None };
            return Some(Self { int: Some(i64::from(c as u32)), float: Some(f64::from(c as u32)), is_int: true });
        }
        let int = integer(written);
        let plain = written.replace('_', "");
        let hexadecimal = written.trim_start_matches(['+', '-']).starts_with(['0']) && written.contains(['x', 'X']);
        #[expect(clippy::cast_precision_loss, reason = "as Go converts an integer constant")]
        let float = match int {
            Some(int) => Some(int as f64),
            None if hexadecimal => crate::quantity::float(&plain).ok(),
            None => plain.parse().ok().filter(|_| plain.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))),
        };
        let whole = float.filter(|value: &f64| value.fract() == 0.0 && value.abs() < 9e18);
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
        let int = int.or(whole.map(|value| value as i64));
        float.map(|_| Self { int, float, is_int: integer(written).is_some() })
    }

    /// As an argument that may be anything.
    pub(super) fn value(self) -> Option<Value<'static>> {
        if self.is_int { self.int.map(Value::Int) } else { self.float.map(Value::Float) }
    }
}

/// An integer with Go's prefixes and underscores.
pub(super) fn integer(written: &str) -> Option<i64> {
    let (negative, digits) = match written.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, written.strip_prefix('+').unwrap_or(written)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let digits = digits.replace('_', "");
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(&if negative { format!("-{digits}") } else { digits }, radix).ok()
}

/// The kinds that Go's templates compare.
#[derive(PartialEq)]
enum Basic {
    Bool,
    Int,
    Float,
    Text,
}

const fn basic(value: &Value<'_>) -> Option<Basic> {
    match value {
        Value::Bool(_) => Some(Basic::Bool),
        Value::Int(_) | Value::Int64(_) => Some(Basic::Int),
        Value::Float(_) => Some(Basic::Float),
        Value::Text(_) => Some(Basic::Text),
        Value::Nil | Value::Time(..) | Value::List(_) | Value::Map(_) | Value::Record => None,
    }
}

const BAD_TYPE: &str = "invalid type for comparison";

fn incompatible(a: &Value<'_>, b: &Value<'_>) -> String {
    format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name())
}

/// Go's `eq` of two values.
pub(super) fn equal(a: &Value<'_>, b: &Value<'_>) -> Result<bool, String> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a) | Value::Int64(a), Value::Int(b) | Value::Int64(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Text(a), Value::Text(b)) => Ok(a == b),
        (Value::Time(a, _), Value::Time(b, _)) => Ok(a == b),
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::List(_), Value::List(_)) | (Value::Map(_) | Value::Record, Value::Map(_) | Value::Record) => {
            Err(format!("non-comparable type {}", a.type_name()))
        }
        _ => Err(incompatible(a, b)),
    }
}

/// Go's `lt` and its kin: how `a` stands to `b`; `None` where a NaN is among them.
pub(super) fn compare(a: &Value<'_>, b: &Value<'_>) -> Result<Option<Ordering>, String> {
    let (Some(kind), Some(other)) = (basic(a), basic(b)) else { return Err(BAD_TYPE.to_owned()) };
    match (a, b) {
        (Value::Int(a) | Value::Int64(a), Value::Int(b) | Value::Int64(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        _ if kind == other => Err(BAD_TYPE.to_owned()),
        _ => Err(incompatible(a, b)),
    }
}
