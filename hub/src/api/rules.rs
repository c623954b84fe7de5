//! Rule pages of a hub that evaluates no rules: what Grafana's alert pages need to show an empty list.
//!
//! `/prometheus/api/v1/rules` and `/alerts` answer empty lists, since an error there shows as a broken data source. Below
//! `/api/prom/rules` nothing is served: a plain 404 tells Grafana that there is no ruler to edit rules in.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hub_tenant::Need;

use super::Api;
use super::fault::{ApiFault, TEXT};
use super::respond::{self, Form};

/// No groups.
///
/// # Errors
/// 401 or 403.
pub async fn groups(State(api): State<Api>, headers: HeaderMap) -> Result<Response, ApiFault> {
    empty(&api, &headers, "groups")
}

/// No alerts.
///
/// # Errors
/// 401 or 403.
pub async fn alerts(State(api): State<Api>, headers: HeaderMap) -> Result<Response, ApiFault> {
    empty(&api, &headers, "alerts")
}

fn empty(api: &Api, headers: &HeaderMap, name: &str) -> Result<Response, ApiFault> {
    api.authorize(headers, Need::Read)?;
    let json = format!("{{\"status\":\"success\",\"data\":{{\"{name}\":[]}},\"errorType\":\"\",\"error\":\"\"}}");
    Ok(respond::answer(json, &Form::of(headers)))
}

/// Loki's answer when a tenant has no rules.
///
/// # Errors
/// 401 or 403.
pub async fn none(State(api): State<Api>, headers: HeaderMap) -> Result<Response, ApiFault> {
    api.authorize(&headers, Need::Read)?;
    Ok((StatusCode::NOT_FOUND, TEXT, "no rule groups found\n").into_response())
}
