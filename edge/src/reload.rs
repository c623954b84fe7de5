//! Other settings for an edge that runs: `SIGHUP` and `/reload`.
//!
//! Parts: [`Reload`] (what the collector is told), [`Ask`] and [`routes`] (the page), [`ReloadMetrics`]. What is read and
//! how (jobs, limits, labels for all lines) changes at once; sources that are still named go on at their position, others
//! are read to their end and closed. Where lines are kept and sent, and where the edge listens, changes at the next start.
//! Promises: settings with a mistake change nothing. Must not do: read settings.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use proto_boot::Metrics;
use proto_boot::telemetry::Counter;
use proto_model::Labels;
use tokio::sync::{mpsc, oneshot};

use crate::discover::Job;
use crate::limit::LimitSettings;

/// What is read from now on.
#[derive(Debug)]
pub struct Reload {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// `limits_config`.
    pub limits: LimitSettings,
    /// Labels of every line that has none of that name.
    pub external_labels: Labels,
    /// Between two searches for files.
    pub discover_every: Duration,
    /// Told when it is so.
    pub done: oneshot::Sender<()>,
}

/// What became of a reload: a line for whoever asked.
pub type Answer = Result<String, String>;

/// Somebody asks for a reload, and waits for the answer.
pub type Ask = oneshot::Sender<Answer>;

/// Who wait at once for a reload: more are told to come back.
pub const ASKS_MAX: usize = 8;

/// `/reload`, by GET and POST as in Promtail.
pub fn routes(asks: mpsc::Sender<Ask>) -> Router {
    Router::new().route("/reload", get(reload).post(reload)).with_state(asks)
}

async fn reload(State(asks): State<mpsc::Sender<Ask>>) -> Response {
    let (ask, answer) = oneshot::channel();
    if asks.try_send(ask).is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the edge is being reloaded or stopped; ask again\n").into_response();
    }
    match answer.await {
        Ok(Ok(done)) => (StatusCode::OK, format!("{done}\n")).into_response(),
        Ok(Err(why)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload config: {why}\n")).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the edge is being stopped\n").into_response(),
    }
}

/// Promtail's counters of reloads.
#[derive(Debug, Clone)]
pub struct ReloadMetrics {
    success: Counter,
    fail: Counter,
}

impl ReloadMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            success: metrics.counter("promtail_config_reload_success_total", "Reloads that were done"),
            fail: metrics.counter("promtail_config_reload_fail_total", "Reloads that were not done, for a mistake in the settings"),
        }
    }

    /// Counts one.
    pub fn count(&self, answer: &Answer) {
        if answer.is_ok() { &self.success } else { &self.fail }.add(1);
    }
}
