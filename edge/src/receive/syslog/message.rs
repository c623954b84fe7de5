//! A syslog message to labels, time and line.
//!
//! Pure. Parts: [`Form`] (what the settings ask for), [`read`]. `syslog_loose` reads the message; it never fails, so what it could not
//! read is told by what is missing. The names of labels, severities and facilities are Promtail's. A message in the older form is
//! read where the newer is expected, too: `rsyslog` sends it unless told otherwise. Must not do: relabel.

use bytes::Bytes;
use chrono::{DateTime, Datelike as _, Utc};
use proto_model::{Labels, Timestamp};
use syslog_loose::{Message, Protocol, Variant};

use crate::settings::receivers::SyslogFormat;

/// What the settings ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// How messages are written.
    pub(super) format: SyslogFormat,
    /// The line is the whole message.
    pub(super) whole: bool,
    /// Structured data becomes labels.
    pub(super) structured: bool,
}

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// Before relabelling.
    pub(super) labels: Labels,
    pub(super) time: Option<Timestamp>,
    pub(super) line: Bytes,
    /// It is as its format says.
    pub(super) is_sound: bool,
}

const SEVERITIES: [&str; 8] = ["emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"];
const FACILITIES: [&str; 24] = [
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
    "ntp",
    "security",
    "console",
    "solaris-cron",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];

/// Reads a message from a sender with the labels `from`; `None` when it says nothing.
pub(super) fn read(bytes: &Bytes, form: &Form, from: &Labels, now_ns: i64) -> Option<Read> {
    let mut labels = from.clone();
    let as_it_is = |labels| Some(Read { labels, time: None, line: bytes.clone(), is_sound: false });
    if bytes.trim_ascii().is_empty() {
        return None;
    }
    // A byte order mark may stand before the text; one before the whole is no syslog.
    let Ok(text) = std::str::from_utf8(bytes) else { return lossy(bytes, form, from, now_ns) };
    let Some(priority) = priority(text) else { return as_it_is(labels) };
    let variant = if form.format == SyslogFormat::Rfc3164 { Variant::RFC3164 } else { Variant::Either };
    let message = syslog_loose::parse_message_with_year_tz(text, |date| year_of(date, now_ns), Some(Utc), variant);
    let is_sound = message.timestamp.is_some() || matches!(message.protocol, Protocol::RFC5424(_));
    labels.set("__syslog_message_severity", SEVERITIES[priority % 8]);
    labels.set("__syslog_message_facility", FACILITIES.get(priority / 8).copied().unwrap_or_default());
    add(&mut labels, &message, form.structured);
    let time = message.timestamp.and_then(|time| time.timestamp_nanos_opt()).map(Timestamp);
    let said = message.msg.trim_start_matches('\u{feff}').trim_end_matches(['\n', '\r']);
    if said.trim().is_empty() {
        return None;
    }
    let line = if form.whole { bytes.clone() } else { bytes.slice_ref(said.as_bytes()) };
    Some(Read { labels, time, line, is_sound })
}

/// What is not UTF-8 is read as if it were, and its line kept as it is.
fn lossy(bytes: &Bytes, form: &Form, from: &Labels, now_ns: i64) -> Option<Read> {
    let text = Bytes::from(String::from_utf8_lossy(bytes).into_owned());
    let read = read(&text, form, from, now_ns)?;
    // The text is at the end of both, after as many bytes of head, unless the head itself was mended.
    let head = text.len() - read.line.len();
    let is_same = bytes.get(..head).is_some_and(|own| own == &text[..head]);
    let line = if is_same { bytes.slice(head..) } else { read.line };
    Some(Read { line, ..read })
}

fn add(labels: &mut Labels, message: &Message<&str>, structured: bool) {
    labels.set("__syslog_message_hostname", message.hostname.unwrap_or_default());
    labels.set("__syslog_message_app_name", message.appname.unwrap_or_default());
    labels.set("__syslog_message_proc_id", message.procid.as_ref().map(ToString::to_string).unwrap_or_default());
    labels.set("__syslog_message_msg_id", message.msgid.unwrap_or_default());
    for element in message.structured_data.iter().filter(|_| structured) {
        let id = element.id.replace('@', "_");
        for (name, value) in element.params() {
            labels.set(format!("__syslog_message_sd_{id}_{name}"), value);
        }
    }
}

/// The number of `<34>`.
fn priority(text: &str) -> Option<usize> {
    let (number, _) = text.trim_start().strip_prefix('<')?.split_once('>')?;
    if number.is_empty() || number.len() > 3 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse().ok().filter(|number| *number < 8 * FACILITIES.len())
}

/// The year of a date that has none: this one, or its neighbour where that is nearer.
fn year_of((month, ..): (u32, u32, u32, u32, u32), now_ns: i64) -> i32 {
    let now = DateTime::from_timestamp_nanos(now_ns);
    match (now.month(), month) {
        (12, 1) => now.year() + 1,
        (1, 12) => now.year() - 1,
        _ => now.year(),
    }
}

#[cfg(test)]
mod tests;
