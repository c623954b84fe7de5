//! A Go layout as a list of parts: which letters of the reference time mean what.
//!
//! Parts: [`Chunk`], [`split`]. The reference time is `Mon Jan 2 15:04:05 MST 2006`; a layout writes it in the
//! form wanted, everything that is no part of it is literal text. Must not do: read or print times.

/// One part of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// Text that stands for itself.
    Literal(String),
    /// `2006`
    LongYear,
    /// `06`
    Year,
    /// `January`
    LongMonth,
    /// `Jan`
    Month,
    /// `01`
    ZeroMonth,
    /// `1`
    NumMonth,
    /// `Monday`
    LongWeekday,
    /// `Mon`
    Weekday,
    /// `02`
    ZeroDay,
    /// `_2`
    UnderDay,
    /// `2`
    Day,
    /// `002`
    ZeroYearDay,
    /// `__2`
    UnderYearDay,
    /// `15`
    Hour,
    /// `03`
    ZeroHour12,
    /// `3`
    Hour12,
    /// `04`
    ZeroMinute,
    /// `4`
    Minute,
    /// `05`
    ZeroSecond,
    /// `5`
    Second,
    /// `PM`
    UpperPm,
    /// `pm`
    LowerPm,
    /// `MST`
    Abbreviation,
    /// `-07:00`, `Z0700` and the like.
    Offset(Offset),
    /// `.000` or `,000`: as many digits as written.
    Fraction { comma: bool, digits: usize },
    /// `.999` or `,999`: any digits, printed without trailing zeros.
    OpenFraction { comma: bool, digits: usize },
}

/// A numeric offset from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offset {
    /// Whether UTC is written `Z`.
    pub(crate) zulu: bool,
    /// Whether minutes follow, and whether seconds do.
    pub(crate) minutes: bool,
    pub(crate) seconds: bool,
    /// Whether colons stand between them.
    pub(crate) colons: bool,
}

impl Chunk {
    pub(crate) const fn is_part(&self) -> bool {
        !matches!(self, Self::Literal(_))
    }

    pub(crate) const fn is_fraction(&self) -> bool {
        matches!(self, Self::Fraction { .. } | Self::OpenFraction { .. })
    }
}

/// The parts of `layout` in order; literals lie only between parts.
pub(crate) fn split(layout: &str) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut literal = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        let Some((chunk, length)) = part(rest) else {
            // `_2006` is a literal underscore and a year, so `_` must not be tried with what follows.
            literal.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        if !literal.is_empty() {
            chunks.push(Chunk::Literal(std::mem::take(&mut literal)));
        }
        chunks.push(chunk);
        rest = &rest[length..];
    }
    if !literal.is_empty() {
        chunks.push(Chunk::Literal(literal));
    }
    chunks
}

/// Parts written by fixed text; where one begins with another the longer one comes first.
const FIXED: [(&str, Chunk); 31] = [
    ("January", Chunk::LongMonth),
    ("Monday", Chunk::LongWeekday),
    ("MST", Chunk::Abbreviation),
    ("01", Chunk::ZeroMonth),
    ("002", Chunk::ZeroYearDay),
    ("02", Chunk::ZeroDay),
    ("03", Chunk::ZeroHour12),
    ("04", Chunk::ZeroMinute),
    ("05", Chunk::ZeroSecond),
    ("06", Chunk::Year),
    ("15", Chunk::Hour),
    ("1", Chunk::NumMonth),
    ("2006", Chunk::LongYear),
    ("2", Chunk::Day),
    ("__2", Chunk::UnderYearDay),
    ("_2", Chunk::UnderDay),
    ("3", Chunk::Hour12),
    ("4", Chunk::Minute),
    ("5", Chunk::Second),
    ("PM", Chunk::UpperPm),
    ("pm", Chunk::LowerPm),
    ("-070000", offset(false, true, true, false)),
    ("-07:00:00", offset(false, true, true, true)),
    ("-0700", offset(false, true, false, false)),
    ("-07:00", offset(false, true, false, true)),
    ("-07", offset(false, false, false, false)),
    ("Z070000", offset(true, true, true, false)),
    ("Z07:00:00", offset(true, true, true, true)),
    ("Z0700", offset(true, true, false, false)),
    ("Z07:00", offset(true, true, false, true)),
    ("Z07", offset(true, false, false, false)),
];

#[expect(clippy::fn_params_excessive_bools, reason = "a row of the table above, nowhere else called")]
const fn offset(zulu: bool, minutes: bool, seconds: bool, colons: bool) -> Chunk {
    Chunk::Offset(Offset { zulu, minutes, seconds, colons })
}

/// The part that `text` begins with, and its length.
fn part(text: &str) -> Option<(Chunk, usize)> {
    if text.starts_with(['.', ',']) {
        return fraction(text);
    }
    if text.starts_with("_2006") {
        return None;
    }
    // Short names are words of their own: `Month` and `Janet` hold none.
    for (name, chunk) in [("Jan", Chunk::Month), ("Mon", Chunk::Weekday)] {
        if let Some(rest) = text.strip_prefix(name)
            && !rest.starts_with(|c: char| c.is_ascii_lowercase())
        {
            return Some((chunk, name.len()));
        }
    }
    FIXED.iter().find(|(name, _)| text.starts_with(name)).map(|(name, chunk)| (chunk.clone(), name.len()))
}

/// `.000` or `.999`, with a point or comma, not followed by another digit.
fn fraction(text: &str) -> Option<(Chunk, usize)> {
    let (mark, rest) = text.as_bytes().split_first()?;
    let digit = *rest.first()?;
    if digit != b'0' && digit != b'9' {
        return None;
    }
    let digits = rest.iter().take_while(|b| **b == digit).count();
    if rest.get(digits).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let comma = *mark == b',';
    let chunk = if digit == b'0' { Chunk::Fraction { comma, digits } } else { Chunk::OpenFraction { comma, digits } };
    Some((chunk, digits + 1))
}
