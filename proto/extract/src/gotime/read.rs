//! A text read by a layout, as Go's `time.ParseInLocation` and Promtail's timestamp stage do.
//!
//! Parts: [`read`], [`Fields`] (what the text said), [`Reader`] (one part after another), then fields to a
//! timestamp: year, day, zone. Must not do: accept what Go refuses; day names are checked to be names, not to be right.

use jiff::tz::TimeZone;
use proto_model::Timestamp;

use super::chunk::{Chunk, Offset};
use super::civil::{self, Civil};
use super::{Form, Layout};
use crate::fault::TimeFault;

pub(crate) const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
pub(crate) const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const NANOS_PER_SECOND: i64 = 1_000_000_000;

pub(super) fn read(layout: &Layout, value: &str, location: Option<&TimeZone>, now: Timestamp) -> Result<Timestamp, TimeFault> {
    let fault = |rest: &str, reason| TimeFault::Value { value: cut(value), layout: layout.source.clone(), rest: cut(rest), reason };
    let range = || TimeFault::Range(cut(value));
    match &layout.form {
        Form::Unix => unix(value).ok_or_else(|| fault(value, "seconds since 1970 are wanted, with or without a fraction"))?.ok_or_else(range),
        Form::Units(unit) => {
            let count: i64 = value.parse().map_err(|_| fault(value, "a whole number is wanted"))?;
            count.checked_mul(*unit).map(Timestamp).ok_or_else(range)
        }
        Form::Parts { chunks, has_year } => {
            let mut reader = Reader { rest: value, fields: Fields::default() };
            reader.run(chunks).map_err(|reason| fault(reader.rest, reason))?;
            let mut fields = reader.fields;
            fields.settle_day().map_err(|reason| fault("", reason))?;
            if !has_year {
                fields.year = year_near(now, location, fields.month.unwrap_or(1));
            }
            fields.timestamp(location).ok_or_else(range)
        }
    }
}

/// At most 64 characters of `text`, for a fault.
fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

/// `seconds[.fraction]`; the inner `None` where no timestamp holds it.
fn unix(value: &str) -> Option<Option<Timestamp>> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let seconds: i64 = whole.parse().ok()?;
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos = nanos_of(fraction.as_bytes());
    let nanos = if whole.starts_with('-') { -nanos } else { nanos };
    Some(seconds.checked_mul(NANOS_PER_SECOND).and_then(|sum| sum.checked_add(nanos)).map(Timestamp))
}

/// Nanoseconds of the digits after a decimal point; those after the ninth are dropped.
fn nanos_of(digits: &[u8]) -> i64 {
    (0..9).fold(0, |sum, place| sum * 10 + digits.get(place).map_or(0, |digit| i64::from(digit - b'0')))
}

/// The year of `now` for a time in `month`, or the one beside it around New Year.
fn year_near(now: Timestamp, location: Option<&TimeZone>, month: i64) -> i64 {
    let seconds = now.nanos().div_euclid(NANOS_PER_SECOND);
    let offset = location.map_or(0, |zone| offset_at(zone, seconds));
    let today = Civil::of_days((seconds + offset).div_euclid(86_400));
    match (month, today.month) {
        (12, 1) => today.year - 1,
        (1, 12) => today.year + 1,
        _ => today.year,
    }
}

/// Seconds east of UTC in `zone` at `seconds` since 1970.
fn offset_at(zone: &TimeZone, seconds: i64) -> i64 {
    jiff::Timestamp::from_second(seconds).map_or(0, |at| i64::from(zone.to_offset(at).seconds()))
}

/// What a text said about a time.
#[derive(Debug, Default)]
struct Fields {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    /// Whether the hour is after noon, where the text said so.
    afternoon: Option<bool>,
    /// Whether UTC was written by name or by `Z`; it beats an offset, which beats another name.
    utc: bool,
    /// Seconds east of UTC.
    offset: Option<i64>,
    abbreviation: Option<String>,
}

impl Fields {
    /// Makes month and day whole: from the day of the year, or the first where the layout has none.
    fn settle_day(&mut self) -> Result<(), &'static str> {
        if let Some(of_year) = self.day_of_year {
            if of_year < 1 || of_year > 365 + i64::from(civil::is_leap(self.year)) {
                return Err("day-of-year out of range");
            }
            let date = Civil::of_days(civil::days(self.year, 1, of_year));
            if self.month.is_some_and(|month| month != date.month) {
                return Err("day-of-year does not match month");
            }
            if self.day.is_some_and(|day| day != date.day) {
                return Err("day-of-year does not match day");
            }
            (self.month, self.day) = (Some(date.month), Some(date.day));
        }
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        if day < 1 || day > civil::days_in_month(self.year, month) {
            return Err("day out of range");
        }
        match self.afternoon {
            Some(true) if self.hour < 12 => self.hour += 12,
            Some(false) if self.hour == 12 => self.hour = 0,
            Some(_) | None => {}
        }
        Ok(())
    }

    /// The timestamp; `None` when it lies outside what one holds.
    fn timestamp(&self, location: Option<&TimeZone>) -> Option<Timestamp> {
        let days = civil::days(self.year, self.month.unwrap_or(1), self.day.unwrap_or(1));
        let clock = days * 86_400 + self.hour * 3600 + self.minute * 60 + self.second;
        let offset = match (self.utc, self.offset, &self.abbreviation, location) {
            (false, Some(offset), _, _) => offset,
            // A name that the location does not know says nothing: the clock is taken as UTC, as Go does.
            (false, None, Some(name), Some(zone)) => named_offset(zone, clock, name).unwrap_or(0),
            (false, None, None, Some(zone)) => local_offset(zone, clock),
            (true, ..) | (_, _, _, None) => 0,
        };
        (clock - offset).checked_mul(NANOS_PER_SECOND)?.checked_add(self.nanos).map(Timestamp)
    }
}

/// Seconds east of UTC of `zone` when its clocks show `clock`. Near a change Go's rule: the offset in force at the
/// instant one gets by the offset that is in force when UTC's clocks show `clock`.
fn local_offset(zone: &TimeZone, clock: i64) -> i64 {
    offset_at(zone, clock - offset_at(zone, clock))
}

/// Seconds east of UTC of what `zone` calls `name`, near the time its clocks show `clock`: one in force then, else any it
/// had or will have within a few changes.
fn named_offset(zone: &TimeZone, clock: i64, name: &str) -> Option<i64> {
    const CHANGES: usize = 4;
    let at = jiff::Timestamp::from_second(clock).ok()?;
    let info = zone.to_offset_info(at);
    let mut offsets = vec![];
    if info.abbreviation() == name {
        offsets.push(i64::from(info.offset().seconds()));
    }
    for change in zone.preceding(at).take(CHANGES).chain(zone.following(at).take(CHANGES)) {
        if change.abbreviation() == name {
            offsets.push(i64::from(change.offset().seconds()));
        }
    }
    let in_force = offsets.iter().copied().find(|offset| offset_at(zone, clock - offset) == *offset);
    in_force.or_else(|| offsets.first().copied())
}

/// Reads a text part by part; on a fault `rest` is what could not be read.
struct Reader<'a> {
    rest: &'a str,
    fields: Fields,
}

type Read<T> = Result<T, &'static str>;

impl Reader<'_> {
    fn run(&mut self, chunks: &[Chunk]) -> Read<()> {
        for (place, chunk) in chunks.iter().enumerate() {
            let before = self.rest;
            let fraction_follows = chunks.get(place + 1).is_some_and(Chunk::is_fraction);
            if let Err(reason) = self.chunk(chunk, fraction_follows) {
                self.rest = before;
                return Err(reason);
            }
        }
        // Trailing spaces of a layout may be missing, other text may not be left.
        if self.rest.is_empty() { Ok(()) } else { Err("extra text") }
    }

    fn chunk(&mut self, chunk: &Chunk, fraction_follows: bool) -> Read<()> {
        match chunk {
            Chunk::Literal(text) => self.literal(text)?,
            Chunk::LongYear => self.fields.year = self.digits(4, 4)?,
            Chunk::Year => {
                let year = self.digits(2, 2)?;
                self.fields.year = year + if year >= 69 { 1900 } else { 2000 };
            }
            Chunk::LongMonth => self.fields.month = Some(self.name(&MONTHS, usize::MAX)? + 1),
            Chunk::Month => self.fields.month = Some(self.name(&MONTHS, 3)? + 1),
            Chunk::ZeroMonth | Chunk::NumMonth => {
                self.fields.month = Some(within(self.number(*chunk == Chunk::ZeroMonth)?, 1, 12, "month out of range")?);
            }
            Chunk::LongWeekday => drop(self.name(&WEEKDAYS, usize::MAX)?),
            Chunk::Weekday => drop(self.name(&WEEKDAYS, 3)?),
            Chunk::ZeroDay | Chunk::Day => self.fields.day = Some(self.number(*chunk == Chunk::ZeroDay)?),
            Chunk::UnderDay => {
                self.spaces(1);
                self.fields.day = Some(self.number(false)?);
            }
            Chunk::ZeroYearDay => self.fields.day_of_year = Some(self.digits(3, 3)?),
            Chunk::UnderYearDay => {
                self.spaces(2);
                self.fields.day_of_year = Some(self.digits(1, 3)?);
            }
            Chunk::Hour => self.fields.hour = within(self.number(false)?, 0, 23, "hour out of range")?,
            Chunk::ZeroHour12 | Chunk::Hour12 => {
                self.fields.hour = within(self.number(*chunk == Chunk::ZeroHour12)?, 0, 12, "hour out of range")?;
            }
            Chunk::ZeroMinute | Chunk::Minute => {
                self.fields.minute = within(self.number(*chunk == Chunk::ZeroMinute)?, 0, 59, "minute out of range")?;
            }
            Chunk::ZeroSecond | Chunk::Second => {
                self.fields.second = within(self.number(*chunk == Chunk::ZeroSecond)?, 0, 59, "second out of range")?;
                // A fraction may follow the seconds though the layout has none.
                if !fraction_follows {
                    self.open_fraction();
                }
            }
            Chunk::UpperPm => self.half(["AM", "PM"])?,
            Chunk::LowerPm => self.half(["am", "pm"])?,
            Chunk::Abbreviation => self.abbreviation()?,
            Chunk::Offset(offset) => self.offset(*offset)?,
            Chunk::Fraction { digits, .. } => self.fraction(*digits)?,
            Chunk::OpenFraction { .. } => self.open_fraction(),
        }
        Ok(())
    }

    /// Skips literal text. A run of spaces in it stands for any number of them, none too at the end of the text.
    fn literal(&mut self, text: &str) -> Read<()> {
        let mut text = text;
        while let Some(first) = text.chars().next() {
            if first == ' ' {
                if !self.rest.is_empty() && !self.rest.starts_with(' ') {
                    return Err("a space is wanted");
                }
                text = text.trim_start_matches(' ');
                self.rest = self.rest.trim_start_matches(' ');
                continue;
            }
            self.rest = self.rest.strip_prefix(first).ok_or("the layout's text is wanted")?;
            text = &text[first.len_utf8()..];
        }
        Ok(())
    }

    fn spaces(&mut self, most: usize) {
        for _ in 0..most {
            self.rest = self.rest.strip_prefix(' ').unwrap_or(self.rest);
        }
    }

    /// Takes `least` to `most` digits.
    fn digits(&mut self, least: usize, most: usize) -> Read<i64> {
        let length = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if length < least {
            return Err("digits are wanted");
        }
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        digits.parse().map_err(|_| "digits are wanted")
    }

    /// Takes two digits, or one unless `fixed`.
    fn number(&mut self, fixed: bool) -> Read<i64> {
        self.digits(if fixed { 2 } else { 1 }, 2)
    }

    /// Takes one of `names`, in any case, of which the first `length` letters are written.
    fn name(&mut self, names: &[&str], length: usize) -> Read<i64> {
        for (place, name) in names.iter().enumerate() {
            let name = &name[..length.min(name.len())];
            if let Some(head) = self.rest.get(..name.len())
                && head.eq_ignore_ascii_case(name)
            {
                self.rest = &self.rest[name.len()..];
                return i64::try_from(place).map_err(|_| "a name is wanted");
            }
        }
        Err("an English name is wanted")
    }

    fn half(&mut self, [before, after]: [&str; 2]) -> Read<()> {
        for (half, afternoon) in [(before, false), (after, true)] {
            if let Some(rest) = self.rest.strip_prefix(half) {
                self.rest = rest;
                self.fields.afternoon = Some(afternoon || self.fields.afternoon == Some(true));
                return Ok(());
            }
        }
        Err("AM or PM is wanted")
    }

    fn offset(&mut self, form: Offset) -> Read<()> {
        if form.zulu
            && let Some(rest) = self.rest.strip_prefix('Z')
        {
            self.rest = rest;
            self.fields.utc = true;
            return Ok(());
        }
        let sign = match self.rest.bytes().next() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err("an offset from UTC is wanted"),
        };
        self.rest = &self.rest[1..];
        let mut seconds = 3600 * within(self.digits(2, 2)?, 0, 24, "time zone offset hour out of range")?;
        for (wanted, unit, reason) in [(form.minutes, 60, "time zone offset minute out of range"), (form.seconds, 1, "time zone offset second out of range")] {
            if wanted {
                if form.colons {
                    self.rest = self.rest.strip_prefix(':').ok_or("a colon is wanted")?;
                }
                seconds += unit * within(self.digits(2, 2)?, 0, 60, reason)?;
            }
        }
        self.fields.offset = Some(sign * seconds);
        Ok(())
    }

    fn abbreviation(&mut self) -> Read<()> {
        if let Some(rest) = self.rest.strip_prefix("UTC") {
            self.rest = rest;
            self.fields.utc = true;
            return Ok(());
        }
        let length = abbreviation_length(self.rest.as_bytes()).ok_or("a time zone's abbreviation is wanted")?;
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.fields.abbreviation = Some(name.to_owned());
        Ok(())
    }

    fn fraction(&mut self, digits: usize) -> Read<()> {
        let rest = self.rest.as_bytes();
        let found = rest.get(1..=digits).filter(|found| matches!(rest[0], b'.' | b',') && found.iter().all(u8::is_ascii_digit));
        self.fields.nanos = nanos_of(found.ok_or("a fraction of a second is wanted")?);
        self.rest = &self.rest[digits + 1..];
        Ok(())
    }

    /// Takes a fraction of any length, if there is one.
    fn open_fraction(&mut self) {
        let Some(digits) = self.rest.strip_prefix(['.', ',']) else { return };
        let length = digits.bytes().take_while(u8::is_ascii_digit).count();
        if length > 0 {
            self.fields.nanos = nanos_of(&digits.as_bytes()[..length]);
            self.rest = &digits[length..];
        }
    }
}

fn within(value: i64, least: i64, most: i64, reason: &'static str) -> Read<i64> {
    if (least..=most).contains(&value) { Ok(value) } else { Err(reason) }
}

/// How many bytes at the start look like an abbreviation: three letters, four or five ending in T, some by name, `GMT+3`, `+03`.
fn abbreviation_length(text: &[u8]) -> Option<usize> {
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if let Some(rest) = text.strip_prefix(b"GMT") {
        return Some(3 + signed_length(rest));
    }
    if text.len() >= 3 && matches!(text[0], b'+' | b'-') {
        return Some(signed_length(text)).filter(|length| *length > 0);
    }
    match text.iter().take(6).take_while(|b| b.is_ascii_uppercase()).count() {
        3 => Some(3),
        4 if text[3] == b'T' || text.starts_with(b"WITA") => Some(4),
        5 if text[4] == b'T' => Some(5),
        _ => None,
    }
}

/// Length of a sign and a number up to 23; 0 for anything else.
fn signed_length(text: &[u8]) -> usize {
    let Some((b'+' | b'-', digits)) = text.split_first() else { return 0 };
    let length = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let hours = digits[..length].iter().fold(0_u32, |sum, digit| sum.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
    if length == 0 || hours > 23 { 0 } else { length + 1 }
}
