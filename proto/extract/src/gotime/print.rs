//! A timestamp written by a layout, as Go's `Time.Format` does.
//!
//! Parts: [`print()`], then one function per kind of part. Must not do: fail; every timestamp can be written.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use proto_model::Timestamp;

use super::chunk::{Chunk, Offset};
use super::civil::Civil;
use super::read::{MONTHS, WEEKDAYS};
use super::{Form, Layout};

/// A timestamp taken apart as the clocks of a zone show it.
struct Shown {
    date: Civil,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    offset: i64,
    abbreviation: String,
}

pub(super) fn print(layout: &Layout, at: Timestamp, zone: &TimeZone) -> String {
    let nanos = at.nanos();
    match &layout.form {
        Form::Unix => nanos.div_euclid(1_000_000_000).to_string(),
        Form::Units(unit) => nanos.div_euclid(*unit).to_string(),
        Form::Parts { chunks, .. } => {
            let shown = shown(nanos, zone);
            let mut out = String::with_capacity(32);
            chunks.iter().for_each(|chunk| write_chunk(&mut out, chunk, &shown));
            out
        }
    }
}

fn shown(nanos: i64, zone: &TimeZone) -> Shown {
    let seconds = nanos.div_euclid(1_000_000_000);
    // Every timestamp of ours lies inside jiff's range.
    let (offset, abbreviation) = jiff::Timestamp::from_second(seconds).map_or((0, String::from("UTC")), |at| {
        let info = zone.to_offset_info(at);
        (i64::from(info.offset().seconds()), info.abbreviation().to_owned())
    });
    let clock = seconds + offset;
    let time = clock.rem_euclid(86_400);
    Shown {
        date: Civil::of_days(clock.div_euclid(86_400)),
        hour: time / 3600,
        minute: time / 60 % 60,
        second: time % 60,
        nanos: nanos.rem_euclid(1_000_000_000),
        offset,
        abbreviation,
    }
}

fn write_chunk(out: &mut String, chunk: &Chunk, at: &Shown) {
    let month = MONTHS[usize::try_from(at.date.month - 1).unwrap_or_default()];
    let weekday = WEEKDAYS[at.date.weekday];
    let hour12 = if at.hour % 12 == 0 { 12 } else { at.hour % 12 };
    match chunk {
        Chunk::Literal(text) => out.push_str(text),
        Chunk::LongYear => padded(out, at.date.year, 4, '0'),
        Chunk::Year => padded(out, at.date.year % 100, 2, '0'),
        Chunk::LongMonth => out.push_str(month),
        Chunk::Month => out.push_str(&month[..3]),
        Chunk::ZeroMonth => padded(out, at.date.month, 2, '0'),
        Chunk::NumMonth => padded(out, at.date.month, 1, '0'),
        Chunk::LongWeekday => out.push_str(weekday),
        Chunk::Weekday => out.push_str(&weekday[..3]),
        Chunk::ZeroDay => padded(out, at.date.day, 2, '0'),
        Chunk::UnderDay => padded(out, at.date.day, 2, ' '),
        Chunk::Day => padded(out, at.date.day, 1, '0'),
        Chunk::ZeroYearDay => padded(out, at.date.day_of_year, 3, '0'),
        Chunk::UnderYearDay => padded(out, at.date.day_of_year, 3, ' '),
        Chunk::Hour => padded(out, at.hour, 2, '0'),
        Chunk::ZeroHour12 => padded(out, hour12, 2, '0'),
        Chunk::Hour12 => padded(out, hour12, 1, '0'),
        Chunk::ZeroMinute => padded(out, at.minute, 2, '0'),
        Chunk::Minute => padded(out, at.minute, 1, '0'),
        Chunk::ZeroSecond => padded(out, at.second, 2, '0'),
        Chunk::Second => padded(out, at.second, 1, '0'),
        Chunk::UpperPm => out.push_str(if at.hour < 12 { "AM" } else { "PM" }),
        Chunk::LowerPm => out.push_str(if at.hour < 12 { "am" } else { "pm" }),
        Chunk::Abbreviation => out.push_str(&at.abbreviation),
        Chunk::Offset(form) => offset(out, *form, at.offset),
        Chunk::Fraction { comma, digits } => fraction(out, *comma, &format!("{:09}", at.nanos), *digits),
        Chunk::OpenFraction { comma, digits } => {
            let all = format!("{:09}", at.nanos);
            let shown = all[..(*digits).min(9)].trim_end_matches('0');
            if !shown.is_empty() {
                fraction(out, *comma, shown, shown.len());
            }
        }
    }
}

/// `number` with at least `width` places. Writing to a string cannot fail.
fn padded(out: &mut String, number: i64, width: usize, fill: char) {
    if fill == ' ' { write!(out, "{number:width$}") } else { write!(out, "{number:0width$}") }.unwrap_or_default();
}

fn fraction(out: &mut String, comma: bool, digits: &str, count: usize) {
    out.push(if comma { ',' } else { '.' });
    out.extend(digits.chars().chain(std::iter::repeat('0')).take(count));
}

fn offset(out: &mut String, form: Offset, seconds: i64) {
    if form.zulu && seconds == 0 {
        return out.push('Z');
    }
    // Go counts whole minutes first: less than one minute west is written +00:00.
    let minutes = seconds / 60;
    out.push(if minutes < 0 { '-' } else { '+' });
    let colon = if form.colons { ":" } else { "" };
    padded(out, minutes.abs() / 60, 2, '0');
    if form.minutes {
        out.push_str(colon);
        padded(out, minutes.abs() % 60, 2, '0');
    }
    if form.seconds {
        out.push_str(colon);
        padded(out, seconds.abs() % 60, 2, '0');
    }
}
