//! Bad certificates are refused with a clear reason on both sides; the edge keeps buffering and ships once
//! it is given a good one, without a restart.

use std::path::Path;
use std::time::{Duration, Instant};

use tests::ask::Ask;
use tests::edge::{Edge, EdgeParts, loopback};
use tests::hub::{Hub, run};
use tests::lines::{Writer, time_base_ns};
use tests::place::{self, program};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in ["edge.crt", "edge.key"] {
        // Written beside and renamed, as a renewal does it, the key first: a pair that does not match is not used.
        let beside = to.join(format!("{name}.new"));
        std::fs::copy(from.join(name), &beside).unwrap();
        std::fs::rename(&beside, to.join(name)).unwrap();
    }
}

/// Waits until `text` shows one of `words`; an edge that was refused dials again within half a minute.
async fn until(what: &str, words: &[&str], text: impl Fn() -> String) {
    let started = Instant::now();
    loop {
        let now = text();
        if words.iter().any(|word| now.contains(word)) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(75), "{what}: none of {words:?} in:\n{now}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn refused_then_good(transport: &str) {
    let dir = place::folder("certificates");
    let mut hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let good = hub.identity("alpha", "good", &[]);
    let foreign_ca = dir.path().join("foreign");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    run(&program("tributary-certs"), &["init", &text(&foreign_ca), "--trust-domain", tests::hub::TRUST_DOMAIN]);
    let foreign = dir.path().join("foreign-edge");
    run(&program("tributary-certs"), &["issue", "edge", "--ca", &text(&foreign_ca), "--out", &text(&foreign), "--cluster", "alpha", "--edge", "one"]);
    let expired = hub.identity("alpha", "expired", &["--not-before", "2020-01-01T00:00:00Z", "--not-after", "2020-02-01T00:00:00Z"]);
    let early = hub.identity("alpha", "early", &["--not-before", "2034-01-01T00:00:00Z", "--not-after", "2034-02-01T00:00:00Z"]);
    // A certificate of the right CA with a name that is no edge's: a hub certificate.
    let wrong = dir.path().join("wrong-name");
    run(&program("tributary-certs"), &["issue", "hub", "--ca", &text(&hub.dir().join("ca")), "--out", &text(&wrong), "--name", "127.0.0.1"]);
    std::fs::rename(wrong.join("hub.crt"), wrong.join("edge.crt")).unwrap();
    std::fs::rename(wrong.join("hub.key"), wrong.join("edge.key")).unwrap();

    let identity = dir.path().join("identity");
    std::fs::create_dir_all(&identity).unwrap();
    let logs = dir.path().join("logs");
    std::fs::create_dir_all(&logs).unwrap();
    let parts = EdgeParts {
        identity: &identity,
        ca_file: &good.join("ca.crt"),
        hubs: vec![loopback(hub.link)],
        transport,
        logs: format!("{}/*.log", logs.display()),
        stages: crate::CRI,
        more: "",
        wal: "",
        wal_dir: None,
        namespace: None,
    };
    let mut edge = Edge::start(dir.path(), "edge", &parts);
    let started = edge.process().id();
    let base = time_base_ns();
    let mut writer = Writer::new(&logs.join("a.log"), "a", base);
    writer.write(1_000);

    // None at all: the edge says which file it misses.
    let edge_stderr = edge.process().stderr.clone();
    let hub_stderr = hub.process().stderr.clone();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    until("no certificate, edge", &["edge.crt"], || read(&edge_stderr)).await;
    for (name, from, hub_words, edge_words) in [
        (
            "foreign",
            &foreign,
            &["foreign_ca", "unknown authority", "UnknownIssuer", "another authority", "unknown CA"][..],
            &["foreign_ca", "unknown CA", "unknown_ca", "UnknownCA", "not signed"][..],
        ),
        ("expired", &expired, &["expired"][..], &["expired"][..]),
        ("not yet valid", &early, &["not_yet_valid", "not yet valid"][..], &["expired", "not yet valid", "not_yet_valid"][..]),
        (
            "wrong name",
            &wrong,
            &["bad_identity", "identity", "client authentication"][..],
            &["bad_identity", "identity", "bad certificate", "BadCertificate", "certificate"][..],
        ),
    ] {
        let (edge_from, hub_from) = (read(&edge_stderr).len(), read(&hub_stderr).len());
        copy(from, &identity);
        until(&format!("{name}, hub"), hub_words, || read(&hub_stderr)[hub_from..].to_owned()).await;
        until(&format!("{name}, edge"), edge_words, || read(&edge_stderr)[edge_from..].to_owned()).await;
        assert_eq!(edge.status()["session"], "none", "{name}");
    }
    assert_eq!(Ask::new(&hub.url(), &hub.acme).count("{cluster=\"alpha\"}").await, 0);
    copy(&good, &identity);
    Ask::new(&hub.url(), &hub.acme).until_count("{cluster=\"alpha\"}", writer.written, Duration::from_secs(75)).await;
    assert_eq!(edge.process().id(), started, "the same process all along");
    assert!(edge.process().alive());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_certificates_over_quic() {
    refused_then_good("quic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_certificates_over_grpc() {
    refused_then_good("grpc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_a_tenant_buffers_until_it_has_one() {
    let dir = place::folder("notenant");
    let mut hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let edge = crate::edge_of(&hub, dir.path(), "gamma", "one", "auto");
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", time_base_ns());
    writer.write(100);
    let hub_stderr = hub.process().stderr.clone();
    until("no tenant, hub", &["no tenant"], || std::fs::read_to_string(&hub_stderr).unwrap_or_default()).await;
    until("no tenant, edge", &["no tenant"], || edge.status().to_string()).await;
    let tenants = hub.dir().join("tenants.yaml");
    let text = std::fs::read_to_string(&tenants).unwrap().replace("version: 1", "version: 2").replace("[beta]", "[beta, gamma]");
    std::fs::write(&tenants, text).unwrap();
    Ask::new(&hub.url(), &hub.blue).until_count("{cluster=\"gamma\"}", 100, Duration::from_secs(75)).await;
    assert_eq!(Ask::new(&hub.url(), &hub.acme).count("{cluster=\"gamma\"}").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_edge_is_cut_off_and_stays_out() {
    let dir = place::folder("revoked");
    let mut hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let edge = crate::edge_of(&hub, dir.path(), "alpha", "one", "auto");
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", time_base_ns());
    writer.write(100);
    let ask = Ask::new(&hub.url(), &hub.acme);
    ask.until_count("{cluster=\"alpha\"}", 100, Duration::from_secs(75)).await;
    let uri = format!("spiffe://{}/cluster/alpha/edge/one", tests::hub::TRUST_DOMAIN);
    let config = hub.config();
    run(&program("tributary-hub"), &["revoke", &uri, "--config", config.to_str().unwrap()]);
    let hub_stderr = hub.process().stderr.clone();
    until("revoked, hub", &["the edge was revoked"], || std::fs::read_to_string(&hub_stderr).unwrap_or_default()).await;
    writer.write(100);
    until("revoked, edge", &["revoked"], || edge.status().to_string()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ask.count("{cluster=\"alpha\"}").await, 100, "nothing of a revoked edge is committed any more");
    let other = crate::edge_of(&hub, dir.path(), "alpha", "two", "auto");
    Writer::new(&dir.path().join("logs-two/b.log"), "b", time_base_ns()).write(10);
    ask.until_count("{cluster=\"alpha\"}", 110, Duration::from_secs(75)).await;
    assert_ne!(other.status()["session"], "none");
}
