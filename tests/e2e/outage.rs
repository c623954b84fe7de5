//! Things are away for a while: the hub, the store, UDP. Nothing is lost, nothing comes twice, memory stays flat.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tests::ask::Ask;
use tests::hub::Hub;
use tests::lines::{Writer, reckon, time_base_ns};
use tests::minio::Minio;
use tests::place;

use crate::edge_of;

const MIB: u64 = 1024 * 1024;

/// Writes `per_tick` lines every 100 ms for `span`; the highest resident memory of `rss` meanwhile.
async fn load(writer: &mut Writer, per_tick: u64, span: Duration, mut rss: impl FnMut() -> u64) -> u64 {
    let until = Instant::now() + span;
    let mut highest = 0;
    while Instant::now() < until {
        writer.write(per_tick);
        highest = highest.max(rss());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    highest
}

// One time per line: after a minute without acks a second track begins, and equal times of a stream may order by commit across
// a change of track (docs/limits.md).
async fn settle(hub: &Hub, writer: &Writer, name: &str, base: i64) {
    let ask = Ask::new(&hub.url(), &hub.acme);
    ask.until_count("{cluster=\"alpha\"}", writer.written, Duration::from_secs(90)).await;
    let found = ask.every_line("{cluster=\"alpha\"}", base, base + 3_600_000_000_000, 20_000).await;
    let reckoning = reckon(&found, &BTreeMap::from([(name.to_owned(), writer.written)]));
    assert!(reckoning.is_exact(), "{reckoning:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_is_away_for_a_minute() {
    let dir = place::folder("hubaway");
    let mut hub = Hub::start(dir.path(), &crate::folder_store(dir.path()), "");
    let mut edge = edge_of(&hub, dir.path(), "alpha", "one", "auto");
    let base = time_base_ns();
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base).distinct();
    let before = load(&mut writer, 200, Duration::from_secs(5), || edge.process().rss_bytes()).await;
    hub.kill();
    let during = load(&mut writer, 200, Duration::from_secs(60), || edge.process().rss_bytes()).await;
    hub.resume();
    let after = load(&mut writer, 200, Duration::from_secs(5), || edge.process().rss_bytes()).await;
    settle(&hub, &writer, "a", base).await;
    eprintln!("edge RSS: {} / {} / {} MiB before, during, after", before / MIB, during / MIB, after / MIB);
    assert!(during.max(after) < before + 24 * MIB, "the edge's memory grew while the hub was away");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_away_for_half_a_minute() {
    let dir = place::folder("storeaway");
    let mut minio = Minio::start(dir.path());
    let mut hub = Hub::start(dir.path(), &minio.settings("t", minio.port), "");
    let mut edge = edge_of(&hub, dir.path(), "alpha", "one", "auto");
    let base = time_base_ns();
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base).distinct();
    let before = load(&mut writer, 400, Duration::from_secs(5), || hub.process().rss_bytes()).await;
    minio.kill();
    let pushed = Ask::new(&hub.url(), &hub.acme_writer)
        .post(
            "/loki/api/v1/push",
            "application/json",
            format!("{{\"streams\":[{{\"stream\":{{\"job\":\"p\"}},\"values\":[[\"{base}\",\"x\"]]}}]}}").into_bytes(),
        )
        .await
        .expect("the hub answers");
    assert_eq!(pushed.status().as_u16(), 503, "a push while the store is away");
    assert!(pushed.headers().contains_key("retry-after"));
    let during = load(&mut writer, 400, Duration::from_secs(30), || hub.process().rss_bytes()).await;
    minio.resume();
    settle(&hub, &writer, "a", base).await;
    assert!(edge.process().alive() && hub.process().alive());
    eprintln!("hub RSS: {} / {} MiB before, during", before / MIB, during / MIB);
    assert!(during < before + 96 * MIB, "the hub's memory grew while the store was away");
}

#[tokio::test(flavor = "multi_thread")]
async fn udp_is_blocked_and_grpc_takes_over() {
    let dir = place::folder("noudp");
    // The hub serves gRPC alone; on the same port number a socket swallows every datagram.
    let mut hub = Hub::prepare(dir.path(), &crate::folder_store(dir.path()), "");
    let config = std::fs::read_to_string(hub.config()).unwrap().replace("link: {", "link: {quic: false, ");
    std::fs::write(hub.config(), config).unwrap();
    hub.acme = hub.token(&["--role", "reader", "--tenant", "acme"]);
    let _swallow = std::net::UdpSocket::bind(("127.0.0.1", hub.link)).unwrap();
    hub.resume();
    let started = Instant::now();
    let edge = edge_of(&hub, dir.path(), "alpha", "one", "auto");
    let session = loop {
        let session = edge.status()["session"].as_str().unwrap_or("none").to_owned();
        if session != "none" || started.elapsed() > Duration::from_secs(10) {
            break session;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    eprintln!("a session over {session} after {:?}", started.elapsed());
    assert_eq!(session, "grpc");
    assert!(started.elapsed() < Duration::from_millis(3_500), "took {:?}", started.elapsed());
    let base = time_base_ns();
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base).distinct();
    writer.write(1_000);
    settle(&hub, &writer, "a", base).await;
}
