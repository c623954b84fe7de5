//! `/query` and `/query_range`.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use hub_logql::Expr;
use hub_query::{InstantRequest, LogRequest, QueryFault, RangeRequest};
use hub_tenant::Need;

use super::Api;
use super::fault::ApiFault;
use super::params::{self, Params};
use super::respond::{self, Form};

/// Whether an incomplete answer, with warnings, is taken in place of none.
fn wants_partial(headers: &HeaderMap) -> bool {
    headers.get("x-tributary-partial").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// `limit`, which Loki checks for metric queries too.
pub(super) fn positive_limit(params: &Params) -> Result<i64, ApiFault> {
    let limit = params.limit()?;
    if limit > 0 { Ok(limit) } else { Err(ApiFault::Wrong("limit must be a positive value".to_owned())) }
}

/// `interval` in nanoseconds, 0 by default.
fn interval_ns(params: &Params) -> Result<i64, ApiFault> {
    let Some(text) = params.one("interval") else { return Ok(0) };
    if text.parse::<f64>().is_ok_and(|secs| secs < 0.0) {
        return Err(ApiFault::Wrong("interval must be >= 0".to_owned()));
    }
    let span = params::duration(text).map_err(ApiFault::Wrong)?;
    Ok(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX))
}

/// A metric query at one time.
///
/// # Errors
/// In Loki's words; a log query is 400.
pub async fn instant(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    let mut limits = api.query_limits(&access.grants);
    limits.partial = wants_partial(&headers);
    let at = params.time("time", api.now())?;
    params.direction()?;
    positive_limit(&params)?;
    match hub_logql::parse(params.query())? {
        Expr::Log(_) => {
            let text = "log queries are not supported as an instant query type, please change your query to a range query type";
            Err(QueryFault::Request(text.to_owned()).into())
        }
        Expr::Metric(expr) => {
            let request = InstantRequest::new(expr, at, &limits)?;
            let answer = api.engine.instant(&access.grants, &request, &limits).await?;
            Ok(respond::instant(&answer, &Form::of(&headers)))
        }
    }
}

/// A log or metric query over a range.
///
/// # Errors
/// In Loki's words.
pub async fn range(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    let mut limits = api.query_limits(&access.grants);
    limits.partial = wants_partial(&headers);
    let range = params.range(api.now())?;
    let (limit, direction) = (positive_limit(&params)?, params.direction()?);
    if range.end <= range.start {
        return Err(QueryFault::Request("end timestamp must not be before or equal to start time".to_owned()).into());
    }
    let step_ns = params.step_ns(range)?;
    if step_ns <= 0 {
        let text = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(QueryFault::Request(text.to_owned()).into());
    }
    let interval_ns = interval_ns(&params)?;
    let form = Form::of(&headers);
    match hub_logql::parse(params.query())? {
        Expr::Log(expr) => {
            let mut request = LogRequest::new(expr, range, limit, direction, &limits)?.every(interval_ns)?;
            request.page = params.page()?;
            if request.page.is_some() && interval_ns > 0 {
                return Err(ApiFault::Wrong("cursor and interval do not go together: leave one out".to_owned()));
            }
            // Whoever takes pages wants every line.
            limits.partial &= request.page.is_none();
            let answer = api.engine.logs(&access.grants, &request, &limits).await?;
            Ok(respond::logs(answer, &form))
        }
        Expr::Metric(expr) => {
            let request = RangeRequest::new(expr, range, step_ns, &limits)?;
            let answer = api.engine.range(&access.grants, &request, &limits).await?;
            Ok(respond::matrix(&answer, &form))
        }
    }
}
