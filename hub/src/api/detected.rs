//! `/detected_labels`, `/detected_fields`, `/detected_field/<name>/values`: what Logs Drilldown lists.
//!
//! Not wrapped in `data`, and `{}` when there is nothing, as Loki answers; `parsers` is null for metadata.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use hub_logql::Expr;
use hub_query::{DetectedField, DetectedLabel, Direction, LogAnswer, LogRequest, QueryFault, detected};
use hub_tenant::Need;

use super::Api;
use super::fault::ApiFault;
use super::labels::{selector, widened};
use super::params::Params;
use super::respond::{self, Form};

/// Lines looked at when no number is asked for.
const LINE_LIMIT_DEFAULT: u32 = 100;
/// Fields or values answered when no number is asked for.
const LIMIT_DEFAULT: u32 = 1_000;

/// Labels and how many values each has.
///
/// # Errors
/// In Loki's words.
pub async fn labels(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    let (range, limits) = (widened(params.range(api.now())?), api.query_limits(&access.grants));
    let found = api.engine.detected_labels(&access.grants, range, selector(&params)?.as_deref(), &limits).await?;
    Ok(respond::answer(labels_json(&found), &Form::of(&headers)))
}

/// Fields of the newest lines.
///
/// # Errors
/// In Loki's words.
pub async fn fields(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    let (answer, limit) = sample(&api, &headers, &params).await?;
    let json = api.world.workers.run(move || fields_json(&detected::fields(&answer, limit as usize), limit)).await;
    Ok(respond::answer(json, &Form::of(&headers)))
}

/// Values of one field of the newest lines.
///
/// # Errors
/// In Loki's words.
pub async fn values(State(api): State<Api>, headers: HeaderMap, Path(name): Path<String>, params: Params) -> Result<Response, ApiFault> {
    let (answer, limit) = sample(&api, &headers, &params).await?;
    let json = api.world.workers.run(move || values_json(&detected::field_values(&answer, &name, limit as usize), limit)).await;
    Ok(respond::answer(json, &Form::of(&headers)))
}

/// The newest lines of the query, and how much may be answered of them.
async fn sample(api: &Api, headers: &HeaderMap, params: &Params) -> Result<(LogAnswer, u32), ApiFault> {
    let access = api.authorize(headers, Need::Read)?;
    let limits = api.query_limits(&access.grants);
    let range = params.range(api.now())?;
    let lines = number(params, &["line_limit"], LINE_LIMIT_DEFAULT)?;
    let limit = number(params, &["limit", "field_limit"], LIMIT_DEFAULT)?;
    let Expr::Log(expr) = hub_logql::parse(params.query())? else { return Err(QueryFault::Request("only log selector is supported".to_owned()).into()) };
    let request = LogRequest::new(expr, range, i64::from(lines), Direction::Backward, &limits)?;
    Ok((api.engine.logs(&access.grants, &request, &limits).await?, limit))
}

/// The first of `names` that is given, above 0.
fn number(params: &Params, names: &[&str], default: u32) -> Result<u32, ApiFault> {
    let Some(text) = names.iter().find_map(|name| params.one(name)) else { return Ok(default) };
    let number: i64 = text.parse().map_err(|_| ApiFault::Wrong(format!("strconv.Atoi: parsing \"{text}\": invalid syntax")))?;
    u32::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| ApiFault::Wrong("limit must be a positive value".to_owned()))
}

/// `{"name":[{"label":..},..]rest}`, each object completed by `put`; `{}` when nothing was found.
fn listed<T>(name: &str, found: &[T], rest: &str, mut put: impl FnMut(&mut String, &T)) -> String {
    if found.is_empty() {
        return "{}".to_owned();
    }
    let mut out = format!("{{\"{name}\":[");
    for (i, one) in found.iter().enumerate() {
        out.push_str(if i == 0 { "{\"label\":" } else { ",{\"label\":" });
        put(&mut out, one);
        out.push('}');
    }
    out + "]" + rest + "}"
}

fn labels_json(found: &[DetectedLabel]) -> String {
    listed("detectedLabels", found, "", |out, label| {
        respond::string(out, &label.label);
        out.push_str(&format!(",\"cardinality\":{}", label.cardinality));
    })
}

fn fields_json(found: &[DetectedField], limit: u32) -> String {
    listed("fields", found, &format!(",\"limit\":{limit}"), |out, field| {
        respond::string(out, &field.label);
        out.push_str(&format!(",\"type\":\"{}\",\"cardinality\":{},\"parsers\":", field.kind.as_str(), field.cardinality));
        if field.parsers.is_empty() {
            out.push_str("null");
        } else {
            respond::list(out, &field.parsers.iter().map(|parser| (*parser).to_owned()).collect::<Vec<_>>());
        }
        if !field.json_path.is_empty() {
            out.push_str(",\"jsonPath\":");
            respond::list(out, &field.json_path);
        }
    })
}

fn values_json(found: &[String], limit: u32) -> String {
    if found.is_empty() {
        return "{}".to_owned();
    }
    let mut out = String::from("{\"values\":");
    respond::list(&mut out, found);
    out + &format!(",\"limit\":{limit}}}")
}

#[cfg(test)]
mod tests;
