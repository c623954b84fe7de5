//! `/loki/api/v1/delete`: lines that count as gone, by selector, filters and time (lane rule 17).
//!
//! Parts: [`create`] (POST, PUT), [`list`] (GET), [`cancel`] (DELETE). Only an operator's token may delete and call off, for the one
//! tenant that `X-Scope-OrgID` names; who may read a tenant may list its deletes. Promises: answered once it is durable and in force
//! on every hub; Loki's words and shapes. Beside Loki: the id is in the answer's `X-Tributary-Request-Id`, and no waiting period begins.
//! Must not do: rewrite (upkeep does).

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use hub_query::{Deletion, QueryFault};
use hub_store::limits::DELETE_QUERY_BYTES_MAX;
use hub_store::{Delete, Manifest, StoreFault};
use hub_tenant::{AccessFault, Grant, Need};
use proto_model::{TimeRange, Timestamp};
use serde_json::{Value, json};

use super::Api;
use super::fault::ApiFault;
use super::params::{self, Params};

/// Where the answer to a new delete says its id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-tributary-request-id");

fn wrong(text: &str) -> ApiFault {
    ApiFault::Wrong(text.to_owned())
}

/// Takes a delete in: `query`, `start`, `end` (now), `max_interval` (checked, and without effect: upkeep cuts its work itself).
///
/// # Errors
/// 400 in Loki's words, 401, 403, 429 with too many open deletes, 503.
pub async fn create(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<(StatusCode, [(HeaderName, String); 1]), ApiFault> {
    let grant = one(api.authorize(&headers, Need::Delete)?.grants)?;
    let range = range(&params, api.now())?;
    let query = params.one("query").ok_or_else(|| wrong("query not set"))?;
    if query.len() > DELETE_QUERY_BYTES_MAX {
        return Err(ApiFault::Wrong(format!("the query of a delete has {} bytes, more than the {DELETE_QUERY_BYTES_MAX} allowed", query.len())));
    }
    let unfit = |fault: QueryFault| ApiFault::Wrong(format!("invalid query expression: {fault}"));
    Deletion::check(query).map_err(unfit)?;
    let delete = api.store.delete(&grant, query, range).await.map_err(refused)?;
    tracing::info!(tenant = %grant, id = delete.request_id(), pieces = delete.pieces, "lines count as gone by a delete");
    Ok((StatusCode::NO_CONTENT, [(REQUEST_ID, delete.request_id())]))
}

/// Lists the deletes of one tenant, the oldest first: those that are open, and the newest that are carried out.
///
/// # Errors
/// 401, 403, 503.
pub async fn list(State(api): State<Api>, headers: HeaderMap) -> Result<Json<Value>, ApiFault> {
    let access = match api.authorize(&headers, Need::Read) {
        Err(ApiFault::Access(AccessFault::Role)) => api.authorize(&headers, Need::Delete)?,
        judged => judged?,
    };
    let grant = one(access.grants)?;
    let manifest = api.store.deletes(&grant).await.map_err(refused)?;
    let shown = |manifest: &Manifest| {
        let mut all: Vec<&Delete> = manifest.done.iter().chain(&manifest.deletes).collect();
        all.sort_by_key(|delete| delete.number);
        all.into_iter().map(|delete| entry(manifest, delete)).collect::<Vec<_>>()
    };
    Ok(Json(Value::Array(manifest.map(|manifest| shown(&manifest)).unwrap_or_default())))
}

/// Calls a delete off by `request_id`, while it took no line out; with `force=true` also later: then what it took out stays out.
///
/// # Errors
/// 400 and 404 in Loki's words, 401, 403, 503.
pub async fn cancel(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<StatusCode, ApiFault> {
    let grant = one(api.authorize(&headers, Need::Delete)?.grants)?;
    let id = params.one("request_id").ok_or_else(|| wrong("request_id not set"))?;
    let force = match params.one("force") {
        None | Some("false" | "0") => false,
        Some("true" | "1") => true,
        Some(_) => return Err(wrong("force is neither true nor false")),
    };
    let unknown = || ApiFault::Unknown("could not find delete request with given id".to_owned());
    let number = Delete::parse_request_id(id).ok_or_else(unknown)?;
    match api.store.cancel_delete(&grant, number, force).await {
        Ok(()) => {}
        Err(StoreFault::NoDelete) => {
            let manifest = api.store.deletes(&grant).await.map_err(refused)?;
            let is_done = manifest.is_some_and(|manifest| manifest.done.iter().any(|delete| delete.number == number));
            return Err(if is_done { wrong("deletion of request which is in process or already processed is not allowed") } else { unknown() });
        }
        Err(StoreFault::DeleteBegun) => {
            return Err(wrong("Unable to cancel partially completed delete request. To force, use the ?force query parameter"));
        }
        Err(fault) => return Err(refused(fault)),
    }
    tracing::info!(tenant = %grant, id, force, "a delete was called off");
    Ok(StatusCode::NO_CONTENT)
}

/// The only tenant that is asked for.
fn one(grants: Vec<Grant>) -> Result<Grant, ApiFault> {
    match <[Grant; 1]>::try_from(grants) {
        Ok([grant]) => Ok(grant),
        Err(_) => Err(wrong("multiple org IDs present")),
    }
}

fn refused(fault: StoreFault) -> ApiFault {
    if matches!(fault, StoreFault::TooLarge { .. }) {
        // Room comes as open ones are carried out.
        return ApiFault::TooFast { reason: "deletes", text: fault.to_string(), retry_after_s: 60 };
    }
    QueryFault::Store(fault).into()
}

/// `start` and `end`, both meant; in Loki's words.
fn range(params: &Params, now: Timestamp) -> Result<TimeRange, ApiFault> {
    let time = |name: &str| match params.one(name) {
        None => Ok(None),
        Some(text) => match params::time(text) {
            Ok(at) => Ok(Some(at)),
            Err(_) => Err(ApiFault::Wrong(format!("invalid {name} time: require unix seconds or RFC3339 format"))),
        },
    };
    let start = time("start")?.ok_or_else(|| wrong("start time not set"))?;
    let end = time("end")?.unwrap_or(now);
    if start > now || end > now {
        return Err(wrong("deletes in the future are not allowed"));
    }
    if start >= end {
        return Err(wrong("start time can't be greater than or equal to end time"));
    }
    if let Some(text) = params.one("max_interval") {
        let fits = text.ends_with(['s', 'm', 'h']).then(|| params::duration(text).ok()).flatten();
        if fits.is_none_or(|interval| interval.is_zero()) {
            return Err(wrong("invalid max_interval: valid time units are 's', 'm', 'h'"));
        }
    }
    Ok(TimeRange { start, end: Timestamp(end.nanos().saturating_add(1)) })
}

/// One delete as Loki shows it: times in seconds.
fn entry(manifest: &Manifest, delete: &Delete) -> Value {
    let status = match (delete.done, manifest.progress(delete)) {
        (Some(_), _) => "processed".to_owned(),
        (None, None) => "received".to_owned(),
        (None, Some(part)) => format!("{part}% Complete"),
    };
    json!({
        "request_id": delete.request_id(),
        "start_time": seconds(delete.range.start),
        "end_time": seconds(Timestamp(delete.range.end.nanos().saturating_sub(1))),
        "query": delete.query,
        "status": status,
        "created_at": seconds(delete.accepted),
        "deleted_lines": delete.lines,
    })
}

/// Seconds, to the millisecond; whole ones without a fraction.
fn seconds(at: Timestamp) -> Value {
    let millis = at.nanos().div_euclid(1_000_000);
    if millis % 1_000 == 0 {
        return json!(millis / 1_000);
    }
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century have 41 bits")]
    let seconds = millis as f64 / 1_000.0;
    json!(seconds)
}

#[cfg(test)]
mod tests;
