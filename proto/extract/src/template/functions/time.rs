//! Functions of times.
//!
//! Times without a zone are UTC: a hub and an edge run in containers, and Go's `Local` is UTC there. Must not do: read a
//! clock; `now` is the time of the record.

use jiff::tz::TimeZone;
use proto_model::Timestamp;

use super::Param::{Any, Text, Time};
use super::{Arguments, Entry, Outcome, pure};
use crate::gotime::Layout;
use crate::template::value::{Value, ZERO_TIME, ZERO_TIME_SECONDS};

pub(super) const TABLE: &[Entry] = &[
    pure("now", &[], |a| Ok(Value::Time(a.now, TimeZone::UTC))),
    pure("date", &[Text, Any], date),
    pure("toDate", &[Text, Text], |a| Ok(Value::Time(read(&a.text(0), &a.text(1), &TimeZone::UTC, a.now), TimeZone::UTC))),
    pure("toDateInZone", &[Text, Text, Text], to_date_in_zone),
    pure("unixEpoch", &[Time], |a| since_1970(a, 1_000_000_000)),
    pure("unixEpochMillis", &[Time], |a| since_1970(a, 1_000_000)),
    pure("unixEpochNanos", &[Time], |a| since_1970(a, 1)),
    pure("unixToTime", &[Text], unix_to_time),
];

/// What only Promtail's stages have.
pub(super) const PROMTAIL: &[Entry] = &[
    pure("htmlDate", &[Any], |a| Ok(Value::text(printed("2006-01-02", at(a, 0), "UTC")))),
    pure("htmlDateInZone", &[Any, Text], |a| Ok(Value::text(printed("2006-01-02", at(a, 0), &a.text(1))))),
    pure("dateInZone", &[Text, Any, Text], |a| Ok(Value::text(printed(&a.text(0), at(a, 1), &a.text(2))))),
    pure("date_in_zone", &[Text, Any, Text], |a| Ok(Value::text(printed(&a.text(0), at(a, 1), &a.text(2))))),
    pure("dateModify", &[Text, Time], |a| Ok(moved(a).unwrap_or_else(|_| a.any(1).clone().owned()))),
    pure("date_modify", &[Text, Time], |a| Ok(moved(a).unwrap_or_else(|_| a.any(1).clone().owned()))),
    pure("mustDateModify", &[Text, Time], moved),
    pure("must_date_modify", &[Text, Time], moved),
    pure("mustToDate", &[Text, Text], |a| {
        let time = Layout::parse(&a.text(0)).and_then(|layout| layout.read(&a.text(1), Some(&TimeZone::UTC), a.now)).map_err(|fault| fault.to_string())?;
        Ok(Value::Time(time, TimeZone::UTC))
    }),
];

/// A time, or seconds since 1970; of anything else the time of the record.
fn at(a: &Arguments<'_, '_>, place: usize) -> Timestamp {
    match a.any(place) {
        Value::Time(time, _) => *time,
        Value::Int(seconds) | Value::Int64(seconds) => Timestamp(seconds.saturating_mul(1_000_000_000)),
        _ => a.now,
    }
}

fn printed(layout: &str, time: Timestamp, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    Layout::parse(layout).map_or_else(|_| layout.to_owned(), |layout| layout.print(time, &zone))
}

fn moved(a: &Arguments<'_, '_>) -> Outcome {
    let by = crate::quantity::duration_ns(&a.text(0))?;
    let (time, zone) = a.time(1);
    Ok(Value::Time(if time == ZERO_TIME { time } else { Timestamp(time.nanos().saturating_add(by)) }, zone))
}

fn date(a: &Arguments<'_, '_>) -> Outcome {
    let time = match a.any(1) {
        Value::Time(time, _) => *time,
        Value::Int(seconds) | Value::Int64(seconds) => Timestamp(seconds.saturating_mul(1_000_000_000)),
        _ => a.now,
    };
    let layout = a.text(0);
    Ok(Value::text(Layout::parse(&layout).map_or_else(|_| layout.clone().into_owned(), |layout| layout.print(time, &TimeZone::UTC))))
}

/// What cannot be read is Go's zero time.
fn read(layout: &str, text: &str, zone: &TimeZone, now: Timestamp) -> Timestamp {
    Layout::parse(layout).and_then(|layout| layout.read(text, Some(zone), now)).unwrap_or(ZERO_TIME)
}

/// Whole units of so many nanoseconds since 1970.
fn since_1970(a: &Arguments<'_, '_>, unit_ns: i64) -> Outcome {
    let time = a.time(0).0;
    let units =
        if time == ZERO_TIME { i128::from(ZERO_TIME_SECONDS) * 1_000_000_000 / i128::from(unit_ns) } else { i128::from(time.nanos().div_euclid(unit_ns)) };
    // Go lets what does not fit wrap around.
    #[expect(clippy::cast_possible_truncation, reason = "as Go's UnixNano")]
    let wrapped = units as i64;
    Ok(Value::text(wrapped.to_string()))
}

fn to_date_in_zone(a: &Arguments<'_, '_>) -> Outcome {
    let zone = if a.text(1).is_empty() { TimeZone::UTC } else { TimeZone::get(&a.text(1)).unwrap_or(TimeZone::UTC) };
    Ok(Value::Time(read(&a.text(0), &a.text(2), &zone, a.now), zone))
}

/// By the number of digits: days, seconds, milliseconds, microseconds or nanoseconds.
fn unix_to_time(a: &Arguments<'_, '_>) -> Outcome {
    let text = a.text(0);
    let number: i64 =
        text.parse().map_err(|_| format!("unable to parse time '{text}': strconv.ParseInt: parsing {}: invalid syntax", proto_model::labels::quoted(&text)))?;
    let scale = match text.len() {
        5 => 86_400_000_000_000,
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => return Err(format!("unable to parse time '{text}': timestamp not valid")),
    };
    Ok(Value::Time(Timestamp(number.saturating_mul(scale)), TimeZone::UTC))
}
