//! The level of a line, by the rules with which Loki makes `detected_level`.
//!
//! Parts: [`Level`], [`detect`] (labels, metadata, line), [`detected`] (the same with values that are no known
//! level kept), [`of_line`] (the line alone). A JSON line is asked for its level keys, else a line with a `=` for its logfmt keys; where
//! that names no level, the words in the line decide (`words`).
//!
//! Promises: one look at each byte per question, most lines need one or two questions; no allocation. Must not
//! do: know a tenant's own list of level fields; this is the default list.

use proto_model::Labels;

use crate::json::scan::{self, Kind};
use crate::limits::LEVEL_JSON_DEPTH_MAX;
use crate::logfmt;

mod words;

/// The levels `detected_level` can have, by rising urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Level {
    /// None was found.
    #[default]
    Unknown = 0,
    /// `trace`
    Trace = 1,
    /// `debug`
    Debug = 2,
    /// `info`
    Info = 3,
    /// `warn`
    Warn = 4,
    /// `error`
    Error = 5,
    /// `critical`
    Critical = 6,
    /// `fatal`
    Fatal = 7,
}

impl Level {
    /// All levels, by [`Level::code`].
    pub const ALL: [Self; 8] = [Self::Unknown, Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Critical, Self::Fatal];

    /// The value of `detected_level`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Fatal => "fatal",
        }
    }

    /// Its number in stored columns; never changes.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The level of `code`, if there is one.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The level that `word` names, in any case and with the usual abbreviations.
    #[must_use]
    pub fn named(word: &[u8]) -> Option<Self> {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let level = match word.first()? | 0x20 {
            b't' if is("trace") || is("trc") => Self::Trace,
            b'd' if is("debug") || is("dbg") => Self::Debug,
            b'i' if is("info") || is("inf") || is("information") => Self::Info,
            b'w' if is("warn") || is("wrn") || is("warning") => Self::Warn,
            b'e' if is("error") || is("err") => Self::Error,
            b'c' if is("critical") => Self::Critical,
            b'f' if is("fatal") => Self::Fatal,
            _ => return None,
        };
        Some(level)
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names under which labels, metadata and lines carry a level, the first one found counts.
pub const LEVEL_FIELDS: [&str; 14] = [
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
];

/// The level of a record: metadata `detected_level`, else a level label, else level metadata, else OTLP's
/// `severity_number`, else the line. A label's or metadata's value that is no known level gives [`Level::Unknown`].
#[must_use]
pub fn detect(labels: &Labels, metadata: &[(String, String)], line: &[u8]) -> Level {
    match carried(labels, metadata) {
        Some(Carried::Word(word)) => Level::named(word.as_bytes()).unwrap_or(Level::Unknown),
        Some(Carried::Level(level)) => level,
        None => of_line(line),
    }
}

/// The text Loki would give `detected_level`: as [`detect`], but a label's or metadata's value that is no known level is kept as it is.
#[must_use]
pub fn detected<'a>(labels: &'a Labels, metadata: &'a [(String, String)], line: &[u8]) -> &'a str {
    match carried(labels, metadata) {
        Some(Carried::Word(word)) => match Level::named(word.as_bytes()) {
            Some(level) => level.as_str(),
            None => word,
        },
        Some(Carried::Level(level)) => level.as_str(),
        None => of_line(line).as_str(),
    }
}

enum Carried<'a> {
    Word(&'a str),
    Level(Level),
}

/// What labels and metadata say.
fn carried<'a>(labels: &'a Labels, metadata: &'a [(String, String)]) -> Option<Carried<'a>> {
    let meta = |name: &str| metadata.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    if !metadata.is_empty()
        && let Some(word) = meta("detected_level")
    {
        return Some(Carried::Word(word));
    }
    let ranked = labels.iter().filter_map(|(name, word)| Some((place(name)?, word)));
    if let Some((_, word)) = ranked.min_by_key(|(place, _)| *place) {
        return Some(Carried::Word(word));
    }
    if metadata.is_empty() {
        return None;
    }
    if let Some(word) = LEVEL_FIELDS.iter().find_map(|name| meta(name)) {
        return Some(Carried::Word(word));
    }
    let number = meta("severity_number").filter(|number| !number.is_empty())?;
    Some(Carried::Level(number.parse().map_or(Level::Info, of_severity)))
}

/// Place of a name in the list of level fields, as it is written. Asked for every label of every line: the length and the
/// first letter rule out nearly all.
fn place(name: &str) -> Option<usize> {
    if !matches!(name.len(), 3 | 5 | 8 | 9 | 12 | 13) || !name.starts_with(['l', 'L', 's', 'S']) {
        return None;
    }
    LEVEL_FIELDS.iter().position(|field| *field == name)
}

/// OTLP's severity numbers; a number below all of them is a trace, as in Loki.
const fn of_severity(number: i64) -> Level {
    match number {
        0 => Level::Unknown,
        ..=4 => Level::Trace,
        5..=8 => Level::Debug,
        9..=12 => Level::Info,
        13..=16 => Level::Warn,
        17..=20 => Level::Error,
        21..=24 => Level::Fatal,
        _ => Level::Unknown,
    }
}

/// The level of a line alone.
#[must_use]
pub fn of_line(line: &[u8]) -> Level {
    let field = if is_object(line) {
        if words::may_have_key(line) { of_json(line) } else { None }
    } else if may_have_pair(line) {
        of_logfmt(line)
    } else {
        None
    };
    field.and_then(Level::named).unwrap_or_else(|| words::first_level(line))
}

/// Whether the line begins with `{` and ends with `}`, but for white space.
fn is_object(line: &[u8]) -> bool {
    let space = |b: &&u8| !matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    line.iter().find(space) == Some(&b'{') && line.iter().rev().find(space) == Some(&b'}')
}

/// The first string under a level key, in order of the text, in the top object or one inside it.
fn of_json(line: &[u8]) -> Option<&[u8]> {
    let mut bytes = line;
    let mut at = scan::enter(line).ok()?;
    let mut outer = [0_usize; LEVEL_JSON_DEPTH_MAX];
    let mut depth = 1;
    loop {
        if bytes.get(at) == Some(&b'}') {
            depth -= 1;
            if depth == 0 {
                return None;
            }
            bytes = line;
            at = scan::after_value(bytes, outer[depth]).ok()?;
            continue;
        }
        let key = scan::key(bytes, at).ok()?;
        let mut value = scan::value(bytes, key.next).ok()?;
        if value.kind == Kind::String && is_level_key(&bytes[key.start..key.end], key.escaped) {
            return Some(&bytes[value.start..value.end]);
        }
        if value.kind == Kind::Object {
            let end = scan::block_end(bytes, value.start, b'{', b'}')?;
            if depth < LEVEL_JSON_DEPTH_MAX {
                outer[depth] = end;
                depth += 1;
                bytes = &bytes[..end];
                at = scan::first_token(bytes, value.start + 1).ok()?;
                continue;
            }
            value.next = end;
        }
        at = scan::after_value(bytes, value.next).ok()?;
    }
}

fn is_level_key(key: &[u8], escaped: bool) -> bool {
    if !escaped {
        return is_level_field(key);
    }
    let mut plain = String::new();
    std::str::from_utf8(key).is_ok_and(|text| scan::unescape(text, &mut plain)) && is_level_field(plain.as_bytes())
}

fn is_level_field(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'l' | b'L' | b's' | b'S')) && LEVEL_FIELDS.iter().any(|field| field.as_bytes() == key)
}

/// Whether a `=` stands after the end of a level key; a key without one has no value.
fn may_have_pair(line: &[u8]) -> bool {
    memchr::memchr_iter(b'=', line).any(|at| {
        let key = &line[..at];
        // They end in `el`, `vl`, `ty` or `xt`.
        let ends = matches!(key, [.., before, last] if matches!((before | 0x20, last | 0x20), (b'e' | b'v', b'l') | (b't', b'y') | (b'x', b't')));
        ends && LEVEL_FIELDS.iter().any(|field| ends_with(key, field.as_bytes()))
    })
}

fn ends_with(text: &[u8], end: &[u8]) -> bool {
    text.len().checked_sub(end.len()).is_some_and(|at| text[at..].eq_ignore_ascii_case(end))
}

/// The value of the level key that comes first in the list, in any case.
fn of_logfmt(line: &[u8]) -> Option<&[u8]> {
    let mut best = None;
    let mut best_rank = usize::MAX;
    let mut reader = logfmt::Reader::new(line);
    while let Some(pair) = reader.next_pair() {
        let Ok(pair) = pair else { return best };
        let key = &line[pair.key_start..pair.key_end];
        let Some(rank) = rank(key) else { continue };
        if rank < best_rank {
            (best, best_rank) = (Some(&line[pair.start..pair.end]), rank);
            if rank == 0 {
                return best;
            }
        }
    }
    best
}

/// Place of a logfmt key in the list of level fields, in any case.
fn rank(key: &[u8]) -> Option<usize> {
    match key.len() {
        3 | 5 | 8 | 9 | 12 | 13 => {}
        _ => return None,
    }
    if !matches!(key[0] | 0x20, b'l' | b's') {
        return None;
    }
    LEVEL_FIELDS.iter().position(|field| field.as_bytes().eq_ignore_ascii_case(key))
}

#[cfg(test)]
mod tests;
