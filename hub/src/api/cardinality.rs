//! Which labels of a tenant have how many values and streams: what makes it large, and what to leave out of labels.
//!
//! Parts: [`of_caller`] (a reader's own tenants), [`page`] (what both ports show). Promises: read from tables and footers, no
//! line is. Must not do: show more values than asked for.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use hub_query::{Cardinality, QueryFault};
use hub_tenant::{Grant, Need};
use proto_model::TimeRange;
use serde_json::{Value, json};

use super::Api;
use super::fault::ApiFault;
use super::params::Params;

/// Values shown of a label when none are asked for.
const VALUES_DEFAULT: usize = 10;
/// Values shown of a label at most.
const VALUES_MAX: usize = 1_000;

/// The page of the tenants that the token may read.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn of_caller(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Json<Value>, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    page(&api, &access.grants, &params).await
}

/// The page: `start`, `end`, `since` (an hour), `limit` (values of each label, 10).
///
/// # Errors
/// 400, 503.
pub async fn page(api: &Api, grants: &[Grant], params: &Params) -> Result<Json<Value>, ApiFault> {
    let range = params.range(api.now())?;
    if range.end <= range.start {
        return Err(QueryFault::Request("end timestamp must not be before or equal to start time".to_owned()).into());
    }
    let values = match params.one("limit") {
        None => VALUES_DEFAULT,
        Some(_) => usize::try_from(params.limit()?).unwrap_or(0).min(VALUES_MAX),
    };
    let found = api.engine.cardinality(grants, range, values, &api.query_limits(grants)).await?;
    Ok(Json(shown(grants, range, &found)))
}

fn shown(grants: &[Grant], range: TimeRange, found: &Cardinality) -> Value {
    let labels = found.labels.iter().map(|label| {
        let top = label.top.iter().map(|value| json!({"value": value.value, "streams": value.streams, "lines": value.lines, "bytes": value.bytes}));
        json!({"label": label.name, "values": label.values, "streams": label.streams, "top": top.collect::<Vec<_>>()})
    });
    json!({
        "tenant": grants.iter().map(|grant| grant.tenant().as_str()).collect::<Vec<_>>().join("|"),
        "start": range.start.nanos().to_string(), "end": range.end.nanos().to_string(),
        "streams": found.streams, "lines": found.lines, "bytes": found.bytes,
        "labels": labels.collect::<Vec<_>>(),
    })
}
