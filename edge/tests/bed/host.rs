//! A whole edge on a simulated disk and network, and a hub's sessions driven by hand.
//!
//! Parts: [`Host`] (one machine: its disk outlives its edges), [`Running`], [`Talk`] (one session, the hub's side).
//! Must not do: answer for the hub.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge::metrics::EdgeMetrics;
use edge::settings::{EdgeSettings, Prepared};
use edge::status::Status;
use edge::{Edge, EdgeParts};
use proto_boot::Metrics;
use proto_boot::settings::parse_all;
use proto_link::{DirectNet, DirectServer, Listen as _, Session};
use proto_seam::{Clock, Disk as _, Entropy, OpenHow, Workers, World};
use proto_wire::edge_hub::message::Kind;
use proto_wire::edge_hub::{Hello, Message, Open};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::sim_disk::SimDisk;

/// One machine: its disk outlives its edges.
pub struct Host {
    pub disk: SimDisk,
    pub net: DirectNet,
    pub server: DirectServer,
    pub clock: Clock,
}

pub struct Running {
    pub edge: Edge,
    pub status: Status,
    pub stop: CancellationToken,
}

impl Host {
    pub fn new() -> Self {
        let (disk, net) = (SimDisk::new(&Entropy::seeded(3)), DirectNet::new());
        disk.make_dirs(Path::new("/logs")).unwrap();
        let server = net.listen("hub");
        Self { disk, net, server, clock: Clock::simulated(1_700_000_000_000_000_000) }
    }

    pub fn append(&self, name: &str, text: &str) {
        self.disk.open(&Path::new("/logs").join(name), OpenHow::Append).unwrap().append(text.as_bytes()).unwrap();
    }

    pub async fn start(&self, wal: &str) -> Running {
        self.start_with(wal, "", "static_configs").await
    }

    /// With more keys under `hub` and a job's own keys.
    pub async fn start_with(&self, wal: &str, hub: &str, job: &str) -> Running {
        let text = format!(
            "scrape_configs: [{{job_name: t, {job}: [{{labels: {{job: t, __path__: /logs/*.log}}}}]}}]\n\
             hub: {{url: 'https://hub:9443', ca_file: /c, identity_dir: /i, compression: none{hub}}}\nwal: {wal}\nbatch: {{max_bytes: 64KB, max_wait: 200ms}}\n"
        );
        self.start_text(&text).await
    }

    /// With settings of its own.
    pub async fn start_text(&self, text: &str) -> Running {
        let (prepared, bandwidth) = settings(text);
        let metrics = Metrics::new();
        let status = Status::new(EdgeMetrics::new(&metrics));
        let world = World { clock: self.clock.clone(), entropy: Entropy::seeded(5), disk: Arc::new(self.disk.clone()), workers: Workers::Inline };
        let dial = Arc::new(self.net.client("link", None));
        let discover_every = Duration::from_secs(1);
        let stop = CancellationToken::new();
        let parts = EdgeParts { prepared, discover_every, bandwidth, dial: Some(dial), metrics, status: status.clone(), deliveries: None, world };
        Running { edge: edge::run(parts, &stop).await.unwrap(), status, stop }
    }

    /// The next session that stands; those that the edge gave up meanwhile are passed over.
    pub async fn accept(&mut self) -> Talk {
        loop {
            let session = timeout(Duration::from_secs(600), self.server.accept()).await.expect("the edge dials").unwrap().unwrap();
            if session.control.is_closed() {
                continue;
            }
            let mut talk = Talk { session };
            let Kind::Hello(hello) = talk.hear().await else { panic!("no Hello") };
            let answer = Hello { version_min: hello.version_max, version_max: hello.version_max, ..Hello::default() };
            if talk.session.outgoing.send(Message { kind: Some(Kind::Hello(answer)) }).await.is_ok() {
                return talk;
            }
        }
    }
}

/// Settings as an edge runs with them, and its bandwidth.
pub fn settings(text: &str) -> (Prepared, u64) {
    let (parsed, mistakes) = parse_all::<EdgeSettings>("e.yaml", text);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let parsed = parsed.unwrap();
    let prepared = parsed.prepare("e.yaml", "h").unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    (prepared, parsed.bandwidth())
}

impl Running {
    pub async fn end(self) {
        self.stop.cancel();
        timeout(Duration::from_secs(60), self.edge.ended()).await.expect("it ends").unwrap();
    }
}

pub struct Talk {
    pub session: Session,
}

impl Talk {
    pub async fn say(&self, kind: Kind) {
        self.session.outgoing.send(Message { kind: Some(kind) }).await.unwrap();
    }

    pub async fn hear(&mut self) -> Kind {
        loop {
            let heard = timeout(Duration::from_secs(600), self.session.incoming.recv()).await.expect("the edge speaks");
            let kind = heard.expect("the session stands").unwrap().kind.unwrap();
            if !matches!(kind, Kind::Heartbeat(_)) {
                return kind;
            }
        }
    }

    pub async fn open(&mut self) -> Open {
        let Kind::Open(open) = self.hear().await else { panic!("no Open") };
        open
    }

    /// What comes within `wait`.
    pub async fn within(&mut self, wait: Duration) -> Option<Kind> {
        timeout(wait, self.hear()).await.ok()
    }
}
