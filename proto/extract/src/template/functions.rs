//! The functions of templates: names, arguments, what they do.
//!
//! Parts: [`Function`] (one of [`tables`](Function::named)), [`Param`] (what an argument must be), [`Dialect`] (whose
//! functions there are); `builtin` (Go's own), `text`, `number`, `time` (Loki's, Promtail's and Sprig's), `sprig` and `lists` (Sprig's, for Promtail alone). Promises: no
//! function makes more than [`TEMPLATE_OUTPUT_BYTES_MAX`](crate::limits::TEMPLATE_OUTPUT_BYTES_MAX) bytes. Must not do: read
//! clocks; `now` is the time of the record.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use proto_model::Timestamp;

use super::value::Value;
use crate::text::repaired;

mod builtin;
mod lists;
mod number;
mod sprig;
mod text;
mod time;

/// Whose templates are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `line_format` and `label_format`: a missing field is empty text.
    LogQl,
    /// Promtail's stages: a missing field prints `<no value>`.
    Promtail,
}

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Param {
    Any,
    Text,
    Int,
    Float,
    Time,
}

/// How a function is run.
#[derive(Clone, Copy)]
pub(super) enum Run {
    /// Of its arguments alone.
    Pure(fn(&Arguments<'_, '_>) -> Outcome),
    /// The line of the record.
    Line,
    /// The time of the record.
    Timestamp,
    /// The first argument that is false, else the last.
    And,
    /// The first argument that is true, else the last.
    Or,
}

/// What a function gives; the fault is in Go's words.
pub(super) type Outcome = Result<Value<'static>, String>;

/// One function.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) params: &'static [Param],
    /// Of what kind more arguments may follow.
    pub(super) more: Option<Param>,
    pub(super) run: Run,
}

/// A function by its place in the tables.
#[derive(Clone, Copy)]
pub(super) struct Function(pub(super) &'static Entry);

impl Function {
    /// The function of that name.
    pub(super) fn named(name: &str, dialect: Dialect) -> Option<Self> {
        let own: &[&[Entry]] =
            if dialect == Dialect::Promtail { &[text::PROMTAIL, sprig::TABLE, lists::TABLE, time::PROMTAIL, number::PROMTAIL] } else { &[LOGQL] };
        let shared = [builtin::TABLE, text::TABLE, number::TABLE, time::TABLE];
        own.iter().copied().chain(shared).flatten().find(|entry| entry.name == name).map(Self)
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

/// Those that only LogQL has.
const LOGQL: &[Entry] =
    &[Entry { name: "__line__", params: &[], more: None, run: Run::Line }, Entry { name: "__timestamp__", params: &[], more: None, run: Run::Timestamp }];

const fn pure(name: &'static str, params: &'static [Param], run: fn(&Arguments<'_, '_>) -> Outcome) -> Entry {
    Entry { name, params, more: None, run: Run::Pure(run) }
}

const fn variadic(name: &'static str, params: &'static [Param], more: Param, run: fn(&Arguments<'_, '_>) -> Outcome) -> Entry {
    Entry { name, params, more: Some(more), run: Run::Pure(run) }
}

/// The arguments of a call, each of the kind that its function wants.
pub(super) struct Arguments<'c, 'v> {
    pub(super) values: &'c [Value<'v>],
    /// The time of the record.
    pub(super) now: Timestamp,
}

impl<'v> Arguments<'_, 'v> {
    fn any(&self, at: usize) -> &Value<'v> {
        self.values.get(at).unwrap_or(&Value::Nil)
    }

    fn bytes(&self, at: usize) -> &[u8] {
        match self.any(at) {
            Value::Text(text) => text,
            _ => &[],
        }
    }

    fn text(&self, at: usize) -> Cow<'_, str> {
        repaired(self.bytes(at))
    }

    fn int(&self, at: usize) -> i64 {
        match self.any(at) {
            Value::Int(value) | Value::Int64(value) => *value,
            _ => 0,
        }
    }

    fn time(&self, at: usize) -> (Timestamp, TimeZone) {
        match self.any(at) {
            Value::Time(time, zone) => (*time, zone.clone()),
            _ => (self.now, TimeZone::UTC),
        }
    }
}

/// The name of a kind in Go's faults.
pub(super) const fn kind_name(param: Param) -> &'static str {
    match param {
        Param::Any => "interface {}",
        Param::Text => "string",
        Param::Int => "int",
        Param::Float => "float64",
        Param::Time => "time.Time",
    }
}
