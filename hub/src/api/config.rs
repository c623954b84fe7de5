//! What the hub is set to: `/drilldown-limits`, `/config/tenant/v1/limits`, `/config`, `/log_level`.
//!
//! Parts: [`About`] (the hub's own settings, without secrets, and its log), one function per page. Promises: a tenant sees its own limits
//! only, an operator sees settings and may change the log's level. Must not do: show keys, tokens or other tenants.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hub_tenant::{Grant, Need};
use proto_boot::telemetry::log::{LogHandle, LogLevel};
use proto_extract::level::LEVEL_FIELDS;
use serde_json::{Map, Value, json};

use super::fault::{ApiFault, TEXT};
use super::params::Params;
use super::respond::{self, Form};
use super::{Api, status};
use crate::settings::HubSettings;

/// What the pages show of the hub itself.
#[derive(Debug)]
pub struct About {
    /// The settings in force as YAML.
    pub yaml: String,
    /// The hub's log.
    pub log: LogHandle,
}

/// The settings in force as YAML, secrets left out. Values are JSON, which is YAML.
#[must_use]
pub fn shown(settings: &HubSettings, limits: &hub_tenant::Limits) -> String {
    let HubSettings { http, admin, link, s3, lane, absorb, cache, log, .. } = settings;
    let secret = |given: &str| if given.is_empty() { "" } else { "<secret>" };
    let keys = [
        ("name", json!(settings.name.as_ref().map(|name| &name.value))),
        (
            "http",
            json!({"listen": http.listen.value, "path_prefix": http.path_prefix, "tls": {"cert_file": http.tls.cert_file, "key_file": http.tls.key_file}}),
        ),
        ("admin", json!({"listen": admin.listen.value})),
        ("link", json!({"listen": link.listen.value, "quic": link.quic, "grpc": link.grpc, "trust_domain": link.trust_domain.value})),
        ("store", json!(settings.store.value)),
        (
            "s3",
            json!({"endpoint": s3.endpoint, "region": s3.region, "allow_http": s3.allow_http,
                "access_key_id": secret(&s3.access_key_id), "secret_access_key": secret(&s3.secret_access_key)}),
        ),
        ("tenants", json!({"file": settings.tenants.file.value})),
        (
            "roles",
            json!(
                ["ingest", "query", "upkeep"]
                    .map(|role| (role, settings.has_role(role)))
                    .iter()
                    .filter(|(_, has)| *has)
                    .map(|(role, _)| *role)
                    .collect::<Vec<_>>()
            ),
        ),
        ("lane", json!({"linger": lane.linger.value, "object_max": lane.object_max.value, "keep": lane.keep})),
        ("absorb", json!({"bytes": absorb.bytes.value, "after": absorb.after, "after_small": absorb.after_small})),
        ("cache", json!({"memory": cache.memory, "dir": cache.dir, "disk": cache.disk})),
        ("limits", limits.to_json()),
        ("log", json!({"level": log.level.as_str()})),
    ];
    keys.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

fn yaml(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/yaml; charset=utf-8")], text).into_response()
}

/// The settings in force.
///
/// # Errors
/// 401 or 403: it is the operator's.
pub async fn config(State(api): State<Api>, headers: HeaderMap) -> Result<Response, ApiFault> {
    api.authorize(&headers, Need::Operate)?;
    Ok(yaml(api.about.yaml.clone()))
}

/// The limits of the caller's tenants.
///
/// # Errors
/// 401 or 403.
pub async fn tenant_limits(State(api): State<Api>, headers: HeaderMap) -> Result<Response, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    let text = limits(&api, &access.grants).iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    Ok(yaml(text))
}

/// The limits of the caller's tenants, as Logs Drilldown reads them.
///
/// # Errors
/// 401 or 403.
pub async fn drilldown(State(api): State<Api>, headers: HeaderMap) -> Result<Response, ApiFault> {
    let access = api.authorize(&headers, Need::Read)?;
    let answer = json!({"limits": limits(&api, &access.grants), "pattern_ingester_enabled": true, "version": status::VERSION});
    Ok(respond::answer(answer.to_string(), &Form::of(&headers)))
}

/// Of several tenants the least of what bounds queries; of the rest the first one's.
fn limits(api: &Api, grants: &[Grant]) -> Map<String, Value> {
    let tenants = api.tenants.borrow();
    let of = |grant: &Grant| tenants.limits(grant.tenant()).to_json().as_object().cloned();
    let mut limits: Map<String, Value> = grants.first().and_then(of).unwrap_or_default();
    let least = api.query_limits(grants);
    for (name, value) in [
        ("max_entries_limit_per_query", least.max_entries_limit_per_query),
        ("max_query_series", least.max_query_series),
        ("max_streams_matchers_per_query", least.max_streams_matchers_per_query),
    ] {
        limits.insert(name.to_owned(), json!(value));
    }
    let span = |span| proto_boot::Span(span).to_string();
    limits.insert("max_query_length".to_owned(), json!(span(least.max_query_length)));
    limits.insert("query_timeout".to_owned(), json!(span(least.query_timeout)));
    limits.insert("max_query_bytes_read".to_owned(), json!(format!("{}B", least.max_query_bytes_read)));
    let kept = grants.iter().filter_map(|grant| tenants.tenant(grant.tenant())).map(|tenant| tenant.retention);
    let retention = kept.filter(|span| !span.0.is_zero()).min_by_key(|span| span.0).unwrap_or(proto_boot::Span::from_secs(0));
    // What clients look for and what is fixed here.
    for (name, value) in [
        ("retention_period", json!(retention)),
        ("volume_enabled", json!(true)),
        ("metric_aggregation_enabled", json!(false)),
        ("pattern_persistence_enabled", json!(true)),
        ("max_query_lookback", json!("0s")),
        ("max_query_range", json!("0s")),
        ("log_level_fields", json!(LEVEL_FIELDS)),
    ] {
        limits.entry(name).or_insert(value);
    }
    limits
}

/// How much the log tells.
///
/// # Errors
/// 401 or 403.
pub async fn log_level(State(api): State<Api>, headers: HeaderMap) -> Result<Response, ApiFault> {
    api.authorize(&headers, Need::Read).or_else(|_| api.authorize(&headers, Need::Operate))?;
    let answer = json!({"message": format!("Current log level is {}", api.about.log.level().as_str())});
    Ok(respond::answer(answer.to_string(), &Form::of(&headers)))
}

/// Tells more or less from now on.
///
/// # Errors
/// 401 or 403: it is the operator's; an unknown level is answered with 400 in JSON, as Loki does.
pub async fn set_log_level(State(api): State<Api>, headers: HeaderMap, params: Params) -> Result<Response, ApiFault> {
    api.authorize(&headers, Need::Operate)?;
    let asked = params.one("log_level").unwrap_or_default();
    let refuse = |why: String| {
        let mut response = respond::answer(json!({"message": why, "status": "failed"}).to_string(), &Form::of(&HeaderMap::new()));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    };
    let Some(level) = level(asked) else { return Ok(refuse(format!("unrecognized log level {asked:?}"))) };
    if let Err(fault) = api.about.log.set_level(level) {
        return Ok((StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{fault}\n")).into_response());
    }
    tracing::info!(level = level.as_str(), "the log's level was changed");
    let answer = json!({"message": format!("Log level set to {}", level.as_str()), "status": "success"});
    Ok(respond::answer(answer.to_string(), &Form::of(&headers)))
}

fn level(text: &str) -> Option<LogLevel> {
    [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace].into_iter().find(|level| level.as_str() == text)
}

#[cfg(test)]
mod tests;
