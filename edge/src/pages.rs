//! `/ready`, `/metrics`, `/targets`, `/status`: what the edge tells whoever asks. Open; listen on loopback or the pod's address.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use proto_boot::Metrics;

use crate::status::Status;

/// What the pages read.
#[derive(Clone)]
pub struct Pages {
    /// The edge's state.
    pub status: Status,
    /// Its counters.
    pub metrics: Metrics,
    /// Whether `/ready` waits for the first search for files.
    pub ready_needs_targets: bool,
}

/// The routes.
pub fn routes(pages: Pages) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::to("/targets") }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/targets", get(targets))
        .route("/status", get(status))
        .with_state(pages)
}

const TEXT: [(header::HeaderName, &str); 2] = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json; charset=UTF-8")];

async fn ready(State(pages): State<Pages>) -> impl IntoResponse {
    match pages.status.unready().filter(|_| pages.ready_needs_targets) {
        None => (StatusCode::OK, TEXT, "Ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("Not ready: {why}\n")),
    }
}

async fn metrics(State(pages): State<Pages>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], pages.metrics.text() + &pages.status.custom_text())
}

async fn status(State(pages): State<Pages>) -> impl IntoResponse {
    (JSON, serde_json::to_string(&pages.status.report()).unwrap_or_default())
}

/// One line per file: what is read, then what is not and why. Names of files are escaped: they may hold anything.
async fn targets(State(pages): State<Pages>) -> impl IntoResponse {
    let (sources, refused) = pages.status.targets();
    let mut out = String::new();
    for source in sources {
        let state = if source.draining { "draining" } else { "reading" };
        out.push_str(&format!(
            "{state} job={:?} path={:?} offset={} behind={} labels={}\n",
            source.job, source.path, source.offset, source.behind, source.labels
        ));
    }
    for (path, why) in refused {
        out.push_str(&format!("refused path={path:?} why={why:?}\n"));
    }
    (TEXT, out)
}
