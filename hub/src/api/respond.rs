//! Answers as Loki's JSON: key order, number forms and encoding flags as Grafana's reader needs them.
//!
//! Source: Loki 3.7's answers, and the traps of Grafana's streaming reader: `encodingFlags` before `result`,
//! `stream` before `values`, `warnings` left out when there are none, points as `[seconds, "value"]`.
//! Parts: [`Form`] (what the client asked of the form), one function per kind of answer. Must not do: compute.

use std::io::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use hub_query::{AnsweredStream, Cursor, IndexStats, InstantValue, LogAnswer, MatrixAnswer, Stats, VectorAnswer};
use proto_extract::gofloat::format_f;
use proto_model::json::{self, Escapes};
use proto_model::{Labels, Timestamp};

/// Answers smaller than this are not worth compressing.
const GZIP_BYTES_MIN: usize = 1_400;
/// The flag that asks for metadata and parsed labels apart from stream labels.
const CATEGORIZE: &str = "categorize-labels";

/// What the client asked of the form.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    categorize: bool,
    gzip: bool,
}

impl Form {
    /// From a request's headers.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let holds = |name: &str, word: &str| {
            let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.any(|value| value.split(',').any(|part| part.trim().split(';').next().is_some_and(|found| found.eq_ignore_ascii_case(word))))
        };
        Self { categorize: holds("x-loki-response-encoding-flags", CATEGORIZE), gzip: holds("accept-encoding", "gzip") }
    }
}

pub(super) fn answer(json: String, form: &Form) -> Response {
    let bytes = json.into_bytes();
    let packed = (form.gzip && bytes.len() >= GZIP_BYTES_MIN).then(|| {
        let mut packer = flate2::write::GzEncoder::new(Vec::with_capacity(bytes.len() / 4), flate2::Compression::fast());
        packer.write_all(&bytes).and_then(|()| packer.finish())
    });
    let (body, is_packed) = match packed {
        Some(Ok(packed)) => (packed, true),
        Some(Err(_)) | None => (bytes, false),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    // Lines are what anyone wrote: no browser may take them for a page.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Appends `text` as a JSON string.
pub(super) fn string(out: &mut String, text: &str) {
    json::string(out, text, Escapes::Answer);
}

pub(super) fn object<'a>(out: &mut String, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) {
    out.push('{');
    for (i, (name, value)) in pairs.into_iter().enumerate() {
        out.push_str(if i == 0 { "" } else { "," });
        string(out, name);
        out.push(':');
        string(out, value);
    }
    out.push('}');
}

pub(super) fn pairs(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// `{"status":"success","warnings":[...],"data":{"resultType":...,`
pub(super) fn open(kind: &str, warnings: &[String]) -> String {
    let mut out = String::from("{\"status\":\"success\",");
    if !warnings.is_empty() {
        out.push_str("\"warnings\":");
        list(&mut out, warnings);
        out.push(',');
    }
    out.push_str("\"data\":{\"resultType\":\"");
    out.push_str(kind);
    out.push_str("\",");
    out
}

pub(super) fn list(out: &mut String, texts: &[String]) {
    out.push('[');
    for (i, text) in texts.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { "," });
        string(out, text);
    }
    out.push(']');
}

pub(super) fn close(out: String, stats: &Stats, form: &Form) -> Response {
    close_page(out, stats, None, form)
}

/// With the cursor of the next page beside `data`, where Grafana's reader passes over it.
fn close_page(mut out: String, stats: &Stats, cursor: Option<Cursor>, form: &Form) -> Response {
    out.push_str(&stats_json(stats));
    out.push('}');
    if let Some(cursor) = cursor {
        out.push_str(&format!(",\"cursor\":\"{cursor}\""));
    }
    out.push('}');
    answer(out, form)
}

/// `,"stats":{...}`
pub(super) fn stats_json(stats: &Stats) -> String {
    let secs = stats.exec_time.as_secs_f64();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "rates for people")]
    let per_second = |amount: u64| if secs > 0.0 { (amount as f64 / secs) as u64 } else { 0 };
    let summary = serde_json::json!({
        "bytesProcessedPerSecond": per_second(stats.bytes),
        "linesProcessedPerSecond": per_second(stats.lines),
        "totalBytesProcessed": stats.bytes,
        "totalLinesProcessed": stats.lines,
        "execTime": secs,
        "queueTime": stats.queue_time.as_secs_f64(),
        "subqueries": 0,
        "totalEntriesReturned": stats.entries,
        "splits": 1,
        "shards": 1,
        "totalPostFilterLines": stats.lines_kept,
        "totalStructuredMetadataBytesProcessed": stats.metadata_bytes,
    });
    let read = stats.sections + stats.blocks;
    let store = serde_json::json!({ "totalChunksRef": read + stats.chunks_skipped, "totalChunksDownloaded": read });
    // What the query cost, beyond what Loki tells.
    let cost = serde_json::json!({
        "memoryBytes": stats.memory_bytes,
        "workTime": stats.work_time.as_secs_f64(),
        "linesCounted": stats.lines_counted,
        "sections": stats.sections,
        "blocks": stats.blocks,
        "skipped": stats.chunks_skipped,
    });
    format!(",\"stats\":{{\"summary\":{summary},\"querier\":{{\"store\":{store}}},\"cost\":{cost}}}")
}

/// A log answer.
#[must_use]
pub fn logs(found: LogAnswer, form: &Form) -> Response {
    let mut out = open("streams", &found.warnings);
    let (stats, cursor) = (found.stats, found.cursor);
    if form.categorize {
        out.push_str("\"encodingFlags\":[\"categorize-labels\"],\"result\":[");
        for (i, stream) in found.streams.iter().enumerate() {
            out.push_str(if i == 0 { "{\"stream\":" } else { ",{\"stream\":" });
            object(&mut out, stream.labels.iter());
            entries(&mut out, &stream.entries, true);
        }
    } else {
        out.push_str("\"result\":[");
        for (i, stream) in found.merged().iter().enumerate() {
            out.push_str(if i == 0 { "{\"stream\":" } else { ",{\"stream\":" });
            object(&mut out, pairs(&stream.labels));
            entries(&mut out, &stream.entries, false);
        }
    }
    out.push(']');
    close_page(out, &stats, cursor, form)
}

/// A frame of a live tail; `dropped` lines are told by time and labels.
#[must_use]
pub fn tail_frame(streams: Vec<AnsweredStream>, dropped: &[(Timestamp, Arc<Labels>)], form: &Form) -> String {
    let mut out = String::from(if form.categorize { "{\"encodingFlags\":[\"categorize-labels\"],\"streams\":[" } else { "{\"streams\":[" });
    let found = LogAnswer { streams, ..LogAnswer::default() };
    if form.categorize {
        for (i, stream) in found.streams.iter().enumerate() {
            out.push_str(if i == 0 { "{\"stream\":" } else { ",{\"stream\":" });
            object(&mut out, stream.labels.iter());
            entries(&mut out, &stream.entries, true);
        }
    } else {
        for (i, stream) in found.merged().iter().enumerate() {
            out.push_str(if i == 0 { "{\"stream\":" } else { ",{\"stream\":" });
            object(&mut out, pairs(&stream.labels));
            entries(&mut out, &stream.entries, false);
        }
    }
    out.push(']');
    for (i, (time, labels)) in dropped.iter().enumerate() {
        out.push_str(if i == 0 { ",\"dropped_entries\":[{\"labels\":" } else { ",{\"labels\":" });
        object(&mut out, labels.iter());
        out.push_str(&format!(",\"timestamp\":\"{}\"}}", time.nanos()));
    }
    out.push_str(if dropped.is_empty() { "}" } else { "]}" });
    out
}

fn entries(out: &mut String, entries: &[hub_query::AnsweredEntry], categorize: bool) {
    out.push_str(",\"values\":[");
    for (i, entry) in entries.iter().enumerate() {
        out.push_str(if i == 0 { "[\"" } else { ",[\"" });
        out.push_str(&entry.time.nanos().to_string());
        out.push_str("\",");
        string(out, &entry.line);
        if categorize {
            out.push_str(",{");
            if !entry.metadata.is_empty() {
                out.push_str("\"structuredMetadata\":");
                object(out, pairs(&entry.metadata));
            }
            if !entry.parsed.is_empty() {
                out.push_str(if entry.metadata.is_empty() { "\"parsed\":" } else { ",\"parsed\":" });
                object(out, pairs(&entry.parsed));
            }
            out.push('}');
        }
        out.push(']');
    }
    out.push_str("]}");
}

/// `[seconds,"value"]`, the seconds to the millisecond as Prometheus writes them.
pub(super) fn point(out: &mut String, at: Timestamp, value: f64) {
    let millis = at.nanos().div_euclid(1_000_000);
    out.push('[');
    out.push_str(&millis.div_euclid(1_000).to_string());
    let rest = millis.rem_euclid(1_000);
    if rest != 0 {
        out.push_str(format!(".{rest:03}").trim_end_matches('0'));
    }
    out.push_str(",\"");
    out.push_str(&format_f(value));
    out.push_str("\"]");
}

/// A metric answer over a range.
#[must_use]
pub fn matrix(found: &MatrixAnswer, form: &Form) -> Response {
    let mut out = open("matrix", &found.warnings);
    out.push_str("\"result\":[");
    for (i, series) in found.series.iter().enumerate() {
        out.push_str(if i == 0 { "{\"metric\":" } else { ",{\"metric\":" });
        object(&mut out, series.labels.iter());
        out.push_str(",\"values\":[");
        for (j, (at, value)) in series.points.iter().enumerate() {
            out.push_str(if j == 0 { "" } else { "," });
            point(&mut out, *at, *value);
        }
        out.push_str("]}");
    }
    out.push(']');
    close(out, &found.stats, form)
}

/// A metric answer at one time.
#[must_use]
pub fn instant(found: &VectorAnswer, form: &Form) -> Response {
    let mut out;
    match &found.value {
        InstantValue::Scalar(at, value) => {
            out = open("scalar", &found.warnings);
            out.push_str("\"result\":");
            point(&mut out, *at, *value);
        }
        InstantValue::Vector(samples) => {
            out = open("vector", &found.warnings);
            out.push_str("\"result\":[");
            for (i, sample) in samples.iter().enumerate() {
                out.push_str(if i == 0 { "{\"metric\":" } else { ",{\"metric\":" });
                object(&mut out, sample.labels.iter());
                out.push_str(",\"value\":");
                point(&mut out, sample.time, sample.value);
                out.push('}');
            }
            out.push(']');
        }
    }
    close(out, &found.stats, form)
}

/// Names or values: `data` is left out when there are none, as Loki does.
#[must_use]
pub fn texts(found: &[String], form: &Form) -> Response {
    let mut out = String::from("{\"status\":\"success\"");
    if !found.is_empty() {
        out.push_str(",\"data\":");
        list(&mut out, found);
    }
    out.push('}');
    answer(out, form)
}

/// Label sets.
#[must_use]
pub fn series(found: &[Arc<Labels>], form: &Form) -> Response {
    let mut out = String::from("{\"status\":\"success\",\"data\":[");
    for (i, labels) in found.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { "," });
        object(&mut out, labels.iter());
    }
    out.push_str("]}");
    answer(out, form)
}

/// Streams, chunks, bytes, entries; not wrapped.
#[must_use]
pub fn stats(found: &IndexStats, form: &Form) -> Response {
    answer(format!("{{\"streams\":{},\"chunks\":{},\"bytes\":{},\"entries\":{}}}", found.streams, found.chunks, found.bytes, found.entries), form)
}

#[cfg(test)]
mod tests;
