//! What a soak runs on: a store behind a gate, hubs, edges, writers of numbered lines.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tests::edge::{Edge, EdgeParts, loopback};
use tests::gate::Gate;
use tests::hub::Hub;
use tests::lines::Writer;
use tests::minio::{self, Minio};
use tests::place;

/// Files an edge reads.
pub(crate) const FILES: usize = 2;

/// Everything, dropped in this order: programs, the way to the store, the store, the folder.
pub(crate) struct Site {
    pub(crate) edges: Vec<Edge>,
    pub(crate) hubs: Vec<Hub>,
    pub(crate) gate: Option<Gate>,
    pub(crate) minio: Option<Minio>,
    /// `edge * FILES + file`.
    pub(crate) writers: Arc<Mutex<Vec<Writer>>>,
    /// Time of number 0, and between two numbers of a file.
    pub(crate) base_ns: i64,
    pub(crate) step_ns: i64,
    store: String,
    pub(crate) dir: tempfile::TempDir,
}

/// `http://USER:PASS@HOST:PORT/bucket/prefix`
struct Url {
    user: String,
    password: String,
    address: SocketAddr,
    place: String,
}

fn parse(url: &str) -> Option<Url> {
    let rest = url.strip_prefix("http://")?;
    let (credentials, rest) = rest.rsplit_once('@')?;
    let (user, password) = credentials.split_once(':')?;
    let (host, place) = rest.split_once('/')?;
    let address = std::net::ToSocketAddrs::to_socket_addrs(host).ok()?.next()?;
    Some(Url { user: user.to_owned(), password: password.to_owned(), address, place: place.to_owned() })
}

impl Site {
    /// Starts it all.
    pub(crate) async fn start(store: Option<&str>, hubs: usize, edges: usize, rate: u64, seed: u64) -> Self {
        let dir = place::folder("soak");
        let (mut own, mut gate) = (None, None);
        let settings = match store {
            Some(url) if url.starts_with("http://") => {
                let url = parse(url).expect("a store is file:///path or http://USER:PASS@HOST:PORT/bucket/prefix");
                let open = Gate::start(url.address, seed).await;
                let text = format!(
                    "store: s3://{}\ns3: {{endpoint: \"http://127.0.0.1:{}\", region: us-east-1, access_key_id: {}, secret_access_key: {}, allow_http: true}}\n",
                    url.place, open.port, url.user, url.password
                );
                gate = Some(open);
                text
            }
            Some(url) => format!("store: \"{url}\"\n"),
            None if minio::server().exists() => {
                let server = Minio::start(dir.path());
                let open = Gate::start(SocketAddr::from(([127, 0, 0, 1], server.port)), seed).await;
                let text = server.settings("soak", open.port);
                (own, gate) = (Some(server), Some(open));
                text
            }
            None => format!("store: \"file://{}/store\"\n", dir.path().display()),
        };
        let more = "cache: {memory: 32MiB}\n";
        let first = Hub::start(dir.path(), &settings, more);
        let mut all = vec![first];
        for n in 1..hubs {
            let mut hub = all[0].beside(dir.path(), &format!("hub-{}", n + 1), &settings, more);
            hub.resume();
            all.push(hub);
        }
        let urls: Vec<String> = all.iter().map(|hub| loopback(hub.link)).collect();
        let edges: Vec<Edge> = (0..edges).map(|n| edge(&all[0], &dir, n, &urls)).collect();
        let (step_ns, base_ns) = (1_000_000_000 * i64::try_from(edges.len() * FILES).expect("few edges") / i64::try_from(rate).expect("few lines"), now_ns());
        let writer = |n: usize| {
            let path = log(&dir, n / FILES, n % FILES);
            Writer::new(&path, &format!("e{}f{}", n / FILES, n % FILES), base_ns).stepping(step_ns).distinct()
        };
        let writers = Arc::new(Mutex::new((0..edges.len() * FILES).map(writer).collect()));
        let store = settings.lines().next().unwrap_or_default().to_owned();
        Self { edges, hubs: all, gate, minio: own, writers, base_ns, step_ns, store, dir }
    }

    /// Writes on: each file at its share of the rate, whatever else happens.
    pub(crate) fn load(&self) -> tokio::task::JoinHandle<()> {
        let (writers, step_ns, began) = (Arc::clone(&self.writers), self.step_ns, Instant::now());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let due = u64::try_from(began.elapsed().as_nanos() / u128::try_from(step_ns).expect("a step is positive")).expect("few lines");
                for writer in writers.lock().expect("no writer panics").iter_mut() {
                    writer.write(due.saturating_sub(writer.written));
                }
            }
        })
    }

    /// The log file of an edge.
    pub(crate) fn log(&self, edge: usize, file: usize) -> PathBuf {
        log(&self.dir, edge, file)
    }

    /// Lines written so far, by name.
    pub(crate) fn written(&self) -> Vec<(String, u64)> {
        self.writers.lock().expect("no writer panics").iter().map(|writer| (writer.name().to_owned(), writer.written)).collect()
    }

    /// Which store it is.
    pub(crate) fn store_told(&self) -> &str {
        &self.store
    }

    /// What the gate did.
    pub(crate) fn gate_told(&self) -> String {
        self.gate.as_ref().map_or_else(|| "no gate before this store".to_owned(), |gate| gate.counts().told())
    }
}

fn log(dir: &tempfile::TempDir, edge: usize, file: usize) -> PathBuf {
    dir.path().join(format!("logs-{edge}/f{file}.log"))
}

fn edge(hub: &Hub, dir: &tempfile::TempDir, n: usize, urls: &[String]) -> Edge {
    let identity = hub.identity("alpha", &format!("e{n}"), &[]);
    let logs = dir.path().join(format!("logs-{n}"));
    std::fs::create_dir_all(&logs).expect("the log folder can be made");
    let mut hubs = urls.to_vec();
    hubs.rotate_left(n % urls.len());
    let parts = EdgeParts {
        identity: &identity,
        ca_file: &identity.join("ca.crt"),
        hubs,
        transport: ["auto", "quic", "grpc"][n % 3],
        logs: format!("{}/*.log", logs.display()),
        stages: "  - cri: {}\n",
        more: "",
        wal: ", max_bytes: 512MiB, grace_bytes: 16MiB",
        wal_dir: None,
        namespace: None,
    };
    Edge::start(dir.path(), &format!("edge-{n}"), &parts)
}

fn now_ns() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is after 1970");
    i64::try_from(now.as_nanos()).expect("the year is before 2262")
}
