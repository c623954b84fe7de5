//! An edge without a hub's link: Promtail's `clients` alone, against a hub's push API.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::ask::Ask;
use tests::hub::Hub;
use tests::lines::{Writer, reckon, time_base_ns};
use tests::place::{self, program};
use tests::process::Process;

/// A configuration as Promtail has it: no `hub`, no `wal`; and `more`.
fn configured(dir: &Path, hub: &Hub, more: &str) {
    let logs = dir.join("logs");
    std::fs::create_dir_all(&logs).unwrap();
    let settings = format!(
        "server: {{http_listen_address: 127.0.0.1, http_listen_port: 0}}\npositions: {{filename: {}/positions.yaml}}\n\
         clients:\n- url: {}/loki/api/v1/push\n  bearer_token: {}\n  batchwait: 100ms\n  batchsize: 20000\n  external_labels: {{cluster: alpha, via: push}}\n\
         scrape_configs:\n- job_name: files\n  static_configs:\n  - targets: [localhost]\n    labels: {{job: files, __path__: \"{}/*.log\"}}\n  pipeline_stages:\n{}{more}",
        dir.display(),
        hub.url(),
        hub.acme_writer,
        logs.display(),
        crate::CRI
    );
    std::fs::write(dir.join("promtail.yaml"), settings).unwrap();
}

fn started(dir: &Path, nth: usize) -> Process {
    let mut command = Command::new(program("tributary-edge"));
    command.arg(format!("-config.file={}", dir.join("promtail.yaml").display()));
    let mut process = Process::start(command, dir, "edge");
    let _ = process.listening(nth);
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_alone_bring_every_line_through_kills_of_edge_and_hub() {
    let dir = place::folder("clients");
    let mut hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    configured(dir.path(), &hub, "");
    let base = time_base_ns();
    let mut writers: Vec<Writer> = ["a", "b"].iter().map(|name| Writer::new(&dir.path().join(format!("logs/{name}.log")), name, base)).collect();
    let mut edge = started(dir.path(), 0);
    for kill in 1..=3 {
        for _ in 0..10 {
            writers.iter_mut().for_each(|writer| writer.write(200));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if kill == 2 {
            hub.kill();
            writers.iter_mut().for_each(|writer| writer.write(200));
        }
        edge.kill();
        writers.iter_mut().for_each(|writer| writer.write(200));
        edge = started(dir.path(), kill);
        if kill == 2 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            hub.resume();
        }
    }
    let written: BTreeMap<String, u64> = writers.iter().map(|writer| (writer.name().to_owned(), writer.written)).collect();
    let ask = Ask::new(&hub.url(), &hub.acme);
    let selector = "{cluster=\"alpha\", via=\"push\"}";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let reckoning = loop {
        if let Ok(found) = ask.try_every_line(selector, base, base + 3_600_000_000_000, 20_000).await {
            let reckoning = reckon(&found, &written);
            if reckoning.missing_count == 0 || tokio::time::Instant::now() > deadline {
                break reckoning;
            }
        }
        assert!(tokio::time::Instant::now() < deadline + Duration::from_secs(60), "the hub does not answer; the edge: {}", edge.tail());
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert!(reckoning.missing_count == 0 && reckoning.foreign.is_empty(), "{reckoning:?}\n{}", edge.tail());
    // What was on its way at a kill may come again: requests of 20,000 bytes, of one tenant, one after the other, and what was packed with them.
    let total: u64 = written.values().sum();
    assert!(reckoning.repeated <= total / 2, "{reckoning:?}");
    assert!(dir.path().join("tributary-wal/sinks").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_comes_later_gets_what_is_written_from_then_on() {
    let dir = place::folder("clients-then-hub");
    let hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    configured(dir.path(), &hub, "");
    let mut writer = Writer::new(&dir.path().join("logs/a.log"), "a", time_base_ns());
    let mut edge = started(dir.path(), 0);
    let ask = Ask::new(&hub.url(), &hub.acme);
    writer.write(100);
    ask.until_count("{via=\"push\"}", 100, Duration::from_secs(60)).await;
    edge.stop(Duration::from_secs(20));
    let identity = hub.identity("alpha", "one", &[]);
    let link = format!(
        "hub: {{url: 'https://127.0.0.1:{}', ca_file: {}/ca.crt, identity_dir: {}, server_name: localhost}}\n",
        hub.link,
        identity.display(),
        identity.display()
    );
    configured(dir.path(), &hub, &link);
    let edge = started(dir.path(), 1);
    writer.write(50);
    ask.until_count("{via=\"push\"}", 150, Duration::from_secs(60)).await;
    ask.until_count("{job=\"files\", via=\"\"}", 50, Duration::from_secs(60)).await;
    let losses = Ask::new(&hub.admin_url(), &hub.operator).json("/admin/v1/losses", &[("tenant", "acme")]).await;
    assert_eq!(losses, serde_json::json!([]), "what went before is not told as lost: {}", edge.tail());
}
