//! The HTTP API: Loki's, for one or several tenants of a token.
//!
//! Parts: [`Api`] (what every request needs), [`routes`] (one line each), [`params`] (what was asked),
//! [`query`], [`labels`], [`cardinality`], [`volume`], [`detected`], [`patterns`], [`tail`], [`push`], [`otlp`], [`legacy`],
//! [`delete`], [`format`](mod@format), [`rules`], [`config`], [`status`] (one module per kind of route), [`respond`] (answers as
//! Loki's JSON), [`fault`] (the only mapping of faults to status and text). Promises: no token, no answer
//! (but `/ready`); the tenant comes from the token, a header only narrows; errors are plain text and never
//! compressed (Grafana cannot read them otherwise). Must not do: compute answers.

pub mod cardinality;
pub mod config;
pub mod delete;
pub mod detected;
pub mod fault;
pub mod format;
pub mod labels;
pub mod legacy;
pub mod otlp;
pub mod params;
pub mod patterns;
pub mod push;
pub mod query;
pub mod respond;
#[cfg(test)]
pub(crate) mod rig;
pub mod rules;
pub mod status;
pub mod tail;
pub mod volume;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, post};
use hub_ingest::Ingest;
use hub_query::{Engine, Limits as QueryLimits};
use hub_store::Store;
use hub_tenant::{Access, Credentials, Grant, IssuedTokens, Limits, Need, Tenants, authenticate};
use proto_boot::Ready;
use proto_model::Timestamp;
use proto_seam::World;
use tokio::sync::watch;
use tracing::Instrument as _;

use fault::ApiFault;

/// Largest form body of a query: the query text is at most 64 KiB.
const FORM_BYTES_MAX: usize = 256 * 1024;

/// Characters of a query's text and tags that are logged.
const LOGGED_CHARS: usize = 1_000;

/// What every request needs; clones share it.
#[derive(Clone)]
pub struct Api {
    /// Answers queries.
    pub engine: Arc<Engine>,
    /// Takes deletes in.
    pub store: Arc<Store>,
    /// Stores pushes.
    pub ingest: Ingest,
    /// The tenant map in force.
    pub tenants: watch::Receiver<Arc<Tenants>>,
    /// Tokens of the store.
    pub issued: watch::Receiver<Arc<IssuedTokens>>,
    /// Bounds how fast tenants may push.
    pub rates: Arc<push::Rates>,
    /// Counts pushes that are refused.
    pub refusals: push::Refusals,
    /// Live tails.
    pub tails: Arc<tail::Tails>,
    /// Whether the hub can work.
    pub ready: Ready,
    /// What the hub is set to.
    pub about: Arc<config::About>,
    /// The world.
    pub world: World,
}

impl Api {
    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(self.world.clock.now_ns())
    }

    /// Who asks, and for whom.
    ///
    /// # Errors
    /// 401 or 403.
    pub fn authorize(&self, headers: &HeaderMap, need: Need) -> Result<Access, ApiFault> {
        let values = |name: &str| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
        let (authorization, scope) = (values("authorization"), values("x-scope-orgid"));
        let credentials = Credentials { authorization: &authorization, scope: &scope };
        let (tenants, issued) = (Arc::clone(&self.tenants.borrow()), Arc::clone(&self.issued.borrow()));
        let access = authenticate(&tenants, &issued, &credentials, need, self.now())?;
        tracing::Span::current().record("token", access.token.as_str());
        Ok(access)
    }

    /// The limits of what several tenants are asked at once: of each the smallest that is set.
    #[must_use]
    pub fn query_limits(&self, grants: &[Grant]) -> QueryLimits {
        let tenants = self.tenants.borrow();
        let least = |of: &dyn Fn(&Limits) -> u64| grants.iter().map(|grant| of(tenants.limits(grant.tenant()))).filter(|limit| *limit > 0).min().unwrap_or(0);
        let whole = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        QueryLimits {
            max_entries_limit_per_query: whole(least(&|limits| limits.max_entries_limit_per_query)),
            max_query_series: whole(least(&|limits| limits.max_query_series)),
            max_query_length: Duration::from_nanos(least(&|limits| u64::try_from(limits.max_query_length.0.as_nanos()).unwrap_or(u64::MAX))),
            max_query_bytes_read: least(&|limits| limits.max_query_bytes_read.0),
            query_timeout: Duration::from_nanos(least(&|limits| u64::try_from(limits.query_timeout.0.as_nanos()).unwrap_or(u64::MAX))),
            max_streams_matchers_per_query: whole(least(&|limits| limits.max_streams_matchers_per_query)),
            max_query_memory: least(&|limits| limits.max_query_memory.0),
            partial: false,
        }
    }
}

/// All routes below `prefix`.
pub fn routes(api: Api, prefix: &str) -> Router {
    let loki = Router::new()
        .merge(lines())
        .merge(streams())
        .merge(hub())
        .merge(old())
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(axum::middleware::from_fn(asked))
        .route("/loki/api/v1/push", post(push::push))
        .route("/otlp/v1/logs", post(otlp::push))
        .route("/api/prom/push", post(legacy::push))
        .route("/ready", get(status::ready))
        .with_state(api);
    let all = if prefix.is_empty() { loki } else { Router::new().nest(prefix, loki) };
    all.fallback(not_found).method_not_allowed_fallback(not_allowed)
}

/// Opens the span in which a query is logged: its text and its token are added where they are known.
async fn asked(request: Request, next: Next) -> Response {
    let tags: String = request.headers().get("x-query-tags").and_then(|tags| tags.to_str().ok()).unwrap_or_default().chars().take(LOGGED_CHARS).collect();
    let span = tracing::info_span!(
        "asked",
        path = request.uri().path(),
        tags,
        token = tracing::field::Empty,
        query = tracing::field::Empty,
        query_hash = tracing::field::Empty
    );
    next.run(request).instrument(span).await
}

/// What reads lines.
fn lines() -> Router<Api> {
    Router::new()
        .route("/loki/api/v1/query", get(query::instant).post(query::instant))
        .route("/loki/api/v1/tail", get(tail::tail))
        .route("/api/prom/tail", get(tail::tail))
        .route("/loki/api/v1/query_range", get(query::range).post(query::range))
        .route("/loki/api/v1/patterns", get(patterns::patterns).post(patterns::patterns))
        .route("/loki/api/v1/detected_fields", get(detected::fields).post(detected::fields))
        .route("/loki/api/v1/detected_field/{name}/values", get(detected::values).post(detected::values))
        .route("/loki/api/v1/format_query", get(format::format).post(format::format))
}

/// What tables and footers answer.
fn streams() -> Router<Api> {
    Router::new()
        .route("/loki/api/v1/labels", get(labels::names).post(labels::names))
        .route("/loki/api/v1/label", get(labels::names).post(labels::names))
        .route("/loki/api/v1/label/{name}/values", get(labels::values).post(labels::values))
        .route("/loki/api/v1/series", get(labels::series).post(labels::series))
        .route("/loki/api/v1/detected_labels", get(detected::labels).post(detected::labels))
        .route("/loki/api/v1/cardinality", get(cardinality::of_caller))
        .route("/loki/api/v1/index/stats", get(labels::index_stats).post(labels::index_stats))
        .route("/loki/api/v1/index/volume", get(volume::volume).post(volume::volume))
        .route("/loki/api/v1/index/volume_range", get(volume::volume_range).post(volume::volume_range))
        .route("/loki/api/v1/index/shards", get(volume::shards).post(volume::shards))
}

/// What the hub says of itself, and of rules, which it has none of.
fn hub() -> Router<Api> {
    Router::new()
        .route("/loki/api/v1/status/buildinfo", get(status::buildinfo))
        .route("/loki/api/v1/drilldown-limits", get(config::drilldown))
        .route("/config/tenant/v1/limits", get(config::tenant_limits))
        .route("/config", get(config::config))
        .route("/log_level", get(config::log_level).post(config::set_log_level))
        .route("/loki/api/v1/delete", get(delete::list).post(delete::create).put(delete::create).delete(delete::cancel))
        .route("/prometheus/api/v1/rules", get(rules::groups))
        .route("/prometheus/api/v1/alerts", get(rules::alerts))
        .route("/loki/api/v1/rules", get(rules::none))
}

/// Loki's first API.
fn old() -> Router<Api> {
    Router::new()
        .route("/api/prom/query", get(legacy::query).post(legacy::query))
        .route("/api/prom/label", get(legacy::names).post(legacy::names))
        .route("/api/prom/label/{name}/values", get(legacy::values).post(legacy::values))
        .route("/api/prom/series", get(labels::series).post(labels::series))
}

/// As Go's server says it.
async fn not_found() -> (StatusCode, [(header::HeaderName, &'static str); 2], &'static str) {
    (StatusCode::NOT_FOUND, fault::TEXT, "404 page not found\n")
}

async fn not_allowed() -> (StatusCode, [(header::HeaderName, &'static str); 2], &'static str) {
    (StatusCode::METHOD_NOT_ALLOWED, fault::TEXT, "405 method not allowed\n")
}

#[cfg(test)]
mod tests;
