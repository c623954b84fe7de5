//! `/ready` and `/metrics`: what a platform and Prometheus ask of a process.
//!
//! Parts: [`Ready`], what the process still waits for; [`ready_route`] and [`routes`].
//! Promises: `/ready` is 200 `ready\n` only when nothing is waited for, else 503 with every reason.
//! Must not do: ask for a token; whoever must not see these is kept away by the address.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::telemetry::Metrics;

/// What a process waits for before it can work; clones share it.
#[derive(Clone, Debug)]
pub struct Ready {
    waits: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Default for Ready {
    fn default() -> Self {
        Self::new()
    }
}

impl Ready {
    /// Waits for `start`, so that a process is not ready before it says so.
    #[must_use]
    pub fn new() -> Self {
        let ready = Self { waits: Arc::default() };
        ready.wait("start", "the process is starting");
        ready
    }

    /// The process waits for `part`, for this reason (which anyone may read).
    pub fn wait(&self, part: &'static str, reason: impl Into<String>) {
        self.lock().insert(part, reason.into());
    }

    /// `part` is there.
    pub fn done(&self, part: &'static str) {
        self.lock().remove(part);
    }

    /// Whether nothing is waited for.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().is_empty()
    }

    /// All that is waited for, `None` when ready.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let waits = self.lock();
        let reasons: Vec<String> = waits.iter().map(|(part, reason)| format!("{part}: {}", reason.replace(char::is_control, " "))).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `/ready` alone.
pub fn ready_route<S: Clone + Send + Sync + 'static>(ready: Ready) -> Router<S> {
    Router::new().route("/ready", get(move || std::future::ready(answer(&ready))))
}

/// `/ready` and `/metrics`.
pub fn routes<S: Clone + Send + Sync + 'static>(ready: Ready, metrics: Metrics) -> Router<S> {
    let text = move || std::future::ready(plain(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics.text()));
    ready_route(ready).route("/metrics", get(text))
}

fn answer(ready: &Ready) -> Response {
    match ready.reason() {
        None => plain(StatusCode::OK, "text/plain; charset=utf-8", "ready\n".to_owned()),
        Some(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", format!("not ready: {reason}\n")),
    }
}

fn plain(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, content_type), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], body).into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::{Ready, routes};
    use crate::telemetry::Metrics;

    async fn ask(router: &Router, path: &str) -> (u16, String, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = router.clone().oneshot(request).await.expect("an answer");
        let content_type = response.headers().get("content-type").map(|v| v.to_str().expect("text").to_owned()).unwrap_or_default();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        (status, content_type, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn ready_says_what_is_waited_for() {
        let (ready, metrics) = (Ready::new(), Metrics::new());
        let router: Router = routes(ready.clone(), metrics);
        assert_eq!(ask(&router, "/ready").await.1, "text/plain; charset=utf-8");
        ready.wait("store", "no answer\nfrom s3");
        let (status, _, body) = ask(&router, "/ready").await;
        assert_eq!((status, body.as_str()), (503, "not ready: start: the process is starting; store: no answer from s3\n"));
        ready.done("start");
        assert!(!ready.is_ready());
        ready.done("store");
        assert!(ready.is_ready());
        let (status, _, body) = ask(&router, "/ready").await;
        assert_eq!((status, body.as_str()), (200, "ready\n"));
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text() {
        let metrics = Metrics::new();
        let router: Router = routes(Ready::new(), metrics.clone());
        metrics.counter("a_total", "A").inc();
        let answer = ask(&router, "/metrics").await;
        assert_eq!(answer, (200, "text/plain; version=0.0.4; charset=utf-8".to_owned(), "# HELP a_total A.\n# TYPE a_total counter\na_total 1\n".to_owned()));
        assert_eq!(ask(&router, "/other").await.0, 404);
    }
}
