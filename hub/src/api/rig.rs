//! For tests: a whole hub within the process, its API on a socket of loopback.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::http::request::Builder;
use certs::TrustDomain;
use hub_ingest::metrics::IngestMetrics;
use hub_ingest::{Ingest, IngestParts};
use hub_query::{Engine, QueryMetrics};
use hub_store::{Store, StoreSettings};
use hub_tenant::{IssuedTokens, Tenants, TokenHash};
use object_store::memory::InMemory;
use object_store::path::Path;
use proto_boot::telemetry::log::{LogHandle, LogLevel, LogSettings, start};
use proto_boot::{Metrics, Ready};
use proto_seam::World;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::config::About;
use super::push::Refusals;
use super::tail::Tails;
use super::{Api, routes};

/// The log of the test process.
static LOG: LazyLock<LogHandle> = LazyLock::new(|| start(LogSettings { level: LogLevel::Error, ..LogSettings::default() }, World::real().clock).unwrap());

/// A hub for the tenants `acme` and `blue`.
pub(crate) struct Hub {
    pub(crate) api: Api,
    pub(crate) address: SocketAddr,
    pub(crate) issued: watch::Sender<Arc<IssuedTokens>>,
    pub(crate) tenants: watch::Sender<Arc<Tenants>>,
    pub(crate) stop: CancellationToken,
    _tasks: (JoinSet<()>, JoinSet<()>),
}

/// The token of `role`, for tenant `acme`.
pub(crate) fn token(role: &str) -> String {
    format!("trib_{role}_{}", "A".repeat(43))
}

/// The tenant map, with these limits for `acme`.
pub(crate) fn tenants(version: u32, limits: &str) -> Tenants {
    let hash = |role: &str| TokenHash::of(token(role).as_bytes());
    let record = |role: &str| format!("{{id: {role}, sha256: {}, role: {role}, tenants: [acme]}}", hash(role));
    let text = format!(
        "version: {version}\ntenants: {{acme: {{clusters: [alpha], limits: {{{limits}}}}}, blue: {{clusters: [beta]}}}}\ntokens: [{}, {}, {{id: operator, sha256: {}, role: operator}}]\n",
        record("reader"),
        record("writer"),
        hash("operator")
    );
    Tenants::parse("tenants.yaml", &text).unwrap()
}

impl Hub {
    pub(crate) async fn start(limits: &str) -> Self {
        let world = World { workers: proto_seam::Workers::Inline, ..World::real() };
        let store = Store::open(StoreSettings::new(Arc::new(InMemory::new()), Path::default()), world.clone()).await.unwrap();
        let (tenants, map) = watch::channel(Arc::new(tenants(1, limits)));
        let (issued, issued_now) = watch::channel(Arc::new(IssuedTokens::default()));
        let stop = CancellationToken::new();
        let parts = IngestParts {
            store: Arc::clone(&store),
            tenants: map.clone(),
            revoked: watch::channel(Arc::default()).1,
            listeners: Vec::new(),
            trust_domain: TrustDomain::new("td.example").unwrap(),
            linger: Duration::from_millis(5),
            object_bytes_max: 8 << 20,
            metrics: IngestMetrics::new(&Metrics::new()),
            world: world.clone(),
        };
        let (ingest, ingest_tasks) = Ingest::start(parts, &stop);
        let engine = Arc::new(Engine::new(Arc::clone(&store), world.clone(), QueryMetrics::default()));
        let tails = Tails::new(stop.clone());
        let about = Arc::new(About { yaml: String::new(), log: LOG.clone() });
        let api = Api {
            store: Arc::clone(&store),
            engine,
            about,
            ingest,
            tenants: map,
            issued: issued_now,
            rates: Arc::default(),
            refusals: Refusals::new(&Metrics::new()),
            tails,
            ready: Ready::new(),
            world,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        let (serving, until) = (proto_boot::serve::Serving::new(routes(api.clone(), "")), stop.clone());
        tasks.spawn(async move {
            proto_boot::serve::serve(listener, serving, until).await;
        });
        let (following, until) = (Arc::clone(&store), stop.clone());
        tasks.spawn(async move { following.run(until).await });
        // Pushes go to the hub's own lane, which it takes up in its own time.
        while store.own_lane().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { api, address, issued, tenants, stop, _tasks: (ingest_tasks, tasks) }
    }

    /// One request without the network: status and body.
    pub(crate) async fn send(&self, role: &str, request: Builder, body: impl Into<Body>) -> (u16, Vec<u8>) {
        let request: Request<Body> = request.header("authorization", format!("Bearer {}", token(role))).body(body.into()).unwrap();
        let response = routes(self.api.clone(), "").oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        (status, axum::body::to_bytes(response.into_body(), 64 << 20).await.unwrap().to_vec())
    }

    /// Pushes JSON.
    pub(crate) async fn push(&self, body: serde_json::Value) -> (u16, String) {
        let request = Request::post("/loki/api/v1/push").header("content-type", "application/json");
        let (status, body) = self.send("writer", request, body.to_string()).await;
        (status, String::from_utf8(body).unwrap())
    }

    /// Pushes lines of stream `{app="web"}` at times now, a nanosecond later, ...
    pub(crate) async fn push_lines(&self, lines: &[&str]) {
        let now = self.api.now().nanos();
        let values: Vec<_> = lines.iter().zip(now..).map(|(line, at)| serde_json::json!([at.to_string(), line])).collect();
        let (status, text) = self.push(serde_json::json!({"streams": [{"stream": {"app": "web"}, "values": values}]})).await;
        assert_eq!(status, 204, "{text}");
    }

    /// A GET's JSON answer; anything but 200 fails.
    pub(crate) async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> serde_json::Value {
        let (status, body) = self.ask(path, parameters, &[]).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) async fn ask(&self, path: &str, parameters: &[(&str, &str)], headers: &[(&str, &str)]) -> (u16, String) {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let mut request = Request::get(format!("{path}?{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (status, body) = self.send("reader", request, Body::empty()).await;
        (status, String::from_utf8(body).unwrap())
    }
}
