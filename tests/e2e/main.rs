//! The real programs, a real MinIO, real files: what the issue asks to be shown.
//!
//! One file per subject; each test has its own folder, ports and processes, and a deadline.

mod access;
mod api;
mod canary;
mod catalogue;
mod certificates;
mod clients;
mod compatibility;
mod configs;
mod deletes;
mod delivery;
mod disk;
mod docker;
mod drilldown;
mod edges;
mod endpoints;
mod faults;
mod fsck;
mod grafana;
mod hubs;
mod journal;
mod journald;
mod kafka;
mod kubernetes;
mod libraries;
mod live;
mod logcli;
mod migration;
mod network;
mod outage;
mod partial;
mod receivers;
mod rotation;
mod rows;
mod senders;
mod site;
mod tails;
mod torture;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tests::ask::Ask;
use tests::edge::{Edge, EdgeParts, loopback};
use tests::hub::Hub;
use tests::lines::{Writer, reckon};

/// The stages of an edge that reads CRI files.
const CRI: &str = "  - cri: {}\n";

/// An edge of `cluster` reading `logs/*.log` in `dir`.
fn edge_of(hub: &Hub, dir: &Path, cluster: &str, edge: &str, transport: &str) -> Edge {
    edge_with(hub, dir, cluster, edge, transport, &Wish::default())
}

/// What an edge of a test has beyond the usual.
#[derive(Default)]
struct Wish<'w> {
    /// Other urls than the hub's on loopback.
    hubs: Vec<String>,
    wal_dir: Option<&'w Path>,
    wal: &'w str,
    more: &'w str,
    namespace: Option<&'w str>,
    /// Glob below its folder of logs; `None` = `*.log`.
    logs: Option<&'w str>,
}

/// The same with wishes.
fn edge_with(hub: &Hub, dir: &Path, cluster: &str, edge: &str, transport: &str, wish: &Wish<'_>) -> Edge {
    let identity = hub.identity(cluster, edge, &[]);
    let logs = dir.join(format!("logs-{edge}"));
    std::fs::create_dir_all(&logs).expect("the log folder can be made");
    let parts = EdgeParts {
        identity: &identity,
        ca_file: &identity.join("ca.crt"),
        hubs: if wish.hubs.is_empty() { vec![loopback(hub.link)] } else { wish.hubs.clone() },
        transport,
        logs: format!("{}/{}", logs.display(), wish.logs.unwrap_or("*.log")),
        stages: CRI,
        more: wish.more,
        wal: wish.wal,
        wal_dir: wish.wal_dir,
        namespace: wish.namespace,
    };
    Edge::start(dir, &format!("edge-{edge}"), &parts)
}

/// Dice of test randomness: seeded, printed when a test fails.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Waits until all written lines are there, then reckons: exactly once, byte for byte, in order.
async fn settle(hub: &Hub, selector: &str, writers: &[&Writer], base: i64, within: Duration) {
    let written: BTreeMap<String, u64> = writers.iter().map(|writer| (writer.name().to_owned(), writer.written)).collect();
    let ask = Ask::new(&hub.url(), &hub.acme);
    ask.until_count(selector, written.values().sum(), within).await;
    let found = ask.every_line(selector, base, base + 3_600_000_000_000, 20_000).await;
    let reckoning = reckon(&found, &written);
    assert!(reckoning.is_exact(), "{selector}: {reckoning:?}");
}

/// A store in a folder.
fn folder_store(dir: &Path) -> String {
    format!("store: \"file://{}/store\"\n", dir.display())
}
