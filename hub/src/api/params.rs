//! What was asked: parameters of the URL and of a form body, typed, with Loki's defaults and error texts.
//!
//! Parts: [`Params`] (the extractor), times, durations, numbers. Source: Loki 3.7's HTTP API
//! documentation ("Timestamps", "Query logs within a range of time"). Must not do: judge a query.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use hub_query::{Direction, Page};
use proto_model::{TimeRange, Timestamp};

use super::fault::ApiFault;

/// Entries answered when no limit is asked for.
const LIMIT_DEFAULT: i64 = 100;
/// Range asked when none is given.
const RANGE_DEFAULT: Duration = Duration::from_secs(3_600);
/// Parameters of one request.
const PARAMS_MAX: usize = 1_000;

/// All parameters, in order.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiFault;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiFault> {
        let mut all = read(request.uri().query().unwrap_or_default().as_bytes())?;
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if is_form {
            let body = Bytes::from_request(request, state).await.map_err(|fault| ApiFault::TooLarge(fault.body_text()))?;
            all.extend(read(&body)?);
        }
        let params = Self(all);
        if let Some(query) = params.one("query") {
            let text: String = query.chars().take(super::LOGGED_CHARS).collect();
            tracing::Span::current().record("query", text).record("query_hash", hash(query));
        }
        Ok(params)
    }
}

/// The number by which Loki's log tells queries apart (FNV-1 of 32 bits): equal texts have equal ones, also where the text is cut.
fn hash(query: &str) -> u32 {
    query.bytes().fold(0x811c_9dc5, |hash, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(byte))
}

fn read(encoded: &[u8]) -> Result<Vec<(String, String)>, ApiFault> {
    let pairs: Vec<(String, String)> =
        form_urlencoded::parse(encoded).take(PARAMS_MAX + 1).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    if pairs.len() > PARAMS_MAX {
        return Err(ApiFault::Wrong(format!("more than {PARAMS_MAX} parameters")));
    }
    Ok(pairs)
}

fn wrong(text: impl Into<String>) -> ApiFault {
    ApiFault::Wrong(text.into())
}

impl Params {
    /// The first value of `name`; `None` when absent or empty.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Every value of any of `names`.
    #[must_use]
    pub fn all(&self, names: &[&str]) -> Vec<&str> {
        self.0.iter().filter(|(known, _)| names.contains(&known.as_str())).map(|(_, value)| value.as_str()).collect()
    }

    /// The query text; empty when absent.
    #[must_use]
    pub fn query(&self) -> &str {
        self.one("query").unwrap_or_default()
    }

    /// The time `name`, or `default`.
    ///
    /// # Errors
    /// 400 in Loki's words.
    pub fn time(&self, name: &str, default: Timestamp) -> Result<Timestamp, ApiFault> {
        match self.one(name) {
            None => Ok(default),
            Some(text) => time(text).map_err(|why| wrong(format!("could not parse '{name}' parameter: {why}"))),
        }
    }

    /// `start`, `end` and `since`.
    ///
    /// # Errors
    /// 400 in Loki's words.
    pub fn range(&self, now: Timestamp) -> Result<TimeRange, ApiFault> {
        let end = self.time("end", now)?;
        let since = match self.one("since") {
            None => RANGE_DEFAULT,
            Some(text) => duration(text).map_err(|why| wrong(format!("could not parse 'since' parameter: {why}")))?,
        };
        let start = self.time("start", end.min(now).minus(since))?;
        Ok(TimeRange { start, end })
    }

    /// `limit`, 100 by default.
    ///
    /// # Errors
    /// 400.
    pub fn limit(&self) -> Result<i64, ApiFault> {
        self.one("limit").map_or(Ok(LIMIT_DEFAULT), |text| text.parse().map_err(|_| wrong(format!("strconv.Atoi: parsing \"{text}\": invalid syntax"))))
    }

    /// `cursor`: `first` or one that an answer gave; `None` where no pages are asked for.
    ///
    /// # Errors
    /// 400.
    pub fn page(&self) -> Result<Option<Page>, ApiFault> {
        match self.one("cursor") {
            None => Ok(None),
            Some("first") => Ok(Some(Page::First)),
            Some(cursor) => Ok(Some(Page::At(cursor.parse()?))),
        }
    }

    /// `direction`, backward by default.
    ///
    /// # Errors
    /// 400 in Loki's words.
    pub fn direction(&self) -> Result<Direction, ApiFault> {
        Ok(self.one("direction").unwrap_or("backward").parse()?)
    }

    /// `step` in nanoseconds; by default a 250th of the range, at least a second.
    ///
    /// # Errors
    /// 400.
    pub fn step_ns(&self, range: TimeRange) -> Result<i64, ApiFault> {
        let Some(text) = self.one("step") else {
            let secs = range.end.since(range.start).as_secs() / 250;
            return Ok(i64::try_from(secs.max(1)).unwrap_or(i64::MAX).saturating_mul(1_000_000_000));
        };
        if let Ok(secs) = text.parse::<f64>() {
            let ns = secs * 1e9;
            if ns.is_nan() || ns.abs() >= 9.2e18 {
                return Err(wrong(format!("cannot parse \"{text}\" to a valid duration. It overflows int64")));
            }
            #[expect(clippy::cast_possible_truncation, reason = "checked to fit above")]
            return Ok(ns as i64);
        }
        let span = duration(text).map_err(wrong)?;
        Ok(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// A point in time: nanoseconds, seconds (10 digits or fewer, or with a dot), or RFC 3339.
///
/// # Errors
/// Why it is none.
pub fn time(text: &str) -> Result<Timestamp, String> {
    if text.contains('.') && text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-') {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let secs: i64 = whole.parse().map_err(|_| bad_time(text))?;
        // To the millisecond, as Loki keeps it.
        let millis: i64 = format!("{fraction:0<3}")[..3].parse().map_err(|_| bad_time(text))?;
        let sign = if whole.starts_with('-') { -1 } else { 1 };
        return Ok(Timestamp::from_millis(secs.saturating_mul(1_000).saturating_add(sign * millis)));
    }
    if let Ok(number) = text.parse::<i64>() {
        return Ok(if text.trim_start_matches('-').len() <= 10 { Timestamp::from_secs(number) } else { Timestamp(number) });
    }
    let at: jiff::Timestamp = text.parse().map_err(|_| bad_time(text))?;
    i64::try_from(at.as_nanosecond()).map(Timestamp).map_err(|_| bad_time(text))
}

fn bad_time(text: &str) -> String {
    let shown: String = text.chars().take(60).collect();
    format!("parsing time \"{shown}\" as \"2006-01-02T15:04:05.999999999Z07:00\": cannot parse \"{shown}\" as \"2006\"")
}

/// A duration as Prometheus writes it (`1h30m`, `1d`), or seconds.
///
/// # Errors
/// Why it is none.
pub fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(secs) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(secs).map_err(|_| format!("cannot parse \"{text}\" to a valid duration"));
    }
    proto_boot::units::parse_span(text).map_err(|_| format!("cannot parse \"{text}\" to a valid duration"))
}

#[cfg(test)]
mod tests;
