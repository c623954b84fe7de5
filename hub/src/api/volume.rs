//! `/index/volume`, `/index/volume_range`, `/index/shards`: bytes by label, from tables and footers alone.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use hub_logql::Matcher;
use hub_query::{AggregateBy, IndexStats, Volume, VolumeRequest};
use hub_tenant::Need;
use proto_extract::quantity;
use proto_model::TimeRange;

use super::Api;
use super::fault::ApiFault;
use super::labels::{matchers_only, widened};
use super::params::Params;
use super::query::positive_limit;
use super::respond::{self, Form};

/// Bytes by label over the whole range.
///
/// # Errors
/// In Loki's words.
pub async fn volume(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    let (form, range) = (Form::of(&headers), params.range(api.now())?);
    ask(&api, &headers, &params, range, 0, |out, volume| {
        if let Some((at, bytes)) = volume.points.first() {
            out.push_str(",\"value\":");
            point(out, (*at, *bytes));
        }
    })
    .await
    .map(|(out, stats)| respond::close(respond::open("vector", &[]) + "\"result\":[" + &out + "]", &stats, &form))
}

/// Bytes by label in each step of the range. Always a matrix (Loki: a vector when no series has two points).
///
/// # Errors
/// In Loki's words.
pub async fn volume_range(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    let (form, range) = (Form::of(&headers), params.range(api.now())?);
    let step_ns = match params.step_ns(range)? {
        step_ns if step_ns > 0 => step_ns,
        _ => -1,
    };
    ask(&api, &headers, &params, range, step_ns, |out, volume| {
        out.push_str(",\"values\":[");
        for (i, found) in volume.points.iter().enumerate() {
            out.push_str(if i == 0 { "" } else { "," });
            point(out, *found);
        }
        out.push(']');
    })
    .await
    .map(|(out, stats)| respond::close(respond::open("matrix", &[]) + "\"result\":[" + &out + "]", &stats, &form))
}

#[expect(clippy::cast_precision_loss, reason = "as Loki answers: a sample")]
fn point(out: &mut String, (at, bytes): (proto_model::Timestamp, u64)) {
    respond::point(out, at, bytes as f64);
}

/// `{}` stands for all streams.
fn matchers(query: &str) -> Result<Vec<Matcher>, ApiFault> {
    if query.split_whitespace().collect::<String>() == "{}" { Ok(Vec::new()) } else { matchers_only(query) }
}

/// The answer's series, separated by commas.
async fn ask(
    api: &Api,
    headers: &HeaderMap,
    params: &Params,
    range: TimeRange,
    step_ns: i64,
    points: impl Fn(&mut String, &Volume),
) -> Result<(String, hub_query::Stats), ApiFault> {
    let access = api.authorize(headers, Need::Read)?;
    let limits = api.query_limits(&access.grants);
    let aggregate_by: AggregateBy = params.one("aggregateBy").unwrap_or("series").parse()?;
    let targets: Vec<String> = params.one("targetLabels").map(|list| list.split(',').map(str::to_owned).collect()).unwrap_or_default();
    let limit = if params.one("limit") == Some("0") { 100 } else { positive_limit(params)? };
    let request = VolumeRequest::new(&matchers(params.query())?, range, step_ns, &targets, aggregate_by, limit)?;
    let (volumes, stats) = api.engine.volumes(&access.grants, &request, &limits).await?;
    let mut out = String::new();
    for (i, volume) in volumes.iter().enumerate() {
        out.push_str(if i == 0 { "{\"metric\":" } else { ",{\"metric\":" });
        respond::object(&mut out, respond::pairs(&volume.labels));
        points(&mut out, volume);
        out.push('}');
    }
    Ok((out, stats))
}

/// How a planner may split a query: here always into one shard, since a hub splits by what it reads.
///
/// # Errors
/// In Loki's words.
pub async fn shards(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    let (range, limits) = (widened(params.range(api.now())?), api.query_limits(&access.grants));
    if params.one("targetBytesPerShard").is_none_or(|text| !quantity::bytes(text).is_ok_and(|bytes| bytes > 0)) {
        return Err(ApiFault::Wrong("targetBytesPerShard must be a positive value".to_owned()));
    }
    let IndexStats { streams, chunks, bytes, entries } = api.engine.index_stats(&access.grants, &matchers_only(params.query())?, range, &limits).await?;
    let stats = format!("{{\"streams\":{streams},\"chunks\":{chunks},\"bytes\":{bytes},\"entries\":{entries}}}");
    let shard = format!("{{\"bounds\":{{\"min\":0,\"max\":{}}},\"stats\":{stats}}}", u64::MAX);
    Ok(respond::answer(format!("{{\"shards\":[{shard}]}}"), &Form::of(&headers)))
}
