//! Times by Go's layouts: read and printed as Go's `time` package and Promtail's timestamp stage do.
//!
//! Parts: [`Layout`] (parsed once, then [`Layout::read`] and [`Layout::print`]), [`rfc3339_nano`] (the fast
//! path of every CRI line) and [`RecentMinute`] (the faster one of a source's next line). Below: `chunk` (a layout's parts), `read`, `print`, `civil` (dates to seconds).
//!
//! A layout without a year takes the year of `now`, corrected around New Year. Limits: what a
//! [`Timestamp`] holds, years 1678 to 2261. Must not do: read a clock or the machine's time zone.

use jiff::tz::TimeZone;
use proto_model::Timestamp;

pub use crate::fault::TimeFault;

use self::chunk::Chunk;
pub use self::recent::RecentMinute;
pub use self::rfc3339::rfc3339_nano;

pub(crate) mod chunk;
pub(crate) mod civil;
mod print;
mod read;
mod recent;
mod rfc3339;

/// A way to write a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    source: String,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// Seconds since 1970, with a fraction allowed.
    Unix,
    /// A whole number of units of this many nanoseconds since 1970.
    Units(i64),
    /// Parts between literal text.
    Parts { chunks: Vec<Chunk>, has_year: bool },
}

/// Names that stand for a layout.
const NAMED: [(&str, &str); 10] = [
    ("ANSIC", "Mon Jan _2 15:04:05 2006"),
    ("UnixDate", "Mon Jan _2 15:04:05 MST 2006"),
    ("RubyDate", "Mon Jan 02 15:04:05 -0700 2006"),
    ("RFC822", "02 Jan 06 15:04 MST"),
    ("RFC822Z", "02 Jan 06 15:04 -0700"),
    ("RFC850", "Monday, 02-Jan-06 15:04:05 MST"),
    ("RFC1123", "Mon, 02 Jan 2006 15:04:05 MST"),
    ("RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700"),
    ("RFC3339", "2006-01-02T15:04:05Z07:00"),
    ("RFC3339Nano", "2006-01-02T15:04:05.999999999Z07:00"),
];

impl Layout {
    /// Takes a name (`ANSIC` to `RFC3339Nano`, `Unix`, `UnixMs`, `UnixUs`, `UnixNs`) or any Go layout.
    ///
    /// # Errors
    /// When no part of a time is in it: such a layout would give the same time for every line.
    pub fn parse(source: &str) -> Result<Self, TimeFault> {
        let form = match source {
            "Unix" => Form::Unix,
            "UnixMs" => Form::Units(1_000_000),
            "UnixUs" => Form::Units(1_000),
            "UnixNs" => Form::Units(1),
            _ => {
                let text = NAMED.iter().find(|(name, _)| *name == source).map_or(source, |(_, text)| text);
                let chunks = chunk::split(text);
                if !chunks.iter().any(Chunk::is_part) {
                    return Err(TimeFault::Layout(source.to_owned()));
                }
                let has_year = chunks.iter().any(|chunk| matches!(chunk, Chunk::LongYear | Chunk::Year));
                Form::Parts { chunks, has_year }
            }
        };
        Ok(Self { source: source.to_owned(), form })
    }

    /// The layout as it was given.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Reads `value`. `location` is where times without an offset were written, UTC if it is `None`;
    /// `now` gives the year where the layout has none.
    ///
    /// # Errors
    /// When `value` does not fit, or lies outside what a timestamp holds.
    pub fn read(&self, value: &str, location: Option<&TimeZone>, now: Timestamp) -> Result<Timestamp, TimeFault> {
        read::read(self, value, location, now)
    }

    /// Writes `at` as the clocks of `zone` show it.
    #[must_use]
    pub fn print(&self, at: Timestamp, zone: &TimeZone) -> String {
        print::print(self, at, zone)
    }
}

#[cfg(test)]
mod tests;
