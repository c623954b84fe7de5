//! `/labels`, `/label/<name>/values`, `/series`, `/index/stats`.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use hub_logql::Matcher;
use hub_tenant::Need;
use proto_model::{TimeRange, Timestamp};

use super::Api;
use super::fault::ApiFault;
use super::params::Params;
use super::respond::{self, Form};

/// An empty interval still asks something: Loki works on whole index periods, and Grafana's log context sends `start` = `end`.
pub(super) fn widened(range: TimeRange) -> TimeRange {
    if range.end > range.start { range } else { TimeRange { start: range.start, end: Timestamp(range.start.nanos().saturating_add(1)) } }
}

pub(super) fn selector(params: &Params) -> Result<Option<Vec<Matcher>>, ApiFault> {
    match params.one("query") {
        None => Ok(None),
        Some(text) if text.split_whitespace().collect::<String>() == "{}" => Ok(None),
        Some(text) => Ok(Some(hub_logql::parse_selector(text)?)),
    }
}

/// A selector and nothing behind it.
pub(super) fn matchers_only(query: &str) -> Result<Vec<Matcher>, ApiFault> {
    hub_logql::parse_selector(query).map_err(|fault| match hub_logql::parse(query) {
        Ok(_) => ApiFault::Wrong("only label matchers are supported".to_owned()),
        Err(_) => fault.into(),
    })
}

/// Names of labels.
///
/// # Errors
/// In Loki's words.
pub async fn names(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    let (range, limits) = (widened(params.range(api.now())?), api.query_limits(&access.grants));
    let found = api.engine.label_names(&access.grants, range, selector(&params)?.as_deref(), &limits).await?;
    Ok(respond::texts(&found, &Form::of(&headers)))
}

/// Values of one label.
///
/// # Errors
/// In Loki's words.
pub async fn values(State(api): State<Api>, headers: HeaderMap, Path(name): Path<String>, params: Params) -> Result<Response, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    let (range, limits) = (widened(params.range(api.now())?), api.query_limits(&access.grants));
    let found = api.engine.label_values(&access.grants, &name, range, selector(&params)?.as_deref(), &limits).await?;
    Ok(respond::texts(&found, &Form::of(&headers)))
}

/// Label sets.
///
/// # Errors
/// In Loki's words.
pub async fn series(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    let (range, limits) = (widened(params.range(api.now())?), api.query_limits(&access.grants));
    let mut selectors = Vec::new();
    for text in params.all(&["match[]", "match"]) {
        if text.split_whitespace().collect::<String>() != "{}" {
            selectors.push(hub_logql::parse_selector(text)?);
        }
    }
    let found = api.engine.series(&access.grants, &selectors, range, &limits).await?;
    Ok(respond::series(&found, &Form::of(&headers)))
}

/// Streams, bytes and entries of a selector.
///
/// # Errors
/// In Loki's words.
pub async fn index_stats(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    let (range, limits) = (widened(params.range(api.now())?), api.query_limits(&access.grants));
    let matchers = matchers_only(params.query())?;
    let stats = api.engine.index_stats(&access.grants, &matchers, range, &limits).await?;
    Ok(respond::stats(&stats, &Form::of(&headers)))
}
