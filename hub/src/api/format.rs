//! `/format_query`: a query as Loki's pretty printer writes it. JSON always, mistakes too.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_tenant::Need;

use super::Api;
use super::fault::ApiFault;
use super::params::Params;
use super::respond::{self, Form};

/// The query on as many lines as it needs.
///
/// # Errors
/// 401 or 403; a query that is none is answered with 400 in JSON.
pub async fn format(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    api.authorize(&headers, Need::Read)?;
    // Errors are never compressed: Grafana hands them to browsers as they are.
    let (status, json, form) = match hub_logql::parse(params.query()) {
        Ok(expr) => (StatusCode::OK, text("success", "data", &hub_logql::pretty(&expr)), Form::of(&headers)),
        Err(fault) => (StatusCode::BAD_REQUEST, text("invalid-query", "error", &fault.to_string()), Form::of(&HeaderMap::new())),
    };
    let mut response = respond::answer(json, &form);
    *response.status_mut() = status;
    Ok(response)
}

fn text(status: &str, name: &str, value: &str) -> String {
    let mut out = format!("{{\"status\":\"{status}\",\"{name}\":");
    respond::string(&mut out, value);
    out + "}"
}
