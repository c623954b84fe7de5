//! `/ready` and buildinfo.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use hub_tenant::Need;

use super::Api;
use super::fault::{ApiFault, TEXT};

/// Which program this is.
pub(super) const VERSION: &str = concat!("tributary-", env!("CARGO_PKG_VERSION"));

/// Open to all: 200 `ready`, or 503.
pub async fn ready(State(api): State<Api>) -> impl IntoResponse {
    if api.ready.is_ready() { (StatusCode::OK, TEXT, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n") }
}

/// Which program this is, in the form Loki's clients expect.
///
/// # Errors
/// 401 or 403.
pub async fn buildinfo(State(api): State<Api>, headers: HeaderMap) -> Result<impl IntoResponse, ApiFault> {
    api.authorize(&headers, Need::Read)?;
    Ok(Json(serde_json::json!({
        "version": VERSION,
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    })))
}
