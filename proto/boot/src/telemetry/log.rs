//! The process's own log: one structured line an event on stderr, as logfmt or JSON.
//!
//! Parts: [`LogSettings`], [`start`], [`LogHandle`] (change the level while running), the two line
//! formats. A line is `ts level target msg`, the event's fields, then the fields of its spans from
//! the outermost in.
//! Promises: one event is one line whatever its fields hold: control characters, escape sequences and
//! text direction marks are escaped; a value is cut at [`LOG_VALUE_BYTES_MAX`]; libraries below are
//! quiet unless the level is `debug` or `trace`; one place of the program warns so often a minute and no more (`quota`).
//! Must not do: write to stdout (results go there), read a clock of its own.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use proto_model::Timestamp;
use proto_model::json::{self, Escapes};
use proto_seam::Clock;
use serde::Deserialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

use super::quota::Quotas;
use crate::limits::LOG_VALUE_BYTES_MAX;

/// Libraries that tell more than a reader of our log wants.
const QUIET: [&str; 12] =
    ["aws_config", "h2", "hyper", "hyper_util", "object_store", "quinn", "quinn_proto", "quinn_udp", "reqwest", "rustls", "tonic", "tower"];

/// Libraries that tell again with each try what their caller tells once, in better words.
const SILENT: [&str; 2] = ["kube_client", "kube_runtime"];

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What needs a person.
    Error,
    /// What a person should know soon.
    #[serde(alias = "warning")]
    Warn,
    /// What happened.
    #[default]
    Info,
    /// How it happened.
    Debug,
    /// Everything.
    Trace,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `key=value key="other value"`.
    #[default]
    Logfmt,
    /// One JSON object.
    Json,
}

/// The key `log` of both programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: LogLevel,
    /// `logfmt` or `json`.
    pub format: LogFormat,
}

/// Why the log cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// A second log in one process.
    #[error("the log of this process has started already; start it once")]
    Started,
    /// The log is gone.
    #[error("the log's level cannot be changed: {0}; start the process again")]
    Gone(#[from] reload::Error),
}

/// Changes the running log.
#[derive(Debug, Clone)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    level: Arc<Mutex<LogLevel>>,
}

impl LogHandle {
    /// Tells more or less from now on.
    ///
    /// # Errors
    /// [`LogFault::Gone`] when the log no longer exists.
    pub fn set_level(&self, level: LogLevel) -> Result<(), LogFault> {
        let mut now = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        self.filter.reload(filter(level))?;
        *now = level;
        Ok(())
    }

    /// How much is told now.
    #[must_use]
    pub fn level(&self) -> LogLevel {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogLevel {
    /// As written in settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Starts the log on stderr.
///
/// # Errors
/// [`LogFault::Started`] when this process has one.
pub fn start(settings: LogSettings, clock: Clock) -> Result<LogHandle, LogFault> {
    let (subscriber, handle) = build(settings, clock, io::stderr);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogFault::Started)?;
    Ok(handle)
}

fn build<W>(settings: LogSettings, clock: Clock, writer: W) -> (impl Subscriber + Send + Sync, LogHandle)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter(settings.level));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).fmt_fields(Fields { format: settings.format }).event_format(Lines {
        format: settings.format,
        clock,
        quotas: Quotas::default(),
    });
    (tracing_subscriber::registry().with(filter).with(lines), LogHandle { filter: handle, level: Arc::new(Mutex::new(settings.level)) })
}

fn filter(level: LogLevel) -> EnvFilter {
    let below = match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "info",
        LogLevel::Error => "error",
        LogLevel::Warn | LogLevel::Info => "warn",
    };
    let silent = if level >= LogLevel::Debug { below } else { "off" };
    let libraries = QUIET.iter().map(|library| (library, below)).chain(SILENT.iter().map(|library| (library, silent)));
    let directives = libraries.fold(level.as_str().to_owned(), |all, (library, below)| format!("{all},{library}={below}"));
    EnvFilter::new(directives)
}

/// Writes an event's line.
struct Lines {
    format: LogFormat,
    clock: Clock,
    quotas: Quotas,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(left_out) = self.quotas.take(event.metadata(), Timestamp(self.clock.now_ns())) else { return Ok(()) };
        let mut line = Line { format: self.format, out: String::with_capacity(256) };
        if self.format == LogFormat::Json {
            line.out.push('{');
        }
        line.text("ts", &time(&self.clock));
        line.text("level", &event.metadata().level().as_str().to_ascii_lowercase());
        line.text("target", event.metadata().target());
        event.record(&mut line);
        if left_out > 0 {
            line.plain("left_out", left_out);
        }
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                line.join();
                line.out.push_str(fields);
            }
        }
        line.out.push_str(if self.format == LogFormat::Json { "}\n" } else { "\n" });
        writer.write_str(&line.out)
    }
}

/// `2026-01-02T03:04:05.678Z`.
fn time(clock: &Clock) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(clock.now_ns())) {
        Ok(now) => format!("{now:.3}"),
        Err(_) => "0000-00-00T00:00:00.000Z".to_owned(),
    }
}

/// Writes a span's fields, in the same form as an event's.
struct Fields {
    format: LogFormat,
}

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line { format: self.format, out: String::new() };
        fields.record(&mut line);
        writer.write_str(&line.out)
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &tracing::span::Record<'_>) -> fmt::Result {
        let mut line = Line { format: self.format, out: std::mem::take(&mut current.fields) };
        fields.record(&mut line);
        current.fields = line.out;
        Ok(())
    }
}

/// A line under construction: `key=value` pairs joined as its format asks.
struct Line {
    format: LogFormat,
    out: String,
}

impl Line {
    fn join(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('{') {
            self.out.push(if self.format == LogFormat::Json { ',' } else { ' ' });
        }
    }

    fn key(&mut self, key: &str) {
        self.join();
        let key = if key == "message" { "msg" } else { key };
        match self.format {
            LogFormat::Logfmt => self.out.push_str(key),
            LogFormat::Json => quoted(&mut self.out, key),
        }
        self.out.push(if self.format == LogFormat::Json { ':' } else { '=' });
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        let bare = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\');
        if self.format == LogFormat::Logfmt && !value.is_empty() && value.len() <= LOG_VALUE_BYTES_MAX && value.chars().all(bare) {
            self.out.push_str(value);
        } else {
            quoted(&mut self.out, value);
        }
    }

    /// A number or boolean, which JSON writes without quotes.
    fn plain(&mut self, key: &str, value: impl fmt::Display) {
        self.key(key);
        self.out.push_str(&value.to_string());
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() { self.plain(field.name(), value) } else { self.text(field.name(), &value.to_string()) }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(deeper) = cause {
            text.push_str(": ");
            text.push_str(&deeper.to_string());
            cause = deeper.source();
        }
        self.text(field.name(), &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }
}

/// `text` in double quotes, escaped as JSON asks and what could steer a terminal or mislead the eye besides.
fn quoted(out: &mut String, text: &str) {
    out.push('"');
    let cut = (0..=LOG_VALUE_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    json::escaped(out, &text[..cut], Escapes::Log);
    if cut < text.len() {
        out.push_str(&format!("... ({} bytes more)", text.len() - cut));
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
