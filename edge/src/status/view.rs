//! An edge's state as a person reads it in a terminal.
//!
//! Pure. Parts: [`view`] (a status object to text), [`Look`] (how wide, with colours or without), [`bytes`], [`age`], [`count`] (numbers with
//! units). It reads the JSON that the page gives, so that it shows what an edge of another version says as far as it knows it; what it does not
//! find it leaves out. Promises: no line is longer than the terminal is wide, unless one word is; a control character from outside never gets
//! to the terminal. Must not do: ask anybody.

mod table;

use std::time::Duration;

use serde_json::Value;
use table::{Align, Column, table, wrapped};

/// How it is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether to colour what is bad.
    pub colour: bool,
}

/// Below this nothing can be laid out.
const WIDTH_MIN: usize = 20;
/// Width of the names before the facts.
const NAME_WIDTH: usize = 10;

/// How good a fact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Fine,
    Plain,
    Bad,
}

/// A status object as text; with one from `before`, that long ago, rates too.
#[must_use]
pub fn view(status: &Value, before: Option<(&Value, Duration)>, look: Look) -> String {
    let look = Look { width: look.width.max(WIDTH_MIN), ..look };
    let mut out = String::new();
    let mut fact = |name: &str, (text, mood): (String, Mood)| {
        let name = if look.width > 3 * NAME_WIDTH { format!("{name:NAME_WIDTH$}") } else { format!("{name}: ") };
        for (at, line) in wrapped(&text, look.width - name.chars().count().min(look.width / 2)).iter().enumerate() {
            let begin = if at == 0 { name.clone() } else { " ".repeat(name.chars().count()) };
            out.push_str(&format!("{begin}{}\n", coloured(line, mood, look)));
        }
    };
    fact("edge", (format!("version {}", string(status, "version")), Mood::Plain));
    fact("hub", hub(status));
    fact("lines", lines(status, before));
    fact("WAL", wal(status));
    fact("behind", behind(status));
    if rows(status, "losses").is_empty() {
        fact("losses", ("none since the start".to_owned(), Mood::Fine));
    }
    let lost = coloured(&part(status, "losses", LOSSES, look), Mood::Bad, look);
    let others = [("jobs", JOBS), ("receivers", RECEIVERS), ("tracks", TRACKS), ("clients", CLIENTS)].map(|(name, columns)| part(status, name, columns, look));
    for part in [lost].iter().chain(&others).filter(|part| !part.is_empty()) {
        out.push('\n');
        out.push_str(part);
    }
    out
}

fn coloured(text: &str, mood: Mood, look: Look) -> String {
    match mood {
        Mood::Bad if look.colour && !text.is_empty() => format!("\u{1b}[31m{text}\u{1b}[0m"),
        Mood::Fine if look.colour => format!("\u{1b}[32m{text}\u{1b}[0m"),
        Mood::Bad | Mood::Fine | Mood::Plain => text.to_owned(),
    }
}

/// Whether it says that there is no hub; one of an older version says nothing.
fn has_no_hub(status: &Value) -> bool {
    status["hub"] == Value::Bool(false)
}

fn hub(status: &Value) -> (String, Mood) {
    if has_no_hub(status) {
        return ("none; lines go to the clients".to_owned(), Mood::Plain);
    }
    let (session, trouble) = (string(status, "session"), string(status, "trouble"));
    let mut text = if session == "none" || session.is_empty() { "no session".to_owned() } else { format!("session over {session}") };
    let mood = if text == "no session" { Mood::Bad } else { Mood::Fine };
    if !trouble.is_empty() {
        text.push_str(&format!(": {trouble}"));
    }
    let producer = string(status, "producer");
    if !producer.is_empty() {
        text.push_str(&format!("; producer {producer}, epoch {}", number(status, "epoch")));
    }
    let certificate = string(status, "cert_not_after");
    text.push_str(&if certificate.is_empty() { "; no certificate".to_owned() } else { format!("; certificate until {certificate}") });
    (text, mood)
}

fn lines(status: &Value, before: Option<(&Value, Duration)>) -> (String, Mood) {
    if has_no_hub(status) {
        // What clients have stands with them.
        return (format!("{} read", count(number(status, "lines_read"))), Mood::Plain);
    }
    let mut text = format!("{} read, {} acknowledged", count(number(status, "lines_read")), count(number(status, "lines_acked")));
    if let Some((before, span)) = before.filter(|(_, span)| !span.is_zero()) {
        #[expect(clippy::cast_precision_loss, reason = "rates are shown rounded")]
        let rate = |name: &str| number(status, name).saturating_sub(number(before, name)) as f64 / span.as_secs_f64();
        text.push_str(&format!(" ({:.0} and {:.0} a second)", rate("lines_read"), rate("lines_acked")));
    }
    match number(status, "live_latency_ms") {
        0 => {}
        latency => text.push_str(&format!("; the newest took {latency} ms")),
    }
    (text, Mood::Plain)
}

fn wal(status: &Value) -> (String, Mood) {
    let (used, most) = (number(status, "wal_bytes"), number(status, "wal_max_bytes"));
    let mut text = bytes(used);
    if let Some(share) = (u128::from(used) * 100).checked_div(u128::from(most)) {
        text.push_str(&format!(" of {} ({share} %)", bytes(most)));
    }
    text.push_str(&match number(status, "unacked_lines") {
        0 if has_no_hub(status) => "; all is sent".to_owned(),
        0 => "; all is acknowledged".to_owned(),
        lines => format!(
            "; {} lines ({}) wait, the oldest for {}",
            count(lines),
            bytes(number(status, "unacked_bytes")),
            age(Duration::from_secs(number(status, "oldest_unacked_s")))
        ),
    });
    if status["stalled"] == Value::Bool(true) {
        return (format!("{text}; reading waits for room"), Mood::Bad);
    }
    (text, Mood::Plain)
}

fn behind(status: &Value) -> (String, Mood) {
    match (number(status, "bytes_behind"), number(status, "files_behind")) {
        (0, _) => ("all files are read to their ends".to_owned(), Mood::Fine),
        (left, files) => (format!("{} of {} files are not read yet", bytes(left), count(files)), Mood::Plain),
    }
}

/// A cell of a table, by the name of a row's fact.
#[derive(Clone, Copy)]
enum Cell {
    Text(&'static str),
    Count(&'static str),
    Bytes(&'static str),
    /// Seconds.
    Age(&'static str),
    /// Made of the whole row; at this side.
    Own(Align, fn(&Value) -> String),
}

/// Headings, and what stands below them.
type Columns = &'static [(&'static str, Cell)];

const LOSSES: Columns = &[
    ("losses", Cell::Text("reason")),
    ("times", Cell::Count("times")),
    ("lines", Cell::Own(Align::Right, |row| if number(row, "lines") == 0 { "?".to_owned() } else { count(number(row, "lines")) })),
    ("bytes", Cell::Own(Align::Right, |row| if number(row, "bytes") == 0 { "?".to_owned() } else { bytes(number(row, "bytes")) })),
];

const JOBS: Columns = &[
    ("job", Cell::Text("job")),
    ("files", Cell::Count("files")),
    ("behind", Cell::Bytes("bytes_behind")),
    ("waited", Cell::Own(Align::Right, waited)),
    ("lines", Cell::Count("lines")),
    ("read", Cell::Bytes("bytes")),
];

const RECEIVERS: Columns = &[
    ("receiver", Cell::Text("job")),
    ("kind", Cell::Text("kind")),
    ("address", Cell::Own(Align::Left, |row| listed(row, "addresses", |address| clean(address.as_str().unwrap_or_default())).join(" "))),
    ("records", Cell::Count("records")),
    ("last", Cell::Own(Align::Right, last)),
    (
        "errors",
        Cell::Own(Align::Left, |row| listed(row, "errors", |error| format!("{} {}", clean(error[0].as_str().unwrap_or_default()), error[1])).join(", ")),
    ),
];

const TRACKS: Columns = &[
    ("track", Cell::Count("track")),
    ("state", Cell::Text("state")),
    ("acked", Cell::Count("acked")),
    ("of", Cell::Count("sequence")),
    ("waits", Cell::Bytes("backlog_bytes")),
    ("oldest", Cell::Age("oldest_s")),
];

const CLIENTS: Columns = &[
    ("client", Cell::Text("client")),
    ("host", Cell::Text("host")),
    ("waits", Cell::Bytes("lag_bytes")),
    ("oldest", Cell::Age("lag_s")),
    ("sent", Cell::Count("sent_lines")),
    ("lost", Cell::Count("lost_lines")),
    ("trouble", Cell::Text("trouble")),
];

impl Cell {
    fn align(self) -> Align {
        match self {
            Self::Text(_) => Align::Left,
            Self::Count(_) | Self::Bytes(_) | Self::Age(_) => Align::Right,
            Self::Own(align, _) => align,
        }
    }

    fn of(self, row: &Value) -> String {
        match self {
            Self::Text(name) => string(row, name),
            Self::Count(name) => count(number(row, name)),
            Self::Bytes(name) => bytes(number(row, name)),
            Self::Age(name) => age(Duration::from_secs(number(row, name))),
            Self::Own(_, show) => show(row),
        }
    }
}

/// The rows of `name`, in these columns.
fn part(status: &Value, name: &str, columns: Columns, look: Look) -> String {
    let rows: Vec<Vec<String>> = rows(status, name).iter().map(|row| columns.iter().map(|(_, cell)| cell.of(row)).collect()).collect();
    let headings: Vec<Column> = columns.iter().map(|(name, cell)| Column { name, align: cell.align() }).collect();
    table(&headings, &rows, look.width)
}

fn waited(job: &Value) -> String {
    let waited = job["behind_s"].as_f64().unwrap_or_default();
    if number(job, "bytes_behind") == 0 { "-".to_owned() } else { age(Duration::try_from_secs_f64(waited).unwrap_or_default()) }
}

fn last(receiver: &Value) -> String {
    receiver["last_entry_s"].as_u64().map_or_else(|| "never".to_owned(), |seconds| format!("{} ago", age(Duration::from_secs(seconds))))
}

fn listed(row: &Value, name: &str, show: fn(&Value) -> String) -> Vec<String> {
    rows(row, name).iter().map(show).collect()
}

fn rows<'v>(status: &'v Value, name: &str) -> &'v [Value] {
    status[name].as_array().map_or(&[], Vec::as_slice)
}

fn number(status: &Value, name: &str) -> u64 {
    status[name].as_u64().unwrap_or_default()
}

fn string(status: &Value, name: &str) -> String {
    clean(status[name].as_str().unwrap_or_default())
}

/// What a terminal may be sent: no character that moves or colours.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A number with its thousands apart.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size to three digits.
#[must_use]
pub fn bytes(size: u64) -> String {
    let mut unit = 0;
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = size as f64;
    while value >= 1_000.0 && unit < 6 {
        value /= 1_024.0;
        unit += 1;
    }
    let name = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"][unit];
    if unit == 0 || value >= 100.0 { format!("{value:.0} {name}") } else { format!("{value:.1} {name}") }
}

/// A length of time in its two largest units.
#[must_use]
pub fn age(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span.subsec_millis() > 0 => format!("{} ms", span.subsec_millis()),
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests;
