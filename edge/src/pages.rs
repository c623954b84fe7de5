//! What the edge tells whoever asks: `/`, `/ready`, `/metrics`, `/targets`, `/service-discovery`, `/config`, `/status`. Open; listen on loopback
//! or the pod's address.
//!
//! Parts: [`Pages`] (what they read), [`routes`], [`form`] (HTML for a browser, JSON, or text), [`html`], one file for each page. Promises: what
//! only a page needs is made when it is asked for; a page is whole without scripts or other files; everything in it is escaped; secrets are
//! left out. Must not do: change anything.

mod discovery;
mod form;
mod html;
mod overview;
mod targets;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use proto_boot::Metrics;
use proto_seam::World;
use serde_json::Value;

use crate::metrics::{process, series};
use crate::settings::load;
use crate::status::Status;
use form::{Asked, Form};

/// What the pages read.
#[derive(Clone)]
pub struct Pages {
    /// The edge's state.
    pub status: Status,
    /// Its counters.
    pub metrics: Metrics,
    /// The settings in force.
    pub settings: Effective,
    /// Whether `/ready` waits for the first search for files.
    pub ready_needs_targets: bool,
    /// Whether `/metrics` is served.
    pub serves_metrics: bool,
    /// What the system knows of this process.
    pub world: World,
}

/// The settings in force, as a page shows them; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Effective(Arc<Mutex<Value>>);

impl Effective {
    /// These count from now on.
    pub fn set(&self, settings: Value) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    fn shown(&self) -> Value {
        load::masked(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The routes.
pub fn routes(pages: Pages) -> Router {
    let metered = if pages.serves_metrics { Router::new().route("/metrics", get(metrics)) } else { Router::new() };
    metered
        .route("/", get(overview))
        .route("/ready", get(ready))
        .route("/targets", get(targets))
        .route("/service-discovery", get(discovery))
        .route("/config", get(config))
        .route("/status", get(status))
        .with_state(pages)
}

const TEXT: [(header::HeaderName, &str); 2] = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
const JSON: [(header::HeaderName, &str); 2] = [(header::CONTENT_TYPE, "application/json; charset=UTF-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
const HTML: [(header::HeaderName, &str); 4] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// A page in the form that was asked for.
fn answer(form: Form, json: impl FnOnce() -> Value, html: impl FnOnce() -> String, text: impl FnOnce() -> String) -> Response {
    let varies = [(header::VARY, "Accept")];
    match form {
        Form::Json => (JSON, varies, json().to_string()).into_response(),
        Form::Html => (HTML, varies, html()).into_response(),
        Form::Text => (TEXT, varies, text()).into_response(),
    }
}

async fn ready(State(pages): State<Pages>) -> impl IntoResponse {
    match pages.status.unready().filter(|_| pages.ready_needs_targets) {
        None => (StatusCode::OK, TEXT, "Ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("Not ready: {why}\n")),
    }
}

async fn metrics(State(pages): State<Pages>) -> impl IntoResponse {
    let snapshot = pages.status.fresh().await;
    let mut text = pages.metrics.text();
    text.push_str(&series::text(&snapshot, &pages.status.receiver_reports()));
    let disk = Arc::clone(&pages.world.disk);
    text.push_str(&pages.world.workers.run(move || process::text(disk.as_ref())).await);
    let stages = series::without_repeats(&text, &pages.status.custom_text());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text + &stages)
}

async fn status(State(pages): State<Pages>) -> impl IntoResponse {
    pages.status.fresh().await;
    (JSON, serde_json::to_string(&pages.status.report()).unwrap_or_default())
}

async fn overview(State(pages): State<Pages>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    pages.status.fresh().await;
    let report = serde_json::to_value(pages.status.report()).unwrap_or_default();
    let why = pages.status.unready();
    let (html, text) = (|| overview::html(&report, why.as_deref()), || overview::text(&report));
    answer(form::of(&asked, &headers), || report.clone(), html, text)
}

async fn targets(State(pages): State<Pages>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let files = pages.status.fresh().await;
    let receivers = pages.status.receiver_reports();
    let containers = pages.status.container_reports();
    let shown = targets::Shown { files: &files, containers: &containers, receivers: &receivers };
    answer(form::of(&asked, &headers), || targets::json(&shown), || targets::html(&shown), || targets::text(&shown))
}

async fn discovery(State(pages): State<Pages>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let jobs = pages.status.service_discovery();
    answer(form::of(&asked, &headers), || discovery::json(&jobs), || discovery::html(&jobs), || discovery::text(&jobs))
}

/// As it counts: the file with variables and flags in it; what it does not say has its default.
async fn config(State(pages): State<Pages>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let settings = pages.settings.shown();
    let yaml = load::show(&settings);
    let html = || {
        html::page(
            "Settings",
            &format!("<p>As they count: the file with variables and flags in it. What they do not say has its default.</p>{}", html::block(&yaml)),
        )
    };
    answer(form::of(&asked, &headers), || settings.clone(), html, || yaml.clone())
}

#[cfg(test)]
mod tests;
