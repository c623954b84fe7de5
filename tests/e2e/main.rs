//! The real programs, a real MinIO, real files: what the issue asks to be shown.
//!
//! One file per subject; each test has its own folder, ports and processes, and a deadline.

mod access;
mod api;
mod certificates;
mod configs;
mod delivery;
mod outage;
mod rotation;

use std::path::Path;

use tests::edge::{Edge, EdgeParts};
use tests::hub::Hub;

/// The stages of an edge that reads CRI files.
const CRI: &str = "  - cri: {}\n";

/// An edge of `cluster` reading `logs/*.log` in `dir`.
fn edge_of(hub: &Hub, dir: &Path, cluster: &str, edge: &str, transport: &str) -> Edge {
    let identity = hub.identity(cluster, edge, &[]);
    let logs = dir.join(format!("logs-{edge}"));
    std::fs::create_dir_all(&logs).expect("the log folder can be made");
    let parts = EdgeParts {
        identity: &identity,
        ca_file: &identity.join("ca.crt"),
        link: hub.link,
        transport,
        logs: format!("{}/*.log", logs.display()),
        stages: CRI,
        more: "",
        wal: "",
    };
    Edge::start(dir, &format!("edge-{edge}"), &parts)
}

/// A store in a folder.
fn folder_store(dir: &Path) -> String {
    format!("store: \"file://{}/store\"\n", dir.display())
}
