//! An edge with receivers on a simulated disk, and its WAL read by itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use certs::authority::{Authority, Validity};
use certs::{Issued, TrustDomain};
use edge::metrics::EdgeMetrics;
use edge::receive::board::Board;
use edge::receive::{self, Intake, Receivers};
use edge::settings::EdgeSettings;
use edge::status::Status;
use edge::{Edge, EdgeParts};
use edge_wal::{Entry, Wal, WalSettings};
use proto_boot::Metrics;
use proto_boot::settings::parse_all;
use proto_link::{DirectNet, DirectServer};
use proto_model::{Sequence, Timestamp, TrackId};
use proto_seam::{Clock, Entropy, Workers, World};
use proto_wire::BatchView;
use tokio_util::sync::CancellationToken;

use crate::sim_disk::SimDisk;

/// The wall clock at the start, ns.
pub(crate) const START: i64 = 1_700_000_000_000_000_000;

pub(crate) struct Site {
    pub(crate) disk: SimDisk,
    pub(crate) metrics: Metrics,
    pub(crate) receivers: Receivers,
    pub(crate) board: Board,
    edge: Edge,
    stop: CancellationToken,
    wal: WalSettings,
    _hub: DirectServer,
}

/// A record as it lies in the WAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) labels: String,
    pub(crate) time: i64,
    pub(crate) line: String,
    pub(crate) metadata: Vec<(String, String)>,
}

impl Site {
    /// With one job, whose keys are given in YAML after `job_name: t, `.
    pub(crate) async fn start(job: &str) -> Self {
        Self::on(SimDisk::new(&Entropy::seeded(3)), job, "").await
    }

    /// The same with more top-level keys.
    pub(crate) async fn with(job: &str, keys: &str) -> Self {
        Self::configured(SimDisk::new(&Entropy::seeded(3)), job, "", keys).await
    }

    /// On a disk that is there, with more keys under `wal`.
    pub(crate) async fn on(disk: SimDisk, job: &str, wal: &str) -> Self {
        Self::configured(disk, job, wal, "").await
    }

    async fn configured(disk: SimDisk, job: &str, wal: &str, keys: &str) -> Self {
        let text = format!(
            "scrape_configs: [{{job_name: t, {job}}}]\nhub: {{url: 'https://hub:9443', ca_file: /c, identity_dir: /i}}\nwal: {{dir: /wal{wal}}}\nbatch: {{max_wait: 200ms}}\n{keys}"
        );
        let (parsed, mistakes) = parse_all::<EdgeSettings>("e.yaml", &text);
        assert!(mistakes.is_empty(), "{mistakes:?}\n{text}");
        let prepared = parsed.unwrap().prepare("e.yaml", "h").unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let (jobs, wal) = (prepared.jobs.clone(), prepared.wal.clone());
        let (metrics, net, stop) = (Metrics::new(), DirectNet::new(), CancellationToken::new());
        let hub = net.listen("hub");
        let world = World { clock: Clock::simulated(START), entropy: Entropy::seeded(5), disk: Arc::new(disk.clone()), workers: Workers::Inline };
        let (intake, deliveries) = Intake::new(&metrics);
        let parts = EdgeParts {
            prepared,
            discover_every: Duration::from_secs(1),
            bandwidth: 0,
            dial: Some(Arc::new(net.client("link", None))),
            metrics: metrics.clone(),
            status: Status::new(EdgeMetrics::new(&metrics)),
            deliveries: Some(deliveries),
            world: world.clone(),
        };
        let status = parts.status.clone();
        let mut edge = edge::run(parts, &stop).await.unwrap();
        intake.stands.recovered(edge.take_pulled());
        let receivers = receive::start(&jobs, &intake, &status, &world, &stop).await.unwrap_or_else(|fault| panic!("{fault}"));
        Self { disk, metrics, receivers, board: intake.board.clone(), edge, stop, wal, _hub: hub }
    }

    pub(crate) fn address(&self, kind: &str) -> SocketAddr {
        let running = self.receivers.running().iter().find(|running| running.kind == kind).unwrap();
        SocketAddr::new("127.0.0.1".parse().unwrap(), running.address.unwrap().port())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address("http"))
    }

    /// The sum of all samples of a metric whose labels contain `label`.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.metrics.text();
        let samples = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name) && line.contains(label));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits until a metric has a value.
    pub(crate) async fn until(&self, name: &str, label: &str, value: f64) {
        for _ in 0..600 {
            if self.metric(name, label) >= value {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name}{{{label}}} is {} and not {value}", self.metric(name, label));
    }

    /// Ends in peace: what lies in the WAL then.
    pub(crate) async fn end(self) -> Vec<Row> {
        self.receivers.end().await;
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(30), self.edge.ended()).await.expect("it ends").unwrap();
        rows(&self.disk, self.wal)
    }

    /// The power goes: what lies in the WAL then.
    pub(crate) async fn crash(self) -> (Vec<Row>, SimDisk) {
        drop(self.edge);
        self.disk.crash();
        let rows = rows(&self.disk, self.wal);
        (rows, self.disk)
    }
}

/// All records of a WAL, in its order.
fn rows(disk: &SimDisk, settings: WalSettings) -> Vec<Row> {
    let (wal, _) = Wal::open(settings, Arc::new(disk.clone()), &Entropy::seeded(7), Timestamp(START)).unwrap();
    let mut out = Vec::new();
    for number in 1..=wal.durable(TrackId(1)).0 {
        let Entry::Batch { body, .. } = wal.read(TrackId(1), Sequence(number)).unwrap().unwrap() else { panic!("a gap") };
        let view = BatchView::parse(body).unwrap();
        let payload = view.payload().unwrap();
        for (at, stream) in view.table().streams.iter().enumerate() {
            let labels = stream.labels.iter().map(|pair| format!("{}={}", pair.name, pair.value)).collect::<Vec<_>>().join(",");
            out.extend(payload.rows(at).map(|row| {
                let row = row.unwrap();
                let metadata = row.metadata().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                Row { labels: labels.clone(), time: row.time.nanos(), line: String::from_utf8_lossy(row.line).into_owned(), metadata }
            }));
        }
    }
    out
}

pub(crate) fn lines(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.line.as_str()).collect()
}

pub(crate) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A CA, a server's certificate for `localhost`, a client's.
pub(crate) fn identities() -> (Authority, Issued, Issued) {
    let clock = Clock::simulated(START);
    let authority = Authority::generate(&TrustDomain::new("test.tributary").unwrap(), &clock).unwrap();
    let server = authority.issue_hub(&["localhost".to_owned()], Validity::days(&clock, 30).unwrap()).unwrap();
    let client = authority.issue_edge(&"c".parse().unwrap(), &"e".parse().unwrap(), Validity::days(&clock, 30).unwrap()).unwrap();
    (authority, server, client)
}

/// `tls_config` of a receiver, with a CA for clients under `ca_key`.
pub(crate) fn tls_yaml(server: &Issued, ca_key: &str) -> String {
    let quote = |text: &str| serde_json::to_string(text).unwrap();
    format!("{{cert: {}, key: {}, {ca_key}: {}}}", quote(&server.cert_pem), quote(&server.key_pem), quote(&server.ca_pem))
}
