//! `/api/prom/...`: Loki's first API, which old clients still speak.
//!
//! Parts: [`query`] (lines only, with `regexp`), [`names`] and [`values`] (`{"values":[..]}`), [`push`] (its JSON is turned into that of
//! the newer push, which then does all the work). `series` is the newer one. Must not do: anything the newer API does not.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use hub_logql::{Expr, LineFilter, LineOp, LineTerm, Stage};
use hub_query::{LogAnswer, LogRequest};
use hub_tenant::Need;
use proto_model::Timestamp;
use proto_model::labels::quoted;
use serde::Deserialize;

use super::fault::ApiFault;
use super::labels::{selector, widened};
use super::params::Params;
use super::query::positive_limit;
use super::respond::{self, Form};
use super::{Api, push as newer};

/// Lines of a log query.
///
/// # Errors
/// In Loki's words; a metric query is 400.
pub async fn query(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    let limits = api.query_limits(&access.grants);
    let Expr::Log(mut expr) = hub_logql::parse(params.query())? else {
        return Err(ApiFault::Wrong("legacy endpoints only support streams result type".to_owned()));
    };
    if let Some(regexp) = params.one("regexp") {
        expr.stages.push(Stage::LineFilter(LineFilter { op: LineOp::Match, terms: vec![LineTerm::Text(regexp.to_owned())] }));
    }
    let request = LogRequest::new(expr, params.range(api.now())?, positive_limit(&params)?, params.direction()?, &limits)?;
    let answer = api.engine.logs(&access.grants, &request, &limits).await?;
    Ok(respond::answer(streams_json(answer), &Form::of(&headers)))
}

fn streams_json(answer: LogAnswer) -> String {
    let mut out = String::from("{\"streams\":[");
    let stats = answer.stats;
    for (i, stream) in answer.merged().iter().enumerate() {
        let labels: Vec<String> = stream.labels.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
        out.push_str(if i == 0 { "{\"labels\":" } else { ",{\"labels\":" });
        respond::string(&mut out, &format!("{{{}}}", labels.join(", ")));
        out.push_str(",\"entries\":[");
        for (j, entry) in stream.entries.iter().enumerate() {
            out.push_str(if j == 0 { "{\"ts\":" } else { ",{\"ts\":" });
            respond::string(&mut out, &rfc3339(entry.time));
            out.push_str(",\"line\":");
            respond::string(&mut out, &entry.line);
            out.push('}');
        }
        out.push_str("]}");
    }
    out.push(']');
    out.push_str(&respond::stats_json(&stats));
    out + "}"
}

fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.nanos())).map_or_else(|_| at.nanos().to_string(), |at| at.to_string())
}

/// Names of labels.
///
/// # Errors
/// In Loki's words.
pub async fn names(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    let (range, limits) = (widened(params.range(api.now())?), api.query_limits(&access.grants));
    let found = api.engine.label_names(&access.grants, range, selector(&params)?.as_deref(), &limits).await?;
    Ok(respond::answer(values_json(&found), &Form::of(&headers)))
}

/// Values of one label.
///
/// # Errors
/// In Loki's words.
pub async fn values(State(api): State<Api>, headers: HeaderMap, Path(name): Path<String>, params: Params) -> Result<Response, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    let (range, limits) = (widened(params.range(api.now())?), api.query_limits(&access.grants));
    let found = api.engine.label_values(&access.grants, &name, range, selector(&params)?.as_deref(), &limits).await?;
    Ok(respond::answer(values_json(&found), &Form::of(&headers)))
}

fn values_json(found: &[String]) -> String {
    if found.is_empty() {
        return "{}".to_owned();
    }
    let mut out = String::from("{\"values\":");
    respond::list(&mut out, found);
    out + "}"
}

/// `{"streams":[{"labels":"{a=\"b\"}","entries":[{"ts":"RFC 3339","line":".."}]}]}`
#[derive(Deserialize)]
struct OldPush {
    #[serde(default)]
    streams: Vec<OldStream>,
}

#[derive(Deserialize)]
struct OldStream {
    labels: String,
    #[serde(default)]
    entries: Vec<OldEntry>,
}

#[derive(Deserialize)]
struct OldEntry {
    ts: String,
    line: String,
    #[serde(default, rename = "structuredMetadata")]
    metadata: BTreeMap<String, String>,
}

/// Stores a push in the first form of its JSON; a push in protobuf has one form only.
///
/// # Errors
/// As [`newer::push`].
pub async fn push(State(api): State<Api>, mut headers: HeaderMap, body: Body) -> Result<Response, ApiFault> {
    api.authorize(&headers, Need::Push)?;
    let is_json = newer::header_text(&headers, header::CONTENT_TYPE).split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Ok(newer::push(State(api), headers, body).await?.into_response());
    }
    let body = newer::read_body(body).await?;
    let encoding = newer::header_text(&headers, header::CONTENT_ENCODING).to_owned();
    let json = api.world.workers.run(move || newer_json(&newer::unpack(&encoding, &body)?)).await?;
    headers.remove(header::CONTENT_ENCODING);
    Ok(newer::push(State(api), headers, Body::from(json)).await?.into_response())
}

/// The same push in the newer form.
fn newer_json(old: &[u8]) -> Result<String, ApiFault> {
    let old: OldPush = serde_json::from_slice(old).map_err(|fault| ApiFault::Wrong(fault.to_string()))?;
    let mut out = String::from("{\"streams\":[");
    for (i, stream) in old.streams.iter().enumerate() {
        let labels = proto_wire::push::labels(&stream.labels).map_err(|fault| ApiFault::Wrong(fault.to_string()))?;
        out.push_str(if i == 0 { "{\"stream\":" } else { ",{\"stream\":" });
        respond::object(&mut out, labels.iter());
        out.push_str(",\"values\":[");
        for (j, entry) in stream.entries.iter().enumerate() {
            let at: jiff::Timestamp = entry.ts.parse().map_err(|_| ApiFault::Wrong(format!("parsing time {}: it is not RFC 3339", quoted(&entry.ts))))?;
            out.push_str(&format!("{}[\"{}\",", if j == 0 { "" } else { "," }, at.as_nanosecond()));
            respond::string(&mut out, &entry.line);
            if !entry.metadata.is_empty() {
                out.push(',');
                respond::object(&mut out, entry.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            }
            out.push(']');
        }
        out.push_str("]}");
    }
    Ok(out + "]}")
}

#[cfg(test)]
mod tests;
