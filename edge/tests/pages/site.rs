//! A real edge on a folder, with its pages on a port, and nobody at the other end of its link.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use edge::metrics::EdgeMetrics;
use edge::pages::{Effective, Pages, routes};
use edge::receive::{self, Intake, Receivers};
use edge::reload::ReloadMetrics;
use edge::settings::EdgeSettings;
use edge::status::Status;
use edge::{Edge, EdgeParts};
use proto_boot::Metrics;
use proto_boot::serve::{Serving, serve};
use proto_boot::settings::parse_all;
use proto_link::{DirectNet, DirectServer};
use proto_seam::World;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;

use crate::exposition::Exposition;

pub(crate) struct Site {
    dir: TempDir,
    address: SocketAddr,
    receivers: Receivers,
    edge: Edge,
    stop: CancellationToken,
    _reloads: ReloadMetrics,
    _hub: DirectServer,
}

/// An answer, as far as it is looked at.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) kind: String,
    pub(crate) policy: String,
    pub(crate) body: String,
}

impl Site {
    /// A job `files` that reads `*.log` with these stages, and more lines of `scrape_configs`.
    pub(crate) async fn start(stages: &str, more: &str) -> Self {
        Self::with(stages, more, "").await
    }

    /// The same with more top-level keys.
    pub(crate) async fn with(stages: &str, more: &str, keys: &str) -> Self {
        let dir = TempDir::with_prefix("tributary-pages").unwrap();
        let at = dir.path().display();
        let text = format!(
            "hub: {{url: 'https://hub:9443', ca_file: /c, identity_dir: /i}}\nwal: {{dir: {at}/wal}}\nbatch: {{max_wait: 200ms}}\n{keys}scrape_configs:\n  \
             - {{job_name: files, static_configs: [{{labels: {{job: files, __path__: '{at}/*.log'}}}}], pipeline_stages: {stages}}}\n{more}"
        );
        let (parsed, mistakes) = parse_all::<EdgeSettings>("e.yaml", &text);
        assert!(mistakes.is_empty(), "{mistakes:?}\n{text}");
        let prepared = parsed.unwrap().prepare("e.yaml", "h").unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let jobs = prepared.jobs.clone();
        let (metrics, net, stop, world) = (Metrics::new(), DirectNet::new(), CancellationToken::new(), World::real());
        let hub = net.listen("hub");
        let (intake, deliveries) = Intake::new(&metrics);
        let status = Status::new(EdgeMetrics::new(&metrics));
        status.receivers(intake.board.clone());
        let parts = EdgeParts {
            prepared,
            discover_every: Duration::from_millis(200),
            bandwidth: 0,
            dial: Some(Arc::new(net.client("link", None))),
            metrics: metrics.clone(),
            status: status.clone(),
            deliveries: Some(deliveries),
            world: world.clone(),
        };
        let edge = edge::run(parts, &stop).await.unwrap();
        let receivers = receive::start(&jobs, &intake, &status, &world, &stop).await.unwrap_or_else(|fault| panic!("{fault}"));
        let settings = Effective::default();
        settings.set(parse_all::<serde_json::Value>("e.yaml", &text).0.unwrap());
        let reloads = ReloadMetrics::new(&metrics);
        let pages = Pages { status, metrics, settings, ready_needs_targets: true, serves_metrics: true, world };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Serving::new(routes(pages)), stop.clone()));
        Self { dir, address, receivers, edge, stop, _reloads: reloads, _hub: hub }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) async fn get(&self, page: &str, accept: &str) -> Answer {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let answer = client.get(format!("http://{}/{page}", self.address)).header("Accept", accept).send().await.unwrap().error_for_status().unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        Answer { kind: header("content-type"), policy: header("content-security-policy"), body: answer.text().await.unwrap() }
    }

    /// What `/metrics` says, read as strictly as Prometheus does.
    pub(crate) async fn metrics(&self) -> Exposition {
        let answer = self.get("metrics", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1").await;
        assert_eq!(answer.kind, "text/plain; version=0.0.4; charset=utf-8");
        Exposition::read(&answer.body).unwrap_or_else(|why| panic!("{why}\n{}", answer.body))
    }

    /// Waits until the text of `/targets` holds something.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let mut text = String::new();
        for _ in 0..400 {
            text = self.get("targets", "*/*").await.body;
            if holds(&text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not in time: {what}\n{text}");
    }

    /// Sends bytes over TCP to the receiver of a kind.
    pub(crate) async fn send(&self, kind: &str, bytes: &[u8]) {
        let running = self.receivers.running().iter().find(|running| running.kind == kind).unwrap();
        let mut stream = tokio::net::TcpStream::connect(running.address.unwrap()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
    }

    pub(crate) async fn end(self) {
        self.receivers.end().await;
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(60), self.edge.ended()).await.expect("it ends").unwrap();
    }
}
