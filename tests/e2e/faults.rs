//! Faults of processes and of the way to the store: frozen hubs and edges, a killed MinIO, answers lost after applying.

use std::net::SocketAddr;
use std::time::Duration;

use tests::ask::Ask;
use tests::gate::{Gate, Rates};
use tests::hub::Hub;
use tests::lines::{Writer, time_base_ns};
use tests::minio::Minio;
use tests::place;

use crate::{Dice, edge_of, settle};

/// Writes `lines` lines every 50 ms for `span`.
pub(crate) async fn write_for(writer: &mut Writer, lines: u64, span: Duration) {
    let until = tokio::time::Instant::now() + span;
    while tokio::time::Instant::now() < until {
        writer.write(lines);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A hub or an edge that stands still for seconds, and then half a minute: longer than sessions and requests live.
async fn frozen(transport: &str, seed: u64) {
    let dir = place::folder("frozen");
    let minio = Minio::start(dir.path());
    let mut hub = Hub::start(dir.path(), &minio.settings("t", minio.port), "");
    let mut edge = edge_of(&hub, dir.path(), "alpha", "one", transport);
    let (base, mut dice) = (time_base_ns(), Dice(seed));
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base);
    write_for(&mut writer, 50, Duration::from_secs(1)).await;
    for (of_hub, span_ms) in [(true, 5_000), (false, 5_000), (true, 35_000), (false, 1_000 + dice.roll(3_000))] {
        let (url, token) = (hub.url(), hub.acme_writer.clone());
        let process = if of_hub { hub.process() } else { edge.process() };
        let load = write_for(&mut writer, 50, Duration::from_millis(span_ms + 1_000));
        // What lay in the sockets of a hub that slept for more than 30 s is closed: nobody knows how long it lay there.
        let late = async {
            if span_ms > 30_000 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let body = serde_json::json!({"streams": [{"stream": {"job": "late"}, "values": [[base.to_string(), "lay for long"]]}]});
                let told = Ask::new(&url, &token).post("/loki/api/v1/push", "application/json", body.to_string().into_bytes()).await;
                assert!(told.as_ref().map_or(true, |answer| answer.status() == 503), "a push of before the sleep: {told:?}");
            }
        };
        tokio::join!(load, process.freeze(Duration::from_millis(span_ms)), late);
    }
    assert_eq!(Ask::new(&hub.url(), &hub.acme).count("{job=\"late\"}").await, 0, "and is not stored");
    assert!(hub.process().alive() && edge.process().alive(), "nobody ended");
    settle(&hub, "{cluster=\"alpha\"}", &[&writer], base, Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_hub_and_a_frozen_edge_over_quic() {
    frozen("quic", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_hub_and_a_frozen_edge_over_grpc() {
    frozen("grpc", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn minio_is_killed_and_comes_back() {
    let dir = place::folder("miniokill");
    let mut minio = Minio::start(dir.path());
    let mut hub = Hub::start(dir.path(), &minio.settings("t", minio.port), "");
    let mut edge = edge_of(&hub, dir.path(), "alpha", "one", "auto");
    let (base, mut dice) = (time_base_ns(), Dice(3));
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base);
    for _ in 0..6 {
        write_for(&mut writer, 100, Duration::from_millis(500 + dice.roll(1_500))).await;
        minio.kill();
        write_for(&mut writer, 100, Duration::from_millis(dice.roll(2_000))).await;
        minio.resume();
    }
    assert!(hub.process().alive() && edge.process().alive(), "nobody ended");
    settle(&hub, "{cluster=\"alpha\"}", &[&writer], base, Duration::from_secs(90)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_starts_before_its_store_waits_for_it_and_not_for_ever() {
    let dir = place::folder("before");
    let mut minio = Minio::start(dir.path());
    let mut hub = Hub::start(dir.path(), &minio.settings("t", minio.port), "");
    hub.kill();
    minio.kill();
    let starting = std::thread::spawn(move || {
        hub.resume();
        hub
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!starting.is_finished(), "nothing can be served yet");
    minio.resume();
    let mut hub = tokio::task::spawn_blocking(|| starting.join().unwrap()).await.unwrap();
    assert!(hub.process().alive());
    hub.kill();
    minio.kill();
    let begun = std::time::Instant::now();
    let why = tokio::task::spawn_blocking(move || hub.try_resume().unwrap_err()).await.unwrap();
    assert!(why.contains("check that it is up and reachable") && why.contains("the hub waits for its store"), "{why}");
    assert!((14..28).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_the_store_fails_in_every_manner() {
    let dir = place::folder("gate");
    let minio = Minio::start(dir.path());
    let gate = Gate::start(SocketAddr::from(([127, 0, 0, 1], minio.port)), 4).await;
    let mut hub = Hub::start(dir.path(), &minio.settings("t", gate.port), "");
    let mut edge = edge_of(&hub, dir.path(), "alpha", "one", "auto");
    let base = time_base_ns();
    let mut writer = Writer::new(&dir.path().join("logs-one/a.log"), "a", base);
    gate.set(Rates::all(60));
    write_for(&mut writer, 50, Duration::from_secs(25)).await;
    // Every other write is applied and its answer lost.
    gate.set(Rates { lose_answer: 500, ..Rates::default() });
    write_for(&mut writer, 50, Duration::from_secs(8)).await;
    // A killed hub finds what its lost answers left.
    hub.kill();
    gate.set(Rates::all(30));
    hub.resume();
    write_for(&mut writer, 50, Duration::from_secs(5)).await;
    gate.set(Rates::default());
    eprintln!("gate: {}", gate.counts().told());
    assert!(edge.process().alive() && hub.process().alive());
    settle(&hub, "{cluster=\"alpha\"}", &[&writer], base, Duration::from_secs(90)).await;
    let counts = gate.counts();
    for (kind, count) in [
        ("delayed", &counts.delayed),
        ("refused", &counts.refused),
        ("lost", &counts.answers_lost),
        ("late", &counts.applied_late),
        ("cut", &counts.answers_cut),
    ] {
        assert!(count.load(std::sync::atomic::Ordering::Relaxed) >= 3, "too few {kind}: {}", counts.told());
    }
}
